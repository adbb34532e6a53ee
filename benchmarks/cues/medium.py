"""A straight-edged thing around the face: a sheet, a photo, a telephone, a screen. Not used by the gate.

A medium ends in straight edges that stand around the face. Behind a living person there are such edges too
(doors, windows, pictures on a wall), but the body stands before them: no straight line runs below a living
chin from one side of the neck to the other. So what is looked for is a rectangle with its lower side in view
and unbroken there, and at least two of the other three sides.

The surroundings of the face, `REACH` face sides each way, are reduced until the face is `FACE` pixels wide.
Thinned edge points vote for lines, each for the slopes about its own and for its own sign of gradient (the
Hough transform in Duda and Hart's form, Communications of the ACM 15(1), 1972, with the gradient's direction
as O'Gorman and Clowes use it, IEEE Transactions on Computers C-25(4), 1976). On each side of the face the
strongest `KEEP` lines stay, and every combination of them is a quadrangle. One side but the lower may be
missing: then it lies outside the picture or beyond the reach. Per side:

    cover: share of its length between its corners that has an edge point of the line's slope and sign; for
        the lower side the same within `NECK` of the face's middle too, and the smaller of both
    beyond: the same for the stretch just outside both corners, where the edge of a medium has ended

and with n the number of sides, three or four,

    score = 0.9 min(cover) + 0.1 mean(cover - beyond) + (0.04 if n = 4)

among the quadrangles with opposite sides within 11 degrees of parallel and corners within 11 degrees of
square. The score depends on geometry alone: neither brightness nor colour nor what is shown counts, so it
does not tell paper from glass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.camera.frame import Image
from pipeline.vision.types import F32

FACE: Final = 24
"""Side of the face box in the reduced picture, pixels."""
REACH: Final = 3.2
"""Face sides from the face's centre to the end of what is looked at."""
KEEP: Final = 3
"""Lines kept on each side of the face."""
EDGE: Final = 4.0
"""Least gradient of an edge point, grey levels a pixel of the reduced picture in any colour."""
SKEW: Final = 0.2
"""Tangent of the angle by which opposite sides and corners may be off."""
WHOLE: Final = 0.04
"""What a fourth side adds to the score."""
LEAST: Final = 0.9
"""Weight of the side that is worst covered; the mean has the rest."""
BEYOND: Final = 0.4
"""Face sides outside a corner in which the edge must have ended."""
NECK: Final = 0.6
"""Face sides from the face's middle within which a living body hides whatever edge is behind it."""
STEP: Final = 0.05
STEPS: Final = 8
"""Slopes of lines: -8..8 steps of 0.05, so up to 22 degrees off upright or level."""
WIDEN: Final = 2
"""An edge point speaks for its own slope and this many steps to either side."""

BOUND: Final = 0.40
"""A score from here on is a medium: the highest of 292 live pictures of half of the subjects (0.327) plus one
standard deviation of theirs (0.063), rounded up. ``python -m benchmarks.pad_cues bounds``."""

Lines = tuple[F32, F32, NDArray[np.int32]]


@dataclass(frozen=True, slots=True, eq=False)
class Medium:
    """The most rectangle-like thing around the face.

    Attributes:
        score: in [0, 1.04], higher is more like a medium; 0 where there is none at all.
        corners: float32 (4, 2), pixels of the frame: top left, top right, bottom right, bottom left; a side
            that is out of view stands at the border of what was looked at. NaN without a score.
    """

    score: float
    corners: F32


NONE: Final = Medium(0.0, np.full((4, 2), np.nan, np.float32))


def find_medium(image: Image, box: F32) -> Medium:
    """Look for a medium around a face.

    Args:
        image: uint8 (height, width, 3), BGR.
        box: float32 (4,), the face's x1 y1 x2 y2 in pixels.

    Returns:
        The best quadrangle; `NONE` where the box lies outside the picture or nothing qualifies.
    """
    x1, y1, x2, y2 = (float(v) for v in box)
    side = max(x2 - x1, y2 - y1)
    if not np.isfinite(box).all() or side < 1:
        return NONE
    height, width = image.shape[:2]
    middle = ((x1 + x2) / 2, (y1 + y2) / 2)
    left, top = (max(0, int(m - REACH * side)) for m in middle)
    right, bottom = (min(n, int(m + REACH * side)) for m, n in zip(middle, (width, height), strict=True))
    if right - left < 2 or bottom - top < 2:
        return NONE
    part = _reduced(image[top:bottom, left:right], FACE / side)
    scale = np.array([(right - left) / part.shape[1], (bottom - top) / part.shape[0]])
    centre = ((middle[0] - left) / scale[0], (middle[1] - top) / scale[1])
    score, corners = _best(part, centre)
    if score <= 0:
        return NONE
    return Medium(score, np.asarray(corners * scale + (left, top), np.float32))


