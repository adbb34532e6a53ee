"""`evaluate_pad`: a manifest and a scorer to a report."""

from __future__ import annotations

import csv
import hashlib
import json
import types
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import ModelMissingError, SourceOpenError, UsageError
from pipeline.evaluation import Report, evaluate_pad
from pipeline.evaluation.outcomes import judge, read_outcomes
from pipeline.evaluation.pad_page import worst

from .support import FakeRecord, FakeScorer, Page, manifest

CONTRACT = [
    "n_live", "n_spoof", "n_no_response", "auc", "eer", "threshold", "bpcer", "apcer_max", "apcer", "acer",
    "bpcer_at_apcer_5", "per_group",
]  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The hand-worked example; its tests only read it."""
    tmp_path = tmp_path_factory.mktemp("report")
    return evaluate_pad(manifest(tmp_path), tmp_path / "out", FakeScorer(), command="livegate eval pad m.tsv")


def test_report_holds_the_contract_s_keys_with_the_hand_worked_values(report: Report) -> None:
    data = json.loads(report.json.read_text())
    assert data == report.data
    assert set(CONTRACT) <= set(data)
    assert {key: data[key] for key in CONTRACT if key not in ("apcer", "per_group")} == {
        "n_live": 5,
        "n_spoof": 6,
        "n_no_response": 2,
        "auc": round(20.5 / 30, 6),
        "eer": 0.4,
        "threshold": 0.5,
        "bpcer": 0.4,
        "apcer_max": 0.5,
        "acer": 0.45,
        "bpcer_at_apcer_5": 0.6,
    }


def test_species_come_worst_first_each_with_value_number_and_exact_interval(report: Report) -> None:
    apcer = report.data["apcer"]
    assert list(apcer) == ["replay", "print"]
    assert {k: apcer["replay"][k] for k in ("value", "n", "accepted", "ci95", "no_response")} == {
        "value": 0.5,
        "n": 2,
        "accepted": 1,
        "ci95": [0.012579, 0.987421],
        "no_response": 0,
    }
    assert {k: apcer["print"][k] for k in ("value", "n", "accepted", "ci95", "no_response")} == {
        "value": 0.25,
        "n": 4,
        "accepted": 1,
        "ci95": [0.006309, 0.805880],
        "no_response": 1,
    }
    assert apcer["print"]["of_responses"]["value"] == round(1 / 3, 6)
    assert apcer["print"]["apnrr"]["value"] == 0.25


def test_non_responses_are_told_apart_by_reason_and_label(report: Report) -> None:
    assert report.data["no_response"] == {
        "no_face": {"live": 1, "spoof": 0},
        "unreadable": {"live": 0, "spoof": 1},
    }
    assert report.data["bpcer_detail"]["bpnrr"]["value"] == 0.2
    assert report.data["bpcer_detail"]["of_responses"]["value"] == 0.25


def test_a_veto_above_the_threshold_is_a_refusal(report: Report) -> None:
    assert report.data["verdicts_beside_threshold"] == {"refused_above": 1, "accepted_below": 0}


def test_groups_are_measured_on_their_own(report: Report) -> None:
    day, night = report.data["per_group"]["day"], report.data["per_group"]["night"]
    assert list(report.data["per_group"]) == ["day", "night"]
    assert (day["n_live"], day["n_spoof"], day["bpcer"], day["apcer_max"]) == (2, 3, 0.0, 1.0)
    assert list(day["apcer"]) == ["replay", "print"]
    assert (night["n_live"], night["n_no_response"], night["bpcer"]) == (3, 2, round(2 / 3, 6))
    assert night["apcer_max"] == 0.0


def test_without_groups_there_is_no_such_key_and_without_attacks_nothing_is_made_up(tmp_path: Path) -> None:
    path = manifest(tmp_path, "0.9@a.png live none\n0.2@b.png live none")
    data = evaluate_pad(path, tmp_path / "out", FakeScorer()).data
    assert "per_group" not in data
    assert (data["auc"], data["eer"], data["apcer_max"], data["acer"], data["bpcer_at_apcer_5"]) == (
        None,
    ) * 5
    assert (data["apcer"], data["bpcer"], data["det"], data["bootstrap"]) == ({}, 0.5, None, None)
    assert any("one class" in note for note in data["notes"])


def test_table_of_scores_reads_back(report: Report) -> None:
    with report.csv.open(encoding="utf-8", newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    assert len(rows) == 11
    assert rows["live/0.9@a.png"]["score"] == "0.9"
    assert (rows["spoof/absent@a.png"]["score"], rows["spoof/absent@a.png"]["reason"]) == ("", "unreadable")
    back = read_outcomes(report.csv)
    assert [o.score for o in back if o.item.live] == [0.9, 0.8, 0.7, 0.3, None]
    assert [o.accepted for o in back if not o.item.live] == [True, False, False, False, True, False]


def test_run_says_with_what_it_was_made_and_nothing_of_the_machine_s_folders(report: Report) -> None:
    run = report.data["run"]
    assert run["command"] == "livegate eval pad m.tsv"
    assert run["models"] == ["fake_net"]
    assert run["manifest"]["name"] == "m.tsv"
    assert run["manifest"]["rows"] == 11
    assert run["packages"]["numpy"]
    assert (
        str(report.json.parent)
        not in report.json.read_text() + report.html.read_text() + report.csv.read_text()
    )


def test_few_presentations_and_silence_are_noted(report: Report) -> None:
    notes = "\n".join(report.data["notes"])
    assert "print: only 4 presented" in notes
    assert "1 of 4 attacks of print (25 %) got no response" in notes
    assert "5 live and 4 attack units" in notes


def test_files_that_are_not_there_never_reach_the_scorer(tmp_path: Path) -> None:
    scorer = FakeScorer()
    evaluate_pad(manifest(tmp_path), tmp_path / "out", scorer)
    assert len(scorer.seen) == 10
    assert not any("absent" in path.name for path in scorer.seen)


def test_progress_counts_every_presentation(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    evaluate_pad(
        manifest(tmp_path), tmp_path / "out", FakeScorer(), progress=lambda done, of: told.append((done, of))
    )
    assert told == [(n, 11) for n in range(1, 12)]


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.1, 1.01])
def test_a_score_outside_its_range_is_a_non_response_and_never_accepted(tmp_path: Path, score: float) -> None:
    class Wild(FakeScorer):
        def score(self, path: Path) -> FakeRecord:
            return FakeRecord(path, 1, score, True, None, 1.0)

    data = evaluate_pad(manifest(tmp_path), tmp_path / "out", Wild()).data
    assert data["n_no_response"] == 11
    assert data["no_response"]["bad_score"] == {"live": 5, "spoof": 5}
    assert (data["apcer_max"], data["bpcer"]) == (0.0, 1.0)


def test_an_undecided_verdict_is_not_accepted(tmp_path: Path) -> None:
    class Torn(FakeScorer):
        def score(self, path: Path) -> FakeRecord:
            return FakeRecord(path, 1, 0.99, None, "undecided", 1.0)

    data = evaluate_pad(manifest(tmp_path), tmp_path / "out", Torn()).data
    assert (data["apcer_max"], data["bpcer"], data["n_no_response"]) == (0.0, 1.0, 1)


def test_an_unreadable_file_does_not_end_the_run_and_a_missing_model_does(tmp_path: Path) -> None:
    class Failing(FakeScorer):
        def __init__(self, error: Exception) -> None:
            super().__init__()
            self.error = error

        def score(self, path: Path) -> FakeRecord:
            if "0.8" in path.name:
                raise self.error
            return super().score(path)

    path = manifest(tmp_path)
    data = evaluate_pad(path, tmp_path / "out", Failing(SourceOpenError("damaged"))).data
    assert data["no_response"]["unreadable"] == {"live": 1, "spoof": 1}
    with pytest.raises(ModelMissingError):
        evaluate_pad(path, tmp_path / "out", Failing(ModelMissingError("gone")))
    # what was scored before is kept, and no report of an older run is left beside it
    assert len(read_outcomes(tmp_path / "out" / "scores.csv")) == 1
    assert not (tmp_path / "out" / "report.json").exists()
    assert not (tmp_path / "out" / "report.html").exists()


def test_a_bad_manifest_or_folder_is_refused_before_anything_is_scored(tmp_path: Path) -> None:
    scorer = FakeScorer()
    (tmp_path / "bad.tsv").write_text("path\tlabel\tspecies\nx.png\tfake\tprint\n")
    with pytest.raises(UsageError, match="line 2"):
        evaluate_pad(tmp_path / "bad.tsv", tmp_path / "out", scorer)
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="can't be written"):
        evaluate_pad(manifest(tmp_path), tmp_path / "file", scorer)
    assert scorer.seen == []


def test_page_is_one_file_that_fetches_nothing(report: Report) -> None:
    text = report.html.read_text(encoding="utf-8")
    page = Page(text)
    assert page.addresses() == []
    assert "script" not in {tag for tag, _ in page.tags}
    assert "@import" not in text
    assert "url(http" not in text
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags
    assert "prefers-color-scheme: dark" in text
    assert [tag for tag, _ in page.tags].count("svg") == 3


def test_page_shows_the_numbers_of_the_report(report: Report) -> None:
    text = Page(report.html.read_text(encoding="utf-8")).text
    for piece in (
        "50.00 %",
        "1.26 – 98.74 %",
        "0.63 – 80.59 %",
        "replay",
        "unreadable",
        "APNRR",
        "livegate eval pad",
    ):
        assert piece in text
    table = text[text.index("Attacks by species") :]
    assert table.index("replay") < table.index("print")


def test_gallery_shows_the_wrong_verdicts_first_then_the_nearest(tmp_path: Path) -> None:
    path = manifest(tmp_path)
    report = evaluate_pad(path, tmp_path / "out", FakeScorer())
    outcomes = [judge(FakeScorer(), o) for o in _rows(path)]
    assert [o.score for o in worst(outcomes, live=False)] == [0.75, 0.6, 0.55, 0.2, 0.1]
    assert [o.score for o in worst(outcomes, live=True)] == [0.3, 0.7, 0.8, 0.9]
    page = Page(report.html.read_text(encoding="utf-8"))
    pictures = [attrs["src"] for tag, attrs in page.tags if tag == "img"]
    assert len(pictures) == 9
    assert all(src and src.startswith("data:image/jpeg;base64,") for src in pictures)
    framed = [attrs for tag, attrs in page.tags if attrs.get("class") == "shot wrong"]
    assert len(framed) == 3


def test_names_from_the_manifest_are_escaped(tmp_path: Path) -> None:
    rows = "live/0.9@<script>alert(1)<.png live none\nspoof/0.8@b.png spoof <img/src=x>"
    (tmp_path / "live").mkdir()
    path = manifest(tmp_path, rows.replace("</", "<"))
    page = Page(evaluate_pad(path, tmp_path / "out", FakeScorer()).html.read_text(encoding="utf-8"))
    assert "script" not in {tag for tag, _ in page.tags}
    assert all(attrs.get("src") != "x" for _, attrs in page.tags)
    assert "<script>alert(1)<" in page.text
    assert "<img/src=x>" in page.text


def _rows(path: Path):  # type: ignore[no-untyped-def]
    from pipeline.evaluation import read_manifest

    return read_manifest(path).rows


def test_calibration_of_scores_is_told_for_all_and_for_each_group_with_both_classes(report: Report) -> None:
    whole = report.data["reliability"]
    # live 0.9 0.8 0.7 0.3, attacks 0.6 0.2 0.1 0.75 0.55; ratios are p / (1 - p)
    live = np.array([0.9, 0.8, 0.7, 0.3])
    spoof = np.array([0.6, 0.2, 0.1, 0.75, 0.55])
    exact = (np.mean(-np.log2(live)) + np.mean(-np.log2(1 - spoof))) / 2
    assert whole["cllr"] == pytest.approx(exact, abs=1e-6)
    assert (whole["n_live"], whole["n_spoof"]) == (4, 5)
    assert whole["cllr_min"] < whole["cllr"]
    assert sum(b["live"] for b in whole["bins"]) == 4
    assert report.data["per_group"]["night"]["reliability"]["n_spoof"] == 2
    assert "Do scores mean what they say?" in report.html.read_text(encoding="utf-8")


def video(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (64, 48))
    for level in (40, 90, 140):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()


def test_pictures_and_videos_in_one_list_are_told_apart_by_level(tmp_path: Path) -> None:
    rows = "0.9@a.png live none ann\n0.2@b.png spoof print ann\n"
    rows += "0.4@a.mp4 live none ann\n0.3@b.mp4 spoof replay bob"
    path = manifest(tmp_path, rows)
    for name in ("0.4@a.mp4", "0.3@b.mp4"):
        video(tmp_path / name)
    found = evaluate_pad(path, tmp_path / "out", FakeScorer())
    levels = found.data["per_level"]
    assert {name: (row["n_live"], row["n_spoof"], row["bpcer"]) for name, row in levels.items()} == {
        "picture": (1, 1, 0.0),
        "video": (1, 1, 1.0),
    }
    assert any("by level" in note for note in found.data["notes"])
    assert "<h2>By level</h2>" in found.html.read_text(encoding="utf-8")
    assert [o.level for o in read_outcomes(found.csv)] == ["picture", "picture", "video", "video"]


def test_one_level_alone_has_no_such_key(report: Report) -> None:
    assert "per_level" not in report.data


def test_tables_from_before_levels_are_still_read(report: Report, tmp_path: Path) -> None:
    lines = report.csv.read_text(encoding="utf-8").splitlines()
    old = tmp_path / "scores.csv"
    old.write_text("\n".join(line.rpartition(",")[0] for line in lines) + "\n", encoding="utf-8")
    assert [(o.item.name, o.score) for o in read_outcomes(old)] == [
        (o.item.name, o.score) for o in read_outcomes(report.csv)
    ]


def test_a_site_calibration_that_was_fitted_on_the_list_is_the_first_thing_said(tmp_path: Path) -> None:
    path = manifest(tmp_path)
    scorer = FakeScorer()
    scorer.calibration = types.SimpleNamespace(  # type: ignore[attr-defined]
        manifest_sha256=hashlib.sha256(path.read_bytes()).hexdigest()
    )
    assert (
        "was fitted on half of this very list" in evaluate_pad(path, tmp_path / "o", scorer).data["notes"][0]
    )
    scorer.calibration.manifest_sha256 = "0" * 64  # type: ignore[attr-defined]
    data = evaluate_pad(path, tmp_path / "o", scorer).data
    assert not any("very list" in note for note in data["notes"])
    assert data["run"]["calibration"] == "site, fitted on list " + "0" * 64
