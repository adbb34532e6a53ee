"""Lowering of operators over pictures: convolutions, pooling, padding, PReLU, resizing."""

from __future__ import annotations

from typing import Any

import numpy as np
import tflite

from pipeline.errors import ModelConvertError
from pipeline.nets.prelu import emit_prelu
from pipeline.nets.tflite.graph import channels_first
from pipeline.nets.tflite.lower import Lowering, activation, lowers
from pipeline.nets.tflite.reader import Operator

NCHW = channels_first(4)


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Zeros before and after an axis under TensorFlow's SAME rule: the odd one goes to the end.

    >>> same_padding(128, 5, 2)
    (1, 2)
    """
    reach = (kernel - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def window(
    options: Any, shape: tuple[int, ...], kernel: tuple[int, int], dilations: tuple[int, int] = (1, 1)
) -> dict[str, Any]:
    """ONNX attributes of a sliding window: kernel, strides, pads."""
    strides = (options.StrideH(), options.StrideW())
    if min(*strides, *kernel, *dilations) < 1:
        raise ModelConvertError(f"window of {kernel} with strides {strides} and dilations {dilations}")
    pads = [0, 0, 0, 0]
    if options.Padding() == tflite.Padding.SAME:
        top, bottom = same_padding(shape[1], kernel[0], strides[0], dilations[0])
        left, right = same_padding(shape[2], kernel[1], strides[1], dilations[1])
        pads = [top, left, bottom, right]
    return {"kernel_shape": list(kernel), "strides": list(strides), "pads": pads}


def picture(lowering: Lowering, op: Operator) -> tuple[str, tuple[int, ...]]:
    """First input as NCHW, with its logical NHWC shape."""
    value = lowering.value(op, 0)
    if len(value.shape) != 4:
        raise ModelConvertError(f"input has shape {value.shape}, a picture is needed")
    return lowering.graph.form(value, NCHW), value.shape


@lowers("CONV_2D", "DEPTHWISE_CONV_2D")
def convolution(lowering: Lowering, op: Operator) -> None:
    """Weights (O, h, w, I) or (1, h, w, C*m) to ONNX's (O, I, h, w) and (C*m, 1, h, w)."""
    depthwise = op.kind == "DEPTHWISE_CONV_2D"
    options = op.options(tflite.DepthwiseConv2DOptions if depthwise else tflite.Conv2DOptions)
    x, shape = picture(lowering, op)
    weights = lowering.constant(op, 1).astype(np.float32)
    if weights.ndim != 4:
        raise ModelConvertError(f"weights have shape {weights.shape}")
    kernel = (weights.shape[1], weights.shape[2])
    weights = weights.transpose(3, 0, 1, 2) if depthwise else weights.transpose(0, 3, 1, 2)
    groups, left = divmod(shape[3], weights.shape[1])
    if left or weights.shape[0] % groups:
        raise ModelConvertError(f"{shape[3]} channels do not fit weights of {weights.shape}")
    dilations = (options.DilationHFactor(), options.DilationWFactor())
    inputs = [x, lowering.graph.constant(weights)]
    if lowering.has(op, 2):
        inputs.append(lowering.graph.constant(lowering.constant(op, 2).astype(np.float32)))
    attributes = window(options, shape, kernel, dilations)
    y = lowering.graph.node("Conv", inputs, group=groups, dilations=list(dilations), **attributes)
    lowering.store(op, activation(lowering, y, options.FusedActivationFunction()), NCHW)


@lowers("MAX_POOL_2D", "AVERAGE_POOL_2D")
def pooling(lowering: Lowering, op: Operator) -> None:
    """Padding counts in neither the maximum nor the mean."""
    options = op.options(tflite.Pool2DOptions)
    x, shape = picture(lowering, op)
    attributes = window(options, shape, (options.FilterHeight(), options.FilterWidth()))
    kind = "MaxPool"
    if op.kind == "AVERAGE_POOL_2D":
        kind = "AveragePool"
        attributes["count_include_pad"] = 0
    y = lowering.graph.node(kind, [x], **attributes)
    lowering.store(op, activation(lowering, y, options.FusedActivationFunction()), NCHW)


@lowers("PAD")
def pad(lowering: Lowering, op: Operator) -> None:
    """Zeros around a value, in the order that it is stored in."""
    value = lowering.value(op, 0)
    amounts = lowering.constant(op, 1).astype(np.int64)
    order = value.order
    if amounts.shape != (len(order), 2) or amounts.min(initial=0) < 0 or amounts[0].any():
        raise ModelConvertError(f"padding of {amounts.tolist()}")
    stored = amounts[list(order)]
    y = lowering.graph.node("Pad", [value.forms[order], lowering.graph.ints(stored.T.ravel().tolist())])
    lowering.store(op, y, order)


@lowers("PRELU")
def prelu(lowering: Lowering, op: Operator) -> None:
    """One slope per channel."""
    x, shape = picture(lowering, op)
    slope = lowering.constant(op, 1)
    if slope.size != shape[3] or slope.shape[-1] != shape[3]:
        raise ModelConvertError(f"slopes of shape {slope.shape} for {shape[3]} channels")
    y = emit_prelu(x, slope, node=lowering.graph.node, constant=lowering.graph.constant)
    lowering.store(op, y, NCHW)


@lowers("RESIZE_BILINEAR")
def resize_bilinear(lowering: Lowering, op: Operator) -> None:
    """Bilinear resizing to the size of the output tensor."""
    options = op.options(tflite.ResizeBilinearOptions)
    x, shape = picture(lowering, op)
    _, height, width, _ = lowering.result(op).shape
    mode = (
        "align_corners"
        if options.AlignCorners()
        else "half_pixel"
        if options.HalfPixelCenters()
        else "asymmetric"
    )
    scales = np.array([1, 1, height / shape[1], width / shape[2]], np.float32)
    y = lowering.graph.node(
        "Resize",
        [x, "", lowering.graph.constant(scales)],
        mode="linear",
        coordinate_transformation_mode=mode,
    )
    lowering.store(op, y, NCHW)
