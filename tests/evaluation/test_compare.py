"""Two reports against one another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.evaluation import compare, evaluate_pad
from pipeline.evaluation.compare import mcnemar

from .support import ROWS, FakeRecord, FakeScorer, manifest


class Better(FakeScorer):
    """Sees the replay for what it is, and no longer the face in one live picture."""

    def score(self, path: Path) -> FakeRecord:
        if "0.75" in path.name:
            return FakeRecord(path, 1, 0.05, False, "spoof", 4.0)
        return super().score(path)


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"),
    [(0, 0, 1.0), (2, 2, 1.0), (5, 0, 2 / 32), (10, 2, 2 * (1 + 12 + 66) / 4096), (1, 9, 2 * 11 / 1024)],
)
def test_mcnemar_is_the_exact_binomial_test(only_a: int, only_b: int, p: float) -> None:
    assert mcnemar(only_a, only_b) == pytest.approx(p)
    assert mcnemar(only_b, only_a) == pytest.approx(p)


def test_a_run_against_itself_does_not_differ(tmp_path: Path) -> None:
    evaluate_pad(manifest(tmp_path), tmp_path / "a", FakeScorer())
    found = compare(tmp_path / "a", tmp_path / "a", rounds=50)
    assert (found.common, found.only_a, found.only_b) == (11, 0, 0)
    assert all(v.a == v.b and v.p == 1.0 and v.only_a == v.only_b == 0 for v in found.verdicts)
    assert all(d.a == d.b and d.interval is None for d in found.differences)


def test_differences_are_paired_by_presentation(tmp_path: Path) -> None:
    path = manifest(tmp_path)
    a = evaluate_pad(path, tmp_path / "a", FakeScorer())
    b = evaluate_pad(path, tmp_path / "b", Better())
    found = compare(tmp_path / "a", tmp_path / "b", rounds=200)
    live, replay, printed = found.verdicts
    assert (live.name, replay.name, printed.name) == ("live", "spoof/replay", "spoof/print")
    assert (replay.a.errors, replay.b.errors, replay.only_a, replay.only_b) == (1, 0, 1, 0)
    assert (live.only_a, live.only_b, printed.only_a) == (0, 0, 0)
    by_name = {d.name: d for d in found.differences}
    for name in ("auc", "eer", "bpcer_at_apcer_5"):
        assert by_name[name].a == pytest.approx(a.data[name], abs=1e-6)
        assert by_name[name].b == pytest.approx(b.data[name], abs=1e-6)
    interval = by_name["auc"].interval
    assert interval is not None
    assert interval.low <= by_name["auc"].b - by_name["auc"].a <= interval.high
    assert interval.low >= 0.0
    assert json.loads(json.dumps(found.to_json()))["verdicts"]["spoof/replay"]["wrong_in_a_only"] == 1


def test_what_only_one_run_has_is_left_out_and_counted(tmp_path: Path) -> None:
    evaluate_pad(manifest(tmp_path), tmp_path / "a", FakeScorer())
    evaluate_pad(manifest(tmp_path, "\n".join(ROWS.splitlines()[:6])), tmp_path / "b", FakeScorer())
    found = compare(tmp_path / "a", tmp_path / "b", rounds=20)
    assert (found.common, found.only_a, found.only_b) == (6, 5, 0)


def test_runs_that_can_not_be_compared_are_refused(tmp_path: Path) -> None:
    evaluate_pad(manifest(tmp_path), tmp_path / "a", FakeScorer())
    with pytest.raises(UsageError, match="no report"):
        compare(tmp_path / "a", tmp_path / "absent")
    evaluate_pad(manifest(tmp_path, "0.9@z.png live none"), tmp_path / "b", FakeScorer())
    with pytest.raises(UsageError, match="share no presentation"):
        compare(tmp_path / "a", tmp_path / "b")
    evaluate_pad(manifest(tmp_path, "live/0.9@a.png spoof print"), tmp_path / "c", FakeScorer())
    with pytest.raises(UsageError, match="label a presentation differently"):
        compare(tmp_path / "a", tmp_path / "c")
    (tmp_path / "a" / "report.json").write_text('{"kind": "match"}')
    with pytest.raises(UsageError, match="no pad report"):
        compare(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize("text", ["", "path,score\nx,1\n", "not\0csv", "\ud800"])
def test_a_damaged_table_of_scores_is_refused(tmp_path: Path, text: str) -> None:
    report = evaluate_pad(manifest(tmp_path), tmp_path / "a", FakeScorer())
    report.csv.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(UsageError, match=r"scores\.csv"):
        compare(tmp_path / "a", tmp_path / "a")


@pytest.mark.parametrize("change", [("live,none", "alive,none"), (",0.9,", ",9.0,"), (",1,", ",yes,")])
def test_a_table_of_scores_with_a_wrong_cell_is_refused(tmp_path: Path, change: tuple[str, str]) -> None:
    report = evaluate_pad(manifest(tmp_path), tmp_path / "a", FakeScorer())
    text = report.csv.read_text()
    assert change[0] in text
    report.csv.write_text(text.replace(*change))
    with pytest.raises(UsageError, match=r"scores\.csv"):
        compare(tmp_path / "a", tmp_path / "a")
