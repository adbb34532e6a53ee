"""Our converted nets, and the vision built on them, against mediapipe 0.10.21 in an environment of its own.

`make test` makes that environment from requirements/mediapipe.txt; LIVEGATE_MEDIAPIPE_PYTHON names another.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.nets import ModelStore, make_session, open_store
from pipeline.vision.detect import BlazeFaceDetector
from pipeline.vision.mesh import FaceMesh, roi_of_detection
from pipeline.vision.types import Detection

SCRIPT = Path(__file__).with_name("mediapipe_reference.py")
MIN_IOU = 0.95
MAX_MESH_RMS = 0.5
"""Pixels of the net's 192-pixel input."""
PICTURES = (("pad/nuaa_raw", 14), ("faces/lfw_single", 13), ("quality/cases", 13))
"""Folders of ../shared/data and how many pictures of each, evenly over their sorted paths."""
TOLERANCE = {
    "face_detector": 2e-3,
    "face_mesh": 2e-3,
    "face_mesh_478": 4e-3,
    "face_blendshapes": 3e-5,
    "iris_landmark": 5e-4,
}
"""Largest difference accepted of any output: pixels of the crop, logits, or coefficients. About ten times
what was measured (2e-4, 1.3e-4, 4.2e-4, 2.9e-6, 3.9e-5): float32 sums in another order."""

Reference = Callable[..., dict[str, NDArray[Any]]]


@pytest.fixture(scope="module")
def reference(mediapipe_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """Run the reference script: ``reference("graphs", job)`` gives the arrays that it wrote."""

    def run(kind: str, job: Path) -> dict[str, NDArray[Any]]:
        out = tmp_path_factory.mktemp("reference") / "out.npz"
        command = [str(mediapipe_python), str(SCRIPT), kind, str(job), str(out)]
        done = subprocess.run(command, capture_output=True, check=False, timeout=240)
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-2000:]
        with np.load(out) as data:
            return dict(data)

    return run


@pytest.fixture(scope="module")
def store() -> ModelStore:
    return open_store()


def net_inputs(store: ModelStore, image: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """Three items for each net, NCHW: a face, another cut of it, noise."""
    inputs: dict[str, NDArray[np.float32]] = {}
    noise = np.random.default_rng(7)
    for name in TOLERANCE:
        entry = store.manifest[name].inputs[0]
        if entry.layout == "points":
            continue
        assert entry.range is not None
        low, high = entry.range
        cuts = (image[20:240, 110:330], image[60:200, 150:290])
        items = [cv2.resize(cut, entry.shape[:0:-1])[..., ::-1].transpose(2, 0, 1) / 255 for cut in cuts]
        items.append(noise.random(entry.shape))
        inputs[name] = (np.stack(items) * (high - low) + low).astype(np.float32)
    mesh = make_session(store.path("face_mesh_478"))
    landmarks = mesh.run(["landmarks"], {"input": inputs["face_mesh_478"]})[0]
    inputs["face_blendshapes"] = landmarks.reshape(3, 478, 3)[:, :146, :2].copy()
    return inputs


@pytest.fixture(scope="module")
def net_reference(
    store: ModelStore,
    reference: Reference,
    astronaut: NDArray[np.uint8],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[Any]]]:
    inputs = net_inputs(store, astronaut)
    job: dict[str, Any] = {}
    for name, value in inputs.items():
        original = store.original(store.manifest[name])
        assert original.is_file(), f"pull {name} first"
        job[f"{name}.file"] = str(original)
        job[f"{name}.input"] = value.transpose(0, 2, 3, 1) if value.ndim == 4 else value
    path = tmp_path_factory.mktemp("job") / "job.npz"
    np.savez(path, **job)
    return inputs, reference("nets", path)


