"""The face_verify service behind the gateway: ``match``, ``init`` and ``query`` over the authority."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipeline.errors import LivegateError, ServiceError
from pipeline.gateway.authority import Authority, Identity
from pipeline.gateway.faces import Embedder
from pipeline.gateway.keeping import Arrival, EvidenceSink, plan_keeping
from pipeline.gateway.picture import PictureLimits, PictureProblem, check_header, decode_picture, from_base64
from pipeline.gateway.scoring import score_of
from pipeline.gateway.sessions import Sessions
from pipeline.protocol.cert_number import CertCheck, cert_number_problem
from pipeline.protocol.codes import DETAILED_CODES, OK_MESSAGE, DetailedCode, UnifiedCode

log = logging.getLogger("livegate.gateway")

NAME_LENGTH: Final = 64
CERT_NUMBER_LENGTH: Final = 32
METAINFO_LENGTH: Final = 64 * 1024

_METHODS: Final = ("init", "query", "match")
_QUERY_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_BIZ_ID_LENGTH: Final = 64

# Which detailed code a cause gets. ``match`` has no table of its own: it shares the one of ``init``, which
# judges the same name and number.
_BAD_INIT: Final = DETAILED_CODES["Z8101"]
_BAD_QUERY: Final = DETAILED_CODES["Z8301"]
_UNKNOWN_IDENTITY: Final = DETAILED_CODES["Z8105"]
_NO_REFERENCE: Final = DETAILED_CODES["Z1102"]
_FAULT: Final = {"init": DETAILED_CODES["Z8199"], "query": DETAILED_CODES["Z8399"]}
_STARTED: Final = DETAILED_CODES["Z8100"]
_UNFINISHED: Final = DETAILED_CODES["Z5137"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the service found. Its repr shows codes only.

    Attributes:
        code: unified code.
        message: sentence for ``Message``.
        data: ``Data``, empty where there is none.
        detail: detailed code of the cause, or None where the reference has none for it.
        method: ``init``, ``query`` or ``match``; None where it was none of these.
    """

    code: UnifiedCode
    message: str
    data: Mapping[str, Any]
    detail: DetailedCode | None = None
    method: str | None = None

    def __repr__(self) -> str:
        return f"Outcome({self.method}, {int(self.code)}, {self.detail and self.detail.sub_code})"


