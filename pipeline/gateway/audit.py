"""`AuditLog`: one row for each request, without personal data, each row's SHA-256 over the one before.

A changed, removed, added or reordered row breaks the chain. The chain's end carries a MAC under the master
key, so who has the database alone can't rebuild it or cut its tail. A database that was put back to an older
state as a whole shows nothing of it: keep an `AuditReport`'s end elsewhere and hand it in as ``anchor``.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pipeline.errors import StoreError
from pipeline.gateway.schema import AuditHead, AuditRow
from pipeline.gateway.store import Store
from pipeline.gateway.vault import Vault

_START: Final = "0" * 64
_HEAD_ID: Final = 1
_TRIES: Final = 3
_CHUNK: Final = 1000


@dataclass(slots=True)
class Trace:
    """What is known of a request while it is answered. No personal data.

    Attributes:
        key_id: a known access key, or empty.
        method: ``init``, ``query``, ``match``, or empty.
        person: keyed digest of the certificate number, or empty.
        admitted: True once signature, time and nonce were right.
        spent: seconds by part of the work.
    """

    key_id: str = ""
    method: str = ""
    person: str = ""
    admitted: bool = False
    spent: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def spending(self, part: str) -> Iterator[None]:
        """Count the time of the block to a part of the work."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.spent[part] = self.spent.get(part, 0.0) + time.perf_counter() - began


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One row.

    Attributes:
        at: seconds since 1970.
        key_id: a known access key, or empty.
        method: ``init``, ``query``, ``match``, or empty.
        code: ``Code`` of the answer.
        sub_code: detailed code of the cause, or empty.
        person: keyed digest of the certificate number, or empty.
        request_id: ``RequestId`` of the answer.
        elapsed_ms: how long it took, ms.
    """

    at: int
    key_id: str
    method: str
    code: str
    sub_code: str
    person: str
    request_id: str
    elapsed_ms: int


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What a check of the audit log found.

    Attributes:
        rows: rows that are right, from the first on.
        end: hash of the last of them; ``(rows, end)`` is the anchor for a later check.
        problem: what is wrong with the row after them, or None.
    """

    rows: int
    end: str
    problem: str | None

    @property
    def ok(self) -> bool:
        """True where nothing is wrong."""
        return self.problem is None


class AuditLog:
    """Appends to the log. Processes and threads take turns at the row that holds the chain's end.

    Args:
        store: open database.
        vault: signs the chain's end.
    """

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store = store
        self._vault = vault

    def append(self, entry: AuditEntry) -> None:
        """Add a row.

        Raises:
            StoreError: it can't be written, or the chain's end was tampered with; what it tells of must not
                be answered.
        """
        for _ in range(_TRIES):
            try:
                with self._store.write() as session:
                    self._append(session, entry)
                return
            except IntegrityError:
                continue  # another process wrote the very first row
        raise StoreError("the audit log's end does not fit its rows", hint="Run a check of the audit log.")

    def _append(self, session: Session, entry: AuditEntry) -> None:
        head = session.get(AuditHead, _HEAD_ID, with_for_update=True)
        if head is None:
            head = AuditHead(id=_HEAD_ID, seq=0, hash=_START, mac=_mac(self._vault, 0, _START))
            session.add(head)
            session.flush()
        elif not _signed(self._vault, head):
            raise StoreError("the audit log's end was changed", hint="Run a check of the audit log.")
        seq = head.seq + 1
        digest = _hash(seq, entry, head.hash)
        session.add(
            AuditRow(
                seq=seq,
                at=entry.at,
                key_id=entry.key_id,
                method=entry.method,
                code=entry.code,
                sub_code=entry.sub_code,
                person=entry.person,
                request_id=entry.request_id,
                elapsed_ms=entry.elapsed_ms,
                hash=digest,
            )
        )
        head.seq, head.hash, head.mac = seq, digest, _mac(self._vault, seq, digest)


def verify_audit(store: Store, vault: Vault, *, anchor: tuple[int, str] | None = None) -> AuditReport:
    """Check every row of the audit log against the one before, and the last against the signed end.

    Args:
        store: open database.
        vault: the master key's work.
        anchor: ``(rows, end)`` of an earlier report: that row must still be there, and the same.

    Returns:
        How far the log is right, and what is wrong then.

    Raises:
        StoreError: the database can't be read.
    """
    with store.read() as session, contextlib.ExitStack() as stack:
        # The end first: rows that are appended meanwhile lie behind it.
        head = session.get(AuditHead, _HEAD_ID)
        known, end = (0, _START) if head is None else (head.seq, head.hash)
        rows, last, problem = 0, _START, None
        if head is not None and not _signed(vault, head):
            return AuditReport(0, _START, "the end of the log was not signed with the authority's key")
        query = select(AuditRow).order_by(AuditRow.seq).execution_options(yield_per=_CHUNK)
        # Closed at an early end too: on PostgreSQL it is a cursor of the server.
        found = stack.enter_context(contextlib.closing(session.scalars(query)))
        for row in found:
            if row.seq != rows + 1:
                problem = f"row {rows + 1} is missing"
            elif row.hash != _hash(row.seq, _entry(row), last):
                problem = f"row {row.seq} was changed"
            elif row.seq == known and row.hash != end:
                problem = f"row {row.seq} is not the one that the signed end names"
            elif anchor is not None and row.seq == anchor[0] and row.hash != anchor[1]:
                problem = f"row {row.seq} is not the one of the anchor"
            if problem is not None:
                return AuditReport(rows, last, problem)
            rows, last = row.seq, row.hash
            session.expunge(row)
        if rows < max(known, anchor[0] if anchor else 0):
            problem = f"row {rows + 1} is missing"
        elif rows > known and rows > (session.scalar(select(func.max(AuditHead.seq))) or 0):
            problem = f"row {known + 1} lies behind the signed end"
    return AuditReport(rows, last, problem)


def _entry(row: AuditRow) -> AuditEntry:
    return AuditEntry(
        row.at,
        row.key_id,
        row.method,
        row.code,
        row.sub_code,
        row.person,
        row.request_id,
        row.elapsed_ms,
    )


def _hash(seq: int, entry: AuditEntry, previous: str) -> str:
    """SHA-256 over the previous hash and every column; JSON keeps the columns apart."""
    columns = [previous, seq, entry.at, entry.key_id, entry.method, entry.code, entry.sub_code]
    text = json.dumps([*columns, entry.person, entry.request_id, entry.elapsed_ms])
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _mac(vault: Vault, seq: int, digest: str) -> str:
    return vault.digest("audit end", str(seq), digest)


def _signed(vault: Vault, head: AuditHead) -> bool:
    return hmac.compare_digest(head.mac, _mac(vault, head.seq, head.hash))
