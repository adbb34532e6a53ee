"""`LivePass`: the only thing that may be uploaded, and why it can't be made by anyone but the decision.

Python has no private parts, so the pass rests on three things instead of on one name:

* the constructor demands a capability object that only this module holds, and `_mint` is called by
  `pipeline.liveness.decision` alone (a test reads every module of the package for it);
* every pass is entered into a register at minting, by identity; `LivePass.check` refuses an object that the
  register does not hold or whose fields are not the registered ones, however it came to be;
* the pixels are copied into immutable ``bytes`` when the frame is judged (`seal`), so neither the camera's
  buffer nor ``setflags(write=True)`` reaches them, and `check` computes their digest again.
"""

from __future__ import annotations

import hmac
import math
from typing import Any, Final, NoReturn, final
from weakref import WeakKeyDictionary

import numpy as np

from pipeline.camera.frame import Frame, pixel_sha256
from pipeline.errors import PassError

_CAPABILITY: Final = object()


def seal(frame: Frame) -> Frame:
    """Copy a frame's pixels into a buffer of its own that nothing can write to.

    Args:
        frame: any frame; its image is uint8 (height, width, 3), BGR.

    Returns:
        A frame with the same ``t`` and ``seq`` whose image is backed by ``bytes``: numpy refuses to make it
        writeable. The same frame where that is so already. Median on one core: 0.04 ms at 640x480 and 0.9 ms
        at 1920x1080; the digest at minting, once per check, takes 0.8 and 4.7 ms (``python -m
        benchmarks.pad_stills cost``).
    """
    image = frame.image
    if _is_sealed(frame) and image.flags.c_contiguous:
        return frame
    pixels = np.frombuffer(image.tobytes(), dtype=np.uint8).reshape(image.shape)
    return Frame(pixels, t=frame.t, seq=frame.seq)


@final
class LivePass:
    """A frame that the decision passed as live. Frozen; can't be built, copied, pickled or subclassed.

    Attributes:
        frame: the judged frame, its pixels in an immutable buffer of their own.
        sha256: `pixel_sha256` of those pixels when the pass was minted, 64 hex digits.
        session_id: the check that it belongs to.
        score: the verdict's score in [0, 1], higher is more live.
        minted_at: Unix time in seconds.

    Raises:
        PassError: on any try to make one other than by the decision.
    """

    __slots__ = ("__weakref__", "frame", "minted_at", "score", "session_id", "sha256")

    frame: Frame
    sha256: str
    session_id: str
    score: float
    minted_at: float

    def __init__(
        self,
        capability: object = None,
        /,
        *,
        frame: Frame | None = None,
        session_id: str = "",
        score: float = 0.0,
        minted_at: float = 0.0,
    ) -> None:
        if capability is not _CAPABILITY or frame is None or type(self) is not LivePass:
            raise PassError("Only the decision mints a LivePass.")
        if not (math.isfinite(score) and 0.0 <= score <= 1.0):
            raise PassError("A pass needs a score in [0, 1].")
        values = (frame, pixel_sha256(frame.image), session_id, float(score), float(minted_at))
        for name, value in zip(_FIELDS, values, strict=True):
            object.__setattr__(self, name, value)
        _REGISTER[self] = values

    def check(self) -> None:
        """Compute the digest of the pixels again and compare every field with what was minted.

        Raises:
            PassError: the object was not minted by the decision, a field was changed, or the pixels were.
        """
        minted = _REGISTER.get(self) if type(self) is LivePass else None
        if minted is None:
            raise PassError("This pass was not minted by the decision.")
        if any(getattr(self, name, None) is not value for name, value in zip(_FIELDS, minted, strict=True)):
            raise PassError("The pass was changed after it was minted.")
        if not hmac.compare_digest(pixel_sha256(self.frame.image), minted[1]):
            raise PassError("The picture was changed after it was judged.")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise PassError("A LivePass can't be changed.")

    def __delattr__(self, name: str) -> NoReturn:
        raise PassError("A LivePass can't be changed.")

    def __init_subclass__(cls, **kwargs: Any) -> NoReturn:
        raise PassError("LivePass can't be subclassed.")

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise PassError("A LivePass can't be copied, replaced or pickled.")

    __copy__ = __deepcopy__ = __replace__ = __getstate__ = __setstate__ = __reduce__ = _refuse

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        self._refuse()

    def __repr__(self) -> str:
        return (
            f"LivePass(session_id={self.session_id!r}, sha256={self.sha256[:12]}..., score={self.score:.3f})"
        )


_FIELDS: Final = ("frame", "sha256", "session_id", "score", "minted_at")
_REGISTER: WeakKeyDictionary[LivePass, tuple[Frame, str, str, float, float]] = WeakKeyDictionary()


def _mint(frame: Frame, *, session_id: str, score: float, minted_at: float) -> LivePass:
    """Mint a pass for a sealed frame. Called by `pipeline.liveness.decision` and by nothing else.

    Raises:
        PassError: the frame was not sealed, or the score is outside [0, 1].
    """
    if not _is_sealed(frame):
        raise PassError("Only a sealed frame can be passed.")
    return LivePass(_CAPABILITY, frame=frame, session_id=session_id, score=score, minted_at=minted_at)


def _is_sealed(frame: Frame) -> bool:
    """True where the pixels' buffer is immutable ``bytes``, as `seal` leaves it."""
    base: object = frame.image
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, bytes)
