"""The face_verify service behind the gateway: ``match``, ``init`` and ``query`` over the authority."""

from __future__ import annotations

import contextlib
import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from pipeline.errors import ServiceError
from pipeline.gateway.attesting import Attesting
from pipeline.gateway.audit import Trace
from pipeline.gateway.authority import Authority, Identity
from pipeline.gateway.devices import DeviceRules, device_of
from pipeline.gateway.faces import Embedder
from pipeline.gateway.fields import metainfo_of, read_fields, text_of, wrong
from pipeline.gateway.keeping import Arrival, EvidenceSink, plan_keeping
from pipeline.gateway.operation.logs import fault
from pipeline.gateway.outcome import BAD_QUERY, LOCKED, Outcome, bad, stage, told
from pipeline.gateway.picture import PictureLimits, PictureProblem, check_header, decode_picture, from_base64
from pipeline.gateway.returning import ReturnImages
from pipeline.gateway.risk import NO_LOCKS, Attempt, Risk
from pipeline.gateway.scoring import score_of
from pipeline.gateway.sessions import Sessions, SessionState
from pipeline.gateway.sql_counters import SqlCounters
from pipeline.gateway.terms import METHODS, KeyRecord
from pipeline.protocol.cert_number import CertCheck, cert_number_problem
from pipeline.protocol.codes import DETAILED_CODES, OK_MESSAGE, UnifiedCode

log = logging.getLogger("livegate.gateway")

NAME_LENGTH: Final = 64
CERT_NUMBER_LENGTH: Final = 32

_QUERY_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_BIZ_ID_LENGTH: Final = 64

# Which detailed code a cause gets; `pipeline.gateway.causes` tells the cause of every one. ``match`` has no
# table of its own: it shares the one of ``init``, which judges the same name and number.
_UNKNOWN_IDENTITY: Final = DETAILED_CODES["Z8105"]
_NO_REFERENCE: Final = DETAILED_CODES["Z1102"]
_FAULT: Final = {"init": DETAILED_CODES["Z8199"], "query": DETAILED_CODES["Z8399"]}
_CLOSED: Final = {"init": DETAILED_CODES["Z8102"], "query": DETAILED_CODES["Z8302"]}
_SUSPENDED: Final = DETAILED_CODES["Z1112"]
_STARTED: Final = DETAILED_CODES["Z8100"]
_UNFINISHED: Final = DETAILED_CODES["Z5137"]
_PASSED: Final = "Z8300"
_NOT_PASSED: Final = "Z1146"

PASS_SCORE: Final = 95.0
"""Score from which faces count as one person's: the product's threshold."""


