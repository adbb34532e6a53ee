"""A picture that nobody judged, for `livegate match IMAGE` and nothing else.

The gate sends an `Upload`, which only a `LivePass` becomes. Trying the protocol by hand needs a picture out
of a file; it has a type of its own here, so the gate can't send one by mistake, and a test holds that no
module but the command line's imports this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from pipeline.errors import FrameError
from pipeline.match.jpeg import Jpeg, encode_jpeg

if TYPE_CHECKING:
    from pipeline.match.client import MatchClient
    from pipeline.match.person import Person
    from pipeline.match.results import MatchResult

MAX_FILE_BYTES: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class HandPicture:
    """A picture out of a file, not judged by the gate.

    Attributes:
        jpeg: the picture within the service's limits, without EXIF; its orientation tag is applied.
    """

    jpeg: Jpeg

    @classmethod
    def read(cls, path: Path) -> HandPicture:
        """Read a picture file of any type that OpenCV knows.

        Raises:
            FrameError: the file can't be read, is larger than `MAX_FILE_BYTES`, or is not a picture.
        """
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise FrameError(f"The file is larger than {MAX_FILE_BYTES} bytes.")
            data = path.read_bytes()
        except OSError as error:
            raise FrameError(f"The file can't be read: {error.strerror}.") from None
        try:
            image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
        except cv2.error:
            image = None
        if image is None:
            raise FrameError("The file is not a picture.")
        return cls(encode_jpeg(np.asarray(image, dtype=np.uint8)))


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
