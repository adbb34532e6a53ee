"""`evaluate_match`: pairs and an embedder to a report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.evaluation import ProductEmbedder, Report, evaluate_match
from pipeline.evaluation.match_page import cosine_of

from .support import FakeEmbedder, Page, pairs


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The hand-worked example; its tests only read it."""
    tmp_path = tmp_path_factory.mktemp("report")
    return evaluate_match(pairs(tmp_path), tmp_path / "out", FakeEmbedder(), threshold=80.0)


def test_report_holds_the_hand_worked_values(report: Report) -> None:
    data = json.loads(report.json.read_text())
    assert data == report.data
    assert {k: data[k] for k in ("n_same", "n_different", "n_same_compared", "n_different_compared")} == {
        "n_same": 4,
        "n_different": 5,
        "n_same_compared": 3,
        "n_different_compared": 4,
    }
    assert data["threshold"] == 80.0
    # cosines: same 1, .940, .5; different .866, .5, .174, 0
    assert (data["fmr"], data["fnmr"]) == (0.25, round(1 / 3, 6))
    assert list(data["at_score"]) == ["60", "80", "90", "95"]
    assert data["at_score"]["90"]["fmr"]["errors"] == 0
    assert data["at_score"]["95"]["fnmr"]["errors"] == 2
    assert data["at_score"]["80"]["gfrr"]["value"] == 0.5
    assert data["at_score"]["80"]["gfar"]["value"] == 0.2
    # wins: 1 and .940 over four each, .5 over two and half of a tie
    assert data["auc"] == round(10.5 / 12, 6)
    assert data["accuracy"] == round(5 / 7, 6)
    assert data["fmr_ci95"] == [0.006309, 0.805880]


def test_failures_to_enrol_are_counted_by_picture_and_reason(report: Report) -> None:
    enrol = report.data["failure_to_enrol"]
    assert (enrol["errors"], enrol["n"]) == (2, 10)
    assert enrol["by_reason"] == {"no_face": 1, "unreadable": 1}


def test_every_picture_is_embedded_once(tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    evaluate_match(pairs(tmp_path), tmp_path / "out", embedder, threshold=80.0)
    assert sorted(embedder.seen) == [0, 0, 20, 30, 80, 100, 160, 170, 255]


def test_report_says_what_so_few_pairs_can_not_prove(report: Report) -> None:
    notes = "\n".join(report.data["notes"])
    assert "4 comparisons of different people can't show an FMR below 52.7 %" in notes
    assert "0.001 % asks for 299,572" in notes
    assert all(not row["shown"] for row in report.data["fnmr_at_fmr"].values())
    assert list(report.data["fnmr_at_fmr"]) == ["0.01", "0.001", "0.0001", "1e-05"]
    page = Page(report.html.read_text(encoding="utf-8")).text
    assert "not provable" in page
    assert "299,572" in page


def test_people_follow_from_pairs_and_from_named_subjects(tmp_path: Path) -> None:
    by_pairs = evaluate_match(pairs(tmp_path), tmp_path / "one", FakeEmbedder(), threshold=80.0).data
    assert by_pairs["n_people"] == 6  # a0 with a0b, a20, a255; b100 with b160; b30; c80; d170; absent
    named = pairs(
        tmp_path,
        "a0 b30 0 ann bob\na20 b100 0 ann bob\nc80 a0b 0 cat ann",
        "a\tb\tsame\tsubject_a\tsubject_b",
    )
    data = evaluate_match(named, tmp_path / "two", FakeEmbedder(), threshold=80.0).data
    assert data["n_people"] == 3
    assert not any("names no subjects" in note for note in data["notes"])


def test_labels_that_contradict_one_another_are_named_by_line(tmp_path: Path) -> None:
    path = pairs(tmp_path, "a0 a20 1\na20 b30 1\na0 b30 0")
    notes = evaluate_match(path, tmp_path / "out", FakeEmbedder(), threshold=80.0).data["notes"]
    assert any("1 rows say different" in note and "lines 4" in note for note in notes)


def test_scores_table_has_every_pair_with_its_reason(report: Report) -> None:
    lines = report.csv.read_text().splitlines()
    assert lines[0] == "a,b,same,cosine,score,reason_a,reason_b"
    assert len(lines) == 10
    assert "a0.png,absent.png,0,,,,unreadable" in lines
    assert "a0.png,a255.png,1,,,,no_face" in lines
    assert any(line.startswith("a0.png,a0b.png,1,1.0,100.00") for line in lines)


def test_page_is_one_file_with_the_worst_pairs_first(report: Report) -> None:
    page = Page(report.html.read_text(encoding="utf-8"))
    assert page.addresses() == []
    assert [tag for tag, _ in page.tags].count("svg") == 2
    assert [tag for tag, _ in page.tags].count("img") == 2 * (4 + 3)
    framed = [attrs for _, attrs in page.tags if attrs.get("class") == "shot pair wrong"]
    assert len(framed) == 2
    assert page.text.index("b30.png") < page.text.index("c80.png") < page.text.index("d170.png")


def test_the_cosine_of_a_score_is_the_lowest_that_reaches_it() -> None:
    assert cosine_of(lambda c: max(0.0, c) * 100, 60) == pytest.approx(0.6, abs=1e-9)
    assert cosine_of(lambda c: 50.0, 60) is None
    from pipeline.gateway.scoring import MARKS, score_of

    for mark in MARKS[1:]:
        assert cosine_of(score_of, mark.score) == pytest.approx(mark.cosine, abs=1e-3)


def test_real_pairs_are_told_apart(shared_data: Path, tmp_path: Path) -> None:
    """60 press pictures' pairs: the nets, the alignment and the score map are wired right."""
    from pipeline.nets import open_store

    rows = [
        line.split("\t") for line in (shared_data / "pairs_lfw_deepfunneled.tsv").read_text().splitlines()[1:]
    ]
    picked = [r for r in rows if r[2] == "1"][:60:2] + [r for r in rows if r[2] == "0"][:60:2]
    path = tmp_path / "p.tsv"
    path.write_text(
        "a\tb\tsame\n" + "".join(f"{shared_data / a}\t{shared_data / b}\t{same}\n" for a, b, same in picked)
    )
    data = evaluate_match(path, tmp_path / "out", ProductEmbedder(open_store()), threshold=95.0).data
    assert (data["n_same"], data["n_different"]) == (30, 30)
    assert data["run"]["models"] == ["face_detector", "face_mesh", "fr_feature"]
    assert data["failure_to_enrol"]["value"] <= 0.05
    assert data["at_score"]["80"]["fmr"]["value"] <= 0.04
    assert data["auc"] >= 0.95
