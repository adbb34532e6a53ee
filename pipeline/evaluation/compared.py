"""Pairs of pictures to cosines: each picture is read and embedded once."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.camera import Image, load_picture
from pipeline.errors import SourceError
from pipeline.evaluation.comparison import unite
from pipeline.evaluation.curve import Flags
from pipeline.evaluation.folder import Progress
from pipeline.evaluation.intervals import F64, Integers
from pipeline.evaluation.manifest import Pair
from pipeline.evaluation.outcomes import UNREADABLE
from pipeline.vision.vision import ModelPaths

F32 = NDArray[np.float32]

NO_FACE: Final = "no_face"
CSV_COLUMNS: Final = ("a", "b", "same", "cosine", "score", "reason_a", "reason_b")
_BLOCK: Final = 4096
"""Pairs whose templates are multiplied at once: 16 MB."""


class Embedder(Protocol):
    """Turns a picture into a template.

    Attributes:
        nets: names of the nets behind it.
    """

    @property
    def nets(self) -> Sequence[str]: ...  # noqa: D102

    def embed(self, image: Image) -> F32 | None:
        """Picture, uint8 (height, width, 3) BGR, to float32 (d,) of length 1; None where there is no face."""
        ...

    def score(self, cosine: float) -> float:
        """Similarity to the product's score, 0..100; grows with it."""
        ...


class ProductEmbedder:
    """The embedded authority's own way: detector, mesh, alignment, embedding net, score map.

    Args:
        models: a model store: ``face_detector``, ``face_mesh`` and ``fr_feature`` are used.

    Raises:
        ModelError: a model file is missing or can't be loaded.
    """

    def __init__(self, models: ModelPaths) -> None:
        from pipeline.gateway.faces import NetEmbedder
        from pipeline.gateway.scoring import score_of

        self._nets = NetEmbedder(models)
        self._score_of = score_of

    @property
    def nets(self) -> Sequence[str]:
        """Names of the nets, in the order of their work."""
        return ("face_detector", self._nets.MESH, self._nets.NET)

    def embed(self, image: Image) -> F32 | None:
        """Embed the largest face."""
        reading = self._nets.read(image)
        return None if reading is None else reading.embedding

    def score(self, cosine: float) -> float:
        """The score that the service answers with."""
        return self._score_of(cosine)


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Pairs as columns.

    Attributes:
        pairs: the rows.
        cosines: float64 (n,), NaN where a picture gave no template.
        scores: float64 (n,), the product's, 0..100; NaN likewise.
        same: bool (n,).
        people: who is on each side, numbers from 0, two int64 arrays (n,).
        failed: picture to the reason why it gave no template.
        pictures: how many different ones there are.
        contradictions: lines that say "different" of pictures that other lines, together, call the same.
    """

    pairs: tuple[Pair, ...]
    cosines: F64
    scores: F64
    same: Flags
    people: tuple[Integers, Integers]
    failed: dict[Path, str]
    pictures: int
    contradictions: tuple[int, ...]


def compare_pairs(pairs: Sequence[Pair], embedder: Embedder, progress: Progress | None = None) -> Compared:
    """Embed every picture once, then compare.

    Args:
        pairs: at least one.
        embedder: the product.
        progress: called after every picture.
    """
    paths = sorted({path for pair in pairs for path in (pair.path_a, pair.path_b)})
    index: dict[Path, int] = {}
    templates: list[F32] = []
    failed: dict[Path, str] = {}
    for done, path in enumerate(paths, 1):
        found = _template(embedder, path)
        if isinstance(found, str):
            failed[path] = found
        else:
            index[path] = len(templates)
            templates.append(found)
        if progress is not None:
            progress(done, len(paths))
    cosines = _cosines(pairs, index, templates)
    scores = np.array([np.nan if np.isnan(c) else embedder.score(float(c)) for c in cosines], np.float64)
    same = np.array([pair.same for pair in pairs], np.bool_)
    left, right = people(pairs)
    return Compared(
        pairs=tuple(pairs),
        cosines=cosines,
        scores=scores,
        same=same,
        people=(left, right),
        failed=failed,
        pictures=len(paths),
        contradictions=tuple(
            pair.line for pair, odd in zip(pairs, ~same & (left == right), strict=True) if odd
        ),
    )


def people(pairs: Sequence[Pair]) -> tuple[Integers, Integers]:
    """Who is on each side of every pair, by the subjects named and by what the pairs call the same."""
    left = [_person(pair.subject_a, pair.path_a) for pair in pairs]
    right = [_person(pair.subject_b, pair.path_b) for pair in pairs]
    together = [(a, b) for a, b, pair in zip(left, right, pairs, strict=True) if pair.same]
    numbers = unite(sorted({*left, *right}), together)
    return (
        np.array([numbers[name] for name in left], np.int64),
        np.array([numbers[name] for name in right], np.int64),
    )


def write_pairs(path: Path, compared: Compared) -> None:
    """Write ``scores.csv``."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(CSV_COLUMNS)
        for pair, cosine, score in zip(compared.pairs, compared.cosines, compared.scores, strict=True):
            made = not np.isnan(cosine)
            rows.writerow(
                [
                    pair.a,
                    pair.b,
                    int(pair.same),
                    repr(float(cosine)) if made else "",
                    f"{score:.2f}" if made else "",
                    compared.failed.get(pair.path_a, ""),
                    compared.failed.get(pair.path_b, ""),
                ]
            )


def _person(subject: str, path: Path) -> str:
    return f"s:{subject}" if subject else f"f:{path}"


def _template(embedder: Embedder, path: Path) -> F32 | str:
    """The template, or the reason why there is none."""
    try:
        image = load_picture(path)
    except SourceError:
        return UNREADABLE
    template = embedder.embed(image)
    return NO_FACE if template is None else np.asarray(template, np.float32)


def _cosines(pairs: Sequence[Pair], index: dict[Path, int], templates: Sequence[F32]) -> F64:
    at = np.array([[index.get(p.path_a, -1), index.get(p.path_b, -1)] for p in pairs], np.int64)
    made = (at >= 0).all(axis=1)
    cosines = np.full(len(pairs), np.nan)
    if templates:
        stack = np.stack(templates)
        for block in np.array_split(np.flatnonzero(made), max(1, len(pairs) // _BLOCK)):
            a, b = stack[at[block, 0]], stack[at[block, 1]]
            cosines[block] = np.einsum("nd,nd->n", a, b, dtype=np.float64)
    return np.asarray(np.clip(cosines, -1.0, 1.0), np.float64)
