"""The committed net runs and is steady; training code agrees with it where torch is at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.training.crops import CONTEXT, TIGHT, jitter_box
from pipeline.liveness.calibration import load_calibration
from pipeline.liveness.passive import PassiveNet
from pipeline.nets import open_store
from pipeline.nets.session import make_session
from pipeline.settings import Settings
from pipeline.vision.crop import crop_batch

NET = Path(__file__).resolve().parents[2] / "models" / "livegate_pad.onnx"


@pytest.fixture(scope="module")
def session():
    if not NET.is_file():
        pytest.skip("models/livegate_pad.onnx is not in this checkout")
    return make_session(NET)


def run(session, image, boxes):
    feed = {"tight": crop_batch(image, boxes, TIGHT), "context": crop_batch(image, boxes, CONTEXT)}
    return session.run(["live", "patches"], feed)


BOX = np.array([177.6, 82.9, 272.9, 178.2], np.float32)  # BlazeFace on the astronaut


def test_net_is_small_and_has_the_documented_tensors(session):
    assert NET.stat().st_size <= 4 * 2**20
    assert {(i.name, *i.shape[1:]) for i in session.get_inputs()} == {
        ("tight", 3, 96, 96),
        ("context", 3, 96, 96),
    }
    assert [o.name for o in session.get_outputs()] == ["live", "patches"]


def test_batch_does_not_change_a_verdict(session, astronaut):
    rng = np.random.default_rng(0)
    boxes = [jitter_box(BOX, rng) for _ in range(5)]
    live, patches = run(session, astronaut, boxes)
    assert live.shape == (5,)
    assert patches.shape == (5, 2, 6, 6)
    for k, box in enumerate(boxes):
        alone, map_alone = run(session, astronaut, [box])
        np.testing.assert_allclose(alone[0], live[k], atol=1e-3)
        np.testing.assert_allclose(map_alone[0], patches[k], atol=1e-3)


def test_the_portrait_is_judged_live(session, astronaut):
    assert run(session, astronaut, [BOX])[0][0] > 0


def test_few_verdicts_of_the_net_alone_flip_when_the_box_moves_by_a_fifth(session, astronaut):
    rng = np.random.default_rng(1)
    moved = run(session, astronaut, [jitter_box(BOX, rng) for _ in range(300)])[0]
    assert (moved < 0).mean() <= 0.10  # 8 % were measured; the goal of 2 % is met by the nets together


def test_verdict_of_the_default_nets_stands_when_the_box_moves_by_a_fifth(astronaut):
    nets = Settings().nets
    line = load_calibration(nets)
    judges = [PassiveNet(name, open_store().path(name)) for name in nets]
    rng = np.random.default_rng(1)
    boxes = [BOX, *(jitter_box(BOX, rng) for _ in range(300))]
    odds = np.array([np.mean([net.log_odds(astronaut, box) for net in judges]) for box in boxes])
    assert len(np.unique(odds.round(3))) > 200  # the boxes do differ
    live = np.array([line.llr(float(value)) > 0 for value in odds])
    assert (live[1:] != live[0]).mean() <= 0.02


def test_export_says_what_torch_says(tmp_path):
    torch = pytest.importorskip("torch", reason="torch is for training only")
    from models.training.export import difference, export
    from models.training.net import PadNet

    torch.manual_seed(0)
    net = PadNet().eval()
    export(net, tmp_path / "net.onnx")
    assert difference(net, tmp_path / "net.onnx") < 1e-3


def test_data_set_tells_nothing_about_class_in_training():
    pytest.importorskip("torch", reason="torch is for training only")
    from models.training.entries import Pool
    from models.training.train import Recipe, weights

    rng = np.random.default_rng(0)
    dataset = rng.choice(["nuaa_raw", "pourfard_bench", "lfw_single"], 600, p=[0.6, 0.3, 0.1])
    live = (rng.random(600) < 0.2).astype(np.float32)
    real = (live == 1) | ((rng.random(600) < 0.5) & (dataset != "lfw_single"))
    pool = Pool(
        np.arange(600), np.zeros(600, int), live, real, dataset, np.zeros((600, 3), np.float32), [], []
    )
    chance = weights(pool, Recipe())
    assert chance.sum() == pytest.approx(1)
    for name in np.unique(dataset):
        here = dataset == name
        assert chance[here & (live == 1)].sum() == pytest.approx(chance[here & (live == 0)].sum())
