from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.camera.names import redact_url, shown_path, split_credentials
from pipeline.errors import SourceOpenError

SECRET = "s3cretWord"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://user:s3cretWord@cam.local:554/live/1", "rtsp://cam.local:554/live/1"),
        ("HTTP://s3cretWord@CAM/mjpg?token=s3cretWord&channel=2", "http://cam/mjpg?token=***&channel=2"),
        ("http://cam/a?s3cretWord", "http://cam/a?***"),
        ("http://u:s3cretWord@[fe80::1]:80/a#s3cretWord", "http://[fe80::1]:80/a"),
        ("http://u:pw/s3cretWord@cam/a", "***"),
        ("http://u:s3cretWord#@cam/a", "***"),
        ("http://cam:99999/s3cretWord", "***"),
        ("http://[s3cretWord", "***"),
        ("s3cretWord", "***"),
    ],
)
def test_no_secret_of_a_url_is_shown(url: str, shown: str) -> None:
    assert redact_url(url) == shown
    assert SECRET not in redact_url(url)


@given(st.text(max_size=80))
def test_redaction_never_raises_and_is_stable(text: str) -> None:
    once = redact_url(text)
    assert redact_url(once) == once


@given(
    user=st.text("abcXYZ019._~-%", min_size=1, max_size=10),
    password=st.text("qQ!$&'()*+,;=:/?#@[]%", min_size=3, max_size=20),
)
def test_a_password_of_any_characters_is_not_shown(user: str, password: str) -> None:
    url = f"http://{user}:{password}@cam/video"
    shown = redact_url(url)
    assert shown in ("***", "http://cam/video")
    if shown == "***":
        with pytest.raises(SourceOpenError) as caught:
            split_credentials(url)
        assert password not in f"{caught.value.message}{caught.value.hint}"
    else:
        bare, credentials = split_credentials(url)
        assert bare == "http://cam/video"
        assert credentials is not None


def test_credentials_are_decoded_and_taken_out() -> None:
    bare, credentials = split_credentials("http://me:a%2Fb%40c@cam:81/x?y=1")
    assert bare == "http://cam:81/x?y=1"
    assert credentials == ("me", "a/b@c")
    assert split_credentials("rtsp://cam/x") == ("rtsp://cam/x", None)


@pytest.mark.parametrize(
    "url", ["http:///x", "http://cam/ x", "http://cam/\r\nX: y", "http://cam:x/", "http://a/@b"]
)
def test_malformed_urls_are_refused(url: str) -> None:
    with pytest.raises(SourceOpenError):
        split_credentials(url)


def test_a_file_name_with_an_id_number_is_not_shown() -> None:
    assert shown_path("/home/someone/clip.mp4") == "clip.mp4"
    assert shown_path("张三_33010319900101123X.jpg") == "***.jpg"
    assert shown_path("13800138000.png") == "***.png"
    assert shown_path("IMG_20240101.png") == "IMG_20240101.png"
