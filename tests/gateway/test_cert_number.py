from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.protocol.cert_number import cert_number_problem, mask_cert_number, normalize_cert_number


@pytest.mark.parametrize(
    "number", ["11010519491231002X", "11010519491231002x", " １１０１０５１９４９１２３１００２Ｘ "]
)
def test_a_right_number_holds_in_every_written_form(number: str) -> None:
    assert cert_number_problem(number) is None
    assert normalize_cert_number(number) == "11010519491231002X"


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        ("33010320180101010X", "check_digit"),  # the reference's own sample
        ("1101051949123100", "length"),
        ("", "length"),
        ("1101051949123100AX", "format"),
        ("110105194913310021", "component"),  # month 13, right check digit
        ("990105194912310023", "component"),  # unknown region, right check digit
    ],
)
def test_a_wrong_number_is_told_by_what_is_wrong(number: str, problem: str) -> None:
    assert cert_number_problem(number) == problem


def test_a_region_that_is_younger_than_the_person_is_no_fault() -> None:
    assert cert_number_problem("440524188001010014") is None


def test_the_sample_number_holds_with_the_digit_that_it_should_have() -> None:
    assert cert_number_problem("330103201801010105") is None


@given(st.text(max_size=40))
def test_no_text_breaks_the_check_and_none_is_shown_by_its_mask(text: str) -> None:
    cert_number_problem(text)
    masked = mask_cert_number(text)
    assert masked.count("*") >= len(masked) - 2
    assert len(masked) == len(normalize_cert_number(text))
