from __future__ import annotations

import logging
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from itertools import islice
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pipeline.camera import Loss, SourceOptions, SystemClock, is_trusted, open_source
from pipeline.camera.mjpeg import MAX_PART_BYTES, MjpegCapture
from pipeline.errors import SourceLostError, SourceOpenError

from .support import MjpegHandler, MjpegServer, jpeg, number_of, wait_until

PATIENT = SourceOptions(open_deadline_s=30, read_deadline_s=30, reconnect_deadline_s=60, backoff_start_s=0.01)
QUICK = SourceOptions(open_deadline_s=30, read_deadline_s=0.25, reconnect_deadline_s=60, backoff_start_s=0.01)


def test_frames_of_a_stream_come_in_order_with_growing_times(mjpeg_server: MjpegServer) -> None:
    mjpeg_server.script = lambda handler, _: (handler.start(), handler.endless())
    with open_source(mjpeg_server.url(), options=PATIENT) as source:
        frames = [next(source) for _ in range(10)]
    assert [frame.seq for frame in frames] == sorted({frame.seq for frame in frames})
    assert [frame.t for frame in frames] == sorted({frame.t for frame in frames})
    assert [number_of(frame.image) for frame in frames] == [frame.seq % 20 for frame in frames]
    assert (source.info.kind, source.info.live, source.info.trusted) == ("network", True, False)
    assert source.info.timing == "capture"


def test_a_stream_is_trusted_by_the_whole_address_that_it_was_opened_with(mjpeg_server: MjpegServer) -> None:
    mjpeg_server.script = lambda handler, _: (handler.start(), handler.endless())
    with open_source(mjpeg_server.url("me:pass@", "/video?id=gate"), options=PATIENT) as source:
        assert is_trusted(source.info, [mjpeg_server.url(path="/video?id=gate")])
        assert not is_trusted(source.info, [mjpeg_server.url(path="/video?id=yard"), source.info.name])


def test_a_stream_without_lengths_is_read(mjpeg_server: MjpegServer) -> None:
    asked = threading.Semaphore(0)

    def script(handler: MjpegHandler, _: int) -> None:
        handler.start("multipart/x-mixed-replace;boundary=--frame")
        for number in range(5):
            handler.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + jpeg(number) + b"\r\n")
            handler.wfile.write(b"--frame\r\n\r\n")
            asked.acquire(timeout=30)

    mjpeg_server.script = script
    capture = MjpegCapture(mjpeg_server.url(), PATIENT, SystemClock())
    numbers = []
    while (shot := capture.read()) is not None:
        numbers.append(number_of(shot.image))
        asked.release()
    capture.close()
    assert numbers == [0, 1, 2, 3, 4]


def test_a_reader_that_comes_late_gets_the_newest_picture_and_the_count_of_those_it_missed(
    mjpeg_server: MjpegServer,
) -> None:
    sent = threading.Event()

    def script(handler: MjpegHandler, _: int) -> None:
        handler.start()
        handler.frames(0, 1)
        handler.frames(1, 158)
        handler.part(jpeg(159)[:-20])
        sent.set()
        handler.stall()

    mjpeg_server.script = script
    capture = MjpegCapture(mjpeg_server.url(), PATIENT, SystemClock())
    assert sent.wait(30)
    shot = capture.read()
    capture.close()
    assert shot is not None
    assert number_of(shot.image) == 158 % 20
    assert shot.missed == 158


def test_a_stream_that_stalls_is_reconnected(mjpeg_server: MjpegServer) -> None:
    def script(handler: MjpegHandler, request: int) -> None:
        handler.start()
        handler.frames(0, 2)
        if request == 1:
            handler.part(jpeg(2)[:50], length=5000)
            handler.stall()
        handler.endless(5)

    mjpeg_server.script = script
    with open_source(mjpeg_server.url(), options=QUICK) as source:
        while number_of(next(source).image) < 5:
            pass
        assert source.stats.reconnects >= 1
        assert source.stats.last_loss in (Loss.ENDED, Loss.BLOCKED)


def test_a_stream_that_trickles_is_a_loss_although_bytes_keep_coming(mjpeg_server: MjpegServer) -> None:
    def script(handler: MjpegHandler, request: int) -> None:
        handler.start()
        handler.frames(0, 1)
        if request == 1:
            handler.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 1000000\r\n\r\n")
            while not handler.server.ended.wait(0.02):
                handler.wfile.write(b"x")
        handler.endless(5)

    mjpeg_server.script = script
    with open_source(mjpeg_server.url(), options=QUICK) as source:
        while number_of(next(source).image) < 5:
            pass
        assert source.stats.reconnects >= 1


