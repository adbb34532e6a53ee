"""Certificate numbers (证件号): one written form, the GB 11643 check in three settings, and a masked form.

The check itself is python-stdnum's (`stdnum.cn.ric`). The reference's own sample number,
``33010320180101010X``, fails it (its check digit would be 5), so a setting that only warns exists.
"""

from __future__ import annotations

import unicodedata
from enum import StrEnum

from stdnum.cn import ric
from stdnum.exceptions import (
    InvalidChecksum,
    InvalidComponent,
    InvalidFormat,
    InvalidLength,
    ValidationError,
)


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

    Args:
        number: in any written form.

    Returns:
        None where it holds, else what does not: ``length``, ``format``, ``component`` (region or date) or
        ``check_digit``. Never the number.
    """
    try:
        ric.validate(normalize_cert_number(number))
    except InvalidLength:
        return "length"
    except InvalidFormat:
        return "format"
    except InvalidComponent:
        return "component"
    except InvalidChecksum:
        return "check_digit"
    except ValidationError:
        return "format"
    return None


def mask_cert_number(number: str) -> str:
    """Show the last two characters only, for a report: ``****************0X``."""
    text = normalize_cert_number(number)
    if len(text) < 8:
        return "*" * len(text)
    return "*" * (len(text) - 2) + text[-2:]
