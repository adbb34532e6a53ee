"""`Gate`: the one place where the rooms meet, camera -> vision -> liveness -> match, in one direction."""

from __future__ import annotations

import logging
import threading
import traceback
import uuid
from collections.abc import Iterator
from contextlib import closing
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from pipeline.camera import Source, judge_source
from pipeline.errors import (
    ClientCode,
    ConsentError,
    LivegateError,
    MatchError,
    SourceFrozenError,
    SourceLostError,
    UsageError,
)
from pipeline.liveness.evidence import Verdict
from pipeline.liveness.judge import Judge, JudgeSettings
from pipeline.liveness.livepass import LivePass
from pipeline.loaded import LoadedNets
from pipeline.reasons import Reason
from pipeline.result import Guidance, LivenessResult, MatchOutcome, Result, UploadInterrupted
from pipeline.settings import Settings
from pipeline.vision import View, Vision

if TYPE_CHECKING:
    from pipeline.liveness.flash.session import Display, FlashSession
    from pipeline.match.client import MatchResult
    from pipeline.match.encode import Upload
    from pipeline.match.person import Person

log = logging.getLogger("livegate.gate")

PERSON_REFUSED = (Reason.IDENTITY_REFUSED, Reason.NOT_SAME_PERSON)
"""Refusals of the service that are about the person, and so are a rejection (2006) and no fault (1001)."""


class Service(Protocol):
    """Whoever answers ``method=match``: the client of `pipeline.match`, or a fake of a test."""

    def match(self, person: Person, upload: Upload, consent: str) -> MatchResult:
        """Ask whether the uploaded face is this person's; raises `MatchError`."""

    def close(self) -> None:
        """Give connections back."""


