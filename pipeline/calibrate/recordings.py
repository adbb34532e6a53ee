"""Recordings of a manifest as the nets see them: log-odds of every frame that the decision would judge."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.camera import Frame, Image, load_picture, open_source
from pipeline.camera.header import is_video
from pipeline.errors import SourceError
from pipeline.evaluation.manifest import Presentation
from pipeline.liveness.cues import same_pixels
from pipeline.liveness.passive import PassiveScore
from pipeline.vision import View
from pipeline.vision.quality import QualityLimits, first_problem
from pipeline.vision.types import F32

F64 = NDArray[np.float64]

LONGEST_CLIP_S: Final = 10.0
"""Seconds of a video that are read: more than twice what a check looks at by default."""


class Scorer(Protocol):
    """Gives a picture's passive score; `PassiveScorer` is one."""

    def score(self, image: Image, box: F32) -> PassiveScore:
        """Score one face."""
        ...


class Eyes(Protocol):
    """The part of `pipeline.vision.Vision` that reading needs."""

    def look(self, image: Image) -> View:
        """Look at a single picture."""
        ...

    def see(self, frame: Frame) -> View:
        """Look at the next frame of a video."""
        ...

    def reset(self) -> None:
        """Forget the track."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One presentation: a video, or the pictures of one subject, species and group.

    Attributes:
        live: True for a person, False for an attack.
        species: kind of attack; "" where live.
        subject: whose face it is.
        clip: True for a video.
        files: how many files it is.
        start: time of the video's first frame, seconds; 0 for pictures.
        t: float64 (k,), seconds; zeros for pictures.
        log_odds: float64 (k,), fused over the nets, of every frame that could be judged.
        items: rows of the manifest.
    """

    live: bool
    species: str
    subject: str
    clip: bool
    files: int
    start: float
    t: F64
    log_odds: F64
    items: tuple[Presentation, ...]

    @property
    def silent(self) -> bool:
        """Nothing in it could be judged."""
        return not self.log_odds.size


def read_recordings(
    rows: Sequence[Presentation],
    eyes: Eyes,
    scorer: Scorer,
    *,
    quality: QualityLimits | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Recording]:
    """Score every file once.

    A video's frames are judged under the same quality limits as in a check, and exact copies are left out. A
    picture is judged wherever a face is found.

    Args:
        rows: of the manifest, each with a subject.
        eyes: vision.
        scorer: the nets.
        quality: what a video's frame must be.
        progress: called after every file.
    """
    limits = quality or QualityLimits()
    clips: list[Recording] = []
    pictures: dict[tuple[bool, str, str, str], list[tuple[Presentation, float]]] = {}
    for done, item in enumerate(rows, 1):
        species = "" if item.live else item.species
        if _is_clip(item.path):
            start, t, odds = _clip(item.path, eyes, scorer, limits)
            clips.append(Recording(item.live, species, item.subject, True, 1, start, t, odds, (item,)))
        else:
            key = (item.live, species, item.subject, item.group)
            pictures.setdefault(key, []).append((item, _picture(item.path, eyes, scorer)))
        if progress is not None:
            progress(done, len(rows))
    for (live, species, subject, _), found in pictures.items():
        odds = np.array([value for _, value in found if math.isfinite(value)], np.float64)
        items = tuple(item for item, _ in found)
        clips.append(
            Recording(live, species, subject, False, len(items), 0.0, np.zeros_like(odds), odds, items)
        )
    return clips


def _is_clip(path: Path) -> bool:
    if path.is_dir():
        return True
    try:
        with path.open("rb") as file:
            return is_video(file.read(192))
    except OSError:
        return False


def _picture(path: Path, eyes: Eyes, scorer: Scorer) -> float:
    """Log-odds of one picture; NaN where there is nothing to judge."""
    try:
        image = load_picture(path)
    except (SourceError, OSError):
        return math.nan
    view = eyes.look(image)
    return math.nan if view.face is None else scorer.score(image, view.face.box).log_odds


def _clip(path: Path, eyes: Eyes, scorer: Scorer, limits: QualityLimits) -> tuple[float, F64, F64]:
    eyes.reset()
    t: list[float] = []
    odds: list[float] = []
    start: float | None = None
    before: Frame | None = None
    try:
        with open_source(path) as source:
            for frame in source:
                start = frame.t if start is None else start
                if frame.t - start > LONGEST_CLIP_S:
                    break
                view = eyes.see(frame)
                copy = before is not None and same_pixels(before, frame)
                before = frame
                if copy or view.face is None or first_problem(view, limits) is not None:
                    continue
                value = scorer.score(frame.image, view.face.box).log_odds
                if math.isfinite(value):
                    t.append(frame.t)
                    odds.append(value)
    except (SourceError, OSError):
        pass
    return start or 0.0, np.array(t, np.float64), np.array(odds, np.float64)
