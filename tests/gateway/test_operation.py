"""What an operator sees: readiness by name, numbers without personal data, logs with request ids."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from pipeline.errors import ModelError, StoreError
from pipeline.gateway import RawRequest, ServeOptions, make_app, running
from pipeline.gateway.app import make_admin_app
from pipeline.gateway.operation.logs import set_up_logs
from pipeline.gateway.operation.metrics import Metrics
from pipeline.gateway.operation.ready import FRESH_S, Readiness
from pipeline.gateway.operation.watch import STAGES, Seen
from pipeline.gateway.risk import NO_LOCKS
from pipeline.gateway.terms import KeyTerms, Quota
from pipeline.protocol.signing import form_encode

pytestmark = pytest.mark.storages("sqlite")

QUERY = {"method": "query", "bizId": "ZSTP0", "queryId": "0" * 32}


def get(app: Any, path: str, method: str = "GET") -> httpx.Response:
    import asyncio

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            return await client.request(method, path)

    return asyncio.run(ask())


# readiness


def test_a_gateway_in_order_is_ready(caller: Any) -> None:
    report = Readiness(caller.gateway).report()
    assert report.ready
    assert set(report.checks) == {"database", "migrations", "key", "nets", "accepting"}


def lose_database(gateway: Any, monkeypatch: Any) -> None:
    def lost() -> None:
        raise StoreError("gone, and its secret URL")

    monkeypatch.setattr(gateway.authority.store, "ping", lost)


def lose_migration(gateway: Any, monkeypatch: Any) -> None:
    with gateway.authority.store.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'other'"))


def lose_key(gateway: Any, monkeypatch: Any) -> None:
    with gateway.authority.store.write() as session:
        session.execute(text("UPDATE meta SET value = 'another key'"))


def lose_nets(gateway: Any, monkeypatch: Any) -> None:
    def missing() -> Any:
        raise ModelError("a model file is missing")

    monkeypatch.setattr(gateway, "_embedder", missing)


@pytest.mark.parametrize(
    ("name", "lose"),
    [
        ("database", lose_database),
        ("migrations", lose_migration),
        ("key", lose_key),
        ("nets", lose_nets),
    ],
)
def test_what_is_lost_is_told_by_name_alone(
    caller: Any, monkeypatch: Any, caplog: Any, name: str, lose: Any
) -> None:
    app = make_app(caller.gateway)
    assert get(app, "/readyz").status_code == 200
    lose(caller.gateway, monkeypatch)
    app = make_app(caller.gateway)
    answer = get(app, "/readyz")
    assert answer.status_code == 503
    checks = answer.json()["checks"]
    assert [check for check, found in checks.items() if found != "ok"] == [name]
    assert set(checks.values()) == {"ok", "failed"}
    assert any(record.__dict__.get("check") == name for record in caplog.records)
    assert get(app, "/healthz").text == "ok\n"


@pytest.mark.storages("redis")
def test_redis_is_asked_where_it_is_used(caller: Any, monkeypatch: Any) -> None:
    readiness = Readiness(caller.gateway)
    assert readiness.report().checks["redis"]
    link = caller.gateway.shared._link

    def lost() -> None:
        raise StoreError("gone")

    monkeypatch.setattr(type(link), "ping", lambda _: lost())
    assert not Readiness(caller.gateway).report().checks["redis"]


def test_a_stop_makes_it_unready_at_once_and_checks_are_not_repeated_for_everybody(caller: Any) -> None:
    now, asked = [0.0], []
    readiness = Readiness(caller.gateway, clock=lambda: now[0])
    readiness._checks = {"counted": lambda: asked.append(1)}
    assert readiness.report().ready
    assert readiness.report().ready
    assert len(asked) == 1
    now[0] += FRESH_S
    readiness.report()
    assert len(asked) == 2
    readiness.stop()
    assert not readiness.report().ready
    assert len(asked) == 2


def test_health_and_readiness_do_not_wait_for_busy_threads(make_caller: Any, kit: Any) -> None:
    import asyncio

    embedder = kit.waiting_embedder()
    caller = make_caller(embedder=embedder)
    kit.enroll(caller, 1)
    app = make_app(caller.gateway, workers=1, waiting=1)
    service = {"method": "match", "name": kit.name, "certNumber": kit.number}
    body = form_encode(caller.signed(caller.params(service | {"imgbase64": kit.base64(kit.picture(1))})))

    async def scenario() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            first = asyncio.create_task(client.post("/", content=body, headers=[kit.form]))
            await asyncio.to_thread(embedder.entered.wait, 30)
            seen = [(await client.get(path)).status_code for path in ("/healthz", "/readyz")]
            embedder.leave.set()
            return [*seen, (await first).json()["Code"]]

    assert asyncio.run(scenario()) == [200, 200, 200]


# pages


def test_pages_leave_the_rpc_alone(caller: Any) -> None:
    app = make_app(caller.gateway)
    assert get(app, "/?Format=JSON").json()["Code"] == "MissingVersion"
    assert get(app, "/?Format=JSON&x=/readyz").json()["Code"] == "MissingVersion"
    for path in ("/readyz/", "/READYZ", "/readyz/x", "/metrics", "/%72eadyz/"):
        assert get(app, f"{path}?Format=JSON").json()["Code"] == "InvalidApi.NotFound", path
    for path in ("/readyz", "/openapi.json"):
        assert get(app, path, "POST").status_code == 405
        assert get(app, path, "HEAD").status_code == 200


def test_metrics_are_on_the_main_port_only_where_asked_for(caller: Any) -> None:
    metrics, readiness = Metrics(), Readiness(caller.gateway)
    assert get(make_app(caller.gateway), "/metrics").status_code == 404
    assert get(make_app(caller.gateway, metrics_page=True), "/metrics").status_code == 200
    admin = make_admin_app(caller.gateway, metrics, readiness)
    assert get(admin, "/metrics").headers["content-type"].startswith("text/plain")
    assert get(admin, "/").status_code == 404


# metrics


@pytest.fixture
def counted(make_caller: Any, kit: Any) -> tuple[Any, Any]:
    """A caller, and what reads a sample of the numbers that its gateway makes."""
    caller = make_caller(risk=NO_LOCKS)
    kit.enroll(caller, 1)
    metrics = Metrics()
    caller.gateway.add_watch(metrics.seen)
    caller.gateway.authority.store.on_error(metrics.store_error)

    def sample(name: str) -> float:
        lines = metrics.exposition().decode().splitlines()
        found = [line.split()[-1] for line in lines if line.startswith(f"livegate_{name} ")]
        return float(found[0]) if found else 0.0

    return caller, sample


def test_requests_are_counted_by_method_and_code(counted: Any, kit: Any) -> None:
    caller, sample = counted
    caller.match(kit.picture(1))
    caller.match(kit.picture(1), name="别人")
    caller.call(QUERY)
    caller.call(QUERY, Version="x")
    assert sample('requests_total{code="200",method="match"}') == 1
    assert sample('requests_total{code="400",method="match"}') == 1
    assert sample('requests_total{code="400",method="query"}') == 1
    assert sample('requests_total{code="InvalidVersion",method="none"}') == 1
    assert sample('request_seconds_count{method="match"}') == 2
    assert sample("embed_seconds_count") == 1
    assert sample("decode_seconds_count") == 1
    assert sample("upload_bytes_count") == 4
    assert sample("upload_bytes_sum") > 4000


def test_refusals_are_counted_by_stage(counted: Any, kit: Any) -> None:
    caller, sample = counted
    raw = caller.request(caller.signed(caller.params(QUERY)))
    for _ in range(3):
        caller.gateway.handle(raw)
    caller.gateway.handle(caller.request(caller.signed(caller.params(QUERY), secret="wrong")))
    caller.call(QUERY, Timestamp="2001-01-01T00:00:00Z")
    caller.call(QUERY, AccessKeyId="unknown")
    caller.gateway.access_keys.set_terms("testid", KeyTerms(quota=Quota(per_day=1)))
    caller.call(QUERY)
    caller.call(QUERY)
    assert sample("nonce_replays_total") == 2
    assert sample('refused_total{stage="nonce"}') == 2
    assert sample('refused_total{stage="signature"}') == 1
    assert sample('refused_total{stage="time"}') == 1
    assert sample('refused_total{stage="key"}') == 1
    assert sample('quota_refusals_total{scope="key"}') == 1


def test_errors_of_the_database_are_counted_and_replays_are_none(counted: Any) -> None:
    caller, sample = counted
    raw = caller.request(caller.signed(caller.params(QUERY)))
    caller.gateway.handle(raw)
    caller.gateway.handle(raw)
    assert sample("store_errors_total") == 0
    with caller.gateway.authority.store.write() as session:
        session.execute(text("DROP TABLE nonces"))
    assert caller.raw(QUERY).status == 503
    assert sample("store_errors_total") == 1
    assert sample('refused_total{stage="store"}') == 1


def test_labels_are_closed_lists(counted: Any, kit: Any) -> None:
    caller, _ = counted
    metrics = Metrics()
    caller.gateway.add_watch(metrics.seen)
    for name in ("Action", "Format", "Version", "AccessKeyId", "SignatureMethod"):
        caller.call(QUERY, **{name: f"geheim-{name}"})
    caller.call({"method": "geheim-method"})
    caller.call("geheim")
    caller.gateway.handle(RawRequest("GEHEIM", "/geheim?geheim=geheim", (("geheim", "geheim"),)))
    told = metrics.exposition().decode()
    assert "geheim" not in told
    assert "testid" not in told
    labels = set(re.findall(r'(?:stage)="([^"]*)"', told))
    assert labels <= set(STAGES)
    assert set(re.findall(r'method="([^"]*)"', told)) <= {"init", "query", "match", "none"}


def test_where_requests_are_goes_back_to_zero(make_caller: Any, kit: Any) -> None:
    caller = make_caller()
    kit.enroll(caller, 1)
    metrics = Metrics()
    app = make_app(caller.gateway, metrics=metrics)
    assert get(app, "/?Format=JSON").status_code == 400
    lines = metrics.exposition().decode().splitlines()
    levels = {line.split()[0]: float(line.split()[1]) for line in lines if "in_flight{" in line}
    assert levels == {f'livegate_in_flight{{level="{level}"}}': 0.0 for level in ("body", "queue", "work")}
    assert "livegate_held_bytes 0.0" in lines


# logs


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Standard error of a process whose logs are set up as JSON."""
    root, own = logging.getLogger(), logging.getLogger("livegate")
    before = root.handlers[:], root.level, own.level
    stream = io.StringIO()
    set_up_logs("json", verbose=True, stream=stream)
    yield stream
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    own.setLevel(before[2])


