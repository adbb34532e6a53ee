"""The paper's arithmetic, and sources that a benchmark of cameras reads."""

from __future__ import annotations

import time

import numpy as np
import pytest

from benchmarks.cameras import Paced
from benchmarks.fleet_cost import Inputs, rows
from benchmarks.sequence import FPS, Sequence


def results(**inputs: float) -> dict[str, float]:
    return {name: value for name, value, _ in rows(Inputs(**inputs))}


def test_rates_follow_from_kiosks_and_checks() -> None:
    found = results(
        kiosks=100, checks_day=36, match_share=0.5, peak_hour=0.1, burst=3, gateway_ms=100, busy=0.5
    )
    assert found["checks a day"] == 3600
    assert found["matches a second, peak"] == pytest.approx(1800 * 0.1 / 3600 * 3)
    assert found["gateway: cores at the peak"] == pytest.approx(0.15 * 0.1 / 0.5)


def test_stored_bytes_are_kept_for_their_days_in_each_replica() -> None:
    found = results(
        kiosks=1e6,
        checks_day=1,
        match_share=1,
        evidence_days=10,
        evidence_bytes=1e5,
        replicas=3,
        price_object=2,
    )
    assert found["sealed pictures kept, with replicas"] == pytest.approx(3000)
    assert found["sealed pictures, a month"] == pytest.approx(6000)


def test_costs_are_the_sum_of_their_parts_and_free_where_prices_are_none() -> None:
    found = results()
    parts = ("cores", "database disk", "sealed pictures", "traffic")
    assert found["all of it, a month"] == pytest.approx(sum(found[f"{part}, a month"] for part in parts))
    free = results(price_core_hour=0, price_disk=0, price_object=0)
    assert free["1,000 verifications"] == 0


def test_paced_source_shows_the_newest_frame_and_counts_what_was_missed() -> None:
    images = tuple(np.zeros((8, 8, 3), np.uint8) for _ in range(4))
    began = time.monotonic()
    with Paced(Sequence(images, rendered=True), began, 0) as source:
        first = next(source)
        source._began -= 10 / FPS  # as if ten frames' time had gone by
        second = next(source)
        assert second.seq - first.seq >= 10
        assert source.dropped == second.seq - first.seq - 1
        assert source.seen == 2
        assert second.t == pytest.approx(source._began + second.seq / FPS)
    with pytest.raises(StopIteration):
        next(source)
