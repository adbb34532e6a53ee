"""Lowering of operators that know nothing of pictures: arithmetic, reductions, shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray
from onnx import TensorProto

from pipeline.errors import ModelConvertError
from pipeline.nets.tflite.graph import Order, Value, plain
from pipeline.nets.tflite.lower import Lowering, activation, lowers
from pipeline.nets.tflite.reader import Operator

Array = NDArray[Any]

BINARY = {"ADD": "Add", "SUB": "Sub", "MUL": "Mul", "DIV": "Div"}
UNARY = {
    "RELU": "Relu",
    "ABS": "Abs",
    "NEG": "Neg",
    "EXP": "Exp",
    "SQRT": "Sqrt",
    "TANH": "Tanh",
    "LOGISTIC": "Sigmoid",
}
END = 2**31 - 1


@lowers("DEQUANTIZE")
def dequantize(lowering: Lowering, op: Operator) -> None:
    """Of a constant only, which folding has done already."""
    raise ModelConvertError(f"{lowering.tensor(op, 0).name} is quantised at run time")


@lowers(*UNARY)
def unary(lowering: Lowering, op: Operator) -> None:
    """One value in, one out, in the order it has."""
    value = lowering.value(op, 0)
    lowering.store(op, lowering.graph.node(UNARY[op.kind], [value.forms[value.order]]), value.order)


@lowers("RELU6")
def relu6(lowering: Lowering, op: Operator) -> None:
    """Clamp to [0, 6]."""
    value = lowering.value(op, 0)
    lowering.store(op, activation(lowering, value.forms[value.order], 3), value.order)


@lowers("RSQRT")
def rsqrt(lowering: Lowering, op: Operator) -> None:
    """One over the square root."""
    value = lowering.value(op, 0)
    root = lowering.graph.node("Sqrt", [value.forms[value.order]])
    lowering.store(op, lowering.graph.node("Reciprocal", [root]), value.order)


@lowers(*BINARY)
def binary(lowering: Lowering, op: Operator) -> None:
    """Arithmetic with numpy's broadcasting."""
    left, right, order = aligned(lowering, op)
    y = lowering.graph.node(BINARY[op.kind], [left, right])
    lowering.store(op, activation(lowering, y, lowering.fused_activation(op)), order)


@lowers("SQUARED_DIFFERENCE")
def squared_difference(lowering: Lowering, op: Operator) -> None:
    """(a - b) ** 2 with broadcasting."""
    left, right, order = aligned(lowering, op)
    difference = lowering.graph.node("Sub", [left, right])
    lowering.store(op, lowering.graph.node("Mul", [difference, difference]), order)


def aligned(lowering: Lowering, op: Operator) -> tuple[str, str, Order]:
    """Names of two operands in one common order, and that order."""
    rank = len(lowering.result(op).shape)
    values = [lowering.value(op, i) for i in (0, 1) if not lowering.is_constant(op, i)]
    if not values:
        raise ModelConvertError("both operands are constants, with an activation")
    if any(len(value.shape) != rank for value in values):
        raise ModelConvertError("operands of different rank")
    widest = max(values, key=lambda value: int(np.prod(value.shape)))
    left, right = (operand(lowering, op, i, widest.order) for i in (0, 1))
    return left, right, widest.order


def operand(lowering: Lowering, op: Operator, position: int, order: Order) -> str:
    """One operand of a broadcast in the given order."""
    if not lowering.is_constant(op, position):
        return lowering.graph.form(lowering.value(op, position), order)
    array = lowering.constant(op, position)
    if array.ndim > len(order):
        raise ModelConvertError("constant has more dimensions than the result")
    array = array.reshape((1,) * (len(order) - array.ndim) + array.shape)
    return lowering.graph.constant(array.transpose(order))


@lowers("MEAN", "SUM")
def reduction(lowering: Lowering, op: Operator) -> None:
    """Mean or sum over axes other than the batch."""
    value = lowering.value(op, 0)
    rank = len(value.shape)
    axes = sorted(int(axis) % rank for axis in np.atleast_1d(lowering.constant(op, 1)))
    if 0 in axes:
        raise ModelConvertError("reduction over the batch")
    keep = bool(op.options(tflite.ReducerOptions).KeepDims())
    order = value.order if keep else plain(rank)
    stored = sorted(order.index(axis) for axis in axes)
    x = lowering.graph.form(value, order)
    if op.kind == "MEAN":
        y = lowering.graph.node("ReduceMean", [x], axes=stored, keepdims=int(keep))
    else:
        y = lowering.graph.node("ReduceSum", [x, lowering.graph.ints(stored)], keepdims=int(keep))
    lowering.store(op, y, order if keep else plain(rank - len(axes)))


@lowers("RESHAPE", "SQUEEZE")
def reshape(lowering: Lowering, op: Operator) -> None:
    """New shape for the same elements; the batch stays the first axis."""
    value = lowering.value(op, 0)
    shape = lowering.result(op).shape
    if not shape or shape[0] != value.shape[0]:
        raise ModelConvertError(f"reshape of {value.shape} to {shape} touches the batch")
    y = lowering.graph.node("Reshape", [lowering.flat(value), lowering.graph.ints([0, *shape[1:]])])
    lowering.store(op, y, plain(len(shape)), batched=value.batched)


@lowers("TRANSPOSE")
def transpose(lowering: Lowering, op: Operator) -> None:
    """A change of names: each stored form serves the result under another order."""
    value = lowering.value(op, 0)
    perm = [int(axis) for axis in lowering.constant(op, 1)]
    if sorted(perm) != list(range(len(value.shape))) or perm[0] != 0:
        raise ModelConvertError(f"permutation {perm}")
    forms = {tuple(perm.index(axis) for axis in order): name for order, name in value.forms.items()}
    lowering.values[op.outputs[0]] = Value(lowering.result(op).shape, forms, value.batched)


