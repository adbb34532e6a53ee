"""Identity of a capture device: how it is attached to the machine, and whether that makes it a real camera.

A device can call itself what it likes, so its name is never a reason to trust it, only one to distrust it.
What counts is the place of its node in sysfs (Linux, ``Documentation/ABI`` and ``Documentation/admin-guide``
of the kernel: every device is a folder below ``/sys/devices``, ``subsystem`` and ``driver`` are symlinks):

* PCI and USB devices hang below a host controller that the firmware or a PCI bus enumerated;
* a SoC's own camera is a platform device that the device tree or ACPI describes (``of_node``,
  ``firmware_node``);
* v4l2loopback, akvcam and the like have no parent, or lie below ``/sys/devices/virtual``; vivid and vimc are
  platform devices that no firmware describes; usbip and dummy_hcd bring USB host controllers of that kind.

What this can't see: a frame grabber that shows a player's HDMI signal (those whose USB numbers are known are
listed), a camera filming a screen, an emulated controller inside a virtual machine, a kernel that lies.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

SYSFS_ROOT: Final = Path("/sys")

Bus = Literal["usb", "pci", "platform", "virtual", "unknown"]

_VIRTUAL_DRIVERS: Final = frozenset(
    {"akvcam", "dummy_hcd", "v4l2loopback", "vhci_hcd", "vicodec", "vim2m", "vimc", "visl", "vivid"}
)
_VIRTUAL_NAMES: Final = re.compile(
    r"\bobs\b|virtual|loopback|dummy|akvcam|vivid|vimc|droidcam|iriun|ivcam|manycam|epoccam|camo\b|webcamoid"
    r"|snap camera|xsplit|sparkocam|splitcam|scrcpy|e2esoft|vcam|\bndi\b|fake|screen capture",
    re.IGNORECASE,
)
# MacroSilicon MS210x and MS213x: chips that turn HDMI or AV signals into a USB camera and do nothing else.
_GRABBERS: Final = frozenset({"534d:0021", "534d:2109", "345f:2109", "345f:2130"})


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """How a capture device is attached.

    Attributes:
        node: name of its node, ``video0``.
        function: number of the node within its device; 0 is the picture, others may be metadata.
        card: the name that it gives itself.
        bus: what it hangs on; ``virtual`` for none.
        driver: kernel driver, or "" where none is named.
        vendor, product: four hex digits each of the USB or PCI numbers, or "".
        serial: USB serial number, or "".
        port: place on its bus, ``1-1.2`` or ``0000:00:05.0``; the device's name on others.
        physical: True for a real device on a real bus with nothing that speaks against it.
        reason: one sentence: why it is physical, or why it is not.
    """

    node: str
    function: int
    card: str
    bus: Bus
    driver: str
    vendor: str
    product: str
    serial: str
    port: str
    physical: bool
    reason: str

    @property
    def id(self) -> str:
        """Stable name for allow-lists: ``usb:046d:0825:SERIAL``, or ``@PORT`` without a serial number.

        ``pci:8086:9d32@0000:00:14.3``, ``platform:unicam@fe801000.csi``, ``virtual:video10``.
        """
        if self.bus in ("virtual", "unknown"):
            return f"{self.bus}:{self.node}"
        numbers = f"{self.vendor}:{self.product}" if self.vendor else self.driver
        return f"{self.bus}:{numbers}:{self.serial}" if self.serial else f"{self.bus}:{numbers}@{self.port}"


def identify(node: str, sysfs_root: Path = SYSFS_ROOT) -> DeviceIdentity | None:
    """Identity of one capture device, read from sysfs; nothing is opened but small text files.

    Args:
        node: ``video0``.
        sysfs_root: where sysfs is mounted.

    Returns:
        The identity, or None where sysfs does not know the node (another system, a container).
    """
    entry = sysfs_root / "class" / "video4linux" / node
    if not re.fullmatch(r"video\d{1,6}", node) or not entry.exists():
        return None
    place = entry.resolve()
    card = _text(place / "name")
    function = _text(place / "index")
    devices = (sysfs_root / "devices").resolve()
    parent = (place / "device").resolve() if (place / "device").exists() else None
    inside = place.is_relative_to(devices) and (parent is None or parent.is_relative_to(devices))
    if parent is None or not inside or _is_virtual(parent, devices) or _is_virtual(place, devices):
        bus: Bus = "virtual"
        driver, numbers = _link(parent / "driver") if parent else "", _Numbers()
        problem = "it has no parent device: a program, not a camera, feeds it"
    else:
        driver = _link(parent / "driver")
        bus, numbers, problem = _on_bus(parent, devices)
    if not problem:
        problem = _suspicion(card, driver, numbers)
    return DeviceIdentity(
        node=node,
        function=int(function) if function.isdecimal() and len(function) < 6 else 0,
        card=card,
        bus=bus,
        driver=driver,
        vendor=numbers.vendor,
        product=numbers.product,
        serial=numbers.serial,
        port=numbers.port,
        physical=not problem,
        reason=problem or f"it is a physical device on the {bus} bus",
    )


def list_cameras(sysfs_root: Path = SYSFS_ROOT) -> list[DeviceIdentity]:
    """All capture devices that sysfs knows, by number; empty on other systems.

    Args:
        sysfs_root: where sysfs is mounted.
    """
    folder = sysfs_root / "class" / "video4linux"
    if not folder.is_dir():
        return []
    nodes = sorted(
        (entry.name for entry in folder.iterdir() if re.fullmatch(r"video\d{1,6}", entry.name)),
        key=lambda name: int(name[5:]),
    )
    return [identity for node in nodes if (identity := identify(node, sysfs_root)) is not None]


@dataclass(frozen=True, slots=True)
class _Numbers:
    vendor: str = ""
    product: str = ""
    serial: str = ""
    port: str = ""


def _on_bus(parent: Path, devices: Path) -> tuple[Bus, _Numbers, str]:
    """Bus of a device, its numbers, and what speaks against it ("" for nothing)."""
    bus = _link(parent / "subsystem")
    if bus == "usb":
        # the parent is an interface, 1-1.2:1.0; the device above it, 1-1.2, has the numbers
        device = parent if (parent / "idVendor").is_file() else parent.parent
        usb = _Numbers(
            _text(device / "idVendor"), _text(device / "idProduct"), _text(device / "serial"), device.name
        )
        if not usb.vendor:
            return "usb", usb, "its USB device has no vendor number"
        return "usb", usb, _host_problem(device, devices)
    if bus == "pci":
        numbers = _Numbers(
            _text(parent / "vendor").removeprefix("0x"),
            _text(parent / "device").removeprefix("0x"),
            port=parent.name,
        )
        return "pci", numbers, _host_problem(parent, devices)
    numbers = _Numbers(port=parent.name)
    if bus == "platform":
        described = _described(parent)
        return "platform", numbers, "" if described else "no firmware describes it: a driver made it up"
    return "unknown", numbers, f"its bus ({bus or 'none'}) is not one that cameras hang on"


def _host_problem(device: Path, devices: Path) -> str:
    """What speaks against the chain above a device: it must end at a PCI root or a described platform."""
    for above in device.parents:
        if not above.is_relative_to(devices) or above == devices:
            break
        if above.parent == devices and re.fullmatch(r"pci[0-9a-f]{4,8}:[0-9a-f]{2}", above.name):
            return ""
        if _link(above / "subsystem") == "pci":
            continue
        if _link(above / "subsystem") == "platform":
            driver = _link(above / "driver")
            if driver in _VIRTUAL_DRIVERS or not _described(above):
                return f"its host controller ({driver or above.name}) is not a real one"
            return ""
    return "the chain of its host controllers does not end in hardware"


def _suspicion(card: str, driver: str, numbers: _Numbers) -> str:
    if driver in _VIRTUAL_DRIVERS:
        return f"its driver ({driver}) is that of a virtual camera"
    if _VIRTUAL_NAMES.search(card):
        return "it is on a real bus and calls itself a virtual camera"
    if f"{numbers.vendor}:{numbers.product}" in _GRABBERS:
        return "it is a frame grabber: what it shows can be any player's signal"
    return ""


def _described(device: Path) -> bool:
    return (device / "of_node").exists() or (device / "firmware_node").exists()


def _is_virtual(place: Path, devices: Path) -> bool:
    return place.is_relative_to(devices / "virtual")


def _link(path: Path) -> str:
    """Last part of what a symlink points to, or ""."""
    return path.resolve().name if path.exists() else ""


def _text(path: Path) -> str:
    """First 256 printable characters of a small file, or ""."""
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            raw = file.read(1024)
    except OSError:
        return ""
    text = raw.decode("utf-8", "replace").strip()
    return "".join(character for character in text if character.isprintable())[:256]
