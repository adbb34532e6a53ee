"""Several processes over one authority: one first start wins, and whatever may happen once happens once."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.gateway import Identity, KeyTerms, Quota, verify_audit
from pipeline.gateway.sessions import Sessions

pytestmark = pytest.mark.storages("sqlite", "postgresql", "redis")
QUERY = {"method": "query", "bizId": "ZSTP0", "queryId": "0" * 32}


def bodies_of(caller: Any, count: int) -> list[str]:
    """Signed requests, each with a nonce of its own, as base64."""
    requests = [caller.request(caller.signed(caller.params(QUERY))) for _ in range(count)]
    return [base64.b64encode(request.body).decode() for request in requests]


def test_each_request_is_taken_by_exactly_one_process(
    crew: Any, caller: Any, storage: Any, database: str
) -> None:
    answers = crew("handle", storage, database, now=caller.now, bodies=bodies_of(caller, 40))
    for codes in zip(*answers, strict=True):
        assert sorted(map(str, codes)) == ["400", *["SignatureNonceUsed"] * (crew.size - 1)]


def test_one_nonce_that_all_race_for_is_used_once(crew: Any, storage: Any, database: str) -> None:
    nonces = [f"nonce {number}" for number in range(60)]
    answers = crew("use", storage, database, nonces=nonces)
    assert [sum(used) for used in zip(*answers, strict=True)] == [1] * len(nonces)


def test_processes_share_one_quota_and_one_audit_log(
    crew: Any, caller: Any, storage: Any, database: str
) -> None:
    caller.gateway.access_keys.set_terms("testid", KeyTerms(quota=Quota(per_day=25)))
    answers = crew("handle", storage, database, now=caller.now, bodies=bodies_of(caller, 40))
    codes = Counter(code for answer in answers for code in answer)
    assert codes == {400: 25, 402: 15, "SignatureNonceUsed": 40 * (crew.size - 1)}
    authority = caller.gateway.authority
    report = verify_audit(authority.store, authority.vault)
    assert (report.rows, report.problem) == (40 * crew.size, None)


def test_a_lock_is_seen_by_every_process(crew: Any, storage: Any, database: str) -> None:
    answers = crew("fail", storage, database, turns=20, most=13)
    assert sum(map(sum, answers)) == 13
    assert crew("fail", storage, database, turns=1, most=13) == [[False]] * crew.size


def test_a_session_is_finished_once_and_all_see_the_same_result(
    crew: Any, caller: Any, storage: Any, database: str, kit: Any
) -> None:
    person = caller.gateway.authority.find(Identity.of(kit.name, kit.number))
    sessions = Sessions(caller.gateway.authority.store)
    opened = [sessions.open("testid", person, now=10).query_id for _ in range(30)]
    each = [{"result": f"Z{number}"} for number in range(crew.size)]
    answers = crew("finish", storage, database, each, query_ids=opened)
    for query_id, finished in zip(opened, zip(*answers, strict=True), strict=True):
        assert sum(finished) == 1
        found = sessions.find("testid", query_id, None, now=10)
        assert found is not None
        assert found.result == f"Z{finished.index(True)}"


def test_processes_that_start_at_once_on_nothing_agree(crew: Any, storage: Any) -> None:
    """Tables are made once, one master key claims the database, and a Redis is marked as new once."""
    url = storage.nothing()
    answers = crew("handle", storage, url, now=0.0, bodies=[base64.b64encode(b"a=1&Format=JSON").decode()])
    assert answers == [["MissingVersion"]] * crew.size
    if storage.kind == "sqlite":
        files = {path.name for path in Path(url.removeprefix("sqlite:///")).parent.iterdir()}
        assert files - {"authority.db-wal", "authority.db-shm"} == {"authority.db", "authority.key"}
    answers = crew("use", storage, url, nonces=["first"])
    assert sorted(answers) == [[False]] * (crew.size - 1) + [[True]]


SERVER = """
import sys
from pipeline.gateway import Gateway, open_authority, serve

gateway = Gateway(open_authority(sys.argv[1]), lambda: None)
serve(gateway, port=0, ready_callback=lambda url, _: print(url, flush=True))
print("closed")
"""


@pytest.mark.storages("sqlite")
@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_server_and_closes_the_database(
    database: str, tmp_path: Path, number: int
) -> None:
    command = [sys.executable, "-c", SERVER, database]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        url = server.stdout.readline().strip()
        assert httpx.get(url + "/healthz", trust_env=False).text == "ok\n"
        server.send_signal(number)
        assert server.stdout.read() == "closed\n"
        assert server.stderr.read() == ""
    assert server.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["authority.db", "authority.key"]
