"""Fixtures that rooms share."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of labelled pictures beside the checkout; tests that need it are skipped where it is absent."""
    path = Path(os.environ.get("LIVEGATE_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not (path / "pad_all.tsv").is_file():
        pytest.skip("labelled data (../shared/data) is not on this machine")
    return path


@pytest.fixture(scope="session")
def astronaut() -> NDArray[np.uint8]:
    """Portrait that scikit-image's wheel ships (NASA, public domain): uint8 (512, 512, 3), BGR."""
    from pipeline.nets import open_store

    image = cv2.imread(str(open_store().path("sample_astronaut")), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image, dtype=np.uint8)
