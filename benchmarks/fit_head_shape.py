"""Fit the mean head shape that `pipeline.vision.pose` turns into every mesh.

    python -m benchmarks.fit_head_shape ../shared/data

Generalised Procrustes analysis (Gower, 1975) over one half of the people of ``faces/lfw_single``: mirrored,
so that the mean is symmetric; turned, so that the median pitch is zero. The other half gives the spread that
is reported.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.faces import Nets, in_first_half, pictures, read
from pipeline.vision.mesh import roi_of_detection, roi_of_landmarks
from pipeline.vision.pose import MIDLINE, PAIRS, RIGID, angles, rotation

F64 = NDArray[np.float64]
MIRROR = np.array([-1.0, 1.0, 1.0])


def mirrored(shape: F64) -> F64:
    """The shape of the mirrored face, points in the order of `RIGID`."""
    n = len(PAIRS)
    order = np.concatenate([np.arange(n, 2 * n), np.arange(n), np.arange(2 * n, 2 * n + len(MIDLINE))])
    return shape[order] * MIRROR


def centred(points: F64) -> F64:
    """Points (..., k, 3) about their mean with a root mean square length of 1."""
    points = points - points.mean(axis=-2, keepdims=True)
    return np.asarray(points / np.sqrt((points**2).sum(axis=(-1, -2), keepdims=True) / points.shape[-2]))


def rotations(meshes: F64, shape: F64) -> F64:
    """Rotation of the shape into each of (n, k, 3): (n, 3, 3)."""
    return np.stack([rotation(points, shape) for points in meshes])


def mean_shape(meshes: F64, rounds: int = 30) -> F64:
    """Symmetric mean (k, 3) of rigid points (n, k, 3)."""
    shapes = centred(meshes)
    mean = centred(shapes.mean(axis=0) + mirrored(shapes.mean(axis=0)))
    for _ in range(rounds):
        turned = np.einsum("nki,nij->nkj", shapes, rotations(shapes, mean))
        mean = centred(turned.mean(axis=0) + mirrored(turned.mean(axis=0)))
    return mean


def pitched(shape: F64, degrees: float) -> F64:
    """The shape turned about the x axis."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.asarray(shape @ np.array([[1, 0, 0], [0, cos, sin], [0, -sin, cos]]))


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of labelled data, ../shared/data")
    args = parser.parse_args()
    nets = Nets()
    halves: dict[bool, list[F64]] = {True: [], False: []}
    for path in pictures(args.data / "faces" / "lfw_single"):
        image = read(path)
        found = [] if image is None else nets.detector.detect(image)
        if image is None or not found:
            continue
        first = nets.mesh.locate(image, roi_of_detection(found[0]))
        mesh = nets.mesh.locate(image, roi_of_landmarks(first.points))
        if mesh.presence >= 0.5:
            halves[in_first_half(path.stem)].append(mesh.points[RIGID].astype(np.float64))
    train, test = np.stack(halves[True]), np.stack(halves[False])
    shape = mean_shape(train)
    for _ in range(3):
        pitch = np.median([angles(r).pitch for r in rotations(train, shape)])
        shape = pitched(shape, float(pitch))
    poses = [angles(r) for r in rotations(test, shape)]
    turned = np.einsum("nki,nij->nkj", centred(test), rotations(centred(test), shape))
    left, middle = shape[: len(PAIRS)], shape[2 * len(PAIRS) :]
    report = {
        "people": [len(train), len(test)],
        "image_left": left.round(3).tolist(),
        "midline": middle[:, 1:].round(3).tolist(),
        "fitted_half_median_pitch": round(
            float(np.median([angles(r).pitch for r in rotations(train, shape)])), 3
        ),
        "residual": round(float(np.sqrt(((turned - shape) ** 2).sum(axis=2).mean())), 4),
        "other_half": {
            name: np.percentile([getattr(p, name) for p in poses], [5, 50, 95]).round(1).tolist()
            for name in ("yaw", "pitch", "roll")
        },
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
