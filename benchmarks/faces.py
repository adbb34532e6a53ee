"""What the scripts on faces share: pictures of a folder, frames of a clip, a split by person, the nets."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from pipeline.camera.frame import Image
from pipeline.nets import open_store
from pipeline.vision.detect import BlazeFaceDetector
from pipeline.vision.mesh import FaceMesh

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp"}


def pictures(folder: Path) -> list[Path]:
    """All pictures below a folder, sorted by name."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)


def read(path: Path) -> Image | None:
    """A picture as uint8 (height, width, 3), BGR, or None where the file is none."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    return None if image is None else np.asarray(image, np.uint8)


def live_pictures(data: Path) -> Iterator[tuple[str, str, Image]]:
    """Set, person and picture of all who are live by the labels, in ``faces/lfw_single`` and the PAD sets."""
    for path in pictures(data / "faces" / "lfw_single"):
        image = read(path)
        if image is not None:
            yield "lfw_single", path.stem, image
    with (data / "pad_all.tsv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            image = read(data / row["path"]) if row["label"] == "live" else None
            if image is not None:
                yield row["group"], row["subject"], image


def frames(path: Path, limit: int) -> Iterator[Image]:
    """The first frames of a clip."""
    capture = cv2.VideoCapture(str(path))
    for _ in range(limit):
        ok, image = capture.read()
        if not ok:
            break
        yield np.asarray(image, np.uint8)
    capture.release()


def in_first_half(person: str) -> bool:
    """Which half of the people somebody is in: the same on every run and machine."""
    return hashlib.sha256(person.encode()).digest()[0] % 2 == 0


class Nets:
    """Detector and mesh of the model store."""

    def __init__(self, mesh: str = "face_mesh") -> None:
        store = open_store()
        self.detector = BlazeFaceDetector(store.path("face_detector"))
        self.mesh = FaceMesh(store.path(mesh))
