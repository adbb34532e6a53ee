"""PReLU written in operators that onnxruntime runs inside its blocked CPU layout.

onnxruntime's NCHWc layout has no PRelu: each one costs two copies of the whole tensor between layouts. A
depthwise 1x1 convolution does stay inside, so ``prelu(x) = a * x + (1 - a) * relu(x)`` becomes two of them
and a sum. Where no slope exceeds 1, ``(1 - a) * relu(x)`` is ``relu((1 - a) * x)``, to the last bit: then
onnxruntime makes the Relu a part of its convolution, and a pass over the tensor is saved. docs/adr/0002 has
the forms that were measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

F32 = NDArray[np.float32]


def emit_prelu(
    x: str,
    slope: F32,
    *,
    node: Callable[..., str],
    constant: Callable[[NDArray[Any]], str],
) -> str:
    """Write ``prelu(x)`` for a channels-first tensor.

    Args:
        x: name of a float32 tensor (N, C, H, W).
        slope: float32, C values: the slope for negative inputs of each channel.
        node: adds a node, as `GraphBuilder.node`.
        constant: adds an initialiser, as `GraphBuilder.constant`.

    Returns:
        Name of the result.
    """
    channels = slope.size
    depthwise = {"group": channels, "kernel_shape": [1, 1]}
    weights = slope.astype(np.float32).reshape(channels, 1, 1, 1)
    rest = (np.float32(1) - weights).astype(np.float32)
    if (rest >= 0).all():
        positive = node("Relu", [node("Conv", [x, constant(rest)], **depthwise)])
    else:
        positive = node("Conv", [node("Relu", [x]), constant(rest)], **depthwise)
    whole = node("Conv", [x, constant(weights)], **depthwise)
    return node("Add", [positive, whole])


def rewrite_prelu(model: onnx.ModelProto) -> int:
    """Replace, in place, each PRelu with one constant slope per channel of a 4-D input.

    Args:
        model: a checked model with inferred shapes or without; a slope of shape (C, 1, 1) marks a 4-D input.

    Returns:
        How many were replaced.
    """
    graph = model.graph
    slopes = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    count = 0
    for old in graph.node:
        slope = slopes.get(old.input[1]) if old.op_type == "PRelu" else None
        if slope is None or slope.ndim != 3 or slope.shape[1:] != (1, 1):
            nodes.append(old)
            continue
        prefix = f"prelu{count}"
        count += 1

        def constant(array: NDArray[Any], prefix: str = prefix) -> str:
            name = f"{prefix}_c{len(graph.initializer)}"
            graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
            return name

        def node(kind: str, inputs: Sequence[str], prefix: str = prefix, **attributes: Any) -> str:
            name = f"{prefix}_n{len(nodes)}"
            nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
            return name

        emit_prelu(old.input[0], np.asarray(slope, np.float32), node=node, constant=constant)
        nodes[-1].output[0] = old.output[0]
    del graph.node[:]
    graph.node.extend(nodes)
    return count
