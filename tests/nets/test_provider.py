"""Other execution providers answer only where they say what the CPU says; the CPU does otherwise."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnxruntime as ort
import pytest

from pipeline.nets import PROVIDERS, check_provider, choose_providers, make_session
from pipeline.nets.provider import TOLERANCE, difference
from pipeline.nets.tflite import Output, convert_tflite
from pipeline.settings import Provider

REAL = ort.InferenceSession
CUDA = "CUDAExecutionProvider"


@pytest.fixture
def net(writer: Any, tmp_path: Path) -> Path:
    """``y = |x|``, three numbers."""
    y = writer.add("ABS", [writer.input(1, 3)], (1, 3))
    path = tmp_path / "abs.onnx"
    path.write_bytes(convert_tflite(writer.finish(y), inputs=["x"], outputs=[Output("y", 0, (3,))]))
    return path


class Accelerated:
    """A session of a provider that this machine has not: the CPU's answers, changed."""

    def __init__(
        self, path: str, options: Any, change: Callable[[Any], Any], providers: Sequence[str], **_: Any
    ) -> None:
        self._session = REAL(path, options, providers=["CPUExecutionProvider"])
        self._change = change
        self._providers = list(providers)
        self.get_inputs = self._session.get_inputs
        self.get_outputs = self._session.get_outputs

    def get_providers(self) -> list[str]:
        return self._providers

    def run(self, names: Any, feed: Any) -> list[Any]:
        return [self._change(value) for value in self._session.run(names, feed)]


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Any], Any] | None], None]:
    """Pretends that CUDA is there; its answers are the CPU's after a change, or None lets it fail to load."""

    def pretend(change: Callable[[Any], Any] | None) -> None:
        def make(path: str, options: Any = None, *, providers: Sequence[str], **words: Any) -> Any:
            if providers[0] != CUDA:
                return REAL(path, options, providers=providers, **words)
            if change is None:
                raise RuntimeError("no driver")
            return Accelerated(path, options, change, providers)

        monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, "CPUExecutionProvider"])
        monkeypatch.setattr(ort, "InferenceSession", make)

    return pretend


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


def test_every_name_of_the_settings_is_known() -> None:
    assert set(get_args(Provider)) == set(PROVIDERS)
    assert choose_providers("directml", ["DmlExecutionProvider", "CPUExecutionProvider"]) == [
        "DmlExecutionProvider",
        "CPUExecutionProvider",
    ]


def test_provider_with_the_same_outputs_is_used(
    net: Path, cuda: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    cuda(lambda value: value * np.float32(1 + 1e-5))
    assert make_session(net, provider="cuda").get_providers()[0] == CUDA
    found = check_provider(net, "cuda")
    assert found.state == "same"
    assert 0 < found.difference <= TOLERANCE
    assert warnings(caplog) == []


@pytest.mark.parametrize(
    ("change", "state"),
    [
        (lambda value: value * np.float32(1.01), "differs"),
        (lambda value: value * np.float32("nan"), "differs"),
        (lambda value: value[..., :2], "differs"),
        (lambda value: 1 / 0, "failed"),
        (None, "failed"),
    ],
)
def test_provider_that_fails_or_differs_falls_back_with_a_warning(
    net: Path, cuda: Callable[..., None], caplog: pytest.LogCaptureFixture, change: Any, state: str
) -> None:
    cuda(change)
    session = make_session(net, provider="cuda")
    assert session.get_providers() == ["CPUExecutionProvider"]
    x = np.array([[-1, 2, -3]], np.float32)
    np.testing.assert_array_equal(session.run(["y"], {"x": x})[0], np.abs(x))
    assert check_provider(net, "cuda").state == state
    (warning,) = warnings(caplog)
    assert "abs.onnx" in warning
    assert "cuda" in warning


def test_provider_that_is_absent_falls_back_with_a_warning(
    net: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert make_session(net, provider="openvino").get_providers() == ["CPUExecutionProvider"]
    assert check_provider(net, "openvino").state == "absent"
    assert len(warnings(caplog)) == 1


def test_session_that_quietly_dropped_the_provider_is_not_taken_for_it(
    net: Path, cuda: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda(lambda value: value)
    monkeypatch.setattr(Accelerated, "get_providers", lambda self: ["CPUExecutionProvider"])
    assert check_provider(net, "cuda").state == "failed"


def test_cpu_is_compared_with_nothing(net: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert check_provider(net, "cpu").state == "same"
    assert difference(make_session(net), make_session(net)) == 0.0
    assert warnings(caplog) == []
