"""A site's calibration: the floor that no file can lower, and the files that are refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SettingsError
from pipeline.liveness.calibration import Calibration
from pipeline.liveness.decision import DecisionLimits
from pipeline.liveness.judge import Judge, JudgeSettings
from pipeline.liveness.passive import PassiveScorer
from pipeline.liveness.site import (
    FLOOR_APCER,
    SiteCalibration,
    load_site_calibration,
    on_floor,
    parse_site_file,
    sha256_of,
)
from pipeline.nets import open_store
from pipeline.settings import Settings

from .support import FakeScorer, NoStore, calibration


def counted() -> dict[str, Any]:
    return {
        "errors": 0, "n": 60, "ci95": [0.0, 0.06],
        "subjects_with_errors": 0, "subjects": 6, "subjects_ci95": [0.0, 0.46],
    }  # fmt: skip


def body(**changes: Any) -> dict[str, Any]:
    part = {
        "live": 60, "attacks": 60, "files": 120, "live_subjects": 6, "attack_subjects": 6, "no_response": 0,
        "bpcer": counted(), "refused": counted(), "apcer": {"print": counted()},
    }  # fmt: skip
    provenance = {
        "tool": "livegate calibrate", "tool_version": "0", "date": "2026-01-01", "manifest_sha256": "0" * 64,
        "shipped_sha256": "0" * 64, "seed": 0, "mode": "fitted", "species": {"print": 120},
        "fit": part, "check": part,
        "correlation": {"measured": False, "rho": None, "tau_s": None, "clips": 0}, "notes": [],
    }  # fmt: skip
    good = {
        "kind": "livegate-site-calibration", "version": 1, "nets": [{"name": "fake", "sha256": "0" * 64}],
        "slope": 2.0, "intercept": 1.0, "bound": 9.0, "rho": 0.4, "tau_s": 0.1,
        "target_apcer": 0.01, "target_bpcer": 0.1, "provenance": provenance,
    }  # fmt: skip
    return {**good, **changes}


def site(shipped: Calibration, **changes: Any) -> SiteCalibration:
    return on_floor(parse_site_file(json.dumps(body(**changes))), shipped)


ANY = st.floats(-60, 60, allow_nan=False)
SHARE = st.floats(0.01, 1.0)


@given(
    slope=st.floats(0.01, 1000), intercept=st.floats(-50, 1000), bound=st.floats(0.1, 1000), rho=SHARE,
    tau=st.floats(0.001, 5), target=st.floats(1e-4, FLOOR_APCER), wanted=st.floats(1e-4, FLOOR_APCER),
    shipped_rho=SHARE,
    frames=st.lists(st.tuples(ANY, st.floats(0.0, 1.0)), min_size=1, max_size=30),
)  # fmt: skip
def test_nothing_passes_that_the_shipped_one_would_refuse_at_the_floor(
    slope: float, intercept: float, bound: float, rho: float, tau: float, target: float, wanted: float,
    shipped_rho: float, frames: list[tuple[float, float]],
) -> None:  # fmt: skip
    shipped = calibration(slope=0.7, intercept=0.5, bound=4.4, rho=shipped_rho, tau_s=0.4)
    mine = site(
        shipped, slope=slope, intercept=intercept, bound=bound, rho=rho, tau_s=tau, target_apcer=target
    )
    limits = JudgeSettings(target_apcer=wanted).limits(mine)
    floor = DecisionLimits(target_apcer=FLOOR_APCER, target_bpcer=limits.target_bpcer, rho=limits.rho)
    weights = np.array([1.0, *(w for _, w in frames[1:])])
    discount = 1 + (weights.sum() - 1) * limits.rho

    def total(c: Calibration) -> float:
        return float(weights @ [c.llr(x) for x, _ in frames]) / discount

    assert limits.rho >= shipped.rho
    assert limits.tau_s >= shipped.tau_s
    if total(mine) >= limits.upper:
        assert total(shipped) >= floor.upper - 1e-9


@given(ANY, st.floats(0.01, 100), st.floats(-20, 100))
def test_a_picture_s_ratio_keeps_to_the_floor_as_well(x: float, slope: float, intercept: float) -> None:
    shipped = calibration(rho=0.8)
    mine = site(shipped, slope=slope, intercept=intercept)
    slack = 0.8 * math.log(FLOOR_APCER / 0.01)
    assert mine.raw(x) <= shipped.raw(x) + slack + 1e-9
    assert mine.raw(x) <= slope * x + intercept + 1e-9
    assert abs(mine.llr(x)) <= mine.largest == JudgeSettings().limits(mine).bound


def test_a_stricter_line_stands_as_it_is_and_nan_stays_nan() -> None:
    mine = site(calibration(), slope=0.5, intercept=-3.0)
    assert mine.llr(2.0) == pytest.approx(-2.0)
    assert math.isnan(mine.llr(math.nan))
    assert math.isnan(mine.raw(math.inf))


def test_settings_and_file_can_each_only_ask_for_less() -> None:
    mine = site(calibration(), target_apcer=0.005, target_bpcer=0.2)
    loose = JudgeSettings(target_apcer=0.05, target_bpcer=0.05).limits(mine)
    assert (loose.target_apcer, loose.target_bpcer) == (0.005, 0.05)
    assert JudgeSettings(target_apcer=0.001).limits(mine).target_apcer == 0.001
    judge = Judge(NoStore(), JudgeSettings(target_apcer=0.05), scorer=FakeScorer(1.0, calibration_=mine))  # type: ignore[arg-type]
    assert judge.begin("s", live=False)._decision.limits.target_apcer == 0.005


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"version": 2}, "version"),
        ({"kind": "other"}, "no site calibration"),
        ({"slope": 0}, "slope"),
        ({"slope": float("nan")}, "slope"),
        ({"bound": -1}, "bound"),
        ({"rho": 1.5}, "rho"),
        ({"target_apcer": 0.06}, "target_apcer"),
        ({"nets": []}, "nets"),
        ({"nets": [{"name": "fake", "sha256": "abc"}]}, "nets"),
        ({"further": 1}, "further"),
    ],
)
def test_what_is_no_such_file_is_refused_with_its_place(change: dict[str, Any], match: str) -> None:
    with pytest.raises(SettingsError, match=match):
        parse_site_file(json.dumps(body(**change)))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000])
def test_text_that_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="calibration"):
        parse_site_file(text)


@pytest.fixture
def net(tmp_path: Path) -> dict[str, Path]:
    path = tmp_path / "fake.onnx"
    path.write_bytes(b"weights")
    return {"fake": path}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "site.json"
    path.write_text(json.dumps(body(**changes)))
    return path


def test_a_file_for_these_bytes_loads_and_for_others_does_not(tmp_path: Path, net: dict[str, Path]) -> None:
    path = written(tmp_path, nets=[{"name": "fake", "sha256": sha256_of(net["fake"])}])
    found = load_site_calibration(path, net, calibration())
    assert (found.slope, found.nets) == (2.0, ("fake",))
    net["fake"].write_bytes(b"other weights")
    with pytest.raises(SettingsError, match="another fake"):
        load_site_calibration(path, net, calibration())
    with pytest.raises(SettingsError, match="not for the nets"):
        load_site_calibration(path, {**net, "second": net["fake"]}, calibration())


def test_a_file_that_is_absent_or_huge_or_binary_is_refused(tmp_path: Path, net: dict[str, Path]) -> None:
    with pytest.raises(SettingsError, match="can't be read"):
        load_site_calibration(tmp_path / "absent.json", net, calibration())
    big, binary = tmp_path / "big.json", tmp_path / "binary.json"
    big.write_bytes(b" " * (2**20 + 1))
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="too large"):
        load_site_calibration(big, net, calibration())
    with pytest.raises(SettingsError, match="can't be read"):
        load_site_calibration(binary, net, calibration())


def test_the_setting_reaches_gate_and_score_and_wrong_nets_refuse_to_start(tmp_path: Path) -> None:
    store = open_store()
    digest = sha256_of(store.path("fr_liveness"))
    path = written(tmp_path, nets=[{"name": "fr_liveness", "sha256": digest}])
    settings = Settings(nets=("fr_liveness",), calibration=path)
    judge = JudgeSettings.of(settings)
    scorer = PassiveScorer.load(store, judge.nets, site=judge.calibration)
    assert isinstance(scorer.calibration, SiteCalibration)
    assert isinstance(Judge(store, judge)._scorer.calibration, SiteCalibration)
    with pytest.raises(SettingsError, match="not for the nets"):
        Judge(store, replace(judge, nets=("fr_liveness", "livegate_pad")))
    path.write_text(json.dumps(body(nets=[{"name": "fr_liveness", "sha256": "1" * 64}])))
    with pytest.raises(SettingsError, match="another fr_liveness"):
        Judge(store, judge)
