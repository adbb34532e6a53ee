"""What is timed as a whole frame, and that other ways to run a net are the same net. Nothing is timed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from benchmarks.pace import _run
from benchmarks.sequence import FPS, Sequence, empty_sequence, rendered
from benchmarks.trials import bound, bytes_in, plain
from benchmarks.whole import CHECK, Pace, Whole
from pipeline.liveness.judge import Judge, JudgeSettings
from pipeline.liveness.passive import NETS
from pipeline.nets import open_store

FRAMES = 14


@pytest.fixture(scope="module")
def sequence() -> Sequence:
    return Sequence(tuple(rendered((640, 480), count=FRAMES)), rendered=True)


def test_every_frame_is_judged_where_that_is_said_and_fewer_where_the_gate_decides(
    sequence: Sequence,
) -> None:
    judged = {}
    for pace in (Pace.EVERY, Pace.OPEN):
        whole = Whole(sequence, ("livegate_pad", "fr_liveness"), 1, pace=pace)
        assert all(whole(number) for number in range(FRAMES))
        judged[pace] = whole.judged
    assert judged[Pace.EVERY] == FRAMES
    assert 3 <= judged[Pace.OPEN] <= FRAMES // 2


def test_where_nobody_is_no_net_is_asked_and_the_next_check_begins_anew() -> None:
    nobody = empty_sequence((640, 480), count=CHECK)
    whole = Whole(nobody, ("livegate_pad", "fr_liveness"), 1, pace=Pace.IDLE)
    assert all(whole(number) for number in range(2 * CHECK))
    assert whole.judged == 0


def test_frames_to_and_fro_stay_new_pictures_that_are_judged(sequence: Sequence) -> None:
    whole = Whole(sequence, ("livegate_pad", "fr_liveness"), 1)
    seen = sum(whole(number) for number in range(4 * FRAMES))
    assert seen >= 4 * FRAMES - 3  # a veto for the loop ends a check at times


def test_pacing_keeps_the_verdict_of_a_rendered_person(sequence: Sequence) -> None:
    frames = [sequence.frame(number) for number in range(FRAMES)]
    every = Judge(open_store(), JudgeSettings(max_loss=0.0, look_s=0.0))
    paced = Judge(open_store(), JudgeSettings())
    a, b = _run(every, frames), _run(paced, frames)
    assert (a.verdict.state, a.verdict.reason) == (b.verdict.state, b.verdict.reason) == ("live", None)
    # A weak frame between two that are due is not judged: the verdict may come a frame sooner or later.
    assert abs(a.verdict.elapsed_ms - b.verdict.elapsed_ms) <= 1.01 * 1000 / FPS
    assert len(b.sums) < len(a.sums)
    assert b.looks < a.looks
    for run in (a, b):
        assert run.verdict.live_pass is not None


@pytest.mark.parametrize("name", ["livegate_pad", "fr_liveness"])
def test_other_ways_to_run_a_net_give_its_numbers(name: str, tmp_path: Path) -> None:
    path = open_store().path(name)
    rng = np.random.default_rng(0)
    sides = [crop.size for crop in NETS[name].crops]
    names = [entry.name for entry in ort.InferenceSession(str(path)).get_inputs()]
    feeds = [
        {
            key: rng.integers(0, 256, (1, 3, side, side)).astype(np.float32)
            for key, side in zip(names, sides, strict=True)
        }
        for _ in range(2)
    ]
    whole = tmp_path / "bytes.onnx"
    onnx.save(bytes_in(onnx.load(path)), whole)
    usual, kept, cast = plain(path), bound(path, feeds[0]), plain(whole, kind=np.uint8)
    for feed in feeds:
        np.testing.assert_array_equal(kept(feed), usual(feed))
        np.testing.assert_allclose(cast(feed), usual(feed), rtol=1e-5, atol=1e-5)
