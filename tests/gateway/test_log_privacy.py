"""Whatever callers send, no line of the log and no number holds any of it: fuzzed, over the whole surface."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.gateway import Gateway, GatewayOptions, RawRequest, open_authority
from pipeline.gateway.admission import REQUIRED
from pipeline.gateway.operation.logs import FIELDS, set_up_logs
from pipeline.gateway.operation.metrics import Metrics
from pipeline.gateway.risk import NO_LOCKS
from pipeline.protocol.answers import parse_answer
from pipeline.protocol.signing import AccessKey, sign, string_to_sign

MARK = "geheim欧阳"
"""In every value that a caller sends."""
SECRETS = (MARK, quote(MARK), quote(quote(MARK)), "欧阳", "geheim", "11010519491231002X", "0519491231")
FIELD_NAMES = ("method", "name", "certNumber", "imgbase64", "metainfo", "bizId", "queryId", "returnImage")
MARKED = st.text(max_size=8).map(lambda text: text + MARK)
VALUES = MARKED | st.lists(MARKED, max_size=2) | st.dictionaries(MARKED, MARKED, max_size=2)
RELAXED = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, kit: Any) -> Iterator[Any]:
    """A caller, the log of its gateway as it goes to standard error, and its numbers."""
    url = f"sqlite:///{tmp_path_factory.mktemp('privacy') / 'authority.db'}"
    gateway = Gateway(
        open_authority(url), kit.embedder, clock=lambda: kit.now, options=GatewayOptions(risk=NO_LOCKS)
    )
    caller = kit.caller(gateway, AccessKey("geheimkeyid", "geheimkeysecret"))
    gateway.access_keys.put(caller.key, now=kit.now)
    kit.enroll(caller, 1)
    metrics = Metrics()
    gateway.add_watch(metrics.seen)
    root, own = logging.getLogger(), logging.getLogger("livegate")
    before = root.handlers[:], root.level, own.level
    stream = io.StringIO()
    set_up_logs("json", verbose=True, stream=stream)
    logging.getLogger().setLevel(logging.DEBUG)
    yield caller, stream, metrics
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    own.setLevel(before[2])
    gateway.close()


def check(watched: Any, *further: str) -> None:
    _, stream, metrics = watched
    told = stream.getvalue()
    stream.seek(0)
    stream.truncate()
    assert told
    for line in told.splitlines():
        fields = json.loads(line)
        assert set(fields) <= {*FIELDS, "event", "level", "logger", "time", "request_id", "fault"}
    told += metrics.exposition().decode()
    told += told.encode("ascii", "backslashreplace").decode()
    assert [secret for secret in (*SECRETS, *further) if secret in told] == []
    assert "\\u6b27" not in told
    assert "Traceback" not in told


@RELAXED
@given(st.dictionaries(st.sampled_from(FIELD_NAMES) | MARKED, VALUES, max_size=6))
def test_service_parameters(watched: Any, fields: dict[str, Any]) -> None:
    caller = watched[0]
    for method in ("match", "init", "query", MARK):
        caller.call({**fields, "method": method})
    check(watched)


@RELAXED
@given(st.dictionaries(st.sampled_from([*REQUIRED, "Format"]), MARKED, min_size=1, max_size=4))
def test_public_parameters(watched: Any, public: dict[str, str]) -> None:
    caller = watched[0]
    params = caller.params({"method": "query", "bizId": MARK, "queryId": MARK}) | public
    caller.gateway.handle(caller.request(caller.signed(params)))
    caller.gateway.handle(caller.request(caller.signed(params, secret="wrong")))
    check(watched, sign("geheimkeysecret", string_to_sign("POST", params)))


@RELAXED
@given(MARKED, MARKED, st.lists(st.tuples(MARKED, MARKED), max_size=3), st.binary(max_size=50))
def test_requests_of_any_kind(
    watched: Any, method: str, target: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    gateway = watched[0].gateway
    gateway.handle(RawRequest(method, "/" + target, tuple(headers), body + MARK.encode()))
    gateway.handle(RawRequest("POST", "/?" + quote(target), (), body + MARK.encode()))
    check(watched)


def test_a_match_that_succeeds_and_its_replay(watched: Any, kit: Any) -> None:
    caller = watched[0]
    picture = kit.jpeg(kit.picture(1))
    text = base64.b64encode(picture).decode()
    service = {"method": "match", "name": kit.name, "certNumber": kit.number, "imgbase64": text}
    params = caller.signed(caller.params(service))
    request = caller.request(params)
    assert parse_answer(caller.gateway.handle(request).body).code == 200
    assert parse_answer(caller.gateway.handle(request).body).code == "SignatureNonceUsed"
    check(watched, text[100:140], params["Signature"], params["SignatureNonce"], kit.name)


@pytest.mark.parametrize("place", ["_embedder", "_authority", "_sessions", "_risk"])
def test_faults_whose_texts_hold_a_person(watched: Any, kit: Any, monkeypatch: Any, place: str) -> None:
    caller = watched[0]

    class Broken:
        def __getattr__(self, _name: str) -> Any:
            raise ValueError(f"{MARK} {kit.number}")

        def __call__(self) -> Any:
            raise ValueError(f"{MARK} {kit.number}")

    monkeypatch.setattr(caller.gateway._service, place, Broken())
    caller.match(kit.picture(1))
    caller.call({"method": "query", "bizId": MARK, "queryId": "0" * 32})
    check(watched)
