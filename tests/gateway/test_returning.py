"""``returnImage``: the very picture that was sent, once, for a while, and unreadable where it lies."""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np
import pytest
from sqlalchemy import func, select

from pipeline.errors import SettingsError, StoreError, UsageError
from pipeline.gateway import GatewayOptions, RawRequest
from pipeline.gateway.risk import NO_LOCKS
from pipeline.gateway.schema import ReturnImageRow
from pipeline.protocol.answers import Answer, parse_answer
from pipeline.protocol.signing import AccessKey

CONSENT = (("X-Livegate-Consent", "form-17"),)


class Scene:
    def __init__(self, make_caller: Any, kit: Any, **options: Any) -> None:
        self.kit = kit
        self.caller = make_caller(
            **{"return_image_s": 600, "detailed_codes": True, "risk": NO_LOCKS, **options}
        )
        kit.enroll(self.caller, 1)
        self.picture = kit.jpeg(kit.picture(1))
        self.ids: dict[str, str] = {}

    def begin(self) -> None:
        fields = {
            "method": "init",
            "name": self.kit.name,
            "certNumber": self.kit.number,
            "metainfo": {"a": "b"},
        }
        opened = self.caller.call(fields)
        self.ids = {"queryId": opened.data["queryId"], "bizId": opened.data["bizId"]}

    def match(self, picture: bytes | None = None, headers: Any = CONSENT, bound: bool = True) -> Answer:
        fields = {"method": "match", "name": self.kit.name, "certNumber": self.kit.number}
        fields["imgbase64"] = base64.b64encode(picture or self.picture).decode()
        if bound:
            fields["queryId"] = self.ids["queryId"]
        request = self.caller.request(self.caller.signed(self.caller.params(fields)))
        answer = self.caller.gateway.handle(RawRequest("POST", "/", request.headers + headers, request.body))
        found = parse_answer(answer.body)
        assert isinstance(found, Answer)
        return found

    def query(self, image: Any = "1", **public: str) -> Answer:
        fields = {"method": "query", **self.ids, **({} if image is None else {"returnImage": image})}
        found = self.caller.call(fields, **public)
        assert isinstance(found, Answer)
        return found

    def rows(self) -> int:
        with self.caller.gateway.authority.store.read() as session:
            return int(session.scalar(select(func.count()).select_from(ReturnImageRow)) or 0)


@pytest.fixture
def scene(make_caller: Any, kit: Any) -> Scene:
    made = Scene(make_caller, kit)
    made.begin()
    return made


@pytest.mark.parametrize(("image", "form"), [("1", "JSON"), (1, "JSON"), ("1", "XML")])
def test_the_bytes_that_were_sent_come_back_as_url_safe_base64(scene: Scene, image: Any, form: str) -> None:
    scene.match()
    answer = scene.query(image, Format=form)
    assert (answer.code, answer.message) == (200, "OK")
    text = answer.data["image"]
    assert not set(text) & set("+/")
    assert text.startswith("_9j_")  # as in the reference's example
    assert base64.urlsafe_b64decode(text) == scene.picture


def test_our_client_reads_it(scene: Scene) -> None:
    from pipeline.match.results import read_query

    scene.match()
    assert read_query(scene.query(), with_image=True).image == scene.picture


def test_a_png_comes_back_as_a_jpeg_of_the_same_picture(scene: Scene) -> None:
    image = scene.kit.picture(1)
    assert scene.match(cv2.imencode(".png", image)[1].tobytes()).code == 200
    data = base64.urlsafe_b64decode(scene.query().data["image"])
    assert data.startswith(b"\xff\xd8")
    back = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert back is not None
    assert np.abs(back.astype(int) - image).mean() < 8


def test_it_is_given_once_and_the_result_as_often_as_it_is_asked_for(scene: Scene) -> None:
    scene.match()
    assert "image" not in scene.query(None).data
    assert "image" not in scene.query("0").data
    assert "image" in scene.query().data
    assert scene.rows() == 0
    again = scene.query()
    assert (again.code, again.sub_code, "image" in again.data) == (200, "Z8300", False)


def test_it_is_gone_after_its_time(scene: Scene) -> None:
    scene.match()
    assert scene.rows() == 1
    scene.caller.now += 599
    scene.query(None)
    assert scene.rows() == 1
    scene.caller.now += 61
    answer = scene.query()
    assert (answer.code, "image" in answer.data) == (200, False)
    assert scene.rows() == 0


def test_any_request_clears_what_is_over_time_even_where_none_is_kept_now(scene: Scene, kit: Any) -> None:
    scene.match()
    assert scene.rows() == 1
    scene.caller.now += 3600
    scene.caller.gateway._service._images._retention_s = 0
    scene.caller.match(kit.picture(1))
    assert scene.rows() == 0


