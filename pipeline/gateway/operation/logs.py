"""Structured logs: one line for each request and for each event, JSON or for a terminal, to standard error.

The gateway logs through the standard library; this module gives the lines their form. What a line can hold is
a closed list: the event's own words, the fields of `FIELDS`, and of an exception its kind and place. Texts of
exceptions, requests and values that a caller chose are in none of them.
"""

from __future__ import annotations

import logging
import sys
from typing import Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from pipeline.errors import LivegateError
from pipeline.gateway.operation.watch import Seen

LogForm = Literal["json", "console"]

FIELDS: Final = (
    "method",
    "code",
    "sub_code",
    "status",
    "stage",
    "key",
    "duration_ms",
    "decode_ms",
    "embed_ms",
    "target_bytes",
    "body_bytes",
    "answer_bytes",
    "check",
    "worker",
)
"""Fields that a line may have beside ``event``, ``level``, ``logger``, ``time`` and ``request_id``."""

_KIND: Final = "kind"
_REQUEST: Final = "request"

log = logging.getLogger("livegate.gateway")


def log_request(seen: Seen) -> None:
    """Log one answered request: event ``request``, with the ``RequestId`` of its answer as ``request_id``."""
    fields: dict[str, object] = {
        _KIND: _REQUEST,
        "request_id": seen.request_id,
        "method": seen.method,
        "code": seen.code,
        "sub_code": seen.sub_code,
        "status": seen.status,
        "stage": seen.stage,
        "key": seen.key,
        "duration_ms": round(seen.seconds * 1000, 2),
        "target_bytes": seen.target_bytes,
        "body_bytes": seen.body_bytes,
        "answer_bytes": seen.answer_bytes,
    }
    fields |= {f"{part}_ms": round(seconds * 1000, 2) for part, seconds in seen.spent.items()}
    log.info(
        "%s: %s %s %s, %.0f ms",
        seen.request_id,
        seen.method or "-",
        seen.code,
        seen.sub_code or "-",
        seen.seconds * 1000,
        extra=fields,
    )


def set_up_logs(form: LogForm = "console", *, verbose: bool = False, stream: TextIO | None = None) -> None:
    """Give every log line of this process its form. Replaces what was set up before.

    Args:
        form: ``json``, one object a line; ``console``, for people.
        verbose: livegate's own lines of level DEBUG too.
        stream: where they go; standard error if left out.
    """
    target = stream or sys.stderr
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=target.isatty())
    )
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(allow=(*FIELDS, "request_id", _KIND)),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _without_texts,
        _named,
    ]
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("livegate").setLevel(logging.DEBUG if verbose else logging.INFO)


def _without_texts(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """An exception's own text could hold anything: its kind and its place stay."""
    info = event.pop("exc_info", None)
    event.pop("stack_info", None)
    if isinstance(info, tuple) and isinstance(info[1], BaseException):
        event["fault"] = fault(info[1])
    return event


def _named(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A request's line is told by its fields, not by a sentence."""
    if event.pop(_KIND, None) == _REQUEST:
        event["event"] = _REQUEST
    return event


def fault(error: BaseException) -> str:
    """Kind and place of an unforeseen error: its own text could hold data of a person.

    Errors of livegate's own tree never do, so their sentence is told too.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" at {trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
    told = f" ({error.message})" if isinstance(error, LivegateError) else ""
    return f"{type(error).__name__}{place}{told}"
