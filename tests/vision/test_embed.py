from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from pipeline.nets import ModelStore
from pipeline.vision import FaceEmbedder, View, Vision
from pipeline.vision.align import align_batch

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def embedder(store: ModelStore) -> FaceEmbedder:
    return FaceEmbedder(store.path("fr_feature"))


def test_gives_a_unit_vector(embedder: FaceEmbedder, astronaut: Picture, seen: View) -> None:
    assert seen.face is not None
    vector = embedder.embed(astronaut, seen.face.five)
    assert vector.shape == (512,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_many_equal_one_by_one(embedder: FaceEmbedder, astronaut: Picture, seen: View) -> None:
    assert seen.face is not None
    fives = np.stack([seen.face.five, seen.face.five + 2, seen.face.five - 3])
    many = embedder.embed_many(astronaut, fives)
    for row, five in zip(many, fives, strict=True):
        assert_allclose(row, embedder.embed(astronaut, five), atol=1e-4)
    assert_allclose(embedder.embed_aligned(align_batch(astronaut, fives)), many)


def test_the_same_person_in_other_light_is_nearer_than_the_background(
    embedder: FaceEmbedder, astronaut: Picture, seen: View, vision: Vision
) -> None:
    assert seen.face is not None
    known = embedder.embed(astronaut, seen.face.five)
    darker = cv2.convertScaleAbs(cv2.GaussianBlur(astronaut, (3, 3), 0), alpha=0.6)
    other = vision.look(darker).face
    assert other is not None
    assert known @ embedder.embed(darker, other.five) > 0.7
    assert known @ embedder.embed(astronaut, seen.face.five + 150) < 0.3


def test_pairs_of_one_person_score_above_pairs_of_two(
    shared_data: Path, embedder: FaceEmbedder, vision: Vision
) -> None:
    same: dict[str, list[float]] = {"0": [], "1": []}
    with (shared_data / "pairs_lfw_deepfunneled.tsv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    for wanted in same:
        for row in [r for r in rows if r["same"] == wanted][::7][:50]:
            vectors = []
            for name in (row["a"], row["b"]):
                image = cv2.imread(str(shared_data / name), cv2.IMREAD_COLOR)
                face = vision.look(image).face
                if face is not None:
                    vectors.append(embedder.embed(image, face.five))
            if len(vectors) == 2:
                same[wanted].append(float(vectors[0] @ vectors[1]))
    genuine, impostor = np.array(same["1"]), np.array(same["0"])
    assert min(len(genuine), len(impostor)) >= 45
    assert (genuine[:, None] > impostor[None]).mean() > 0.98
