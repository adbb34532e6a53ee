"""Several processes over one SQLite file: one first start wins, and every signature is taken once."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.gateway import KeyTerms, Quota, verify_audit

WORKER = """
import base64, json, sys, time
from pathlib import Path
from pipeline.gateway import Gateway, RawRequest, open_authority

url, barrier, now = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
requests = json.load(sys.stdin)
while not barrier.exists():
    time.sleep(0.001)
gateway = Gateway(open_authority(url), lambda: None, clock=lambda: now)
form = (("content-type", "application/x-www-form-urlencoded"),)
codes = []
for body in requests:
    answer = gateway.handle(RawRequest("POST", "/", form, base64.b64decode(body)))
    codes.append(json.loads(answer.body)["Code"])
gateway.close()
json.dump(codes, sys.stdout)
"""


def run_at_once(url: str, barrier: Path, now: float, bodies: list[bytes], count: int) -> list[list[Any]]:
    """Start so many processes, let them go at the same moment, collect what each was answered."""
    command = [sys.executable, "-c", WORKER, url, str(barrier), str(now)]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    text = json.dumps([base64.b64encode(body).decode() for body in bodies])
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(text)
        worker.stdin.close()
    barrier.touch()
    answers = []
    for worker in workers:
        assert worker.stdout is not None
        answers.append(json.loads(worker.stdout.read() or "null"))
        worker.stdout.close()
        assert worker.wait(60) == 0
    return answers


def test_each_request_is_taken_by_exactly_one_process(caller: Any, database: str, tmp_path: Path) -> None:
    service = {"method": "query", "bizId": "ZSTP0", "queryId": "0" * 32}
    bodies = [caller.request(caller.signed(caller.params(service))).body for _ in range(40)]
    answers = run_at_once(database, tmp_path / "go", caller.now, bodies, 2)
    for codes in zip(*answers, strict=True):
        assert sorted(map(str, codes)) == ["400", "SignatureNonceUsed"]


def test_processes_share_one_quota_and_one_audit_log(caller: Any, database: str, tmp_path: Path) -> None:
    caller.gateway.access_keys.set_terms("testid", KeyTerms(quota=Quota(per_day=25)))
    service = {"method": "query", "bizId": "ZSTP0", "queryId": "0" * 32}
    bodies = [caller.request(caller.signed(caller.params(service))).body for _ in range(40)]
    answers = run_at_once(database, tmp_path / "go", caller.now, bodies, 2)
    codes = Counter(code for answer in answers for code in answer)
    assert codes == {400: 25, 402: 15, "SignatureNonceUsed": 40}
    authority = caller.gateway.authority
    report = verify_audit(authority.store, authority.vault)
    assert (report.rows, report.problem) == (80, None)


def test_processes_that_start_at_once_on_nothing_agree(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'authority.db'}"
    answers = run_at_once(url, tmp_path / "go", 0.0, [b"a=1&Format=JSON"], 2)
    assert answers == [["MissingVersion"]] * 2
    files = {path.name for path in (tmp_path / "new").iterdir()}
    assert files - {"authority.db-wal", "authority.db-shm"} == {"authority.db", "authority.key"}


SERVER = """
import sys
from pipeline.gateway import Gateway, open_authority, serve

gateway = Gateway(open_authority(sys.argv[1]), lambda: None)
serve(gateway, port=0, ready_callback=lambda url, _: print(url, flush=True))
print("closed")
"""


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
