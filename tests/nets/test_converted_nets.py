"""The nets of the manifest: reproducible bytes, free batches, clean graphs, right answers."""

from __future__ import annotations

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from pipeline.errors import ModelConvertError
from pipeline.nets import ModelSpec, ModelStore, list_models, load_manifest, make_session, open_store
from pipeline.nets.convert import convert, optimise_onnx
from pipeline.nets.prelu import rewrite_prelu

NETS = [spec.name for spec in load_manifest().models.values() if spec.converted]


@pytest.fixture(scope="module")
def store() -> ModelStore:
    return open_store()


def pulled(store: ModelStore, name: str) -> ModelSpec:
    """The entry, or a skip for a net that only the user can bring; one that can be pulled has to be there."""
    spec = store.manifest[name]
    if spec.group == "optional" and name not in {s.spec.name for s in list_models(store) if s.state == "ok"}:
        pytest.skip(f"{name} is optional and was not pulled")
    return spec


def batch(spec: ModelSpec, count: int = 3) -> NDArray[np.float32]:
    """Noise in the range of the net's input."""
    entry = spec.inputs[0]
    low, high = entry.range or (0.0, 500.0)
    x = np.random.default_rng(3).random((count, *entry.shape)) * (high - low) + low
    return x.astype(np.float32)


@pytest.mark.parametrize("name", NETS)
def test_conversion_gives_the_recorded_bytes(store: ModelStore, name: str) -> None:
    spec = pulled(store, name)
    result = convert(spec, store.original(spec).read_bytes())
    assert result == store.path(name).read_bytes()


@pytest.mark.parametrize("name", NETS)
def test_items_of_a_batch_do_not_touch_each_other(store: ModelStore, name: str) -> None:
    spec = pulled(store, name)
    session = make_session(store.path(name))
    x = batch(spec)
    entry = spec.inputs[0].name
    together = session.run(None, {entry: x})
    for i in range(len(x)):
        for whole, alone in zip(together, session.run(None, {entry: x[i : i + 1]}), strict=True):
            scale = max(1.0, float(np.abs(whole).max()))
            np.testing.assert_allclose(whole[i : i + 1], alone, atol=1e-4 * scale)
    assert any(not np.allclose(out[0], out[2]) for out in together), "the net ignores its input"


@pytest.mark.parametrize("name", NETS)
def test_graph_is_clean(store: ModelStore, name: str) -> None:
    spec = pulled(store, name)
    graph = onnx.load(str(store.path(name))).graph
    kinds = [node.op_type for node in graph.node]
    assert "PRelu" not in kinds
    assert "Identity" not in kinds
    if name != "face_blendshapes":  # a mixer: its transposes are its work
        inner = {"face_detector": 4}.get(name, 0)  # one before each reshape to anchors
        assert kinds.count("Transpose") == inner
    read = {i for node in graph.node for i in node.input}
    assert {c.name for c in graph.initializer} <= read
    assert [i.name for i in graph.input] == [i.name for i in spec.inputs]


def test_rewritten_nets_give_the_published_numbers(store: ModelStore) -> None:
    for name in ("fr_liveness", "fr_feature"):
        spec = store.manifest[name]
        original = ort.InferenceSession(str(store.original(spec)), providers=["CPUExecutionProvider"])
        x = batch(spec, 1)
        wanted = original.run(None, {original.get_inputs()[0].name: x})[0]
        found = make_session(store.path(name)).run(None, {"input": x})[0]
        np.testing.assert_allclose(found, wanted, atol=2e-5 * np.abs(wanted).max())


def test_mesh_and_embedding_know_the_astronaut(store: ModelStore, astronaut: NDArray[np.uint8]) -> None:
    """A face gives presence and a wall gives none; colour order is the manifest's."""
    face = cv2.resize(astronaut[20:240, 110:330], (192, 192))[..., ::-1].transpose(2, 0, 1)
    wall = cv2.resize(astronaut[300:500, 0:100], (192, 192))[..., ::-1].transpose(2, 0, 1)
    x = (np.stack([face, wall]) / 255).astype(np.float32)
    presence = make_session(store.path("face_mesh")).run(["presence"], {"input": x})[0][:, 0]
    assert presence[0] > 10
    assert presence[1] < 0


def test_prelu_is_rewritten_only_where_it_has_a_slope_per_channel() -> None:
    rng = np.random.default_rng(1)
    slopes = {"c": (3, 1, 1), "one": (1,), "full": (3, 4, 4)}
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    arrays = {name: rng.uniform(-1, 2, shape).astype(np.float32) for name, shape in slopes.items()}
    nodes = [
        helper.make_node("PRelu", ["x", "c"], ["a"]),
        helper.make_node("PRelu", ["a", "one"], ["b"]),
        helper.make_node("PRelu", ["b", "full"], ["y"]),
    ]
    info = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [2, 3, 4, 4]) for n in ("x", "y")]
    graph = helper.make_graph(
        nodes, "g", info[:1], info[1:], [numpy_helper.from_array(a, n) for n, a in arrays.items()]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    before = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert rewrite_prelu(model) == 1
    assert [n.op_type for n in model.graph.node].count("PRelu") == 2
    after = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = rng.standard_normal((2, 3, 4, 4)).astype(np.float32)
    np.testing.assert_allclose(after.run(None, {"x": x})[0], before.run(None, {"x": x})[0], atol=1e-6)


@pytest.mark.parametrize("data", [b"", b"not a model", b"\x08\x08\x12\x00"])
def test_file_that_is_no_onnx_net_is_refused_by_name(store: ModelStore, data: bytes) -> None:
    with pytest.raises(ModelConvertError, match="fr_liveness"):
        convert(store.manifest["fr_liveness"], data)


def test_truncated_onnx_is_refused(store: ModelStore) -> None:
    spec = store.manifest["fr_liveness"]
    data = store.original(spec).read_bytes()
    for length in (1, 100, len(data) // 2, len(data) - 1):
        with pytest.raises(ModelConvertError):
            optimise_onnx(data[:length], spec)
