"""The whole way with the real nets: enrol a portrait, match renderings of it, refuse other faces."""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from pipeline import Settings
from pipeline.gateway import NetEmbedder, embedded, enroll
from pipeline.gateway.risk import NO_LOCKS
from pipeline.nets import open_store
from pipeline.protocol.signing import AccessKey, form_encode

NAME, NUMBER = "样例", "11010519491231002X"


@pytest.fixture(scope="module")
def nets() -> NetEmbedder:
    return NetEmbedder(open_store())


@pytest.fixture
def gate(make_caller: Any, nets: NetEmbedder, astronaut: np.ndarray, tmp_path: Path) -> Iterator[Any]:
    """A caller of a gateway where the astronaut is enrolled from a file."""
    caller = make_caller(embedder=nets, risk=NO_LOCKS)
    folder = tmp_path / "people"
    folder.mkdir()
    (folder / f"{NAME}_{NUMBER}.png").write_bytes(cv2.imencode(".png", astronaut)[1].tobytes())
    assert enroll(folder, caller.gateway.authority, nets).enrolled == 1
    return caller


def rendered(image: np.ndarray, turn: float, zoom: float, gain: float, bias: float) -> np.ndarray:
    """The picture leaning, scaled, in another light, from a little to the side."""
    size = image.shape[1], image.shape[0]
    matrix = np.vstack([cv2.getRotationMatrix2D((220, 150), turn, zoom), [0, 0, 1]])
    matrix[2, 0] = 2e-4
    warped = cv2.warpPerspective(image, matrix, size, borderMode=cv2.BORDER_REFLECT)
    return cv2.convertScaleAbs(warped, alpha=gain, beta=bias)


def score(caller: Any, image: np.ndarray, quality: int = 90) -> float:
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    answer = caller.match(base64.b64encode(data).decode(), NAME, NUMBER)
    assert answer.code == 200
    return float(answer.data["score"])


@pytest.mark.parametrize(
    "pose", [(0, 1.0, 1.0, 0), (8, 1.1, 1.25, 15), (-12, 0.9, 0.7, -10), (5, 1.3, 0.5, 0)]
)
def test_renderings_of_the_enrolled_portrait_pass(gate: Any, astronaut: np.ndarray, pose: Any) -> None:
    assert score(gate, rendered(astronaut, *pose)) >= 95


@pytest.mark.parametrize("turn", [cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_COUNTERCLOCKWISE])
def test_right_angle_turns_are_accepted(gate: Any, astronaut: np.ndarray, turn: int) -> None:
    assert score(gate, cv2.rotate(astronaut, turn)) >= 95


def test_the_largest_of_several_faces_is_used(gate: Any, astronaut: np.ndarray) -> None:
    head = astronaut[0:260, 90:350]
    canvas = np.full((520, 900, 3), 120, np.uint8)
    canvas[:, :520] = cv2.resize(head, (520, 520))
    canvas[200:400, 650:850] = cv2.resize(head[:, ::-1], (200, 200))
    assert score(gate, canvas) >= 95


def test_a_face_of_other_proportions_scores_low(gate: Any, astronaut: np.ndarray) -> None:
    """The portrait with its middle squeezed and its mouth lifted: a stand-in for another person."""
    y, x = np.mgrid[0:230, 0:230].astype(np.float32)
    squeeze = 115 + (x - 115) * (0.5 + 0.5 * np.abs(x - 115) / 115)
    lift = y + 22 * np.exp(-(((y - 150) / 40) ** 2) - ((x - 115) / 60) ** 2)
    other = cv2.remap(astronaut[20:250, 100:330], squeeze, lift.astype(np.float32), cv2.INTER_LINEAR)
    assert score(gate, other) < 80


