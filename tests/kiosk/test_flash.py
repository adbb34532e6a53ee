"""The flash through the whole kiosk, with pages that follow a script."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.camera.frame import Image
from pipeline.liveness.flash.safety import flash_safety
from pipeline.nets import open_store
from pipeline.vision import Vision
from pipeline.vision.types import F32

from .lit import LitScene
from .support import Camera, Held, ScriptedPage, make_kiosk, page_of, running

Paint = Callable[[dict[str, Any]], bool]


def result_of(moving: list[Image], paint: Paint) -> tuple[dict[str, Any], ScriptedPage]:
    with running(make_kiosk(Camera(moving), flash=True)) as client, page_of(client, paint=paint) as page:
        return page.until("result"), page


def test_the_colours_are_announced_can_be_stopped_and_hold_no_flash(moving: list[Image]) -> None:
    shown: list[tuple[float, tuple[int, int, int]]] = []

    def paint(colour: dict[str, Any]) -> bool:
        shown.append((time.monotonic(), tuple(colour["rgb"])))
        return True

    result, page = result_of(moving, paint)
    idle = next(screen for screen in page.screens if screen["phase"] == "idle")
    assert "颜色" in idle["hint_zh"]
    assert "desk" in idle["hint_en"]
    assert all(screen["can_stop"] for screen in page.screens if screen["phase"] == "checking")
    numbers = [colour["number"] for colour in page.colours]
    assert numbers == sorted(set(numbers))
    assert len(shown) > 20
    assert flash_safety(shown).none
    # a picture set in motion answers to no colour; and it may be refused for beginning again
    assert (result["code"], result["reason"]) in {(1003, "no_flash_proof"), (2006, "injected_source")}


def test_two_checks_show_different_colours(moving: list[Image]) -> None:
    def some_of(_: int) -> list[Any]:
        with running(make_kiosk(Camera(moving), flash=True)) as client, page_of(client) as page:
            while len(page.colours) < 25:
                page.hear()
            return [colour["rgb"] for colour in page.colours]

    first, second = map(some_of, range(2))
    assert first != second


@pytest.mark.parametrize("answers", ["never", "late"])
def test_a_page_that_does_not_paint_in_time_ends_the_check_undecided(
    answers: str, moving: list[Image]
) -> None:
    def paint(colour: dict[str, Any]) -> bool:
        if answers == "late":
            time.sleep(0.3)
            return True
        return False

    result, page = result_of(moving, paint)
    assert (result["code"], result["reason"]) == (1003, "no_flash_proof")
    assert len(page.colours) < 30


def test_a_stop_by_the_person_ends_it_and_tells_the_other_way(moving: list[Image]) -> None:
    kiosk = make_kiosk(Camera(moving), flash=True)
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


def test_a_stop_takes_the_colours_away_at_once_also_where_no_frame_comes(moving: list[Image]) -> None:
    camera, held = Camera(moving), Held(moving)
    with running(make_kiosk(camera, flash=True)) as client, page_of(client) as page:
        while len(page.colours) < 10:
            page.hear()
        camera.scene = held
        try:
            page.say(type="stop")
            result = page.until("result")
        finally:
            held.release.set()
    assert (result["code"], result["outcome"]) == (1003, "again")
    assert page.dark


# ---- before a camera that sees the page's light; simulated ----------------------------------------------


@pytest.fixture(scope="module")
def landmarks(moving: list[Image]) -> F32:
    face = Vision(open_store()).look(moving[0]).face
    assert face is not None
    return face.landmarks


def lit_result(scene: LitScene, turn: Callable[[list[int]], list[int]] = list) -> dict[str, Any]:
    """One check before a face under the colours that the page has on."""

    def paint(colour: dict[str, Any]) -> bool:
        scene.show(turn(colour["rgb"]))
        return True

    # the nets want longer under coloured light; here it is the flash that is looked at
    kiosk = make_kiosk(Camera(scene), flash=True, target_apcer=0.05)
    with running(kiosk) as client, page_of(client, paint=paint) as page:
        return page.until("result")


def test_a_head_that_answers_to_the_page_s_colours_passes(moving: list[Image], landmarks: F32) -> None:
    result = lit_result(LitScene(moving, landmarks))
    assert (result["code"], result["reason"]) == (1000, None)


def test_a_sheet_that_answers_to_them_does_not(moving: list[Image], landmarks: F32) -> None:
    result = lit_result(LitScene(moving, landmarks, flat=True))
    assert (result["code"], result["reason"]) == (1003, "no_flash_proof")


def test_a_head_that_answers_to_other_colours_does_not(moving: list[Image], landmarks: F32) -> None:
    result = lit_result(LitScene(moving, landmarks), turn=lambda rgb: rgb[::-1])
    assert result["code"] in {1003, 2006}
