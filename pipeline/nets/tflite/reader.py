"""TFLite flatbuffer to plain Python objects, with every count and offset checked on the way."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from pipeline.errors import ModelConvertError

Array = NDArray[Any]

IDENTIFIER = b"TFL3"
BYTES_PER_OFFSET = 4
SHARING = 2
"""Constants may share buffers, up to this many times the file's size in all; the nets used share nothing."""
MAX_INDICES = 1024
MAX_RANK = 8
MAX_ELEMENTS = 1 << 28
"""Largest tensor accepted, in elements; the largest in the nets used is 2**19."""

DTYPES: dict[int, np.dtype[Any]] = {
    tflite.TensorType.FLOAT32: np.dtype(np.float32),
    tflite.TensorType.FLOAT16: np.dtype(np.float16),
    tflite.TensorType.INT32: np.dtype(np.int32),
    tflite.TensorType.INT64: np.dtype(np.int64),
    tflite.TensorType.UINT8: np.dtype(np.uint8),
    tflite.TensorType.INT8: np.dtype(np.int8),
    tflite.TensorType.BOOL: np.dtype(np.bool_),
}
OPERATOR_NAMES: dict[int, str] = {
    value: name for name, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)
}
BROKEN = (struct.error, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, MemoryError)
"""What the flatbuffer accessors and numpy raise on offsets and lengths that point nowhere."""


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """One tensor of the graph.

    Attributes:
        index: position in the subgraph.
        name: as the file has it, for messages.
        shape: TFLite's own layout (NHWC for pictures); () is a scalar.
        dtype: numpy dtype.
        data: the constant's value, read-only, or None for a computed tensor.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    data: Array | None


@dataclass(frozen=True, slots=True, eq=False)
class Operator:
    """One operator.

    Attributes:
        kind: builtin name, ``CONV_2D``, or ``CUSTOM``.
        inputs: tensor indices, -1 for one left out.
        outputs: tensor indices.
        options: reads the options table into an object of a `tflite` options class.
        has_options: whether there is a table.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Callable[[type[Any]], Any]
    has_options: bool


@dataclass(frozen=True, slots=True, eq=False)
class TfliteGraph:
    """The one subgraph of a file.

    Attributes:
        tensors: all tensors by index.
        operators: in execution order.
        inputs: tensor indices.
        outputs: tensor indices.
    """

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_tflite(data: bytes) -> TfliteGraph:
    """Parse a TFLite file.

    Args:
        data: the whole file.

    Returns:
        Its single subgraph.

    Raises:
        ModelConvertError: the bytes are not a TFLite file, are cut off or corrupt, or hold something that is
            not supported.
    """
    if len(data) < 16 or data[4:8] != IDENTIFIER:
        raise ModelConvertError("not a TFLite file: the identifier TFL3 is missing")
    try:
        return _read(data)
    except BROKEN as error:
        raise ModelConvertError(f"TFLite file is cut off or corrupt ({type(error).__name__})") from error


def _read(data: bytes) -> TfliteGraph:
    model = tflite.Model.GetRootAs(data, 0)
    if model.SubgraphsLength() != 1:
        raise ModelConvertError(f"file has {model.SubgraphsLength()} subgraphs, one is supported")
    graph = model.Subgraphs(0)
    for count in (
        graph.TensorsLength(),
        graph.OperatorsLength(),
        graph.InputsLength(),
        graph.OutputsLength(),
    ):
        if not 0 <= count <= len(data) // BYTES_PER_OFFSET:
            raise ModelConvertError(f"TFLite file of {len(data)} bytes claims {count} parts")
    tensors = tuple(_tensor(model, graph, i) for i in range(graph.TensorsLength()))
    if sum(t.data.nbytes for t in tensors if t.data is not None) > SHARING * len(data):
        raise ModelConvertError("TFLite file claims more constants than it holds")
    operators = tuple(_operator(model, graph, i) for i in range(graph.OperatorsLength()))
    result = TfliteGraph(
        tensors,
        operators,
        _indices(graph.InputsLength(), graph.Inputs),
        _indices(graph.OutputsLength(), graph.Outputs),
    )
    _check_indices(result)
    return result


def _indices(count: int, get: Callable[[int], int]) -> tuple[int, ...]:
    if not 0 <= count <= MAX_INDICES:
        raise ModelConvertError(f"TFLite file claims a list of {count} tensors")
    return tuple(int(get(i)) for i in range(count))


def _tensor(model: Any, graph: Any, index: int) -> Tensor:
    raw = graph.Tensors(index)
    name = (raw.Name() or b"").decode("utf-8", "replace")
    if raw.Type() not in DTYPES:
        raise ModelConvertError(f"tensor {index} ({name}) has unsupported type {raw.Type()}")
    dtype = DTYPES[raw.Type()]
    rank = raw.ShapeLength()
    if rank > MAX_RANK:
        raise ModelConvertError(f"tensor {index} ({name}) has {rank} dimensions")
    shape = tuple(int(raw.Shape(i)) for i in range(rank))
    elements = 1
    for size in shape:
        elements *= size
        if size < 1 or elements > MAX_ELEMENTS:
            raise ModelConvertError(f"tensor {index} ({name}) has shape {shape}")
    if raw.Sparsity() is not None:
        raise ModelConvertError(f"tensor {index} ({name}) is sparse")
    buffer = model.Buffers(raw.Buffer())
    if not buffer.DataLength():
        return Tensor(index, name, shape, dtype, None)
    values = buffer.DataAsNumpy().view(dtype)
    if values.size != elements:
        raise ModelConvertError(f"tensor {index} ({name}) has {values.size} values for shape {shape}")
    return Tensor(index, name, shape, dtype, values.reshape(shape))


def _operator(model: Any, graph: Any, index: int) -> Operator:
    raw = graph.Operators(index)
    code = model.OperatorCodes(raw.OpcodeIndex())
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    table = raw.BuiltinOptions()

    def options(kind: type[Any]) -> Any:
        if table is None:
            raise ModelConvertError(f"operator {index} lacks its options")
        result = kind()
        result.Init(table.Bytes, table.Pos)
        return result

    return Operator(
        OPERATOR_NAMES.get(number, f"operator number {number}"),
        _indices(raw.InputsLength(), raw.Inputs),
        _indices(raw.OutputsLength(), raw.Outputs),
        options,
        table is not None,
    )


def _check_indices(graph: TfliteGraph) -> None:
    """Every index names a tensor, and every tensor is computed once and before it is read."""
    count = len(graph.tensors)
    known = {t.index for t in graph.tensors if t.data is not None}
    for reads, writes in _steps(graph):
        for i in (*reads, *writes):
            if not 0 <= i < count:
                raise ModelConvertError(f"file names tensor {i} of {count}")
        for i in reads:
            if i not in known:
                raise ModelConvertError(f"tensor {i} ({graph.tensors[i].name}) is read before it is computed")
        for i in writes:
            if i in known:
                raise ModelConvertError(f"tensor {i} ({graph.tensors[i].name}) is computed twice")
            known.add(i)


def _steps(graph: TfliteGraph) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    yield (), graph.inputs
    for operator in graph.operators:
        yield tuple(i for i in operator.inputs if i != -1), operator.outputs
    yield graph.outputs, ()
