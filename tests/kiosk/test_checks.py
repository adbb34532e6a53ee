"""Whole checks through the kiosk with the real gate: what the page is told, and what it can't bring about."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pipeline import open_source
from pipeline.camera.frame import Image
from pipeline.kiosk import Access, KioskOptions, Pace
from pipeline.kiosk import screen as screens
from pipeline.kiosk.board import Board, Check, Job
from pipeline.kiosk.worker import LOOKS
from pipeline.liveness.livepass import LivePass
from pipeline.match.encode import Upload, encode_upload
from pipeline.reasons import Reason

from .support import Camera, FakeService, Held, make_kiosk, page_of, running


def test_a_face_starts_a_check_and_the_page_is_led_to_the_pass(clips: dict[str, Path]) -> None:
    kiosk = make_kiosk(lambda: open_source(clips["person"]))
    with running(kiosk) as client, page_of(client) as page:
        idle = page.until("idle")
        result = page.until("result")
    assert (idle["can_stop"], idle["zh"], idle["en"]) == (False, "请看屏幕", "Please look at the screen")
    checking = [screen for screen in page.screens if screen["phase"] == "checking"]
    assert checking[-1]["zh"] == "请保持注视屏幕。"
    assert any(screen["box"] for screen in checking)
    assert all(0 <= value <= 1 for screen in checking if screen["box"] for value in screen["box"])
    assert sorted(s["progress"] for s in checking) == [s["progress"] for s in checking]
    assert (result["outcome"], result["code"], result["reason"]) == ("passed", 1000, None)
    assert (result["zh"], result["en"]) == ("验证通过。", "Passed.")
    assert result["hint_en"] == "Please go ahead."
    assert page.previews
    assert all(picture.startswith(b"\xff\xd8") for picture in page.previews)


def test_a_simulated_replay_is_refused_with_its_reason_and_the_way_on(clips: dict[str, Path]) -> None:
    kiosk = make_kiosk(lambda: open_source(clips["replay"]))
    with running(kiosk) as client, page_of(client) as page:
        result = page.until("result")
    assert result["outcome"] in {"refused", "again"}
    assert result["code"] in {2006, 1003}
    reason = Reason(result["reason"])
    assert (result["zh"], result["en"]) == (reason.zh, reason.en)
    assert "请前往服务台" in result["hint_zh"] or "前往服务台" in result["hint_zh"]


def test_nobody_is_checked_without_a_page_or_without_a_face(person: list[Image], nobody: list[Image]) -> None:
    camera = Camera(person)
    kiosk = make_kiosk(camera)
    with running(kiosk) as client:
        with page_of(client) as page:
            camera.scene = nobody
            page.until("idle")
            page.say(type="stop")  # there is nothing to stop
            page.fill_in()  # and nothing is asked
            while len(page.previews) < 8:
                page.hear()
        assert "checking" not in {screen["phase"] for screen in page.screens}
        camera.scene = person
        assert kiosk.tally.to_json()["checks"] == 0


def test_the_next_check_begins_when_the_person_who_passed_has_left(
    person: list[Image], nobody: list[Image]
) -> None:
    camera = Camera(person)
    with running(make_kiosk(camera)) as client, page_of(client) as page:
        page.until("result")
        assert page.until("idle")["zh"] == "谢谢"
        camera.scene = nobody
        assert page.until("idle")["zh"] == "请看屏幕"
        camera.scene = person
        assert page.until("result")["code"] == 1000
    assert [screen["phase"] for screen in page.screens].count("result") == 2


def test_a_refused_person_may_try_again_without_a_press(replay: list[Image]) -> None:
    kiosk = make_kiosk(Camera(replay))
    with running(kiosk) as client, page_of(client) as page:
        page.until("result")
        page.until("checking")
        page.until("result")
    assert kiosk.tally.to_json()["checks"] == 2


def test_a_second_page_is_told_so_and_gets_the_seat_when_the_first_has_gone(person: list[Image]) -> None:
    kiosk = make_kiosk(Camera(person))
    with running(kiosk) as client:
        with page_of(client) as first:
            first.until("idle")
            with page_of(client) as second:
                told = second.hear()
                assert (told["type"], told["en"]) == ("busy", "Already open on another page")
                assert second.hear() == {"type": "closed", "code": 4409}
                assert second.previews == []
            first.until("result")
        with page_of(client) as second:
            assert second.hear()["type"] == "screen"


def test_a_page_that_goes_ends_the_check_undecided(person: list[Image], nobody: list[Image]) -> None:
    camera = Camera(person)
    service = FakeService(waits=False)
    kiosk = make_kiosk(camera, service, allow_test_source=True)
    with running(kiosk) as client:
        with page_of(client) as page:
            page.until("form")
            camera.scene = [picture // 8 for picture in person]  # too dark to be judged: the check stays open
            page.fill_in()
            page.until("checking")
        ended = threading.Event()
        for _ in range(200):
            if kiosk.tally.to_json()["checks"]:
                break
            ended.wait(0.05)
    (entry,) = kiosk.tally.to_json()["last"]
    assert (entry["code"], entry["reason"]) == (1003, "interrupted")
    assert service.sent == []


def test_verification_asks_looks_and_tells(person: list[Image]) -> None:
    service = FakeService(99.0, waits=True)
    kiosk = make_kiosk(Camera(person), service, allow_test_source=True)
    with running(kiosk) as client, page_of(client) as page:
        page.until("form")
        page.fill_in(" 欧阳样例 ", "11010519491231002x")
        assert page.until("waiting")["can_stop"]
        assert page.until("verifying")["can_stop"] is False
        service.release.set()
        result = page.until("result")
        page.until("form")
    assert (result["code"], result["outcome"], result["test_source"]) == (1000, "passed", True)
    ((asked, upload, consent),) = service.sent
    assert (asked.name, asked.cert_number) == ("欧阳样例", "11010519491231002X")
    assert consent.startswith("kiosk-20")
    assert len(upload.jpeg) > 1000
    assert service.closed


def test_somebody_else_is_refused_by_the_service_s_score(person: list[Image]) -> None:
    service = FakeService(12.0)
    with (
        running(make_kiosk(Camera(person), service, allow_test_source=True)) as client,
        page_of(client) as page,
    ):
        page.until("form")
        page.fill_in()
        result = page.until("result")
    assert (result["code"], result["outcome"], result["reason"]) == (2006, "refused", "not_same_person")


def test_each_consent_reference_is_another_and_names_the_text(person: list[Image]) -> None:
    service = FakeService()
    options = KioskOptions(Access("127.0.0.1"), Pace(result_s=0.2), consent_form="notice-7")
    kiosk = make_kiosk(Camera(person), service, options, allow_test_source=True)
    with running(kiosk) as client, page_of(client) as page:
        for _ in range(2):
            page.until("form")
            page.fill_in()
            page.until("result")
    references = [consent for *_, consent in service.sent]
    assert len(set(references)) == 2
    assert all(reference.startswith("notice-7-") for reference in references)


def test_verification_keeps_the_gate_s_rules_a_file_is_refused(clips: dict[str, Path]) -> None:
    service = FakeService()
    with (
        running(make_kiosk(lambda: open_source(clips["person"]), service)) as client,
        page_of(client) as page,
    ):
        page.until("form")
        page.fill_in()
        result = page.until("result")
    assert (result["code"], result["reason"]) == (2006, "injected_source")
    assert service.sent == []


@pytest.mark.parametrize(
    ("name", "number"), [("欧阳", "no such number!"), ("\t \n", "11010519491231002X"), ("a\x00b", "1")]
)
def test_a_form_that_can_t_be_right_is_given_back(name: str, number: str, person: list[Image]) -> None:
    service = FakeService()
    kiosk = make_kiosk(Camera(person), service, allow_test_source=True)
    with running(kiosk) as client, page_of(client) as page:
        page.until("form")
        page.fill_in(name, number)
        while not page.others:
            page.hear()
    assert page.others[0]["type"] == "form_error"
    assert name.strip() not in page.others[0]["en"] or not name.strip()
    assert service.sent == []


def test_no_tick_no_check(person: list[Image]) -> None:
    service = FakeService()
    kiosk = make_kiosk(Camera(person), service, allow_test_source=True)
    with running(kiosk) as client, page_of(client) as page:
        page.until("form")
        page.fill_in(consent=False)
        while page.hear()["type"] != "closed":
            pass
    assert service.sent == []


def test_a_stop_while_waiting_for_a_face_forgets_the_form(nobody: list[Image], person: list[Image]) -> None:
    camera = Camera(nobody)
    service = FakeService()
    kiosk = make_kiosk(camera, service, allow_test_source=True)
    with running(kiosk) as client, page_of(client) as page:
        page.until("form")
        page.fill_in()
        page.until("waiting")
        page.say(type="stop")
        page.until("form")
        camera.scene = person
        seen = len(page.previews)
        while len(page.previews) < seen + 10:
            page.hear()
    assert service.sent == []
    assert kiosk.tally.to_json()["checks"] == 0


def test_a_stop_during_the_check_is_told_as_one_and_nothing_is_sent(person: list[Image]) -> None:
    camera = Camera([picture // 8 for picture in person])
    service = FakeService()
    kiosk = make_kiosk(camera, service, allow_test_source=True, deadline_s=20)
    with running(kiosk) as client, page_of(client) as page:
        page.until("form")
        camera.scene = person
        page.fill_in()
        page.until("waiting")
        camera.scene = [picture // 8 for picture in person]
        page.until("checking")
        page.say(type="stop")
        result = page.until("result")
    assert (result["code"], result["reason"], result["outcome"]) == (1003, "interrupted", "again")
    assert service.sent == []


@pytest.mark.parametrize("by", ["stop", "reload"])
def test_a_form_that_is_taken_back_during_the_last_look_for_a_face_begins_no_check(
    by: str, person: list[Image]
) -> None:
    service = FakeService()
    kiosk = make_kiosk(Camera(person), service, allow_test_source=True)
    looks, board, taken_back = kiosk._worker._faces, kiosk._board, threading.Event()

    def faces(image: Image) -> bool:
        there = looks(image)
        if kiosk._worker._seen == LOOKS - 1 and not taken_back.is_set():
            if by == "stop":
                board.ask_stop()
            else:  # the page goes, and comes again before the worker looks
                seat = board._seat
                assert seat is not None
                board.leave(seat)
                assert board.sit() is not None
            taken_back.set()
        return there

    kiosk._worker._faces = faces
    with running(kiosk) as client, page_of(client) as page:
        page.until("form")
        page.fill_in()
        page.until("waiting")
        page.until("form")
        assert taken_back.is_set()
    assert service.sent == []
    assert kiosk.tally.to_json()["checks"] == 0


def test_a_form_that_is_taken_back_as_its_check_begins_ends_it() -> None:
    board = Board(screens.FORM)
    assert board.sit() is not None
    job = Job()
    assert board.submit(job)
    board.show(screens.WAITING)
    board.ask_stop()
    check = _Stopped()
    with board.checking(check, job):
        assert check.stopped


class _Stopped(Check):
    """A check that remembers that it was stopped."""

    stopped = False

    def stop(self, *, lost: bool = False) -> None:
        self.stopped = True


def test_a_page_that_is_loaded_again_during_a_check_asks_nobody_to_step_aside(person: list[Image]) -> None:
    camera = Camera(person)
    kiosk = make_kiosk(camera, deadline_s=20)
    with running(kiosk) as client, page_of(client) as page:
        page.until("idle")
        camera.scene = [picture // 8 for picture in person]  # the check stays open
        page.until("checking")
        seat = kiosk._board._seat
        assert seat is not None
        kiosk._board.leave(seat)
        again = kiosk._board.sit()
        assert again is not None
        page.until("result")
        page.until("checking")
        kiosk._board.leave(again)
    assert "谢谢" not in {screen["zh"] for screen in page.screens}


def test_a_verification_can_be_stopped_also_while_the_camera_gives_nothing(
    person: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.kiosk.feed.STALL_S", 0.5)
    camera, service = Camera(person), FakeService()
    dark = [picture // 8 for picture in person]
    held = Held(dark)
    kiosk = make_kiosk(camera, service, allow_test_source=True, deadline_s=20)
    with running(kiosk) as client, page_of(client) as page:
        page.until("form")
        page.fill_in()
        page.until("waiting")
        camera.scene = dark
        page.until("checking")
        camera.scene = held
        try:
            assert page.until("camera")["can_stop"]
            page.say(type="stop")
            result = page.until("result")
        finally:
            held.release.set()
    assert (result["code"], result["reason"]) == (1003, "interrupted")
    assert service.sent == []


def test_a_stop_in_the_moment_of_the_pass_sends_nothing(
    person: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = FakeService()
    kiosk = make_kiosk(Camera(person), service, allow_test_source=True)
    encode = encode_upload

    def stopped_meanwhile(live_pass: LivePass) -> Upload:
        kiosk._board.ask_stop()
        return encode(live_pass)

    monkeypatch.setattr("pipeline.match.encode.encode_upload", stopped_meanwhile)
    with running(kiosk) as client, page_of(client) as page:
        page.until("form")
        page.fill_in()
        result = page.until("result")
    assert (result["code"], result["reason"]) == (1003, "interrupted")
    assert service.sent == []


def test_the_camera_s_loss_is_told_and_the_kiosk_recovers(
    person: list[Image], nobody: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.kiosk.feed.RETRY_S", 0.2)
    monkeypatch.setattr("pipeline.kiosk.feed.STALL_S", 0.5)
    camera = Camera(nobody)
    kiosk = make_kiosk(camera)
    with running(kiosk) as client, page_of(client) as page:
        page.until("idle")
        assert client.get("/healthz").status_code == 200
        camera.absent = True
        lost = page.until("camera")
        assert (lost["zh"], lost["en"]) == ("摄像头暂时不可用", "The camera is not available")
        assert client.get("/healthz").status_code == 503
        told = client.get("/operator.json").json()
        assert told["camera"]["problem"]["code"] in {"source_lost", "source_open"}
        camera.absent, camera.scene = False, person
        assert page.until("result")["code"] == 1000
    assert camera.opened == camera.closed == 2


def test_a_camera_lost_in_a_check_ends_it_undecided(
    person: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.kiosk.feed.RETRY_S", 0.2)
    camera = Camera(person)
    service = FakeService()
    kiosk = make_kiosk(camera, service, allow_test_source=True)
    with running(kiosk) as client, page_of(client) as page:
        page.until("form")
        page.fill_in()
        page.until("waiting")
        camera.scene = [picture // 8 for picture in person]
        page.until("checking")
        camera.absent = True
        result = page.until("result")
    assert (result["code"], result["reason"]) == (1003, "source_lost")
    assert service.sent == []


def test_a_fault_in_the_kiosk_denies_the_check_and_ends_nothing(
    person: list[Image], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kiosk = make_kiosk(Camera(person))

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("张三")

    with running(kiosk) as client, page_of(client) as page:
        page.until("idle")
        monkeypatch.setattr(kiosk._gate, "events", broken)
        result = page.until("result")
        assert (result["code"], result["outcome"], result["reason"]) == (1001, "unavailable", "system_error")
        monkeypatch.undo()
        assert page.until("result")["code"] == 1000
    assert "ZeroDivisionError" in caplog.text
    assert "张三" not in caplog.text


def test_a_stop_of_the_kiosk_is_told_to_the_page(person: list[Image], nobody: list[Image]) -> None:
    kiosk = make_kiosk(Camera(nobody))
    with running(kiosk) as client, page_of(client) as page:
        page.until("idle")
        kiosk.announce_stop()
        stopped = page.until("stopped")
        assert (stopped["zh"], stopped["en"]) == ("暂停服务", "Out of service")
        assert page.hear() == {"type": "closed", "code": 1001}
        with page_of(client) as late:
            assert late.hear()["en"] == "Out of service"


def test_what_was_sent_before_a_stop_is_answered_before_the_kiosk_ends(person: list[Image]) -> None:
    service = FakeService(99.0, waits=True)
    kiosk = make_kiosk(Camera(person), service, allow_test_source=True)
    with running(kiosk) as client, page_of(client) as page:
        page.until("form")
        page.fill_in()
        page.until("verifying")
        service.asked.wait(10)
        closer = threading.Thread(target=kiosk.close)
        closer.start()
        service.release.set()
        closer.join(30)
        assert not closer.is_alive()
    (entry,) = kiosk.tally.to_json()["last"]
    assert entry["code"] == 1000
