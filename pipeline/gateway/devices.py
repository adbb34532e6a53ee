"""``metainfo``: which device asks, and whether device, system and SDK are supported."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pipeline.errors import UsageError

VALUE_LENGTH: Final = 4096
"""Longest value of a field that is looked at; a fingerprint's token has some hundred characters."""

_VERSION: Final = re.compile(r"\d{1,9}(\.\d{1,9}){0,7}", re.ASCII)


@dataclass(frozen=True, slots=True)
class DeviceRules:
    """What is supported. A rule that is left out asks nothing, so an unknown field stays unread.

    Attributes:
        types: supported ``deviceType``, lower case, ``ios`` for instance; None for all.
        refused_models: ``deviceModel`` that are not supported.
        least_os: lowest ``osVersion`` by ``deviceType``, lower case.
        least_sdk: lowest ``zimVer``.
    """

    types: frozenset[str] | None = None
    refused_models: frozenset[str] = frozenset()
    least_os: Mapping[str, str] = field(default_factory=dict)
    least_sdk: str | None = None

    def __post_init__(self) -> None:
        versions = [*self.least_os.values(), *([self.least_sdk] if self.least_sdk is not None else [])]
        if any(read_version(version) is None for version in versions):
            raise UsageError("a lowest version is numbers parted by dots")

    def problem(self, meta: Mapping[str, Any]) -> str | None:
        """Check a device.

        Args:
            meta: ``metainfo``'s fields.

        Returns:
            Detailed code of the first rule that it breaks: Z5102 where a field that a rule needs is missing,
            Z5103 where one can't be read, Z1108, Z1109, Z1110 where device, system or SDK is not supported.
            None where all hold.
        """
        kind = ""
        if self.types is not None or self.least_os:
            found = _field(meta, "deviceType")
            if not isinstance(found, str):
                return found.code
            kind = found.lower()
            if self.types is not None and kind not in self.types:
                return "Z1108"
        if self.refused_models:
            model = _field(meta, "deviceModel")
            if not isinstance(model, str):
                return model.code
            if model in self.refused_models:
                return "Z1108"
        least_os = self.least_os.get(kind)
        for name, least, code in (("osVersion", least_os, "Z1109"), ("zimVer", self.least_sdk, "Z1110")):
            if least is None:
                continue
            value = _field(meta, name)
            if not isinstance(value, str):
                return value.code
            version, lowest = read_version(value), read_version(least)
            if version is None or lowest is None:
                return "Z5103"
            if version < lowest:
                return code
        return None


@dataclass(frozen=True, slots=True)
class _Wrong:
    code: str


def device_of(meta: Mapping[str, Any]) -> tuple[str, str] | str | None:
    """The device that failures are counted for: its model and the token of its fingerprint.

    A model alone stands for a million devices, so without ``apdidToken`` no device is known.

    Returns:
        ``deviceModel`` (empty where absent) and ``apdidToken``; None where there is no token; Z5103 where
        one of them can't be read.
    """
    if meta.get("apdidToken") in (None, ""):
        return None
    token = _field(meta, "apdidToken")
    model = _field(meta, "deviceModel") if meta.get("deviceModel") else ""
    if isinstance(token, _Wrong) or isinstance(model, _Wrong):
        return "Z5103"
    return model, token


def read_version(text: str) -> tuple[int, ...] | None:
    """Numbers parted by dots, without zeros at the end (3.0 is 3); None where it is anything else."""
    if not _VERSION.fullmatch(text.strip()):
        return None
    numbers = [int(part) for part in text.strip().split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _field(meta: Mapping[str, Any], name: str) -> str | _Wrong:
    value = meta.get(name)
    if value is None or value == "":
        return _Wrong("Z5102")
    if not isinstance(value, str) or len(value) > VALUE_LENGTH or not value.strip():
        return _Wrong("Z5103")
    return value
