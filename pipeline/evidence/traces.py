"""Search for what is left of removed records in the bytes of a SQLite database's files.

A removed box is remembered by pieces of 16 bytes, one every few dozen bytes. Ciphertext is random, so a piece
that is found can't be there by chance (2^-128 a place), and wherever a longer run of the box is left, a whole
piece lies in it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import StoreError

U64 = NDArray[np.uint64]

PIECE: Final = 16
CLOSEST: Final = 64
"""Smallest distance between the starts of two pieces, in bytes."""
FARTHEST: Final = 2000
"""Largest distance: SQLite's pages are 4,096 bytes by default, so a page that is left holds a whole piece."""
MOST_PIECES: Final = 1_000_000
"""About as many are kept in memory, 20 bytes each, before the distance grows."""

_CHUNK: Final = 4 * 1024 * 1024
_TABLE_BITS: Final = 24
_ABSENT: Final = 3
_READER: Final = f"""
import shutil, sys
try:
    file = open(sys.argv[1], "rb")
except FileNotFoundError:
    sys.exit({_ABSENT})
shutil.copyfileobj(file, sys.stdout.buffer, 1 << 20)
"""


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """Pieces of several boxes, sorted by their first half.

    Attributes:
        first: uint64 (n,), bytes 0 to 7 of each piece, little-endian, ascending.
        second: uint64 (n,), bytes 8 to 15.
        owner: int32 (n,), index of the box.
        boxes: number of boxes.
        distance: bytes between the starts of two pieces.
    """

    first: U64
    second: U64
    owner: NDArray[np.int32]
    boxes: int
    distance: int

    @property
    def longest_unseen(self) -> int:
        """Longest run of a box, in bytes, that could be left without a whole piece in it."""
        return self.distance + PIECE - 2

    @classmethod
    def of(cls, boxes: Iterable[Sequence[bytes]], total: int) -> Pieces:
        """Cut up boxes.

        Args:
            boxes: of each box the parts that nothing else contains; parts under 16 bytes are left out.
            total: bytes in all, roughly: many of them make the distance grow.
        """
        distance = min(FARTHEST, max(CLOSEST, -(-total // MOST_PIECES)))
        halves: list[U64] = []
        owners: list[NDArray[np.int32]] = []
        count = 0
        for parts in boxes:
            for part in parts:
                cut = _cut(part, distance)
                halves.append(cut)
                owners.append(np.full(len(cut), count, np.int32))
            count += 1
        both = np.concatenate(halves) if halves else np.empty((0, 2), np.uint64)
        owner = np.concatenate(owners) if owners else np.empty(0, np.int32)
        order = np.argsort(both[:, 0], kind="stable")
        return cls(both[order, 0], both[order, 1], owner[order], count, distance)

    def __len__(self) -> int:
        return len(self.first)


def find(pieces: Pieces, chunks: Iterable[bytes]) -> set[int]:
    """Which boxes have a piece in a stream of bytes.

    Args:
        pieces: what to look for.
        chunks: the stream, in any cuts.

    Returns:
        Indices of boxes.
    """
    found: set[int] = set()
    if not len(pieces):
        return found
    table = np.zeros(1 << _TABLE_BITS, np.bool_)
    mask = np.uint64((1 << _TABLE_BITS) - 1)
    table[pieces.first & mask] = True
    rest = b""
    for chunk in chunks:
        data = rest + chunk
        if len(data) < PIECE:
            rest = data
            continue
        for offset in range(8):
            words = np.frombuffer(data, "<u8", count=(len(data) - offset) // 8, offset=offset)
            # the second half of the last word's piece is in the next chunk, which repeats these bytes
            at = np.flatnonzero(table[words[:-1] & mask])
            place = np.searchsorted(pieces.first, words[at])
            place[place == len(pieces)] = 0
            hit = (pieces.first[place] == words[at]) & (pieces.second[place] == words[at + 1])
            found.update(pieces.owner[place[hit]].tolist())
        rest = data[-(PIECE - 1) :]
    return found


def search_files(pieces: Pieces, database: Path) -> tuple[set[int], dict[str, int]]:
    """Search a SQLite database, its journals and every copy beside it whose name begins with its name.

    Another process reads the files: POSIX drops all of a process's locks on a file when it closes any
    descriptor of it, and SQLite relies on those locks (sqlite.org, How To Corrupt, section 2.2).

    Returns:
        Indices of the boxes of which a piece was found, and the bytes read of each file by its name.

    Raises:
        StoreError: a file can't be read; nothing is proved then.
    """
    found: set[int] = set()
    read: dict[str, int] = {}
    # Journals before the database: pages move from them into it, never back, so none slips past the search.
    for path in sorted(database.parent.glob(f"{_escaped(database.name)}*"), reverse=True):
        if not path.is_file():
            continue
        size = 0

        def counted(file: Path = path) -> Iterator[bytes]:
            nonlocal size
            for chunk in _stream(file):
                size += len(chunk)
                yield chunk

        found |= find(pieces, counted())
        read[path.name] = size
    return found, read


def _stream(path: Path) -> Iterator[bytes]:
    command = [sys.executable, "-I", "-S", "-c", _READER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as reader:
        if reader.stdout is None:
            raise StoreError("the database's bytes can't be read back")
        while chunk := reader.stdout.read(_CHUNK):
            yield chunk
    if reader.returncode not in (0, _ABSENT):
        raise StoreError("the database's bytes can't be read back")


def _cut(part: bytes, distance: int) -> U64:
    """uint64 (n, 2): the halves of one piece every ``distance`` bytes, and of the last 16 bytes."""
    if len(part) < PIECE:
        return np.empty((0, 2), np.uint64)
    last = len(part) - PIECE
    starts = np.append(np.arange(0, last, distance), last)
    taken = np.frombuffer(part, np.uint8)[starts[:, None] + np.arange(PIECE)]
    return np.ascontiguousarray(taken).view("<u8").astype(np.uint64)


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