def lines_of(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_each_request_is_one_line_with_the_id_of_its_answer(caller: Any, kit: Any, logged: Any) -> None:
    answer = caller.match(kit.picture(1))
    refusal = caller.call(QUERY, Version="x")
    found = [line for line in lines_of(logged) if line["event"] == "request"]
    assert [line["request_id"] for line in found] == [answer.request_id, refusal.request_id]
    first, second = found
    assert (first["method"], first["code"], first["status"], first["stage"]) == ("match", "200", 200, "")
    assert first["embed_ms"] >= 0
    assert first["duration_ms"] >= first["embed_ms"]
    assert first["body_bytes"] > 1000
    assert re.fullmatch("[0-9a-f]{12}", first["key"])
    assert (second["code"], second["status"], second["stage"]) == ("InvalidVersion", 400, "parameters")
    assert second["key"] == ""


def test_every_other_line_of_a_request_has_its_id_too(caller: Any, kit: Any, logged: Any) -> None:
    class Broken(kit.embedder):
        def read(self, image: Any) -> Any:
            raise ValueError(f"{kit.name} {kit.number}")

    caller.gateway._service._embedder = Broken
    answer = caller.match(kit.picture(1))
    assert answer.code == 500
    found = lines_of(logged)
    assert len(found) >= 2
    assert {line["request_id"] for line in found} == {answer.request_id}
    assert any("ValueError" in line["event"] for line in found)
    assert kit.name not in logged.getvalue()


def test_an_exception_s_own_text_and_stray_fields_are_left_out(logged: Any) -> None:
    try:
        raise ValueError("geheim")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("it failed", extra={"body": "geheim"})
    (line,) = lines_of(logged)
    assert line["event"] == "it failed"
    assert line["fault"].startswith("ValueError at ")
    assert "geheim" not in logged.getvalue()
    assert "Traceback" not in logged.getvalue()


def test_the_console_form_is_no_json_and_tells_the_same(logged: Any) -> None:
    set_up_logs("console", stream=logged)
    from pipeline.gateway.operation.logs import log_request

    log_request(Seen("R-1", "match", "200", "", 200, ""))
    with pytest.raises(ValueError, match=r"."):
        lines_of(logged)
    assert "request_id=R-1" in logged.getvalue()


def test_what_never_became_a_request_is_logged_with_the_id_of_its_answer(caller: Any, logged: Any) -> None:
    import socket
    from urllib.parse import urlsplit

    with running(caller.gateway, options=ServeOptions(threads=1)) as url:
        host, port = urlsplit(url).netloc.split(":")
        with socket.create_connection((host, int(port)), timeout=10) as peer:
            peer.sendall(b"GEHEIM\r\n\r\n")
            received = b"".join(iter(lambda: peer.recv(65536), b""))
    request_id = re.findall(rb"<RequestId>([0-9A-F-]{36})</RequestId>", received)[0].decode()
    found = [line for line in lines_of(logged) if line.get("request_id") == request_id]
    assert [line["event"] for line in found] == ["InvalidRequest"]
    assert "GEHEIM" not in logged.getvalue()