def test_a_picture_whose_time_is_over_is_not_told_before_it_is_cleared(scene: Scene) -> None:
    scene.match()
    scene.caller.gateway._service._images.purge = lambda *, now: None
    scene.caller.now += 601
    assert "image" not in scene.query().data


@pytest.mark.parametrize("how", ["off", "no consent", "no session", "another person", "a finished session"])
def test_when_none_is_kept(make_caller: Any, kit: Any, how: str) -> None:
    scene = Scene(make_caller, kit, **({"return_image_s": 0} if how == "off" else {}))
    scene.begin()
    if how == "no consent":
        scene.match(headers=())
    elif how == "no session":
        scene.match(bound=False)
    elif how == "another person":
        scene.match(kit.jpeg(kit.picture(2)))
        assert scene.query().sub_code == "Z1146"
    elif how == "a finished session":
        scene.match(headers=())
        scene.match()
    elif how == "off":
        scene.match()
    assert scene.rows() == 0
    assert "image" not in scene.query().data


@pytest.mark.parametrize("header", ["", "%FF", "a%00b", "x" * 257])
def test_a_consent_that_can_not_be_read_refuses_the_match(scene: Scene, header: str) -> None:
    answer = scene.match(headers=(("x-livegate-consent", header),))
    assert (answer.code, answer.message) == (400, "consent不合法")
    assert scene.query().sub_code == "Z5137"


def test_another_key_gets_neither_result_nor_picture(scene: Scene) -> None:
    scene.match()
    mine, scene.caller.key = scene.caller.key, AccessKey("other", "secret")
    scene.caller.gateway.access_keys.put(scene.caller.key, now=scene.caller.now)
    answer = scene.query()
    assert (answer.code, answer.sub_code, "image" in answer.data) == (400, "Z8301", False)
    scene.caller.key = mine
    assert "image" in scene.query().data


def test_it_goes_with_its_session(scene: Scene) -> None:
    scene.match()
    scene.caller.gateway._service._images.purge = lambda *, now: None
    scene.caller.now += 24 * 3600 + 1
    scene.begin()
    assert scene.rows() == 0


def test_nothing_of_the_picture_is_readable_in_any_file_of_the_database(scene: Scene) -> None:
    path = scene.caller.gateway.authority.store.path
    if path is None:
        pytest.skip("another database than a file")
    scene.match()
    pieces = [scene.picture[at : at + 24] for at in range(0, len(scene.picture) - 24, 24)]
    texts = [base64.b64encode(piece) for piece in pieces]
    with scene.caller.gateway.authority.store.read() as session:
        (sealed,) = session.scalars(select(ReturnImageRow.sealed))
    assert len(sealed) >= len(scene.picture)
    files = [file.read_bytes() for file in path.parent.iterdir() if file.is_file()]
    assert any(sealed[100:164] in content for content in files)  # the search finds what is there
    for content in files:
        assert not any(piece in content for piece in (*pieces, *texts))


def test_a_picture_moved_to_another_session_or_key_does_not_open(scene: Scene) -> None:
    scene.match()
    first = dict(scene.ids)
    scene.begin()
    vault = scene.caller.gateway.authority.vault
    with scene.caller.gateway.authority.store.write() as session:
        row = session.get(ReturnImageRow, first["queryId"])
        assert row is not None
        sealed = row.sealed
        session.delete(row)
        session.flush()
        session.add(ReturnImageRow(query_id=scene.ids["queryId"], sealed=sealed, expires_at=row.expires_at))
    scene.match(headers=())
    assert scene.query().sub_code == "Z8399"
    with pytest.raises(StoreError):
        vault.open(sealed, f"return image {first['queryId']}")
    assert vault.open_picture(sealed, first["queryId"]) == scene.picture


def test_it_is_never_kept_beside_evidence() -> None:
    from pipeline import Settings
    from pipeline.service import gateway_options

    with pytest.raises(UsageError, match="never both"):
        GatewayOptions(return_image_s=60, evidence=lambda authority: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(SettingsError, match="contradict"):
        gateway_options(Settings(return_image=True, evidence=True))
    assert gateway_options(Settings()).return_image_s == 0
    assert gateway_options(Settings(return_image=True, return_image_minutes=30)).return_image_s == 1800


@pytest.mark.parametrize("seconds", [-1, 1801])
def test_no_longer_than_half_an_hour(seconds: int) -> None:
    with pytest.raises(UsageError):
        GatewayOptions(return_image_s=seconds)
