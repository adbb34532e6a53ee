"""Identity: stable here, tolerant of one repair, worthless elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path

import pytest

from pipeline.device import installation
from pipeline.device.installation import LEAST_TRAITS, Installation, open_installation
from pipeline.device.traits import TRAITS, Traits
from pipeline.errors import SettingsError

HERE = {
    "machine_id": "5f2b8c0000000000000000000000dead",
    "board": "Maker / Model 5 / B-17",
    "cpu": "GenuineThing / 6 / 151",
    "network": "02:00:5e:10:00:01",
    "disk": "eui.0025388b71b0aaaa / S5GXNX0R",
    "system": "Linux x86_64",
}
SIBLING = HERE | {
    "machine_id": "77777777777777777777777777777777",
    "network": "02:00:5e:10:00:02",
    "disk": "eui.0025388b71b0bbbb / S5GXNX0S",
}
"""Another machine of the same model and the same system."""


@pytest.fixture(autouse=True)
def cheap(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.function is not test_a_copied_file_is_worthless_on_a_machine_of_the_same_model:
        monkeypatch.setitem(installation._SCRYPT, "n", 2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "device.json"


def opened(path: Path, traits: Traits = HERE) -> Installation:
    return open_installation(path, traits=lambda: traits)


def private(installation: Installation) -> bytes:
    return installation.key.private_bytes_raw()


def test_it_is_the_same_after_a_restart(path: Path) -> None:
    first = opened(path)
    assert all(opened(path).device_id == first.device_id for _ in range(3))
    second = opened(path)
    assert private(first) == private(second)
    assert first.digest("camera", "usb:1") == second.digest("camera", "usb:1")
    assert second.changed is None
    assert len(bytes.fromhex(first.device_id)) == 16


@pytest.mark.parametrize("name", TRAITS)
def test_any_one_trait_may_change_and_then_another(
    path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = opened(path)
    repaired = HERE | {name: "something else"}
    second = opened(path, repaired)
    assert (second.device_id, second.changed) == (first.device_id, name)
    assert opened(path, repaired).changed is None
    other = TRAITS[(TRAITS.index(name) + 1) % len(TRAITS)]
    third = opened(path, repaired | {other: ""})
    assert (third.device_id, third.changed) == (first.device_id, other)
    assert not any(value in caplog.text for value in HERE.values())


@pytest.mark.parametrize("names", list(combinations(TRAITS, 2))[::4])
def test_two_changes_at_once_are_another_machine(path: Path, names: tuple[str, str]) -> None:
    first = opened(path)
    second = opened(path, HERE | dict.fromkeys(names, "something else"))
    assert second.device_id != first.device_id
    assert private(second) != private(first)


def test_a_copied_file_is_worthless_on_a_machine_of_the_same_model(path: Path, tmp_path: Path) -> None:
    first = opened(path)
    copy = tmp_path / "elsewhere" / "device.json"
    copy.parent.mkdir()
    shutil.copy(path, copy)
    second = opened(copy, SIBLING)
    assert second.device_id != first.device_id
    assert private(second) != private(first)
    assert copy.with_name("device.json.foreign").read_bytes() == path.read_bytes()
    assert opened(copy, SIBLING).device_id == second.device_id
    assert opened(path).device_id == first.device_id


def test_two_installations_of_one_machine_have_nothing_in_common(path: Path, tmp_path: Path) -> None:
    first, second = opened(path), opened(tmp_path / "second.json")
    assert first.device_id != second.device_id
    assert first.digest("camera", "usb:1") != second.digest("camera", "usb:1")


def test_nothing_of_the_machine_the_id_or_the_key_is_readable_in_the_file(path: Path) -> None:
    made = opened(path)
    text = path.read_text("utf-8")
    assert set(json.loads(text)) == {"version", "salt", "sealed_without"}
    parts = [part for value in HERE.values() for part in value.split(" / ") if len(part) > 3]
    for secret in (*parts, made.device_id, private(made).hex()):
        assert secret not in text
    assert private(made).hex() not in repr(made)
    assert made.salt.hex() not in repr(made)


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_the_file_is_the_users_alone(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = opened(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    assert opened(path).device_id == first.device_id
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "other users" in caplog.text


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"\xff", b'{"version":1}', b'{"version":1,"salt":"AA==","sealed_without":{}}'],
)
def test_a_damaged_file_is_put_aside_and_replaced(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    path.chmod(0o600)
    made = opened(path)
    assert opened(path).device_id == made.device_id
    assert path.with_name("device.json.foreign").read_bytes() == content


def test_a_sealed_copy_can_not_take_anothers_place(path: Path) -> None:
    first = opened(path)
    content = json.loads(path.read_text("utf-8"))
    names = list(TRAITS)
    copies = content["sealed_without"]
    content["sealed_without"] = dict(
        zip(names, [copies[name] for name in (*names[1:], names[0])], strict=True)
    )
    path.write_text(json.dumps(content), encoding="utf-8")
    assert opened(path).device_id != first.device_id


def test_a_machine_that_shows_too_little_gets_no_identity(path: Path) -> None:
    few = dict.fromkeys(TRAITS, "") | dict(list(HERE.items())[: LEAST_TRAITS - 1])
    with pytest.raises(SettingsError, match="traits"):
        opened(path, few)
    assert not path.exists()


def test_a_place_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(SettingsError):
        opened(tmp_path / "file" / "device.json")


def test_starts_at_once_agree_on_one_identity(path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        ids = {made.device_id for made in pool.map(lambda _: opened(path), range(4))}
    assert len(ids) == 1
    assert [entry.name for entry in path.parent.iterdir()] == ["device.json"]
