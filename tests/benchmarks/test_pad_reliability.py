"""Reliability out of kept scores: what is measured with which line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from benchmarks import pad_reliability
from benchmarks.pad_data import fit_half, read_stills
from pipeline.evaluation.reliability import reliability
from pipeline.liveness.calibration import load_calibration


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    """Made-up log-odds of two data sets with eight people each."""
    rng = np.random.default_rng(0)
    head = ["dataset", "species", "subject", "presentation", "label", "face", "fr_liveness"]
    rows = []
    for dataset in ("nuaa_raw", "pourfard_bench"):
        for person in range(8):
            for shot in range(12):
                live = shot % 2 == 0
                odds = rng.normal(1.0 if live else -6.0, 3.0)
                rows.append(
                    [
                        dataset, "none" if live else "print", f"{dataset}{person}", f"{person}-{shot}",
                        "live" if live else "spoof", "1", f"{odds:.4f}",
                    ]
                )  # fmt: skip
    path = tmp_path / "stills.tsv"
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([head, *rows])
    return path


def test_shipped_line_is_measured_on_people_that_it_was_not_fitted_on_and_others_on_all(scores: Path) -> None:
    stills = read_stills(scores)
    found = pad_reliability.parts(stills, ["fr_liveness"])
    c = load_calibration(["fr_liveness"])
    mine = ~fit_half(stills) & (stills.dataset == "nuaa_raw")
    posterior = 1 / (1 + np.exp(-(c.slope * stills.fused(["fr_liveness"])[mine] + c.intercept)))
    exact = reliability(posterior, stills.live[mine])
    assert exact is not None
    assert found[pad_reliability.SHIPPED]["nuaa_raw"].cllr == pytest.approx(exact.cllr)
    assert found[pad_reliability.SHIPPED]["nuaa_raw"].n_live == 24
    assert found[pad_reliability.OTHER]["nuaa_raw"].n_live == 48


def test_report_writes_tables_numbers_and_curves(scores: Path, tmp_path: Path) -> None:
    out = tmp_path / "made"
    pad_reliability.main(["--work", str(scores.parent), "--nets", "fr_liveness", "--out", str(out)])
    text = out.with_name("made.md").read_text()
    assert "| nuaa_raw | 24 | 24 |" in text
    for suffix in ("shipped", "left-out"):
        svg = out.with_name(f"made-{suffix}.svg").read_text()
        assert "<svg" in svg
        assert "<image" not in svg
        assert f"made-{suffix}.svg" in text
