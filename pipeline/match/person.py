"""`Person`: whose face it should be. Its values are in no repr and can't be pickled."""

from __future__ import annotations

import logging
import re
import unicodedata
from dataclasses import dataclass, field
from typing import Final, NoReturn

from pipeline.errors import UsageError
from pipeline.protocol.cert_number import CertCheck, cert_number_problem, normalize_cert_number

log = logging.getLogger("livegate.match")

MAX_NAME: Final = 128

_CERT_NUMBER: Final = re.compile(r"[0-9A-Z()/-]{1,64}", re.ASCII)
# Not str.isprintable(): rare names are written with private-use or quite new characters, which it refuses.
_NOT_IN_NAMES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_PROBLEMS: Final = {
    "length": "it is not 18 characters long",
    "format": "it holds characters that an ID number can't have",
    "component": "its region or its birth date does not exist",
    "check_digit": "its check digit is wrong",
}


@dataclass(frozen=True, slots=True)
class Person:
    """A name and the number of the certificate that proves it.

    Attributes:
        name: as on the certificate, 1 to `MAX_NAME` characters, no control characters.
        cert_number: ``certNumber`` (身份证件号), 1 to 64 letters, digits, brackets, ``-`` and ``/``, in the
            form that `normalize_cert_number` gives it.

    Raises:
        UsageError: a value is empty, too long or holds characters that neither can have.

    Example:
        >>> Person("张三", "33010320180101010X")
        Person(...)
    """

    name: str = field(repr=False)
    cert_number: str = field(repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not isinstance(self.cert_number, str):
            raise UsageError("A person's name and certificate number are text.")
        bad = _NOT_IN_NAMES.intersection(map(unicodedata.category, self.name))
        if bad or not self.name.strip() or len(self.name) > MAX_NAME:
            raise UsageError(f"A name is 1 to {MAX_NAME} characters, none of them a control character.")
        object.__setattr__(self, "cert_number", normalize_cert_number(self.cert_number))
        if not _CERT_NUMBER.fullmatch(self.cert_number):
            raise UsageError("A certificate number is 1 to 64 letters, digits, brackets, dashes and slashes.")

    def check_cert_number(self, setting: CertCheck = CertCheck.WARN) -> str | None:
        """Look at the number by GB 11643 (居民身份证): region, birth date and check digit.

        Args:
            setting: ``off`` does nothing; ``warn`` logs what is wrong, without the number, and goes on: other
                certificates and the reference's own sample number (a wrong check digit) stay usable;
                ``strict`` refuses.

        Returns:
            What is wrong, one of `cert_number_problem`'s words, or None.

        Raises:
            UsageError: ``strict``, and the number does not hold.
        """
        if setting is CertCheck.OFF:
            return None
        problem = cert_number_problem(self.cert_number)
        if problem is None:
            return None
        sentence = f"The certificate number is not a valid ID number: {_PROBLEMS[problem]}."
        if setting is CertCheck.STRICT:
            raise UsageError(sentence, hint="Correct the number.")
        log.warning("%s", sentence)
        return problem

    def __repr__(self) -> str:
        return "Person(...)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise UsageError("A Person can't be pickled or copied.")
