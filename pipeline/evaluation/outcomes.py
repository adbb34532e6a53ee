"""What the product said of each presentation, in memory and as ``scores.csv``."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.camera.header import is_video
from pipeline.errors import SourceError, UsageError
from pipeline.evaluation.curve import Flags
from pipeline.evaluation.intervals import F64
from pipeline.evaluation.manifest import Presentation

CSV_COLUMNS: Final = (
    "path", "label", "species", "subject", "group", "score", "accepted", "reason", "faces", "ms",
    "level",
)  # fmt: skip
OLD_COLUMNS: Final = CSV_COLUMNS[:-1]
"""Of tables that were written before pictures and videos were told apart; they are still read."""
PICTURE, VIDEO = "picture", "video"
UNREADABLE: Final = "unreadable"
BAD_SCORE: Final = "bad_score"
NO_SCORE: Final = "no_score"


class ScoreRecord(Protocol):
    """What a scorer says of one picture or video: a line of ``livegate score``.

    Attributes:
        path: what was scored.
        faces: faces found.
        score: in [0, 1], higher is more live; None where there was no response.
        live: the product's verdict, vetoes included; None is undecided and counts as not accepted.
        reason: why there is no score, or why the verdict is no, in one snake_case word.
        ms: milliseconds that it took.
    """

    @property
    def path(self) -> Path: ...  # noqa: D102
    @property
    def faces(self) -> int: ...  # noqa: D102
    @property
    def score(self) -> float | None: ...  # noqa: D102
    @property
    def live(self) -> bool | None: ...  # noqa: D102
    @property
    def reason(self) -> str | None: ...  # noqa: D102
    @property
    def ms(self) -> float: ...  # noqa: D102


class Scorer(Protocol):
    """The product under test.

    Attributes:
        threshold: score at or above which it takes a presentation for live, where nothing vetoes.
        nets: names of the liveness nets behind it.
    """

    @property
    def threshold(self) -> float: ...  # noqa: D102
    @property
    def nets(self) -> Sequence[str]: ...  # noqa: D102

    def score(self, path: Path) -> ScoreRecord:
        """Score one picture or video. A `SourceError` is taken for an unreadable file."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """One presentation with what was said of it.

    Attributes:
        item: the row of the manifest.
        score: in [0, 1], or None: no response.
        accepted: whether the product took it for live.
        reason: snake_case word, or None.
        faces: faces found, or None where it was not looked at.
        ms: milliseconds, or None likewise.
        level: `PICTURE`, `VIDEO` (folders of frames too), or "" where nobody looked.
    """

    item: Presentation
    score: float | None
    accepted: bool
    reason: str | None
    faces: int | None
    ms: float | None
    level: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Outcomes as columns.

    Attributes:
        scores: float64 (n,), NaN where there was no response.
        live, accepted: bool (n,).
        species, groups, levels: str (n,).
        units: str (n,): the subject, or the path where none is named.
        named: whether every presentation names its subject.
    """

    scores: F64
    live: Flags
    accepted: Flags
    species: NDArray[np.str_]
    groups: NDArray[np.str_]
    levels: NDArray[np.str_]
    units: NDArray[np.str_]
    named: bool


def judge(scorer: Scorer, item: Presentation) -> Outcome:
    """Score one row. What is not there, or can't be read, is a non-response; the run goes on.

    Raises:
        LivegateError: something is wrong with the product and not with this file: a model is missing.
    """
    if not (item.path.is_file() or item.path.is_dir()):
        return Outcome(item, None, False, UNREADABLE, None, None)
    level = level_of(item.path)
    try:
        record = scorer.score(item.path)
    except SourceError:
        return Outcome(item, None, False, UNREADABLE, None, None, level)
    score, reason = record.score, record.reason
    if score is None:
        reason = reason or NO_SCORE
    elif not (math.isfinite(score) and 0 <= score <= 1):
        score, reason = None, BAD_SCORE
    accepted = score is not None and record.live is True
    value = None if score is None else float(score)
    return Outcome(item, value, accepted, reason, record.faces, record.ms, level)


def level_of(path: Path) -> str:
    """Whether a file is judged as one picture, or as a video with the sequential decision."""
    try:
        if path.is_dir():
            return VIDEO
        with path.open("rb") as file:
            return VIDEO if is_video(file.read(192)) else PICTURE
    except OSError:
        return ""


def table(outcomes: Sequence[Outcome]) -> Table:
    """Outcomes as columns."""
    items = [outcome.item for outcome in outcomes]
    return Table(
        scores=np.array([np.nan if o.score is None else o.score for o in outcomes], np.float64),
        live=np.array([item.live for item in items], np.bool_),
        accepted=np.array([o.accepted for o in outcomes], np.bool_),
        species=np.array([item.species for item in items], np.str_),
        groups=np.array([item.group for item in items], np.str_),
        levels=np.array([o.level for o in outcomes], np.str_),
        units=np.array(
            [f"s:{item.subject}" if item.subject else f"f:{item.name}" for item in items], np.str_
        ),
        named=all(item.subject for item in items),
    )


class OutcomeWriter:
    """Writes outcomes as they come, so that an interrupted run keeps what it has."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._rows = csv.writer(file, lineterminator="\n")
        self._rows.writerow(CSV_COLUMNS)

    def write(self, outcome: Outcome) -> None:
        """Append one row."""
        item = outcome.item
        self._rows.writerow(
            [
                item.name,
                "live" if item.live else "spoof",
                item.species,
                item.subject,
                item.group,
                "" if outcome.score is None else repr(outcome.score),
                int(outcome.accepted),
                outcome.reason or "",
                "" if outcome.faces is None else outcome.faces,
                "" if outcome.ms is None else f"{outcome.ms:.2f}",
                outcome.level,
            ]
        )
        self._file.flush()


@contextmanager
def open_writer(path: Path) -> Iterator[OutcomeWriter]:
    """Open ``scores.csv`` for writing."""
    with path.open("w", encoding="utf-8", newline="") as file:
        yield OutcomeWriter(file)


def read_outcomes(path: Path) -> list[Outcome]:
    """Read ``scores.csv`` back.

    Raises:
        UsageError: it is not there, or not such a file.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            if tuple(rows.fieldnames or ()) not in (CSV_COLUMNS, OLD_COLUMNS):
                raise UsageError(f"{path.name} is not a table of scores", hint=_HINT)
            return [_outcome(row, path.parent, rows.line_num) for row in rows]
    except (OSError, csv.Error, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path.name} can't be read: {type(error).__name__}", hint=_HINT) from None


def _outcome(row: dict[str, str], folder: Path, line: int) -> Outcome:
    score = float(row["score"]) if row["score"] else None
    if row["label"] not in ("live", "spoof") or row["accepted"] not in ("0", "1"):
        raise ValueError
    if score is not None and not 0 <= score <= 1:
        raise ValueError
    item = Presentation(
        name=row["path"],
        path=folder / row["path"],
        live=row["label"] == "live",
        species=row["species"],
        subject=row["subject"],
        group=row["group"],
        line=line,
    )
    return Outcome(
        item=item,
        score=score,
        accepted=row["accepted"] == "1" and score is not None,
        reason=row["reason"] or None,
        faces=int(row["faces"]) if row["faces"] else None,
        ms=float(row["ms"]) if row["ms"] else None,
        level=row.get("level") or "",
    )


_HINT: Final = "Name the folder that `livegate eval pad --out` wrote."
