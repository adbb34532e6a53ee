"""The pages in a real browser: what a person sees, and what the policy of the page lets through."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from pipeline.camera.frame import Image

from .chromium import Page, run_chromium
from .support import NAME, NUMBER, Camera, FakeService, make_kiosk, running

SIZES = ((1280, 720), (800, 480), (1920, 1080), (720, 1280))
NOTHING_CUT = (
    "(() => { const out = [...document.querySelectorAll('h1, .hint, form, button')].filter(e => {"
    "  const r = e.getBoundingClientRect();"
    "  return e.offsetParent && r.width && (r.left < -1 || r.top < -1 || r.right > innerWidth + 1"
    "    || r.bottom > innerHeight + 1); });"
    "  return out.map(e => e.id || e.tagName).join(); })()"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with run_chromium() as page:
        yield page


@pytest.fixture
def page(browser: Page) -> Iterator[Page]:
    browser.size(1280, 720)
    yield browser
    browser.open("about:blank")
    errors, browser.errors = browser.errors, []
    assert errors == []


def phase(page: Page, wanted: str) -> None:
    page.until(f"document.body.dataset.phase == {wanted!r}")


def url_of(client: httpx.Client) -> str:
    return str(client.base_url).rstrip("/")


def test_a_person_is_led_to_the_pass_without_a_press(
    page: Page, person: list[Image], nobody: list[Image]
) -> None:
    camera = Camera(nobody)
    with running(make_kiosk(camera)) as client:
        page.open(url_of(client))
        phase(page, "idle")
        # the preview is drawn, and mirrored
        page.until(
            "document.getElementById('preview').getContext('2d').getImageData(9, 9, 1, 1).data[3] == 255"
        )
        assert page.value("getComputedStyle(document.getElementById('preview')).transform").startswith(
            "matrix(-1,"
        )
        for width, height in SIZES:
            page.size(width, height)
            assert page.value(NOTHING_CUT) == ""
        camera.scene = person
        page.until("document.body.dataset.outcome == 'passed'")
        assert page.value("document.querySelector('h1').innerText").split("\n")[0] == "验证通过。"
        assert "Passed." in page.value("document.getElementById('alert').textContent")
        camera.scene = nobody
        page.until("document.body.dataset.phase == 'idle' && !document.body.dataset.outcome")
        page.open("about:blank")


def test_a_refusal_shows_its_reason_in_both_languages_at_every_size(page: Page, replay: list[Image]) -> None:
    kiosk = make_kiosk(Camera(replay))
    with running(kiosk) as client:
        for width, height in SIZES:
            page.size(width, height)
            page.open(url_of(client))
            page.until("['refused', 'again'].includes(document.body.dataset.outcome)")
            shown = page.value("document.querySelector('.say').innerText")
            assert "服务台" in shown
            assert "desk" in shown
            assert page.value(NOTHING_CUT) == ""
        page.open("about:blank")


def test_the_form_is_sent_once_and_cleared_at_once(page: Page, person: list[Image]) -> None:
    service = FakeService(99.0)
    with running(make_kiosk(Camera(person), service, allow_test_source=True)) as client:
        page.open(url_of(client))
        phase(page, "form")
        for width, height in SIZES:
            page.size(width, height)
            assert page.value(NOTHING_CUT) == ""
        page.click("form button")
        assert "Please enter" in page.value("document.getElementById('wrong').textContent")
        page.type("#name", NAME)
        page.type("#number", NUMBER)
        page.press("Enter")
        page.click("form button")
        assert "tick" in page.value("document.getElementById('wrong').textContent")
        assert service.sent == []
        page.click("#consent")
        page.click("form button")
        typed = "document.getElementById('name').value + document.getElementById('number').value"
        assert page.value(typed) == ""
        assert page.value("document.getElementById('consent').checked") is False
        page.until("document.body.dataset.outcome == 'passed'")
        assert page.value("document.getElementById('test').hidden") is False
        assert NUMBER not in page.value("document.documentElement.outerHTML")
        page.open("about:blank")
    assert [(asked.name, asked.cert_number) for asked, *_ in service.sent] == [(NAME, NUMBER)]


def test_a_form_that_the_kiosk_gives_back_says_so(page: Page, nobody: list[Image]) -> None:
    with running(make_kiosk(Camera(nobody), FakeService(), allow_test_source=True)) as client:
        page.open(url_of(client))
        phase(page, "form")
        page.type("#name", NAME)
        page.type("#number", "what's this?")
        page.click("#consent")
        page.click("form button")
        page.until("document.getElementById('wrong').textContent.includes('not valid')")
        page.open("about:blank")


def test_the_page_paints_the_flash_in_time_and_escape_stops_it(
    page: Page, moving: list[Image], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "livegate.kiosk")
    with running(make_kiosk(Camera(moving), flash=True)) as client:
        page.open(url_of(client))
        page.until("document.body.classList.contains('flash')")
        seen: set[str] = set()
        while len(seen) < 12:
            seen.add(
                page.until("document.body.classList.contains('flash') && document.body.style.backgroundColor")
            )
        assert page.value(NOTHING_CUT) == ""
        assert page.value("document.getElementById('stop').hidden") is False
        page.press("Escape")
        page.until("document.body.dataset.outcome == 'again'")
        assert page.value("document.body.classList.contains('flash')") is False
        assert page.value("document.body.style.backgroundColor") == ""
        page.open("about:blank")
    (painted,) = re.findall(r"flash: (\d+) colours painted, .*, cancelled", caplog.text)
    assert int(painted) >= 10


def test_nothing_inline_and_nothing_of_elsewhere_runs_in_the_page(page: Page, nobody: list[Image]) -> None:
    with running(make_kiosk(Camera(nobody))) as client:
        page.open(url_of(client))
        phase(page, "idle")
        tried = page.value(
            "(() => { const s = document.createElement('script');"
            " try { s.textContent = 'window.ran = 1'; document.body.append(s); } catch { }"
            " return String(window.ran); })()"
        )
        assert tried == "undefined"
        fetched = page.value("fetch('http://localhost:9/').then(() => 'came', () => 'blocked')")
        assert fetched == "blocked"
        page.open("about:blank")
    page.errors.clear()  # the policy's own reports of the two


def test_the_operator_s_page_tells_and_renews_itself(
    page: Page, person: list[Image], nobody: list[Image]
) -> None:
    camera = Camera(nobody)
    with running(make_kiosk(camera)) as client:
        page.open(f"{url_of(client)}/operator")
        page.until("document.getElementById('state').textContent.includes('camera running')")
        assert page.value("document.querySelectorAll('#models dd').length") >= 4
        assert page.value("document.querySelectorAll('#last tr').length") == 0
        camera.scene = person
        origin = url_of(client)
        page.value(
            f"window.line = new WebSocket('{origin.replace('http', 'ws')}/socket');"
            "line.onmessage = e => typeof e.data == 'string' || line.send('{\"type\":\"seen\"}')"
        )
        page.until("document.querySelectorAll('#last tr').length > 0")
        assert "passed" in page.value("document.getElementById('last').textContent")
        page.open("about:blank")
