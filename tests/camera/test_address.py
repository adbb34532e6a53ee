from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.camera import StreamAddress

PLAIN = "rtsp://cam/live/1?channel=2&name=a%2Fb"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (PLAIN, "RTSP://CAM/live/1?channel=2&name=a%2Fb"),
        (PLAIN, "rtsp://cam:554/live/1?channel=2&name=a%2Fb"),
        (PLAIN, "rtsp://cam:/live/1?channel=2&name=a%2Fb"),
        (PLAIN, "rtsp://me:pass@cam/live/1?channel=2&name=a%2Fb"),
        (PLAIN, "rtsp://me:p%C3%A4ss@cam/live/1?channel=2&name=a%2fb"),
        (PLAIN, "rtsp://cam/%6Cive/%31?ch%61nnel=%32&name=a%2Fb"),
        ("http://cam", "http://cam:80/"),
        ("https://[FE80::A]/x", "https://[fe80::a]:443/x"),
    ],
)
def test_spellings_of_one_address_are_the_same(one: str, other: str) -> None:
    address = StreamAddress.of(one)
    assert address is not None
    assert StreamAddress.of(other) == address
    assert hash(StreamAddress.of(other)) == hash(address)


DIFFERENT = [
    PLAIN,
    "rtsp://cam/live/1?channel=1&name=a%2Fb",
    "rtsp://cam/live/1?name=a%2Fb&channel=2",
    "rtsp://cam/live/1?channel=2&name=a%2Fb&channel=1",
    "rtsp://cam/live/1?channel=2&name=a/b",
    "rtsp://cam/live/1?channel=2&name=a%252Fb",
    "rtsp://cam/live/1?channel=2&name=a%2Fb#channel=1",
    "rtsp://cam/live/1?channel=2",
    "rtsp://cam/live/1?Channel=2",
    "rtsp://cam/live/1",
    "rtsp://cam/live/1/",
    "rtsp://cam/Live/1",
    "rtsp://cam/live/%31%20",
    "rtsp://cam/live/x/../1",
    "rtsp://cam/live%2F1",
    "rtsp://cam/live/1%3Fchannel=2",
    "rtsp://cam:80/live/1",
    "rtsp://cam:0/live/1",
    "rtsp://cam./live/1",
    "rtsp://c%61m/live/1",
    "http://cam/live/1",
    "http://cam:554/live/1",
    "https://cam/live/1",
    "rtsp://cam@other/live/1",
    "rtsp://cam.other/live/1",
]


def test_another_camera_of_the_same_server_is_another_address() -> None:
    addresses = [StreamAddress.of(url) for url in DIFFERENT]
    assert None not in addresses
    assert [pair for pair in combinations(addresses, 2) if pair[0] == pair[1]] == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "***",
        "cam/live",
        "ftp://cam/live",
        "file:///live",
        "rtsp:///live",
        "rtsp://cam:99999/live",
        "rtsp://cam:x/live",
        "rtsp://[cam/live",
        "rtsp://cam/ live",
        "rtsp://cam/live\n",
        "rtsp://cam/li\tve",
        "rtsp://cam/a@b",
        "rtsp://cam/100%",
        "rtsp://cam/%?41",
        "rtsp://cam/%2%341",
        "rtsp://\u212aam/live",
        "rtsp://k\u00e4m/live",
    ],
)
def test_what_is_no_address_of_a_stream_names_nothing(url: str) -> None:
    assert StreamAddress.of(url) is None


@given(st.text(max_size=60) | st.text("rtsphttp:/?#@%&=[]0aA.", max_size=60).map("rtsp://cam".__add__))
def test_any_text_is_read_or_refused(text: str) -> None:
    address = StreamAddress.of(text)
    assert address is None or StreamAddress.of(text) == address


def test_an_address_shows_neither_credentials_nor_the_values_of_its_query() -> None:
    address = StreamAddress.of("http://me:s3cretWord@cam/v?token=s3cretWord&channel=2#s3cretWord")
    assert address is not None
    assert address.shown == "http://cam/v?token=***&channel=2"
    assert "s3cretWord" not in f"{address!r}{address}{[getattr(address, name) for name in address.__slots__]}"
