"""A purge removes what is due, shows that the bytes are gone, and says where it could not."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from pipeline.errors import StoreError
from pipeline.evidence import SealedBox, consent_digest, list_records, purge
from pipeline.evidence.traces import CLOSEST, FARTHEST, PIECE, Pieces, find, search_files
from pipeline.gateway.keeping import EvidenceRow

pytestmark = pytest.mark.storages("sqlite")


@pytest.fixture
def kept(make_client: Any, kit: Any) -> Any:
    """A gateway with five records: the first three are due 180 days after `kit.now`."""
    client = make_client()
    for number in range(5):
        client.clock[0] = kit.now + (number > 2) * kit.day
        assert client.match(kit.jpeg(number), f"REF-{number}")["Code"] == 200
    return client


def due_at(kit: Any) -> float:
    return kit.now + 180 * kit.day


def ids(client: Any) -> list[str]:
    return [record.id for record in list_records(client.store)]


def test_what_is_past_its_retention_goes_and_the_search_shows_it(kept: Any, kit: Any) -> None:
    before = {row.id: SealedBox.parse(row.sealed).body for row in kept.rows()}
    report = purge(kept.store, now=due_at(kit))
    assert len(report.removed) == 3
    assert sorted([*report.removed, *ids(kept)]) == sorted(before)
    assert (report.proof, report.kept, report.compacted) == ("clean", 2, True)
    assert report.found_before == 3
    assert report.pieces > 3 * 100
    assert report.traces == ()
    assert dict(report.searched)["authority.db"] == kept.path.stat().st_size
    content = b"".join(path.read_bytes() for path in kept.path.parent.glob("authority.db*"))
    for record, body in before.items():
        runs = [body[start : start + 90] for start in range(0, len(body) - 90, 1000)]
        assert any(run in content for run in runs) == (record not in report.removed)
        assert (record.encode() in content) == (record not in report.removed)


def test_a_second_later_than_the_retention_is_not_a_second_early(kept: Any, kit: Any) -> None:
    assert purge(kept.store, now=due_at(kit) - 1).proof == "nothing_to_do"
    assert len(ids(kept)) == 5


def test_a_dry_run_removes_nothing(kept: Any, kit: Any) -> None:
    report = purge(kept.store, now=due_at(kit), dry_run=True)
    assert (len(report.removed), report.kept, report.proof) == (3, 2, "dry_run")
    assert len(ids(kept)) == 5


def test_a_withdrawn_consent_takes_all_its_records_and_no_other(kept: Any, kit: Any) -> None:
    kept.match(kit.jpeg(4), "REF-4")
    digest = consent_digest(kept.gateway.authority.vault, "REF-4")
    report = purge(kept.store, now=kit.now, consent_digest=digest)
    assert (len(report.removed), report.kept, report.proof) == (2, 4, "clean")
    assert {row.consent_digest for row in kept.rows()} & {digest} == set()


def test_named_records_go_and_unknown_names_are_no_error(kept: Any, kit: Any) -> None:
    chosen = ids(kept)[0]
    report = purge(kept.store, now=kit.now, ids=[chosen, "f" * 32])
    assert (report.removed, report.proof) == ((chosen,), "clean")
    assert purge(kept.store, now=kit.now, ids=["f" * 32]).proof == "nothing_to_do"


def test_a_copy_beside_the_database_is_found(kept: Any, kit: Any) -> None:
    with contextlib.closing(sqlite3.connect(kept.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy2(kept.path, kept.path.with_name("authority.db.before-update"))
    report = purge(kept.store, now=due_at(kit))
    assert report.proof == "traces"
    assert set(report.traces) == set(report.removed)
    assert "authority.db.before-update" in dict(report.searched)


def test_a_reader_that_holds_the_journal_is_not_called_clean(kept: Any, kit: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("pipeline.evidence.purging.BUSY_TIMEOUT_S", 0.1)
    with contextlib.closing(sqlite3.connect(kept.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM evidence").fetchone()
        report = purge(kept.store, now=due_at(kit))
        assert (report.proof, report.compacted) == ("traces", False)
        reader.execute("COMMIT")
    assert len(ids(kept)) == 2


def test_a_search_that_does_not_see_what_is_there_proves_nothing(
    kept: Any, kit: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("pipeline.evidence.purging.search_files", lambda *_: (set(), {"authority.db": 0}))
    report = purge(kept.store, now=due_at(kit))
    assert (report.proof, report.found_before) == ("unproven", 0)


def test_files_that_can_not_be_read_back_prove_nothing(kept: Any, kit: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("pipeline.evidence.traces._READER", "import sys; sys.exit(1)")
    with pytest.raises(StoreError, match="can't be read back"):
        purge(kept.store, now=due_at(kit))
    assert len(ids(kept)) == 5


def test_rows_deleted_without_care_are_found(kept: Any) -> None:
    """The search's own control: SQLite without ``secure_delete`` leaves deleted pages as they are."""
    boxes = {row.id: SealedBox.parse(row.sealed).body for row in kept.rows()}
    pieces = Pieces.of([(body,) for body in boxes.values()], 0)
    with contextlib.closing(sqlite3.connect(kept.path, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("DELETE FROM evidence")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert ids(kept) == []
    assert search_files(pieces, kept.path)[0] == set(range(5))


def test_damaged_rows_go_too(kept: Any, kit: Any) -> None:
    damaged = ids(kept)[0]
    with kept.store.write() as session:
        noise = np.random.default_rng(1).bytes(5000)
        session.execute(update(EvidenceRow).where(EvidenceRow.id == damaged).values(sealed=noise))
    report = purge(kept.store, now=due_at(kit))
    assert damaged in report.removed
    assert report.proof == "clean"


def test_a_purge_beside_busy_gateways_loses_nothing_new(kept: Any, kit: Any, pair: Any) -> None:
    stop = threading.Event()
    sent: list[str] = []

    def send() -> None:
        while not stop.is_set() or not sent:
            answer = kept.match(kit.jpeg(9), "NEW")
            if answer["Code"] == 200:
                sent.append(answer["RequestId"])

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    report = purge(kept.store, now=due_at(kit))
    stop.set()
    for thread in threads:
        thread.join()
    assert len(report.removed) == 3
    assert report.proof in ("clean", "traces")
    left = {row.request_id: row for row in kept.rows()}
    assert set(sent) <= set(left)
    assert SealedBox.parse(left[sent[0]].sealed).open(pair.private).consent == "NEW"
    pieces = Pieces.of([(record.encode(),) for record in report.removed], 0)
    if report.proof == "clean":
        assert search_files(pieces, kept.path)[0] == set()


def test_a_journal_with_what_a_query_erased_is_cut_by_the_next_purge(make_client: Any, kit: Any) -> None:
    client = make_client(delete_after_query=True)
    init = {"method": "init", "name": kit.name, "certNumber": kit.number, "metainfo": '{"appName":"a"}'}
    query_id = client.call(init, [])["Data"]["queryId"]
    client.match(kit.jpeg(1), queryId=query_id)
    pieces = Pieces.of([(SealedBox.parse(client.rows()[0].sealed).body,)], 0)
    client.gateway.options.evidence(client.gateway.authority).queried("testid", query_id)
    assert client.rows() == []
    assert search_files(pieces, client.path)[0] == {0}
    assert purge(client.store, now=kit.now).compacted
    assert search_files(pieces, client.path)[0] == set()


def test_the_report_names_its_limits(kept: Any, kit: Any) -> None:
    told = purge(kept.store, now=due_at(kit)).as_dict()
    assert any("backups" in str(phrase) for phrase in told["not_shown"])
    assert any("remapped" in str(phrase) for phrase in told["not_shown"])
    assert told["at"] == "2027-05-23T00:27:22Z"


# the search itself


def in_chunks(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    start = 0
    for cut in sorted(cuts):
        yield data[start : max(start, cut)]
        start = max(start, cut)
    yield data[start:]


@given(
    seed=st.integers(0, 2**32),
    total=st.sampled_from([0, 500_000_000, 10**12]),
    data=st.data(),
)
def test_a_run_of_the_told_length_is_never_missed(seed: int, total: int, data: st.DataObject) -> None:
    random = np.random.default_rng(seed)
    boxes = [random.bytes(data.draw(st.integers(20, 6000))) for _ in range(3)]
    pieces = Pieces.of([(box,) for box in boxes], total)
    assert CLOSEST <= pieces.distance <= FARTHEST
    length = min(len(boxes[1]), pieces.longest_unseen + 1)
    start = data.draw(st.integers(0, len(boxes[1]) - length))
    file = random.bytes(data.draw(st.integers(0, 3000)))
    file += boxes[1][start : start + length] + random.bytes(data.draw(st.integers(0, 3000)))
    cuts = data.draw(st.lists(st.integers(0, len(file)), max_size=6))
    assert find(pieces, in_chunks(file, cuts)) == {1}


@given(seed=st.integers(0, 2**32), data=st.data())
def test_what_is_not_there_is_not_found(seed: int, data: st.DataObject) -> None:
    random = np.random.default_rng(seed)
    box = random.bytes(500)
    pieces = Pieces.of([(box,)], 0)
    start = data.draw(st.integers(0, len(box) - PIECE))
    nearly = box[start : start + PIECE - 1]
    file = random.bytes(100) + nearly + random.bytes(2000)
    assert find(pieces, [file]) == set()


def test_nothing_to_look_for_finds_nothing(tmp_path: Path) -> None:
    assert find(Pieces.of([], 0), [b"x" * 100]) == set()
    assert find(Pieces.of([(b"short",)], 0), [b"short" * 100]) == set()
    assert search_files(Pieces.of([], 0), tmp_path / "none.db") == (set(), {})


def test_names_with_wildcards_are_names(tmp_path: Path) -> None:
    body = np.random.default_rng(0).bytes(200)
    (tmp_path / "a[1]*.db").write_bytes(body)
    (tmp_path / "a1x.db").write_bytes(body)
    found, read = search_files(Pieces.of([(body,)], 0), tmp_path / "a[1]*.db")
    assert (found, read) == ({0}, {"a[1]*.db": 200})
