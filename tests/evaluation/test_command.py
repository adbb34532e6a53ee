"""``livegate eval``: what the commands print and how they end."""

from __future__ import annotations

import json
import os
import sys
import types
from pathlib import Path

import pytest
from typer.testing import CliRunner

import pipeline.evaluation
from pipeline.cli.evaluate import app
from pipeline.errors import UsageError

from .support import FakeEmbedder, FakeScorer, manifest, pairs


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    fake = types.ModuleType("pipeline.score")
    fake.FileScorer = lambda settings: FakeScorer()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pipeline.score", fake)
    monkeypatch.setattr(pipeline.evaluation, "ProductEmbedder", lambda store: FakeEmbedder())
    return CliRunner()


def test_pad_prints_one_json_line_and_writes_the_report(runner: CliRunner, tmp_path: Path) -> None:
    done = runner.invoke(app, ["pad", str(manifest(tmp_path)), "--out", str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    assert (found["event"], found["apcer_max"]) == ("report", 0.5)
    assert Path(found["html"]).is_file()
    assert json.loads((tmp_path / "out" / "report.json").read_text())["apcer_max"] == 0.5


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="file names are Unicode on this system")
def test_a_list_whose_name_is_not_utf_8_gets_its_report(runner: CliRunner, tmp_path: Path) -> None:
    listed = manifest(tmp_path)
    odd = listed.rename(listed.with_name(os.fsdecode(b"list\xff.tsv")))
    done = runner.invoke(app, ["pad", str(odd), "--out", str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["run"]["manifest"]["name"] == odd.name
    assert (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_pad_prints_species_worst_first_for_people(runner: CliRunner, tmp_path: Path) -> None:
    done = runner.invoke(app, ["pad", str(manifest(tmp_path)), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0
    assert done.stdout.index("APCER replay (1/2)") < done.stdout.index("APCER print (1/4)")
    assert done.stdout.index("APCER print") < done.stdout.index("BPCER (2/5)")


def test_match_prints_rates_at_the_product_s_scores(runner: CliRunner, tmp_path: Path) -> None:
    arguments = ["match", str(pairs(tmp_path)), "--out", str(tmp_path / "out")]
    done = runner.invoke(app, arguments)
    assert done.exit_code == 0
    assert "FMR at score 80 (1/4)" in done.stdout
    line = json.loads(runner.invoke(app, [*arguments, "--json"]).stdout)
    assert (line["kind"], line["threshold"], line["n_same"]) == ("match", 95.0, 4)


def test_compare_prints_both_and_json(runner: CliRunner, tmp_path: Path) -> None:
    path = manifest(tmp_path)
    for name in ("a", "b"):
        runner.invoke(app, ["pad", str(path), "--out", str(tmp_path / name), "--json"])
    folders = [str(tmp_path / "a"), str(tmp_path / "b")]
    done = runner.invoke(app, ["compare", *folders])
    assert "11 presentations in both" in done.stdout
    assert json.loads(runner.invoke(app, ["compare", *folders, "--json"]).stdout)["common"] == 11


def test_bad_lists_end_as_usage_errors_and_out_is_required(runner: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "bad.tsv").write_text("nonsense")
    done = runner.invoke(app, ["pad", str(tmp_path / "bad.tsv"), "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, UsageError)
    assert runner.invoke(app, ["pad", str(tmp_path / "bad.tsv")]).exit_code == 2


@pytest.mark.parametrize("command", ["pad", "match"])
def test_a_wrong_list_is_told_of_before_the_nets_are_loaded(
    runner: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def load(*_: object) -> None:
        raise AssertionError("a net was loaded")

    monkeypatch.setattr(sys.modules["pipeline.score"], "FileScorer", load)
    monkeypatch.setattr(pipeline.evaluation, "ProductEmbedder", load)
    (tmp_path / "bad.tsv").write_text("nonsense")
    done = runner.invoke(app, [command, str(tmp_path / "bad.tsv"), "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, UsageError)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_name_of_its_own_is_named_where_it_can_not_be_written(
    runner: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = manifest(tmp_path)
    out = tmp_path / "here"
    (out / "report.json").mkdir(parents=True)  # stands where the report should
    monkeypatch.chdir(out)
    done = runner.invoke(app, ["pad", str(listed), "--out", "."])
    assert isinstance(done.exception, UsageError)
    assert done.exception.message.startswith("here can't be written to")
