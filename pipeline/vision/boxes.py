"""Arithmetic on boxes x1 y1 x2 y2 in pixels, and the map from a mesh to the detector's kind of box."""

from __future__ import annotations

from typing import Final

import numpy as np

from pipeline.vision.types import F32

MESH_POINTS = 468
"""Points of the mesh proper. The ten iris points that the larger net adds are left out of every box."""

BOX_CENTRE: Final[F32] = np.array([0.153, 0.324, -0.049, 1.147], np.float32)
"""Centre of the face box: weights of the arms from the eyes to the mouth, nose tip, chin and cheeks."""
BOX_SIDE: Final[F32] = np.array([0.325, -0.225, 0.967, 0.772], np.float32)
"""Side of the face box: weights of the lengths that `box_spans` gives.

Both fitted on 608 people by ``python -m benchmarks.fit_box_map ../shared/data``; on 591 others the box meets
the detector's with a mean overlap of 0.927, where the detector meets itself with 0.923 after a border was
added. See docs/adr/0005.
"""


def area(box: F32) -> float:
    """Square pixels of a box (4,); zero where it is turned inside out."""
    x1, y1, x2, y2 = (float(v) for v in box)
    return max(0.0, x2 - x1) * max(0.0, y2 - y1)


def iou(a: F32, b: F32) -> float:
    """Intersection over union of two boxes (4,), in [0, 1]; zero when either is empty."""
    ax1, ay1, ax2, ay2 = a.tolist()
    bx1, by1, bx2, by2 = b.tolist()
    inter = max(0.0, min(ax2, bx2) - max(ax1, bx1)) * max(0.0, min(ay2, by2) - max(ay1, by1))
    union = area(a) + area(b) - inter
    return float(inter / union) if union > 0 else 0.0


def iou_one_to_many(box: F32, boxes: F32) -> F32:
    """Intersection over union of one box (4,) with each of (n, 4): float32 (n,)."""
    one, many = box.astype(np.float64), boxes.astype(np.float64)
    low = np.maximum(one[:2], many[:, :2])
    high = np.minimum(one[2:], many[:, 2:])
    inter = np.prod(np.maximum(high - low, 0), axis=1)
    sizes = np.prod(np.maximum(many[:, 2:] - many[:, :2], 0), axis=1)
    union = sizes + area(box) - inter
    shares = np.divide(inter, union, out=np.zeros(len(many)), where=union > 0)
    return np.asarray(shares, dtype=np.float32)


def mesh_bounds(landmarks: F32) -> F32:
    """Tight box around the mesh: landmarks (n, 2 or 3) in pixels to float32 (4,)."""
    xy = np.ascontiguousarray(landmarks[:MESH_POINTS, :2].T)  # minima along rows are four times as fast
    return np.concatenate([xy.min(axis=1), xy.max(axis=1)]).astype(np.float32)


def share_inside(landmarks: F32, width: int, height: int) -> float:
    """Share of a mesh's points (n, 2 or 3) that lie inside a picture, in [0, 1]."""
    x, y = np.ascontiguousarray(landmarks[:, :2].T)
    return np.count_nonzero((x >= 0) & (x < width) & (y >= 0) & (y < height)) / len(landmarks)


def box_anchors(landmarks: F32) -> F32:
    """Points that the face box hangs on, (n, 2 or 3) to float32 (5, 2): eyes, mouth, nose tip, chin, cheeks.

    Each but the nose tip and the chin is a middle: of the four eye corners, of the mouth corners, of the
    outermost cheek points. So they all lie on the face's midline, and a mirrored face gets a mirrored box.
    """
    xy = landmarks[:, :2]
    points = np.stack(
        [
            xy[[33, 133, 362, 263]].mean(axis=0),
            xy[[61, 291]].mean(axis=0),
            xy[1],
            xy[152],
            xy[[234, 454]].mean(axis=0),
        ]
    )
    return np.asarray(points, np.float32)


def box_spans(landmarks: F32, anchors: F32) -> F32:
    """Lengths that the box's side hangs on, float32 (4,) in pixels: cheek line, arms to mouth, nose, chin."""
    spans = np.concatenate([landmarks[454:455, :2] - landmarks[234:235, :2], anchors[1:4] - anchors[0]])
    return np.asarray(np.hypot(spans[:, 0], spans[:, 1]), np.float32)


_POINTS: Final = np.array([33, 133, 362, 263, 61, 291, 1, 152, 234, 454])
"""Mesh points that `box_anchors` and `box_spans` are made of."""


def _box_lines() -> F32:
    """Rows over `_POINTS`: centre of the face box, then the four lines whose lengths are `box_spans`."""
    eyes, mouth, nose, chin, cheeks = np.zeros((5, len(_POINTS)), np.float32)
    eyes[:4], mouth[4:6], nose[6], chin[7], cheeks[8:] = 1 / 4, 1 / 2, 1, 1, 1 / 2
    arms = np.stack([mouth, nose, chin, cheeks]) - eyes
    cheek_line = np.zeros(len(_POINTS), np.float32)
    cheek_line[[9, 8]] = 1, -1
    return np.concatenate([(eyes + BOX_CENTRE @ arms)[None], cheek_line[None], arms[:3]]).astype(np.float32)


_LINES: Final = _box_lines()


def face_box(landmarks: F32) -> F32:
    """Box of a mesh in the detector's convention.

    BlazeFace's boxes are squares. Ours is one whose centre is a fixed weighting of `box_anchors` and whose
    side is one of `box_spans`; so it moves, grows, turns and mirrors with the mesh.

    Args:
        landmarks: float32 (468 or 478, 2 or 3) in pixels.

    Returns:
        float32 (4,), x1 y1 x2 y2 in pixels; may reach outside the picture.
    """
    # All but the lengths is linear in ten points: one product with them in place of box_anchors' many means.
    lines = _LINES @ landmarks[_POINTS, :2]
    half = float(BOX_SIDE @ np.hypot(lines[1:, 0], lines[1:, 1])) / 2
    x, y = lines[0].tolist()
    return np.array([x - half, y - half, x + half, y + half], np.float32)
