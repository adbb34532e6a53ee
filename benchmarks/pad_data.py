"""The labelled pictures and clips as arrays of log-odds: what the fits and reports of liveness are made from.

Scores are kept in a file of numbers, so that a fit or a report takes seconds; pictures never leave their
folder.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import platformdirs
from numpy.typing import NDArray

from pipeline.camera import Frame, open_source
from pipeline.evaluation.intervals import Rate
from pipeline.liveness.passive import NETS, PassiveNet, fuse
from pipeline.nets import ModelStore, open_store
from pipeline.vision import FaceEmbedder, Vision

WORK = platformdirs.user_cache_path("livegate") / "bench"
"""Where scores are kept by default."""
SAME_PERSON = 0.40
"""Cosine of fr_feature from which two unnamed faces are one subject; no pair of different people in LFW
reached it."""


@dataclass(frozen=True, slots=True)
class Stills:
    """Labelled pictures, row by row.

    Attributes:
        dataset, species, subject, presentation: text (n,); pictures of one presentation are not independent.
        live: bool (n,).
        face: bool (n,), whether a face was found.
        log_odds: net name to float64 (n,), NaN without a face.
    """

    dataset: NDArray[np.str_]
    species: NDArray[np.str_]
    subject: NDArray[np.str_]
    presentation: NDArray[np.str_]
    live: NDArray[np.bool_]
    face: NDArray[np.bool_]
    log_odds: dict[str, NDArray[np.float64]]

    def fused(self, nets: Sequence[str]) -> NDArray[np.float64]:
        """The nets' log-odds as the product fuses them: float64 (n,)."""
        return fuse({name: self.log_odds[name] for name in nets})


@dataclass(frozen=True, slots=True)
class Folds:
    """One net, or for a net that was trained here one for each data set that it has never seen.

    Attributes:
        nets: data set to net; the empty name stands for every other data set.
    """

    nets: dict[str, PassiveNet]

    def of(self, dataset: str) -> PassiveNet:
        """The net that may score a data set."""
        return self.nets.get(dataset) or self.nets[""]


def load_nets(files: Sequence[str], store: ModelStore | None = None) -> dict[str, Folds]:
    """Nets by name.

    ``NAME`` comes from the model cache, ``NAME=PATH`` from a file, and ``NAME=PATH@DATASET,DATASET`` is used
    for these data sets only, so that no picture is scored by a net that was trained on its data set.
    """
    store = store or open_store()
    nets: dict[str, Folds] = {}
    for entry in files:
        name, _, place = entry.partition("=")
        path, _, datasets = place.partition("@")
        net = PassiveNet(name, Path(path) if path else store.path(name))
        nets.setdefault(name, Folds({})).nets.update(dict.fromkeys(datasets.split(","), net))
    return nets


