"""Remove what is past its retention, and show by a search of the files' bytes that it is gone."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from sqlalchemy import ColumnElement, delete, select

from pipeline.errors import StoreError
from pipeline.evidence.box import SealedBox
from pipeline.evidence.records import Record, list_records, read_database, utc
from pipeline.evidence.traces import Pieces, search_files
from pipeline.gateway.keeping import EvidenceRow
from pipeline.gateway.store import BUSY_TIMEOUT_S, Store

log = logging.getLogger("livegate.evidence")

Proof = Literal["clean", "traces", "unproven", "nothing_to_do", "dry_run"]

LIMITS: Final = (
    "backups, snapshots and copies of the database that do not lie beside it under its name",
    "blocks that the file system or the drive has freed or remapped and not yet overwritten",
    "memory, swap and core dumps of processes that handled the pictures",
    "pictures that were exported in clear, and boxes that were exported sealed",
)
"""What no search of the database's files can show."""

_AT_ONCE: Final = 500
"""Rows per statement: SQLite takes at most 999 values in old versions."""


@dataclass(frozen=True, slots=True)
class PurgeReport:
    """What a purge did and what it could show.

    Attributes:
        at: seconds since 1970.
        removed: ids that are no longer in the table.
        bytes: size of their boxes.
        kept: number of records that stay.
        proof: ``clean``: SQLite's files were searched and hold no piece of them. ``traces``: they hold some,
            see ``traces``. ``unproven``: the database's files can't be searched. ``nothing_to_do``: nothing
            was due. ``dry_run``: nothing was removed.
        found_before: how many of the records the same search found before they were removed: a search that
            can't find what is there would prove nothing.
        traces: ids of which a piece was found afterwards.
        pieces: number of pieces that were searched for.
        longest_unseen: bytes of ciphertext in a row that the search could miss.
        searched: bytes read of each file by its name.
        compacted: the database was rewritten without free pages.
        not_shown: what this proof does not reach, one phrase each.
    """

    at: int
    removed: tuple[str, ...]
    bytes: int
    kept: int
    proof: Proof
    found_before: int = 0
    traces: tuple[str, ...] = ()
    pieces: int = 0
    longest_unseen: int = 0
    searched: tuple[tuple[str, int], ...] = ()
    compacted: bool = False
    not_shown: tuple[str, ...] = LIMITS

    def as_dict(self) -> dict[str, object]:
        """For ``--json``."""
        return {
            "at": utc(self.at),
            "removed": list(self.removed),
            "bytes": self.bytes,
            "kept": self.kept,
            "proof": self.proof,
            "found_before": self.found_before,
            "traces": list(self.traces),
            "pieces": self.pieces,
            "longest_unseen": self.longest_unseen,
            "searched": dict(self.searched),
            "compacted": self.compacted,
            "not_shown": list(self.not_shown),
        }


def purge(
    store: Store,
    *,
    now: float,
    consent_digest: str | None = None,
    ids: Sequence[str] = (),
    dry_run: bool = False,
) -> PurgeReport:
    """Remove records for good. May run while gateways use the database.

    On SQLite the pages are overwritten with zeros (``secure_delete``), the journal is written back and cut
    to nothing, the database is rewritten (``VACUUM``), and its files are searched. Elsewhere the rows are
    deleted and PostgreSQL is told to vacuum the table; its files can't be searched from here.

    Args:
        store: open database.
        now: seconds since 1970; records whose retention ended by then go.
        consent_digest: in their stead, every record under this consent, see `consent_digest`.
        ids: in their stead, these records.
        dry_run: only tell which.

    Raises:
        StoreError: the database can't be written or its files not read.
    """
    chosen, kept = _choose(store, now=now, consent_digest=consent_digest, ids=ids)
    names = tuple(record.id for record in chosen)
    report = PurgeReport(int(now), names, sum(record.bytes for record in chosen), kept, "nothing_to_do")
    if dry_run:
        return replace(report, proof="dry_run")
    if store.path is None:
        _delete(store, names)
        return replace(report, proof="unproven" if names else "nothing_to_do", compacted=_vacuum_other(store))
    pieces = Pieces.of(_parts(store, names), report.bytes)
    before, _ = search_files(pieces, store.path) if names else (set(), {})
    _delete(store, names)
    compacted = _compact(store.path)  # also where nothing was due: what a query erased is in the journal
    if not names:
        return replace(report, compacted=compacted)
    after, searched = search_files(pieces, store.path)
    left = tuple(names[index] for index in sorted(after))
    # Pieces of a record that the search did not find while it was there prove nothing by their absence.
    shown = len(before) == len(names)
    return replace(
        report,
        proof="traces" if left else "clean" if shown else "unproven",
        found_before=len(before),
        traces=left,
        pieces=len(pieces),
        longest_unseen=pieces.longest_unseen,
        searched=tuple(searched.items()),
        compacted=compacted,
    )


def _choose(
    store: Store, *, now: float, consent_digest: str | None, ids: Sequence[str]
) -> tuple[list[Record], int]:
    condition: ColumnElement[bool]
    if consent_digest is not None:
        condition = EvidenceRow.consent_digest == consent_digest
    elif ids:
        condition = EvidenceRow.id.in_(list(ids))
    else:
        condition = EvidenceRow.expires_at <= int(now)
    with store.read() as session:
        wanted = set(session.scalars(select(EvidenceRow.id).where(condition)))
    records = list_records(store)
    chosen = [record for record in records if record.id in wanted]
    return chosen, len(records) - len(chosen)


def _parts(store: Store, names: Sequence[str]) -> Iterator[tuple[bytes, ...]]:
    """Of each record what nothing else in the database holds: its id and its ciphertext."""
    for sealed in read_database(store, names):
        try:
            body = SealedBox.parse(sealed.data).body
        except StoreError:
            body = sealed.data
        yield sealed.id.encode("ascii"), body


def _delete(store: Store, names: Sequence[str]) -> None:
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        with store.write() as session:
            session.execute(delete(EvidenceRow).where(EvidenceRow.id.in_(some)))
    with store.read() as session:
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            if session.scalar(select(EvidenceRow.id).where(EvidenceRow.id.in_(some)).limit(1)) is not None:
                raise StoreError("a record that was removed is back in the table: run the purge again")
    for name in names:
        log.info("evidence %s purged", name)


def _compact(path: Path) -> bool:
    """Write the journal back, rewrite the database, cut the journal. False where others hold it."""
    try:
        with contextlib.closing(
            sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        ) as connection:
            connection.execute("PRAGMA secure_delete = ON")
            _cut_journal(connection)
            connection.execute("VACUUM")
            return _cut_journal(connection)
    except sqlite3.Error as error:
        log.warning("the database could not be compacted: %s", type(error).__name__)
        return False


def _cut_journal(connection: sqlite3.Connection) -> bool:
    """SQLite's own wait for readers ends early when they come and go, so it is asked again for a while."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] != 0:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _vacuum_other(store: Store) -> bool:
    if store.dialect != "postgresql":
        return False
    with store.read() as session, session.get_bind().engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM evidence")
    return True
