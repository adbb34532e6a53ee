"""Whatever comes in, an answer of the protocol goes out, and no detail of a fault."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.gateway import Gateway, GatewayOptions, RawAnswer, RawRequest, open_authority
from pipeline.gateway.admission import REQUIRED
from pipeline.gateway.nonces import SqlNonces
from pipeline.gateway.risk import NO_LOCKS
from pipeline.protocol.answers import Answer, Refusal, parse_answer
from pipeline.protocol.signing import AccessKey

TEXT = st.text(max_size=30)
ANY_TEXT = st.text(st.characters(), max_size=30)
FIELDS = ("method", "name", "certNumber", "imgbase64", "metainfo", "bizId", "bizid", "queryId", "returnImage")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
RELAXED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory, kit: Any) -> Iterator[Any]:
    """One gateway for all examples of this module, on SQLite."""
    url = f"sqlite:///{tmp_path_factory.mktemp('fuzz') / 'authority.db'}"
    yield from serve_fuzz(kit, url, GatewayOptions(risk=NO_LOCKS))


@pytest.fixture
def fuzzed_servers(storage: Any, database: str, kit: Any) -> Iterator[Any]:
    """The same on PostgreSQL and Redis."""
    options = GatewayOptions(risk=NO_LOCKS, redis_url=storage.redis_url(database))
    yield from serve_fuzz(kit, database, options)


def serve_fuzz(kit: Any, url: str, options: GatewayOptions) -> Iterator[Any]:
    gateway = Gateway(open_authority(url), kit.embedder, clock=lambda: kit.now, options=options)
    caller = kit.caller(gateway, AccessKey("testid", "testsecret"))
    gateway.access_keys.put(caller.key, now=kit.now)
    kit.enroll(caller, 1)
    yield caller
    gateway.close()


def check(answer: RawAnswer) -> Answer | Refusal:
    """It is one of the two forms, and its HTTP status is the one that belongs to it."""
    found = parse_answer(answer.body)
    if isinstance(found, Answer):
        assert answer.status == 200
        assert found.code in (200, 400, 404)
    else:
        assert 400 <= answer.status < 500
        assert found.code
    assert found.request_id
    return found


@RELAXED
@given(
    st.sampled_from(["GET", "POST", "PUT", "", "HEAD"]) | ANY_TEXT,
    ANY_TEXT | TEXT.map(lambda text: "/?" + text),
    st.lists(st.tuples(st.sampled_from(["content-type", "Accept", "x"]) | ANY_TEXT, ANY_TEXT), max_size=3),
    st.binary(max_size=200) | TEXT.map(str.encode),
)
def test_any_request(
    fuzzed: Any, method: str, target: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    check(fuzzed.gateway.handle(RawRequest(method, target, tuple(headers), body)))


@RELAXED
@given(st.dictionaries(st.sampled_from([*REQUIRED, "Format", "RegionId"]), TEXT, max_size=13))
def test_any_public_parameters(fuzzed: Any, public: dict[str, str]) -> None:
    check(fuzzed.gateway.handle(fuzzed.request(public | {"Format": "JSON"})))
    text = json.dumps({"method": "query"})
    check(fuzzed.gateway.handle(fuzzed.request(fuzzed.signed(fuzzed.params(text) | public))))


@RELAXED
@given(
    st.dictionaries(st.sampled_from(FIELDS) | TEXT, JSON, max_size=6),
    st.sampled_from(["match", "init", "query"]),
)
def test_any_service_parameters_of_a_signed_request(fuzzed: Any, fields: dict[str, Any], method: str) -> None:
    fields = {"method": method, **fields}
    found = check(fuzzed.raw(json.dumps(fields)))
    assert isinstance(found, Answer)
    assert found.code == 400


@RELAXED
@given(TEXT)
def test_any_text_as_service_parameters(fuzzed: Any, text: str) -> None:
    check(fuzzed.raw("x" + text))


@RELAXED
@given(st.integers(0, 5000), st.binary(max_size=4), st.integers(0, 5000))
def test_any_damage_to_a_picture(fuzzed: Any, kit: Any, at: int, patch: bytes, end: int) -> None:
    data = bytearray(kit.jpeg(kit.picture(1)))
    at %= len(data)
    data[at : at + len(patch)] = patch
    picture = base64.b64encode(data[: end or None]).decode()
    service = {"method": "match", "name": kit.name, "certNumber": kit.number, "imgbase64": picture or "="}
    found = check(fuzzed.raw(service))
    assert found.code in (200, 400)


@pytest.mark.storages("redis")
@settings(RELAXED, max_examples=20)
@given(
    st.dictionaries(st.sampled_from(REQUIRED), ANY_TEXT, max_size=3),
    st.dictionaries(st.sampled_from(FIELDS), JSON | ANY_TEXT, max_size=6),
    st.sampled_from(["match", "init", "query"]),
)
def test_any_request_on_servers(
    fuzzed_servers: Any, public: dict[str, str], fields: dict[str, Any], method: str
) -> None:
    """Text that PostgreSQL can't store, NUL for instance, gets no further than anywhere else."""
    caller = fuzzed_servers
    check(caller.gateway.handle(caller.request(public | {"Format": "JSON"})))
    text = json.dumps({**fields, "method": method})
    check(caller.gateway.handle(caller.request(caller.signed(caller.params(text) | public))))
    check(caller.raw(text))
    check(caller.raw({**fields, "method": method, "name": "\x00", "certNumber": "\x00"}))


def test_an_unforeseen_fault_is_internal_error_without_detail(
    caller: Any, monkeypatch: Any, caplog: Any
) -> None:
    def broken(*_: object, **__: object) -> bool:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(SqlNonces, "use", broken)
    answer = caller.raw({"method": "query"})
    assert answer.status == 500
    found = json.loads(answer.body)
    assert set(found) == {"RequestId", "HostId", "Code", "Message"}
    assert (found["Code"], found["Message"]) == ("InternalError", "The request processing has failed.")
    assert "secret detail" not in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_a_lost_database_lets_nobody_through(caller: Any, monkeypatch: Any) -> None:
    from pipeline.errors import StoreError

    def lost(*_: object, **__: object) -> bool:
        raise StoreError("the database can't be used")

    monkeypatch.setattr(SqlNonces, "use", lost)
    answer = caller.raw({"method": "query"})
    assert answer.status == 503
    assert json.loads(answer.body)["Code"] == "ServiceUnavailable"
