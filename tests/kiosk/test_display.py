"""The page as the flash's screen: colours count once acknowledged, within bounds that no page sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kiosk.display import ROUND_TRIP_S, Colour, PageDisplay

RGB = (1, 2, 3)


class Hand:
    """A clock turned by hand, and the colours that a page was given."""

    def __init__(self) -> None:
        self.now = 100.0
        self.given: list[Colour] = []
        self.there = True
        self.display = PageDisplay(self._push, lambda: self.now)

    def _push(self, colour: Colour) -> bool:
        self.given.append(colour)
        return self.there


def test_colours_go_out_at_once_and_in_order() -> None:
    hand = Hand()
    assert all(hand.display.show((k, 0, 0)) for k in range(3))
    assert hand.given == [Colour(1, (0, 0, 0)), Colour(2, (1, 0, 0)), Colour(3, (2, 0, 0))]
    assert hand.display.painted == 0


def test_without_an_acknowledgement_in_time_it_declines_for_good() -> None:
    hand = Hand()
    assert hand.display.show(RGB)
    hand.now += ROUND_TRIP_S + 0.01
    assert not hand.display.show(RGB)
    hand.display.acknowledge(1)
    assert not hand.display.show(RGB)
    assert (hand.display.declined, hand.display.painted) == ("late", 1)
    assert len(hand.given) == 1


def test_a_late_acknowledgement_declines_even_where_no_colour_came_in_between() -> None:
    hand = Hand()
    assert hand.display.show(RGB)
    hand.now += ROUND_TRIP_S + 0.01
    hand.display.acknowledge(1)
    assert hand.display.declined == "late"


def test_an_acknowledgement_in_time_keeps_it_going_and_covers_what_was_passed_over() -> None:
    hand = Hand()
    for _ in range(20):
        assert hand.display.show(RGB)
        hand.now += 0.1
        assert hand.display.show(RGB)
        hand.display.acknowledge(len(hand.given))
    assert hand.display.longest_s == pytest.approx(0.1)
    assert (hand.display.painted, hand.display.declined) == (20, None)


def test_a_stop_and_a_page_that_is_gone_decline() -> None:
    hand = Hand()
    hand.display.cancel()
    assert not hand.display.show(RGB)
    assert (hand.display.declined, hand.given) == ("cancelled", [])
    hand = Hand()
    hand.there = False
    assert not hand.display.show(RGB)
    assert hand.display.declined == "no page"


@given(st.lists(st.one_of(st.just("show"), st.integers(-5, 200), st.floats(0, 0.1)), max_size=80))
def test_no_acknowledgement_makes_an_overdue_colour_count(steps: list[str | int | float]) -> None:
    """Whatever numbers a page names: a colour is shown only while the oldest open one is young enough."""
    hand = Hand()
    open_since: list[tuple[int, float]] = []
    late = False
    for step in steps:
        if step == "show":
            late = late or bool(open_since and hand.now - open_since[0][1] > ROUND_TRIP_S)
            assert hand.display.show(RGB) is not late
            if not late:
                open_since.append((len(hand.given), hand.now))
        elif isinstance(step, int):
            hand.display.acknowledge(step)
            if step <= len(hand.given) and open_since and step >= open_since[0][0]:
                late = late or any(n <= step and hand.now - at > ROUND_TRIP_S for n, at in open_since)
                open_since = [(n, at) for n, at in open_since if n > step]
        else:
            hand.now += float(step)
