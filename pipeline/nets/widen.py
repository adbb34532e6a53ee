"""Channels rounded up to a multiple of 16 with zeros, so that onnxruntime keeps a net in its blocked layout.

onnxruntime's CPU kernels work on blocks of 8 channels (AVX2) or 16 (AVX-512). A convolution whose channels do
not fill its blocks falls out of that layout into a slower general kernel, with a copy on the way in and out;
MiniFASNet's pruned layers of 13 or 103 channels all do. Channels with zero weights on both sides change no
number. docs/adr/0002 has what they save.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

BLOCK = 16
PER_CHANNEL = frozenset(
    {"Relu", "LeakyRelu", "Neg", "Abs", "Tanh", "Sigmoid", "MaxPool", "AveragePool", "GlobalAveragePool"}
)
"""Operators of one picture that mix no channels and give a finite number for a channel of zeros."""
SUMS = frozenset({"Add", "Mul"})


def widen_channels(model: onnx.ModelProto, block: int = BLOCK) -> int:
    """Round channels up, in place, wherever nothing but convolutions and per-channel operators sees them.

    What the added channels hold does not matter: the next full convolution has zero weights for them, and
    whatever else could read them keeps its tensors as they are.

    Args:
        model: channels-first net with its weights as initialisers.
        block: channels become a multiple of this.

    Returns:
        How many tensors were widened.
    """
    graph = model.graph
    plan = Plan(graph, block)
    constants = {c.name: numpy_helper.to_array(c) for c in graph.initializer}
    made: dict[str, onnx.TensorProto] = {}

    def filled(name: str, shape: tuple[int, ...]) -> str:
        """A constant with zeros after it up to a shape."""
        old = constants[name]
        if old.shape == shape:
            return name
        new = np.zeros(shape, old.dtype)
        new[tuple(slice(0, size) for size in old.shape)] = old
        key = f"{name}_{'x'.join(map(str, shape))}"
        made.setdefault(key, numpy_helper.from_array(new, key))
        return key

    for node in graph.node:
        if node.op_type != "Conv" or node.output[0] not in plan.channels:
            continue
        out = plan.wide(node.output[0])
        weights = constants[node.input[1]]
        full = attribute(node, "group", 1) == 1
        taken = plan.wide(node.input[0]) if full and node.input[0] in plan.channels else weights.shape[1]
        node.input[1] = filled(node.input[1], (out, taken, *weights.shape[2:]))
        if len(node.input) > 2 and node.input[2]:
            node.input[2] = filled(node.input[2], (out,))
        for item in node.attribute:
            if item.name == "group" and not full:
                item.i = out if item.i == weights.shape[0] else item.i
    read = {name for node in graph.node for name in node.input}
    kept = [c for c in (*graph.initializer, *made.values()) if c.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.value_info[:]
    return sum(plan.wide(name) != count for name, count in plan.channels.items())


class Plan:
    """Which tensors are widened. Tensors that keep one width together share a root.

    Args:
        graph: the net.
        block: channels become a multiple of this.

    Attributes:
        channels: of each tensor that convolutions and per-channel operators make.
    """

    def __init__(self, graph: onnx.GraphProto, block: int) -> None:
        self.channels: dict[str, int] = {}
        self._block = block
        self._parent: dict[str, str] = {}
        self._fixed: set[str] = set()
        weights = {c.name: tuple(c.dims) for c in graph.initializer}
        for node in graph.node:
            self._visit(node, weights)
        for value in (*graph.input, *graph.output):
            self._fix(value.name)

    def wide(self, name: str) -> int:
        """Channels of a tensor after widening."""
        count = self.channels[name]
        return count if self._root(name) in self._fixed else -(-count // self._block) * self._block

    def _visit(self, node: onnx.NodeProto, weights: dict[str, tuple[int, ...]]) -> None:
        inputs, y = list(node.input), node.output[0]
        if node.op_type == "Conv" and all(name in weights for name in inputs[1:] if name):
            out, taken = weights[inputs[1]][:2]
            self.channels[y] = out
            group = attribute(node, "group", 1)
            if group == out and taken == 1:
                self._join(inputs[0], y)
            elif group != 1:
                self._fix(inputs[0], y)
            return
        counts = {self.channels.get(name) for name in inputs}
        if node.op_type in PER_CHANNEL | SUMS and None not in counts and len(counts) == 1:
            self.channels[y] = self.channels[inputs[0]]
            for name in inputs:
                self._join(name, y)
        else:
            self._fix(*inputs)

    def _root(self, name: str) -> str:
        while self._parent.get(name, name) != name:
            name = self._parent[name]
        return name

    def _join(self, one: str, two: str) -> None:
        a, b = self._root(one), self._root(two)
        self._parent[a] = b
        if a in self._fixed or one not in self.channels:
            self._fixed.add(b)

    def _fix(self, *names: str) -> None:
        self._fixed.update(self._root(name) for name in names)


def attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    """An integer attribute of a node."""
    return next((int(helper.get_attribute_value(a)) for a in node.attribute if a.name == name), default)
