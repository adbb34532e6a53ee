"""The room's nets, loaded once, and the face that the tests look at."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.nets import ModelStore, open_store
from pipeline.vision import BlazeFaceDetector, FaceMesh, View, Vision


@pytest.fixture(scope="session")
def store() -> ModelStore:
    return open_store()


@pytest.fixture(scope="session")
def detector(store: ModelStore) -> BlazeFaceDetector:
    return BlazeFaceDetector(store.path("face_detector"))


@pytest.fixture(scope="session")
def mesh(store: ModelStore) -> FaceMesh:
    return FaceMesh(store.path("face_mesh"))


@pytest.fixture(scope="session")
def vision(store: ModelStore) -> Vision:
    return Vision(store)


@pytest.fixture(scope="session")
def seen(vision: Vision, astronaut: NDArray[np.uint8]) -> View:
    return vision.look(astronaut)
