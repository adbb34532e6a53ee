from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.camera import DeviceIdentity, identify, list_cameras


class Sysfs:
    """Builds a sysfs tree as the kernel lays it out."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "class" / "video4linux").mkdir(parents=True)
        (root / "devices" / "virtual").mkdir(parents=True)

    def device(
        self, path: str, subsystem: str = "", driver: str = "", *, described: bool = False, **files: str
    ) -> Path:
        place = self.root / "devices" / path
        place.mkdir(parents=True, exist_ok=True)
        if subsystem:
            self.link(place / "subsystem", self.root / "bus" / subsystem)
        if driver:
            self.link(place / "driver", self.root / "bus" / (subsystem or "none") / "drivers" / driver)
        if described:
            self.link(place / "of_node", self.root / "firmware" / "devicetree" / "base" / place.name)
        for name, text in files.items():
            (place / name).write_text(f"{text}\n")
        return place

    def link(self, at: Path, to: Path) -> None:
        to.mkdir(parents=True, exist_ok=True)
        if not at.is_symlink():
            at.symlink_to(to)

    def node(self, name: str, parent: Path | None, card: str, index: int = 0) -> None:
        place = (parent or self.root / "devices" / "virtual") / "video4linux" / name
        place.mkdir(parents=True)
        (place / "name").write_text(f"{card}\n")
        (place / "index").write_text(f"{index}\n")
        self.link(place / "subsystem", self.root / "class" / "video4linux")
        if parent is not None:
            (place / "device").symlink_to(parent)
        (self.root / "class" / "video4linux" / name).symlink_to(place)

    def usb_camera(
        self,
        name: str,
        card: str = "Integrated Camera",
        *,
        host: str = "pci0000:00/0000:00:14.0",
        vendor: str = "046d",
        product: str = "0825",
        serial: str = "",
        index: int = 0,
        driver: str = "uvcvideo",
    ) -> None:
        if host.startswith("pci"):
            self.device(host.partition("/")[0])
            self.device(host, "pci", "xhci_hcd")
        self.device(f"{host}/usb1", "usb", "usb")
        numbers = {"idVendor": vendor, "idProduct": product} | ({"serial": serial} if serial else {})
        device = f"{host}/usb1/1-{name[5:]}"
        self.device(device, "usb", "usb", **numbers)
        interface = self.device(f"{device}/1-{name[5:]}:1.0", "usb", driver)
        self.node(name, interface, card, index)


@pytest.fixture
def sysfs(tmp_path: Path) -> Sysfs:
    return Sysfs(tmp_path / "sys")


def of(sysfs: Sysfs, node: str = "video0") -> DeviceIdentity:
    identity = identify(node, sysfs.root)
    assert identity is not None
    return identity


def test_a_usb_camera_below_a_pci_host_is_physical(sysfs: Sysfs) -> None:
    sysfs.usb_camera("video0", "UVC Camera (046d:0825)", serial="3F2A")
    identity = of(sysfs)
    assert identity.physical, identity.reason
    assert (identity.bus, identity.driver, identity.card) == ("usb", "uvcvideo", "UVC Camera (046d:0825)")
    assert (identity.vendor, identity.product, identity.serial) == ("046d", "0825", "3F2A")
    assert identity.id == "usb:046d:0825:3F2A"


def test_without_a_serial_number_the_port_tells_two_equal_cameras_apart(sysfs: Sysfs) -> None:
    sysfs.usb_camera("video0")
    assert of(sysfs).id == "usb:046d:0825@1-0"


def test_v4l2loopback_is_virtual(sysfs: Sysfs) -> None:
    sysfs.node("video10", None, "Dummy video device (0x0000)")
    identity = of(sysfs, "video10")
    assert not identity.physical
    assert (identity.bus, identity.id) == ("virtual", "virtual:video10")
    assert "no parent device" in identity.reason


def test_a_virtual_device_is_not_believed_when_it_calls_itself_a_camera(sysfs: Sysfs) -> None:
    sysfs.node("video0", None, "Integrated Camera")
    assert not of(sysfs).physical
    assert of(sysfs).bus == "virtual"


def test_a_virtual_device_with_a_parent_below_virtual_is_virtual(sysfs: Sysfs) -> None:
    parent = sysfs.device("virtual/misc/akvcam", "usb", "uvcvideo", idVendor="046d", idProduct="0825")
    sysfs.node("video0", parent, "HD Webcam")
    assert of(sysfs).bus == "virtual"
    assert not of(sysfs).physical


@pytest.mark.parametrize(
    "card", ["OBS Virtual Camera", "DroidCam", "my v4l2loopback", "Iriun Webcam", "ManyCam Video Source"]
)
def test_a_virtual_cameras_name_on_a_real_bus_is_suspicious(card: str, sysfs: Sysfs) -> None:
    sysfs.usb_camera("video0", card)
    assert not of(sysfs).physical
    assert "calls itself a virtual camera" in of(sysfs).reason


@pytest.mark.parametrize("card", ["Integrated Camera", "HD Pro Webcam C920", "BRIO 4K", "Observer X1"])
def test_ordinary_names_are_not_suspicious(card: str, sysfs: Sysfs) -> None:
    sysfs.usb_camera("video0", card)
    assert of(sysfs).physical


@pytest.mark.parametrize("host", ["platform/vhci_hcd.0", "platform/dummy_hcd.0"])
def test_usb_over_a_made_up_host_controller_is_not_physical(host: str, sysfs: Sysfs) -> None:
    sysfs.device(host, "platform", host.split("/")[1].split(".")[0])
    sysfs.usb_camera("video0", host=host)
    assert not of(sysfs).physical
    assert "host controller" in of(sysfs).reason


def test_usb_over_an_unknown_platform_device_that_no_firmware_describes_is_not_physical(sysfs: Sysfs) -> None:
    sysfs.device("platform/renamed.0", "platform", "innocent")
    sysfs.usb_camera("video0", host="platform/renamed.0")
    assert not of(sysfs).physical


def test_usb_on_a_boards_own_controller_is_physical(sysfs: Sysfs) -> None:
    sysfs.device("platform/soc", "platform", described=True)
    sysfs.device("platform/soc/fe980000.usb", "platform", "dwc2", described=True)
    sysfs.usb_camera("video0", host="platform/soc/fe980000.usb")
    assert of(sysfs).physical, of(sysfs).reason


def test_a_boards_own_camera_is_physical_only_if_the_firmware_describes_it(sysfs: Sysfs) -> None:
    real = sysfs.device("platform/soc/fe801000.csi", "platform", "unicam", described=True)
    sysfs.node("video0", real, "unicam")
    made_up = sysfs.device("platform/cam.0", "platform", "innocent")
    sysfs.node("video1", made_up, "camera")
    assert of(sysfs).physical, of(sysfs).reason
    assert of(sysfs).id == "platform:unicam@fe801000.csi"
    assert not of(sysfs, "video1").physical


@pytest.mark.parametrize("driver", ["vivid", "vimc"])
def test_the_kernels_test_drivers_are_virtual(driver: str, sysfs: Sysfs) -> None:
    parent = sysfs.device(f"platform/{driver}.0", "platform", driver, described=True)
    sysfs.node("video0", parent, "camera")
    assert not of(sysfs).physical
    assert driver in of(sysfs).reason


def test_a_pci_camera_is_physical(sysfs: Sysfs) -> None:
    sysfs.device("pci0000:00")
    parent = sysfs.device("pci0000:00/0000:00:05.0", "pci", "intel-ipu6", vendor="0x8086", device="0x5d19")
    sysfs.node("video0", parent, "ipu6")
    assert of(sysfs).physical, of(sysfs).reason
    assert of(sysfs).id == "pci:8086:5d19@0000:00:05.0"


def test_a_frame_grabber_is_not_trusted(sysfs: Sysfs) -> None:
    sysfs.usb_camera("video0", "USB Video", vendor="534d", product="2109")
    assert not of(sysfs).physical
    assert "frame grabber" in of(sysfs).reason


def test_a_usb_device_without_numbers_or_host_is_not_physical(sysfs: Sysfs) -> None:
    parent = sysfs.device("pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0", "usb", "uvcvideo")
    sysfs.node("video0", parent, "camera")
    orphan = sysfs.device("elsewhere/1-1/1-1:1.0", "usb", "uvcvideo")
    (orphan.parent / "idVendor").write_text("046d\n")
    sysfs.node("video1", orphan, "camera")
    assert not of(sysfs, "video0").physical
    assert not of(sysfs, "video1").physical


def test_a_link_that_leads_out_of_sysfs_is_not_physical(sysfs: Sysfs, tmp_path: Path) -> None:
    other = Sysfs(tmp_path / "elsewhere")
    other.usb_camera("video0")
    other.node("video1", other.device("platform/csi", "platform", "unicam", described=True), "unicam")
    for node in ("video0", "video1"):
        assert of(other, node).physical
        (sysfs.root / "class" / "video4linux" / node).symlink_to(other.root / "class" / "video4linux" / node)
        assert not of(sysfs, node).physical


def test_an_unknown_bus_is_not_physical(sysfs: Sysfs) -> None:
    sysfs.node("video0", sysfs.device("foo/bar", "strange", "driver"), "camera")
    assert (of(sysfs).bus, of(sysfs).physical) == ("unknown", False)


def test_a_node_that_sysfs_does_not_know_has_no_identity(sysfs: Sysfs, tmp_path: Path) -> None:
    assert identify("video0", sysfs.root) is None
    assert identify("video0", tmp_path / "nothing") is None
    assert identify("../../../etc", sysfs.root) is None


def test_cameras_are_listed_by_number(sysfs: Sysfs, tmp_path: Path) -> None:
    sysfs.usb_camera("video10")
    sysfs.usb_camera("video2", index=1)
    sysfs.node("video3", None, "loopback")
    sysfs.link(sysfs.root / "class" / "video4linux" / "v4l-subdev0", sysfs.root / "devices" / "x")
    cameras = list_cameras(sysfs.root)
    assert [camera.node for camera in cameras] == ["video2", "video3", "video10"]
    assert [camera.physical for camera in cameras] == [True, False, True]
    assert [camera.function for camera in cameras] == [1, 0, 0]
    assert list_cameras(tmp_path / "nothing") == []


def test_broken_files_of_sysfs_are_no_error(sysfs: Sysfs) -> None:
    sysfs.usb_camera("video0", "a\x1b[31mname" + "x" * 5000)
    place = (sysfs.root / "class" / "video4linux" / "video0").resolve()
    (place / "index").write_bytes(b"\xff\xfe")
    identity = of(sysfs)
    assert "\x1b" not in identity.card
    assert len(identity.card) <= 256
    assert identity.function == 0
