"""What a reader of the README and of ``help(pipeline)`` is told exists, exists and is documented."""

from __future__ import annotations

import ast
import pydoc
import re
import textwrap
from importlib import import_module
from pathlib import Path

import pytest

import pipeline

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]


def test_help_shows_every_public_name() -> None:
    shown = pydoc.render_doc(pipeline, renderer=pydoc.plaintext)
    for name in pipeline.__all__:
        assert re.search(rf"^    (class )?{name}\(", shown, re.MULTILINE), name


@pytest.mark.parametrize("name", pipeline.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    told = getattr(pipeline, name).__doc__
    assert told
    assert told.strip()


def test_what_the_pages_import_can_be_imported() -> None:
    imported: set[tuple[str, str]] = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            for node in ast.walk(ast.parse(textwrap.dedent(block))):
                if isinstance(node, ast.ImportFrom) and node.module:
                    imported |= {(node.module, alias.name) for alias in node.names}
        imported |= set(re.findall(r"`from (pipeline[\w.]*) import (\w+)`", text))
    assert ("pipeline", "Gate") in imported
    for module, name in sorted(imported):
        assert hasattr(import_module(module), name), f"{module}.{name}"
