"""Export: opened where the private key is, carried sealed from where it is not."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import pytest
from sqlalchemy import update

from pipeline.errors import StoreError, UsageError
from pipeline.evidence import (
    Sealed,
    export_opened,
    export_sealed,
    list_records,
    open_records,
    read_database,
    read_files,
    seal,
)
from pipeline.gateway.keeping import EvidenceRow

pytestmark = pytest.mark.storages("sqlite")


def every(store: Any) -> Any:
    return read_database(store, [record.id for record in list_records(store)])


@pytest.fixture
def kept(client: Any, kit: Any) -> Any:
    for number in range(3):
        assert client.match(kit.jpeg(number), quote(f"{kit.consent} {number}"))["Code"] == 200
    return client


def test_the_very_bytes_come_out_with_their_consent(kept: Any, kit: Any, pair: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = list(export_opened(every(kept.store), [pair.private], out, now=kit.now))
    assert [result.state for result in done] == ["exported"] * 3
    pictures = {kit.jpeg(number) for number in range(3)}
    assert {path.read_bytes() for path in out.glob("*.jpg")} == pictures
    for result in done:
        sheet = json.loads((out / f"{result.id}.json").read_text("utf-8"))
        picture = (out / result.detail).read_bytes()
        assert sheet["sha256"] == hashlib.sha256(picture).hexdigest()
        number = int(sheet["consent"].removeprefix(kit.consent))
        assert picture == kit.jpeg(number)
        assert sheet["created_at"] == "2026-11-24T00:27:22Z"
        assert sheet["key_id"] == pair.public.key_id


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_what_is_opened_is_the_owner_s_alone(kept: Any, kit: Any, pair: Any, tmp_path: Path) -> None:
    out = tmp_path / "a" / "out"
    list(export_opened(every(kept.store), [pair.private], out, now=kit.now))
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o600}


def test_a_png_keeps_its_ending(client: Any, kit: Any, pair: Any, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(60, 255, (96, 96, 3), dtype=np.uint8)
    assert client.match(cv2.imencode(".png", image)[1].tobytes())["Code"] == 200
    (done,) = export_opened(every(client.store), [pair.private], tmp_path / "out", now=kit.now)
    assert done.detail == f"{done.id}.png"


def test_nothing_is_written_over_and_nothing_left_in_half(
    kept: Any, kit: Any, pair: Any, tmp_path: Path
) -> None:
    first = list_records(kept.store)[0].id
    (tmp_path / f"{first}.json").write_text("mine")
    done = {r.id: r.state for r in export_opened(every(kept.store), [pair.private], tmp_path, now=kit.now)}
    assert done.pop(first) == "exists"
    assert set(done.values()) == {"exported"}
    assert (tmp_path / f"{first}.json").read_text() == "mine"
    assert not (tmp_path / f"{first}.jpg").exists()


def test_each_record_opens_with_the_key_it_was_sealed_for(
    make_client: Any, make_pair: Any, kit: Any, tmp_path: Path
) -> None:
    old, new = make_pair(), make_pair()
    make_client(key=old.file).match(kit.jpeg(1), "old")
    client = make_client(key=new.file)
    client.match(kit.jpeg(2), "new")
    only_old = list(export_opened(every(client.store), [old.private], tmp_path / "1", now=kit.now))
    assert sorted(result.state for result in only_old) == ["exported", "other_key"]
    assert [r.detail for r in only_old if r.state == "other_key"] == [f"sealed for key {new.public.key_id}"]
    both = list(export_opened(every(client.store), [old.private, new.private], tmp_path / "2", now=kit.now))
    assert [result.state for result in both] == ["exported"] * 2
    sheets = [json.loads(path.read_text()) for path in (tmp_path / "2").glob("*.json")]
    assert {(sheet["key_id"], sheet["consent"]) for sheet in sheets} == {
        (old.public.key_id, "old"),
        (new.public.key_id, "new"),
    }


def test_past_its_retention_nothing_is_handed_out(kept: Any, kit: Any, pair: Any, tmp_path: Path) -> None:
    late = kit.now + 180 * kit.day
    done = list(export_opened(every(kept.store), [pair.private], tmp_path / "out", now=late))
    assert {result.state for result in done} == {"expired"}
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"expires_at": 2_000_000_000},
        {"created_at": 1},
        {"request_id": "another"},
        {"access_key_id": "another"},
        {"query_id": "e" * 32},
        {"consent_digest": "e" * 64},
        {"key_id": "e" * 32},
        {"sealed": b"LGEV\x01"},
        {"sealed": b""},
    ],
)
def test_a_row_that_was_changed_is_refused(
    kept: Any, kit: Any, pair: Any, tmp_path: Path, change: dict[str, Any]
) -> None:
    chosen = list_records(kept.store)[0].id
    with kept.store.write() as session:
        session.execute(update(EvidenceRow).where(EvidenceRow.id == chosen).values(**change))
    done = {r.id: r.state for r in export_opened(every(kept.store), [pair.private], tmp_path, now=kit.now)}
    assert done.pop(chosen) == "damaged"
    assert list(done.values()) == ["exported"] * 2


def test_boxes_that_changed_places_are_refused(kept: Any, kit: Any, pair: Any, tmp_path: Path) -> None:
    one, two, _ = list(every(kept.store))
    swapped = [Sealed(one.id, two.data, one.expected), Sealed(one.id, two.data, None)]
    for sealed in swapped:
        (done,) = export_opened([sealed], [pair.private], tmp_path, now=kit.now)
        assert done.state == "damaged"
        assert "moved from another record" in done.detail


def test_boxes_are_carried_and_opened_elsewhere(kept: Any, kit: Any, pair: Any, tmp_path: Path) -> None:
    boxes, out = tmp_path / "boxes", tmp_path / "out"
    assert [r.state for r in export_sealed(every(kept.store), boxes)] == ["exported"] * 3
    assert {path.suffix for path in boxes.iterdir()} == {".lgev"}
    kept.gateway.close()
    done = list(export_opened(read_files(boxes), [pair.private], out, now=kit.now))
    assert [result.state for result in done] == ["exported"] * 3
    assert {path.read_bytes() for path in out.glob("*.jpg")} == {kit.jpeg(number) for number in range(3)}


def test_a_renamed_or_strange_box_is_refused(kept: Any, kit: Any, pair: Any, tmp_path: Path) -> None:
    boxes = tmp_path / "boxes"
    list(export_sealed(every(kept.store), boxes))
    first, *_ = sorted(boxes.iterdir())
    first.rename(boxes / f"{'0' * 32}.lgev")
    (boxes / "notes.lgev").write_text("hello")
    done = {r.id: r.state for r in export_opened(read_files(boxes), [pair.private], tmp_path, now=kit.now)}
    assert (done["0" * 32], done["notes"]) == ("damaged", "damaged")
    assert sorted(done.values()) == ["damaged", "damaged", "exported", "exported"]


def test_a_row_with_a_path_for_an_id_writes_nothing(kit: Any, pair: Any, tmp_path: Path) -> None:
    from pipeline.evidence import Context

    evil = "../" * 9 + "evil"
    context = Context("a" * 32, "r", "k", None, "c" * 64, pair.public.key_id, 1, 2**37)
    sealed = Sealed(evil, seal(context, b"\xff\xd8\xff", "c", pair.public), None)
    for done in (
        *export_sealed([sealed], tmp_path / "out"),
        *export_opened([sealed], [pair.private], tmp_path / "out", now=kit.now),
    ):
        assert done.state == "damaged"
    assert list((tmp_path / "out").iterdir()) == []


def test_places_that_can_not_be_used_are_told(kept: Any, kit: Any, pair: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="can't be made"):
        list(export_opened(every(kept.store), [pair.private], tmp_path / "file" / "out", now=kit.now))
    with pytest.raises(UsageError, match="no such folder"):
        list(read_files(tmp_path / "none"))
    for url in (f"sqlite:///{tmp_path / 'none.db'}", "nonsense"):
        with pytest.raises(StoreError):
            open_records(url)
    assert not (tmp_path / "none.db").exists()
