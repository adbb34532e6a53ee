"""What the rewrites of docs/adr/0002 save on this machine: CPU time per net, each form in turn.

    .venv/bin/python tests/nets/measure_rewrites.py [--rounds 12] [NET ...]

A script, not a test. Needs pulled models; CPU time of one thread, 20th percentile, so that a busy machine
disturbs it little.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import pipeline.nets.convert as converting
from pipeline.nets import ModelSpec, make_session, open_store, prelu
from pipeline.nets.tflite import spatial

RUNS = 20
DEFAULT = ("face_detector", "face_mesh", "face_mesh_478", "fr_liveness", "fr_feature")


def depthwise(node: Any, constant: Any, x: str, weights: Any) -> str:
    size = weights.size
    name = constant(np.asarray(weights, np.float32).reshape(size, 1, 1, 1))
    return str(node("Conv", [x, name], group=size, kernel_shape=[1, 1]))


def published(x: str, slope: Any, *, node: Any, constant: Any) -> str:
    return str(node("PRelu", [x, constant(slope.astype(np.float32).reshape(-1, 1, 1))]))


def two_relus(x: str, slope: Any, *, node: Any, constant: Any) -> str:
    negative = node("Relu", [node("Neg", [x])])
    scaled = node("Mul", [negative, constant(slope.astype(np.float32).reshape(1, -1, 1, 1))])
    return str(node("Sub", [node("Relu", [x]), scaled]))


def chained(x: str, slope: Any, *, node: Any, constant: Any) -> str:
    negative = node("Relu", [depthwise(node, constant, x, -np.ones(slope.size))])
    return str(node("Add", [depthwise(node, constant, negative, 1 - slope), x]))


def three_passes(x: str, slope: Any, *, node: Any, constant: Any) -> str:
    positive = depthwise(node, constant, node("Relu", [x]), 1 - slope)
    return str(node("Add", [positive, depthwise(node, constant, x, slope)]))


FORMS: dict[str, Callable[..., str]] = {
    "PRelu, as published": published,
    "Relu(x) - a*Relu(-x)": two_relus,
    "x + (1-a)*Relu(-x), depthwise": chained,
    "a*x + (1-a)*Relu(x), depthwise": three_passes,
    "the same, Relu((1-a)*x) where a <= 1": prelu.emit_prelu,
}


def variant(spec: ModelSpec, original: bytes, form: Callable[..., str], widened: bool) -> bytes:
    """The net converted with another form of PReLU, and with or without widened channels."""
    with contextlib.ExitStack() as stack:
        for module in (prelu, spatial):
            stack.enter_context(mock.patch.object(module, "emit_prelu", form))
        if not widened:
            stack.enter_context(mock.patch.object(converting, "widen_channels", return_value=0))
        return converting.convert(spec, original)


def measure(spec: ModelSpec, original: bytes, rounds: int) -> None:
    """Print the time of each variant of one net."""
    entry = spec.inputs[0]
    low, high = entry.range or (0.0, 1.0)
    x = np.random.default_rng(0).random((1, *entry.shape)) * (high - low) + low
    feed = {entry.name: x.astype(np.float32)}
    optimised = spec.converted is not None and spec.converted.how == "optimise"
    times: dict[str, list[float]] = {}
    sessions = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        for widened in (False, True) if optimised else (False,):
            for label, form in FORMS.items():
                path.write_bytes(variant(spec, original, form, widened))
                sessions[f"{label}{', widened' if widened else ''}"] = make_session(path)
    for _ in range(rounds):
        for label, session in sessions.items():
            for _ in range(RUNS):
                start = time.process_time()
                session.run(None, feed)
                times.setdefault(label, []).append(time.process_time() - start)
    for label, values in times.items():
        print(f"{spec.name:18} {label:42} {np.percentile(values, 20) * 1e3:7.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("nets", nargs="*", default=DEFAULT)
    parser.add_argument("--rounds", type=int, default=12)
    arguments = parser.parse_args()
    store = open_store()
    for name in arguments.nets:
        spec = store.manifest[name]
        measure(spec, store.original(spec).read_bytes(), arguments.rounds)


if __name__ == "__main__":
    main()
