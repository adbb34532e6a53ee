"""What an operator's lowering sees: its tensors as values or constants, and the graph under construction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from pipeline.errors import ModelConvertError
from pipeline.nets.tflite.graph import GraphBuilder, Order, Value, plain
from pipeline.nets.tflite.reader import Operator, Tensor, TfliteGraph

Array = NDArray[Any]


class Lowering:
    """State of one conversion.

    Attributes:
        source: the file's graph.
        graph: the ONNX graph under construction.
        values: computed tensors by TFLite index.
        constants: constants by TFLite index, float16 already widened to float32.
    """

    def __init__(self, source: TfliteGraph) -> None:
        self.source = source
        self.graph = GraphBuilder()
        self.values: dict[int, Value] = {}
        self.constants: dict[int, Array] = {
            t.index: widened(t.data) for t in source.tensors if t.data is not None
        }

    def tensor(self, op: Operator, position: int) -> Tensor:
        """Input tensor of an operator."""
        if position >= len(op.inputs) or op.inputs[position] < 0:
            raise ModelConvertError(f"input {position} is missing")
        return self.source.tensors[op.inputs[position]]

    def has(self, op: Operator, position: int) -> bool:
        """Whether an optional input is given."""
        return position < len(op.inputs) and op.inputs[position] >= 0

    def result(self, op: Operator) -> Tensor:
        """The one output tensor of an operator."""
        if len(op.outputs) != 1:
            raise ModelConvertError(f"{len(op.outputs)} outputs, one is supported")
        return self.source.tensors[op.outputs[0]]

    def value(self, op: Operator, position: int) -> Value:
        """Input as a value; a constant becomes an initialiser."""
        tensor = self.tensor(op, position)
        if tensor.index not in self.values:
            array = self.constant(op, position)
            order = plain(array.ndim)
            self.values[tensor.index] = Value(array.shape, {order: self.graph.constant(array)}, batched=False)
        return self.values[tensor.index]

    def constant(self, op: Operator, position: int) -> Array:
        """Input that has to be a constant."""
        tensor = self.tensor(op, position)
        if tensor.index not in self.constants:
            raise ModelConvertError(f"input {position} ({tensor.name}) is not a constant")
        return self.constants[tensor.index]

    def is_constant(self, op: Operator, position: int) -> bool:
        """Whether an input is a constant."""
        return self.tensor(op, position).index in self.constants

    def fused_activation(self, op: Operator) -> int:
        """`tflite.ActivationFunctionType` of an arithmetic operator; 0 is none, also without options."""
        kinds = {
            "ADD": tflite.AddOptions,
            "SUB": tflite.SubOptions,
            "MUL": tflite.MulOptions,
            "DIV": tflite.DivOptions,
        }
        return int(op.options(kinds[op.kind]).FusedActivationFunction()) if op.has_options else 0

    def store(self, op: Operator, name: str, order: Order, *, batched: bool = True) -> None:
        """Record an operator's result."""
        shape = self.result(op).shape
        if len(shape) != len(order):
            raise ModelConvertError(f"result has rank {len(shape)}, {len(order)} was computed")
        self.values[op.outputs[0]] = Value(shape, {order: name}, batched)

    def flat(self, value: Value) -> str:
        """A form whose elements lie in logical order, which a reshape can take."""
        for order, name in value.forms.items():
            wide = [axis for axis in order if value.shape[axis] != 1 or (axis == 0 and value.batched)]
            if wide == sorted(wide) and (not value.batched or order[0] == 0):
                return name
        return self.graph.form(value, plain(len(value.shape)))


def widened(array: Array) -> Array:
    """float16 as float32, which holds every float16 exactly; anything else as it is."""
    return array.astype(np.float32) if array.dtype == np.float16 else array


Lower = Callable[[Lowering, Operator], None]
REGISTRY: dict[str, Lower] = {}
"""Operator name to the function that lowers it."""


def lowers(*kinds: str) -> Callable[[Lower], Lower]:
    """Register a function for operators of these names."""

    def register(function: Lower) -> Lower:
        for kind in kinds:
            REGISTRY[kind] = function
        return function

    return register


def activation(lowering: Lowering, name: str, kind: int) -> str:
    """Add the activation that TFLite fuses into an operator.

    Args:
        lowering: the conversion.
        name: tensor before the activation.
        kind: `tflite.ActivationFunctionType`.
    """
    graph = lowering.graph
    if kind == 0:
        return name
    if kind == 1:
        return graph.node("Relu", [name])
    if kind == 3:
        low, high = (graph.constant(np.array(v, np.float32)) for v in (0, 6))
        return graph.node("Clip", [name, low, high])
    if kind == 4:
        return graph.node("Tanh", [name])
    raise ModelConvertError(f"fused activation {kind} is not supported")
