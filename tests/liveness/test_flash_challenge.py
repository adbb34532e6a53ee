"""The colours: nobody can know them before, all are soft, and the safety check finds what is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.liveness.flash import FlashChallenge, Rgb, challenge_safety, flash_safety
from pipeline.liveness.flash.challenge import AXES, LUMA, SYMBOLS, WORDS, codes_of, weights_at
from pipeline.liveness.flash.response import SETTLE_S
from pipeline.liveness.judge import FLASH_S

NONCES = st.binary(min_size=16, max_size=64)


@given(nonce=NONCES, strength=st.floats(0.05, 1.0), fps=st.sampled_from([24.0, 30.0, 60.0, 144.0]))
@settings(max_examples=40, deadline=None)
def test_no_sequence_holds_a_flash(nonce: bytes, strength: float, fps: float) -> None:
    safety = challenge_safety(FlashChallenge(nonce, strength), fps)
    assert safety.none, safety
    assert safety.safe
    assert (safety.general, safety.red) == (0, 0)


def blink(rate: float, *colours: Rgb) -> list[tuple[float, Rgb]]:
    return [(k / rate, colours[k % len(colours)]) for k in range(int(3 * rate))]


BLACK, WHITE, RED, GREY = (0, 0, 0), (255, 255, 255), (255, 0, 0), (120, 120, 120)


def test_the_safety_check_finds_flashes() -> None:
    fast = flash_safety(blink(10, BLACK, WHITE))
    assert not fast.safe
    assert not fast.none
    assert fast.general >= 5
    assert flash_safety(blink(4, BLACK, WHITE)).safe  # two pairs in a second
    assert not flash_safety(blink(4, BLACK, WHITE)).none
    reds = flash_safety(blink(12, RED, GREY))
    assert reds.red > 3
    assert not reds.safe
    assert not flash_safety(blink(1, RED, GREY)).none


def test_bright_states_and_small_steps_are_no_general_flash() -> None:
    assert flash_safety(blink(20, (238, 238, 238), WHITE)).general == 0  # the darker one is above 0.80
    assert flash_safety(blink(20, (120, 120, 120), (128, 128, 128))).none
    assert flash_safety([]).none


def test_a_flash_in_small_steps_is_one() -> None:
    """Ten steps of 5 % up and ten down are an opposing pair of 50 %, however small each is."""
    levels = [*range(60, 200, 10), *range(200, 60, -10)] * 3
    ramp = [(k / 100, (v, v, v)) for k, v in enumerate(levels)]
    assert flash_safety(ramp).general >= 2


@given(nonce=NONCES)
@settings(max_examples=30, deadline=None)
def test_codes_are_balanced_orthogonal_and_bound_to_the_nonce(nonce: bytes) -> None:
    codes = FlashChallenge(nonce).codes.astype(int)
    assert codes.shape == (3, SYMBOLS)
    assert set(codes.ravel().tolist()) == {-1, 1}
    assert np.array_equal(codes @ codes.T, SYMBOLS * np.eye(3))
    assert not codes.sum(axis=1).any()
    assert np.array_equal(codes, FlashChallenge(nonce).codes)


def test_sequences_differ_and_none_is_frequent() -> None:
    seen = {FlashChallenge.new().codes.tobytes() for _ in range(200)}
    assert len(seen) == 200
    words = np.random.default_rng(0).integers(0, 2**32, (4000, WORDS), dtype=np.uint32)
    drawn = {codes.tobytes() for codes in codes_of(words)}
    assert len(drawn) > 3900


def test_colour_axes_have_no_luminance() -> None:
    assert np.allclose(AXES[:2] @ LUMA, 0, atol=1e-9)


def test_symbols_follow_each_other_without_a_gap() -> None:
    t = np.linspace(-0.5, 3.6, 400)
    total = weights_at(t).sum(axis=1)
    assert np.all((total >= -1e-12) & (total <= 1 + 1e-12))
    inside = (t > 0.1) & (t < 3.0)
    assert np.allclose(total[inside], 1)
    assert not weights_at(np.array([-1.0, 9.0])).any()


def test_the_grey_stands_before_and_after() -> None:
    challenge = FlashChallenge.new()
    assert challenge.colour_at(-1) == challenge.colour_at(10) == challenge.colour_at(0)
    red, green, blue = challenge.colour_at(10)
    assert red == green == blue


@pytest.mark.parametrize(("nonce", "strength"), [(b"short", 0.5), (bytes(65), 0.5), (bytes(32), 0.0)])
def test_bad_nonces_and_strengths_are_refused(nonce: bytes, strength: float) -> None:
    with pytest.raises(UsageError):
        FlashChallenge(nonce, strength)


def test_the_nonce_is_not_shown() -> None:
    assert "secret" not in repr(FlashChallenge(b"secret-secret-secret"))


def test_a_check_with_a_flash_has_time_for_it() -> None:
    assert FlashChallenge.new().duration_s + SETTLE_S <= FLASH_S