def test_a_stream_that_drops_and_comes_back_goes_on_with_the_next_number(mjpeg_server: MjpegServer) -> None:
    def script(handler: MjpegHandler, request: int) -> None:
        if request in (2, 3):
            handler.start(status=503)
            return
        handler.start()
        handler.frames(0, 3)
        if request > 1:
            handler.endless(5)

    mjpeg_server.script = script
    with open_source(mjpeg_server.url(), options=PATIENT) as source:
        seqs = []
        while True:
            frame = next(source)
            seqs.append(frame.seq)
            if number_of(frame.image) >= 5:
                break
        assert source.stats.reconnects == 1
        assert source.stats.last_loss is Loss.ENDED
    assert seqs == sorted(set(seqs))
    assert len(mjpeg_server.requests) == 4


def test_a_server_that_is_gone_for_good_is_lost(mjpeg_server: MjpegServer) -> None:
    def script(handler: MjpegHandler, request: int) -> None:
        handler.start(status=200 if request == 1 else 404)
        if request == 1:
            handler.frames(0, 1)

    mjpeg_server.script = script
    options = SourceOptions(open_deadline_s=30, reconnect_deadline_s=0.3, backoff_start_s=0.01)
    with (
        open_source(mjpeg_server.url("user:s3cretWord@"), options=options) as source,
        pytest.raises(SourceLostError, match="stopped giving frames") as caught,
    ):
        list(source)
    assert "s3cretWord" not in caught.value.message


def test_parts_that_are_no_picture_are_skipped_and_counted(mjpeg_server: MjpegServer) -> None:
    asked = threading.Semaphore(0)

    def script(handler: MjpegHandler, _: int) -> None:
        handler.start()
        for number in range(5):
            handler.part(b"x" * 100)
            handler.part(jpeg(19)[:-30])
            handler.part(b"")
            handler.part(jpeg(number))
            asked.acquire(timeout=30)
        handler.part(b"x" * 100)

    mjpeg_server.script = script
    capture = MjpegCapture(mjpeg_server.url(), PATIENT, SystemClock())
    numbers, missed = [], 0
    while (shot := capture.read()) is not None:
        numbers.append(number_of(shot.image))
        missed += shot.missed
        asked.release()
    capture.close()
    assert numbers == [0, 1, 2, 3, 4]
    assert capture.skipped + missed == 16


def test_a_picture_above_the_pixel_limit_is_skipped(mjpeg_server: MjpegServer) -> None:
    mjpeg_server.script = lambda handler, _: (handler.start(), handler.frames(0, 3))
    options = SourceOptions(max_pixels=1000)
    with pytest.raises(SourceOpenError, match="gives no frame"):
        open_source(mjpeg_server.url(), options=options)


def test_a_part_that_is_declared_huge_ends_the_connection_without_being_read(
    mjpeg_server: MjpegServer,
) -> None:
    sent = []

    def script(handler: MjpegHandler, request: int) -> None:
        handler.start()
        handler.frames(0, 1)
        if request == 1:
            handler.wfile.write(b"--frame\r\nContent-Length: 2000000000\r\n\r\n")
            while not handler.server.ended.is_set():
                handler.wfile.write(b"x" * 65536)
                sent.append(65536)
        handler.endless(5)

    mjpeg_server.script = script
    with open_source(mjpeg_server.url(), options=PATIENT) as source:
        while number_of(next(source).image) < 5:
            pass
    assert sum(sent) < MAX_PART_BYTES


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("text/html; charset=utf-8", "text/html, not with an MJPEG stream"),
        ("image/jpeg", "image/jpeg, not"),
        ("multipart/x-mixed-replace", "multipart/x-mixed-replace, not"),
        ("", "no content type, not"),
    ],
)
def test_a_wrong_content_type_is_refused(kind: str, shown: str, mjpeg_server: MjpegServer) -> None:
    mjpeg_server.script = lambda handler, _: (handler.start(kind), handler.wfile.write(b"hello"))
    with pytest.raises(SourceOpenError, match=shown):
        open_source(mjpeg_server.url(), options=PATIENT)


@pytest.mark.parametrize(
    ("status", "match"), [(404, "HTTP 404"), (401, "user or password"), (302, "HTTP 302")]
)
def test_an_answer_other_than_200_is_refused(status: int, match: str, mjpeg_server: MjpegServer) -> None:
    mjpeg_server.script = lambda handler, _: handler.start(status=status)
    with pytest.raises(SourceOpenError, match=match):
        open_source(mjpeg_server.url(), options=PATIENT)
    assert len(mjpeg_server.requests) == 1


def test_a_server_that_never_answers_is_a_deadline(mjpeg_server: MjpegServer) -> None:
    mjpeg_server.script = lambda handler, _: handler.stall()
    with pytest.raises(SourceOpenError, match=r"does not answer in time|gave no frame within"):
        open_source(mjpeg_server.url(), options=SourceOptions(open_deadline_s=5, read_deadline_s=0.2))


