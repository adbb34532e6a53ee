"""May frames of this source lead to an upload? A verdict with its reason."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pipeline.camera.source import SourceInfo, is_trusted


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
        pinned: `SourceInfo.id` of the one camera that is allowed; any other source is refused, whatever the
            list says. It makes nothing trusted: what calls itself by the pinned name and is not physical must
            be in the list too.

    Returns:
        The verdict.
    """
    if pinned is not None and info.id != pinned:
        return SourceVerdict(False, "this gate is pinned to one camera, and this is not it")
    if info.trusted:
        return SourceVerdict(True, info.reason)
    if is_trusted(info, allow_list):
        return SourceVerdict(True, f"the operator's list names it, although {info.reason}")
    return SourceVerdict(False, info.reason)
