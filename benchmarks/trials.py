"""Other ways to run the same nets, in turn: what they save, and what INT8 does to a score."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnx.version_converter
import onnxruntime as ort
from onnx import compose, helper

from benchmarks.harness import Call, Runner, alternate
from benchmarks.machine import pin
from benchmarks.options import Options, say
from benchmarks.report import Book
from benchmarks.sequence import Sequence, rendered, rendered_sequence
from benchmarks.whole import make_vision
from pipeline.liveness.passive import NETS, live_log_odds
from pipeline.nets import make_session, open_store
from pipeline.vision import crop_batch
from pipeline.vision.types import F32

Feed = Mapping[str, F32]
INT8: Final = "INT8, static, per channel"
OPSET: Final = 13
"""The quantiser wants 11, and 13 for ranges by channel."""
QUANTISED_ON: Final = 24
"""Crops, of a seed of their own, that the ranges of INT8 are taken from."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A net, its file and inputs of real crops.

    Attributes:
        name: in the manifest.
        path: the file that the product uses.
        feeds: one for each frame of the sequence.
    """

    name: str
    path: Path
    feeds: list[dict[str, F32]]


def measure(options: Options, book: Book) -> None:
    """For each liveness net: the product's way and the others, and two nets in one graph."""
    pin(options.one)
    size = options.sizes[0]
    with tempfile.TemporaryDirectory() as folder:
        subjects = list(_subjects(options, rendered_sequence(size, seed=options.seed)))
        ranges = Sequence(tuple(rendered(size, seed=options.seed + 1, count=QUANTISED_ON)), rendered=True)
        fitted = {subject.name: subject.feeds for subject in _subjects(options, ranges)}
        for subject in subjects:
            _forms(options, book, subject, fitted[subject.name], Path(folder))
            _batched(options, book, subject)
        pair = [subject for subject in subjects if subject.name in options.nets[0]]
        if len(pair) == 2:
            _merged(options, book, pair, Path(folder))
    pin(options.outer)


def _subjects(options: Options, sequence: Sequence) -> Iterator[Subject]:
    store, vision = open_store(), make_vision(open_store(), 1)
    faces = [vision.see(sequence.frame(n)).face for n in range(len(sequence.images))]
    for name in dict.fromkeys(net for nets in options.nets for net in nets):
        names = [entry.name for entry in make_session(store.path(name)).get_inputs()]
        feeds = [
            {
                entry: crop_batch(image, [face.box], crop)
                for entry, crop in zip(names, NETS[name].crops, strict=True)
            }
            for image, face in zip(sequence.images, faces, strict=True)
            if face is not None
        ]
        yield Subject(name, store.path(name), feeds)


def _forms(
    options: Options, book: Book, subject: Subject, fitted: list[dict[str, F32]], folder: Path
) -> None:
    group = f"forms of {subject.name}"
    ways: dict[str, Callable[[Feed], F32]] = {"as the product runs it": plain(subject.path)}
    ways["IO binding, buffers kept"] = bound(subject.path, subject.feeds[0])
    ways["optimised without the blocked layout"] = plain(
        subject.path, ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    )
    whole = folder / f"{subject.name}-bytes.onnx"
    onnx.save(bytes_in(onnx.load(subject.path)), whole)
    ways["bytes in, cast inside the graph"] = plain(whole, kind=np.uint8)
    small = folder / f"{subject.name}-int8.onnx"
    try:
        quantise(subject.path, small, fitted)
        ways[INT8] = plain(small)
    except Exception as error:  # the tool's errors share no base class
        book.skip(
            f"{group}: {INT8}", f"not run: onnxruntime's tool can't quantise it: {type(error).__name__}"
        )
    wanted = [ways["as the product runs it"](feed) for feed in subject.feeds]
    for name, way in ways.items():
        live = NETS[subject.name].live
        change = max(
            abs(live_log_odds(way(feed).reshape(-1), live) - live_log_odds(was.reshape(-1), live))
            for feed, was in zip(subject.feeds, wanted, strict=True)
        )
        book.add_number(f"{group}: {name}: largest change", change, "log-odds", f"{len(wanted)} frames")
    _time(options, book, group, ways, subject.feeds)


