"""The colours that a screen shows: a random sequence that nobody can know before, soft to look at.

Three codes of twelve symbols, each +1 or -1, move a grey along three axes in linear light: red against cyan,
blue against yellow, and a little luminance. The codes are rows of a Hadamard matrix (R. Paley, 1933) with
columns, rows and signs drawn from the nonce: they have no mean, so auto exposure has nothing to follow, and
are orthogonal to each other, so each axis is seen apart from the others, as in spread-spectrum radio. The two
colour axes leave the luminance alone (ITU-R BT.709 weights); `pipeline.liveness.flash.safety` proves for each
sequence that it holds no flash at all in the sense of WCAG 2.2.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from pipeline.errors import UsageError

F64 = NDArray[np.float64]
Rgb = tuple[int, int, int]
"""sRGB, 0..255 each."""

SYMBOLS: Final = 12
SYMBOL_S: Final = 0.25
"""Seconds of a symbol: at most four changes a second, two pairs of opposing ones."""
EDGE_S: Final = 0.08
"""Seconds in which a symbol fades in (raised cosine)."""
DURATION_S: Final = SYMBOLS * SYMBOL_S
NONCE_BYTES: Final = (16, 64)
BASE: Final = 0.45
"""Linear grey around which colours move."""
LUMA: Final[F64] = np.array([0.2126, 0.7152, 0.0722])
"""Relative luminance of linear R, G, B (ITU-R BT.709, WCAG 2.2)."""
_CHROMA: Final = 0.40
_STEP: Final = 0.03
AXES: Final[F64] = np.array(
    [
        [_CHROMA, -_CHROMA * 0.2126 / 0.7152, 0.0],
        [0.0, -_CHROMA * 0.0722 / 0.7152, _CHROMA],
        [_STEP, _STEP, _STEP],
    ]
)
"""float64 (3, 3): axis by linear R, G, B at full strength. The first two have no luminance."""
STRENGTH: Final = 0.6
"""Default share of `AXES`; what it finds is in docs/pad-results/2026-11-24-flash-simulated.md."""
WORDS: Final = 11 + SYMBOLS + 3
"""Random 32-bit words that one sequence is drawn from."""


def _hadamard() -> NDArray[np.int8]:
    residues = {k * k % 11 for k in range(1, 11)}
    i, j = np.indices((11, 11))
    core = np.where((i - j) % 11 == 0, 0, np.where(np.isin((i - j) % 11, list(residues)), 1, -1))
    full = np.eye(SYMBOLS, dtype=np.int8)
    full[0, 1:] = 1
    full[1:, 0] = -1
    full[1:, 1:] += core.astype(np.int8)
    return full


_ROWS: Final = _hadamard()[1:]


def codes_of(words: NDArray[np.uint32]) -> NDArray[np.int8]:
    """Codes from random words; the only way that sequences are made, real ones and decoys alike.

    Args:
        words: uint32 (n, `WORDS`), uniform.

    Returns:
        int8 (n, 3, 12) of +1 and -1: each of zero mean, orthogonal to the two others.
    """
    rows = np.argsort(words[:, :11], axis=1, kind="stable")[:, :3]
    columns = np.argsort(words[:, 11 : 11 + SYMBOLS], axis=1, kind="stable")
    signs = np.where(words[:, 11 + SYMBOLS :] & 1, 1, -1).astype(np.int8)
    chosen = np.take_along_axis(_ROWS[rows], columns[:, None, :], axis=2)
    return np.asarray(chosen * signs[:, :, None])


def weights_at(elapsed: F64) -> F64:
    """How much of each symbol shows.

    Args:
        elapsed: float64 (t,), seconds since the start; outside [0, `DURATION_S`] nothing of the codes shows.

    Returns:
        float64 (t, 12): ``codes @ weights.T`` is the signal on each axis.
    """
    elapsed = np.asarray(elapsed, dtype=np.float64)
    starts = np.arange(SYMBOLS) * SYMBOL_S
    since = elapsed[:, None] - starts
    rise = _fade(since)
    return np.asarray(rise - _fade(since - SYMBOL_S))


def _fade(since: F64) -> F64:
    """0 before, 1 after, a raised cosine between."""
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(since / EDGE_S, 0, 1)))


def srgb(linear: F64) -> NDArray[np.uint8]:
    """Linear light in [0, 1] to sRGB 0..255 (IEC 61966-2-1)."""
    x = np.clip(linear, 0, 1)
    curve = np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.power(x, 1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * curve), dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class FlashChallenge:
    """One sequence of colours, bound to its nonce. Use it once.

    Attributes:
        nonce: 16 to 64 secret bytes; not shown by ``repr``.
        strength: share of the full colour steps, in (0, 1].

    Raises:
        UsageError: the nonce or the strength is out of range.
    """

    nonce: bytes
    strength: float = STRENGTH

    def __post_init__(self) -> None:
        if not NONCE_BYTES[0] <= len(self.nonce) <= NONCE_BYTES[1]:
            raise UsageError("a flash nonce has {} to {} bytes".format(*NONCE_BYTES))
        if not (math.isfinite(self.strength) and 0 < self.strength <= 1):
            raise UsageError("flash strength must be in (0, 1]")

    @classmethod
    def new(cls, strength: float = STRENGTH) -> Self:
        """A fresh one from the system's randomness."""
        return cls(secrets.token_bytes(32), strength)

    @property
    def duration_s(self) -> float:
        """Seconds from the first colour to the last one's fading."""
        return DURATION_S + EDGE_S

    @property
    def codes(self) -> NDArray[np.int8]:
        """int8 (3, 12): HKDF-SHA256 of the nonce (RFC 5869) taken as words of `codes_of`."""
        raw = HKDF(algorithm=SHA256(), length=4 * WORDS, salt=None, info=b"livegate flash v1").derive(
            self.nonce
        )
        return np.asarray(codes_of(np.frombuffer(raw, dtype="<u4").reshape(1, WORDS))[0])

    def linear_at(self, elapsed: F64) -> F64:
        """Linear R, G, B in [0, 1] at seconds since the start: float64 (t,) to (t, 3)."""
        wave = weights_at(elapsed) @ self.codes.T.astype(np.float64)
        return np.asarray(BASE + self.strength * wave @ AXES)

    def colour_at(self, elapsed: float) -> Rgb:
        """Colour to show at seconds since the start; the resting grey before and after."""
        red, green, blue = srgb(self.linear_at(np.array([elapsed])))[0].tolist()
        return red, green, blue

    def frames(self, fps: float = 60.0) -> Iterator[tuple[float, Rgb]]:
        """The whole sequence for a screen that plays by itself: (seconds since the start, colour)."""
        for k in range(math.ceil(self.duration_s * fps) + 1):
            yield k / fps, self.colour_at(k / fps)

    def __repr__(self) -> str:
        return f"FlashChallenge(strength={self.strength:g})"
