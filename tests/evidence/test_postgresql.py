"""Evidence on PostgreSQL, where no file can be searched for a proof."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.evidence import export_opened, list_records, open_records, purge, read_database, sealed_evidence
from pipeline.gateway import Authority, open_authority
from pipeline.gateway.keeping import LivePicture

pytestmark = pytest.mark.storages("postgresql")


@pytest.fixture
def url(storage: Any) -> str:
    made: str = storage.database()
    return made


@pytest.fixture
def authority(url: str) -> Iterator[Authority]:
    opened = open_authority(url)
    yield opened
    opened.store.close()


def test_kept_exported_and_purged_without_a_claim_of_proof(
    authority: Authority, url: str, pair: Any, kit: Any, tmp_path: Path
) -> None:
    sink = sealed_evidence(pair.file)(authority)
    for number in range(3):
        taken = kit.now - (number == 0) * 180 * kit.day
        sink.keep(LivePicture(kit.jpeg(number), f"REF-{number}", f"R-{number}", "testid", None, taken))
    store = open_records(url)
    try:
        records = list_records(store)
        assert records[0].request_id == "R-0"
        assert all(record.bytes > 5000 for record in records)
        report = purge(store, now=kit.now)
        assert (report.removed, report.kept) == ((records[0].id,), 2)
        assert (report.proof, report.compacted, report.searched) == ("unproven", True, ())
        found = read_database(store, [record.id for record in records])
        done = list(export_opened(found, [pair.private], tmp_path / "out", now=kit.now))
        assert [result.state for result in done] == ["exported"] * 2
        assert {path.read_bytes() for path in tmp_path.rglob("*.jpg")} == {kit.jpeg(1), kit.jpeg(2)}
    finally:
        store.close()


def test_a_query_erases_on_postgresql_too(authority: Authority, pair: Any, kit: Any) -> None:
    sink = sealed_evidence(pair.file, delete_after_query=True)(authority)
    sink.keep(LivePicture(kit.jpeg(1), "REF", "R", "testid", "a" * 32, kit.now))
    sink.queried("other", "a" * 32)
    assert len(list_records(authority.store)) == 1
    sink.queried("testid", "a" * 32)
    assert list_records(authority.store) == []
