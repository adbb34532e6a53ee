"""The cache: what `path` gives, what it refuses, and that a write is whole or not at all."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import ModelError, ModelHashError, ModelMissingError
from pipeline.nets import ModelStore, list_models, load_manifest, open_store, pull, verify

DATA = b"the model's bytes"


@pytest.fixture
def store(tmp_path: Path, manifest_entry: Callable[..., str]) -> ModelStore:
    """A store of one model that the user brings, ``mine``."""
    manifest = tmp_path / "manifest.toml"
    manifest.write_text("[models.mine]\n" + manifest_entry('kind = "path"', DATA))
    return ModelStore(tmp_path / "cache", load_manifest(manifest), offline=True)


@pytest.fixture
def filled(store: ModelStore, tmp_path: Path) -> ModelStore:
    source = tmp_path / "brought.bin"
    source.write_bytes(DATA)
    (status,) = pull(store, ["mine"], source_path=source)
    assert status.state == "ok"
    return store


def replace(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def test_missing_model_names_the_command(store: ModelStore) -> None:
    with pytest.raises(ModelMissingError) as caught:
        store.path("mine")
    assert "livegate models pull mine" in caught.value.hint


@pytest.mark.parametrize("offline", [False, True])
def test_missing_model_names_the_command_for_all_of_its_group_and_a_way_that_offline_allows(
    tmp_path: Path, offline: bool
) -> None:
    store = ModelStore(tmp_path, load_manifest(), offline=offline)
    with pytest.raises(ModelMissingError) as caught:
        store.path("face_detector")
    assert "`livegate models pull core`" in caught.value.hint
    assert ("copy its models folder" in caught.value.hint) is offline


def test_name_outside_the_manifest_is_refused(store: ModelStore) -> None:
    with pytest.raises(ModelError, match="no model is called"):
        store.path("../mine")


def test_pulled_model_is_read_only_and_has_its_bytes(filled: ModelStore) -> None:
    path = filled.path("mine")
    assert path.read_bytes() == DATA
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert [p for p in path.parent.iterdir() if p.name.startswith(".new-")] == []


@pytest.mark.parametrize("bad", [DATA[:-1], DATA + b"x", DATA[:-1] + b"X", b""])
def test_changed_file_is_refused(filled: ModelStore, bad: bytes) -> None:
    path = filled.path("mine")
    replace(path, bad)
    with pytest.raises(ModelHashError, match="mine"):
        ModelStore(filled.root, filled.manifest).path("mine")
    assert [status.state for status in verify(filled)] == ["wrong"]


def test_change_after_the_first_use_is_noticed(filled: ModelStore) -> None:
    path = filled.path("mine")
    replace(path, DATA[:-1] + b"X")
    os.utime(path, ns=(1, 1))
    with pytest.raises(ModelHashError):
        filled.path("mine")


def test_list_tells_states_without_reading_the_files(filled: ModelStore) -> None:
    assert [status.state for status in list_models(filled)] == ["ok"]
    path = filled.path("mine")
    replace(path, DATA[:-1] + b"X")
    assert [status.state for status in list_models(filled)] == ["ok"], "only sizes are compared"
    replace(path, DATA[:3])
    assert [status.state for status in list_models(filled)] == ["wrong"]
    path.unlink()
    assert [status.state for status in list_models(filled)] == ["missing"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere; the next test stands in")
def test_read_only_cache_is_a_clear_error(store: ModelStore) -> None:
    store.root.mkdir(mode=0o555)
    with pytest.raises(ModelError, match="can't be written"):
        store.write(store.root / "mine" / "x", DATA)


def test_cache_whose_folder_is_a_file_is_a_clear_error(store: ModelStore) -> None:
    store.root.write_text("in the way")
    with pytest.raises(ModelError, match="can't be written") as caught:
        store.write(store.root / "mine" / "x", DATA)
    assert "LIVEGATE_MODELS_DIR" in caught.value.hint


@pytest.mark.parametrize("step", ["mkstemp", "fsync", "replace"])
def test_failed_write_leaves_the_good_file_and_no_litter(
    filled: ModelStore, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A full disk or a read-only file system, at each step of a write."""
    path = filled.path("mine")

    def fail(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    target = {"mkstemp": "tempfile.mkstemp", "fsync": "os.fsync", "replace": "pathlib.Path.replace"}[step]
    monkeypatch.setattr(target, fail)
    with pytest.raises(ModelError, match="can't be written: Read-only file system"):
        filled.write(path, b"new")
    assert path.read_bytes() == DATA
    assert list(path.parent.iterdir()) == [path]


def test_writers_at_the_same_time_leave_one_whole_file(store: ModelStore) -> None:
    path = store.root / "mine" / "file"
    contents = [bytes([i]) * 200_000 for i in range(8)]
    threads = [threading.Thread(target=store.write, args=(path, content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert list(path.parent.iterdir()) == [path]


def test_settings_come_from_arguments_over_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVEGATE_MODELS_DIR", str(tmp_path / "environment"))
    monkeypatch.setenv("LIVEGATE_OFFLINE", "1")
    assert open_store().root == tmp_path / "environment"
    assert open_store().offline
    assert open_store(tmp_path / "argument", offline=False).root == tmp_path / "argument"
    assert not open_store(offline=False).offline
    monkeypatch.setenv("LIVEGATE_OFFLINE", "0")
    assert not open_store().offline
    monkeypatch.delenv("LIVEGATE_MODELS_DIR")
    assert open_store().root.name == "models"
