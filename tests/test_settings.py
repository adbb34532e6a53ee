"""Settings: which source wins, and that what is wrong refuses to start without telling the value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SettingsError
from pipeline.reasons import Reason
from pipeline.settings import Settings


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("LIVEGATE_MODE", "LIVEGATE_CONFIG", "LIVEGATE_DEADLINE_S"):
        monkeypatch.delenv(name, raising=False)


def test_argument_beats_environment_beats_file_beats_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Settings().deadline_s == 4.0
    (tmp_path / "livegate.toml").write_text("deadline_s = 5\ntrusted_sources = ['usb:1:2:3']\n")
    assert Settings().deadline_s == 5
    assert Settings().trusted_sources == ("usb:1:2:3",)
    monkeypatch.setenv("LIVEGATE_DEADLINE_S", "6")
    assert Settings().deadline_s == 6
    assert Settings(deadline_s=7).deadline_s == 7


def test_lists_in_the_environment_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEGATE_NETS", "minifasnet_v2, minifasnet_v1se")
    assert Settings().nets == ("minifasnet_v2", "minifasnet_v1se")


COMMA, PLAIN = "usb:046d:0825:A,1 ", "rtsp://cam/live?rect=0,0,4,3"


@pytest.mark.parametrize("around", ["{}", " {}\n"])
def test_lists_in_the_environment_may_be_json_so_that_a_name_can_hold_a_comma(
    around: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVEGATE_TRUSTED_SOURCES", around.format(json.dumps([COMMA, PLAIN])))
    monkeypatch.setenv("LIVEGATE_NETS", '["livegate_pad"]')
    assert Settings().trusted_sources == (COMMA, PLAIN)
    assert Settings().nets == ("livegate_pad",)
    monkeypatch.setenv("LIVEGATE_TRUSTED_SOURCES", "[]")
    assert Settings().trusted_sources == ()


def test_lists_in_the_file_and_in_the_folder_of_secrets_may_hold_names_with_commas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for written in (json.dumps([COMMA, PLAIN]), f"'{json.dumps([COMMA, PLAIN])}'"):  # a list, and text
        (tmp_path / "livegate.toml").write_text(f"trusted_sources = {written}\n")
        assert Settings().trusted_sources == (COMMA, PLAIN)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "livegate_trusted_sources").write_text(json.dumps([COMMA]) + "\n")
    monkeypatch.setenv("LIVEGATE_SECRETS_DIR", str(tmp_path / "secrets"))
    assert Settings().trusted_sources == (COMMA,)


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)))
def test_any_names_come_back_from_a_json_list(names: list[str]) -> None:
    for ascii_only in (True, False):
        assert Settings(trusted_sources=json.dumps(names, ensure_ascii=ascii_only)).trusted_sources == tuple(
            names
        )


@pytest.mark.parametrize(
    "text", ["[hush", "[hush]", "['hush']", '["hush"],', '["hush"] x', '["hush", 1]', "[null]", '[["hush"]]']
)
@pytest.mark.parametrize("field", ["nets", "trusted_sources"])
def test_a_broken_json_list_refuses_to_start_and_is_not_shown(
    field: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"LIVEGATE_{field.upper()}", text)
    with pytest.raises(SettingsError, match=field) as caught:
        Settings()
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_endlessly_nested_list_refuses_to_start() -> None:
    with pytest.raises(SettingsError, match="JSON list"):
        Settings(nets="[" * 100_000)


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "cloud"},
        {"match_threshold": 10},
        {"match_threshold": float("nan")},
        {"target_apcer": 0},
        {"target_apcer": 0.5},
        {"deadline_s": 0},
        {"nets": ()},
        {"thresold": 95},
    ],
)
def test_wrong_value_refuses_to_start(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings(**wrong)
    assert next(iter(wrong)) in caught.value.message


def test_misspelt_name_in_the_file_refuses_to_start(tmp_path: Path) -> None:
    (tmp_path / "livegate.toml").write_text("matchthreshold = 99\n")
    with pytest.raises(SettingsError, match="matchthreshold"):
        Settings()


def test_broken_file_and_missing_named_file_refuse_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "livegate.toml").write_text("mode = = 3\n")
    with pytest.raises(SettingsError):
        Settings()
    monkeypatch.setenv("LIVEGATE_CONFIG", str(tmp_path / "absent.toml"))
    with pytest.raises(SettingsError, match="does not exist"):
        Settings()


def test_addresses_of_cameras_are_not_in_the_repr() -> None:
    address = "rtsp://me:hush@cam/live?token=hush"
    settings = Settings(trusted_sources=[address], pinned_camera=address)
    assert settings.trusted_sources == (address,)
    assert "hush" not in repr(settings)


def test_secrets_show_neither_in_repr_nor_in_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEGATE_ACCESS_KEY_SECRET", "hush-hush")
    settings = Settings()
    assert "hush" not in repr(settings)
    assert "hush" not in str(settings)
    with pytest.raises(SettingsError) as caught:
        Settings(access_key_secret=12345, deadline_s="hush")
    assert "hush" not in str(caught.value)
    assert "12345" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_every_reason_has_a_sentence_in_both_languages() -> None:
    for reason in Reason:
        assert reason.value == reason.name.lower()
        assert reason.zh.endswith("。")
        assert reason.en.endswith(".")


def test_file_that_is_not_toml_is_named_with_the_place_and_not_with_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gate.toml").write_text('mode = "liveness"\nendpoint = hunter2\n')
    monkeypatch.setenv("LIVEGATE_CONFIG", str(tmp_path / "gate.toml"))
    with pytest.raises(SettingsError) as caught:
        Settings()
    assert caught.value.message == "gate.toml is not TOML (at line 2, column 12)"
