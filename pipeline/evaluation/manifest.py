"""Labelled lists: manifests of presentations, and pairs of pictures. TSV with a header, UTF-8.

Paths are relative to the list. Columns may come in any order, further ones are ignored. A list with a bad row
is refused as a whole, with the numbers of its lines: a report on what is left would be a report on something
else. Messages hold no cell's content.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

from pipeline.errors import UsageError

MAX_BYTES: Final = 256 * 2**20
"""A larger list is refused unread."""
SHOWN_PROBLEMS: Final = 5
UNSPECIFIED: Final = "unspecified"
"""Species of an attack whose cell is empty."""

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Presentation:
    """One row of a manifest.

    Attributes:
        name: the path as written, with ``/``.
        path: where it is.
        live: True for bona fide, False for an attack.
        species: kind of attack instrument; of no meaning where `live`.
        subject: whose face it is, or "".
        group: any partition that the report should tell apart, or "".
        line: line of the manifest, from 1.
    """

    name: str
    path: Path
    live: bool
    species: str
    subject: str
    group: str
    line: int


@dataclass(frozen=True, slots=True)
class Pair:
    """One row of a list of pairs.

    Attributes:
        a, b: the paths as written.
        path_a, path_b: where they are.
        same: whether both show one person.
        subject_a, subject_b: who is on each side, or "".
        line: line of the list, from 1.
    """

    a: str
    b: str
    path_a: Path
    path_b: Path
    same: bool
    subject_a: str
    subject_b: str
    line: int


@dataclass(frozen=True, slots=True)
class Listing(Generic[Row]):
    """A list that was read.

    Attributes:
        name: its file name.
        sha256: of its bytes, 64 hex digits.
        rows: in their order, each once.
        repeated: lines that said again what a line before them had said; they are not counted twice.
    """

    name: str
    sha256: str
    rows: tuple[Row, ...]
    repeated: int


def read_manifest(path: Path) -> Listing[Presentation]:
    """Read ``path label species [subject] [group]``; the label is ``live`` or ``spoof``.

    Raises:
        UsageError: it is no such list, or a row is bad; the message names the lines.
    """

    def row(cells: dict[str, str], line: int) -> Presentation:
        label = cells["label"].lower()
        if label not in ("live", "spoof"):
            raise ValueError("the label must be live or spoof")
        return Presentation(
            name=cells["path"],
            path=_resolve(path, cells["path"]),
            live=label == "live",
            species=cells["species"] or UNSPECIFIED,
            subject=cells.get("subject", ""),
            group=cells.get("group", ""),
            line=line,
        )

    def key(item: Presentation) -> tuple[object, object]:
        return item.path, (item.live, item.live or item.species)

    return _read(path, ("path", "label", "species"), row, key)


def read_pairs(path: Path) -> Listing[Pair]:
    """Read ``a b same [subject_a subject_b]``; ``same`` is 0 or 1.

    Raises:
        UsageError: it is no such list, or a row is bad; the message names the lines.
    """

    def row(cells: dict[str, str], line: int) -> Pair:
        if cells["same"] not in ("0", "1"):
            raise ValueError("same must be 0 or 1")
        pair = Pair(
            a=cells["a"],
            b=cells["b"],
            path_a=_resolve(path, cells["a"]),
            path_b=_resolve(path, cells["b"]),
            same=cells["same"] == "1",
            subject_a=cells.get("subject_a", ""),
            subject_b=cells.get("subject_b", ""),
            line=line,
        )
        if pair.path_a == pair.path_b:
            raise ValueError("a picture can't be compared with itself")
        return pair

    def key(pair: Pair) -> tuple[object, object]:
        return frozenset((pair.path_a, pair.path_b)), pair.same

    return _read(path, ("a", "b", "same"), row, key)


def read_paths(path: Path) -> tuple[Path, ...]:
    """Read the column ``path`` of a list and nothing else of it; a file named twice is there twice.

    Returns:
        The files beside the list, a line each, in their order; absolute only where list or cell is.

    Raises:
        UsageError: it is no such list, or a row is bad; the message names the lines.
    """

    def row(cells: dict[str, str], line: int) -> tuple[int, Path]:
        return line, path.parent / cells["path"]

    def key(item: tuple[int, Path]) -> tuple[object, object]:
        return item

    return tuple(found for _, found in _read(path, ("path",), row, key).rows)


def _read(
    path: Path,
    required: Collection[str],
    make: Callable[[dict[str, str], int], Row],
    key: Callable[[Row], tuple[object, object]],
) -> Listing[Row]:
    """Read a list; ``key`` gives what a row is about and what it says of it."""
    data = _bytes(path)
    lines = _text(data, path).split("\n")
    header = [cell.strip().lower() for cell in lines[0].rstrip("\r").split("\t")]
    missing = [name for name in required if name not in header]
    if missing:
        raise UsageError(
            f"{path.name} line 1: the header lacks {', '.join(missing)}",
            hint=f"The first line must name the columns, with tabs between: {' '.join(required)} ...",
        )
    if len(set(header)) < len(header):
        raise UsageError(f"{path.name} line 1: the header names a column twice", hint=_HINT)
    rows: list[Row] = []
    said: dict[object, tuple[int, object]] = {}
    problems: list[str] = []
    repeated = 0
    for line, text in enumerate(lines[1:], 2):
        text = text.rstrip("\r")
        if not text.strip():
            continue
        try:
            item = make(_cells(text, header, required), line)
            about, says = key(item)
            before = said.setdefault(about, (line, says))
            if before[1] != says:
                raise ValueError(f"line {before[0]} says otherwise of the same")
        except ValueError as error:
            problems.append(f"line {line}: {error}")
            continue
        if before[0] == line:
            rows.append(item)
        else:
            repeated += 1
    if problems:
        shown = "; ".join(problems[:SHOWN_PROBLEMS])
        more = f"; and {len(problems) - SHOWN_PROBLEMS} more" if len(problems) > SHOWN_PROBLEMS else ""
        raise UsageError(f"{path.name} {shown}{more}", hint=_HINT)
    if not rows:
        raise UsageError(f"{path.name} has a header and no rows", hint=_HINT)
    return Listing(path.name, hashlib.sha256(data).hexdigest(), tuple(rows), repeated)


def _cells(text: str, header: list[str], required: Collection[str]) -> dict[str, str]:
    values = [cell.strip() for cell in text.split("\t")]
    if len(values) > len(header):
        raise ValueError(f"{len(values)} cells under {len(header)} columns")
    cells = dict(zip(header, values + [""] * (len(header) - len(values)), strict=True))
    if any(ord(char) < 32 for value in values for char in value):
        raise ValueError("a cell holds a control character")
    for name in required:
        if not cells[name] and name != "species":
            raise ValueError(f"the cell under {name} is empty")
    return cells


def _resolve(listing: Path, name: str) -> Path:
    return Path(os.path.normpath(listing.absolute().parent / name))


def _bytes(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise UsageError(f"there is no file {path.name}", hint="Check the path.")
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path.name} has more than {MAX_BYTES} bytes and was not read")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path.name} can't be read: {type(error).__name__}", hint="Check its rights."
        ) from None


def _text(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path.name} line {line}: not UTF-8", hint="Save the list as UTF-8.") from None


_HINT: Final = "Mend the lines; nothing was run."
