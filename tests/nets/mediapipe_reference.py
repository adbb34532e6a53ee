"""Reference numbers of mediapipe 0.10.21. A script for its own Python; the tests never import it.

    .venv-mediapipe/bin/python tests/nets/mediapipe_reference.py nets JOB.npz OUT.npz
    .venv-mediapipe/bin/python tests/nets/mediapipe_reference.py graphs PICTURES.json OUT.npz

`nets` feeds TFLite files with given tensors. `graphs` runs mediapipe's whole face detection and face mesh,
with its own pre- and post-processing, on picture files.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np


def run_nets(job: Path, out: Path) -> None:
    """For each `NAME.file`, `NAME.input` (NHWC) of a job, write outputs `NAME.0`, `NAME.1` ... per item."""
    from ai_edge_litert.interpreter import Interpreter

    results: dict[str, Any] = {}
    with np.load(job) as data:
        for name in sorted(key.removesuffix(".file") for key in data if key.endswith(".file")):
            interpreter = Interpreter(str(data[f"{name}.file"]), num_threads=1)
            interpreter.allocate_tensors()
            entry = interpreter.get_input_details()[0]
            outputs = [detail["index"] for detail in interpreter.get_output_details()]
            rows: list[list[Any]] = [[] for _ in outputs]
            for item in data[f"{name}.input"]:
                interpreter.set_tensor(entry["index"], item[None])
                interpreter.invoke()
                for row, index in zip(rows, outputs, strict=True):
                    row.append(interpreter.get_tensor(index).reshape(-1).copy())
            results |= {f"{name}.{i}": np.stack(row) for i, row in enumerate(rows)}
    np.savez(out, **results)


def run_graphs(pictures: Path, out: Path) -> None:
    """For picture i write `i.boxes` (n, 4) x1 y1 x2 y2, `i.keypoints` (n, 6, 2), `i.scores`, `i.mesh`.

    Pixels of the picture. `i.mesh` is (468, 3) or (0, 3); its x y are pixels, z is in the scale of x.
    """
    from mediapipe.python.solutions.face_detection import FaceDetection
    from mediapipe.python.solutions.face_mesh import FaceMesh

    results: dict[str, Any] = {}
    with (
        FaceDetection(model_selection=0, min_detection_confidence=0.5) as detector,
        FaceMesh(static_image_mode=True, max_num_faces=1, min_detection_confidence=0.5) as mesh,
    ):
        for i, path in enumerate(json.loads(pictures.read_text())):
            image = cv2.cvtColor(cv2.imread(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
            size = np.array([image.shape[1], image.shape[0]], np.float64)
            boxes, keypoints, scores = [], [], []
            for found in detector.process(image).detections or []:
                box = found.location_data.relative_bounding_box
                corners = np.array([box.xmin, box.ymin, box.xmin + box.width, box.ymin + box.height])
                boxes.append(corners * np.tile(size, 2))
                keypoints.append([[p.x, p.y] * size for p in found.location_data.relative_keypoints])
                scores.append(found.score[0])
            faces = mesh.process(image).multi_face_landmarks
            points = [[p.x, p.y, p.z] for p in faces[0].landmark] if faces else []
            results[f"{i}.boxes"] = np.array(boxes).reshape(-1, 4)
            results[f"{i}.keypoints"] = np.array(keypoints).reshape(-1, 6, 2)
            results[f"{i}.scores"] = np.array(scores)
            results[f"{i}.mesh"] = np.array(points).reshape(-1, 3) * [size[0], size[1], size[0]]
    np.savez(out, **results)


if __name__ == "__main__":
    {"nets": run_nets, "graphs": run_graphs}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