def _merged(options: Options, book: Book, pair: list[Subject], folder: Path) -> None:
    """Two nets in two sessions, and in one graph with one session."""
    group = "both nets"
    graphs = []
    for number, subject in enumerate(pair):
        graphs.append(compose.add_prefix(onnx.load(subject.path), f"n{number}_"))
    for graph in graphs[1:]:
        graph.ir_version = graphs[0].ir_version
        del graph.opset_import[:]
        graph.opset_import.extend(graphs[0].opset_import)
    one = folder / "merged.onnx"
    try:
        onnx.save(compose.merge_models(graphs[0], graphs[1], io_map=[]), one)
        together = plain(one)
    except Exception as error:  # onnx's and onnxruntime's errors share no base class
        book.skip(group, f"not run: the nets can't be put into one graph: {type(error).__name__}")
        return
    alone = [plain(subject.path) for subject in pair]
    feeds = [
        {f"n{number}_{key}": value for number, feed in enumerate(feeds) for key, value in feed.items()}
        for feeds in zip(*(subject.feeds for subject in pair), strict=True)
    ]
    parts = [
        [{key.split("_", 1)[1]: v for key, v in feed.items() if key.startswith(f"n{n}_")} for n in (0, 1)]
        for feed in feeds
    ]
    at = len(feeds)
    runners: dict[str, Runner] = {
        "two sessions": Call(lambda n: [way(feed) for way, feed in zip(alone, parts[n % at], strict=True)]),
        "one graph": Call(lambda n: together(feeds[n % at])),
    }
    _add(book, group, alternate(runners, options.repeats, seed=options.seed), options)
    book.compare(f"{group}: one graph", f"{group}: two sessions")


def _batched(options: Options, book: Book, subject: Subject) -> None:
    """Two crops in one run, and in two."""
    group = f"batch of {subject.name}"
    way, count = plain(subject.path), len(subject.feeds)
    twice = [{key: np.concatenate([value, value]) for key, value in feed.items()} for feed in subject.feeds]
    runners: dict[str, Runner] = {
        "two runs of one": Call(lambda n: [way(subject.feeds[n % count]) for _ in range(2)]),
        "one run of two": Call(lambda n: way(twice[n % count])),
    }
    _add(book, group, alternate(runners, options.repeats, seed=options.seed), options)
    book.compare(f"{group}: one run of two", f"{group}: two runs of one")


def _time(
    options: Options, book: Book, group: str, ways: Mapping[str, Callable[[Feed], F32]], feeds: list[Feed]
) -> None:
    say(f"  {group}: {len(ways)} cases in turn")
    count = len(feeds)
    runners: dict[str, Runner] = {
        name: Call(lambda n, way=way: way(feeds[n % count])) for name, way in ways.items()
    }
    _add(book, group, alternate(runners, options.repeats, seed=options.seed), options)
    first = next(iter(ways))
    for name in list(ways)[1:]:
        book.compare(f"{group}: {name}", f"{group}: {first}")


def _add(book: Book, group: str, times: Mapping[str, object], options: Options) -> None:
    for name, taken in times.items():
        book.add_times(f"{group}: {name}", group, taken, cores=options.one)  # type: ignore[arg-type]


def plain(
    path: Path, level: ort.GraphOptimizationLevel | None = None, kind: type = np.float32
) -> Callable[[Feed], F32]:
    """A session as the product makes it, or with another level of optimisation; inputs of another kind."""
    if level is None:
        session = make_session(path)
    else:
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1
        settings.log_severity_level = 3
        settings.graph_optimization_level = level
        session = ort.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    output = [session.get_outputs()[0].name]
    if kind is np.float32:
        return lambda feed: session.run(output, dict(feed))[0]
    return lambda feed: session.run(output, {key: value.astype(kind) for key, value in feed.items()})[0]


def bound(path: Path, feed: Feed) -> Callable[[Feed], F32]:
    """Inputs and output bound once; a call copies into the buffers and runs."""
    session = make_session(path)
    binding, kept = session.io_binding(), {key: value.copy() for key, value in feed.items()}
    for key, value in kept.items():
        binding.bind_cpu_input(key, value)
    out = np.empty_like(session.run([session.get_outputs()[0].name], dict(feed))[0])
    name = session.get_outputs()[0].name
    binding.bind_output(name, "cpu", 0, np.float32, out.shape, out.ctypes.data)

    def run(feed: Feed) -> F32:
        for key, value in feed.items():
            np.copyto(kept[key], value)
        session.run_with_iobinding(binding)
        return out.copy()

    return run


def bytes_in(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same net for uint8 inputs."""
    casts = []
    for entry in model.graph.input:
        old = f"{entry.name}_as_float"
        for node in model.graph.node:
            node.input[:] = [old if name == entry.name else name for name in node.input]
        entry.type.tensor_type.elem_type = onnx.TensorProto.UINT8
        casts.append(helper.make_node("Cast", [entry.name], [old], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def quantise(path: Path, out: Path, feeds: list[dict[str, F32]]) -> None:
    """Static INT8 by onnxruntime's own tool: QDQ, weights by channel, ranges from real crops."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._left = iter(feeds)

        def get_next(self) -> dict[str, F32] | None:
            return next(self._left, None)

    model = onnx.load(path)
    if max(entry.version for entry in model.opset_import) < OPSET:
        model = onnx.version_converter.convert_version(model, OPSET)
    logging.disable(logging.WARNING)  # it advises a pass that these files went through
    try:
        quantize_static(
            model,
            str(out),
            Reader(),
            per_channel=True,
            op_types_to_quantize=["Conv", "Gemm", "MatMul", "Add"],
            activation_type=QuantType.QUInt8,
            reduce_range=True,
        )
    finally:
        logging.disable(logging.NOTSET)
