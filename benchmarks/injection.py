"""Statistics that could tell an injected stream from a camera's, on clips and on injections made from them.

    python -m benchmarks.injection repeat [--data ../shared/data]   loops: pipeline.liveness.injection
    python -m benchmarks.injection others                           those that are not in the decision
    python -m benchmarks.injection cost

The clips stand for a camera's recordings. They have been compressed already, by unknown programs, and their
times are a container's: what compression, noise and timing would tell of a live camera can't be judged on
them.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.pad_data import read_clip, share
from pipeline.camera.frame import Image
from pipeline.liveness.injection import BOUND, EXACT, RepeatMeter, signature

F64 = NDArray[np.float64]
WIDTH: Final = 240
"""Pixels that clips are reduced to for the made-up streams."""
PREFIX: Final = 36
"""Frames of a clip that a loop repeats."""


def clips(data: Path, limit: int) -> Iterator[tuple[str, float, list[Image]]]:
    """Every clip of the folder by a number and its kind, reduced in size; its people are not named."""
    files = sorted(path for path in (data / "video" / "faces").rglob("*") if path.suffix in SUFFIXES)
    for number, path in enumerate(files):
        fps, frames = read_clip(path, limit)
        scale = WIDTH / frames[0].width
        size = (WIDTH, round(frames[0].height * scale))
        small = [
            np.asarray(cv2.resize(f.image, size, interpolation=cv2.INTER_AREA), np.uint8) for f in frames
        ]
        yield f"{number} {path.parent.name}", fps, small


SUFFIXES: Final = {".mp4", ".mov", ".webm"}


def coded(image: Image, quality: int, noise: float, rng: np.random.Generator) -> Image:
    """The picture with noise of so many grey levels added, through JPEG."""
    if noise:
        spread = noise * rng.standard_normal(image.shape, dtype=np.float32)
        image = np.clip(image + spread, 0, 255).astype(np.uint8)
    code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)


def injections(frames: list[Image], rng: np.random.Generator) -> Iterator[tuple[str, list[Image]]]:
    """Streams made from a clip's beginning."""
    part = frames[:PREFIX]
    yield "loop, exact", part * 2
    yield "to and fro, exact", part + part[::-1]
    yield "loop, JPEG 80", [coded(f, 80, 0.0, rng) for f in part * 2]
    yield "loop, noise 2, JPEG 80", [coded(f, 80, 2.0, rng) for f in part * 2]
    yield "loop, noise 5, JPEG 50", [coded(f, 50, 5.0, rng) for f in part * 2]
    yield "to and fro, noise 2, JPEG 80", [coded(f, 80, 2.0, rng) for f in part + part[::-1]]
    drift = np.linspace(0, 6, 2 * PREFIX)
    yield (
        "loop, moved by 6 pixels, JPEG 80",
        [coded(move(f, x), 80, 0.0, rng) for f, x in zip(part * 2, drift, strict=False)],
    )
    sway = 3 * np.cumsum(rng.normal(0, 0.3, 2 * PREFIX))
    yield "still, swaying, noise 2", [coded(move(part[0], x), 90, 2.0, rng) for x in sway]