def test_a_picture_without_a_face_is_told_as_such(gate: Any) -> None:
    image = np.full((480, 640, 3), 127, np.uint8)
    cv2.circle(image, (320, 240), 80, (0, 0, 255), -1)
    data = base64.b64encode(cv2.imencode(".jpg", image)[1].tobytes()).decode()
    answer = gate.match(data, NAME, NUMBER)
    assert (answer.code, answer.message) == (400, "imgbase64中未检测到人脸")


def test_two_faces_alike_in_size_can_not_be_enrolled(
    make_caller: Any, nets: NetEmbedder, astronaut: np.ndarray, tmp_path: Path
) -> None:
    caller = make_caller(embedder=nets)
    head = cv2.resize(astronaut[0:260, 90:350], (400, 400))
    (tmp_path / "in").mkdir()
    both = np.hstack([head, head[:, ::-1]])
    (tmp_path / "in" / f"{NAME}_{NUMBER}.png").write_bytes(cv2.imencode(".png", both)[1].tobytes())
    (row,) = enroll(tmp_path / "in", caller.gateway.authority, nets).rows
    assert row.reason == "several_faces"


def test_other_people_score_low_and_the_same_people_high(
    gate: Any, nets: NetEmbedder, shared_data: Path
) -> None:
    """A small part of what `benchmarks.score_map` measures: the wiring, not the rates."""
    strangers = sorted((shared_data / "faces" / "lfw_single").glob("*.jpg"))[::60]
    assert len(strangers) >= 20
    assert max(score(gate, cv2.imread(str(path))) for path in strangers) < 90

    pairs = (shared_data / "pairs_nuaa_raw.tsv").read_text("utf-8").splitlines()[1:]
    same = [line.split("\t")[:2] for line in pairs if line.endswith("\t1")][::40]
    cosines = []
    for pair in same:
        a, b = (nets.read(cv2.imread(str(shared_data / path))) for path in pair)
        assert a is not None
        assert b is not None
        cosines.append(float(a.embedding @ b.embedding))
    assert np.median(cosines) > 0.5


def test_threads_share_the_embedder_and_agree(nets: NetEmbedder, astronaut: np.ndarray) -> None:
    from concurrent.futures import ThreadPoolExecutor

    images = [rendered(astronaut, turn, 1.0, 1.0, 0) for turn in (-10, 0, 10)] * 4
    alone = [nets.read(image).embedding for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = [reading.embedding for reading in pool.map(nets.read, images)]
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_the_model_is_named_by_its_file(nets: NetEmbedder) -> None:
    import hashlib

    data = open_store().path("fr_feature").read_bytes()
    assert nets.model.sha256 == hashlib.sha256(data).hexdigest()
    assert nets.model.name == "fr_feature/face_mesh"


@pytest.mark.storages("sqlite")
def test_the_embedded_gateway_of_the_settings_answers_in_process(
    astronaut: np.ndarray, database: str, kit: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    made = embedded(Settings(database=database))
    monkeypatch.setattr(socket, "socket", forbidden)
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / f"{NAME}_{NUMBER}.png").write_bytes(cv2.imencode(".png", astronaut)[1].tobytes())
    assert enroll(folder, made.gateway.authority, made.gateway.embedder).enrolled == 1
    assert made.key_secret not in repr(made)

    caller = kit.caller(made.gateway, AccessKey(made.key_id, made.key_secret), now=time.time())
    service = {"method": "match", "name": NAME, "certNumber": NUMBER, "imgbase64": kit.base64(astronaut)}
    body = form_encode(caller.signed(caller.params(service)))
    with httpx.Client(transport=made.transport, base_url=made.url) as client:
        answer = client.post("/", content=body, headers=[kit.form]).json()
    assert answer["Code"] == 200
    assert answer["Data"]["score"] > 95


def test_a_key_of_the_settings_is_imported(database: str, tmp_path: Path) -> None:
    made = embedded(Settings(database=database, access_key_id="mine", access_key_secret="my-secret"))
    assert (made.key_id, made.key_secret) == ("mine", "my-secret")
    assert not list(tmp_path.glob("*access_key*"))
    made.transport.close()
