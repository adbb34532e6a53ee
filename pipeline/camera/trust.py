"""May frames of this source lead to an upload? A verdict with its reason."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pipeline.camera.address import StreamAddress
from pipeline.camera.source import SourceInfo


@dataclass(frozen=True, slots=True)
class SourceVerdict:
    """Whether a source is trusted.

    Attributes:
        trusted: True where its frames may lead to an upload.
        reason: one sentence for the operator, free of credentials.
    """

    trusted: bool
    reason: str


def judge_source(
    info: SourceInfo, allow_list: Collection[str] = (), pinned: str | None = None
) -> SourceVerdict:
    """Judge a source by what is known of it, before a frame is read.

    Args:
        info: of the source.
        allow_list: see `is_trusted`.
        pinned: the one camera that is allowed, named as in the list; any other source is refused, whatever
            the list says. It makes nothing trusted: what calls itself by the pinned name and is not physical
            must be in the list too.

    Returns:
        The verdict.
    """
    if pinned is not None and not _names(pinned, info):
        return SourceVerdict(False, "this gate is pinned to one camera, and this is not it")
    if info.trusted:
        return SourceVerdict(True, info.reason)
    if is_trusted(info, allow_list):
        return SourceVerdict(True, f"the operator's list names it, although {info.reason}")
    return SourceVerdict(False, info.reason)


def is_trusted(info: SourceInfo, allow_list: Collection[str] = ()) -> bool:
    """Whether frames of a source may lead to an upload.

    Args:
        info: of the source.
        allow_list: what an operator trusts besides: `SourceInfo.id` of a device, or the whole address of a
            stream, compared as `StreamAddress` says. Files, folders and synthetic frames can't be listed.

    Returns:
        True for a physical camera, or for a device or stream that the list names.
    """
    listable = info.kind in ("device", "network")
    return info.trusted or (listable and any(_names(entry, info) for entry in allow_list))


def _names(entry: str, info: SourceInfo) -> bool:
    if info.kind == "network":
        return info.address is not None and StreamAddress.of(entry) == info.address
    return info.id == entry