def read_manifest(path: Path) -> list[dict[str, str]]:
    """Rows of a TSV with a header."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def score_stills(data: Path, nets: dict[str, Folds], out: Path) -> None:
    """Score every picture of ``pad_all.tsv`` and write numbers and names of groups to a TSV file."""
    store = open_store()
    vision, embedder = Vision(store), FaceEmbedder(store.path("fr_feature"))
    rows = read_manifest(data / "pad_all.tsv")
    embeddings: list[NDArray[np.float32] | None] = []
    lines: list[list[str]] = []
    for row in rows:
        image = cv2.imread(str(data / row["path"]), cv2.IMREAD_COLOR)
        view = vision.look(np.asarray(image, np.uint8))
        face = view.face
        embeddings.append(None if face is None else embedder.embed(np.asarray(image, np.uint8), face.five))
        odds = [
            "nan"
            if face is None
            else f"{folds.of(row['group']).log_odds(np.asarray(image, np.uint8), face.box):.4f}"
            for folds in nets.values()
        ]
        found = str(int(face is not None))
        lines.append([row["group"], row["species"], "", presentation_of(row), row["label"], found, *odds])
    for line, subject in zip(lines, subjects_of(rows, embeddings), strict=True):
        line[2] = subject
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["dataset", "species", "subject", "presentation", "label", "face", *nets])
        writer.writerows(lines)


def presentation_of(row: dict[str, str]) -> str:
    """What was held before the camera at once, as far as file names tell.

    NUAA: ``ID_glasses_position_session_picture``, one presentation for each of the first four. Crops of
    videos: one for each video. Others: every second of the time in the name, or every picture.
    """
    stem = Path(row["path"]).stem
    if row["group"] == "nuaa_raw":
        return "_".join(stem.split("_")[:4])
    if row["group"] == "selfie_replay_crops":
        return f"{row['subject']}_{row['label']}"
    stamp = re.fullmatch(r"(1[67]\d{8})\d*", stem)
    return stamp[1] if stamp else stem


def subjects_of(
    rows: Sequence[dict[str, str]], embeddings: Sequence[NDArray[np.float32] | None]
) -> list[str]:
    """Subject of each row: the manifest's, or a cluster of alike faces where the manifest names nobody.

    Clusters are connected components of cosine >= `SAME_PERSON` within one data set, live and spoof together,
    so that one face is never on both sides of a split. Pictures without a face are one subject.
    """
    names = [row["subject"] for row in rows]
    for dataset in {row["group"] for row in rows}:
        found = {
            i: e
            for i, (row, e) in enumerate(zip(rows, embeddings, strict=True))
            if row["group"] == dataset and not names[i] and e is not None
        }
        if found:
            stacked = np.stack(list(found.values()))
            for i, label in zip(found, components(stacked @ stacked.T >= SAME_PERSON), strict=True):
                names[i] = f"{dataset}_{label}"
    return [name or f"{row['group']}_none" for name, row in zip(names, rows, strict=True)]


def components(adjacent: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Connected components of a symmetric graph: bool (n, n) to the smallest member's index (n,)."""
    n = len(adjacent)
    adjacent = adjacent | np.eye(n, dtype=bool)
    labels = np.arange(n)
    while True:
        lowest = np.where(adjacent, labels[None], n).min(axis=1)
        if np.array_equal(lowest, labels):
            return labels
        labels = lowest


def read_stills(path: Path) -> Stills:
    """Read what `score_stills` wrote."""
    rows = read_manifest(path)

    def column(name: str) -> NDArray[np.str_]:
        return np.array([row[name] for row in rows])

    return Stills(
        dataset=column("dataset"),
        species=column("species"),
        subject=column("subject"),
        presentation=column("presentation"),
        live=column("label") == "live",
        face=column("face") == "1",
        log_odds={name: column(name).astype(float) for name in rows[0] if name in NETS},
    )


def fit_half(stills: Stills) -> NDArray[np.bool_]:
    """Rows whose subject is in the half that calibrations are fitted on: bool (n,).

    Within each data set, subjects in falling order of their number of pictures (then by name) go to the fit
    and to the report in turn.
    """
    chosen = np.zeros(len(stills.live), dtype=bool)
    for dataset in np.unique(stills.dataset):
        rows = stills.dataset == dataset
        names, counts = np.unique(stills.subject[rows], return_counts=True)
        order = sorted(zip(-counts, names, strict=True))
        chosen |= rows & np.isin(stills.subject, [name for _, name in order[::2]])
    return chosen


def read_clip(path: Path, limit: int = 400) -> tuple[float, list[Frame]]:
    """Mean frames per second and up to ``limit`` frames of a clip, with the times that the gate sees.

    Those of the file's frames: a rate that a file claims can be twice the true one.
    """
    with open_source(str(path)) as source:
        frames = list(islice(source, limit))
    seconds = frames[-1].t - frames[0].t if frames else 0.0
    return (len(frames) - 1) / seconds if seconds > 0 else 30.0, frames


def clips(data: Path) -> Iterator[tuple[dict[str, str], float, list[Frame]]]:
    """Rows of ``video_all.tsv`` with their frames."""
    for row in read_manifest(data / "video_all.tsv"):
        fps, frames = read_clip(data / row["path"])
        yield row, fps, frames


def share(errors: int, trials: int) -> str:
    """``12.5 % (1/8; 0.3 to 52.7)``: share, counts and exact 95 % interval."""
    rate = Rate(errors, trials)
    interval = rate.interval
    if interval is None:
        return "-"
    ends = f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"
    return f"{100 * errors / trials:.1f} % ({errors}/{trials}; {ends})"
