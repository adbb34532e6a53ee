"""Widening changes shapes inside a net and none of its numbers, and stops where channels are seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pipeline.nets.widen import BLOCK, Plan, widen_channels


class Net:
    """A small net of convolutions, written node by node; 5 channels in, 6x6 pixels."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.rng = np.random.default_rng(11)

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, array: NDArray[Any]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def conv(self, x: str, out: int, taken: int, size: int = 1, group: int = 1) -> str:
        w = self.constant(self.rng.standard_normal((out, taken, size, size)).astype(np.float32))
        b = self.constant(self.rng.standard_normal(out).astype(np.float32))
        return self.node("Conv", [x, w, b], group=group, pads=[size // 2] * 4, kernel_shape=[size, size])

    def model(self, output: str, rank: int = 4) -> onnx.ModelProto:
        shapes = {"x": ["N", 5, 6, 6], output: [None] * rank}
        values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in shapes.items()]
        graph = helper.make_graph(self.nodes, "net", values[:1], values[1:], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def run(model: onnx.ModelProto) -> list[NDArray[np.float32]]:
    x = np.random.default_rng(2).standard_normal((2, 5, 6, 6)).astype(np.float32)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [np.asarray(out) for out in session.run(None, {"x": x})]


def check_same(model: onnx.ModelProto) -> int:
    """Widen and compare; returns how many tensors were widened."""
    before = run(model)
    count = widen_channels(model)
    onnx.checker.check_model(model, full_check=True)
    for wanted, found in zip(before, run(model), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5 * max(1, float(np.abs(wanted).max())))
    return count


def widths(model: onnx.ModelProto) -> list[int]:
    shapes = {c.name: tuple(c.dims) for c in model.graph.initializer}
    return [shapes[node.input[1]][0] for node in model.graph.node if node.op_type == "Conv"]


def test_bottleneck_with_residual_and_squeeze_is_widened() -> None:
    net = Net()
    stem = net.conv("x", 13, 5, 3)
    y = net.conv(net.node("Relu", [net.conv(stem, 27, 13)]), 27, 1, 3, group=27)
    y = net.conv(y, 13, 27)
    gate = net.conv(net.node("GlobalAveragePool", [y]), 3, 13)
    gate = net.node("Sigmoid", [net.conv(net.node("Relu", [gate]), 13, 3)])
    y = net.node("Add", [stem, net.node("Mul", [y, gate])])
    model = net.model(net.conv(y, 4, 13))
    assert check_same(model) > 8
    assert widths(model) == [16, 32, 32, 16, 16, 16, 4], "all but the output"


def test_output_of_the_net_keeps_its_channels_and_all_that_go_with_it() -> None:
    net = Net()
    y = net.conv("x", 13, 5)
    model = net.model(net.node("Relu", [net.conv(y, 13, 1, 3, group=13)]))
    assert check_same(model) == 0


@pytest.mark.parametrize("kind", ["Flatten", "Concat", "Softmax", "grouped"])
def test_channels_that_something_else_sees_are_kept(kind: str) -> None:
    net = Net()
    y = net.node("Relu", [net.conv("x", 12, 5)])
    if kind == "Concat":
        seen = net.conv(net.node("Concat", [y, y], axis=1), 4, 24)
    elif kind == "Softmax":
        seen = net.conv(net.node("Softmax", [y], axis=1), 4, 12)
    elif kind == "grouped":
        seen = net.conv(net.conv(y, 6, 4, group=3), 4, 6)
    else:
        seen = net.node("Flatten", [y])
    model = net.model(seen, rank=2 if kind == "Flatten" else 4)
    assert check_same(model) == 0


def test_one_constant_used_by_two_convolutions_serves_both() -> None:
    """The same weights, once where the channels are widened and once where they are not."""
    net = Net()
    w = net.constant(net.rng.standard_normal((5, 5, 1, 1)).astype(np.float32))
    inner = net.node("Relu", [net.node("Conv", ["x", w])])
    model = net.model(net.node("Conv", [inner, w]))
    assert check_same(model) == 2


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.booleans())
def test_chain_of_any_widths_gives_the_same_numbers(counts: list[int], residual: bool) -> None:
    net = Net()
    y, taken = "x", 5
    for count in counts:
        y = net.node("Relu", [net.conv(y, count, taken)])
        side = net.conv(y, count, 1, 3, group=count) if count > 1 else net.conv(y, count, 1, 3)
        y = net.node("Add", [y, side]) if residual else side
        taken = count
    model = net.model(net.conv(y, 3, taken))
    check_same(model)
    plan = Plan(model.graph, BLOCK)
    assert all(width % BLOCK == 0 for width in widths(model)[:-1])
    assert all(plan.wide(name) == count for name, count in plan.channels.items()), "a second pass is idle"
