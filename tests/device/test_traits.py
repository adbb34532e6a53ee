"""Traits, read off a made-up machine."""

from __future__ import annotations

from pathlib import Path

from pipeline.device.traits import TRAITS, device_model, read_traits


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def machine(root: Path) -> Path:
    write(root / "etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    dmi = root / "sys/class/dmi/id"
    for name, value in {
        "sys_vendor": "Maker",
        "product_name": "Desk 5",
        "board_name": "B17",
        "product_serial": "SERIAL-1",
        "product_uuid": "UUID-1",
    }.items():
        write(dmi / name, value + "\n")
    write(root / "proc/cpuinfo", "processor : 0\nvendor_id : Thing\nmodel name : Thing 9\ncpu MHz : 2100.5\n")
    devices = root / "sys/devices/pci0000:00"
    for kind, name, place, files in (
        ("class/net", "eth0", "0000:00:1f.6/net/eth0", {"address": "AA:BB:CC:00:00:01"}),
        ("class/net", "usb0", "0000:00:14.0/usb1/1-1/net/usb0", {"address": "AA:BB:CC:00:00:02"}),
        ("block", "nvme0n1", "0000:01:00.0/nvme/nvme0/nvme0n1", {"wwid": "eui.01"}),
        ("block", "sdb", "0000:00:14.0/usb2/2-1/block/sdb", {"device/model": "Stick"}),
    ):
        place_dir = devices / place
        place_dir.mkdir(parents=True)
        (place_dir / "device").mkdir()
        for file, value in files.items():
            write(place_dir / file, value + "\n")
        folder = root / "sys" / kind
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(place_dir)
    virtual = root / "sys/devices/virtual/net/lo"
    write(virtual / "address", "00:00:00:00:00:00\n")
    (root / "sys/class/net/lo").symlink_to(virtual)
    return root


def test_what_is_read_and_what_is_left_out(tmp_path: Path) -> None:
    found = read_traits(machine(tmp_path))
    assert tuple(found) == TRAITS
    assert found["machine_id"] == "0123456789abcdef0123456789abcdef"
    assert found["board"] == "Maker / Desk 5 / B17"
    assert found["cpu"] == "Thing / Thing 9"
    assert found["network"] == "aa:bb:cc:00:00:01"
    assert found["disk"] == "eui.01"
    assert "SERIAL" not in str(found)
    assert device_model(tmp_path) == "Maker / Desk 5"


def test_a_machine_that_tells_nothing_has_empty_traits(tmp_path: Path) -> None:
    found = read_traits(tmp_path)
    assert {name for name, value in found.items() if value} == {"system"}
    assert device_model(tmp_path) == ""


def test_this_machine_is_read_twice_alike() -> None:
    assert read_traits() == read_traits()
