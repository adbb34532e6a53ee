"""What is kept, without opening it: the records of a database, or boxes that were carried away as files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from pipeline.errors import StoreError, UsageError
from pipeline.evidence.box import Context, SealedBox
from pipeline.gateway.keeping import LONGEST_BOX, EvidenceRow
from pipeline.gateway.store import Store

SUFFIX: Final = ".lgev"
"""Ending of a sealed box as a file; its stem is the record's id."""


@dataclass(frozen=True, slots=True)
class Record:
    """One sealed picture, seen from outside. No personal data.

    Attributes:
        id: 32 hex digits.
        request_id: ``RequestId`` of the match.
        key_id: which key opens it.
        bytes: size of the box.
        created_at: seconds since 1970.
        expires_at: end of the retention, seconds since 1970.
    """

    id: str
    request_id: str
    key_id: str
    bytes: int
    created_at: int
    expires_at: int

    def as_dict(self, *, now: float) -> dict[str, object]:
        """For ``--json``; times in UTC, ``due`` once the retention is over."""
        return {
            "id": self.id,
            "request_id": self.request_id,
            "key_id": self.key_id,
            "bytes": self.bytes,
            "created_at": utc(self.created_at),
            "expires_at": utc(self.expires_at),
            "due": self.expires_at <= now,
        }


@dataclass(frozen=True, slots=True)
class Sealed:
    """A box as it was found.

    Attributes:
        id: the record's id, by its row or its file's name.
        data: the box, not yet parsed.
        expected: context that its row tells; None for a file, which has no row.
    """

    id: str
    data: bytes
    expected: Context | None

    def parse(self) -> SealedBox:
        """Take the box apart and hold it against where it was found.

        Raises:
            StoreError: it is no box, or belongs to another record.
        """
        box = SealedBox.parse(self.data)
        if box.context.id != self.id or (self.expected is not None and self.expected != box.context):
            raise StoreError(
                f"the sealed picture {self.id} was changed, or moved from another record",
                hint="Take the record from a backup; what was changed can't be repaired.",
            )
        return box


def open_records(database_url: str) -> Store:
    """Open a database that exists already. The authority's key is not needed.

    Raises:
        StoreError: there is none, or it can't be used.
    """
    try:
        url = make_url(database_url)
    except ArgumentError:
        raise StoreError("the database URL can't be used: ArgumentError") from None
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise StoreError(
            "there is no database at this place", hint="Name the gateway's database with --database."
        )
    return Store(database_url)


def list_records(store: Store) -> list[Record]:
    """Every record, oldest first. No box is read."""
    row = EvidenceRow
    query = select(
        row.id, row.request_id, row.key_id, func.length(row.sealed), row.created_at, row.expires_at
    ).order_by(row.created_at, row.id)
    with store.read() as session:
        return [Record(*found) for found in session.execute(query)]


def read_database(store: Store, ids: Sequence[str]) -> Iterator[Sealed]:
    """Boxes of a database, one at a time. Ids that are not there are left out."""
    for record in ids:
        with store.read() as session:
            row = session.get(EvidenceRow, record)
        if row is not None:
            yield Sealed(row.id, row.sealed, to_context(row))


def read_files(folder: Path) -> Iterator[Sealed]:
    """Boxes that ``livegate evidence export --sealed`` wrote, in the order of their names.

    Raises:
        UsageError: the folder or a file can't be read.
    """
    if not folder.is_dir():
        raise UsageError("there is no such folder of sealed pictures", hint="Give the --out of `--sealed`.")
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            with path.open("rb") as file:
                data = file.read(LONGEST_BOX + 1)
        except OSError as error:
            raise UsageError(f"a sealed picture can't be read: {type(error).__name__}") from None
        yield Sealed(path.stem, data, None)


def to_context(row: EvidenceRow) -> Context:
    """What a row says that its box is bound to."""
    return Context(
        id=row.id,
        request_id=row.request_id,
        access_key_id=row.access_key_id,
        query_id=row.query_id,
        consent_digest=row.consent_digest,
        key_id=row.key_id,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


def utc(seconds: float) -> str:
    """ISO 8601 in UTC; ``unknown`` for what no calendar holds, in a row that was changed for instance."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return "unknown"