class Gate:
    """Decides whether a live person stands before a camera, and only then asks who it is.

    In liveness mode no network object is built. In verify mode a frame is sent only where the decision minted
    a `LivePass`, the source is trusted and a consent reference was given. Model files are loaded once, here.
    One gate runs one check at a time; use one gate for each camera.

    Args:
        settings: see `Settings`; defaults, environment and livegate.toml if left out.
        service: answers ``match`` in verify mode instead of the settings' endpoint; closed with the gate.
        nets: loaded before, of the same settings, to share them with other gates; see `pipeline.cameras`.

    Raises:
        SettingsError: a setting is out of range or contradicts another one.
        ModelError: a model file is missing or wrong. The way out is in its hint.

    Example:
        ```python
        with Gate(Settings(mode="liveness")) as gate:
            result = gate.check(open_source("clip.mp4"))
        ```
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        service: Service | None = None,
        nets: LoadedNets | None = None,
    ) -> None:
        self.settings = settings or Settings()
        if service is not None and self.settings.mode == "liveness":
            raise UsageError("liveness mode asks nobody: a service is only for mode='verify'")
        nets = nets or LoadedNets(self.settings)
        self._turn = nets.turn
        self._vision = Vision(
            nets.store,
            detect_every=self.settings.detect_every,
            detector=nets.detector,
            mesh_source=nets.mesh,
        )
        self._judge = Judge(
            nets.store, JudgeSettings.of(self.settings), embedder=nets.embedder, scorer=nets.scorer
        )
        self._running = threading.Lock()
        self._service = service
        if self.settings.mode == "verify" and service is None:
            from pipeline.service import connect  # the HTTP client is built in this mode only

            self._service = connect(self.settings)

    def check(
        self,
        source: Source,
        *,
        person: Person | None = None,
        consent: str | None = None,
        display: Display | None = None,
    ) -> Result:
        """One check from the first frame to the verdict.

        Args:
            source: an open source; it is closed at the end.
            person: whose face it should be; verify mode only.
            consent: reference under which the person agreed to the upload; verify mode only.
            display: shows the colours of the flash, with ``flash=True`` only. Without one such a check ends
                undecided: what could not be proved is not passed.

        Returns:
            The result. Errors of camera, models and service are results too (codes 1001, 1003, 2002).

        Raises:
            UsageError: the call contradicts the mode; no frame was read.
            ConsentError: verify mode without a consent reference; no frame was read.
            UploadInterrupted: a `KeyboardInterrupt` while the service was asked, with the result.
        """
        result: Result | None = None
        for event in self.events(source, person=person, consent=consent, display=display):
            if isinstance(event, Result):
                result = event
        if result is None:  # events() always ends with one; without it nothing passes
            return self._failed(Reason.SYSTEM_ERROR, ClientCode.SYSTEM_ERROR)
        return result

    def events(
        self,
        source: Source,
        *,
        person: Person | None = None,
        consent: str | None = None,
        display: Display | None = None,
    ) -> Iterator[Guidance | Result]:
        """The same check as a stream for a screen: `Guidance` for each frame, then one `Result`.

        Leaving the loop early ends the check and closes the source; nothing is sent then.

        Args and raises: as `check`.
        """
        self.validate(person=person, consent=consent, display=display)
        return self._run(source, person, consent, display)

    def validate(
        self, *, person: Person | None = None, consent: str | None = None, display: Display | None = None
    ) -> None:
        """Refuse a call that contradicts the mode, before a camera is opened.

        Raises:
            UsageError: a person or consent in liveness mode, no person in verify mode, or a display without
                ``flash=True``.
            ConsentError: no consent reference in verify mode.
        """
        if display is not None and not self.settings.flash:
            raise UsageError("a display is for a gate with flash=True")
        if self.settings.mode == "liveness" and (person is not None or consent is not None):
            raise UsageError(
                "liveness mode verifies nobody: leave person and consent out, or use mode='verify'"
            )
        if self.settings.mode == "verify":
            if person is None:
                raise UsageError("verify mode needs a person: name and certificate number")
            if consent is None or not consent.strip():
                raise ConsentError("no consent reference was given, so nothing may be uploaded")

    def close(self) -> None:
        """Give connections back. Idempotent."""
        if self._service is not None:
            self._service.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(
        self, source: Source, person: Person | None, consent: str | None, display: Display | None
    ) -> Iterator[Guidance | Result]:
        if not self._running.acquire(blocking=False):
            raise UsageError("this gate is running a check already; use one gate for each camera")
        try:
            with closing(source):
                yield from self._guarded(source, person, consent, display)
        finally:
            self._running.release()

    def _guarded(
        self, source: Source, person: Person | None, consent: str | None, display: Display | None
    ) -> Iterator[Guidance | Result]:
        """Every error becomes a result that does not pass."""
        try:
            yield from self._steps(source, person, consent, display)
        except LivegateError as error:
            log.warning("check ended by %s", error.code)
            yield self._failed(_reason_of(error), error.client_code, error)
        except Exception as error:  # a fault of ours must deny, not crash the kiosk
            _log_fault(error)
            yield self._failed(Reason.SYSTEM_ERROR, ClientCode.SYSTEM_ERROR)

    def _steps(
        self, source: Source, person: Person | None, consent: str | None, display: Display | None
    ) -> Iterator[Guidance | Result]:
        settings = self.settings
        seen = judge_source(source.info, settings.trusted_sources, settings.pinned_camera)
        wanted = settings.mode == "verify" and not settings.allow_test_source
        if not seen.trusted and (wanted or settings.pinned_camera is not None):
            log.warning("source refused: %s", seen.reason)
            yield self._failed(Reason.INJECTED_SOURCE, ClientCode.REJECTED, hint=seen.reason)
            return
        if self.settings.flash and display is None:
            yield self._failed(Reason.NO_FLASH_PROOF, ClientCode.INTERRUPTED)
            return
        test_source = not seen.trusted and self.settings.mode == "verify"

        self._vision.reset()
        flash = [] if display is None else [_flash(display)]
        session = self._judge.begin(uuid.uuid4().hex, live=source.info.live, extra=flash)
        verdict: Verdict | None = None
        try:
            for frame in source:
                with self._turn:
                    step = session.take(frame, self._vision.see)
                verdict = step.verdict
                if verdict is not None:
                    break
                yield Guidance(step.guidance, step.progress, frame.t, _box(session.view))
        finally:
            for run in flash:
                run.close()
        verdict = verdict or session.finish()
        yield self._conclude(verdict, person, consent, test_source=test_source)

    def _conclude(
        self, verdict: Verdict, person: Person | None, consent: str | None, *, test_source: bool
    ) -> Result:
        live_pass = verdict.live_pass
        passed = verdict.state == "live" and live_pass is not None
        liveness = LivenessResult(
            passed, verdict.score, verdict.frames, verdict.elapsed_ms, dict(verdict.cues)
        )
        if not passed or live_pass is None:
            code = ClientCode.REJECTED if verdict.state == "spoof" else ClientCode.INTERRUPTED
            reason = verdict.reason or (Reason.SPOOF if verdict.state == "spoof" else Reason.UNDECIDED)
            return Result(code, self.settings.mode, reason, liveness, test_source=test_source)
        if self.settings.mode == "liveness":
            return Result(ClientCode.PASSED, "liveness", None, liveness, frame_sha256=live_pass.sha256)
        if person is None or consent is None or self._service is None:
            raise UsageError("verify mode needs a person, a consent reference and a service")
        return self._verify(self._service, live_pass, liveness, person, consent, test_source=test_source)

    def _verify(
        self,
        service: Service,
        live_pass: LivePass,
        liveness: LivenessResult,
        person: Person,
        consent: str,
        *,
        test_source: bool,
    ) -> Result:
        from pipeline.match.client import reason_for
        from pipeline.match.encode import encode_upload
        from pipeline.match.outcome import unknown

        upload = encode_upload(live_pass)
        error: MatchError | None = None
        reason: Reason | None = None
        code = ClientCode.PASSED
        interrupted = False
        try:
            answer = service.match(person, upload, consent)
            outcome = MatchOutcome(answer.code, answer.score, answer.request_id)
            if not answer.score >= self.settings.match_threshold:
                code, reason = ClientCode.REJECTED, Reason.NOT_SAME_PERSON
        except MatchError as caught:
            error = caught
        except LivegateError:  # refused before anything was sent
            raise
        except KeyboardInterrupt:  # the answer is lost as one that never came is
            error, interrupted = unknown(), True
        except Exception as fault:  # so it is where the service failed in a way of its own
            _log_fault(fault)
            error = unknown()
        if error is not None:
            reason = reason_for(error)
            code = ClientCode.REJECTED if reason in PERSON_REFUSED else error.client_code
            outcome = MatchOutcome(
                getattr(error, "service_code", None) or getattr(error, "gateway_code", None),
                None,
                getattr(error, "request_id", None),
            )
        result = Result(
            code,
            "verify",
            reason,
            liveness,
            outcome,
            frame_sha256=live_pass.sha256,
            uploaded_sha256=upload.pixel_sha256,
            test_source=test_source,
            error=error.code if error else None,
            hint=error.hint if error else None,
        )
        if interrupted:
            raise UploadInterrupted(result)
        return result

    def _failed(
        self, reason: Reason, code: ClientCode, error: LivegateError | None = None, *, hint: str | None = None
    ) -> Result:
        return Result(
            code,
            self.settings.mode,
            reason,
            error=error.code if error else None,
            hint=error.hint if error else hint,
        )


def _box(view: View) -> tuple[float, float, float, float] | None:
    if view.face is None:
        return None
    x1, y1, x2, y2 = map(float, view.face.box)
    return x1, y1, x2, y2


def _log_fault(error: Exception) -> None:
    """Tell its kind and place; its message could hold data of a person."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    log.error("internal fault: %s at %s:%s", type(error).__name__, place.filename, place.lineno)


def _flash(display: Display) -> FlashSession:
    from pipeline.liveness.flash import FlashSession  # only checks with a screen need it

    return FlashSession(display)


def _reason_of(error: LivegateError) -> Reason:
    if isinstance(error, SourceFrozenError):
        return Reason.FROZEN_SOURCE
    return Reason.SOURCE_LOST if isinstance(error, SourceLostError) else Reason.SYSTEM_ERROR
