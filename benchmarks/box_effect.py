"""What the choice of box does to a liveness net: the detector's boxes against those of the mesh.

    python -m benchmarks.box_effect ../shared/data --net fr_liveness
    python -m benchmarks.box_effect ../shared/data --net minifasnet_v2 --file NET.onnx

Area under the curve on the labelled pictures, and the noise of the score over the frames of the live clips.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.faces import Nets, frames, read
from benchmarks.fit_box_map import sample
from pipeline.camera.frame import Image
from pipeline.nets import make_session, open_store
from pipeline.vision.boxes import face_box, iou
from pipeline.vision.crop import FR_LIVENESS, MINIFASNET_V1SE, MINIFASNET_V2, CropSpec, crop_batch
from pipeline.vision.mesh import roi_of_detection, roi_of_landmarks
from pipeline.vision.types import F32

F64 = NDArray[np.float64]

NETS = {
    "fr_liveness": (FR_LIVENESS, 0),
    "minifasnet_v2": (MINIFASNET_V2, 1),
    "minifasnet_v1se": (MINIFASNET_V1SE, 1),
}
"""Crop, and index of the live class."""


class Scorer:
    """A liveness net: log-odds of live for each box."""

    def __init__(self, path: Path, spec: CropSpec, live: int) -> None:
        self._session = make_session(path)
        self._input = self._session.get_inputs()[0].name
        self._spec, self._live = spec, live

    def logits(self, image: Image, boxes: list[F32]) -> F64:
        """Log-odds, clipped to those of one in a million."""
        out = []
        for box in boxes:
            raw = self._session.run(None, {self._input: crop_batch(image, [box], self._spec)})[0][0]
            weight = np.exp(raw.astype(np.float64) - raw.max())
            live = np.clip(weight[self._live] / weight.sum(), 1e-6, 1 - 1e-6)
            out.append(np.log(live / (1 - live)))
        return np.array(out)


def auc(scores: F64, live: NDArray[np.bool_]) -> float:
    """Chance that a live picture scores above a spoof; ties count half."""
    above = scores[live][:, None] - scores[~live][None]
    return float(((above > 0) + 0.5 * (above == 0)).mean())


def curves(nets: Nets, scorer: Scorer, data: Path) -> dict[str, dict[str, float]]:
    """Area under the curve of each labelled set, for three boxes of each face."""
    rows: dict[str, list[tuple[bool, F64]]] = defaultdict(list)
    with (data / "pad_all.tsv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            image = read(data / row["path"])
            found = None if image is None else sample(nets, image)
            if image is None or found is None:
                continue
            boxes = [found.box, *(face_box(m) for m in found.meshes)]
            rows[row["group"]].append((row["label"] == "live", scorer.logits(image, boxes)))
    out = {}
    for name, group in rows.items():
        live = np.array([label for label, _ in group])
        if live.any() and not live.all():
            scores = np.stack([score for _, score in group])
            keys = ("detector", "mesh_first", "mesh_tracked")
            out[name] = {k: round(auc(scores[:, i], live), 4) for i, k in enumerate(keys)}
            out[name]["n"] = len(group)
    return out


def clip_noise(nets: Nets, scorer: Scorer, path: Path, limit: int) -> dict[str, float] | None:
    """Standard deviation of the score from frame to frame, slow change taken out, for both boxes."""
    series: list[F64] = []
    before: F32 | None = None
    for image in frames(path, limit):
        found = nets.detector.detect(image)
        if not found:
            before = None
            continue
        if before is None:
            before = nets.mesh.locate(image, roi_of_detection(found[0])).points
        before = nets.mesh.locate(image, roi_of_landmarks(before)).points
        box = face_box(before)
        best = max(found, key=lambda d: iou(d.box, box))
        if iou(best.box, box) < 0.5:
            before = None
            continue
        series.append(scorer.logits(image, [best.box, box]))
    if len(series) < 30:
        return None
    s = np.stack(series)
    noise = (s[2:] - 2 * s[1:-1] + s[:-2]).std(axis=0) / np.sqrt(6)
    return {"detector": round(float(noise[0]), 3), "mesh": round(float(noise[1]), 3), "frames": len(s)}


def main() -> None:
    """Score with both boxes, print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of labelled data, ../shared/data")
    parser.add_argument("--net", default="fr_liveness", choices=sorted(NETS))
    parser.add_argument("--file", type=Path, help="ONNX file in place of the model store's")
    parser.add_argument("--frames", type=int, default=150, help="frames of each clip")
    args = parser.parse_args()
    nets = Nets()
    scorer = Scorer(args.file or open_store().path(args.net), *NETS[args.net])
    clips = sorted((args.data / "video" / "faces" / "live").iterdir())
    report = {
        "net": args.net,
        "auc": curves(nets, scorer, args.data),
        "clip_noise": {
            f"clip_{i}": clip_noise(nets, scorer, path, args.frames) for i, path in enumerate(clips)
        },
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
