"""Traits: what tells one machine from another, read where every user may read it.

Linux is read from sysfs and procfs; on other systems only what Python and the system's registry tell. A value
never leaves this room but through a keyed digest: it may hold a serial number.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

TRAITS: Final = ("machine_id", "board", "cpu", "network", "disk", "system")
"""Names of the traits, each from another source, so that a repair changes one of them."""

Traits = Mapping[str, str]
"""Value by the trait's name; empty where it can't be read."""

ReadTraits = Callable[[], Traits]

_TEXT_LENGTH: Final = 4096


def read_traits(root: Path = Path("/")) -> Traits:
    """Read this machine's traits.

    Args:
        root: where ``sys``, ``proc`` and ``etc`` are.

    Returns:
        machine_id: what the installation of the operating system named itself.
        board: maker, product and board of the firmware's table (DMI), without the serial numbers, which only
            root may read: a trait must not depend on who runs the program.
        cpu: model and family.
        network: hardware addresses of the physical interfaces that are built in; USB adapters come and go.
        disk: models and numbers of the disks that are built in.
        system: operating system and processor's kind; not the kernel's version, which an update changes.
    """
    found = dict.fromkeys(TRAITS, "")
    found["system"] = f"{platform.system()} {platform.machine()}"
    if platform.system() == "Linux" or root != Path("/"):
        found["machine_id"] = _text(root / "etc/machine-id")
        dmi = root / "sys/class/dmi/id"
        names = ("sys_vendor", "product_name", "board_vendor", "board_name", "board_version")
        found["board"] = _joined(_text(dmi / name) for name in names) or _text(
            root / "sys/firmware/devicetree/base/model"
        )
        found["cpu"] = _cpu(root / "proc/cpuinfo")
        found["network"] = _joined(sorted(map(_address, _built_in(root / "sys/class/net"))))
        found["disk"] = _joined(sorted(map(_disk, _built_in(root / "sys/block"))))
    else:
        found["machine_id"] = _machine_id()
        found["cpu"] = platform.processor()
        node = uuid.getnode()
        # Where uuid finds no address it makes one up, with the multicast bit set (RFC 4122, section 4.5).
        found["network"] = "" if node >> 40 & 1 else f"{node:012x}"
    return found


def device_model(root: Path = Path("/")) -> str:
    """What the machine is sold as, for ``deviceModel``: maker and product, no serial number; may be empty."""
    dmi = root / "sys/class/dmi/id"
    return _joined((_text(dmi / "sys_vendor"), _text(dmi / "product_name"))) or _text(
        root / "sys/firmware/devicetree/base/model"
    )


def _built_in(folder: Path) -> list[Path]:
    """Entries of a class folder that hang on real hardware, and not on USB."""
    if not folder.is_dir():
        return []
    entries = ((entry, entry / "device") for entry in sorted(folder.iterdir()))
    return [
        entry
        for entry, device in entries
        if device.exists() and not re.search(r"/usb\d", str(device.resolve()))
    ]


def _address(interface: Path) -> str:
    return _text(interface / "address").lower()


def _disk(disk: Path) -> str:
    names = ("wwid", "device/wwid", "serial", "device/serial", "device/model", "device/cid")
    return _joined(_text(disk / name) for name in names)


def _cpu(path: Path) -> str:
    wanted = ("vendor_id", "cpu family", "model", "model name", "CPU implementer", "CPU part", "Hardware")
    lines = (line.partition(":") for line in _text(path, 64 * 1024).splitlines())
    values = {name.strip(): value.strip() for name, _, value in lines}
    return _joined(values.get(name, "") for name in wanted)


def _machine_id() -> str:
    """Windows: MachineGuid of the registry. macOS: IOPlatformUUID."""
    if sys.platform == "win32":
        import winreg

        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SOFTWARE\Microsoft\Cryptography") as key:
                return str(winreg.QueryValueEx(key, "MachineGuid")[0])
        except OSError:
            return ""
    if sys.platform == "darwin":
        command = ["/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice"]
        try:
            told = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout
        except (OSError, subprocess.TimeoutExpired):
            return ""
        found = re.search(r'"IOPlatformUUID" = "([0-9A-Fa-f-]{36})"', told)
        return found[1] if found else ""
    return ""


def _joined(parts: Iterable[str]) -> str:
    return " / ".join(part for part in parts if part)


def _text(path: Path, longest: int = _TEXT_LENGTH) -> str:
    try:
        with path.open("rb") as file:
            return file.read(longest).decode("utf-8", "replace").strip("\x00 \t\r\n")
    except OSError:
        return ""
