"""Each operator's lowering against plain numpy, on files written for the purpose, in batches of two."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tflite
from numpy.typing import NDArray

from pipeline.errors import ModelConvertError
from pipeline.nets import make_session
from pipeline.nets.tflite import Output, convert_tflite

Array = NDArray[Any]
SAME, VALID = tflite.Padding.SAME, tflite.Padding.VALID
RNG = np.random.default_rng(5)


def rand(*shape: int) -> NDArray[np.float32]:
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.fixture
def run(tmp_path: Path) -> Callable[[bytes, Array, tuple[int, ...]], Array]:
    """Convert a file of one input and one output and run it on a batch in TFLite's layout."""

    def convert_and_run(data: bytes, x: Array, shape: tuple[int, ...]) -> Array:
        path = tmp_path / "net.onnx"
        path.write_bytes(convert_tflite(data, inputs=["x"], outputs=[Output("y", 0, shape)]))
        feed = x.transpose(0, 3, 1, 2) if x.ndim == 4 else x
        return np.asarray(make_session(path).run(["y"], {"x": np.ascontiguousarray(feed)})[0])

    return convert_and_run


def padded(x: Array, kernel: tuple[int, int], stride: int, padding: int, fill: float = 0.0) -> Array:
    if padding == VALID:
        return x
    amounts = []
    for size, k in zip(x.shape[1:3], kernel, strict=True):
        total = max((-(-size // stride) - 1) * stride + k - size, 0)
        amounts.append((total // 2, total - total // 2))
    return np.pad(x, [(0, 0), *amounts, (0, 0)], constant_values=fill)


def windows(x: Array, kernel: tuple[int, int], stride: int) -> tuple[int, int, list[Array]]:
    height = (x.shape[1] - kernel[0]) // stride + 1
    width = (x.shape[2] - kernel[1]) // stride + 1
    cuts = [
        x[:, i * stride : i * stride + kernel[0], j * stride : j * stride + kernel[1]]
        for i, j in product(range(height), range(width))
    ]
    return height, width, cuts


def shaped(height: int, width: int, values: list[Array]) -> Array:
    return np.stack(values, axis=1).reshape(len(values[0]), height, width, -1)


@pytest.mark.parametrize("padding", [SAME, VALID])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(7, 6), (8, 9)])
def test_convolution(writer: Any, run: Any, size: tuple[int, int], stride: int, padding: int) -> None:
    x, w, b = rand(2, *size, 3), rand(5, 3, 2, 3), rand(5)
    height, width, cuts = windows(padded(x, (3, 2), stride, padding), (3, 2), stride)
    expected = shaped(height, width, [np.einsum("nhwi,ohwi->no", cut, w) + b for cut in cuts])
    inputs = [writer.input(1, *size, 3), writer.constant(w), writer.constant(b)]
    y = writer.add(
        "CONV_2D",
        inputs,
        (1, *expected.shape[1:]),
        "Conv2DOptions",
        Padding=padding,
        StrideH=stride,
        StrideW=stride,
        DilationHFactor=1,
        DilationWFactor=1,
        FusedActivationFunction=tflite.ActivationFunctionType.RELU,
    )
    found = run(writer.finish(y), x, expected.shape[1:])
    np.testing.assert_allclose(found, np.maximum(expected, 0), atol=1e-5)


@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_convolution(writer: Any, run: Any, multiplier: int) -> None:
    x, w = rand(2, 6, 7, 4), rand(1, 3, 3, 4 * multiplier)
    height, width, cuts = windows(padded(x, (3, 3), 2, SAME), (3, 3), 2)
    per_channel = w.reshape(3, 3, 4, multiplier)
    expected = shaped(height, width, [np.einsum("nhwc,hwcm->ncm", cut, per_channel) for cut in cuts])
    y = writer.add(
        "DEPTHWISE_CONV_2D",
        [writer.input(1, 6, 7, 4), writer.constant(w)],
        (1, *expected.shape[1:]),
        "DepthwiseConv2DOptions",
        Padding=SAME,
        StrideH=2,
        StrideW=2,
        DepthMultiplier=multiplier,
        DilationHFactor=1,
        DilationWFactor=1,
    )
    np.testing.assert_allclose(run(writer.finish(y), x, expected.shape[1:]), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
def test_pooling_ignores_its_padding(writer: Any, run: Any, kind: str) -> None:
    x = rand(2, 5, 5, 3)
    reduce = np.nanmax if kind == "MAX_POOL_2D" else np.nanmean
    height, width, cuts = windows(padded(x, (2, 2), 2, SAME, np.nan), (2, 2), 2)
    expected = shaped(height, width, [reduce(cut, axis=(1, 2)) for cut in cuts])
    y = writer.add(
        kind,
        [writer.input(1, 5, 5, 3)],
        (1, 3, 3, 3),
        "Pool2DOptions",
        Padding=SAME,
        StrideH=2,
        StrideW=2,
        FilterHeight=2,
        FilterWidth=2,
    )
    np.testing.assert_allclose(run(writer.finish(y), x, (3, 3, 3)), expected, atol=1e-6)


def test_prelu_has_a_slope_per_channel_even_above_one(writer: Any, run: Any) -> None:
    x, slope = rand(2, 4, 4, 3), np.array([[[0.25, -0.5, 1.75]]], np.float32)
    y = writer.add("PRELU", [writer.input(1, 4, 4, 3), writer.constant(slope)], (1, 4, 4, 3))
    found = run(writer.finish(y), x, (4, 4, 3))
    np.testing.assert_allclose(found, np.where(x < 0, slope * x, x), atol=1e-6)


def test_pad_adds_channels_and_pixels(writer: Any, run: Any) -> None:
    x, amounts = rand(2, 3, 4, 2), np.array([[0, 0], [1, 0], [0, 2], [0, 3]], np.int32)
    y = writer.add("PAD", [writer.input(1, 3, 4, 2), writer.constant(amounts)], (1, 4, 6, 5))
    np.testing.assert_array_equal(run(writer.finish(y), x, (4, 6, 5)), np.pad(x, amounts))


def test_resize_bilinear_with_half_pixel_centres(writer: Any, run: Any) -> None:
    x = np.zeros((2, 2, 2, 1), np.float32)
    x[:, :, 1] = 4
    size = writer.constant(np.array([4, 4], np.int32))
    y = writer.add(
        "RESIZE_BILINEAR",
        [writer.input(1, 2, 2, 1), size],
        (1, 4, 4, 1),
        "ResizeBilinearOptions",
        HalfPixelCenters=True,
    )
    found = run(writer.finish(y), x, (4, 4, 1))
    np.testing.assert_allclose(found[:, 0, :, 0], [[0, 1, 3, 4]] * 2, atol=1e-6)


BINARY = {"ADD": np.add, "SUB": np.subtract, "MUL": np.multiply, "DIV": np.divide}


@pytest.mark.parametrize("kind", BINARY)
@pytest.mark.parametrize("shape", [(), (4,), (1, 3, 1), (1, 2, 3, 4)])
def test_arithmetic_broadcasts_constants_either_side(
    writer: Any, run: Any, kind: str, shape: tuple[int, ...]
) -> None:
    x, c = rand(2, 2, 3, 4) + 5, np.asarray(rand(*shape) + 5, np.float32)
    left, right = writer.input(1, 2, 3, 4), writer.constant(c)
    one = writer.add(kind, [left, right], (1, 2, 3, 4), f"{kind.title()}Options")
    two = writer.add(kind, [right, one], (1, 2, 3, 4), f"{kind.title()}Options")
    expected = BINARY[kind](c, BINARY[kind](x, c))
    np.testing.assert_allclose(run(writer.finish(two), x, (2, 3, 4)), expected, rtol=1e-5)


def test_arithmetic_of_values_in_different_layouts(writer: Any, run: Any) -> None:
    x = rand(2, 3, 3, 4)
    entry = writer.input(1, 3, 3, 4)
    perm = writer.constant(np.array([0, 2, 1, 3], np.int32))
    turned = writer.add("TRANSPOSE", [entry, perm], (1, 3, 3, 4))
    y = writer.add("SQUARED_DIFFERENCE", [entry, turned], (1, 3, 3, 4))
    expected = (x - x.transpose(0, 2, 1, 3)) ** 2
    np.testing.assert_allclose(run(writer.finish(y), x, (3, 3, 4)), expected, atol=1e-6)


UNARY: dict[str, Callable[[Array], Array]] = {
    "RELU": lambda x: np.maximum(x, 0),
    "RELU6": lambda x: np.clip(x, 0, 6),
    "ABS": np.abs,
    "NEG": np.negative,
    "EXP": np.exp,
    "SQRT": np.sqrt,
    "RSQRT": lambda x: 1 / np.sqrt(x),
    "TANH": np.tanh,
    "LOGISTIC": lambda x: 1 / (1 + np.exp(-x)),
}


@pytest.mark.parametrize("kind", UNARY)
def test_functions_of_one_value(writer: Any, run: Any, kind: str) -> None:
    x = rand(2, 5) * 4
    if "SQRT" in kind:
        x = np.abs(x) + 1
    y = writer.add(kind, [writer.input(1, 5)], (1, 5))
    np.testing.assert_allclose(run(writer.finish(y), x, (5,)), UNARY[kind](x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["MEAN", "SUM"])
@pytest.mark.parametrize("axes", [(1, 2), (-1,), (2,)])
@pytest.mark.parametrize("keep", [True, False])
def test_reductions(writer: Any, run: Any, kind: str, axes: tuple[int, ...], keep: bool) -> None:
    x = rand(2, 3, 4, 5)
    reduce = np.mean if kind == "MEAN" else np.sum
    expected = reduce(x, axis=axes, keepdims=keep)
    axis = writer.constant(np.array(axes, np.int32))
    y = writer.add(
        kind, [writer.input(1, 3, 4, 5), axis], (1, *expected.shape[1:]), "ReducerOptions", KeepDims=keep
    )
    np.testing.assert_allclose(run(writer.finish(y), x, expected.shape[1:]), expected, rtol=1e-4, atol=1e-5)


def test_reshape_flattens_in_tflite_order(writer: Any, run: Any) -> None:
    x = rand(2, 2, 3, 4)
    y = writer.add("RESHAPE", [writer.input(1, 2, 3, 4)], (1, 24))
    np.testing.assert_array_equal(run(writer.finish(y), x, (24,)), x.reshape(2, 24))


def test_transpose_then_reshape(writer: Any, run: Any) -> None:
    x = rand(2, 2, 3, 4)
    perm = writer.constant(np.array([0, 3, 1, 2], np.int32))
    turned = writer.add("TRANSPOSE", [writer.input(1, 2, 3, 4), perm], (1, 4, 2, 3))
    y = writer.add("RESHAPE", [turned], (1, 24))
    np.testing.assert_array_equal(run(writer.finish(y), x, (24,)), x.transpose(0, 3, 1, 2).reshape(2, 24))


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_concatenation_of_a_value_and_a_constant(writer: Any, run: Any, axis: int) -> None:
    x, c = rand(2, 2, 3, 4), rand(1, 2, 3, 4)
    expected = np.concatenate([np.repeat(c, 2, axis=0), x, x], axis=axis)
    entry = writer.input(1, 2, 3, 4)
    y = writer.add(
        "CONCATENATION",
        [writer.constant(c), entry, entry],
        (1, *expected.shape[1:]),
        "ConcatenationOptions",
        Axis=axis,
    )
    np.testing.assert_array_equal(run(writer.finish(y), x, expected.shape[1:]), expected)


def slice_inputs(writer: Any, *bounds: tuple[int, ...]) -> list[int]:
    return [writer.constant(np.array(bound, np.int32)) for bound in bounds]


def test_strided_slice_with_masks_and_a_dropped_axis(writer: Any, run: Any) -> None:
    x = rand(2, 5, 6, 4)
    entry = writer.input(1, 5, 6, 4)
    bounds = slice_inputs(writer, (0, 1, 3, 2), (1, 4, 4, 0), (1, 2, 1, 1))
    y = writer.add(
        "STRIDED_SLICE",
        [entry, *bounds],
        (1, 2, 2),
        "StridedSliceOptions",
        BeginMask=0b0001,
        EndMask=0b1001,
        ShrinkAxisMask=0b0100,
    )
    np.testing.assert_array_equal(run(writer.finish(y), x, (2, 2)), x[:, 1:4:2, 3, 2:])


def test_slice_that_takes_the_one_item_of_a_batch_takes_every_item(writer: Any, run: Any) -> None:
    x = rand(3, 6)
    bounds = slice_inputs(writer, (0, 0), (1, 6), (1, 1))
    y = writer.add(
        "STRIDED_SLICE",
        [writer.input(1, 6), *bounds],
        (6,),
        "StridedSliceOptions",
        ShrinkAxisMask=0b01,
    )
    np.testing.assert_array_equal(run(writer.finish(y), x, (6,)), x)


def test_fully_connected_flattens_in_tflite_order(writer: Any, run: Any) -> None:
    x, w, b = rand(2, 2, 3, 4), rand(5, 24), rand(5)
    inputs = [writer.input(1, 2, 3, 4), writer.constant(w), writer.constant(b)]
    y = writer.add("FULLY_CONNECTED", inputs, (1, 5), "FullyConnectedOptions")
    np.testing.assert_allclose(run(writer.finish(y), x, (5,)), x.reshape(2, 24) @ w.T + b, atol=1e-4)


def test_softmax_over_the_last_axis(writer: Any, run: Any) -> None:
    x = rand(2, 2, 2, 3)
    y = writer.add("SOFTMAX", [writer.input(1, 2, 2, 3)], (1, 2, 2, 3), "SoftmaxOptions", Beta=1.0)
    expected = np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(run(writer.finish(y), x, (2, 2, 3)), expected, atol=1e-6)


def test_float16_constants_are_widened_and_arithmetic_of_constants_folds(writer: Any) -> None:
    half = np.array([0.1, 1.5, -2.25, 3.0], np.float16)
    entry = writer.input(1, 4)
    wide = writer.add("DEQUANTIZE", [writer.constant(half)], (4,))
    doubled = writer.add("ADD", [wide, wide], (4,), "AddOptions")
    y = writer.add("MUL", [entry, doubled], (1, 4), "MulOptions")
    model = onnx.load_from_string(
        convert_tflite(writer.finish(y), inputs=["x"], outputs=[Output("y", 0, (4,))])
    )
    assert [node.op_type for node in model.graph.node] == ["Mul"]
    (kept,) = model.graph.initializer
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(kept), [2 * half.astype(np.float32)])


def test_layouts_cancel_between_spatial_operators(writer: Any) -> None:
    """Convolution, PReLU, padding and a residual sum need no transpose at all."""
    w, slope = rand(4, 1, 1, 2), rand(1, 1, 4)
    entry = writer.input(1, 6, 6, 2)
    conv = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    y = writer.add("CONV_2D", [entry, writer.constant(w)], (1, 6, 6, 4), "Conv2DOptions", **conv)
    y = writer.add("PRELU", [y, writer.constant(slope)], (1, 6, 6, 4))
    amounts = writer.constant(np.array([[0, 0], [0, 0], [0, 0], [0, 2]], np.int32))
    side = writer.add("PAD", [entry, amounts], (1, 6, 6, 4))
    y = writer.add("ADD", [y, side], (1, 6, 6, 4), "AddOptions")
    axes = writer.constant(np.array([1, 2], np.int32))
    y = writer.add("MEAN", [y, axes], (1, 1, 1, 4), "ReducerOptions", KeepDims=True)
    data = convert_tflite(writer.finish(y), inputs=["x"], outputs=[Output("y", 0, (4,))])
    kinds = {node.op_type for node in onnx.load_from_string(data).graph.node}
    assert "Transpose" not in kinds
    assert "PRelu" not in kinds


def test_outputs_that_are_not_wanted_leave_no_trace(writer: Any) -> None:
    entry = writer.input(1, 3)
    kept = writer.add("ABS", [entry], (1, 3))
    dropped = writer.add("MUL", [entry, writer.constant(rand(3))], (1, 3), "MulOptions")
    data = convert_tflite(writer.finish(dropped, kept), inputs=["x"], outputs=[Output("kept", 1, (3,))])
    graph = onnx.load_from_string(data).graph
    assert [node.op_type for node in graph.node] == ["Abs"]
    assert not graph.initializer
    assert [value.name for value in graph.output] == ["kept"]


def test_unknown_operator_is_named_with_its_tensor(writer: Any) -> None:
    y = writer.add("COS", [writer.input(1, 3)], (1, 3))
    with pytest.raises(ModelConvertError, match=r"operator 0 COS \(t1\) is not known"):
        convert_tflite(writer.finish(y), inputs=["x"], outputs=[Output("y", 0, (3,))])


def test_weights_that_are_computed_are_refused_by_name(writer: Any) -> None:
    entry = writer.input(1, 4, 4, 2)
    conv = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    y = writer.add("CONV_2D", [entry, entry], (1, 4, 4, 2), "Conv2DOptions", **conv)
    with pytest.raises(ModelConvertError, match=r"CONV_2D \(t1\): input 1 \(t0\) is not a constant"):
        convert_tflite(writer.finish(y), inputs=["x"], outputs=[Output("y", 0, (4, 4, 2))])


@pytest.mark.parametrize(("shape", "axes"), [((3, 4), (0,)), ((1, 4), (0, 1))])
def test_reduction_over_the_batch_is_refused(
    writer: Any, shape: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    axis = writer.constant(np.array(axes, np.int32))
    y = writer.add("SUM", [writer.input(*shape), axis], (1, 1), "ReducerOptions", KeepDims=True)
    with pytest.raises(ModelConvertError, match="batch"):
        convert_tflite(writer.finish(y), inputs=["x"], outputs=[Output("y", 0, (1,))])


def test_output_of_another_size_than_asked_is_refused(writer: Any) -> None:
    y = writer.add("ABS", [writer.input(1, 3)], (1, 3))
    with pytest.raises(ModelConvertError, match="has shape"):
        convert_tflite(writer.finish(y), inputs=["x"], outputs=[Output("y", 0, (4,))])


def test_same_file_converts_to_the_same_bytes(writer: Any) -> None:
    w = rand(4, 3, 3, 2)
    conv = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    y = writer.add(
        "CONV_2D", [writer.input(1, 6, 6, 2), writer.constant(w)], (1, 6, 6, 4), "Conv2DOptions", **conv
    )
    data = writer.finish(y)
    one, two = (convert_tflite(data, inputs=["x"], outputs=[Output("y", 0, (6, 6, 4))]) for _ in range(2))
    assert one == two
