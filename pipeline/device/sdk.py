"""`DeviceSdk`: the desktop counterpart of the service's iOS and Android SDKs.

The app installs it once, gives `get_meta_info` to its own server, gets a query id back, and calls `verify`.
What `verify` tells is for the screen; the result that counts is the one that the app's server asks for.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, cast

from pipeline.camera import Source, SourceOptions, open_source
from pipeline.camera.trust import judge_source
from pipeline.device.channel import AttestedService, Errand, SessionClient, camera_of
from pipeline.device.installation import Installation, open_installation
from pipeline.device.metainfo import App, metainfo
from pipeline.device.traits import ReadTraits, read_traits
from pipeline.errors import ClientCode, LivegateError, UsageError
from pipeline.gate import Gate
from pipeline.match.person import Person
from pipeline.reasons import Reason
from pipeline.result import Guidance, Result
from pipeline.settings import Settings

log = logging.getLogger("livegate.device")

_QUERY_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)

SourceSpec = int | str | Path | Source
"""A source as `open_source` names one, or an open one."""


@dataclass(frozen=True, slots=True)
class Response:
    """What a verification ended with, for the screen.

    Attributes:
        code: 1000 passed, 1001 system error, 1003 interrupted or undecided, 2002 network error, 2006
            rejected. The service's own answer to ``query`` is the one that counts.
        reason: why it did not pass; None exactly for 1000.
        query_id: the session.
    """

    code: ClientCode
    reason: Reason | None
    query_id: str


Events = Generator[Guidance | Result, None, None]
Callback = Callable[[Response], None]
OnGuidance = Callable[[Guidance], None]


class Verification:
    """A verification that runs. Made by `DeviceSdk.verify`."""

    def __init__(self, query_id: str) -> None:
        self.query_id = query_id
        self.response: Response | None = None
        self._cancelled = threading.Event()
        self._sent = threading.Event()
        self._done = threading.Event()
        self._source: Source | None = None
        self._lock = threading.Lock()

    def cancel(self) -> None:
        """End it with 1003, from any thread. Too late once the upload began: its outcome is told then."""
        self._cancelled.set()
        with self._lock:
            if self._source is not None and not self._sent.is_set():
                self._source.close()

    def wait(self, timeout_s: float | None = None) -> Response | None:
        """Wait until the callback has returned.

        Returns:
            What it was given, or None where the time was over before.
        """
        return self.response if self._done.wait(timeout_s) else None

    def _take(self, source: Source) -> bool:
        """Let a cancellation reach the source. False where it came already."""
        with self._lock:
            self._source = source
            return not self._cancelled.is_set()

    def __repr__(self) -> str:
        return f"Verification({self.response})"


class DeviceSdk:
    """Verifies the person before this machine's camera, in the name of this installation.

    Args:
        gate: a gate in verify mode whose service is ``service``; closed with the SDK.
        service: sends uploads with their attestation.
        installation: this machine's identity.
        app: the program.

    Example:
        ```python
        with install(settings, App("till", "1.0")) as sdk:
            query_id = my_server.init(sdk.get_meta_info())
            sdk.verify(query_id, show, person=Person(name, number), consent="2026-0001")
        ```
    """

    def __init__(self, gate: Gate, service: AttestedService, installation: Installation, app: App) -> None:
        self._gate = gate
        self._service = service
        self._installation = installation
        self._app = app
        self._lock = threading.Lock()
        self._running: Verification | None = None
        self._closed = False

    @property
    def device_id(self) -> str:
        """Id of this installation, 32 hex digits."""
        return self._installation.device_id

    def get_meta_info(self) -> str:
        """``metainfo`` for ``init``, a JSON object as text. It names the installation and its public key."""
        return metainfo(self._app, self._installation.public)

    def verify(
        self,
        query_id: str,
        callback: Callback,
        *,
        person: Person,
        consent: str,
        source: SourceSpec = 0,
        on_guidance: OnGuidance | None = None,
    ) -> Verification:
        """Begin a verification and return at once.

        Args:
            query_id: ``queryId`` of ``init``.
            callback: called once, from another thread, whatever happens. A new verification may begin in it.
            person: whose face it should be, as ``init`` was told.
            consent: reference under which the person agreed to the upload.
            source: camera number, ``/dev/videoN`` and so on, or an open source; closed at the end.
            on_guidance: called for each frame with what the person should do, from another thread.

        Returns:
            A handle to cancel it or to wait for it.

        Raises:
            UsageError: another verification runs, the SDK was closed, or an argument can't be used. Nothing
                was begun, and the callback is not called.
            ConsentError: no consent reference.
        """
        if not _QUERY_ID.fullmatch(query_id):
            raise UsageError("a queryId is 32 hex digits, as init gave it")
        self._gate.validate(person=person, consent=consent)
        verification = Verification(query_id)
        with self._lock:
            if self._closed:
                raise UsageError("the SDK was closed")
            if self._running is not None:
                raise UsageError("a verification runs already")
            self._running = verification
        threading.Thread(
            target=self._work,
            args=(verification, callback, person, consent, source, on_guidance),
            name="livegate-verify",
            daemon=True,
        ).start()
        return verification

    def close(self) -> None:
        """Cancel what runs, wait for it and give everything back. Idempotent."""
        with self._lock:
            self._closed = True
            running = self._running
        if running is not None:
            running.cancel()
            running.wait()
        self._gate.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _work(
        self,
        verification: Verification,
        callback: Callback,
        person: Person,
        consent: str,
        source: SourceSpec,
        on_guidance: OnGuidance | None,
    ) -> None:
        code: ClientCode = ClientCode.SYSTEM_ERROR
        reason: Reason | None = Reason.SYSTEM_ERROR
        try:
            code, reason = self._check(verification, person, consent, source, on_guidance)
        except LivegateError as error:
            log.warning("verification ended by %s", error.code)
            code, reason = error.client_code, Reason.SYSTEM_ERROR
        except Exception as error:  # its text could hold data of the person
            log.error("verification ended by a fault: %s", type(error).__name__)
        if verification._cancelled.is_set() and not verification._sent.is_set():
            code, reason = ClientCode.INTERRUPTED, Reason.INTERRUPTED
        verification.response = Response(code, reason, verification.query_id)
        with self._lock:
            self._running = None
        try:
            callback(verification.response)
        except Exception as error:
            log.error("the app's callback failed: %s", type(error).__name__)
        finally:
            verification._done.set()

    def _check(
        self,
        verification: Verification,
        person: Person,
        consent: str,
        spec: SourceSpec,
        on_guidance: OnGuidance | None,
    ) -> tuple[ClientCode, Reason | None]:
        settings = self._gate.settings
        source = open_source(spec, options=_options(settings)) if isinstance(spec, int | str | Path) else spec
        with closing(source):
            if not verification._take(source):
                return ClientCode.INTERRUPTED, Reason.INTERRUPTED
            seen = judge_source(source.info, settings.trusted_sources, settings.pinned_camera)
            camera = camera_of(source.info, self._installation, trusted=seen.trusted)
            self._service.begin(
                Errand(verification.query_id, camera, verification._cancelled, verification._sent)
            )
            running = self._gate.events(source, person=person, consent=consent)
            with closing(cast("Events", running)) as events:  # the gate is free again once it is closed
                for event in events:
                    if isinstance(event, Result):
                        return event.code, event.reason
                    if verification._cancelled.is_set():
                        break
                    _tell(on_guidance, event)
        return ClientCode.INTERRUPTED, Reason.INTERRUPTED


def install(
    settings: Settings,
    app: App,
    *,
    path: Path | None = None,
    traits: ReadTraits = read_traits,
    client: SessionClient | None = None,
) -> DeviceSdk:
    """Open this machine's identity, load the models and get ready to verify.

    Args:
        settings: of the gate; ``mode`` is taken as ``verify``.
        app: the program.
        path: file of the identity; the user's data folder if left out.
        traits: reads the machine.
        client: sends uploads in place of the settings' endpoint; closed with the SDK.

    Raises:
        SettingsError: a setting can't be used, or the identity's file.
        ModelError: a model file is missing or wrong.
    """
    from pipeline.service import connect

    if settings.mode != "verify":
        settings = settings.model_copy(update={"mode": "verify"})
    installation = open_installation(path, traits=traits)
    service = AttestedService(client or connect(settings), installation, app)
    try:
        gate = Gate(settings, service=service)
    except BaseException:
        service.close()
        raise
    return DeviceSdk(gate, service, installation, app)


def _tell(on_guidance: OnGuidance | None, event: Guidance) -> None:
    if on_guidance is None:
        return
    try:
        on_guidance(event)
    except Exception as error:
        log.error("the app's guidance failed: %s", type(error).__name__)


def _options(settings: Settings) -> SourceOptions:
    return SourceOptions(
        width=settings.camera_width,
        height=settings.camera_height,
        fps=settings.camera_fps,
        read_deadline_s=settings.read_deadline_s,
        reconnect_deadline_s=settings.reconnect_deadline_s,
    )
