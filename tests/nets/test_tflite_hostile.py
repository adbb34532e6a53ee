"""Files that are cut off or changed end in a clear error or a valid net, never in a traceback or a hang."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ModelConvertError
from pipeline.nets import open_store
from pipeline.nets.tflite import Output, convert_tflite
from pipeline.nets.tflite.reader import read_tflite

SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def attempt(data: bytes, outputs: list[Output]) -> bool:
    """Whether a file converts; what converts has to be a valid model."""
    try:
        result = convert_tflite(data, inputs=["input"], outputs=outputs)
    except ModelConvertError:
        return False
    onnx.checker.check_model(onnx.load_from_string(result))
    return True


class Detector(bytes):
    """The detector's file, with a repr that hypothesis can print."""

    def __repr__(self) -> str:
        return f"Detector({len(self)} bytes)"


@pytest.fixture(scope="module")
def detector() -> Detector:
    store = open_store()
    return Detector(store.original(store.manifest["face_detector"]).read_bytes())


DETECTOR_OUTPUTS = [Output("regressors", 0, (896, 16)), Output("scores", 1, (896, 1))]


@pytest.fixture
def small(writer: Any) -> bytes:
    """A file with most kinds of tables: convolution, options, float16, reshape, two outputs."""
    entry = writer.input(1, 4, 4, 2)
    half = writer.constant(np.ones((3, 1, 1, 2), np.float16))
    weights = writer.add("DEQUANTIZE", [half], (3, 1, 1, 2))
    conv = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    y = writer.add("CONV_2D", [entry, weights], (1, 4, 4, 3), "Conv2DOptions", **conv)
    y = writer.add("PRELU", [y, writer.constant(np.full((1, 1, 3), 0.5, np.float32))], (1, 4, 4, 3))
    target = writer.constant(np.array([1, 48], np.int32))
    z = writer.add("RESHAPE", [y, target], (1, 48))
    return bytes(writer.finish(z, y))


SMALL_OUTPUTS = [Output("flat", 0, (48,)), Output("picture", 1, (4, 4, 3))]


def test_the_files_convert_before_they_are_changed(small: bytes, detector: Detector) -> None:
    assert attempt(small, SMALL_OUTPUTS)
    assert attempt(detector, DETECTOR_OUTPUTS)


def test_every_truncation_of_a_small_file_ends_in_an_error(small: bytes) -> None:
    for length in range(len(small)):
        assert not attempt(small[:length], SMALL_OUTPUTS), f"the first {length} bytes convert"


@settings(SLOW, max_examples=25)
@given(st.integers(0, 229_713))
def test_a_truncated_detector_is_refused_or_lost_nothing(detector: Detector, length: int) -> None:
    """The file's last bytes hold version numbers that conversion does not read."""
    try:
        result = convert_tflite(detector[:length], inputs=["input"], outputs=DETECTOR_OUTPUTS)
    except ModelConvertError:
        return
    assert len(detector) - length < 64
    assert result == convert_tflite(detector, inputs=["input"], outputs=DETECTOR_OUTPUTS)


@settings(SLOW, max_examples=300)
@given(st.lists(st.tuples(st.integers(8, 10_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes_end_in_an_error_or_a_valid_net(small: bytes, changes: list[tuple[int, int]]) -> None:
    data = bytearray(small)
    for position, value in changes:
        data[position % len(data)] = value
    attempt(bytes(data), SMALL_OUTPUTS)


@settings(SLOW, max_examples=200)
@given(st.integers(0, 10_000), st.sampled_from([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF, 64]))
def test_changed_words_end_in_an_error_or_a_valid_net(small: bytes, position: int, word: int) -> None:
    data = bytearray(small)
    at = position % (len(data) // 4) * 4
    data[at : at + 4] = struct.pack("<I", word)
    attempt(bytes(data), SMALL_OUTPUTS)


@SLOW
@given(st.binary(max_size=200))
def test_noise_is_no_tflite_file(noise: bytes) -> None:
    with pytest.raises(ModelConvertError):
        read_tflite(noise)
    with pytest.raises(ModelConvertError):
        read_tflite(noise[:4] + b"TFL3" + noise[8:])


def test_a_tensor_of_huge_size_is_refused(writer: Any) -> None:
    y = writer.add("ABS", [writer.input(1, 1 << 20, 1 << 20)], (1, 1 << 20, 1 << 20))
    with pytest.raises(ModelConvertError, match="has shape"):
        read_tflite(writer.finish(y))


def test_a_constant_that_is_shorter_than_its_shape_is_refused(writer: Any) -> None:
    short = writer.tensor((4,), b"\0" * 8)
    y = writer.add("ADD", [writer.input(1, 4), short], (1, 4), "AddOptions")
    with pytest.raises(ModelConvertError, match="2 values for shape"):
        read_tflite(writer.finish(y))


def test_an_operator_that_reads_what_is_not_computed_is_refused(writer: Any) -> None:
    later = writer.tensor((1, 4))
    y = writer.add("ABS", [later], (1, 4))
    with pytest.raises(ModelConvertError, match=r"tensor 0 \(t0\) is read before it is computed"):
        read_tflite(writer.finish(y))


def test_a_tensor_that_is_computed_twice_is_refused(writer: Any) -> None:
    y = writer.add("ABS", [writer.input(1, 4)], (1, 4))
    writer.operators.append(writer.operators[0])
    with pytest.raises(ModelConvertError, match="computed twice"):
        read_tflite(writer.finish(y))


def test_an_index_outside_the_tensors_is_refused(writer: Any) -> None:
    y = writer.add("ABS", [99], (1, 4))
    with pytest.raises(ModelConvertError, match="names tensor 99"):
        read_tflite(writer.finish(y))
