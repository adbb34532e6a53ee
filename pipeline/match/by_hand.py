"""A picture that nobody judged, for `livegate match IMAGE` and nothing else.

The gate sends an `Upload`, which only a `LivePass` becomes. Trying the protocol by hand needs a picture out
of a file; it has a type of its own here, so the gate can't send one by mistake, and a test holds that no
module but the command line's imports this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.camera import load_picture
from pipeline.match.jpeg import Jpeg, encode_jpeg

if TYPE_CHECKING:
    from pipeline.match.client import MatchClient
    from pipeline.match.person import Person
    from pipeline.match.results import MatchResult


@dataclass(frozen=True, slots=True)
class HandPicture:
    """A picture out of a file, not judged by the gate.

    Attributes:
        jpeg: the picture within the service's limits, without EXIF; its orientation tag is applied.
    """

    jpeg: Jpeg

    @classmethod
    def read(cls, path: Path) -> HandPicture:
        """Read a picture file with the camera's own reader.

        Raises:
            SourceOpenError: there is no such regular file, or it can't be read.
            FrameError: it is no picture, is damaged or cut off, or its size is out of bounds.
        """
        return cls(encode_jpeg(load_picture(path)))


def match_by_hand(client: MatchClient, person: Person, picture: HandPicture, consent: str) -> MatchResult:
    """Send a picture that was not judged as ``method=match``.

    Args:
        client: of the service to be tried.
        person: whose face it should be.
        picture: from `HandPicture.read`.
        consent: reference under which the person agreed.

    Raises:
        ConsentError: the reference is empty.
        MatchError: as `MatchClient.match`.
    """
    return client._match(person, picture.jpeg.data, consent)
