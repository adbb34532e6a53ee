"""Peers' workers: the protocol, what is not there, and what breaks."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from onnx import TensorProto, helper

from benchmarks.frame import WHOLE_PEERS
from benchmarks.machine import allowed_cores
from benchmarks.options import ROOT
from benchmarks.peers import PeerPlan, SharedFrames, Worker, WorkerError, host, plan_peers, plan_signers
from benchmarks.peers.host import MINIFASNET

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="workers inherit a file descriptor")
BOXES = np.tile(np.array([20, 20, 60, 60], np.float32), (3, 1))


@pytest.fixture
def frames() -> Iterator[SharedFrames]:
    images = np.random.default_rng(0).integers(0, 255, (3, 90, 160, 3), dtype=np.uint8)
    shared = SharedFrames(images)
    yield shared
    shared.close()


def test_what_is_not_there_is_told_and_nothing_is_tried(tmp_path: Path) -> None:
    plans = plan_peers(mediapipe=tmp_path / "none", minifasnet=tmp_path, yunet=tmp_path / "none.onnx")
    assert plans
    assert all(plan.missing for plan in plans)
    reasons = {plan.peer: plan.missing or "" for plan in plans}
    assert "--mediapipe" in reasons["facemesh"]
    assert "--uniface" in reasons["uniface"]
    assert "--uniface" in reasons["uniface scrfd"]
    assert "--uniface" in reasons["uniface untrained"]
    assert "--deepface" in reasons["deepface"]
    assert "minifasnet_v2_27_80.onnx" in reasons["minifasnet"]


def mean_colour_net(path: Path) -> None:
    """A net with the pair's input that gives the mean of each colour as its three logits."""
    entry = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, 80, 80])
    answer = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])
    nodes = [
        helper.make_node("GlobalAveragePool", ["input"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["logits"]),
    ]
    graph = helper.make_graph(nodes, "mean", [entry], [answer])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())


def test_a_worker_times_each_call_and_counts_what_was_found(frames: SharedFrames, tmp_path: Path) -> None:
    for name in MINIFASNET.values():
        mean_colour_net(tmp_path / name)
    plans = plan_peers(mediapipe=Path("none"), minifasnet=tmp_path)
    plan = next(plan for plan in plans if plan.peer == "minifasnet")
    assert plan.missing is None
    cores = allowed_cores()
    with Worker(plan, frames, BOXES, cores[-1:], cores) as worker:
        block = worker.block(0, 4)
        assert "onnxruntime" in worker.versions
    assert len(block.wall_ns) == 4
    assert min(block.wall_ns) > 0
    assert block.found == 4
    with pytest.raises(WorkerError, match="closed"):
        worker.block(0, 1)


def test_yunet_is_also_set_beside_ours_with_its_nets_on_one_thread(tmp_path: Path) -> None:
    weights = tmp_path / "yunet.onnx"
    for path in (weights, *(tmp_path / name for name in MINIFASNET.values())):
        mean_colour_net(path)
    plans = plan_peers(mediapipe=Path("none"), minifasnet=tmp_path, yunet=weights)
    as_it_comes, one_thread = (plan for plan in plans if plan.peer == "yunet")
    assert (as_it_comes.missing, one_thread.missing) == (None, None)
    assert one_thread.options == as_it_comes.options | {"threads": "1"}
    assert (as_it_comes.everywhere, one_thread.everywhere) == (True, False)
    assert {as_it_comes.name, one_thread.name} <= set(WHOLE_PEERS)


def test_yunets_box_goes_to_the_nets_as_corners(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(host.__file__).parent))
    worker = importlib.import_module("worker")
    found = [np.array([[20, 30, 40, 50, *range(10), 0.9], [0, 0, 5, 5, *range(10), 0.8]], np.float32), None]
    detector = SimpleNamespace(detect=lambda image: (1, found[int(image[0, 0, 0])]))
    monkeypatch.setattr(worker.cv2.FaceDetectorYN, "create", lambda weights, config, size: detector)
    asked: list[list[float]] = []
    monkeypatch.setattr(
        worker, "_pair", lambda options: lambda image, box: asked.append([*map(float, box)]) or np.zeros(3)
    )
    images = np.zeros((2, 90, 160, 3), np.uint8)
    images[1] = 1
    step = worker.yunet(images, BOXES, {"weights": "yunet.onnx"})
    assert step(0) is True
    assert step(1) is False
    assert asked == [[20.0, 30.0, 60.0, 80.0]]


@pytest.mark.parametrize("peer", ["uniface", "deepface", "no such peer"])
def test_a_peer_that_is_not_installed_ends_with_its_own_words(frames: SharedFrames, peer: str) -> None:
    plan = PeerPlan(peer, peer, Path(sys.executable))
    with pytest.raises(WorkerError, match=peer if peer == "no such peer" else f"No module named '{peer}'"):
        Worker(plan, frames, BOXES, None, allowed_cores())


def test_signers_that_are_not_there_are_told() -> None:
    plans = plan_signers(core=Path("none"), tea=Path("none"))
    assert [plan.missing for plan in plans] == [
        "no Python with it; give it by --official-core",
        "no Python with it; give it by --official-tea",
    ]


@pytest.mark.parametrize("name", ["core", "tea"])
def test_official_client_signs_a_picture_and_sends_nothing(name: str) -> None:
    python = {key: ROOT / f".venv-official-{key}" / "bin" / "python" for key in ("core", "tea")}
    if not python[name].is_file():
        pytest.skip(f"no .venv-official-{name}; make test makes it")
    plan = next(plan for plan in plan_signers(**python) if plan.peer == name)
    shared = SharedFrames(np.random.default_rng(0).integers(0, 255, (1, 4096), dtype=np.uint8))
    with Worker(plan, shared, np.empty((0, 4)), None, allowed_cores()) as worker:
        assert worker.block(0, 3).found == 3
    shared.close()
