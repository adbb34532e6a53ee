from __future__ import annotations

from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.camera.watchdog import RepeatMeter, backoff

from .support import picture


@given(start=st.floats(0.01, 100), longest=st.floats(0.01, 100))
def test_pauses_double_up_to_the_longest(start: float, longest: float) -> None:
    pauses = list(islice(backoff(start, longest), 12))
    assert pauses[0] == min(start, longest)
    assert all(after == min(before * 2, longest) for before, after in pairwise(pauses))


def test_a_frame_that_differs_anywhere_is_no_repeat() -> None:
    meter = RepeatMeter()
    assert not meter.see(picture(1))
    for at in (0, 1, 996, 997, 5000, 48 * 64 * 3 - 1):
        changed = picture(1)
        changed.reshape(-1)[at] ^= 1
        assert not meter.see(changed), at
    assert meter.see(changed.copy())
    assert meter.see(changed.copy())
    assert not meter.see(picture(2))


@pytest.mark.parametrize(
    "other",
    [np.zeros((64, 48, 3), np.uint8), np.zeros((48, 64), np.uint8), np.zeros((48, 64, 3), np.uint16)],
)
def test_frames_of_another_shape_or_type_are_no_repeats(other: np.ndarray) -> None:
    meter = RepeatMeter()
    meter.see(np.zeros((48, 64, 3), np.uint8))
    assert not meter.see(other)