@pytest.mark.parametrize("begun", ["HTTP/1.1 200 OK\r\nX: ", "HTTP/1.1 401 Unauthorized\r\nX: "])
def test_a_server_that_drips_its_header_holds_no_thread_beyond_the_deadline(
    begun: str, mjpeg_server: MjpegServer
) -> None:
    def script(handler: MjpegHandler, _: int) -> None:
        handler.wfile.write(begun.encode())
        while not handler.server.ended.wait(0.02):
            handler.wfile.write(b"x")

    mjpeg_server.script = script
    with pytest.raises(SourceOpenError, match=r"can't be reached|gave no frame within"):
        open_source(
            mjpeg_server.url("me:pass@"), options=SourceOptions(open_deadline_s=0.5, read_deadline_s=30)
        )
    wait_until(
        lambda: all(thread.name != "livegate-camera" for thread in threading.enumerate()),
        "the end of the reader while the server drips on",
    )
    assert not mjpeg_server.ended.is_set()


def test_a_port_where_nothing_listens_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(SourceOpenError, match=f"http://127.0.0.1:{port}/v can't be reached"):
        open_source(f"http://me:s3cretWord@127.0.0.1:{port}/v")


@pytest.mark.parametrize(
    ("challenge", "form"),
    [('Basic realm="cam"', "Basic "), ('Digest realm="cam", nonce="n1", qop="auth"', "Digest ")],
)
def test_the_password_is_sent_in_the_form_that_the_camera_asks_for(
    challenge: str, form: str, mjpeg_server: MjpegServer
) -> None:
    def script(handler: MjpegHandler, request: int) -> None:
        if request == 1:
            handler.send_response(401)
            handler.send_header("WWW-Authenticate", challenge)
            handler.end_headers()
            handler.endless()  # a hostile body without end is not read
        elif request == 2:
            handler.start()
            handler.endless()

    mjpeg_server.script = script
    with open_source(mjpeg_server.url("me:s3cretWord@"), options=PATIENT) as source:
        next(source)
    assert "Authorization" not in mjpeg_server.requests[0]
    assert mjpeg_server.requests[1]["Authorization"].startswith(form)


def test_a_wrong_password_is_refused_after_one_try(mjpeg_server: MjpegServer) -> None:
    mjpeg_server.script = lambda handler, _: handler.start(status=401)
    with pytest.raises(SourceOpenError, match="refuses the user or password") as caught:
        open_source(mjpeg_server.url("me:s3cretWord@"), options=PATIENT)
    assert "s3cretWord" not in f"{caught.value.message}{caught.value.hint}{caught.value.__cause__}"
    assert len(mjpeg_server.requests) == 2


def test_no_secret_of_the_url_is_shown_or_logged(
    mjpeg_server: MjpegServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    def script(handler: MjpegHandler, request: int) -> None:
        handler.start()
        handler.frames(0, 2)
        if request > 1:
            handler.endless(5)

    mjpeg_server.script = script
    url = mjpeg_server.url("me:s3cretWord@", "/video?token=s3cretWord&channel=2")
    with caplog.at_level(logging.DEBUG), open_source(url, options=PATIENT) as source:
        while number_of(next(source).image) < 5:
            pass
        shown = f"{source.info}{source!r}{source.info.name}"
    assert source.info.name == mjpeg_server.url(path="/video?token=***&channel=2")
    logged = "".join(record.getMessage() for record in caplog.records)
    assert "was lost" in logged
    assert "HTTP Request" in logged
    for text in (shown, logged, *capfd.readouterr()):
        assert "s3cretWord" not in text


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "camera")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "camera.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(built.public_bytes(serialization.Encoding.PEM) + secret)
    return path


def test_https_is_read_only_from_a_camera_whose_certificate_is_trusted(
    mjpeg_server: MjpegServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    mjpeg_server.socket = context.wrap_socket(
        mjpeg_server.socket, server_side=True, do_handshake_on_connect=False
    )
    mjpeg_server.script = lambda handler, _: (handler.start(), handler.endless())
    url = mjpeg_server.url().replace("http:", "https:")
    with pytest.raises(SourceOpenError, match="can't be reached"):
        open_source(url, options=PATIENT)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with open_source(url, options=PATIENT) as source:
        assert [number_of(frame.image) == frame.seq % 20 for frame in islice(source, 5)] == [True] * 5


def test_close_cuts_a_connection_that_a_read_waits_for(mjpeg_server: MjpegServer) -> None:
    def script(handler: MjpegHandler, _: int) -> None:
        handler.start()
        handler.frames(0, 1)
        handler.stall()

    mjpeg_server.script = script
    capture = MjpegCapture(mjpeg_server.url(), SourceOptions(read_deadline_s=600), SystemClock())
    assert capture.read() is not None
    results: list[object] = []
    reader = threading.Thread(target=lambda: results.append(capture.read()))
    reader.start()
    capture.close()
    reader.join(30)
    assert results == [None]
    assert capture.read() is None


def test_a_proxy_of_the_environment_is_not_asked(
    mjpeg_server: MjpegServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    mjpeg_server.script = lambda handler, _: (handler.start(), handler.endless())
    with open_source(mjpeg_server.url(), options=PATIENT) as source:
        next(source)
