"""Certificate numbers (证件号): one written form, the GB 11643 check in three settings, and a masked form.

The check itself is python-stdnum's (`stdnum.cn.ric`). The reference's own sample number,
``33010320180101010X``, fails it (its check digit would be 5), so a setting that only warns exists.
"""

from __future__ import annotations

import unicodedata
from enum import StrEnum

from stdnum import numdb
from stdnum.cn import ric
from stdnum.exceptions import InvalidChecksum, InvalidFormat, InvalidLength, ValidationError


class CertCheck(StrEnum):
    """What a number that fails GB 11643 leads to."""

    OFF = "off"
    """It is not looked at."""
    WARN = "warn"
    """It is told, and used all the same."""
    STRICT = "strict"
    """It is refused."""


def normalize_cert_number(text: str) -> str:
    """Bring a number into its one written form: NFKC, no white space at the ends, upper-case ``X``.

    Args:
        text: the number as typed; full-width digits and a small ``x`` are usual.
    """
    return unicodedata.normalize("NFKC", text).strip().upper()


def cert_number_problem(number: str) -> str | None:
    """Check a number by GB 11643-1999: 18 characters, a known region, a real date, the ISO 7064 check digit.

    A region that did not exist in the year of birth is let through: numbers were first given out in 1984, to
    people of every age, by the regions of the day.

    Args:
        number: in any written form.

    Returns:
        None where it holds, else what does not: ``length``, ``format``, ``check_digit`` or ``component``
        (region or date of birth). Never the number.
    """
    number = normalize_cert_number(number)
    try:
        ric.validate(number)
    except InvalidLength:
        return "length"
    except InvalidFormat:
        return "format"
    except InvalidChecksum:
        return "check_digit"
    except ValidationError:
        return None if _is_younger_region(number) else "component"
    return None


def _is_younger_region(number: str) -> bool:
    """True where the date is real and the region is one, only not yet in that year."""
    try:
        ric.get_birth_date(number)
    except ValidationError:
        return False
    return any("county" in properties for _, properties in numdb.get("cn/loc").info(number[:6]))


def mask_cert_number(number: str) -> str:
    """Show the last two characters only, for a report: ``****************0X``."""
    text = normalize_cert_number(number)
    if len(text) < 8:
        return "*" * len(text)
    return "*" * (len(text) - 2) + text[-2:]
