"""Passive nets: log-odds, fusion, and real nets on real pictures."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from pipeline.errors import ModelError, ModelMissingError, SettingsError
from pipeline.liveness.calibration import load_calibration
from pipeline.liveness.evidence import sigmoid
from pipeline.liveness.passive import MISSING, NETS, NetSpec, PassiveNet, PassiveScorer, fuse, live_log_odds
from pipeline.nets import load_manifest, open_store
from pipeline.vision import CropKind, CropSpec, Vision, crop_batch
from pipeline.vision.types import View

from .support import NO_FACE, calibration, view

BOX = np.array([20, 20, 60, 60], np.float32)


def constant_net(path: Path, logits: list[float], size: int = 128) -> Path:
    """An ONNX file that answers the same logits to every picture."""
    zero = helper.make_node("ReduceSum", ["input"], ["sum"], keepdims=0)
    nodes = [
        zero,
        helper.make_node("Mul", ["sum", "nought"], ["nothing"]),
        helper.make_node("Add", ["nothing", "values"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, size, size])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, len(logits)])],
        [
            helper.make_tensor("nought", TensorProto.FLOAT, [], [0.0]),
            helper.make_tensor("values", TensorProto.FLOAT, [1, len(logits)], logits),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)


@given(st.lists(st.floats(-60, 60), min_size=2, max_size=5), st.integers(0, 4))
def test_log_odds_are_those_of_the_softmax(logits: list[float], live: int) -> None:
    live %= len(logits)
    x = np.array(logits) - max(logits)
    p = np.exp(x) / np.exp(x).sum()
    odds = live_log_odds(np.array(logits, np.float64), live)
    assert sigmoid(odds) == pytest.approx(p[live], abs=1e-9)


def test_log_odds_keep_their_resolution_where_probability_has_none_left() -> None:
    assert live_log_odds(np.array([80.0, 0.0, 0.0]), 0) == pytest.approx(80 - math.log(2))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", [0, 1, 2])
def test_a_logit_that_is_no_number_is_missing_evidence(tmp_path: Path, bad: float, where: int) -> None:
    logits = [1.0, 0.0, 0.0]
    logits[where] = bad
    net = PassiveNet("fr_liveness", constant_net(tmp_path / "n.onnx", logits))
    score = PassiveScorer([net], load_calibration(["fr_liveness"])).score(image(), BOX)
    assert math.isnan(score.llr)
    assert math.isnan(score.probability)


def test_one_net_without_a_number_makes_the_fusion_missing(tmp_path: Path) -> None:
    good = PassiveNet("minifasnet_v2", constant_net(tmp_path / "a.onnx", [0.0, 9.0, 0.0], 80))
    bad = PassiveNet("minifasnet_v1se", constant_net(tmp_path / "b.onnx", [0.0, math.nan, 0.0], 80))
    scorer = PassiveScorer([good, bad], load_calibration(["minifasnet_v2", "minifasnet_v1se"]))
    assert math.isnan(scorer.score(image(), BOX).llr)


def test_a_net_that_is_the_mean_of_two_heads_counts_twice() -> None:
    assert fuse({"livegate_pad": 3.0, "fr_liveness": 0.0}) == pytest.approx(2.0)
    assert fuse({"minifasnet_v2": 3.0, "fr_liveness": 0.0}) == pytest.approx(1.5)
    many = {"fr_liveness": np.array([0.0, 6.0]), "livegate_pad": np.array([3.0, -3.0])}
    np.testing.assert_allclose(fuse(many), [2.0, 0.0])


@given(st.lists(st.floats(-40, 40), min_size=5, max_size=5))
def test_the_fusion_lies_between_its_nets_whatever_their_order(values: list[float]) -> None:
    odds = dict(zip(NETS, values, strict=True))
    assert min(values) - 1e-9 <= fuse(odds) <= max(values) + 1e-9
    assert fuse(dict(reversed(odds.items()))) == pytest.approx(fuse(odds))
    assert fuse({name: value + 1 for name, value in odds.items()}) == pytest.approx(fuse(odds) + 1)


def test_nets_are_fused_by_the_mean_of_their_log_odds(tmp_path: Path) -> None:
    a = PassiveNet("minifasnet_v2", constant_net(tmp_path / "a.onnx", [0.0, 4.0, -90.0], 80))
    b = PassiveNet("minifasnet_v1se", constant_net(tmp_path / "b.onnx", [0.0, -1.0, -90.0], 80))
    scorer = PassiveScorer([a, b], load_calibration(["minifasnet_v2", "minifasnet_v1se"]))
    score = scorer.score(image(), BOX)
    assert score.log_odds == pytest.approx(1.5, abs=1e-5)
    assert score.nets["minifasnet_v2"] == pytest.approx(sigmoid(4.0), abs=1e-6)
    assert score.probability == pytest.approx(sigmoid(scorer.calibration.raw(1.5)), abs=1e-6)


def test_a_face_that_is_not_there_has_no_score(tmp_path: Path) -> None:
    net = PassiveNet("fr_liveness", constant_net(tmp_path / "n.onnx", [9.0, 0.0, 0.0]))
    scorer = PassiveScorer([net], load_calibration(["fr_liveness"]))
    assert scorer.score_image(NO_FACE, image()) is MISSING
    assert scorer.score_image(view(), image()).probability > 0.5


def test_a_file_of_another_net_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not minifasnet_v2"):
        PassiveNet("minifasnet_v2", constant_net(tmp_path / "n.onnx", [0.0, 0.0, 0.0], 128))
    net = PassiveNet("fr_liveness", constant_net(tmp_path / "m.onnx", [0.0, 0.0]))
    with pytest.raises(ModelError, match="2 outputs"):
        net.log_odds(image(), BOX)


def test_a_net_of_two_crops_gets_each_in_its_own_input(tmp_path: Path) -> None:
    """The output is the mean of the first input less that of the second: both crops came through in order."""
    tight, context = CropSpec(32, CropKind.REFLECTED, 1.0), CropSpec(64, CropKind.SHIFTED, 2.0)
    sizes = {"tight": tight.size, "context": context.size}
    nodes = [helper.make_node("ReduceMean", [name], [f"{name}_mean"], keepdims=0) for name in sizes]
    nodes.append(helper.make_node("Sub", ["tight_mean", "context_mean"], ["live"]))
    graph = helper.make_graph(
        nodes,
        "two",
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, ["n", 3, v, v]) for k, v in sizes.items()],
        [helper.make_tensor_value_info("live", TensorProto.FLOAT, [])],
    )
    path = tmp_path / "two.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    net = PassiveNet("two", path, spec=NetSpec((tight, context), classes=1))
    picture = np.zeros((96, 96, 3), np.uint8)
    picture[20:60, 20:60] = 200
    expected = crop_batch(picture, [BOX], tight).mean() - crop_batch(picture, [BOX], context).mean()
    assert expected > 50
    assert net.log_odds(picture, BOX) == pytest.approx(expected, abs=0.01)
    with pytest.raises(ModelError):
        PassiveNet("two", path, spec=NetSpec((tight,), classes=1))


def test_unknown_or_repeated_nets_refuse_to_start(tmp_path: Path) -> None:
    path = constant_net(tmp_path / "n.onnx", [0.0, 0.0, 0.0])
    with pytest.raises(SettingsError, match="nobody"):
        PassiveNet("nobody", path)
    net = PassiveNet("fr_liveness", path)
    with pytest.raises(SettingsError, match="once"):
        PassiveScorer([net, net], load_calibration(["fr_liveness"]))
    with pytest.raises(SettingsError, match="once"):
        PassiveScorer([], load_calibration(["fr_liveness"]))
    with pytest.raises(SettingsError, match="calibration is for"):
        PassiveScorer([net], calibration(nets=("facenox",)))


def test_a_net_that_was_not_pulled_is_an_error_with_its_way_out(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError) as caught:
        PassiveScorer.load(open_store(tmp_path, offline=True), ["fr_liveness"])
    assert "models pull" in caught.value.hint


@pytest.mark.parametrize("name", [name for name in NETS if name in load_manifest().models])
def test_the_table_of_nets_says_what_the_manifest_says(name: str) -> None:
    entry, spec = load_manifest()[name], NETS[name]
    for told, crop in zip(entry.inputs, spec.crops, strict=True):
        assert told.shape == (3, crop.size, crop.size)
        assert (told.colour == "RGB") == crop.rgb
        assert told.scale == crop.scale
        assert told.range == (0.0, 255.0 / crop.divide)
    if spec.classes > 1:
        assert entry.outputs[0].live == spec.live
        assert len(entry.outputs[0].classes) == spec.classes


@pytest.fixture(scope="module")
def scorer() -> PassiveScorer:
    return PassiveScorer.load(open_store(), ["fr_liveness"])


@pytest.fixture(scope="module")
def portrait(astronaut: np.ndarray) -> tuple[np.ndarray, View]:
    picture = np.ascontiguousarray(astronaut)
    seen = Vision(open_store()).look(picture)
    assert seen.face is not None
    return picture, seen


def test_the_real_net_takes_a_portrait_for_live(
    scorer: PassiveScorer, portrait: tuple[np.ndarray, View]
) -> None:
    score = scorer.score_image(portrait[1], portrait[0])
    assert score.probability > 0.9


def test_colour_order_matters_to_the_real_net(
    scorer: PassiveScorer, portrait: tuple[np.ndarray, View]
) -> None:
    """Swapped colours are another picture: what is fed is BGR, as measured."""
    picture, seen = portrait
    swapped = np.ascontiguousarray(picture[:, :, ::-1])
    assert abs(scorer.score_image(seen, picture).log_odds - scorer.score_image(seen, swapped).log_odds) > 0.5


def test_the_same_picture_has_the_same_score(
    scorer: PassiveScorer, portrait: tuple[np.ndarray, View]
) -> None:
    picture, seen = portrait
    assert scorer.score_image(seen, picture) == scorer.score_image(seen, picture)


def test_the_real_net_separates_the_printed_photos_of_webcam_frames(
    scorer: PassiveScorer, shared_data: Path
) -> None:
    """A check of crop, colour order and class order on real data; measures are in docs/pad-results."""
    vision = Vision(open_store())
    means = {}
    for label in ("live", "spoof"):
        paths = sorted((shared_data / "pad" / "nuaa_raw" / label).rglob("*.jpg"))[::25]
        odds = []
        for path in paths:
            picture = np.asarray(cv2.imread(str(path)), np.uint8)
            odds.append(scorer.score_image(vision.look(picture), picture).log_odds)
        assert len(odds) >= 8
        means[label] = np.median(odds)
    assert means["live"] > 5
    assert means["spoof"] < -5
