"""ONNX graph under construction, with layouts tracked so that only the transposes needed get written.

A TFLite tensor is known by its *logical* value, in TFLite's layout. What the ONNX graph holds may be that
value under a permutation of its axes: ``stored = logical.transpose(order)``. Convolutions ask for channels
first, element-wise operators take whatever order their input has, a TFLite TRANSPOSE only changes the order
on paper, and reshapes ask for the logical order. So pairs of transposes never arise, and none has to be
cancelled later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Order = tuple[int, ...]
OPSET = 17
IR_VERSION = 8
"""Fixed, so that the same input gives the same bytes; both are read by onnxruntime 1.12 and later."""


def plain(rank: int) -> Order:
    """Order of a value stored as TFLite has it."""
    return tuple(range(rank))


def channels_first(rank: int) -> Order:
    """NHWC stored as NCHW; the last axis comes second."""
    return (0, rank - 1, *range(1, rank - 1))


@dataclass(slots=True, eq=False)
class Value:
    """A computed tensor.

    Attributes:
        shape: logical shape; the first axis is the batch where ``batched``.
        forms: ONNX names of the stored forms by their order; the first is the one it was computed in.
        batched: the first logical axis has the free size N.
    """

    shape: tuple[int, ...]
    forms: dict[Order, str]
    batched: bool = True

    @property
    def order(self) -> Order:
        """Order it was computed in."""
        return next(iter(self.forms))


@dataclass(slots=True, eq=False)
class GraphBuilder:
    """Collects nodes and initialisers under stable names (``n0`` ..., ``c0`` ...)."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)
    _known: dict[tuple[str, tuple[int, ...], bytes], str] = field(default_factory=dict)
    """Names of constants by type, shape and SHA-256."""

    def constant(self, array: NDArray[Any]) -> str:
        """Name of an initialiser with this value; equal values share one."""
        array = np.ascontiguousarray(array).reshape(array.shape)
        key = (array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).digest())
        if key not in self._known:
            name = f"c{len(self.constants)}"
            self.constants[name] = numpy_helper.from_array(array, name)
            self._known[key] = name
        return self._known[key]

    def ints(self, values: Sequence[int]) -> str:
        """Name of an int64 vector."""
        return self.constant(np.array(values, np.int64))

    def node(self, kind: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        """Add a node with one output and return that output's name."""
        name = f"n{len(self.nodes)}"
        output = output or name
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=name, **attributes))
        return output

    def form(self, value: Value, order: Order) -> str:
        """Name of the value stored in ``order``, transposing the form it was computed in if need be."""
        if order not in value.forms:
            start = value.order
            perm = [start.index(axis) for axis in order]
            value.forms[order] = self._permute(value, start, perm)
        return value.forms[order]

    def _permute(self, value: Value, start: Order, perm: list[int]) -> str:
        """Transpose, or a reshape where only axes of size 1 move."""
        moved = [value.shape[start[p]] for p in perm]
        wide = [p for p in perm if value.shape[start[p]] != 1 or (start[p] == 0 and value.batched)]
        if wide == sorted(wide) and perm[0] == 0:
            return self.node("Reshape", [value.forms[start], self.ints([0, *moved[1:]])])
        return self.node("Transpose", [value.forms[start]], perm=perm)

    def rename(self, name: str, new: str) -> bool:
        """Give a computed tensor another name, everywhere.

        Returns:
            Whether a node computes it; an input or a constant keeps its name.
        """
        if not any(name in node.output for node in self.nodes):
            return False
        for node in self.nodes:
            node.input[:] = [new if i == name else i for i in node.input]
            node.output[:] = [new if o == name else o for o in node.output]
        return True

    def model(
        self, name: str, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]
    ) -> onnx.ModelProto:
        """The finished model: only what an output needs, in the order it was added."""
        needed = {output.name for output in outputs}
        kept: list[onnx.NodeProto] = []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                kept.append(node)
                needed.update(node.input)
        constants = [tensor for key, tensor in self.constants.items() if key in needed]
        graph = helper.make_graph(kept[::-1], name, list(inputs), list(outputs), constants)
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="livegate",
        )
