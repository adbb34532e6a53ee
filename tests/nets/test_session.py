"""Sessions are made one way, and a file that is no model ends in an error of the tree."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import ModelError, ModelMissingError, UsageError
from pipeline.nets import make_session, open_store
from pipeline.nets.session import choose_providers
from pipeline.nets.tflite import Output, convert_tflite


@pytest.fixture
def net(writer: Any, tmp_path: Path) -> Path:
    """``y = |x|``, three numbers."""
    y = writer.add("ABS", [writer.input(1, 3)], (1, 3))
    path = tmp_path / "abs.onnx"
    path.write_bytes(convert_tflite(writer.finish(y), inputs=["x"], outputs=[Output("y", 0, (3,))]))
    return path


def test_session_has_one_thread_of_each_kind_and_does_not_spin(net: Path) -> None:
    options = make_session(net).get_session_options()
    assert options.intra_op_num_threads == 1
    assert options.inter_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert make_session(net, threads=2).get_session_options().intra_op_num_threads == 2


def test_session_runs_on_the_processor_and_takes_any_batch(net: Path) -> None:
    session = make_session(net)
    assert session.get_providers() == ["CPUExecutionProvider"]
    x = np.array([[-1, 2, -3], [4, -5, 6]], np.float32)
    np.testing.assert_array_equal(session.run(["y"], {"x": x})[0], np.abs(x))


def test_provider_that_is_not_there_falls_back_to_the_processor(net: Path) -> None:
    assert make_session(net, provider="cuda").get_providers() == ["CPUExecutionProvider"]
    have = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert choose_providers("cuda", have) == have
    assert choose_providers("CUDAExecutionProvider", have) == have
    assert choose_providers("cpu", have) == ["CPUExecutionProvider"]
    assert choose_providers("coreml", have) == ["CPUExecutionProvider"]


def test_missing_broken_and_empty_files_are_errors_of_the_tree(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match=r"none\.onnx"):
        make_session(tmp_path / "none.onnx")
    for content in (b"", b"not a model", b"\x08\x08"):
        path = tmp_path / "broken.onnx"
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"broken\.onnx"):
            make_session(path)


def test_no_threads_is_a_wrong_call(net: Path) -> None:
    with pytest.raises(UsageError):
        make_session(net, threads=0)


def test_loading_and_running_every_pulled_net_prints_nothing() -> None:
    """onnxruntime would warn of unused initialisers, of nodes without a provider, of shapes that differ."""
    code = """
import numpy as np, onnxruntime as ort
from pipeline.nets import list_models, open_store
for status in list_models(open_store()):
    if status.state == "ok" and status.spec.inputs:
        options = ort.SessionOptions()
        options.log_severity_level = 2
        options.intra_op_num_threads = 1
        session = ort.InferenceSession(str(status.path), options, providers=["CPUExecutionProvider"])
        feed = {i.name: np.ones((2, *i.shape), np.float32) for i in status.spec.inputs}
        found = session.run(None, feed)
        wanted = [(2, *o.shape) for o in status.spec.outputs]
        assert [f.shape for f in found] == wanted, status.spec.name
        assert [o.name for o in session.get_outputs()] == [o.name for o in status.spec.outputs]
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_runtime_keeps_no_telemetry_and_no_device_id(tmp_path: Path) -> None:
    code = """
import os
from pipeline.nets import make_session, open_store
make_session(open_store().path("face_detector"))
print(os.environ["ORT_DISABLE_TELEMETRY"])
"""
    models = str(open_store().root)
    # bare: where a test or a build server shows in the environment, onnxruntime keeps still of itself
    bare = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LIVEGATE_MODELS_DIR": models}
    done = subprocess.run([sys.executable, "-c", code], env=bare, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_session_of_the_store_is_ready_to_use() -> None:
    store = open_store()
    session = make_session(store.path("face_detector"))
    assert [i.name for i in session.get_inputs()] == [store.manifest["face_detector"].inputs[0].name]


def test_using_models_imports_neither_the_network_nor_the_converter() -> None:
    code = """
import sys
from pipeline.nets import list_models, make_session, open_store, pull, verify
store = open_store()
make_session(store.path("face_detector"))
list_models(store)
pull(store, ["face_detector"])
print(sorted({"httpx", "onnx", "tflite", "tenacity"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
