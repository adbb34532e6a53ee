"""The passive score of files: pictures one by one, clips through the same judgement as a check."""

from __future__ import annotations

import math
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pipeline.camera import Image, load_picture, open_source
from pipeline.camera.header import is_video
from pipeline.errors import SourceError
from pipeline.liveness.judge import Judge, JudgeSettings
from pipeline.liveness.passive import PassiveScorer
from pipeline.nets import open_store
from pipeline.reasons import Reason
from pipeline.settings import Settings
from pipeline.vision import Vision
from pipeline.vision.quality import DEFAULT_LIMITS

THRESHOLD: Final = 0.5
"""A picture whose score is at least this counts as live: the Bayes decision at equal priors and costs, the
score being a calibrated posterior. A check is stricter: it wants the bounds of its sequential decision."""
UNREADABLE: Final = "unreadable"


@dataclass(frozen=True, slots=True)
class ScoreRecord:
    """What was found in one file.

    Attributes:
        path: the file.
        faces: faces counted; in a clip the most in any frame. A picture's largest face is the one scored.
        score: probability of a live person at equal priors, in [0, 1]; None where nothing could be judged.
        live: whether it counts as live; None without a score.
        reason: stable word for what is not live or could not be judged, else None.
        ms: time spent on the file in milliseconds, decoding included.
        details: what led to the score: each net's own probability, or the clip's verdict and cues.
    """

    path: Path
    faces: int
    score: float | None
    live: bool | None
    reason: str | None
    ms: float
    details: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready form, as the contract has it."""
        return {
            "path": str(self.path),
            "faces": self.faces,
            "score": None if self.score is None else round(self.score, 6),
            "live": self.live,
            "reason": self.reason,
            "ms": round(self.ms, 2),
            "details": self.details,
        }


class FileScorer:
    """Scores pictures and clips with the settings' nets, loaded once.

    Args:
        settings: nets, mesh, targets and deadline are used.

    Raises:
        ModelError: a model file is missing or wrong.
        SettingsError: a net has no calibration, or the site's own is wrong or for other nets.
    """

    threshold: float = THRESHOLD

    def __init__(self, settings: Settings) -> None:
        store = open_store(settings.models_dir, offline=settings.offline)
        mesh = "face_mesh_478" if settings.mesh == "accurate" else "face_mesh"
        self._vision = Vision(
            store, mesh=mesh, detect_every=settings.detect_every, provider=settings.provider
        )
        self._passive = PassiveScorer.load(
            store, settings.nets, provider=settings.provider, site=settings.calibration
        )
        self._judge = Judge(store, JudgeSettings.of(settings), scorer=self._passive)
        self.nets = settings.nets
        self.calibration = self._passive.calibration

    def score(self, path: Path) -> ScoreRecord:
        """Score one file; what can't be read gives a record with the reason, not an error.

        Args:
            path: picture, video, or folder of pictures that are the frames of one clip.
        """
        start = time.perf_counter()
        try:
            if path.is_dir() or (path.is_file() and _is_video(path)):
                found = self._clip(path)
            else:
                found = self._picture(load_picture(path))
        except (SourceError, OSError):
            found = _Found(0, None, None, UNREADABLE)
        ms = (time.perf_counter() - start) * 1e3
        return ScoreRecord(path, found.faces, found.score, found.live, found.reason, ms, found.details)

    def _picture(self, image: Image) -> _Found:
        view = self._vision.look(image)
        if view.face is None:
            return _Found(0, None, None, Reason.NO_FACE)
        passive = self._passive.score_image(view, image)
        nets = {name: round(value, 6) for name, value in passive.nets.items()}
        if not math.isfinite(passive.probability):
            return _Found(view.faces, None, None, Reason.UNDECIDED, {"nets": nets})
        live = passive.probability >= THRESHOLD
        reason = None if live else Reason.SPOOF
        if live and (view.quality is None or not view.quality.noise <= DEFAULT_LIMITS.max_noise):
            live, reason = False, Reason.TOO_DARK  # noise drives the nets' scores of attacks up
        return _Found(view.faces, passive.probability, live, reason, {"nets": nets})

    def _clip(self, path: Path) -> _Found:
        """The clip's verdict; it ends where a check would end."""
        self._vision.reset()
        faces = 0
        session = self._judge.begin(uuid.uuid4().hex, live=False)
        with open_source(path) as source:
            for frame in source:
                step = session.take(frame, self._vision.see)
                faces = max(faces, session.view.faces)
                if step.verdict is not None:
                    break
        verdict = session.finish()
        details: dict[str, Any] = {
            "verdict": verdict.state,
            "frames": verdict.frames,
            "cues": {name: round(float(value), 4) for name, value in verdict.cues.items()},
        }
        score = verdict.score if verdict.frames or verdict.state == "spoof" else None
        live = None if score is None else verdict.state == "live"
        return _Found(faces, score, live, verdict.reason, details)


@dataclass(frozen=True, slots=True)
class _Found:
    faces: int
    score: float | None
    live: bool | None
    reason: str | None
    details: dict[str, Any] = field(default_factory=dict)


def _is_video(path: Path) -> bool:
    with path.open("rb") as file:
        return is_video(file.read(192))
