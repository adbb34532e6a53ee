"""The flash through the whole kiosk, with pages that follow a script."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.camera.frame import Image
from pipeline.liveness.flash.safety import flash_safety

from .support import Camera, ScriptedPage, make_kiosk, page_of, running


def result_of(
    person: list[Image], paint: Callable[[dict[str, Any]], bool]
) -> tuple[dict[str, Any], ScriptedPage]:
    with running(make_kiosk(Camera(person), flash=True)) as client, page_of(client, paint=paint) as page:
        return page.until("result"), page


def test_the_colours_are_announced_can_be_stopped_and_hold_no_flash(person: list[Image]) -> None:
    shown: list[tuple[float, tuple[int, int, int]]] = []

    def paint(colour: dict[str, Any]) -> bool:
        shown.append((time.monotonic(), tuple(colour["rgb"])))
        return True

    result, page = result_of(person, paint)
    idle = next(screen for screen in page.screens if screen["phase"] == "idle")
    assert "颜色" in idle["hint_zh"]
    assert "desk" in idle["hint_en"]
    assert all(screen["can_stop"] for screen in page.screens if screen["phase"] == "checking")
    numbers = [colour["number"] for colour in page.colours]
    assert numbers == sorted(set(numbers))
    assert len(shown) > 40
    assert flash_safety(shown).none
    # a picture set in motion answers to no colour
    assert (result["code"], result["reason"], result["outcome"]) == (1003, "no_flash_proof", "again")


def test_two_checks_show_different_colours(person: list[Image]) -> None:
    runs = [[colour["rgb"] for colour in result_of(person, lambda _: True)[1].colours] for _ in range(2)]
    assert runs[0] != runs[1]


@pytest.mark.parametrize("answers", ["never", "late"])
def test_a_page_that_does_not_paint_in_time_ends_the_check_undecided(
    answers: str, person: list[Image]
) -> None:
    def paint(colour: dict[str, Any]) -> bool:
        if answers == "late":
            time.sleep(0.3)
            return True
        return False

    result, page = result_of(person, paint)
    assert (result["code"], result["reason"]) == (1003, "no_flash_proof")
    assert len(page.colours) < 30


def test_a_stop_by_the_person_ends_it_and_tells_the_other_way(person: list[Image]) -> None:
    kiosk = make_kiosk(Camera(person), flash=True)
    with running(kiosk) as client:
        stopped: list[ScriptedPage] = []

        def paint(colour: dict[str, Any]) -> bool:
            if colour["number"] >= 10 and stopped:
                stopped.pop().say(type="stop")
            return True

        with page_of(client, paint=paint) as page:
            stopped.append(page)
            result = page.until("result")
            assert (result["code"], result["reason"]) == (1003, "no_flash_proof")
            assert "desk" in result["hint_en"]
            assert "服务台" in result["hint_zh"]
            assert len(page.colours) < 60
            # nobody who has just stopped the colours gets them again while standing there
            assert page.until("idle")["zh"] == "谢谢"
