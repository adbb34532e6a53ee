"""The tools that make docs/pad-results: what they do to pictures, what they count, what they refuse."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks import pad_ablation, pad_all, pad_clips, pad_reliability, pad_stills, pad_sweeps
from benchmarks.pad_ablation import cue_sets, sets_of
from benchmarks.pad_degrade import KINDS, apply
from pipeline.camera.frame import Image


@pytest.fixture
def image() -> Image:
    return np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_leaves_the_picture_alone_at_its_zero_and_repeats_elsewhere(
    name: str, image: Image
) -> None:
    kind = KINDS[name]
    assert apply(name, image, kind.strengths[kind.at], 60.0, rng()) is image
    before = image.copy()
    for place, strength in enumerate(kind.strengths):
        if place == kind.at:
            continue
        found = apply(name, image, strength, 60.0, rng())
        assert found.dtype == np.uint8
        assert not np.array_equal(found, image)
        assert np.array_equal(found, apply(name, image, strength, 60.0, rng()))
    assert np.array_equal(image, before)


def test_a_stop_less_halves_linear_light() -> None:
    grey = np.full((8, 8, 3), 188, np.uint8)  # 0.503 linear: half of white
    assert apply("exposure", np.full((8, 8, 3), 255, np.uint8), -1, 0, rng()) == pytest.approx(grey, abs=1)
    assert apply("exposure", grey, 1, 0, rng()) == pytest.approx(np.full((8, 8, 3), 255), abs=1)


def test_less_light_means_more_noise_at_the_same_brightness() -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    found = [apply("low_light", grey, stops, 0, rng()).astype(float) for stops in (-1.5, -3, -4.5)]
    assert [f.mean() for f in found] == pytest.approx([128] * 3, abs=3)
    assert found[0].std() < found[1].std() < found[2].std()


def test_side_light_falls_across_and_keeps_the_middle() -> None:
    row = apply("side_light", np.full((4, 101, 3), 128, np.uint8), 4, 0, rng())[0, :, 0].astype(int)
    assert row[50] == pytest.approx(128, abs=1)
    assert (np.diff(row) <= 0).all()
    assert row[0] > 140 > 115 > row[-1]


def test_distance_is_size(image: Image) -> None:
    assert apply("distance", image, 2, 60.0, rng()).shape == (60, 80, 3)


def test_nets_and_cues_are_left_out_and_alone_each_once() -> None:
    assert sets_of(("a", "b")) == [("all", ("a", "b")), ("a alone", ("a",)), ("b alone", ("b",))]
    assert [label for label, _ in sets_of(("a", "b", "c"))] == [
        "all", "without a", "without b", "without c", "a alone", "b alone", "c alone",
    ]  # fmt: skip
    assert sets_of(("a",)) == [("all", ("a",))]
    assert cue_sets(("x", "y")) == [
        ("all cues", ("x", "y")), ("without x", ("y",)), ("without y", ("x",)), ("no cue", ()),
    ]  # fmt: skip
    assert cue_sets(()) == [("all cues", ()), ("no cue", ())]


HEAD = ["row", "kind", "strength", "dataset", "label", "face", "width", "held", "fr_liveness"]


def table(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([HEAD, *rows])
    return path


def test_sweep_counts_errors_over_faces_and_missing_faces_apart(tmp_path: Path) -> None:
    rows = [
        ["0", "none", "0", "nuaa_raw", "live", "1", "100", "0", "9"],
        ["1", "none", "0", "nuaa_raw", "spoof", "1", "100", "0", "-9"],
        ["0", "exposure", "-4", "nuaa_raw", "live", "1", "90", "1", "-9"],
        ["1", "exposure", "-4", "nuaa_raw", "spoof", "0", "0", "0", "nan"],
        ["2", "none", "0", "selfie_replay_crops", "spoof", "1", "100", "0", "9"],
    ]
    found = pad_sweeps.cells(table(tmp_path / "s.tsv", rows), ["fr_liveness"])
    clean, dark = found["exposure", 0], found["exposure", -4]
    assert clean == found["jpeg", 100]
    assert (clean.bpcer.errors, clean.bpcer.n, clean.apcer.errors, clean.auc) == (0, 1, 0, 1.0)
    assert (dark.bpcer.errors, dark.bpcer.n, dark.held_live.errors) == (1, 1, 1)
    assert (dark.apcer.n, dark.apnrr.errors, dark.apnrr.n, dark.auc) == (0, 1, 1, None)


def test_sweep_goes_on_where_it_was_cut_off_and_refuses_other_nets(tmp_path: Path) -> None:
    whole = 1 + sum(len(kind.strengths) - 1 for kind in KINDS.values())
    line = ["none", "0", "nuaa_raw", "live", "1", "100", "0", "1"]
    path = table(tmp_path / "s.tsv", [["3", *line]] * whole + [["4", *line]] * 2)
    assert pad_sweeps._done(path, HEAD) == {3}
    assert len(path.read_text().splitlines()) == 1 + whole
    with pytest.raises(SystemExit, match="other nets"):
        pad_sweeps._done(path, [*HEAD, "facenox"])
    assert pad_sweeps._done(tmp_path / "absent.tsv", HEAD) == set()


def test_one_command_lists_its_steps_and_keeps_scores_out_of_the_checkout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["--nets", "fr_liveness", "--net", "fr_liveness", "--list"]
    assert pad_all.main([*base, "--work", str(tmp_path), "--fit"]) == 0
    names = [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()]
    assert names == [
        "score pictures", "score clips", "fit the shipped calibration", "degrade and score", "pictures",
        "clips", "ablation", "reliability", "sweeps",
    ]  # fmt: skip
    for name in ("stills.tsv", "clips.json"):
        (tmp_path / name).touch()
    pad_all.main([*base, "--work", str(tmp_path), "--keep"])
    assert "score pictures" not in capsys.readouterr().err
    for wrong in (
        ["--work", str(Path(pad_all.__file__).parent / "scores")],
        ["--work", str(tmp_path), "--nets", "fr_liveness", "facenox"],
    ):
        with pytest.raises(SystemExit):
            pad_all.main([*base, *wrong])


def test_every_step_s_arguments_are_understood_by_its_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called: list[str] = []

    def note(name: str) -> Callable[[argparse.Namespace], None]:
        return lambda args: called.append(name)

    for module, name in (
        (pad_clips, "score"), (pad_clips, "report"), (pad_stills, "fit"), (pad_stills, "evaluate"),
        (pad_sweeps, "score"), (pad_sweeps, "report"), (pad_ablation, "report"), (pad_reliability, "report"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, note(f"{module.__name__.rpartition('.')[2]} {name}"))
    monkeypatch.setattr(pad_stills, "load_nets", lambda entries: None)
    monkeypatch.setattr(pad_stills, "score_stills", lambda *a: called.append("pad_stills score"))
    fold = "livegate_pad=fold.onnx@nuaa_raw,faces"
    nets = ["--nets", "fr_liveness", "livegate_pad", "--net", "fr_liveness", "--net", fold]
    assert pad_all.main([*nets, "--work", str(tmp_path / "w"), "--out", str(tmp_path), "--fit"]) == 0
    assert called == [
        "pad_stills score", "pad_clips score", "pad_stills fit", "pad_sweeps score", "pad_stills evaluate",
        "pad_clips report", "pad_ablation report", "pad_reliability report", "pad_sweeps report",
    ]  # fmt: skip
