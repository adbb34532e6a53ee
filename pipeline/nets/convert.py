"""From a model's original file to the file that is used."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from pipeline.errors import ModelConvertError
from pipeline.nets.manifest import ModelSpec
from pipeline.nets.prelu import rewrite_prelu
from pipeline.nets.tflite import Output, convert_tflite
from pipeline.nets.widen import widen_channels


def convert(spec: ModelSpec, original: bytes) -> bytes:
    """Make the used file of a model.

    Args:
        spec: its entry.
        original: the original file, already checked by hash.

    Returns:
        The converted file, or the original where the entry asks for no conversion.

    Raises:
        ModelConvertError: it can't be converted; the message names the model.
    """
    if spec.converted is None:
        return original
    try:
        if spec.converted.how == "tflite":
            outputs = [Output(output.name, output.index, output.shape) for output in spec.outputs]
            return convert_tflite(original, inputs=[i.name for i in spec.inputs], outputs=outputs)
        return optimise_onnx(original, spec)
    except ModelConvertError as error:
        raise ModelConvertError(f"{spec.name}: {error.message}") from error


def optimise_onnx(original: bytes, spec: ModelSpec) -> bytes:
    """PReLU rewritten, channels widened, batch freed, inputs and outputs renamed to the manifest's.

    Raises:
        ModelConvertError: the file is not a valid ONNX net with the inputs and outputs of the manifest.
    """
    try:
        model = onnx.load_from_string(original)
    except Exception as error:  # protobuf's DecodeError has another home in each of its releases
        raise ModelConvertError("not an ONNX file") from error
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != len(spec.inputs) or len(graph.output) != len(spec.outputs):
        raise ModelConvertError("inputs or outputs are not those of the manifest")
    del graph.input[:]
    graph.input.extend(inputs)
    names = {v.name: s.name for v, s in zip(inputs, spec.inputs, strict=True)}
    names |= {v.name: s.name for v, s in zip(graph.output, spec.outputs, strict=True)}
    rewrite_prelu(model)
    free_reshapes(graph)
    widen_channels(model)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*graph.input, *graph.output):
        value.name = names[value.name]
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    del graph.value_info[:]
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the checker's exceptions share no base class
        raise ModelConvertError(f"the optimised net is not valid: {type(error).__name__}") from error
    return bytes(model.SerializeToString(deterministic=True))


def free_reshapes(graph: onnx.GraphProto) -> None:
    """Let each reshape to a constant shape with a first axis of 1 take the batch as it comes."""
    targets = {node.input[1] for node in graph.node if node.op_type == "Reshape"}
    for tensor in graph.initializer:
        shape = numpy_helper.to_array(tensor)
        if tensor.name in targets and shape.ndim == 1 and shape.size > 1 and shape[0] == 1:
            free = np.concatenate([[0], shape[1:]]).astype(np.int64)
            tensor.CopyFrom(numpy_helper.from_array(free, tensor.name))
