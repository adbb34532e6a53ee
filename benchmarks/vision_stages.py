"""Time of each stage of the vision room, one core.

    python -m benchmarks.vision_stages [--frames 300] [--size 1280x720] [--out FILE.json]

Every stage is run on the same frames of a moving portrait, warmed up first; median and spread in
milliseconds, with the machine's facts and its load beside them. ``pace`` is how many times slower than the
design's quiet core the nets alone ran: virtual machines are throttled, so compare stages within one run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

from benchmarks.faces import Nets, read
from pipeline.camera.frame import Frame
from pipeline.nets import make_session, open_store
from pipeline.vision.align import align, five_points
from pipeline.vision.boxes import face_box
from pipeline.vision.crop import FR_LIVENESS, MINIFASNET_V2, CropSpec, crop_batch
from pipeline.vision.embed import FaceEmbedder
from pipeline.vision.mesh import FaceMesh, roi_of_detection, roi_of_landmarks
from pipeline.vision.pose import head_pose
from pipeline.vision.quality import measure
from pipeline.vision.vision import Vision

WARM_UP = 30
DESIGN = {"detector net": 0.64, "mesh 192 net": 0.63, "mesh 256 net": 2.88, "embedding net": 2.44}
"""Milliseconds that the nets alone took on a quiet core of this kind of machine, onnxruntime 1.32."""


def machine() -> dict[str, object]:
    """What the numbers depend on."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = (line for line in info.read_text().splitlines() if line.startswith("model name"))
        name = next(models, f": {name}").split(":", 1)[1].strip()
    return {
        "cpu": name,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "onnxruntime": ort.__version__,
    }


def stream(width: int, height: int, count: int) -> list[Frame]:
    """A portrait that drifts over a grey frame, a third of the frame's height in face."""
    portrait = read(open_store().path("sample_astronaut"))
    if portrait is None:
        raise SystemExit("the sample picture can't be read")
    scale = height / 320
    out = []
    for i in range(count):
        x = width / 2 - 224 * scale + 0.05 * width * np.sin(i / 20)
        matrix = np.array([[scale, 0, x], [0, scale, 0.03 * height * np.sin(i / 13)]])
        image = cv2.warpAffine(portrait, matrix, (width, height), borderValue=(90, 90, 90))
        out.append(Frame(np.ascontiguousarray(image, np.uint8), t=i / 30, seq=i))
    return out


def timed(call: Callable[[int], object], count: int) -> dict[str, float]:
    """Milliseconds of ``call(i)``: median, quartiles and least."""
    for i in range(WARM_UP):
        call(i % count)
    spent = np.empty(count)
    for i in range(count):
        start = time.perf_counter()
        call(i)
        spent[i] = (time.perf_counter() - start) * 1e3
    low, middle, high = np.percentile(spent, [25, 50, 75])
    values = {"median": middle, "q1": low, "q3": high, "min": spent.min(), "n": count}
    return {k: round(float(v), 4) for k, v in values.items()}


def batching(path: Path, spec: CropSpec, count: int) -> dict[str, dict[str, float]]:
    """Two crops in one run against two runs of one."""
    session = make_session(path)
    name = session.get_inputs()[0].name
    pair = np.random.default_rng(0).uniform(0, 255, (2, 3, spec.size, spec.size)).astype(np.float32)
    pair /= np.float32(spec.divide)

    def one_by_one(_: int) -> None:
        session.run(None, {name: pair[:1]})
        session.run(None, {name: pair[1:]})

    return {
        "one run of two": timed(lambda _: session.run(None, {name: pair}), count),
        "two runs of one": timed(one_by_one, count),
    }


def stages(frames: list[Frame]) -> dict[str, dict[str, float]]:
    """Each stage on every frame."""
    store, count = open_store(), len(frames)
    images = [f.image for f in frames]
    nets, fine, embedder = (
        Nets(),
        FaceMesh(store.path("face_mesh_478")),
        FaceEmbedder(store.path("fr_feature")),
    )
    found = [nets.detector.detect(image)[0] for image in images]
    meshes = [nets.mesh.locate(i, roi_of_detection(d)).points for i, d in zip(images, found, strict=True)]
    looker = Vision(store)
    faces = [looker.look(image).face for image in images]
    rooms = {
        spec: np.empty((1, 3, spec.size, spec.size), np.float32) for spec in (MINIFASNET_V2, FR_LIVENESS)
    }
    fives, boxes = [five_points(m) for m in meshes], [face_box(m) for m in meshes]

    def quality(i: int) -> object:
        face = faces[i]
        return None if face is None else measure(images[i], face, 1)

    def follow(every: int) -> Callable[[int], object]:
        vision = Vision(store, detect_every=every)
        return lambda i: vision.see(frames[i])

    def net(path: Path, size: int) -> Callable[[int], object]:
        session = make_session(path)
        blob = np.zeros((1, 3, size, size), np.float32)
        feed = {session.get_inputs()[0].name: blob}
        return lambda _: session.run(None, feed)

    calls: dict[str, Callable[[int], object]] = {
        "detector net": net(store.path("face_detector"), 128),
        "mesh 192 net": net(store.path("face_mesh"), 192),
        "mesh 256 net": net(store.path("face_mesh_478"), 256),
        "embedding net": net(store.path("fr_feature"), 112),
        "detect": lambda i: nets.detector.detect(images[i]),
        "mesh 192, region to points": lambda i: nets.mesh.locate(images[i], roi_of_landmarks(meshes[i])),
        "mesh 256, region to points": lambda i: fine.locate(images[i], roi_of_landmarks(meshes[i])),
        "face box": lambda i: face_box(meshes[i]),
        "five points and align 112": lambda i: align(images[i], five_points(meshes[i])),
        "pose": lambda i: head_pose(meshes[i]),
        "quality": quality,
        "crop 2.7 to 80": lambda i: crop_batch(images[i], [boxes[i]], MINIFASNET_V2, rooms[MINIFASNET_V2]),
        "crop 2.7 to 128": lambda i: crop_batch(images[i], [boxes[i]], FR_LIVENESS, rooms[FR_LIVENESS]),
        "embed": lambda i: embedder.embed(images[i], fives[i]),
        "see, detector every 5th": follow(5),
        "see, detector every frame": follow(1),
        "look": lambda i: looker.look(images[i]),
    }
    return {name: timed(call, count) for name, call in calls.items()}


def main() -> None:
    """Time and print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--size", default="1280x720", help="WIDTHxHEIGHT")
    parser.add_argument("--batch", type=Path, nargs="*", default=[], help="ONNX nets of 80 pixels to batch")
    parser.add_argument("--out", type=Path, help="write the JSON here instead of to the screen")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    width, height = (int(v) for v in args.size.split("x"))
    before = machine()
    spent = stages(stream(width, height, args.frames))
    report = {
        "machine": before,
        "size": args.size,
        "pace": round(float(np.median([spent[k]["median"] / v for k, v in DESIGN.items()])), 2),
        "ms": spent,
        "design_ms": DESIGN,
        "batch_ms": {
            "fr_liveness": batching(open_store().path("fr_liveness"), FR_LIVENESS, args.frames),
            **{path.stem: batching(path, MINIFASNET_V2, args.frames) for path in args.batch},
        },
        "load_after": machine()["load"],
    }
    text = json.dumps(report, indent=1)
    if args.out:
        args.out.write_text(text + "\n")
    else:
        print(text)


if __name__ == "__main__":
    main()
