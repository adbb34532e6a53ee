"""Does the face answer to the colours that were shown, and to no others?

In linear light a patch of skin sends ``g(t) rho (A + F E(t - d))`` to the camera: exposure gain g, albedo
rho, ambient light A, the screen's light E after a delay d, and F for distance and angle. The background
beside the face has the same g and hardly any F. So in each colour channel

    y(t) = log face(t) - log ring(t) ~ const + (F / A) E(t - d) + slow drift + noise

holds no gain any more. Slow drift (the head moves, a cloud passes) is projected out together with the mean.
The statistic is the matched filter of the shown sequence e over the three channels,

    s = max over d of  sum_t e(t - d)' C^-1 y(t) / sqrt(sum_t e(t - d)' C^-1 e(t - d))

with C the shrunken covariance of y between channels: common brightness changes, which moving heads make,
count for little and colour for much.

Its null is known without a model of noise: whatever the camera saw, if it does not depend on the nonce, the
shown sequence is exchangeable with `DECOYS` others drawn by the same rule. Its rank among them, the delay
searched for each, is a valid p-value (G. A. Barnard, 1963; J. Besag and P. Clifford, 1989).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.liveness.flash.challenge import AXES, SYMBOL_S, SYMBOLS, WORDS, codes_of, weights_at
from pipeline.liveness.flash.regions import LEAST_RING, PATCH_OF, PATCHES, RegionSample

F64 = NDArray[np.float64]

DECOYS: Final = 1999
LEAST_FRAMES: Final = 36
"""Three frames a symbol."""
LEAST_POINTS: Final = 0.5
"""Share of the face's points that must be usable."""
DELAYS: Final[F64] = np.arange(0.0, 0.451, 0.015)
"""Seconds from setting a colour to a frame that shows it: screen 10 to 100 ms, camera 30 to 250 ms."""
_DRIFT: Final = 3
"""Cosines of half a period and more that are taken for drift."""
_CLIP: Final = 4.0
"""Samples further than this from the median, in robust standard deviations, are pulled in."""
_SHRINK: Final = 0.1
"""Share of the mean variance that is added to C's diagonal."""
_RIDGE: Final = 0.02
"""Share of a template's energy that shrinks a fitted response towards none."""


@dataclass(frozen=True, slots=True, eq=False)
class Response:
    """How the face answered.

    Attributes:
        p: share of decoys that fit as well, counted with the sequence itself, in (0, 1].
        statistic: s of the shown sequence.
        delay_s: the delay at which it fits best.
        size: change of the face's relative light per unit of linear screen light, F / A.
        channels: float64 (3,), `size` of R, G, B alone.
        points: float64 (42,), `size` at each of `regions.POINTS`; NaN where it was not seen.
        places: float64 (42, 2), where they were, mean over the frames; see `RegionSample`.
        normals: float64 (42, 3), where they faced, mean over the frames.
        light: float64 (42,), mean linear light there.
        ring_size: `size` of the background, its gain taken from nowhere; NaN without one.
        decoded: int8 (2, 12), the two colour codes as read off the face, whatever was shown.
        clean: smaller share of the energy of the two colour signals that `decoded` explains, in [0, 1].
        wrong: share of `decoded` symbols that differ from the shown ones, in [0, 1].
        frames: frames used.
    """

    p: float
    statistic: float
    delay_s: float
    size: float
    channels: F64
    points: F64
    places: F64
    normals: F64
    light: F64
    ring_size: float
    decoded: NDArray[np.int8]
    clean: float
    wrong: float
    frames: int

    @property
    def patches(self) -> dict[str, float]:
        """`size` of each of `regions.PATCHES`: mean of its points, NaN where none was seen."""
        means: dict[str, float] = {}
        for k, name in enumerate(PATCHES):
            seen = self.points[(k == PATCH_OF) & np.isfinite(self.points)]
            means[name] = float(seen.mean()) if len(seen) else float("nan")
        return means


