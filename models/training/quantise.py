"""INT8 copy of the exported net, and what it costs and brings: the difference is reported, never assumed.

    python -m models.training.quantise --net NET.onnx --pool CACHE --bench BENCH.npz --out INT8.onnx

Static quantisation of onnxruntime: uint8 activations, int8 weights per channel, ranges from crops of the pool
(which are never those that it is judged on). The first convolution of each trunk sees raw pixels and stays
float32.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from models.training import metrics
from models.training.data import DATASETS
from models.training.entries import read_rows
from models.training.evaluate import read, timing
from pipeline.nets.session import make_session


def tensors(crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """Crops (n, 2, 96, 96, 3) uint8 BGR as the net's two inputs, float32 (n, 3, 96, 96)."""
    planes = crops.transpose(1, 0, 4, 2, 3).astype(np.float32)
    return {"tight": planes[0], "context": planes[1]}


class Crops(CalibrationDataReader):  # type: ignore[misc]
    """Feeds seeded crops of a pool, eight at a time, to the calibration.

    Args:
        folder: of `models.training.pool`.
        count: so many crops; fewer than a hundred leave the ranges to chance.
    """

    def __init__(self, folder: Path, count: int) -> None:
        crops = np.load(folder / "crops.npy", mmap_mode="r")
        made = [int(row["index"]) for row in read_rows(folder)]
        picked = np.sort(np.random.default_rng(3).choice(made, min(count, len(made)), replace=False))
        self._feeds: Iterator[dict[str, NDArray[np.float32]]] = (
            tensors(np.stack([crops[k, 0] for k in picked[start : start + 8]]))
            for start in range(0, len(picked), 8)
        )

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next batch, or None at the end."""
        return next(self._feeds, None)


def _sees_pixels(graph: onnx.GraphProto, node: onnx.NodeProto) -> bool:
    """Whether a convolution takes three channels: its weights are (out, 3, k, k)."""
    dims = {item.name: item.dims for item in graph.initializer}
    return node.input[1] in dims and dims[node.input[1]][1] == 3


def quantise(net: Path, pool: Path, out: Path, count: int = 400) -> None:
    """Write an INT8 copy of `net` to `out`, its ranges taken from `count` crops of `pool`."""
    logging.getLogger().setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.onnx"
        quant_pre_process(str(net), str(ready), skip_symbolic_shape=True)
        graph = onnx.load(ready).graph
        pixels = [node.name for node in graph.node if node.op_type == "Conv" and _sees_pixels(graph, node)]
        quantize_static(
            str(ready),
            str(out),
            Crops(pool, count),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=pixels,
        )


def judge(net: Path, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Logits (n,) of a net file for crops (n, 2, 96, 96, 3) uint8 BGR."""
    session = make_session(net)
    parts = [
        session.run(["live"], tensors(crops[k : k + 32]))[0].reshape(-1) for k in range(0, len(crops), 32)
    ]
    return np.concatenate(parts).astype(np.float64)


def compare(net: Path, small: Path, bench: Path) -> dict[str, Any]:
    """Logit differences and EER of both files on the labelled pictures, their sizes and times in one run.

    The net that ships has trained on most of these pictures: only the difference of the two says something.
    """
    data = read(bench)
    one, other = judge(net, data.crops[:, 0]), judge(small, data.crops[:, 0])
    probability = np.abs(1 / (1 + np.exp(-one)) - 1 / (1 + np.exp(-other)))
    rows = {}
    for name in DATASETS:
        here = data.dataset == name
        rates = [100 * metrics.eer(score[here], data.live[here])[0] for score in (one, other)]
        rows[name] = {"eer_float32": round(rates[0], 2), "eer_int8": round(rates[1], 2)}
    return {
        "bytes": {"float32": net.stat().st_size, "int8": small.stat().st_size},
        "milliseconds": dict(zip(("float32", "int8"), timing([net, small]).values(), strict=True)),
        "logit_difference": {
            "median": round(float(np.median(np.abs(one - other))), 3),
            "p95": round(float(np.quantile(np.abs(one - other), 0.95)), 3),
        },
        "probability_difference_max": round(float(probability.max()), 3),
        "verdicts_at_0_that_differ": round(float(((one >= 0) != (other >= 0)).mean()), 4),
        "data_sets": rows,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--net", type=Path, default=Path("models/livegate_pad.onnx"))
    parser.add_argument("--pool", type=Path, required=True, help="crops for the ranges")
    parser.add_argument("--bench", type=Path, required=True, help="labelled pictures to report on")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    quantise(args.net, args.pool, args.out)
    print(json.dumps(compare(args.net, args.out, args.bench), indent=1))


if __name__ == "__main__":
    main()
