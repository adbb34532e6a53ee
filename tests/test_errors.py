"""The error tree is what its docstring draws, and each error tells a way out."""

from __future__ import annotations

import re

import pytest

from pipeline import errors
from pipeline.errors import ClientCode, LivegateError, UsageError


def subclasses(root: type[LivegateError]) -> list[type[LivegateError]]:
    found: list[type[LivegateError]] = []
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            found += [child, *subclasses(child)]
    return found


def drawn() -> dict[str, tuple[int, str]]:
    """Name -> depth and code, read from the docstring."""
    rows = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^([│├└─ ]*)([A-Z]\w+Error)\s+(\w+)\s", line)
        if match:
            rows[match[2]] = (len(match[1]) // 4, match[3])
    return rows


def test_docstring_draws_the_tree() -> None:
    actual = {
        error.__name__: (len(error.__mro__) - len(LivegateError.__mro__), error.code)
        for error in [LivegateError, *subclasses(LivegateError)]
    }
    picture = drawn()
    picture.setdefault("LivegateError", (0, "livegate"))
    assert {name: value for name, value in picture.items() if name != "LivegateError"} == {
        name: value for name, value in actual.items() if name != "LivegateError"
    }


def test_codes_are_unique_and_hints_are_sentences() -> None:
    tree = [LivegateError, *subclasses(LivegateError)]
    codes = [error.code for error in tree]
    assert len(set(codes)) == len(codes)
    assert all(error.default_hint.endswith(".") for error in tree)


@pytest.mark.parametrize(("code", "status"), [(1000, 0), (2006, 3), (1003, 4), (2002, 5), (1001, 6)])
def test_exit_status_of_each_client_code(code: int, status: int) -> None:
    assert ClientCode(code).exit_status == status


def test_no_error_passes_as_success() -> None:
    for error in subclasses(LivegateError):
        assert error.client_code is not ClientCode.PASSED
        assert issubclass(error, UsageError) or error.client_code.exit_status >= 3
