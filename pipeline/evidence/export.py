"""Take evidence out: opened with the private key, or still sealed to be carried to where that key is."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pipeline.errors import StoreError, UsageError
from pipeline.evidence.box import OpenedBox, SealedBox
from pipeline.evidence.keys import PrivateKey
from pipeline.evidence.records import SUFFIX, Sealed, utc

State = Literal["exported", "other_key", "expired", "damaged", "exists"]

_SUFFIXES: Final = ((b"\xff\xd8\xff", ".jpg"), (b"\x89PNG\r\n\x1a\n", ".png"))


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of one record.

    Attributes:
        id: the record.
        state: ``exported``; ``other_key``: sealed for a key that was not given; ``expired``: past its
            retention, so it is not handed out; ``damaged``: it or its context was changed; ``exists``: a
            file of its name is there already.
        detail: the name of the file that was written, or a sentence.
    """

    id: str
    state: State
    detail: str

    def as_dict(self) -> dict[str, object]:
        """For ``--json``."""
        return {"id": self.id, "state": self.state, "detail": self.detail}


def export_opened(
    source: Iterable[Sealed], keys: Sequence[PrivateKey], out: Path, *, now: float
) -> Iterator[Exported]:
    """Open records and write ``ID.jpg`` or ``ID.png`` with ``ID.json`` beside it, of mode 600.

    The JSON holds the consent reference, the context and the picture's SHA-256, which is the
    ``uploaded_sha256`` of the check that sent it.

    Args:
        source: sealed records.
        keys: private keys; each record is opened with the one that it was sealed for.
        out: folder, made with mode 700 where it is missing.
        now: seconds since 1970.

    Yields:
        One result for each record, in their order.

    Raises:
        UsageError: the folder can't be made.
        StoreError: a file can't be written.
    """
    _make_folder(out)
    by_id = {key.key_id: key for key in keys}
    for sealed in source:
        yield _open(sealed, by_id, out, now)


def export_sealed(source: Iterable[Sealed], out: Path) -> Iterator[Exported]:
    """Write boxes as they are, ``ID.lgev``: no key is needed, and nothing in them can be read without one.

    Raises:
        UsageError: the folder can't be made.
        StoreError: a file can't be written.
    """
    _make_folder(out)
    for sealed in source:
        try:
            box = sealed.parse()
        except StoreError as error:
            yield Exported(sealed.id, "damaged", error.message)
            continue
        yield _write(box.context.id, {SUFFIX: sealed.data}, out)


def _open(sealed: Sealed, keys: Mapping[str, PrivateKey], out: Path, now: float) -> Exported:
    try:
        box = sealed.parse()
        key = keys.get(box.context.key_id)
        if key is None:
            return Exported(sealed.id, "other_key", f"sealed for key {box.context.key_id}")
        opened = box.open(key)
    except StoreError as error:
        return Exported(sealed.id, "damaged", error.message)
    if box.context.expires_at <= now:
        return Exported(sealed.id, "expired", f"its retention ended {utc(box.context.expires_at)}")
    suffix = next((name for start, name in _SUFFIXES if opened.picture.startswith(start)), ".bin")
    return _write(box.context.id, {suffix: opened.picture, ".json": _sheet(box, opened)}, out)


def _sheet(box: SealedBox, opened: OpenedBox) -> bytes:
    context = box.context
    facts = {
        "id": context.id,
        "request_id": context.request_id,
        "access_key_id": context.access_key_id,
        "query_id": context.query_id,
        "consent": opened.consent,
        "created_at": utc(context.created_at),
        "expires_at": utc(context.expires_at),
        "key_id": context.key_id,
        "sha256": hashlib.sha256(opened.picture).hexdigest(),
    }
    return (json.dumps(facts, ensure_ascii=False, indent=2) + "\n").encode("utf-8")


def _write(record: str, files: Mapping[str, bytes], out: Path) -> Exported:
    """Write all files of a record, or none, and never over one that exists."""
    written: list[Path] = []
    try:
        for suffix, data in files.items():
            path = out / f"{record}{suffix}"
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
            written.append(path)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
    except OSError as error:
        for path in written:
            with contextlib.suppress(OSError):
                path.unlink()
        if isinstance(error, FileExistsError):
            return Exported(record, "exists", "a file of its name is there already")
        raise StoreError(
            f"an exported file can't be written: {type(error).__name__}", hint="Give another --out."
        ) from None
    return Exported(record, "exported", written[0].name)


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the folder can't be made: {type(error).__name__}", hint="Give another --out."
        ) from None