@pytest.mark.parametrize("name", TOLERANCE)
def test_converted_net_gives_the_numbers_of_the_tflite_interpreter(
    name: str,
    store: ModelStore,
    net_reference: tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[Any]]],
) -> None:
    inputs, expected = net_reference
    outputs = store.manifest[name].outputs
    found = make_session(store.path(name)).run([o.name for o in outputs], {"input": inputs[name]})
    for output, value in zip(outputs, found, strict=True):
        wanted = expected[f"{name}.{output.index}"]
        worst = float(np.abs(value.reshape(len(wanted), -1) - wanted).max())
        print(f"{name} {output.name}: max |diff| {worst:.2e} of max |value| {np.abs(wanted).max():.3g}")
        assert np.abs(wanted).max() > 0.1
        assert worst <= TOLERANCE[name], f"{output.name} differs by {worst}"


def iou(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Intersection over union of two boxes x1 y1 x2 y2."""
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = max(width, 0.0) * max(height, 0.0)
    return float(shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared))


def compare(
    paths: list[Path], expected: dict[str, NDArray[Any]], store: ModelStore
) -> tuple[NDArray[Any], NDArray[Any], int]:
    """IoU of each of mediapipe's boxes with our nearest, RMS of each mesh, pictures with other counts."""
    detector, mesh = BlazeFaceDetector(store.path("face_detector")), FaceMesh(store.path("face_mesh"))
    overlaps: list[float] = []
    errors: list[float] = []
    miscounted = 0
    for i, path in enumerate(paths):
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        assert image is not None
        found: list[Detection] = detector.detect(np.asarray(image, np.uint8))
        boxes, points = expected[f"{i}.boxes"], expected[f"{i}.mesh"]
        miscounted += len(found) != len(boxes)
        overlaps += [max((iou(box, d.box) for d in found), default=0.0) for box in boxes]
        if len(points):
            rois = [roi_of_detection(d) for d in found]
            meshes = [mesh.locate(np.asarray(image, np.uint8), roi) for roi in rois]
            rms = [
                float(np.sqrt(np.mean(np.sum((m.points[:, :2] - points[:, :2]) ** 2, axis=1))))
                * 192
                / roi.side
                for m, roi in zip(meshes, rois, strict=True)
            ]
            errors.append(min(rms, default=np.inf))
    print(
        f"{len(overlaps)} boxes, least IoU {min(overlaps):.4f}; {len(errors)} meshes, RMS px at 192:", end=" "
    )
    print(f"median {np.median(errors):.4f}, worst {max(errors):.4f}; {miscounted} pictures miscounted")
    return np.array(overlaps), np.array(errors), miscounted


def graphs(paths: list[Path], reference: Reference, folder: Path) -> dict[str, NDArray[Any]]:
    job = folder / "pictures.json"
    job.write_text(json.dumps([str(path) for path in paths]))
    return reference("graphs", job)


def test_detector_and_mesh_equal_mediapipe_on_the_sample(
    store: ModelStore, reference: Reference, tmp_path: Path
) -> None:
    paths = [store.path("sample_astronaut")]
    overlaps, errors, miscounted = compare(paths, graphs(paths, reference, tmp_path), store)
    assert len(overlaps) == len(errors) == 1
    assert miscounted == 0
    assert overlaps.min() >= MIN_IOU
    assert errors.max() <= MAX_MESH_RMS


def test_detector_and_mesh_equal_mediapipe_on_labelled_pictures(
    store: ModelStore, reference: Reference, shared_data: Path, tmp_path: Path
) -> None:
    paths: list[Path] = []
    for folder, count in PICTURES:
        found = sorted((shared_data / folder).rglob("*.jpg"))
        paths += [found[i * len(found) // count] for i in range(count)]
    overlaps, errors, miscounted = compare(paths, graphs(paths, reference, tmp_path), store)
    assert len(overlaps) >= 30
    assert len(errors) >= 30
    assert miscounted == 0
    assert overlaps.min() >= MIN_IOU
    assert errors.max() <= MAX_MESH_RMS


def test_parity_environment_is_not_this_one(mediapipe_python: Path) -> None:
    assert mediapipe_python.parent.resolve() != Path(sys.executable).parent.resolve()