def fit_response(
    samples: Sequence[RegionSample],
    shown: Sequence[float],
    codes: NDArray[np.int8],
    strength: float,
    rng: np.random.Generator,
) -> Response | None:
    """Fit what was seen against what was shown.

    Args:
        samples: frames in order of time.
        shown: seconds from the start at which the screen was set to the colour of that moment, ascending; the
            colour then stays until the next one.
        codes: int8 (3, 12) of the challenge.
        strength: of the challenge.
        rng: draws the decoys.

    Returns:
        The response; None where frames are too few or nothing of the face or the background can be used.
    """
    if len(samples) < LEAST_FRAMES or not len(shown):
        return None
    t = np.array([s.t for s in samples])
    face = _log_mean(np.stack([s.face for s in samples]))
    ring = _ring_log(np.stack([s.ring for s in samples]))
    if face is None or ring is None:
        return None
    logs, used = face
    rest = _projector(t)
    y = rest @ _tame(logs[:, used].mean(axis=1) - ring)
    whitener = _whitener(y)
    held = [_held(t - delay, np.asarray(shown, dtype=np.float64)) for delay in DELAYS]
    words = rng.integers(0, 2**32, (DECOYS, WORDS), dtype=np.uint32)
    bank = np.concatenate([codes[None], codes_of(words)]).astype(np.float64).reshape(DECOYS + 1, -1)
    axes = strength * AXES
    best = np.full(DECOYS + 1, -np.inf)
    own = np.empty(len(DELAYS))
    for k, weights in enumerate(held):
        fitted = rest @ weights
        signal = (axes @ whitener @ (y.T @ fitted)).ravel()
        gram = np.kron(axes @ whitener @ axes.T, fitted.T @ fitted)
        norm = np.einsum("ni,ij,nj->n", bank, gram, bank, optimize=True)
        score = bank @ signal / np.sqrt(np.maximum(norm, 1e-12))
        best = np.maximum(best, score)
        own[k] = score[0]
    at = int(np.argmax(own))
    template = rest @ held[at] @ codes.T.astype(np.float64) @ axes
    alone = np.einsum("ij,jrc->irc", rest, _tame(logs - ring[:, None]))
    weighted = template @ whitener
    energy = float(np.sum(weighted * template)) * (1 + _RIDGE) + 1e-12
    sizes = np.einsum("tc,trc->r", weighted, alone) / energy
    decoded, clean = max((_decode(y, rest @ weights, axes) for weights in held), key=lambda read: read[1])
    return Response(
        p=float(np.mean(best >= best[0] - 1e-9)),
        statistic=float(best[0]),
        delay_s=float(DELAYS[at]),
        size=float(np.sum(weighted * y)) / energy,
        channels=np.array(
            [
                template[:, c] @ y[:, c] / (template[:, c] @ template[:, c] * (1 + _RIDGE) + 1e-12)
                for c in range(3)
            ]
        ),
        points=np.where(used, sizes, np.nan),
        places=np.mean([s.places for s in samples], axis=0),
        normals=np.mean([s.normals for s in samples], axis=0),
        light=np.exp(logs.mean(axis=(0, 2))),
        ring_size=float(np.sum(weighted * (rest @ _tame(ring)))) / energy,
        decoded=decoded,
        clean=clean,
        wrong=float(np.mean(decoded != codes[:2])),
        frames=len(samples),
    )


def _log_mean(face: F64) -> tuple[F64, NDArray[np.bool_]] | None:
    """Logarithms (t, points, 3) with gaps filled in time, and which points were seen nearly throughout."""
    seen = np.isfinite(face[..., 0])
    used = seen.mean(axis=0) >= 0.9
    if used.mean() < LEAST_POINTS:
        return None
    logs = np.log(np.where(seen[..., None], np.maximum(face, 1e-6), 1.0))
    for r in np.flatnonzero(used & ~seen.all(axis=0)):
        good = np.flatnonzero(seen[:, r])
        for c in range(3):
            logs[:, r, c] = np.interp(np.arange(len(logs)), good, logs[good, r, c])
    return logs, used


def _ring_log(ring: F64) -> F64 | None:
    """Logarithm of the background's course (t, 3): the median over points of each one's own change."""
    steady = np.isfinite(ring[..., 0]).all(axis=0)
    if steady.sum() < LEAST_RING:
        return None
    logs = np.log(np.maximum(ring[:, steady], 1e-6))
    return np.asarray(np.median(logs - logs.mean(axis=0), axis=1))


def _projector(t: F64) -> F64:
    """Takes mean and slow drift out: float64 (t, t)."""
    phase = (t - t[0]) / max(t[-1] - t[0], 1e-9)
    basis = np.cos(np.pi * phase[:, None] * np.arange(_DRIFT + 1))
    q = np.linalg.qr(basis)[0]
    return np.asarray(np.eye(len(t)) - q @ q.T)


def _tame(y: F64) -> F64:
    """Pull outliers in, channel by channel."""
    middle = np.median(y, axis=0)
    spread = 1.4826 * np.median(np.abs(y - middle), axis=0) + 1e-9
    return np.asarray(np.clip(y, middle - _CLIP * spread, middle + _CLIP * spread))


def _whitener(y: F64) -> F64:
    cov = y.T @ y / len(y)
    return np.asarray(np.linalg.inv(cov + (_SHRINK * np.trace(cov) / 3 + 1e-12) * np.eye(3)))


def _held(elapsed: F64, shown: F64) -> F64:
    """Weights (t, 12) of the colour that stood on the screen at each time."""
    last = np.searchsorted(shown, elapsed, side="right") - 1
    return weights_at(np.where(last >= 0, shown[np.maximum(last, 0)], -1.0))


def _decode(y: F64, fitted: F64, axes: F64) -> tuple[NDArray[np.int8], float]:
    """The colour codes that the face shows by itself, and how cleanly they explain the colour signals."""
    colours = y @ (axes[:2] / np.linalg.norm(axes[:2], axis=1, keepdims=True)).T
    gram = fitted.T @ fitted + 1e-3 * np.eye(SYMBOLS)
    levels = np.linalg.solve(gram, fitted.T @ colours)
    levels -= levels.mean(axis=0)
    decoded = np.where(levels >= 0, 1, -1).astype(np.int8)
    model = fitted @ decoded
    share = np.sum(model * colours, axis=0) ** 2 / (
        np.sum(model**2, axis=0) * np.sum(colours**2, axis=0) + 1e-18
    )
    return decoded.T, float(share.min())


SETTLE_S: Final = float(DELAYS[-1]) + SYMBOL_S / 4
"""Seconds after the last colour until its answer has been seen at any delay."""
