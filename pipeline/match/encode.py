"""The encoder: from a `LivePass`, and from nothing else, to the `Upload` that the client sends."""

from __future__ import annotations

import base64
from dataclasses import InitVar, dataclass, field
from typing import Any, Final, NoReturn, final
from weakref import WeakKeyDictionary

from pipeline.errors import PassError
from pipeline.liveness.livepass import LivePass
from pipeline.match.jpeg import encode_jpeg

_CAPABILITY: Final = object()


@final
@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Upload:
    """A picture of a frame that passed, ready to be sent. Only `encode_upload` makes one.

    Like a `LivePass` it is entered into a register when it is made, by identity: `check` refuses any other.

    Attributes:
        jpeg: JPEG file without EXIF, hidden from the repr.
        pixel_sha256: `pixel_sha256` of the judged frame that was encoded, before any downscaling.
        width: of the JPEG, pixels.
        height: of the JPEG, pixels.
        quality: of the JPEG, 1 to 100.

    Raises:
        PassError: on any try to make one other than by `encode_upload`.
    """

    jpeg: bytes = field(repr=False)
    pixel_sha256: str
    width: int
    height: int
    quality: int
    capability: InitVar[object]

    def __post_init__(self, capability: object) -> None:
        if capability is not _CAPABILITY:
            raise PassError("Only a frame that passed becomes an upload.")
        _REGISTER[self] = (self.jpeg, self.pixel_sha256)

    def check(self) -> None:
        """See that it is what the encoder made.

        Raises:
            PassError: the encoder did not make it, or picture or digest were changed afterwards.
        """
        made = _REGISTER.get(self) if type(self) is Upload else None
        if made is None or self.jpeg is not made[0] or self.pixel_sha256 is not made[1]:
            raise PassError("Only an upload of a frame that passed can be sent.")

    def __init_subclass__(cls, **kwargs: Any) -> NoReturn:
        raise PassError("Upload can't be subclassed.")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise PassError("An upload can't be pickled or copied.")

    @property
    def base64(self) -> str:
        """The JPEG in standard base64 (RFC 4648, section 4), with padding."""
        return base64.b64encode(self.jpeg).decode("ascii")


_REGISTER: Final[WeakKeyDictionary[Upload, tuple[bytes, str]]] = WeakKeyDictionary()


def encode_upload(live_pass: LivePass) -> Upload:
    """Encode the judged frame of a pass.

    The pass is checked first: it computes the digest of this very array again. The array lies in immutable
    memory (`pipeline.liveness.livepass.seal`), so what is encoded afterwards is what has that digest.

    Args:
        live_pass: minted by the decision.

    Raises:
        PassError: it is not a pass, was not minted by the decision, or its pixels changed since.
        FrameError: the picture can't be encoded.
    """
    if type(live_pass) is not LivePass:
        raise PassError("Only a LivePass can be encoded for the service.")
    live_pass.check()
    jpeg = encode_jpeg(live_pass.frame.image)
    return Upload(jpeg.data, live_pass.sha256, jpeg.width, jpeg.height, jpeg.quality, capability=_CAPABILITY)
