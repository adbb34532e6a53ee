"""The page as the flash's screen: colours count once acknowledged, within bounds that no page sets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.flash_scene import Setting, SimCamera, SimDisplay
from benchmarks.flash_sim import view_of
from pipeline.camera.frame import Image
from pipeline.kiosk.display import ROUND_TRIP_S, Colour, PageDisplay
from pipeline.liveness.flash import FlashChallenge, FlashSession, FlashVerdict
from pipeline.nets import open_store
from pipeline.vision import Vision
from pipeline.vision.types import F32

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


# ---- a session over it, before the simulated camera ------------------------------------------------------


@pytest.fixture(scope="module")
def mesh(astronaut: Image) -> F32:
    face = Vision(open_store()).look(astronaut).face
    assert face is not None
    return face.landmarks


Page = Callable[[PageDisplay, Colour, SimDisplay, float], None]


def flash(astronaut: Image, mesh: F32, page: Page) -> FlashVerdict:
    """One run in simulated time. The page paints what the light is, and acknowledges, or does not."""
    setting = Setting(ambient=200.0, seed=3)
    rng = np.random.default_rng([0, 17])
    camera, screen = SimCamera(astronaut, mesh, setting), SimDisplay()
    given: list[Colour] = []
    display = PageDisplay(lambda colour: given.append(colour) or True, lambda: screen.now)
    session = FlashSession(display, FlashChallenge(rng.bytes(32)), rng=rng)
    k = done = 0
    while session.verdict is None:
        screen.now = k / setting.fps
        frame, seen = camera.frame(screen.now, screen)
        session.update(frame, view_of(seen))
        for colour in given[done:]:
            page(display, colour, screen, screen.now)
        done = len(given)
        k += 1
        assert k < 200
    return session.verdict


def test_a_page_that_paints_and_acknowledges_lets_a_head_prove_itself(astronaut: Image, mesh: F32) -> None:
    def page(display: PageDisplay, colour: Colour, screen: SimDisplay, now: float) -> None:
        screen.log.append((now, colour.rgb))
        screen.now = now + 0.04
        display.acknowledge(colour.number)
        screen.now = now

    assert flash(astronaut, mesh, page).state == "proved"


def test_a_page_that_only_says_that_it_paints_proves_nothing(astronaut: Image, mesh: F32) -> None:
    def page(display: PageDisplay, colour: Colour, screen: SimDisplay, now: float) -> None:
        display.acknowledge(colour.number)

    assert flash(astronaut, mesh, page).state != "proved"


def test_a_page_that_paints_and_says_nothing_is_not_used(astronaut: Image, mesh: F32) -> None:
    def page(display: PageDisplay, colour: Colour, screen: SimDisplay, now: float) -> None:
        screen.log.append((now, colour.rgb))

    verdict = flash(astronaut, mesh, page)
    assert (verdict.state, verdict.why) == ("not_used", "the display declined")


def test_a_stop_in_the_middle_ends_the_run_unproved(astronaut: Image, mesh: F32) -> None:
    def page(display: PageDisplay, colour: Colour, screen: SimDisplay, now: float) -> None:
        screen.log.append((now, colour.rgb))
        display.acknowledge(colour.number)
        if now > 1.5:
            display.cancel()

    assert flash(astronaut, mesh, page).state == "not_used"
