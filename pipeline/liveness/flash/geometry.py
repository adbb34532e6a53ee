"""Is the surface that answered a head or a sheet?

The relative response of a matt surface, screen light over other light, is ``F(n) / A(n)``: albedo has left
it, and it changes over the surface only with the direction n that each part faces, and slowly with place. On
a head, n turns within a few centimetres around nose, brows and cheeks; on a sheet, tilted or bent, everything
is a smooth function of place. So over the points of the mesh

    size ~ quadratic in x, y   +   c / light   +   b . n

is fitted with and without the last term, n being the normals of the mesh that vision places, and compared by
the F ratio of the three added coefficients. A sheet shows a face whose mesh has the same normals, but its
light does not follow them. The term before it is what gloss leaves: a mirror image of the screen adds the
same light to dark parts and to bright ones, so its relative size goes with 1 / light, and c tells it from
matt skin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

_OTHER_TERMS: Final = 7
_NORMAL_TERMS: Final = 3
_FLOOR: Final = 0.01
"""Relative error of a point's response below which fitting better means nothing (8-bit steps)."""


@dataclass(frozen=True, slots=True)
class Relief:
    """How the response lies over the face.

    Attributes:
        ratio: F ratio of the normals' three coefficients; about 1 for a sheet. NaN where too few points were
            seen.
        spread: root mean square of what the normals explain, relative to the mean response.
        gloss: slope of the relative response over mean light / light: 0 for matt skin of any shade, 1 where
            the same light is added everywhere.
    """

    ratio: float
    spread: float
    gloss: float


def relief(sizes: F64, places: F64, normals: F64, light: F64) -> Relief:
    """Compare a head with a sheet.

    Args:
        sizes: float64 (n,), response at each point; NaN where it was not seen.
        places: float64 (n, 2), x and y, in any unit.
        normals: float64 (n, 3), unit normals.
        light: float64 (n,), mean linear light at each point, above 0.

    Returns:
        See `Relief`.
    """
    seen = np.isfinite(sizes) & np.isfinite(light)
    freedom = int(seen.sum()) - _OTHER_TERMS - _NORMAL_TERMS
    middle = float(np.mean(sizes[seen])) if seen.any() else 0.0
    if freedom < 2 * _NORMAL_TERMS or not middle > 0:
        return Relief(float("nan"), float("nan"), float("nan"))
    x, y = places[seen].T
    smooth = np.column_stack([np.ones_like(x), x, y, x * x, x * y, y * y])
    q = sizes[seen] / middle
    darkness = light[seen].mean() / light[seen]
    uneven = _rest(smooth, darkness)
    gloss = float(uneven @ _rest(smooth, q)) / (float(uneven @ uneven) + 1e-9)
    smooth = np.column_stack([smooth, darkness])
    without = _rest(smooth, q)
    rest = _rest(np.column_stack([smooth, normals[seen]]), q)
    error = float(rest @ rest) / freedom + _FLOOR**2
    gained = max(0.0, float(without @ without - rest @ rest))
    return Relief(gained / _NORMAL_TERMS / error, float(np.sqrt(gained / len(q))), gloss)


def _rest(terms: F64, q: F64) -> F64:
    return np.asarray(q - terms @ np.linalg.lstsq(terms, q, rcond=None)[0])
