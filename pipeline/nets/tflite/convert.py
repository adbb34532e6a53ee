"""`convert_tflite`: bytes of a TFLite file to bytes of an ONNX file, the same ones each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from pipeline.errors import ModelConvertError
from pipeline.nets.tflite import algebra, spatial  # noqa: F401  (they fill the registry)
from pipeline.nets.tflite.fold import fold
from pipeline.nets.tflite.graph import Value, channels_first, plain
from pipeline.nets.tflite.lower import REGISTRY, Lowering
from pipeline.nets.tflite.reader import BROKEN, Operator, read_tflite


@dataclass(frozen=True, slots=True)
class Output:
    """An output wanted of the converted net.

    Attributes:
        name: its name in the ONNX file.
        index: its position among the TFLite outputs.
        shape: its shape after the batch; the elements are those of the TFLite output in its order.
    """

    name: str
    index: int
    shape: tuple[int, ...]


def convert_tflite(data: bytes, *, inputs: Sequence[str], outputs: Sequence[Output]) -> bytes:
    """Convert a float TFLite net.

    Args:
        data: the TFLite file.
        inputs: names for its inputs, in its order. Pictures (N, H, W, C) become (N, C, H, W).
        outputs: which outputs to keep, under which names and shapes. What no kept output needs is dropped.

    Returns:
        An ONNX file, opset 17, the same bytes for the same arguments. The first axis of everything is the
        batch, of free size.

    Raises:
        ModelConvertError: the file is corrupt, or holds something that is not known; the message names the
            operator and its tensor.
    """
    lowering = Lowering(read_tflite(data))
    try:
        graph_inputs = _inputs(lowering, inputs)
    except BROKEN as error:
        raise ModelConvertError(f"inputs can't be read ({type(error).__name__})") from error
    for position, op in enumerate(lowering.source.operators):
        _lower(lowering, position, op)
    graph_outputs = [_output(lowering, output) for output in outputs]
    model = lowering.graph.model("net", graph_inputs, graph_outputs)
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the checker's and the shape inference's exceptions share no base class
        raise ModelConvertError(f"the converted net is not valid: {type(error).__name__}") from error
    return bytes(model.SerializeToString(deterministic=True))


def _lower(lowering: Lowering, position: int, op: Operator) -> None:
    tensor = lowering.source.tensors[op.outputs[0]].name if op.outputs else "no output"
    where = f"operator {position} {op.kind} ({tensor})"
    function = REGISTRY.get(op.kind)
    if function is None:
        raise ModelConvertError(f"{where} is not known")
    try:
        if not fold(lowering, op):
            function(lowering, op)
    except ModelConvertError as error:
        raise ModelConvertError(f"{where}: {error.message}") from error
    except BROKEN as error:
        raise ModelConvertError(f"{where} can't be read ({type(error).__name__})") from error


def _inputs(lowering: Lowering, names: Sequence[str]) -> list[onnx.ValueInfoProto]:
    tensors = [lowering.source.tensors[index] for index in lowering.source.inputs]
    if len(tensors) != len(names):
        raise ModelConvertError(f"file has {len(tensors)} inputs, {len(names)} names were given")
    infos = []
    for tensor, name in zip(tensors, names, strict=True):
        rank = len(tensor.shape)
        if tensor.dtype != np.float32 or rank < 2:
            raise ModelConvertError(f"input {tensor.name} is {tensor.dtype} of rank {rank}")
        order = channels_first(4) if rank == 4 else plain(rank)
        lowering.values[tensor.index] = Value(tensor.shape, {order: name})
        shape: list[str | int | None] = ["N", *(tensor.shape[axis] for axis in order[1:])]
        infos.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    return infos


def _output(lowering: Lowering, output: Output) -> onnx.ValueInfoProto:
    if not 0 <= output.index < len(lowering.source.outputs):
        raise ModelConvertError(f"file has no output {output.index} for {output.name}")
    value = lowering.values.get(lowering.source.outputs[output.index])
    if value is None or not value.batched:
        raise ModelConvertError(f"output {output.name} is a constant")
    if int(np.prod(value.shape[1:])) != int(np.prod(output.shape)):
        raise ModelConvertError(f"output {output.name} has shape {value.shape[1:]}, not {output.shape}")
    graph = lowering.graph
    if value.shape[1:] == output.shape:
        name = graph.form(value, plain(len(value.shape)))
        if not graph.rename(name, output.name):
            graph.node("Identity", [name], output.name)
        value.forms[plain(len(value.shape))] = output.name
    else:
        graph.node("Reshape", [lowering.flat(value), graph.ints([0, *output.shape])], output.name)
    return helper.make_tensor_value_info(output.name, TensorProto.FLOAT, ["N", *output.shape])
