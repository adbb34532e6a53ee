"""Training code is not part of the wheel: it is imported from the checkout."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))


@pytest.fixture(scope="session")
def portrait() -> NDArray[np.uint8]:
    """Made-up portrait, uint8 (240, 320, 3): a smooth scene with a lit ellipse for a face at `FACE`."""
    rng = np.random.default_rng(5)
    scene = cv2.resize(
        rng.integers(40, 200, (6, 8, 3)).astype(np.uint8), (320, 240), interpolation=cv2.INTER_CUBIC
    )
    cv2.ellipse(scene, (160, 120), (40, 52), 0, 0, 360, (120, 150, 205), -1)
    cv2.circle(scene, (145, 108), 5, (30, 30, 30), -1)
    cv2.circle(scene, (175, 108), 5, (30, 30, 30), -1)
    return np.asarray(scene, np.uint8)


@pytest.fixture(scope="session")
def face() -> NDArray[np.float32]:
    """Box of the face in `portrait`."""
    return np.array([120, 75, 200, 170], np.float32)