class FaceVerify:
    """The three methods of the service.

    Args:
        authority: enrolled people.
        sessions: sessions of ``init``.
        embedder: gives the embedder; called when the first picture comes.
        pictures: what is taken as a picture.
        cert_check: what a number that fails GB 11643 leads to.
        evidence: where live pictures go that came with a consent reference; None keeps none.
        risk: counts failures; nobody is locked where it is left out.
        devices: which devices may begin a verification; all where left out.
        pass_score: score from which a session passes; a lower one is a failure to ``risk``.
        suspended: True while nobody can be verified; only ``query`` is answered then.
        attesting: checks what devices attest; nothing is required where it is left out.
        images: pictures that ``query`` gives back; none where it is left out.
    """

    def __init__(
        self,
        authority: Authority,
        sessions: Sessions,
        embedder: Callable[[], Embedder],
        *,
        pictures: PictureLimits,
        cert_check: CertCheck,
        evidence: EvidenceSink | None = None,
        risk: Risk | None = None,
        devices: DeviceRules | None = None,
        pass_score: float = PASS_SCORE,
        suspended: bool = False,
        attesting: Attesting | None = None,
        images: ReturnImages | None = None,
    ) -> None:
        self._authority = authority
        self._sessions = sessions
        self._embedder = embedder
        self._pictures = pictures
        self._cert_check = cert_check
        self._evidence = evidence
        self._risk = risk or Risk(SqlCounters(authority.store), authority.vault, NO_LOCKS)
        self._devices = devices or DeviceRules()
        self._pass_score = pass_score
        self._suspended = suspended
        self._attesting = attesting or Attesting(authority.vault)
        self._images = images or ReturnImages(authority.store, authority.vault, 0, pictures)

    def execute(
        self,
        access_key_id: str,
        service_parameters: str,
        *,
        now: float,
        arrival: Arrival | None = None,
        key: KeyRecord | None = None,
        trace: Trace | None = None,
    ) -> Outcome:
        """Answer one request of an admitted caller.

        Args:
            access_key_id: who asks: the key, or the first one of its line of rotations.
            service_parameters: ``ServiceParameters`` as received.
            now: seconds since 1970.
            arrival: the request around the parameters; without it no evidence is kept.
            key: terms of the key; without them it may do everything.
            trace: told the method and the person's digest.

        Returns:
            The outcome; a fault of ours is one too (unified 500), told in the log by kind and place only.
        """
        method: str | None = None
        trace = trace or Trace()
        try:
            fields = read_fields(service_parameters)
            asked = fields.get("method")
            method = asked if isinstance(asked, str) and asked in METHODS else None
            trace.method = method or ""
            if key is not None and not (key.is_open(now) and (method is None or key.may(method))):
                return told(_CLOSED.get(method or "", _CLOSED["init"]), method)
            self._images.purge(now=now)
            if method == "query":
                return self._query(access_key_id, fields, now)
            if self._suspended and method is not None:
                return told(_SUSPENDED, method)
            if method == "match":
                return self._match(access_key_id, fields, arrival, now, trace)
            if method == "init":
                return self._init(access_key_id, fields, now, trace)
            return bad(UnifiedCode.BAD_PARAMETERS.message, None)
        except ServiceError as error:
            detail = DETAILED_CODES.get(error.sub_code or "")
            if detail is not None and detail.unified is UnifiedCode.SERVER_ERROR:
                return told(detail, method)
            return bad(error.message, method, detail)
        except Exception as error:
            log.error("service fault in %s: %s", method, fault(error))
            return told(_FAULT.get(method or "", _FAULT["init"]), method)

    def _match(
        self,
        owner: str,
        fields: Mapping[str, Any],
        arrival: Arrival | None,
        now: float,
        trace: Trace,
    ) -> Outcome:
        keep = plan_keeping(self._evidence, arrival, fields, now=now)
        give_back = self._images.wants(arrival)
        identity = self._identity(fields, trace)
        file = from_base64(text_of(fields, "imgbase64", None), self._pictures)
        problem = file if isinstance(file, PictureProblem) else check_header(file, self._pictures)
        if isinstance(file, PictureProblem) or problem is not None:
            raise wrong("imgbase64不合法")

        session = self._running_session(owner, fields, arrival, file, now)
        device = None if session is None else session.device_digest
        with self._attempt(fields, owner, device, now) as attempt:
            if attempt is None:
                return told(LOCKED, "match")
            embedder = self._load_embedder()
            person_id = self._find(identity, attempt)
            if person_id is None:
                return told(_UNKNOWN_IDENTITY, "match")
            if session is not None and session.person_id != person_id:
                raise wrong("queryId不合法")
            templates = self._authority.templates(person_id, embedder.model)
            if templates is None:
                return told(_NO_REFERENCE, "match")

            with trace.spending("decode"):
                image = decode_picture(file, self._pictures)
            if isinstance(image, PictureProblem):
                raise wrong("imgbase64不合法")
            with trace.spending("embed"):
                reading = embedder.read(image)
            if reading is None:
                raise wrong("imgbase64中未检测到人脸")
            cosine = float((templates @ reading.embedding).max())
            if not math.isfinite(cosine):
                raise ValueError("an embedding is not finite")
            score = score_of(cosine)
            passed = score >= self._pass_score
            if not passed:
                attempt.fail()
            if keep is not None:
                # A picture that can't be kept fails the request before success is answered.
                keep(file, owner if session is None else session.access_key_id)
            if session is not None:
                also = None
                if give_back and passed:
                    also = partial(self._images.add, query_id=session.query_id, file=file, now=now)
                result = _PASSED if passed else _NOT_PASSED
                self._sessions.finish(session.query_id, result, now=now, also=also)
        return Outcome(UnifiedCode.OK, OK_MESSAGE, {"score": score}, None, "match")

    def _init(self, owner: str, fields: Mapping[str, Any], now: float, trace: Trace) -> Outcome:
        identity = self._identity(fields, trace)
        meta = metainfo_of(fields)
        device = device_of(meta)
        problem = self._devices.problem(meta) or (device if isinstance(device, str) else None)
        if problem in ("Z5102", "Z5103"):
            raise wrong("metainfo不合法", problem)
        if problem is not None:
            return told(DETAILED_CODES[problem], "init")
        digest = self._risk.device_digest(*device) if isinstance(device, tuple) else None
        install = self._attesting.installation_of(meta)
        with self._attempt(fields, owner, digest, now) as attempt:
            if attempt is None:
                return told(LOCKED, "init")
            person_id = self._find(identity, attempt)
            if person_id is None:
                return told(_UNKNOWN_IDENTITY, "init")
            if self._authority.templates(person_id, self._load_embedder().model) is None:
                return told(_NO_REFERENCE, "init")
            with stage("Z5199"):
                opened = self._sessions.open(
                    owner, person_id, now=now, device_digest=digest, install_digest=install
                )
        data = {"queryId": opened.query_id, "bizId": opened.biz_id}
        return Outcome(UnifiedCode.OK, OK_MESSAGE, data, _STARTED, "init")

    def _query(self, access_key_id: str, fields: Mapping[str, Any], now: float) -> Outcome:
        if "bizid" in fields and fields.get("bizId", fields["bizid"]) != fields["bizid"]:
            raise wrong("bizId不合法")
        biz_id = text_of({"bizId": fields.get("bizId", fields.get("bizid"))}, "bizId", _BIZ_ID_LENGTH)
        query_id = text_of(fields, "queryId", None)
        if fields.get("returnImage") not in (None, "", "0", "1", 0, 1):
            raise wrong("returnImage不合法")
        found = None
        if _QUERY_ID.fullmatch(query_id):
            found = self._sessions.find(access_key_id, query_id, biz_id, now=now)
        if found is None:
            return told(BAD_QUERY, "query")
        if self._evidence is not None and found.result is not None:
            self._evidence.queried(access_key_id, query_id)
        outcome = told(DETAILED_CODES.get(found.result or "", _UNFINISHED), "query")
        if found.result == _PASSED and fields.get("returnImage") in ("1", 1):
            image = self._images.take(query_id, now=now)
            return outcome if image is None else replace(outcome, data={"image": image})
        return outcome

    @contextlib.contextmanager
    def _attempt(
        self, fields: Mapping[str, Any], owner: str, device: str | None, now: float
    ) -> Iterator[Attempt | None]:
        """One attempt under the limits of the risk. That it can't be counted is Z1111."""
        number = text_of(fields, "certNumber", CERT_NUMBER_LENGTH)
        with contextlib.ExitStack() as stack:
            with stage("Z1111"):
                attempt = stack.enter_context(
                    self._risk.attempt(cert_number=number, device=device, owner=owner, now=now)
                )
            yield attempt

    def _find(self, identity: Identity | None, attempt: Attempt) -> str | None:
        person_id = None if identity is None else self._authority.find(identity)
        if person_id is None:
            attempt.fail()
        return person_id

    def _load_embedder(self) -> Embedder:
        with stage("Z1199"):
            return self._embedder()

    def _running_session(
        self, owner: str, fields: Mapping[str, Any], arrival: Arrival | None, file: bytes, now: float
    ) -> SessionState | None:
        """The session that a ``match`` names by ``queryId``, and that it will finish.

        It is one of this key; or of any key, where the installation attests that it belongs to the session.
        None where it names none, or one that is unknown or finished: a result is never changed.
        """
        attested = self._attesting.read(arrival)
        query_id: str | None = None
        found: SessionState | None = None
        if fields.get("queryId") not in (None, ""):
            query_id = text_of(fields, "queryId", None)
            if not _QUERY_ID.fullmatch(query_id):
                raise wrong("queryId不合法")
            asked_by = owner if attested is None else None
            found = self._sessions.find(asked_by, query_id, None, now=now)
        running = None if found is None or found.result is not None else found
        self._attesting.check(attested, running, query_id, file, now=now)
        return running

    def _identity(self, fields: Mapping[str, Any], trace: Trace) -> Identity | None:
        """The claimed identity; None where the strict check says that no such number can exist."""
        name = text_of(fields, "name", NAME_LENGTH)
        number = text_of(fields, "certNumber", CERT_NUMBER_LENGTH)
        trace.person = self._risk.person_digest(number)
        if self._cert_check is not CertCheck.OFF:
            problem = cert_number_problem(number)
            if problem is not None:
                log.warning("certNumber fails GB 11643: %s", problem)
                if self._cert_check is CertCheck.STRICT:
                    return None
        return Identity.of(name, number)