def _reduced(part: Image, factor: float) -> Image:
    """Smaller by ``factor``; every n-th pixel first where the factor is small, for speed."""
    size = (max(8, round(part.shape[1] * factor)), max(8, round(part.shape[0] * factor)))
    step = max(1, int(0.5 / factor))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part[::step, ::step], size, interpolation=how), np.uint8)


def _gradients(part: Image) -> tuple[F32, F32]:
    """Gradient along x and y of the colour in which it is steepest, float32 (h, w), grey levels a pixel."""
    soft = cv2.GaussianBlur(part, (3, 3), 0.8)
    xs = np.asarray(cv2.Sobel(soft, cv2.CV_16S, 1, 0), np.float32) / 8
    ys = np.asarray(cv2.Sobel(soft, cv2.CV_16S, 0, 1), np.float32) / 8
    gx, gy = xs[..., 0].copy(), ys[..., 0].copy()
    steepest = gx * gx + gy * gy
    for colour in (1, 2):
        steep = xs[..., colour] ** 2 + ys[..., colour] ** 2
        better = steep > steepest
        np.copyto(gx, xs[..., colour], where=better)
        np.copyto(gy, ys[..., colour], where=better)
        np.copyto(steepest, steep, where=better)
    return gx, gy


def _lines(
    across: F32,
    along: F32,
    centre: tuple[float, float],
    ranges: tuple[tuple[float, float], ...],
    core: tuple[float, float],
) -> list[Lines]:
    """Strongest lines x = x0 + slope (y - cy) in ranges of x0.

    Args:
        across: float32 (h, w), gradient along x.
        along: float32 (h, w), gradient along y.
        centre: of the face, x and y.
        ranges: of x0 from the centre, in face sides, one for each list wanted.
        core: rows from the centre, in face sides, whose points count five times as much.

    Returns:
        For each range x0 (k + 1,), slopes (k + 1,), and the running count of edge points along each line
        (k + 1, h + 1). The first line of each is the missing side: beyond the border, without a point.
    """
    h, w = across.shape
    steep = np.abs(across)
    keep = (steep > EDGE) & (np.abs(along) < 0.6 * steep)
    keep[:, 1:] &= steep[:, 1:] >= steep[:, :-1]
    keep[:, :-1] &= steep[:, :-1] > steep[:, 1:]
    y, x = np.nonzero(keep)
    gradient = across[y, x]
    rising = gradient > 0
    nearest = np.rint(-along[y, x] / gradient / STEP).astype(np.int32)
    lean = y - np.float32(centre[1])
    weight = np.where((lean >= core[0] * FACE) & (lean < core[1] * FACE), 1.25, 0.25)
    step = nearest[:, None] + np.arange(-WIDEN, WIDEN + 1, dtype=np.int32)
    x0 = np.rint(x[:, None] - step * np.float32(STEP) * lean[:, None]).astype(np.int32)
    used = (np.abs(step) <= STEPS) & (x0 >= 0) & (x0 < w)
    cell = ((step + STEPS) * 2 + rising[:, None]) * w + x0
    slopes = 2 * STEPS + 1
    votes = np.bincount(
        cell[used], weights=np.broadcast_to(weight[:, None], used.shape)[used], minlength=2 * slopes * w
    ).reshape(2 * slopes, w)
    votes[:, 1:-1] = votes[:, 1:-1] + votes[:, :-2] + votes[:, 2:]
    best = votes.argmax(0)
    strength = votes[best, np.arange(w)]
    peak = strength > 0
    peak[1:] &= strength[1:] >= strength[:-1]
    peak[:-1] &= strength[:-1] > strength[1:]
    # 1-based signed slope number of the edge point at each pixel, 0 where there is none
    code = np.zeros((h, w + 2), np.int16)
    code[y, x + 1] = np.where(rising, 100, -100) + nearest
    rows = np.arange(h)
    found: list[Lines] = []
    for low, high in ranges:
        places = np.arange(max(0, int(centre[0] + low * FACE)), min(w, int(centre[0] + high * FACE)))
        places = places[peak[places]]
        places = places[np.argsort(-strength[places], kind="stable")[:KEEP]]
        number = best[places] // 2 - STEPS
        sign = np.where(best[places] % 2, 100, -100)
        line = np.rint(places[:, None] + STEP * number[:, None] * (rows - centre[1])).astype(np.int32) + 1
        wanted = (sign + number)[:, None]
        hit = np.zeros(line.shape, bool)
        for shift in (-1, 0, 1):
            hit |= np.abs(code[rows, np.clip(line + shift, 0, w + 1)] - wanted) <= WIDEN
        counts = np.zeros((len(places) + 1, h + 1), np.int32)
        np.cumsum(hit, axis=1, out=counts[1:, 1:])
        border = -1.0 if low < 0 else float(w)
        found.append(
            (
                np.concatenate([[border], places]).astype(np.float32),
                np.concatenate([[0], number * STEP]).astype(np.float32),
                counts,
            )
        )
    return found


