"""The command line: what it offers and what it refuses. Nothing is timed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import COMMANDS, main


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["benchmarks", *words])
    return main()


@pytest.mark.parametrize("command", [*COMMANDS, "profile", "compare", "plot"])
def test_every_command_explains_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    with pytest.raises(SystemExit) as end:
        call(monkeypatch, command, "--help")
    assert end.value.code == 0
    assert command in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("stages", "--size", "huge"), "WIDTHxHEIGHT"),
        (("stages", "--repeats", "0"), "repeat"),
        (("stages", "--threads", "0"), "thread"),
        (("memory", "--frames", "10"), "frames"),
        (("compare", "none.json", "none.json"), "none.json can't be read"),
        (("plot", "none.json"), "none.json can't be read"),
    ],
)
def test_what_can_not_be_run_is_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    words: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, *words) == 2
    assert said in capsys.readouterr().err
