"""Fit and judge the map from a face mesh to a box of the detector's kind (`pipeline.vision.boxes`).

    python -m benchmarks.fit_box_map ../shared/data --out box_map.json

Fitted on one half of the people of ``faces/lfw_single``, reported on the other half, on the PAD pictures and
on the clips; the detector's agreement with itself, after a border was added to the picture, is the yardstick.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.faces import Nets, frames, in_first_half, pictures, read
from pipeline.camera.frame import Image
from pipeline.vision.boxes import BOX_CENTRE, BOX_SIDE, box_anchors, box_spans, face_box, iou, mesh_bounds
from pipeline.vision.mesh import roi_of_detection, roi_of_landmarks
from pipeline.vision.types import F32

BORDERS = (60, 120)
"""Pixels added around LFW's 250: the face then has a third less and half of its share of the picture."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One face: the detector's box and the meshes placed from it and from the first mesh."""

    box: F32
    meshes: tuple[F32, F32]


def sample(nets: Nets, image: Image) -> Sample | None:
    """The largest face of a picture, or None where either net sees none."""
    found = nets.detector.detect(image)
    if not found:
        return None
    first = nets.mesh.locate(image, roi_of_detection(found[0]))
    second = nets.mesh.locate(image, roi_of_landmarks(first.points))
    if min(first.presence, second.presence) < 0.5:
        return None
    return Sample(box=found[0].box, meshes=(first.points, second.points))


def fit(samples: list[Sample]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least-squares weights of centre and side, errors in shares of the face's size."""
    arms, spans, offsets, sides = [], [], [], []
    for s in samples:
        side = float(s.box[2] - s.box[0])
        for mesh in s.meshes:
            anchors = box_anchors(mesh)
            arms.append((anchors[1:] - anchors[0]) / side)
            offsets.append(((s.box[:2] + s.box[2:]) / 2 - anchors[0]) / side)
            spans.append(box_spans(mesh, anchors) / side)
            sides.append(1.0)
    a = np.concatenate([np.stack(arms)[:, :, 0], np.stack(arms)[:, :, 1]]).astype(np.float64)
    b = np.concatenate([np.stack(offsets)[:, 0], np.stack(offsets)[:, 1]]).astype(np.float64)
    centre = np.linalg.lstsq(a, b, rcond=None)[0]
    side_weights = np.linalg.lstsq(np.stack(spans).astype(np.float64), np.array(sides), rcond=None)[0]
    return centre, side_weights


def fit_bounds(samples: list[Sample]) -> tuple[float, float]:
    """The plain map for comparison: a square about the mesh's bounds, shifted and scaled by its height."""
    rows = [(s.box, mesh_bounds(m)) for s in samples for m in s.meshes]
    height = np.array([b[3] - b[1] for _, b in rows])
    side = np.array([d[3] - d[1] for d, _ in rows])
    shift = np.array([(d[1] + d[3] - b[1] - b[3]) / 2 for d, b in rows])
    return float(np.mean(side / height)), float(np.mean(shift / height))


def bounds_box(mesh: F32, scale: float, shift: float) -> F32:
    """Box of the plain map."""
    x1, y1, x2, y2 = mesh_bounds(mesh).tolist()
    height = y2 - y1
    x, y, half = (x1 + x2) / 2, (y1 + y2) / 2 + shift * height, scale * height / 2
    return np.array([x - half, y - half, x + half, y + half], np.float32)


def as_rounded(weights: NDArray[np.floating[Any]]) -> list[float]:
    """Three decimals."""
    return [round(float(w), 3) for w in weights]


def summary(values: list[float]) -> dict[str, float]:
    """Mean, 5th percentile, least and count."""
    v = np.array(values)
    return {
        "mean": round(float(v.mean()), 4),
        "p5": round(float(np.percentile(v, 5)), 4),
        "min": round(float(v.min()), 4),
        "n": len(v),
    }


def agreement(samples: list[Sample]) -> dict[str, Any]:
    """Overlap of the map's box with the detector's, and how its size and place differ on average."""
    pairs = [(s.box, face_box(m)) for s in samples for m in s.meshes]
    ratio = np.array([(b[2] - b[0]) / (a[2] - a[0]) for a, b in pairs])
    shift = np.array([((b[:2] + b[2:]) - (a[:2] + a[2:])) / 2 / (a[2] - a[0]) for a, b in pairs])
    return {
        "iou": summary([iou(a, b) for a, b in pairs]),
        "size_ratio": [round(float(ratio.mean()), 3), round(float(ratio.std()), 3)],
        "shift_x": [round(float(shift[:, 0].mean()), 3), round(float(shift[:, 0].std()), 3)],
        "shift_y": [round(float(shift[:, 1].mean()), 3), round(float(shift[:, 1].std()), 3)],
    }