def _side(counts: NDArray[np.int32], index: NDArray[np.intp], start: F32, end: F32) -> tuple[F32, F32]:
    """Cover between two corners, and the edge beyond them, for lines by index; all of one shape."""
    start, end = np.broadcast_arrays(start, end)
    reach = BEYOND * FACE
    places = np.stack([start - reach, start - 2, start, end, end + 3, end + reach + 1])
    places = np.clip(np.rint(places), 0, counts.shape[1] - 1).astype(np.intp)
    length = places[1::2] - places[::2]
    points = counts[index, places]
    share = (points[1::2] - points[::2]) / np.maximum(length, 1)
    beyond = np.where(length > 4, share, 0)
    return np.asarray(share[1], np.float32), np.asarray((beyond[0] + beyond[2]) / 2, np.float32)


def _best(part: Image, centre: tuple[float, float]) -> tuple[float, NDArray[np.float64]]:
    """Score and corners of the best quadrangle, float64 (4, 2) in pixels of the reduced picture."""
    cx, cy = centre
    gx, gy = _gradients(part)
    left, right = _lines(gx, gy, centre, ((-3.1, -0.42), (0.42, 3.1)), (-0.4, 0.9))
    flipped = np.ascontiguousarray(gy.T), np.ascontiguousarray(gx.T)
    top, bottom = _lines(*flipped, (cy, cx), ((-3.1, -0.5), (0.45, 3.1)), (-0.5, 0.5))

    def corner(upright: Lines, level: Lines) -> tuple[F32, F32]:
        x0, kx = upright[0][:, None], upright[1][:, None]
        y0, ky = level[0][None], level[1][None]
        x = (x0 + kx * (y0 - ky * cx - cy)) / (1 - kx * ky)
        return x, y0 + ky * (x - cx)

    tl, tr, bl, br = corner(left, top), corner(right, top), corner(left, bottom), corner(right, bottom)
    # axes of all arrays from here on: left, right, top, bottom
    number = [np.arange(len(lines[0])) for lines in (left, right, top, bottom)]
    on_axis = np.ix_(*number)
    ones = [
        (left[2], on_axis[0], tl[1][:, None, :, None], bl[1][:, None, None, :]),
        (right[2], on_axis[1], tr[1][None, :, :, None], br[1][None, :, None, :]),
        (top[2], on_axis[2], tl[0][:, None, :, None], tr[0][None, :, :, None]),
        (bottom[2], on_axis[3], bl[0][:, None, None, :], br[0][None, :, None, :]),
    ]
    least: F32 = np.ones((1, 1, 1, 1), np.float32)
    total: F32 = np.zeros((1, 1, 1, 1), np.float32)
    seen: NDArray[np.int64] = np.zeros((1, 1, 1, 1), np.int64)
    for counts, index, start, end in ones:
        cover, beyond = _side(counts, index, start, end)
        if counts is bottom[2]:
            neck = np.maximum(start, cx - NECK * FACE), np.minimum(end, cx + NECK * FACE)
            cover = np.minimum(cover, _side(counts, index, *neck)[0])
        there = index > 0
        least = np.minimum(least, np.where(there, cover, np.float32(1)))
        total = total + np.where(there, cover - beyond, np.float32(0))
        seen = seen + there
    score = LEAST * least + (1 - LEAST) * total / np.maximum(seen, 1) + WHOLE * (seen == 4)
    kl, kr, kt, kb = (lines[1][axis] for lines, axis in zip((left, right, top, bottom), on_axis, strict=True))
    upright = (on_axis[0] > 0) & (on_axis[1] > 0)
    level = (on_axis[2] > 0) & (on_axis[3] > 0)
    square = np.abs((kl + kr) / np.where(upright, 2, 1) + (kt + kb) / np.where(level, 2, 1)) < SKEW
    parallel = (~upright | (np.abs(kl - kr) < SKEW)) & (~level | (np.abs(kt - kb) < SKEW))
    whole_enough = (seen >= 3) & (on_axis[3] > 0)
    score = np.where(whole_enough & square & parallel, score, 0)
    i, j, k, m = np.unravel_index(int(score.argmax()), score.shape)
    corners = np.array(
        [(c[0][a, b], c[1][a, b]) for c, a, b in ((tl, i, k), (tr, j, k), (br, j, m), (bl, i, m))], np.float64
    )
    return float(score[i, j, k, m]), corners
