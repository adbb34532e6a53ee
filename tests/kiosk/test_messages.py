"""The page's messages: four are understood, and nothing of the others is told."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.kiosk.messages import MOST_BYTES, Painted, PersonForm, Seen, Stop, parse

FORM = {"type": "person", "name": "张三", "number": "11010519491231002X", "consent": True}


def test_the_four_are_understood() -> None:
    assert isinstance(parse('{"type":"seen"}'), Seen)
    assert isinstance(parse('{"type":"stop"}'), Stop)
    assert parse('{"type":"painted","number":7}') == Painted(type="painted", number=7)
    form = parse(json.dumps(FORM))
    assert isinstance(form, PersonForm)
    assert (form.name, form.number) == ("张三", "11010519491231002X")


def test_a_form_shows_neither_name_nor_number() -> None:
    assert "张三" not in repr(parse(json.dumps(FORM)))
    assert "1101" not in repr(parse(json.dumps(FORM)))


@pytest.mark.parametrize(
    "change",
    [
        {"consent": False},
        {"consent": 1},
        {"consent": "true"},
        {"name": ""},
        {"name": "x" * 129},
        {"name": 7},
        {"number": ""},
        {"number": "1" * 65},
        {"more": 1},
        {"type": "Person"},
        {"type": None},
    ],
)
def test_a_form_that_is_not_whole_is_refused_without_its_values(change: dict[str, object]) -> None:
    with pytest.raises(UsageError) as refused:
        parse(json.dumps({**FORM, **change}))
    assert "张三" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{",
        '{"type":"painted"}',
        '{"type":"painted","number":0}',
        '{"type":"painted","number":"7"}',
        '{"type":"painted","number":1.5}',
        '{"type":"painted","number":99999999999999999999}',
        '{"type":"seen","type":"reboot"}',
        '{"type":"seen"}' + " " * MOST_BYTES,
        "[" * 2000,
        '"\ud800"',
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(st.one_of(st.text(max_size=200), json_values.map(json.dumps)))
def test_hostile_messages_are_refused_or_are_one_of_the_four(text: str) -> None:
    try:
        found = parse(text)
    except UsageError:
        return
    assert isinstance(found, Seen | Stop | Painted | PersonForm)
