"""Without the extra ``eval`` the reports say what to install; facts tell nothing of the user."""

from __future__ import annotations

import getpass
import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.evaluation import evaluate_pad
from pipeline.evaluation.facts import commit, run_facts

from .support import FakeScorer, manifest


@pytest.mark.parametrize("module", ["scipy.stats", "matplotlib.figure"])
def test_a_missing_package_is_told_before_anything_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    scorer = FakeScorer()
    with pytest.raises(UsageError) as caught:
        evaluate_pad(manifest(tmp_path), tmp_path / "out", scorer)
    assert module.partition(".")[0] in caught.value.message
    assert caught.value.hint == 'pip install "livegate[eval]"'
    assert scorer.seen == []


def test_importing_the_room_needs_neither_the_extra_nor_the_gateway() -> None:
    heavy = ("scipy", "matplotlib", "sqlalchemy", "starlette", "httpx", "pipeline.gateway")
    script = f"import pipeline.evaluation, sys; print([n for n in {heavy!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_facts_name_neither_host_nor_user_nor_folder() -> None:
    text = json.dumps(run_facts("livegate eval pad m.tsv", ["net"]))
    assert str(Path.home()) not in text
    for private in (platform.node(), getpass.getuser()):
        assert f'"{private}"' not in text


def test_commit_is_the_checkout_s_and_none_outside_of_one(tmp_path: Path) -> None:
    assert commit(tmp_path) is None
    (tmp_path / ".git").mkdir()
    assert commit(tmp_path) is None

    def git(*words: str) -> None:
        subprocess.run(
            [
                "git",
                "-C",
                str(tmp_path / "repo"),
                "-c",
                "user.name=n",
                "-c",
                "user.email=e@example.org",
                *words,
            ],
            check=True,
            capture_output=True,
        )

    (tmp_path / "repo").mkdir()
    git("init", "-q")
    (tmp_path / "repo" / "file").write_text("1")
    git("add", "file")
    git("commit", "-q", "-m", "one")
    head = commit(tmp_path / "repo")
    assert head is not None
    assert len(head) == 40
    (tmp_path / "repo" / "file").write_text("2")
    assert commit(tmp_path / "repo") == f"{head}-dirty"
