"""Labelled pictures: manifests, face boxes, subject-wise splits and leave-one-dataset-out folds.

Pictures stay where they are: this module reads ``../shared/data`` and keeps decoded frames in memory only.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pipeline.camera.frame import Image
from pipeline.vision.detect import Detector
from pipeline.vision.types import F32

#: Data sets with labels; each is held out once. `sdk_samples` is a smoke test and never trained on.
DATASETS = ("nuaa_raw", "sankalita_webcam", "pourfard_bench", "selfie_replay_crops")
#: Unlabelled press pictures: live faces for simulation and for the teachers.
NEUTRAL = ("lfw_single", "lfw_deepfunneled")
#: Subjects never trained on, for the split inside one data set.
DEV_SUBJECTS = frozenset({"nuaa_0003", "nuaa_0008"})
MAX_SIDE = 480
CROP_ONLY = frozenset({"selfie_replay_crops"})


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One decoded picture with its face.

    Attributes:
        path: relative to the data folder.
        image: uint8 (H, W, 3) BGR, longer side at most `MAX_SIDE` unless read at full size.
        box: float32 (4,), x1 y1 x2 y2 of the largest face in pixels of `image`.
        detected: False where no face was found and the whole picture stands in (tight crops only).
        live: True for bona fide, False for an attack.
        species: attack kind, ``none`` for bona fide.
        subject: subject name or "".
        dataset: name of the data set.
    """

    path: str
    image: Image
    box: F32
    detected: bool
    live: bool
    species: str
    subject: str
    dataset: str


def largest_face(detector: Detector, image: Image) -> F32 | None:
    """Box x1 y1 x2 y2 in pixels of the face with the largest area, or None."""
    found = detector.detect(image)
    return found[0].box if found else None


def _rows(root: Path) -> Iterator[tuple[str, bool, str, str, str]]:
    with (root / "pad_all.tsv").open(newline="") as handle:
        for row in csv.DictReader(handle, delimiter="\t"):
            yield row["path"], row["label"] == "live", row["species"], row["subject"] or "", row["group"]


def _neutral_rows(root: Path) -> Iterator[tuple[str, bool, str, str, str]]:
    folders = {"lfw_single": "faces/lfw_single", "lfw_deepfunneled": "verification/lfw_deepfunneled"}
    for name, folder in folders.items():
        for path in sorted((root / folder).rglob("*.jpg")):
            yield str(path.relative_to(root)), True, "none", path.stem.rsplit("_", 1)[0], name


def _shrink(image: Image, box: F32 | None, limit: int) -> tuple[Image, F32 | None]:
    """Longer side to `limit`, but never the face below 96 pixels on that account."""
    scale = limit / max(image.shape[:2])
    if box is not None:
        scale = max(scale, 96 / float(max(box[2] - box[0], box[3] - box[1])))
    if scale >= 1:
        return image, box
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), None if box is None else box * np.float32(scale)


def load(
    root: Path, detector: Detector, datasets: tuple[str, ...], max_side: int | None = MAX_SIDE
) -> list[Picture]:
    """Read, detect and (unless `max_side` is None) shrink every picture of the named data sets.

    Pictures without a face are left out, apart from tight crops, where the whole picture is the box.
    """
    rows = [*_rows(root), *(_neutral_rows(root) if set(datasets) & set(NEUTRAL) else ())]
    out = []
    for rel, live, species, subject, dataset in rows:
        if dataset not in datasets:
            continue
        raw = cv2.imread(str(root / rel), cv2.IMREAD_COLOR)
        if raw is None:
            continue
        image = np.asarray(raw, np.uint8)
        box = largest_face(detector, image)
        found = box is not None
        if box is None:
            if dataset not in CROP_ONLY:
                continue
            box = np.array([0, 0, image.shape[1], image.shape[0]], np.float32)
        if max_side is not None:
            image, small = _shrink(image, box, max_side)
            box = small if small is not None else box
        if min(box[2] - box[0], box[3] - box[1]) < 20:
            continue
        out.append(Picture(rel, image, box, found, live, species, subject, dataset))
    return out


def backgrounds(root: Path, max_side: int = MAX_SIDE) -> list[Image]:
    """Pictures without a usable label, for scenes behind a medium: ``quality/cases`` people and no_face."""
    out = []
    for folder in ("no_face", "people", "RD"):
        for path in sorted((root / "quality" / "cases" / folder).glob("*")):
            raw = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if raw is not None and min(raw.shape[:2]) >= 160:
                out.append(_shrink(np.asarray(raw, np.uint8), None, max_side)[0])
    return out
