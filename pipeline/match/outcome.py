"""What each way of ending a try means: an answer, or an error and whether another try may follow.

The rules and their reasons are in docs/adr/0006.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.errors import AnswerError, MatchError, NetworkError, OutcomeUnknownError
from pipeline.match.exchange import Loss
from pipeline.match.refusal import gateway_error, service_error
from pipeline.protocol.answers import Answer, Refusal, parse_answer
from pipeline.protocol.codes import DETAILED_CODES, UnifiedCode


@dataclass(frozen=True, slots=True)
class Failure:
    """A try that failed.

    Attributes:
        error: to be raised where it was the last one.
        again: another try may follow.
    """

    error: MatchError
    again: bool


def of_loss(loss: Loss, *, idempotent: bool) -> Failure:
    """Meaning of a try without an answer.

    Args:
        loss: how it was lost.
        idempotent: a second request would change nothing.
    """
    if loss is Loss.NOT_SENT:
        return Failure(NetworkError("The endpoint could not be reached."), again=True)
    if loss is Loss.UNTRUSTED:
        error = NetworkError(
            "The endpoint's TLS certificate is not trusted.",
            hint="Check the endpoint's name and the clock; set ca_file for a private authority.",
        )
        return Failure(error, again=False)
    if loss is Loss.CUT:
        return Failure(NetworkError("The request could not be sent in full."), again=idempotent)
    if loss is Loss.UNFIT:
        return Failure(AnswerError("The answer is too large, compressed, or not HTTP."), again=False)
    if idempotent:
        return Failure(NetworkError("No whole answer came in time."), again=True)
    return Failure(unknown(), again=False)


def of_reply(status: int, body: bytes, *, idempotent: bool) -> Answer | Failure:
    """Meaning of an HTTP answer.

    Args:
        status: HTTP status.
        body: whole body.
        idempotent: a second request would change nothing.

    Returns:
        An answer of ``Code`` 200 that no detailed code contradicts, or the failure.
    """
    if 300 <= status < 400:
        return Failure(AnswerError(f"The endpoint answered HTTP {status}, a redirect."), again=False)
    try:
        answer: Answer | Refusal | None = parse_answer(body)
    except AnswerError:
        answer = None
    if status >= 500:
        if status == 504 and not idempotent:  # a proxy gave up waiting; the service may have acted
            return Failure(unknown(), again=False)
        word = gateway_error(answer, status).gateway_code if isinstance(answer, Refusal) else "no word"
        return Failure(NetworkError(f"The endpoint answered HTTP {status} ({word})."), again=True)
    if answer is None:
        return Failure(
            AnswerError(f"HTTP {status} with a body in none of the protocol's forms."), again=False
        )
    if isinstance(answer, Refusal):
        return Failure(gateway_error(answer, status), again=False)
    code = answer.code
    if code == UnifiedCode.OK and answer.sub_code is not None:
        code = DETAILED_CODES[answer.sub_code].unified
    if code != UnifiedCode.OK:
        return Failure(service_error(replace(answer, code=code)), again=code == UnifiedCode.SERVER_ERROR)
    if not 200 <= status < 300:
        return Failure(AnswerError(f"HTTP {status} with a Code of success."), again=False)
    return answer


def unknown() -> OutcomeUnknownError:
    """Error for a request that may have been acted on."""
    return OutcomeUnknownError("The request was sent and no whole answer came; it is not sent again.")