@lowers("CONCATENATION")
def concatenation(lowering: Lowering, op: Operator) -> None:
    """Along any axis but the batch; constants are repeated for every item of the batch."""
    options = op.options(tflite.ConcatenationOptions)
    rank = len(lowering.result(op).shape)
    axis = options.Axis() % rank
    values = [lowering.value(op, i) for i in range(len(op.inputs)) if not lowering.is_constant(op, i)]
    if axis == 0 or not values:
        raise ModelConvertError("concatenation along the batch")
    order = values[0].order
    names = [
        repeated(lowering, op, i, values[0], order)
        if lowering.is_constant(op, i)
        else lowering.graph.form(lowering.value(op, i), order)
        for i in range(len(op.inputs))
    ]
    y = lowering.graph.node("Concat", names, axis=order.index(axis))
    lowering.store(op, activation(lowering, y, options.FusedActivationFunction()), order)


def repeated(lowering: Lowering, op: Operator, position: int, like: Value, order: Order) -> str:
    """A constant expanded to the batch size of a value."""
    graph = lowering.graph
    array = lowering.constant(op, position).transpose(order)
    whole = graph.node("Shape", [like.forms[order]])
    batch = graph.node("Slice", [whole, graph.ints([0]), graph.ints([1])])
    shape = graph.node("Concat", [batch, graph.ints(array.shape[1:])], axis=0)
    return graph.node("Expand", [graph.constant(array), shape])


@lowers("STRIDED_SLICE")
def strided_slice(lowering: Lowering, op: Operator) -> None:
    """Basic slicing; the batch is kept whole, and a result that would drop it keeps it."""
    options = op.options(tflite.StridedSliceOptions)
    if options.NewAxisMask() or options.EllipsisMask():
        raise ModelConvertError("slice with new axes or an ellipsis")
    value = lowering.value(op, 0)
    bounds = [lowering.constant(op, i).astype(np.int64).ravel().tolist() for i in (1, 2, 3)]
    if any(len(bound) != len(value.shape) for bound in bounds):
        raise ModelConvertError("slice of fewer axes than the value has")
    starts, ends, steps, axes, dropped = [], [], [], [], []
    for axis, (start, end, step) in enumerate(zip(*bounds, strict=True)):
        first = 0 if options.BeginMask() >> axis & 1 else start
        last = END if options.EndMask() >> axis & 1 else end
        if options.ShrinkAxisMask() >> axis & 1:
            dropped.append(axis)
            last = first + 1 if first != -1 else END
        if axis == 0:
            if first != 0 or last < value.shape[0] or step != 1:
                raise ModelConvertError("slice cuts the batch")
        elif (first, step) != (0, 1) or last < value.shape[axis]:
            starts.append(first)
            ends.append(last)
            steps.append(step)
            axes.append(axis)
    order = plain(len(value.shape)) if dropped else value.order
    y = lowering.graph.form(value, order)
    if axes:
        bounds_and_axes = (starts, ends, [order.index(axis) for axis in axes], steps)
        y = lowering.graph.node("Slice", [y, *(lowering.graph.ints(v) for v in bounds_and_axes)])
    squeezed = [axis for axis in dropped if axis != 0]
    if squeezed:
        y = lowering.graph.node("Squeeze", [y, lowering.graph.ints(squeezed)])
    if not dropped:
        lowering.store(op, y, order)
        return
    shape = lowering.result(op).shape
    if 0 in dropped:
        shape = (1, *shape)
    lowering.values[op.outputs[0]] = Value(shape, {plain(len(shape)): y})


@lowers("FULLY_CONNECTED")
def fully_connected(lowering: Lowering, op: Operator) -> None:
    """Multiply by W^T and add b over the last axis of a value flattened to two."""
    options = op.options(tflite.FullyConnectedOptions)
    value = lowering.value(op, 0)
    weights = lowering.constant(op, 1).astype(np.float32)
    shape = lowering.result(op).shape
    if len(shape) != 2 or weights.ndim != 2 or int(np.prod(value.shape[1:])) != weights.shape[1]:
        raise ModelConvertError(f"weights of {weights.shape} for a value of {value.shape}")
    graph = lowering.graph
    x = graph.node("Reshape", [lowering.flat(value), graph.ints([0, -1])])
    inputs = [x, graph.constant(weights)]
    if lowering.has(op, 2):
        inputs.append(graph.constant(lowering.constant(op, 2).astype(np.float32)))
    y = graph.node("Gemm", inputs, transB=1)
    lowering.store(op, activation(lowering, y, options.FusedActivationFunction()), plain(2))


@lowers("SOFTMAX")
def softmax(lowering: Lowering, op: Operator) -> None:
    """Over the last logical axis."""
    value = lowering.value(op, 0)
    axis = value.order.index(len(value.shape) - 1)
    lowering.store(op, lowering.graph.node("Softmax", [value.forms[value.order]], axis=axis), value.order)


@lowers("CAST")
def cast(lowering: Lowering, op: Operator) -> None:
    """To float32 only."""
    if lowering.result(op).dtype != np.float32:
        raise ModelConvertError(f"cast to {lowering.result(op).dtype}")
    value = lowering.value(op, 0)
    y = lowering.graph.node("Cast", [value.forms[value.order]], to=TensorProto.FLOAT)
    lowering.store(op, y, value.order)
