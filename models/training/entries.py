"""Entries of `models.training.pool`, read back: crops, labels and teachers' logits, mapped and not loaded."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.training.data import NEUTRAL
from models.training.net import PadNet


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Entries of `models.training.pool`, as arrays over the kept entries.

    Attributes:
        index: position in the crop array of the entry's folder.
        folder: which of `crops` the entry is in.
        live: 1.0 or 0.0.
        real: True where nothing was simulated.
        dataset: name of the data set.
        logits: (n, 3) of the teachers.
        crops: one array per folder, (all, 2 views, 2 crops, 96, 96, 3) uint8, mapped and not read.
        low: one array per folder of frozen low features, (all, 2, 2, w1, 24, 24) float16; empty without.
    """

    index: NDArray[np.int64]
    folder: NDArray[np.int64]
    live: NDArray[np.float32]
    real: NDArray[np.bool_]
    dataset: NDArray[np.str_]
    logits: NDArray[np.float32]
    crops: list[NDArray[np.uint8]]
    low: list[NDArray[np.float16]]


def read_rows(folder: Path) -> list[dict[str, str]]:
    """Rows of a pool's ``entries.tsv``: the entries that were made, in their order."""
    with (folder / "entries.tsv").open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def read_pool(
    folders: list[Path], hold_out: Sequence[str], *, neutral: bool = False, frozen: bool = False
) -> Pool:
    """Read pools; entries whose face or scene comes from `hold_out` are left out.

    Args:
        folders: of `models.training.pool`, made with different seeds.
        hold_out: data sets that must not be seen.
        neutral: keep only press pictures, which belong to no labelled data set.
        frozen: use the low features that `freeze` wrote beside the crops.
    """
    rows = [
        (number, row)
        for number, folder in enumerate(folders)
        for row in read_rows(folder)
        if row["dataset"] not in hold_out and (not neutral or row["dataset"] in NEUTRAL)
    ]
    index = np.array([int(row["index"]) for _, row in rows])
    number = np.array([k for k, _ in rows])
    logits = [np.load(folder / "logits.npy") for folder in folders]
    return Pool(
        index,
        number,
        np.array([float(row["live"]) for _, row in rows], np.float32),
        np.array([row["medium"] in ("live", "real") for _, row in rows]),
        np.array([row["dataset"] for _, row in rows]),
        np.stack([logits[k][i] for k, i in zip(number, index, strict=True)]),
        [np.load(folder / "crops.npy", mmap_mode="r") for folder in folders],
        [np.load(folder / "low.npy", mmap_mode="r") for folder in folders] if frozen else [],
    )


def freeze(folder: Path, weights: Path) -> None:
    """Write the low features of every entry once, so that training need not go through them.

    The weights must come from a ``--neutral`` run: then the frozen part has seen no labelled data set, and
    one file serves every fold. The second view is mirrored, in place of mirroring at random.
    """
    net = PadNet()
    net.load_state_dict(torch.load(weights, weights_only=True))
    net.eval()
    torch.set_num_threads(1)
    crops = np.load(folder / "crops.npy", mmap_mode="r")
    done = [int(row["index"]) for row in read_rows(folder)]
    width = net.tight.early[-1].body[-1].num_features  # type: ignore[union-attr,index]
    size = crops.shape[3] // 4
    out = np.lib.format.open_memmap(
        folder / "low.npy", mode="w+", dtype=np.float16, shape=(len(crops), 2, 2, width, size, size)
    )
    with torch.no_grad():
        for start in range(0, len(done), 32):
            rows = done[start : start + 32]
            entries = np.stack([crops[i] for i in rows])
            raw = torch.from_numpy(entries).permute(0, 1, 2, 5, 3, 4).float()
            raw[:, 1] = raw[:, 1].flip(-1)
            for k, trunk in enumerate((net.tight, net.context)):
                low = trunk.low(raw[:, :, k].flatten(0, 1).contiguous(memory_format=torch.channels_last))
                out[rows, :, k] = low.unflatten(0, (len(rows), 2)).numpy()


def gather(
    pool: Pool, arrays: list[NDArray[Any]], pick: NDArray[np.int64], view: NDArray[np.int64]
) -> NDArray[Any]:
    """Entries `pick` under boxes `view`, out of the arrays of several folders."""
    rows = zip(pool.folder[pick], pool.index[pick], view, strict=True)
    return np.stack([arrays[folder][index, v] for folder, index, v in rows])
