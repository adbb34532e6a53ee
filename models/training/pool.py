"""Pool of training crops: live pictures, real attacks, simulated ones, each twice under a jittered box.

    python -m models.training.pool --data ../shared/data --teachers ../shared/models --out CACHE

Entries are made in a seeded random order and written to flat arrays; a time limit cuts the order short, and
what is there stays a fair sample. The pool holds faces: keep it out of the checkout.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing as mp
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from models.training.camera import capture
from models.training.crops import TIGHT, jitter_box, pair
from models.training.data import (
    DATASETS,
    DEV_SUBJECTS,
    NEUTRAL,
    Picture,
    backgrounds,
    load,
)
from models.training.recapture import distract, recapture
from models.training.teachers import Teachers
from pipeline.camera.frame import Image
from pipeline.vision.detect import BlazeFaceDetector
from pipeline.vision.types import F32

#: Entries per picture: (live as it is, real attack, simulated attack of a live picture).
COPIES = {
    "nuaa_raw": (6, 5, 6),
    "sankalita_webcam": (25, 12, 20),
    "pourfard_bench": (7, 40, 5),
    "selfie_replay_crops": (8, 8, 5),
    "lfw_single": (5, 0, 9),
    "lfw_deepfunneled": (5, 0, 8),
}
#: Shift and scale of the two boxes: what a detector does by itself, and all that must not matter.
JITTER = ((0.05, 0.04), (0.2, 0.15))


@dataclass(frozen=True, slots=True)
class Task:
    """One entry to make: which picture, and whether it is recaptured."""

    picture: int
    simulate: bool


def plan(pictures: list[Picture], seed: int, datasets: Collection[str]) -> list[Task]:
    """Every entry to make from pictures of `datasets`, in a seeded random order."""
    tasks = []
    for index, picture in enumerate(pictures):
        if picture.subject in DEV_SUBJECTS or picture.dataset not in datasets:
            continue
        live, attack, simulated = COPIES[picture.dataset]
        tasks += [Task(index, False)] * (live if picture.live else attack)
        tasks += [Task(index, True)] * (simulated if picture.live else 0)
    order = np.random.default_rng(seed).permutation(len(tasks))
    return [tasks[int(i)] for i in order]


def reframe(image: Image, box: F32, rng: np.random.Generator) -> tuple[Image, F32]:
    """The same face turned a little, or in a tighter frame: some cameras show no surroundings."""
    if rng.random() < 0.25:
        centre = tuple(float(v) for v in (box[:2] + box[2:]) / 2)
        turn = cv2.getRotationMatrix2D(centre, float(rng.uniform(-10, 10)), 1.0)
        size = (image.shape[1], image.shape[0])
        image = np.asarray(
            cv2.warpAffine(image, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101),
            np.uint8,
        )
    if rng.random() < 0.35:
        side = float(max(box[2] - box[0], box[3] - box[1]))
        near = rng.random() < 0.4
        reach = side * rng.uniform(0.02 if near else 0.2, 0.25 if near else 1.2, 4)
        x1, y1 = max(0, int(box[0] - reach[0])), max(0, int(box[1] - reach[1]))
        x2 = min(image.shape[1], int(box[2] + reach[2]))
        y2 = min(image.shape[0], int(box[3] + reach[3]))
        if x2 - x1 > 24 and y2 - y1 > 24:
            image = np.ascontiguousarray(image[y1:y2, x1:x2])
            box = box - np.array([x1, y1, x1, y1], np.float32)
    return image, box


def make(
    picture: Picture, simulate: bool, sources: list[Image], rng: np.random.Generator
) -> tuple[Image, F32, str]:
    """One scene as the camera delivers it.

    Returns:
        Picture, box of the face, and the medium: ``live``, ``real`` (attack), or that of `recapture`.
    """
    image, box, medium = picture.image, picture.box, "live" if picture.live else "real"
    if simulate:
        shot = recapture(image, box, sources, rng)
        image, box, medium = shot.image, shot.box, shot.medium
    elif picture.live and rng.random() < 0.3:
        image = distract(image, box, sources, rng)
    strength = 1.0 if rng.random() < 0.6 else 0.5
    if not simulate and rng.random() < 0.2:
        strength = 0.0
    unit = float(np.clip(max(box[2] - box[0], box[3] - box[1]) / 150, 0.3, 3))
    image, box = reframe(image, box, rng)
    return capture(image, rng, strength, unit), box, medium


_STATE: dict[str, Any] = {}


def _work(part: tuple[int, int, float]) -> list[tuple[int, str]]:
    """Make entries part[0], part[0] + part[1], ... until the time is up."""
    start, step, deadline = part
    cv2.setNumThreads(1)
    pictures, tasks, common, seed = (_STATE[k] for k in ("pictures", "tasks", "common", "seed"))
    own = _STATE["own"]
    crops = np.lib.format.open_memmap(_STATE["crops"], mode="r+")
    logits = np.lib.format.open_memmap(_STATE["logits"], mode="r+")
    teachers = Teachers(_STATE["teachers"])
    done = []
    for index in range(start, len(tasks), step):
        if time.monotonic() > deadline:
            break
        picture = pictures[tasks[index].picture]
        rng = np.random.default_rng([seed, index])
        image, box, medium = make(picture, tasks[index].simulate, common + own[picture.dataset], rng)
        for view, reach in enumerate(JITTER):
            wide = jitter_box(box, rng, *reach)
            low = np.maximum(wide[:2], 0)
            high = np.minimum(wide[2:], np.array([image.shape[1], image.shape[0]], np.float32))
            if (high - low).min() < 8:
                wide = box
            crops[index, view, 0], crops[index, view, 1] = pair(image, wide)
        logits[index] = teachers.logits(image, box)
        done.append((index, medium))
    return done


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--teachers", type=Path, default=Path("../shared/models"))
    parser.add_argument("--detector", type=Path, required=True, help="BlazeFace short range as ONNX")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--datasets", nargs="+", default=[*DATASETS, *NEUTRAL], choices=DATASETS + NEUTRAL)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)  # before the workers fork: they can't use a pool of threads that stayed behind
    pictures = load(args.data, BlazeFaceDetector(args.detector), DATASETS + NEUTRAL)
    tasks = plan(pictures, args.seed, args.datasets)
    scenes = backgrounds(args.data) + [p.image for p in pictures if p.dataset in NEUTRAL][::40]
    own = {
        name: [p.image for p in pictures if p.dataset == name and p.live and p.subject not in DEV_SUBJECTS]
        for name in DATASETS + NEUTRAL
    }
    for name, images in own.items():
        own[name] = images[:: max(1, len(images) // 25)] if name not in NEUTRAL else []
    print(f"{len(pictures)} pictures, {len(tasks)} entries, {len(scenes)} scenes", flush=True)
    shape = (len(tasks), len(JITTER), 2, TIGHT.size, TIGHT.size, 3)
    np.lib.format.open_memmap(args.out / "crops.npy", mode="w+", dtype=np.uint8, shape=shape).flush()
    np.lib.format.open_memmap(
        args.out / "logits.npy", mode="w+", dtype=np.float32, shape=(len(tasks), 3)
    ).flush()
    _STATE.update(
        pictures=pictures, tasks=tasks, common=scenes, own=own, seed=args.seed, teachers=args.teachers
    )
    _STATE.update(crops=args.out / "crops.npy", logits=args.out / "logits.npy")
    deadline = time.monotonic() + 60 * args.minutes
    with mp.get_context("fork").Pool(args.jobs) as workers:
        parts = [(k, args.jobs, deadline) for k in range(args.jobs)]
        done = sorted(row for rows in workers.map(_work, parts, chunksize=1) for row in rows)
    with (args.out / "entries.tsv").open("w", newline="") as handle:
        writer = csv.writer(handle, delimiter="\t")
        writer.writerow(["index", "dataset", "live", "medium", "subject"])
        for index, medium in done:
            picture = pictures[tasks[index].picture]
            live = int(picture.live and not tasks[index].simulate)
            writer.writerow([index, picture.dataset, live, medium, picture.subject])
    print(f"{len(done)} entries made", flush=True)


if __name__ == "__main__":
    main()
