"""The reports' schema, and what `compare` calls a regression."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.compare import changes, differences, holm, run
from benchmarks.report import Book, Report
from benchmarks.show import plot, table

FACTS = {"cpu": "made up", "cores": 2, "allowed_cores": [0, 1], "governor": None, "python": "3.11"}


def report(scale: dict[str, float] | None = None, *, repeats: int = 297, seed: int = 0) -> Report:
    """Made-up times of three cases, each times its scale."""
    rng = np.random.default_rng(seed)
    book = Book("frame", "python -m benchmarks frame", repeats=repeats)
    for name, ours in (("quick", True), ("slow", True), ("peer", False)):
        factor = {"quick": 1.0, "slow": 5.0, "peer": 9.0}[name] * (scale or {}).get(name, 1.0)
        samples = list(factor * (1 + 0.1 * rng.exponential(size=repeats)))
        book.add_case(name, "group", samples, block=9, ours=ours)
    book.compare("peer", "quick")
    book.target("quick, median", 1.07, "ms", most=4.0)
    book.target("peer over quick", 9.0, "times", least=20)
    book.skip("other", "not run: needs its weights")
    return book.close().model_copy(update={"machine": FACTS, "load_before": 0.1})


def written(folder: Path, name: str, **about: Any) -> Path:
    path = folder / name
    report(**about).write(path)
    return path


def arguments(before: Path, after: Path, *, force: bool = False) -> argparse.Namespace:
    return argparse.Namespace(before=before, after=after, tolerance=0.03, force=force)


def test_a_report_reads_back_as_it_was_written(tmp_path: Path) -> None:
    made = report()
    made.write(tmp_path / "new" / "a.json")
    assert Report.read(tmp_path / "new" / "a.json") == made
    plain = json.loads((tmp_path / "new" / "a.json").read_text(encoding="utf-8"))
    assert plain["schema"] == 1
    assert [target["met"] for target in plain["targets"]] == [True, False]
    assert plain["comparisons"][0]["low"] < plain["comparisons"][0]["ratio"] < plain["comparisons"][0]["high"]


@pytest.mark.parametrize(
    "spoil",
    [
        {"schema": 2},
        {"surprise": 1},
        {"cases": [{"name": "x"}]},
        {"protocol": {"repeats": 0}},
        {"load_before": "much"},
        {"targets": [{"name": "a", "wanted": "b", "value": "NaN", "unit": "c", "met": True}]},
    ],
)
def test_what_is_not_the_schema_is_refused(tmp_path: Path, spoil: dict[str, Any]) -> None:
    path = written(tmp_path, "a.json")
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | spoil), encoding="utf-8")
    with pytest.raises(ValueError, match=r"a\.json is no report"):
        Report.read(path)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text("[", encoding="utf-8")
    for name in ("absent.json", "b.json"):
        with pytest.raises(ValueError, match=name):
            Report.read(tmp_path / name)


def test_few_repeats_make_a_trial() -> None:
    assert report(repeats=199).trial
    assert not report(repeats=200).trial


def test_a_name_is_taken_once() -> None:
    book = Book("stages", "", repeats=1)
    book.add_case("a", "g", [1.0])
    with pytest.raises(ValueError, match="already"):
        book.add_case("a", "g", [1.0])


def test_noise_is_no_change_and_a_slower_case_is_one() -> None:
    same = changes(report(seed=1), report(seed=2))
    assert {change.verdict for change in same} == {"same"}
    found = {c.name: c.verdict for c in changes(report(seed=1), report({"slow": 1.1, "quick": 0.8}, seed=2))}
    assert found == {"quick": "faster", "slow": "slower", "peer": "same"}


def test_a_sure_but_tiny_change_is_nobodys_regression() -> None:
    before = report(seed=1)
    cases = [
        c.model_copy(
            update={
                "samples": tuple(1.02 * v for v in c.samples),
                "marks": c.marks.model_copy(update={"median": 1.02 * c.marks.median}),
            }
        )
        for c in before.cases
    ]
    after = before.model_copy(update={"cases": tuple(cases)})
    assert {c.verdict for c in changes(before, after)} == {"same"}


def test_where_higher_is_better_a_lower_value_is_slower() -> None:
    def turned(made: Report) -> Report:
        return made.model_copy(
            update={"cases": tuple(c.model_copy(update={"better": "higher"}) for c in made.cases)}
        )

    found = changes(turned(report(seed=1)), turned(report({"quick": 0.5}, seed=2)))
    assert {c.name: c.verdict for c in found}["quick"] == "slower"


def test_holm_is_stricter_than_each_test_alone() -> None:
    assert holm([0.004, 0.3, 0.006], 0.01) == [False, False, False]
    assert holm([0.003, 0.3, 0.004], 0.01) == [True, False, True]
    assert holm([], 0.01) == []


def test_exit_status_tells_a_regression_of_ours_and_not_of_a_peer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = written(tmp_path, "a.json", seed=1)
    slower = written(tmp_path, "b.json", seed=2, scale={"slow": 1.2})
    peer = written(tmp_path, "c.json", seed=2, scale={"peer": 1.2})
    assert run(arguments(before, slower)) == 1
    assert "REGRESSION" in capsys.readouterr().out
    assert run(arguments(slower, before)) == 0
    assert run(arguments(before, peer)) == 0


def test_another_machine_is_not_compared_unless_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = written(tmp_path, "a.json", seed=1)
    other = report({"slow": 1.2}, seed=2).model_copy(update={"machine": FACTS | {"cpu": "another"}})
    other.write(tmp_path / "b.json")
    assert run(arguments(before, tmp_path / "b.json")) == 3
    assert "cpu: made up and another" in capsys.readouterr().out
    assert run(arguments(before, tmp_path / "b.json", force=True)) == 1


def test_load_and_trials_forbid_a_comparison() -> None:
    busy = report().model_copy(update={"load_before": 1.5})
    assert any("busy" in reason for reason in differences(report(), busy))
    assert any("trial" in reason for reason in differences(report(repeats=50), report()))
    assert differences(report(), report(seed=3)) == []


@pytest.mark.parametrize(("load", "busy"), [(0.2, False), (1000.0, True), (None, False)])
def test_a_shared_machine_is_noticed(monkeypatch: pytest.MonkeyPatch, load: float | None, busy: bool) -> None:
    monkeypatch.setattr("benchmarks.report.load", lambda: load)
    assert Book("frame", "python -m benchmarks frame", repeats=200).busy is busy


def test_table_publishes_losses_and_what_was_not_run() -> None:
    shown = table(report(repeats=20))
    assert "MISSED peer over quick: 9.00 times, wanted at least 20 times" in shown
    assert "other: not run: needs its weights" in shown
    assert "a trial" in shown


def test_plots_are_drawn_beside_the_report(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = written(tmp_path, "a.json")
    files = plot(path)
    assert [f.name for f in files] == ["a.group.svg"]
    first = files[0].read_bytes()
    assert first.startswith(b"<?xml")
    assert plot(path)[0].read_bytes() == first