def yardstick(nets: Nets, paths: list[Path]) -> dict[str, Any]:
    """Overlap of the detector's box with its own after a grey border was added."""
    out = {}
    for border in BORDERS:
        values = []
        for path in paths:
            image = read(path)
            if image is None:
                continue
            wide = cv2.copyMakeBorder(image, *[border] * 4, cv2.BORDER_CONSTANT, value=(90, 90, 90))
            a, b = nets.detector.detect(image), nets.detector.detect(np.asarray(wide, np.uint8))
            if a and b:
                values.append(max(iou(a[0].box, d.box - border) for d in b))
        out[f"border_{border}"] = summary(values)
    return out


def jitter(boxes: list[F32]) -> dict[str, float]:
    """RMS second difference of centre and side over consecutive boxes, in shares of the side.

    A steady motion has none; independent noise leaves sqrt(6) times its standard deviation, divided out here.
    """
    b = np.stack(boxes).astype(np.float64)
    side = b[:, 2] - b[:, 0]
    track = np.column_stack([(b[:, 0] + b[:, 2]) / 2, (b[:, 1] + b[:, 3]) / 2, side]) / np.median(side)
    second = track[2:] - 2 * track[1:-1] + track[:-2]
    noise = np.median(np.abs(second), axis=0) * 1.4826 / np.sqrt(6)
    return {"x": round(float(noise[0]), 5), "y": round(float(noise[1]), 5), "side": round(float(noise[2]), 5)}


def clip_jitter(nets: Nets, path: Path, limit: int) -> dict[str, Any] | None:
    """Jitter of the detector's boxes and of the mesh's over the frames where both see the same face."""
    detected, meshed = [], []
    before: F32 | None = None
    for image in frames(path, limit):
        found = nets.detector.detect(image)
        if before is None and found:
            before = nets.mesh.locate(image, roi_of_detection(found[0])).points
        if before is None:
            continue
        mesh = nets.mesh.locate(image, roi_of_landmarks(before))
        before = mesh.points if mesh.presence >= 0.5 else None
        if before is None or not found:
            continue
        box = face_box(mesh.points)
        best = max(found, key=lambda d: iou(d.box, box))
        if iou(best.box, box) >= 0.5:
            detected.append(best.box)
            meshed.append(box)
    if len(meshed) < 30:
        return None
    overlap = summary([iou(a, b) for a, b in zip(detected, meshed, strict=True)])
    side = float(np.median([b[2] - b[0] for b in meshed]))
    return {"side_px": round(side, 1), "detector": jitter(detected), "mesh": jitter(meshed), "iou": overlap}


def main() -> None:
    """Fit, judge, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of labelled data, ../shared/data")
    parser.add_argument("--mesh", default="face_mesh", choices=["face_mesh", "face_mesh_478"])
    parser.add_argument("--frames", type=int, default=250, help="frames of each clip")
    parser.add_argument("--out", type=Path, help="write the JSON here instead of to the screen")
    args = parser.parse_args()
    nets = Nets(args.mesh)
    paths = pictures(args.data / "faces" / "lfw_single")
    halves = [p for p in paths if in_first_half(p.stem)], [p for p in paths if not in_first_half(p.stem)]

    def samples(of: list[Path]) -> list[Sample]:
        images = (read(p) for p in of)
        found = (sample(nets, image) for image in images if image is not None)
        return [s for s in found if s is not None]

    train, test = samples(halves[0]), samples(halves[1])
    centre, side = fit(train)
    scale, shift = fit_bounds(train)
    report = {
        "mesh": args.mesh,
        "fit": {"people": len(train), "centre": as_rounded(centre), "side": as_rounded(side)},
        "in_use": {"centre": as_rounded(BOX_CENTRE), "side": as_rounded(BOX_SIDE)},
        "other_half": agreement(test),
        "other_half_mesh_bounds_only": summary(
            [iou(s.box, bounds_box(m, scale, shift)) for s in test for m in s.meshes]
        ),
        "detector_with_itself": yardstick(nets, halves[1][::3]),
        "pad": {
            p.name: agreement(samples(pictures(p)))
            for p in sorted((args.data / "pad").iterdir())
            if p.is_dir() and len(pictures(p)) > 20
        },
        "clips": {
            f"clip_{i}": clip_jitter(nets, p, args.frames)
            for i, p in enumerate(sorted((args.data / "video" / "faces" / "live").iterdir()))
        },
    }
    text = json.dumps(report, indent=1)
    if args.out:
        args.out.write_text(text + "\n")
    else:
        print(text)


if __name__ == "__main__":
    main()