class FaceVerify:
    """The three methods of the service.

    Args:
        authority: enrolled people.
        sessions: sessions of ``init``.
        embedder: gives the embedder; called when the first picture comes.
        pictures: what is taken as a picture.
        cert_check: what a number that fails GB 11643 leads to.
        evidence: where live pictures go that came with a consent reference; None keeps none.
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
    ) -> None:
        self._authority = authority
        self._sessions = sessions
        self._embedder = embedder
        self._pictures = pictures
        self._cert_check = cert_check
        self._evidence = evidence

    def execute(
        self, access_key_id: str, service_parameters: str, *, now: float, arrival: Arrival | None = None
    ) -> Outcome:
        """Answer one request of an admitted caller.

        Args:
            access_key_id: who asks.
            service_parameters: ``ServiceParameters`` as received.
            now: seconds since 1970.
            arrival: the request around the parameters; without it no evidence is kept.

        Returns:
            The outcome; a fault of ours is one too (unified 500), told in the log by kind and place only.
        """
        method: str | None = None
        try:
            fields = read_fields(service_parameters)
            method = fields.get("method")
            if method == "match":
                keep = plan_keeping(self._evidence, arrival, access_key_id, fields, now=now)
                return self._match(fields, keep)
            if method == "init":
                return self._init(access_key_id, fields, now)
            if method == "query":
                return self._query(access_key_id, fields, now)
            method = None
            return _bad(UnifiedCode.BAD_PARAMETERS.message, None)
        except ServiceError as error:
            return _bad(error.message, method if method in _METHODS else None)
        except Exception as error:
            log.error("service fault in %s: %s", method, fault(error))
            code = UnifiedCode.SERVER_ERROR
            return Outcome(code, code.message, {}, _FAULT.get(method or "", _FAULT["init"]), method)

    def _match(self, fields: Mapping[str, Any], keep: Callable[[bytes], None] | None) -> Outcome:
        identity = self._identity(fields)
        file = from_base64(_text(fields, "imgbase64", None), self._pictures)
        problem = file if isinstance(file, PictureProblem) else check_header(file, self._pictures)
        if isinstance(file, PictureProblem) or problem is not None:
            raise _wrong("imgbase64不合法")

        embedder = self._embedder()
        person_id = None if identity is None else self._authority.find(identity)
        if person_id is None:
            return _told(_UNKNOWN_IDENTITY, "match")
        templates = self._authority.templates(person_id, embedder.model)
        if templates is None:
            return _told(_NO_REFERENCE, "match")

        image = decode_picture(file, self._pictures)
        if isinstance(image, PictureProblem):
            raise _wrong("imgbase64不合法")
        reading = embedder.read(image)
        if reading is None:
            raise _wrong("imgbase64中未检测到人脸")
        cosine = float((templates @ reading.embedding).max())
        if not math.isfinite(cosine):
            raise ValueError("an embedding is not finite")
        if keep is not None:
            keep(file)  # a picture that can't be kept fails the request before success is answered
        return Outcome(UnifiedCode.OK, OK_MESSAGE, {"score": score_of(cosine)}, None, "match")

    def _init(self, access_key_id: str, fields: Mapping[str, Any], now: float) -> Outcome:
        identity = self._identity(fields)
        _check_metainfo(fields)
        person_id = None if identity is None else self._authority.find(identity)
        if person_id is None:
            return _told(_UNKNOWN_IDENTITY, "init")
        if self._authority.templates(person_id, self._embedder().model) is None:
            return _told(_NO_REFERENCE, "init")
        opened = self._sessions.open(access_key_id, person_id, now=now)
        data = {"queryId": opened.query_id, "bizId": opened.biz_id}
        return Outcome(UnifiedCode.OK, OK_MESSAGE, data, _STARTED, "init")

    def _query(self, access_key_id: str, fields: Mapping[str, Any], now: float) -> Outcome:
        if "bizid" in fields and fields.get("bizId", fields["bizid"]) != fields["bizid"]:
            raise _wrong("bizId不合法")
        biz_id = _text({"bizId": fields.get("bizId", fields.get("bizid"))}, "bizId", _BIZ_ID_LENGTH)
        query_id = _text(fields, "queryId", None)
        if fields.get("returnImage") not in (None, "", "0", "1", 0, 1):
            raise _wrong("returnImage不合法")
        found = None
        if _QUERY_ID.fullmatch(query_id):
            found = self._sessions.find(access_key_id, query_id, biz_id, now=now)
        if found is None:
            return _told(_BAD_QUERY, "query")
        if self._evidence is not None and found.result is not None:
            self._evidence.queried(access_key_id, query_id)
        return _told(DETAILED_CODES.get(found.result or "", _UNFINISHED), "query")

    def _identity(self, fields: Mapping[str, Any]) -> Identity | None:
        """The claimed identity; None where the strict check says that no such number can exist."""
        name = _text(fields, "name", NAME_LENGTH)
        number = _text(fields, "certNumber", CERT_NUMBER_LENGTH)
        if self._cert_check is not CertCheck.OFF:
            problem = cert_number_problem(number)
            if problem is not None:
                log.warning("certNumber fails GB 11643: %s", problem)
                if self._cert_check is CertCheck.STRICT:
                    return None
        return Identity.of(name, number)


def read_fields(text: str) -> dict[str, Any]:
    """Read ``ServiceParameters``: one JSON object, no name twice, no NaN.

    Raises:
        ServiceError: it is anything else.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) != len(pairs):
            raise ValueError("a name occurs twice")
        return fields

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        fields = json.loads(text, object_pairs_hook=once, parse_constant=refuse)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise _wrong(UnifiedCode.BAD_PARAMETERS.message) from None
    return fields


def fault(error: BaseException) -> str:
    """Kind and place of an unforeseen error: its own text could hold data of a person."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" at {trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
    told = f" ({error.message})" if isinstance(error, LivegateError) else ""
    return f"{type(error).__name__}{place}{told}"


def _text(fields: Mapping[str, Any], name: str, longest: int | None) -> str:
    value = fields.get(name)
    if value is None or value == "":
        raise _wrong(f"{name}不能为空")
    if not isinstance(value, str) or (longest is not None and len(value) > longest):
        raise _wrong(f"{name}不合法")
    if not value.strip():
        raise _wrong(f"{name}不能为空")
    return value


def _check_metainfo(fields: Mapping[str, Any]) -> None:
    """A JSON object, as text or as it is. It is checked and not kept in this version."""
    value = fields.get("metainfo")
    if isinstance(value, Mapping) and value:
        return
    text = _text(fields, "metainfo", METAINFO_LENGTH)
    try:
        content = read_fields(text)
    except ServiceError:
        content = {}
    if not content:
        raise _wrong("metainfo不合法")


def _wrong(sentence: str) -> ServiceError:
    """A business parameter is missing or wrong. The sentence names it and never its value."""
    return ServiceError(sentence, service_code=UnifiedCode.BAD_PARAMETERS)


def _bad(sentence: str, method: str | None) -> Outcome:
    detail = _BAD_QUERY if method == "query" else _BAD_INIT
    return Outcome(UnifiedCode.BAD_PARAMETERS, sentence, {}, detail, method)


def _told(detail: DetailedCode, method: str) -> Outcome:
    message = OK_MESSAGE if detail.unified is UnifiedCode.OK else detail.message
    return Outcome(detail.unified, message, {}, detail, method)
