"""Fit and judge the two linear models of `pipeline.vision.occlusion`.

    python -m benchmarks.fit_occlusion ../shared/data

Masks and sunglasses are drawn onto one half of the people (``faces/lfw_single`` and the live PAD pictures)
and the models are fitted to tell them from the same people bare. Reported on the other half, and on the worn
masks of ``quality/cases/face_mask``, of which none is fitted on. What is drawn is simulated; the worn masks
are real and few.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.faces import in_first_half, live_pictures, pictures, read
from pipeline.camera.frame import Image
from pipeline.nets import open_store
from pipeline.vision.align import align, similarity, template
from pipeline.vision.occlusion import (
    LOWER,
    LOWER_REFERENCE,
    UPPER,
    UPPER_REFERENCE,
    features,
    occlusion,
    region_stats,
)
from pipeline.vision.types import F32, Face
from pipeline.vision.vision import Vision

F64 = NDArray[np.float64]

JAW = [234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454]
"""Mesh points from the image-left temple down to the chin and up again."""
CLOTH = [(225, 225, 225), (215, 200, 170), (30, 30, 30), (120, 120, 120)]
"""BGR of white, light blue, black and grey masks; a fifth kind has any colour."""


def eye_distance(points: F32) -> float:
    """Pixels between the outer eye corners."""
    return float(np.linalg.norm(points[263, :2] - points[33, :2]))


def paint(image: Image, area: NDArray[np.uint8], colour: F64, softness: float) -> Image:
    """Lay a colour (height, width, 3) over an area, its edge blurred."""
    weight = cv2.GaussianBlur(area, (0, 0), max(0.6, softness)).astype(np.float64)[..., None] / 255
    return np.clip(image * (1 - weight) + colour * weight, 0, 255).astype(np.uint8)


def with_mask(image: Image, points: F32, rng: np.random.Generator) -> Image:
    """A simulated mask from the nose to below the chin: plain, shaded, striped, mottled or printed."""
    cut = int(rng.integers(0, 4))
    nose = points[1, :2]
    rim = nose + (points[JAW[cut : len(JAW) - cut], :2] - nose) * rng.uniform(1.0, 1.12)
    left, right = points[rng.choice([116, 50]), :2], points[rng.choice([345, 280]), :2]
    outline = np.concatenate([rim, [right, points[rng.choice([6, 197, 195, 5]), :2], left]])
    area = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(area, [np.rint(outline).astype(np.int32)], 255)
    if not area.any():
        return image
    kind = int(rng.integers(5))
    cloth = np.array(CLOTH[kind] if kind < len(CLOTH) else rng.integers(0, 256, 3), np.float64)
    cloth *= np.clip(image[area > 0].mean() / 130, 0.4, 1.3)
    y, x = np.indices(image.shape[:2])
    unit = eye_distance(points)
    shade = 1 - 0.25 * np.clip(np.abs(x - nose[0]) / unit, 0, 1) * rng.uniform(0, 1)
    shade += 0.1 * (nose[1] - y) / unit * rng.uniform(-1, 1)
    if rng.random() < 0.4:
        waves = (y + x * rng.uniform(-0.3, 0.3)) / unit * rng.uniform(2, 6)
        shade *= 1 + rng.uniform(0.02, 0.15) * np.sin(2 * np.pi * waves)
    if rng.random() < 0.2:
        blots = cv2.GaussianBlur(rng.normal(0, 1, image.shape[:2]), (0, 0), unit / 8)
        shade *= 1 + blots * rng.uniform(0.5, 2)
    colour = cloth * shade[..., None]
    if rng.random() < 0.2:
        motif = cv2.GaussianBlur(rng.normal(0, 1, image.shape[:2]), (0, 0), unit * rng.uniform(0.04, 0.12))
        colour = np.where((motif > motif.std())[..., None], rng.uniform(0, 255, 3), colour)
    colour = np.clip(colour, 0, 255) + rng.normal(0, 2, (*image.shape[:2], 1))
    return paint(image, area, colour, unit / 60)


def with_sunglasses(image: Image, points: F32, rng: np.random.Generator) -> Image:
    """Simulated sunglasses: two dark lenses, some with a gradient, some letting a little through."""
    area = np.zeros(image.shape[:2], np.uint8)
    unit = eye_distance(points)
    along = points[263, :2] - points[33, :2]
    turn = float(np.degrees(np.arctan2(along[1], along[0])))
    wide, high = float(unit * rng.uniform(0.42, 0.52)), float(unit * rng.uniform(0.3, 0.42))
    for inner, outer in ((133, 33), (362, 263)):
        x, y = ((points[inner, :2] + points[outer, :2]) / 2).tolist()
        cv2.ellipse(area, ((x, y + 0.04 * unit), (wide, high), turn), 255, -1)
    glass = rng.uniform(5, 60) + rng.uniform(-8, 8, 3)
    rows = np.arange(image.shape[0])[:, None, None]
    colour = np.clip(glass * (1 + (rows - points[168, 1]) / unit * rng.uniform(-0.5, 0.8)), 0, 255)
    colour = np.broadcast_to(colour, image.shape)
    return paint(image, (area * rng.uniform(0.8, 1)).astype(np.uint8), colour, unit / 60)


def patch(image: Image, face: Face) -> tuple[Image, F32]:
    """The aligned face in YCrCb and the mesh in its pixels, as `pipeline.vision.quality` makes them."""
    matrix = similarity(face.five, template())
    ycrcb = cv2.cvtColor(align(image, face.five), cv2.COLOR_BGR2YCrCb)
    points = face.landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray(ycrcb, np.uint8), points.astype(np.float32)


def fit(x: F64, y: NDArray[np.bool_], ridge: float = 1.0) -> tuple[F64, float]:
    """Logistic regression, both classes weighted alike, ridge on standardised features: weights and bias."""
    mean, spread = x.mean(axis=0), x.std(axis=0)
    design = np.column_stack([(x - mean) / spread, np.ones(len(x))])
    weight = np.where(y, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    penalty = np.diag([ridge] * x.shape[1] + [0.0])
    beta = np.zeros(design.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ beta))
        curvature = weight * np.maximum(p * (1 - p), 1e-9)
        hessian = (design * curvature[:, None]).T @ design + penalty
        gradient = design.T @ (weight * (y - p)) - penalty @ beta
        beta += np.linalg.solve(hessian, gradient)
    slopes = beta[:-1] / spread
    return slopes, float(beta[-1] - slopes @ mean)


def main() -> None:
    """Draw, fit, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of labelled data, ../shared/data")
    args = parser.parse_args()
    vision = Vision(open_store())
    rng = np.random.default_rng(5)
    stats: dict[tuple[str, bool, str], list[F64]] = defaultdict(list)
    scores: dict[tuple[str, bool, str], list[float]] = defaultdict(list)
    unseen: dict[str, int] = defaultdict(int)

    def add(kind: str, first: bool, group: str, image: Image) -> Face | None:
        face = vision.look(image).face
        if face is None:
            unseen[f"{kind} {group}"] += 1
            return None
        ycrcb, points = patch(image, face)
        stats[kind, first, group].append(region_stats(ycrcb, points))
        scores[kind, first, group].append(occlusion(ycrcb, points))
        return face

    for group, person, image in live_pictures(args.data):
        first = in_first_half(person)
        face = add("bare", first, group, image)
        if face is not None:
            for _ in range(2):
                add("mask", first, group, with_mask(image, face.landmarks, rng))
            add("sunglasses", first, group, with_sunglasses(image, face.landmarks, rng))
    for path in pictures(args.data / "quality" / "cases" / "face_mask"):
        image = read(path)
        if image is not None:
            add("worn mask", False, "cases", image)

    def rows(kind: str, regions: slice, reference: NDArray[np.intp]) -> F64:
        chosen = [s for (k, first, _), many in stats.items() if k == kind and first for s in many]
        return np.stack([features(s, regions, reference).ravel() for s in chosen])

    report: dict[str, object] = {}
    for name, kind, regions, reference in (
        ("lower", "mask", LOWER, UPPER_REFERENCE),
        ("upper", "sunglasses", UPPER, LOWER_REFERENCE),
    ):
        covered, free = rows(kind, regions, reference), rows("bare", regions, reference)
        labels = np.arange(len(covered) + len(free)) < len(covered)
        slopes, bias = fit(np.concatenate([covered, free]), labels)
        report[name] = {"weights": slopes.reshape(-1, 6).round(3).tolist(), "bias": round(bias, 3)}
    report["flagged_by_what_is_in_use"] = {
        f"{kind}, {group}": {"share": round(float(np.mean(np.array(v) > 0.5)), 4), "n": len(v)}
        for (kind, first, group), v in sorted(scores.items())
        if not first
    }
    report["no_face_found"] = dict(unseen)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