def move(image: Image, x: float) -> Image:
    """The picture, x pixels to the right."""
    matrix = np.array([[1, 0, x], [0, 1, 0]], np.float32)
    size = (image.shape[1], image.shape[0])
    return np.asarray(cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def seen(frames: list[Image]) -> tuple[float, int]:
    """Lowest ratio and longest exact run of a stream."""
    meter = RepeatMeter()
    for image in frames:
        meter.see(image)
    return meter.lowest, meter.exact


def repeat(args: argparse.Namespace) -> None:
    """Ratios of clips as they are, and of injections made from them."""
    rng = np.random.default_rng(0)
    found: dict[str, list[float]] = {}
    alarms = total = 0
    for name, fps, frames in clips(args.data, args.frames):
        lowest, exact = seen(frames)
        alarm = lowest < BOUND or exact >= EXACT
        alarms, total = alarms + alarm, total + 1
        print(
            f"clip {name}, {fps:.0f} fps, {len(frames)} frames: ratio {lowest:.3f}, exact run {exact}",
            flush=True,
        )
        for kind, stream in injections(frames, rng):
            ratio, run = seen(stream)
            found.setdefault(kind, []).append(0.0 if run >= EXACT else ratio)
    print(f"false alarms: {share(alarms, total)}")
    for kind, ratios in found.items():
        caught = sum(r < BOUND for r in ratios)
        print(f"{kind}: caught {share(caught, len(ratios))}; ratios {np.round(np.sort(ratios), 3).tolist()}")


def others(args: argparse.Namespace) -> None:
    """What the other statistics say of clips, and of a still with noise or without."""
    rng = np.random.default_rng(0)
    for name, _, frames in clips_raw(args.data, 20):
        row = [statistics(frames)]
        still = [coded(move(frames[0], 0.2 * k), 90, 0.0, rng) for k in range(10)]
        row.append(statistics(still))
        row.append(statistics([coded(f, 70, 0.0, rng) for f in frames[:10]]))
        labels = ("as it is", "still, moved, no noise", "JPEG 70 once more")
        for label, values in zip(labels, row, strict=True):
            print(
                f"clip {name}, {label}: " + ", ".join(f"{k} {v:.3f}" for k, v in values.items()), flush=True
            )


def clips_raw(data: Path, limit: int) -> Iterator[tuple[str, float, list[Image]]]:
    """As `clips`, at the file's own size."""
    files = sorted(path for path in (data / "video" / "faces").rglob("*") if path.suffix in SUFFIXES)
    for number, path in enumerate(files):
        fps, frames = read_clip(path, limit)
        yield f"{number} {path.parent.name}", fps, [f.image for f in frames]


def statistics(frames: list[Image]) -> dict[str, float]:
    """Noise, block grid, histogram gaps, bars and sharpness of a few frames."""
    grey = [cv2.cvtColor(f, cv2.COLOR_BGR2GRAY).astype(np.float64) for f in frames[:10]]
    return {
        "equal pixels": float(np.mean([np.mean(a == b) for a, b in itertools.pairwise(grey)])),
        "noise floor": noise_floor(grey),
        "grid": block_grid(grey[0]),
        "histogram": histogram_comb(grey[0]),
        "bars": bars(grey[0]),
        "top octave": top_octave(grey[0]),
    }


def noise_floor(grey: list[F64]) -> float:
    """Standard deviation in time of the quietest tenth of 16x16 blocks, grey levels (no motion there)."""
    stack = np.stack(grey)
    height, width = (side // 16 * 16 for side in stack.shape[1:])
    spread = np.diff(stack[:, :height, :width], axis=0).std(axis=0) / np.sqrt(2)
    blocks = spread.reshape(height // 16, 16, width // 16, 16).mean(axis=(1, 3))
    return float(np.quantile(blocks, 0.1))


def block_grid(grey: F64) -> float:
    """Steps across columns of one phase of 8 over those of the others: about 1 without an 8x8 grid."""
    steps = np.abs(np.diff(grey, axis=1)).mean(axis=0)
    phases = np.array([steps[k::8].mean() for k in range(8)])
    return float(phases.max() / np.median(phases))


def histogram_comb(grey: F64) -> float:
    """Largest peak of the grey histogram's spectrum above its slow part, over the number of pixels.

    A stretched or twice quantised picture has a comb of gaps.
    """
    histogram = np.bincount(grey.astype(np.intp).ravel(), minlength=256)[8:248] / grey.size
    smooth = np.convolve(histogram, np.ones(5) / 5, "same")
    return float(np.abs(np.fft.rfft(histogram - smooth))[40:].max())


def bars(grey: F64) -> float:
    """Share of columns and rows at the edges that hold one grey level: letterbox."""
    flat_rows, flat_columns = np.ptp(grey, axis=1) < 4, np.ptp(grey, axis=0) < 4
    return float((flat_rows.mean() + flat_columns.mean()) / 2)


def top_octave(grey: F64) -> float:
    """Energy of the finest details over those of twice the size: small for what was enlarged."""
    fine = np.diff(grey[::1, ::1], axis=1).var()
    coarse = np.diff(cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), axis=1).var()
    return float(fine / (coarse + 1e-9))


def cost(args: argparse.Namespace) -> None:
    """Processor time of a frame at 1280x720, with 240 frames remembered."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (720, 1280, 3), np.uint8) for _ in range(4)]
    meter = RepeatMeter()
    whole: list[int] = []
    alone: list[int] = []
    for k in range(240):
        image = images[k % 4]
        image[::8, ::8] = rng.integers(0, 256)
        start = time.process_time_ns()
        signature(image)
        middle = time.process_time_ns()
        meter.see(image)
        whole.append(time.process_time_ns() - middle)
        alone.append(middle - start)
    print(
        f"signature {np.median(alone) / 1e6:.3f} ms, whole {np.median(whole) / 1e6:.3f} ms a frame (median)"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("command", choices=("repeat", "others", "cost"))
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--frames", type=int, default=400)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    {"repeat": repeat, "others": others, "cost": cost}[args.command](args)


if __name__ == "__main__":
    main()
