"""The audit log: a row for each request, no personal data, and no change that is not found."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from sqlalchemy import select, text

from pipeline.errors import StoreError
from pipeline.gateway import core
from pipeline.gateway.audit import AuditEntry, AuditLog, AuditReport, verify_audit
from pipeline.gateway.schema import AuditRow
from pipeline.gateway.vault import Vault
from pipeline.protocol.answers import parse_answer

QUERY = {"method": "query", "bizId": "ZSTP0", "queryId": "0" * 32}
SWAP_3_AND_4 = (
    "UPDATE audit SET seq = CASE seq WHEN 3 THEN 94 WHEN 4 THEN 3 ELSE seq END; "
    "UPDATE audit SET seq = 4 WHERE seq = 94"
)
ADD_6 = (
    "INSERT INTO audit SELECT 6, at, key_id, method, code, sub_code, person, request_id, 0, hash "
    "FROM audit WHERE seq = 5"
)


def rows(caller: Any) -> list[AuditRow]:
    with caller.gateway.authority.store.read() as session:
        return list(session.scalars(select(AuditRow).order_by(AuditRow.seq)))


def check(caller: Any, anchor: tuple[int, str] | None = None) -> AuditReport:
    authority = caller.gateway.authority
    return verify_audit(authority.store, authority.vault, anchor=anchor)


def tamper(caller: Any, *statements: str) -> None:
    with caller.gateway.authority.store.write() as session:
        for statement in statements:
            session.execute(text(statement))


def test_every_request_leaves_a_row(caller: Any, kit: Any) -> None:
    caller.match(kit.picture(1))
    caller.match(kit.picture(1), name="another")
    caller.call(QUERY)
    caller.call({"method": "delete"})
    caller.call(QUERY, Service="x")
    caller.call(QUERY, AccessKeyId="nobody")
    caller.gateway.handle(caller.request(caller.signed(caller.params(QUERY), secret="forged")))
    caller.gateway.handle(caller.request({"Format": "JSON"}))
    told = [(row.key_id, row.method, row.code, row.sub_code, bool(row.person)) for row in rows(caller)]
    assert told == [
        ("testid", "match", "200", "", True),
        ("testid", "match", "400", "Z8105", True),
        ("testid", "query", "400", "Z8301", False),
        ("testid", "", "400", "Z8101", False),
        ("", "", "404", "", False),
        ("", "", "InvalidAccessKeyId.NotFound", "", False),
        ("testid", "", "SignatureDoesNotMatch", "", False),
        ("", "", "MissingVersion", "", False),
    ]
    assert [row.request_id for row in rows(caller)] == [f"REQUEST-{n}" for n in range(8)]
    assert {row.at for row in rows(caller)} == {int(kit.now)}
    assert check(caller) == AuditReport(8, rows(caller)[-1].hash, None)


def test_a_person_is_a_digest_that_needs_the_master_key(caller: Any, kit: Any) -> None:
    caller.match(kit.picture(1))
    caller.match(kit.picture(2), name="another")
    caller.match(kit.picture(1), number="440524188001010014")
    people = [row.person for row in rows(caller)]
    assert people[0] == people[1] != people[2]
    assert people[0] == caller.gateway.risk.person_digest(kit.number)
    with caller.gateway.authority.store.read() as session:
        known = session.execute(text("SELECT cert_digest, pair_digest FROM persons")).one()
    assert people[0] not in known


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET at = at + 1 WHERE seq = 3",
        "UPDATE audit SET key_id = 'x' WHERE seq = 3",
        "UPDATE audit SET method = 'init' WHERE seq = 3",
        "UPDATE audit SET code = '200' WHERE seq = 3",
        "UPDATE audit SET sub_code = 'Z8300' WHERE seq = 3",
        "UPDATE audit SET person = 'x' WHERE seq = 3",
        "UPDATE audit SET request_id = 'x' WHERE seq = 3",
        "UPDATE audit SET elapsed_ms = elapsed_ms + 1 WHERE seq = 3",
        "UPDATE audit SET hash = 'x' WHERE seq = 3",
        "UPDATE audit SET code = key_id, key_id = code WHERE seq = 3",
        "DELETE FROM audit WHERE seq = 3",
        SWAP_3_AND_4,
    ],
)
def test_a_changed_removed_or_reordered_row_is_found(caller: Any, change: str) -> None:
    for _ in range(5):
        caller.call(QUERY)
    tamper(caller, *change.split("; "))
    report = check(caller)
    assert (report.ok, report.rows) == (False, 2)
    assert "row 3" in str(report.problem)


@pytest.mark.parametrize(
    "change",
    [
        ("DELETE FROM audit WHERE seq = 5",),
        ("DELETE FROM audit",),
        ("DELETE FROM audit WHERE seq = 5", "UPDATE audit_head SET seq = 4"),
        (
            "DELETE FROM audit WHERE seq = 5",
            "UPDATE audit_head SET seq = 4, hash = (SELECT hash FROM audit WHERE seq = 4)",
        ),
        ("DELETE FROM audit_head",),
        (ADD_6,),
    ],
)
def test_a_cut_or_added_end_is_found(caller: Any, change: tuple[str, ...]) -> None:
    for _ in range(5):
        caller.call(QUERY)
    tamper(caller, *change)
    assert not check(caller).ok


def rebuild(caller: Any, seq: int, **values: Any) -> None:
    """What an attacker with the database but not the key can do: change a row and every hash after it."""
    from pipeline.gateway.audit import _entry, _hash

    with caller.gateway.authority.store.write() as session:
        previous = "0" * 64
        for row in session.scalars(select(AuditRow).order_by(AuditRow.seq)):
            for name, value in values.items() if row.seq == seq else ():
                setattr(row, name, value)
            row.hash = previous = _hash(row.seq, _entry(row), previous)
        session.execute(text("UPDATE audit_head SET hash = :hash"), {"hash": previous})


def test_a_chain_rebuilt_without_the_master_key_is_found(caller: Any) -> None:
    for _ in range(5):
        caller.call(QUERY)
    rebuild(caller, 2, code="200")
    assert not check(caller).ok


def test_a_row_is_not_added_to_an_end_that_was_changed_and_the_request_is_not_answered(caller: Any) -> None:
    caller.call(QUERY)
    tamper(caller, "UPDATE audit_head SET hash = 'x'")
    answer = caller.raw(QUERY)
    assert (answer.status, parse_answer(answer.body).code) == (503, "ServiceUnavailable")
    assert len(rows(caller)) == 1


def test_an_anchor_finds_a_database_that_was_put_back(caller: Any) -> None:
    caller.call(QUERY)
    early = check(caller)
    with caller.gateway.authority.store.write() as session:
        heads = session.execute(text("SELECT seq, hash, mac FROM audit_head")).one()
    for _ in range(3):
        caller.call(QUERY)
    late = check(caller)
    assert check(caller, (early.rows, early.end)).ok
    tamper(
        caller,
        "DELETE FROM audit WHERE seq > 1",
        f"UPDATE audit_head SET seq = {heads.seq}, hash = '{heads.hash}', mac = '{heads.mac}'",
    )
    assert check(caller).ok
    assert not check(caller, (late.rows, late.end)).ok
    assert not check(caller, (1, "f" * 64)).ok


def test_another_key_does_not_vouch_for_the_log(caller: Any) -> None:
    caller.call(QUERY)
    assert not verify_audit(caller.gateway.authority.store, Vault(b"x" * 32)).ok


def test_an_empty_log_is_right(caller: Any) -> None:
    assert check(caller) == AuditReport(0, "0" * 64, None)


def test_strangers_can_not_fill_the_log(caller: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(core, "STRANGERS_AUDITED", 3)
    for _ in range(6):
        caller.gateway.handle(caller.request({"Format": "JSON"}))
        caller.call(QUERY, Service="x")
    assert len(rows(caller)) == 3
    caller.call(QUERY)
    assert len(rows(caller)) == 4
    caller.now += 61
    caller.gateway.handle(caller.request({"Format": "JSON"}))
    assert len(rows(caller)) == 5
    assert check(caller).ok


def test_what_can_not_be_written_down_is_not_answered(caller: Any, monkeypatch: Any, kit: Any) -> None:
    def broken(*_: object) -> None:
        raise StoreError("lost")

    monkeypatch.setattr(AuditLog, "append", broken)
    answer = caller.raw({"method": "match", "name": kit.name, "certNumber": kit.number, "imgbase64": "A"})
    assert answer.status == 503
    refused = caller.gateway.handle(caller.request({"Format": "JSON"}))
    assert json.loads(refused.body)["Code"] == "MissingVersion"


def test_the_log_can_be_switched_off(make_caller: Any) -> None:
    caller = make_caller(audit=False)
    caller.call(QUERY)
    assert rows(caller) == []


def test_text_of_any_kind_stays_apart_in_the_hash() -> None:
    from pipeline.gateway.audit import _hash

    parts = list(itertools.product(["", "a", 'a","b', "张"], repeat=2))
    entries = [AuditEntry(1, first, second, "", "", "", "", 0) for first, second in parts]
    assert len({_hash(1, entry, "0" * 64) for entry in entries}) == len(entries)


def test_processes_and_threads_write_one_chain(crew: Any, caller: Any, storage: Any, database: str) -> None:
    names = [f"process {number}" for number in range(crew.size)]
    crew("audit", storage, database, [{"name": name} for name in names], rows=15)
    report = check(caller)
    assert (report.rows, report.problem) == (30 * crew.size, None)
    turns: dict[str, list[int]] = {}
    for row in rows(caller):
        turns.setdefault(row.key_id, []).append(row.at)
    assert turns == {f"{name}-{thread}": list(range(15)) for name in names for thread in range(2)}
