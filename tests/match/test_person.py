"""A person's values stay out of sight, and their number is looked at as the setting says."""

from __future__ import annotations

import copy
import logging
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.match.person import MAX_NAME, Person
from pipeline.protocol.cert_number import CertCheck

GOOD = "11010519491231002X"
SAMPLE = "33010320180101010X"
"""The reference's own sample; its check digit is wrong."""


def test_neither_name_nor_number_is_in_any_text_form() -> None:
    person = Person("张三", GOOD)
    text = f"{person} {person!r} {person!s} {[person]} {{'p': {person}}}" + "".join(map(str, [person]))
    assert "张三" not in text
    assert "1101" not in text


def test_a_person_can_not_be_pickled_or_copied() -> None:
    person = Person("张三", GOOD)
    for way in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(UsageError):
            way(person)


@pytest.mark.parametrize("setting", list(CertCheck))
def test_a_number_that_holds_is_accepted_under_every_setting(setting: CertCheck) -> None:
    assert Person("张三", GOOD).check_cert_number(setting) is None


def test_the_references_sample_is_usable_by_default_and_the_warning_holds_no_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert Person("张三", SAMPLE).check_cert_number() == "check_digit"
    assert "check digit" in caplog.text
    assert SAMPLE not in caplog.text
    assert "张三" not in caplog.text


def test_strict_refuses_without_the_number_and_off_does_not_look(caplog: pytest.LogCaptureFixture) -> None:
    person = Person("张三", SAMPLE)
    with pytest.raises(UsageError, match="check digit") as caught:
        person.check_cert_number(CertCheck.STRICT)
    assert SAMPLE not in repr(caught.value)
    with caplog.at_level(logging.DEBUG):
        assert person.check_cert_number(CertCheck.OFF) is None
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        ("123", "length"),
        ("11010519491231ABCX", "format"),
        ("999999194912310025", "component"),
        ("110105194902310026", "component"),
        ("110105194912310020", "check_digit"),
    ],
)
def test_each_problem_has_its_word(number: str, problem: str) -> None:
    assert Person("张三", number).check_cert_number() == problem
    with pytest.raises(UsageError):
        Person("张三", number).check_cert_number(CertCheck.STRICT)


def test_a_number_is_kept_in_its_one_written_form() -> None:
    assert Person("张三", " 11010519491231002x ").cert_number == GOOD
    assert Person("张三", "１１０１０５１９４９１２３１００２Ｘ").cert_number == GOOD


@pytest.mark.parametrize("name", ["张三", "买买提·阿不都", "O'Neill", "\ue863", "𠮷野"])
def test_rare_names_are_names(name: str) -> None:
    assert Person(name, GOOD).name == name


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x00", "\ud800", "x" * (MAX_NAME + 1), 7])
def test_what_is_no_name_is_refused_without_being_shown(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        Person(name, GOOD)
    assert name == "" or str(name).strip() == "" or str(name) not in str(caught.value) or name == 7


@given(st.text(max_size=80))
def test_any_number_ends_in_a_person_that_json_can_carry_or_in_the_one_error(number: str) -> None:
    try:
        person = Person("张三", number)
    except UsageError:
        return
    assert person.cert_number.isascii()
    assert 1 <= len(person.cert_number) <= 64
    person.check_cert_number()
