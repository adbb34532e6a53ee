"""``metainfo``: what the app hands to its server for ``init``. No serial number and no address is in it."""

from __future__ import annotations

import json
import platform
import re
from dataclasses import dataclass
from typing import Final

from pipeline import __version__
from pipeline.device.traits import device_model
from pipeline.errors import UsageError
from pipeline.protocol.attestation import InstallKey

_WORD: Final = re.compile(r"[ -~]{1,64}", re.ASCII)
_TYPES: Final = {"Linux": "linux", "Darwin": "macos", "Windows": "windows"}


@dataclass(frozen=True, slots=True)
class App:
    """The program that uses the SDK.

    Attributes:
        name: 1 to 64 printable ASCII characters.
        version: the same.

    Raises:
        UsageError: a value is anything else.
    """

    name: str
    version: str

    def __post_init__(self) -> None:
        if not (_WORD.fullmatch(self.name) and _WORD.fullmatch(self.version)):
            raise UsageError("an app's name and version are 1 to 64 printable ASCII characters each")


def metainfo(app: App, install: InstallKey) -> str:
    """Write ``metainfo`` as the service's mobile SDKs do.

    Args:
        app: the program.
        install: the installation; ``apdidToken`` names its id and its key, so that the session which ``init``
            opens belongs to it.

    Returns:
        A JSON object with the names that the service's SDKs use.
    """
    fields = {
        "zimVer": __version__,
        "appVersion": app.version,
        "bioMetaInfo": f"livegate {__version__}",
        "appName": app.name,
        "deviceType": _TYPES.get(platform.system(), "desktop"),
        "osVersion": os_version(),
        "apdidToken": install.token,
        "deviceModel": device_model(),
    }
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def os_version() -> str:
    """The operating system's version as numbers parted by dots, as device rules want it; 0 if unknown."""
    told = platform.mac_ver()[0] or (
        platform.version() if platform.system() == "Windows" else platform.release()
    )
    found = re.match(r"\d{1,9}(\.\d{1,9}){0,7}", told, re.ASCII)
    return found[0] if found else "0"
