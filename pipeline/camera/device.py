"""Capture devices: which node an index means, whose it is, and that it is still the same one after a loss."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from pipeline.camera.capture import Capture, CaptureFactory, open_cv_device
from pipeline.camera.clock import Clock
from pipeline.camera.identity import SYSFS_ROOT, DeviceIdentity, identify, list_cameras
from pipeline.camera.source import SourceInfo, SourceOptions
from pipeline.errors import SourceOpenError

DEV_ROOT: Final = Path("/dev")
_LIST: Final = "`livegate doctor` lists the cameras of this machine."

_FOREIGN: Final = "its node leads to another device than the one of that name in sysfs"

Opener = Callable[[int, SourceOptions, Clock], Capture]


def device_source(
    index: int,
    options: SourceOptions,
    clock: Clock,
    *,
    opener: Opener = open_cv_device,
    sysfs_root: Path = SYSFS_ROOT,
    dev_root: Path = DEV_ROOT,
    linux: bool = sys.platform.startswith("linux"),
) -> tuple[CaptureFactory, SourceInfo]:
    """What `LiveSource` needs for a camera.

    After a loss the factory opens the device with the same identity again, also where it came back under
    another number, and nothing else: a virtual camera that took the number over is refused.

    Args:
        index: number of the camera.
        options: wishes for size and rate.
        clock: for the capture.
        opener: opens the camera of a number.
        sysfs_root: where sysfs is mounted.
        dev_root: folder of the device nodes.
        linux: whether nodes and sysfs are there to be looked at.

    Returns:
        Factory and description.

    Raises:
        SourceOpenError: there is no such camera, or no right to use it.
    """
    if not linux:
        reason = f"how a camera is attached can be told on Linux only, not on {sys.platform}"
        name = f"camera {index}"
        return (
            lambda: opener(index, options, clock),
            SourceInfo(kind="device", name=name, live=True, trusted=False, reason=reason),
        )
    node = dev_root / f"video{index}"
    _check_node(node)
    identity = identify(node.name, sysfs_root)
    if identity is not None and not _is_its_node(node, sysfs_root):
        foreign = replace(device_info(str(node), None), reason=_FOREIGN)
        return (lambda: opener(index, options, clock)), foreign
    info = device_info(str(node), identity)

    def open_same() -> Capture:
        if identity is None:
            return opener(index, options, clock)
        now_at = _find(identity, sysfs_root)
        capture = opener(now_at, options, clock)
        # looked at again, because the node could have changed hands while it was opened
        there = _is_its_node(dev_root / f"video{now_at}", sysfs_root)
        if not (there and _same(identify(f"video{now_at}", sysfs_root), identity)):
            capture.close()
            raise SourceOpenError(f"{node} changed while it was opened", hint=_LIST)
        return capture

    return open_same, info


def device_info(node: str, identity: DeviceIdentity | None) -> SourceInfo:
    """Description of a capture device.

    Args:
        node: path of its device node.
        identity: what sysfs tells of it; None where it tells nothing, and nothing is trusted then.
    """
    return SourceInfo(
        kind="device",
        name=node,
        live=True,
        trusted=identity is not None and identity.physical,
        reason=identity.reason if identity else "sysfs does not know this device",
        identity=identity,
    )


def _check_node(node: Path) -> None:
    if not node.exists():
        raise SourceOpenError(f"there is no camera {node}", hint=_LIST)
    if not os.access(node, os.R_OK | os.W_OK):
        raise SourceOpenError(f"this user may not use {node}", hint="Add the user to the group `video`.")


def _is_its_node(node: Path, sysfs_root: Path) -> bool:
    """True where a device node leads to the device of which sysfs tells under the node's name.

    A node is a name that anybody with the right to make one can give away: a container whose `/dev/video0` is
    the host's loopback sees the host's camera in sysfs. The kernel's numbers tell them apart. What is no
    device node can't be opened as a camera anyway.
    """
    try:
        found = node.stat()
        if not stat.S_ISCHR(found.st_mode):
            return True
        told = (sysfs_root / "class" / "video4linux" / node.name / "dev").read_text("ascii").strip()
    except (OSError, ValueError):
        return False
    return told == f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"


def _find(identity: DeviceIdentity, sysfs_root: Path) -> int:
    """Number of the node that has this identity; its own old number first."""
    if _same(identify(identity.node, sysfs_root), identity):
        return int(identity.node[5:])
    for other in list_cameras(sysfs_root):
        if _same(other, identity):
            return int(other.node[5:])
    raise SourceOpenError(f"{identity.node} is not there any more", hint=_LIST)


def _same(one: DeviceIdentity | None, other: DeviceIdentity) -> bool:
    return one is not None and (one.id, one.function, one.physical) == (
        other.id,
        other.function,
        other.physical,
    )
