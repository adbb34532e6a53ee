"""Neither name, number, picture, key nor string to sign is in any record, repr or exception of the client."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import httpx
import pytest

from pipeline.errors import LivegateError
from pipeline.match.client import MatchClient, reason_for
from pipeline.match.encode import Upload
from pipeline.match.person import Person
from pipeline.match.rules import Retries
from pipeline.protocol.answers import Answer, Refusal, build_answer
from pipeline.protocol.codes import SIGNATURE_DOES_NOT_MATCH
from pipeline.protocol.signing import percent_encode, string_to_sign

from .conftest import CONSENT, NAME, NUMBER, OK_MATCH, SECRET, Build, LoopbackServer, answering, fields_of


def secrets_of(upload: Upload) -> list[str]:
    name = percent_encode(NAME)
    return [
        NAME,
        name,
        percent_encode(name),
        NUMBER,
        SECRET,
        upload.base64[200:240],
        percent_encode(upload.base64[200:240]),
        repr(upload.jpeg[:40])[2:-1],
        "%2F&AccessKeyId",
        "imgbase64",
        CONSENT,
        percent_encode(CONSENT),
    ]


def chain(error: BaseException) -> list[BaseException]:
    """The error and everything that hangs on it, suppressed or not."""
    found: list[BaseException] = []
    at: BaseException | None = error
    while at is not None:
        found.append(at)
        at = at.__cause__ or at.__context__
    return found


def echo(request: httpx.Request, shape: str) -> httpx.Response:
    """A server that repeats all that it was sent, in every place that it can."""
    fields = fields_of(request)
    fields.pop("Signature")
    told = string_to_sign("POST", fields) + fields["ServiceParameters"] + NAME + NUMBER + SECRET + CONSENT
    if shape == "signature":
        refused = Refusal(SIGNATURE_DOES_NOT_MATCH.code, SIGNATURE_DOES_NOT_MATCH.message + told, told, told)
        return httpx.Response(400, content=build_answer(refused, "JSON"))
    if shape == "signature xml":
        refused = Refusal(SIGNATURE_DOES_NOT_MATCH.code, SIGNATURE_DOES_NOT_MATCH.message + told, told, told)
        return httpx.Response(400, content=build_answer(refused, "XML"))
    if shape == "word":
        return httpx.Response(400, content=build_answer(Refusal(NAME, told, NUMBER, told), "JSON"))
    if shape == "busy":
        return httpx.Response(503, content=build_answer(Refusal(NUMBER + "x", told, NUMBER, told), "JSON"))
    if shape == "garbage":
        return httpx.Response(200, text=told)
    if shape == "redirect":
        return httpx.Response(302, headers={"X-Told": NUMBER}, text=told)
    data = {"score": 50.0, "queryId": told, "bizId": told, "image": told, "resultCodeSub": NUMBER}
    code = int(shape)
    return httpx.Response(200, content=build_answer(Answer(code, told, NUMBER, data), "JSON"))


SHAPES = ["signature", "signature xml", "word", "busy", "garbage", "redirect"]
SHAPES += ["200", "400", "402", "403", "404", "500", "777"]


def call(client: MatchClient, method: str, person: Person, upload: Upload) -> Any:
    if method == "match":
        return client.match(person, upload, CONSENT)
    if method == "init":
        return client.init(person, {"appName": NAME})
    return client.query("a" * 32, "b" * 32, return_image=True)


@pytest.mark.parametrize("method", ["match", "init", "query"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_server_that_echoes_everything_gets_nothing_into_logs_reprs_or_exceptions(
    caplog: pytest.LogCaptureFixture, person: Person, upload: Upload, shape: str, method: str
) -> None:
    transport = httpx.MockTransport(lambda request: echo(request, shape))
    seen = []
    with (
        caplog.at_level(logging.DEBUG),
        MatchClient(
            "https://saf.example.test", "testid", SECRET, transport=transport, sleep=lambda _: None
        ) as client,
    ):
        try:
            found: Any = call(client, method, person, upload)
        except LivegateError as error:
            found = error
            seen += traceback.format_exception(error)
        seen += [repr(client), str(client)]
    hanging = chain(found) if isinstance(found, BaseException) else [found]
    if isinstance(found, BaseException):
        assert len(hanging) == 1, "an exception hangs on ours"
        seen.append(reason_for(found).en)  # type: ignore[arg-type]
    seen += [f"{one!r} {one} {getattr(one, '__dict__', '')}" for one in hanging]
    seen += [f"{record.getMessage()} {record.args!r} {record.exc_info!r}" for record in caplog.records]
    assert any("livegate.match" in record.name for record in caplog.records)
    text = "\n".join(seen)
    for secret in secrets_of(upload):
        assert secret not in text


@pytest.mark.parametrize(
    "loss", [httpx.ConnectError, httpx.ReadTimeout, httpx.WriteError, httpx.DecodingError]
)
def test_no_exception_of_the_http_library_hangs_on_ours(
    scripted: Build, person: Person, upload: Upload, loss: Any
) -> None:
    client, _ = scripted(loss)
    with pytest.raises(LivegateError) as caught:
        client.match(person, upload, CONSENT)
    assert chain(caught.value) == [caught.value]


def test_real_sockets_at_debug_level_tell_nothing_either(
    caplog: pytest.LogCaptureFixture, person: Person, upload: Upload
) -> None:
    body = build_answer(Answer(200, "OK", None, OK_MATCH["Data"]), "JSON")  # type: ignore[arg-type]
    quick = Retries(first_pause=0.0)
    with (
        caplog.at_level(logging.DEBUG),
        LoopbackServer(answering(503, "busy"), answering(200, body)) as server,
        MatchClient(f"http://127.0.0.1:{server.port}", "testid", SECRET, retries=quick) as client,
    ):
        client.match(person, upload, CONSENT)
    names = {record.name.split(".")[0] for record in caplog.records}
    assert {"livegate", "httpx", "httpcore"} <= names
    text = "\n".join(f"{record.getMessage()} {record.args!r}" for record in caplog.records)
    for secret in secrets_of(upload):
        assert secret not in text
    assert len(server.bodies) == 2


def test_the_log_tells_method_host_code_and_request_id(
    caplog: pytest.LogCaptureFixture, scripted: Build, person: Person, upload: Upload
) -> None:
    client, _ = scripted({"Code": 402, "Message": "x", "RequestId": str(OK_MATCH["RequestId"])})
    with caplog.at_level(logging.INFO, logger="livegate.match"), pytest.raises(LivegateError):
        client.match(person, upload, CONSENT)
    assert "match at saf.example.test: 402" in caplog.text
    assert str(OK_MATCH["RequestId"]) in caplog.text
