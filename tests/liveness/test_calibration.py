"""Calibrations: what is shipped can be used, what is not one is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SettingsError
from pipeline.liveness import calibration as module
from pipeline.liveness.calibration import Calibration, key_of, load_calibration, parse_calibration
from pipeline.liveness.passive import NETS

from .support import calibration

SHIPPED = sorted((Path(module.__file__).parent / "calibrations").glob("*.json"))
GOOD = json.loads((Path(module.__file__).parent / "calibrations" / "fr_liveness.json").read_text("utf-8"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_what_is_shipped_loads_and_says_where_it_comes_from(path: Path) -> None:
    c = load_calibration(path.stem.split("+"))
    assert key_of(c.nets) == path.stem
    assert set(c.nets) <= set(NETS)
    assert c.bound == pytest.approx(math.log(c.provenance.attacks + 1), abs=1e-3)
    assert c.provenance.command
    assert c.provenance.data
    assert c.provenance.clips >= 1


def test_the_default_net_has_one_and_the_order_of_names_does_not_matter() -> None:
    assert load_calibration(("fr_liveness",)).nets == ("fr_liveness",)
    a = load_calibration(("minifasnet_v2", "minifasnet_v1se"))
    assert a == load_calibration(("minifasnet_v1se", "minifasnet_v2"))


@pytest.mark.parametrize("nets", [("nobody",), ("fr_liveness", "facenox"), ("../fr_liveness",)])
def test_nets_without_a_calibration_refuse_to_start(nets: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match="no calibration"):
        load_calibration(nets)


@pytest.mark.parametrize(
    "change",
    [
        {"slope": 0},
        {"slope": -0.5},
        {"slope": "steep"},
        {"intercept": None},
        {"bound": 0},
        {"rho": 0},
        {"rho": 1.2},
        {"tau_s": 0},
        {"version": 2},
        {"nets": ["facenox"]},
        {"nets": []},
        {"extra": 1},
        {"provenance": {}},
    ],
)
def test_a_file_that_is_not_one_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        parse_calibration(json.dumps({**GOOD, **change}), "fr_liveness")


@given(text=st.one_of(st.text(max_size=40), st.just("[]"), st.just('{"slope": NaN}'), st.just("null")))
def test_text_that_is_no_calibration_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_calibration(text, "fr_liveness")


def test_infinite_numbers_in_a_file_are_refused() -> None:
    text = json.dumps({**GOOD, "intercept": 1.0}).replace('"intercept": 1.0', '"intercept": Infinity')
    with pytest.raises(SettingsError):
        parse_calibration(text, "fr_liveness")


@given(a=st.floats(-50, 50), b=st.floats(-50, 50))
def test_a_higher_score_is_never_less_evidence_of_life(a: float, b: float) -> None:
    c = calibration(slope=0.4, intercept=-0.3, bound=4.0)
    assert (a <= b) <= (c.llr(a) <= c.llr(b))
    assert -4.0 <= c.llr(a) <= 4.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_no_evidence(value: float) -> None:
    c: Calibration = calibration()
    assert math.isnan(c.llr(value))
    assert math.isnan(c.raw(value))
