"""Train the net on a pool of crops, with or without one data set held out.

    python -m models.training.train --pool CACHE --out net.pt [--hold-out pourfard_bench] [--minutes 20]

Seeded; one thread. The schedule follows steps or the clock, whichever is further on, so that a slow machine
ends in time with a finished cosine.
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.training.data import NEUTRAL
from models.training.net import Output, PadNet, log_spectrum


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that training depends on.

    Attributes:
        shares: weight of each data set in a batch; within each, live and attack weigh the same, so that where
            a picture comes from tells nothing about its class.
        real_share: share of real attacks among the attacks of a data set; the rest is simulated.
        pairs: entries of a batch that are seen under both boxes, for the consistency term.
    """

    seed: int = 1
    steps: int = 2500
    batch: int = 48
    pairs: int = 24
    rate: float = 2.5e-3
    decay: float = 0.03
    smoothing: float = 0.04
    branch: float = 0.2
    teach: float = 1.0
    fourier: float = 0.05
    agree: float = 0.15
    ema: float = 0.997
    shares: tuple[tuple[str, float], ...] = (
        ("nuaa_raw", 0.22),
        ("pourfard_bench", 0.24),
        ("sankalita_webcam", 0.12),
        ("selfie_replay_crops", 0.06),
        ("lfw_single", 0.26),
        ("lfw_deepfunneled", 0.1),
    )
    real_share: tuple[tuple[str, float], ...] = (
        ("nuaa_raw", 0.5),
        ("pourfard_bench", 0.4),
        ("sankalita_webcam", 0.55),
        ("selfie_replay_crops", 0.4),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Entries of `models.training.pool`, as arrays over the kept entries.

    Attributes:
        index: position in the crop array of the entry's folder.
        folder: which of `crops` the entry is in.
        live: 1.0 or 0.0.
        real: True where nothing was simulated.
        dataset: name of the data set.
        logits: (n, 3) of the teachers, NaN where they were not asked.
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
    rows: list[tuple[int, dict[str, str]]] = []
    for number, folder in enumerate(folders):
        with (folder / "entries.tsv").open(newline="") as handle:
            rows += [(number, row) for row in csv.DictReader(handle, delimiter="\t")]
    rows = [
        r for r in rows if r[1]["dataset"] not in hold_out and (not neutral or r[1]["dataset"] in NEUTRAL)
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
    with (folder / "entries.tsv").open(newline="") as handle:
        done = [int(row["index"]) for row in csv.DictReader(handle, delimiter="\t")]
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


def weights(pool: Pool, recipe: Recipe) -> NDArray[np.float64]:
    """Probability of each entry: by data set, then class, then real or simulated, then alike."""
    out = np.zeros(len(pool.index))
    real_share = dict(recipe.real_share)
    for name, share in recipe.shares:
        here = pool.dataset == name
        groups = [(here & (pool.live == 1), 0.5)]
        real, fake = here & (pool.live == 0) & pool.real, here & (pool.live == 0) & ~pool.real
        part = real_share.get(name, 0.0) if real.any() else 0.0
        groups += [(real, 0.5 * part), (fake, 0.5 * (1 - part))]
        for mask, weight in groups:
            if mask.any():
                out[mask] = share * weight / mask.sum()
    return out / out.sum()


def augment(batch: Tensor, rng: np.random.Generator) -> Tensor:
    """Mirror, and gains so small that the teachers' logits still hold; both crops of a sample alike.

    Args:
        batch: (N, 2, 3, S, S) float 0..255.
        rng: all chance comes from here.
    """
    count = batch.shape[0]
    mirror = torch.from_numpy(rng.random(count) < 0.5)
    batch = torch.where(mirror[:, None, None, None, None], batch.flip(-1), batch)
    gain = np.exp(rng.normal(0, 0.02, (count, 1, 3, 1, 1)) + rng.normal(0, 0.03, (count, 1, 1, 1, 1)))
    return (batch * torch.from_numpy(gain.astype(np.float32))).clamp_(0, 255)


def loss(out: Output, tight: Tensor | None, live: Tensor, logits: Tensor, recipe: Recipe) -> Tensor:
    """Labels for one head and for the branches, teachers for the other, spectrum, agreement of pairs."""
    target = live * (1 - 2 * recipe.smoothing) + recipe.smoothing
    bce = functional.binary_cross_entropy_with_logits
    total = bce(out.label_logit, target)
    total = total + recipe.branch * (bce(out.tight_logit, target) + bce(out.context_logit, target))
    asked = ~logits.isnan()
    total = total + recipe.teach * functional.smooth_l1_loss(out.teachers[asked], logits[asked])
    if out.spectrum is not None and tight is not None:
        total = total + recipe.fourier * functional.mse_loss(out.spectrum, log_spectrum(tight))
    first = out.logit[: recipe.pairs].clamp(-6, 6)
    second = out.logit[recipe.batch : recipe.batch + recipe.pairs].clamp(-6, 6)
    return total + recipe.agree * functional.mse_loss(first, second)


def gather(
    pool: Pool, arrays: list[NDArray[Any]], pick: NDArray[np.int64], view: NDArray[np.int64]
) -> NDArray[Any]:
    """Entries `pick` under boxes `view`, out of the arrays of several folders."""
    rows = zip(pool.folder[pick], pool.index[pick], view, strict=True)
    return np.stack([arrays[folder][index, v] for folder, index, v in rows])


def _split(batch: NDArray[Any]) -> tuple[Tensor, Tensor]:
    tensor = torch.from_numpy(batch).float()
    first, second = (tensor[:, k].contiguous(memory_format=torch.channels_last) for k in range(2))
    return first, second


def train(
    pool: Pool, recipe: Recipe, minutes: float, start: Path | None = None
) -> tuple[PadNet, dict[str, float]]:
    """Train and give back the moving average of the weights, with a few facts about the run.

    Args:
        pool: what to learn from.
        recipe: how.
        minutes: the schedule ends then at the latest.
        start: weights to begin with, of a run on neutral pictures.
    """
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(recipe.seed)
    net = PadNet().to(memory_format=torch.channels_last)
    if start is not None:
        net.load_state_dict(torch.load(start, weights_only=True))
    average = copy.deepcopy(net)
    for part in (net.tight, net.context) if pool.low else ():
        part.stem.requires_grad_(False)
        part.early.requires_grad_(False)
    chance = weights(pool, recipe)
    learnt = [p for p in net.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learnt, lr=recipe.rate, weight_decay=recipe.decay)
    started, progress, step, shown = time.monotonic(), 0.0, 0, 0.0
    while progress < 1:
        pick = rng.choice(len(pool.index), recipe.batch, p=chance)
        pick = np.concatenate([pick, pick[: recipe.pairs]])
        view = rng.integers(0, 2, len(pick))
        view[recipe.batch :] = 1 - view[: recipe.pairs]
        warm = min(1.0, progress / 0.05 + 0.05)
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * warm * (0.5 + 0.5 * np.cos(np.pi * progress)) + 1e-5
        tight: Tensor | None = None
        if pool.low:
            first, second = _split(gather(pool, pool.low, pick, view))
            out = net.judge(first, second)
        else:
            batch = torch.from_numpy(gather(pool, pool.crops, pick, view)).permute(0, 1, 4, 2, 3).float()
            tight, context = _split(augment(batch, rng).numpy())
            out = net(tight, context)
        value = loss(
            out,
            tight,
            torch.from_numpy(pool.live[pick]),
            torch.from_numpy(pool.logits[pick]),
            recipe,
        )
        optimiser.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(learnt, 2.0)
        optimiser.step()
        keep = min(recipe.ema, (step + 1) / (step + 20))
        with torch.no_grad():
            for ours, theirs in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
                if ours.dtype.is_floating_point:
                    ours.lerp_(theirs, 1 - keep)
        shown = 0.98 * shown + 0.02 * value.item() if step else value.item()
        step += 1
        progress = max(step / recipe.steps, (time.monotonic() - started) / (60 * minutes))
        if step % 100 == 0:
            print(f"{step:5d} {progress:.2f} loss {shown:.3f} {time.monotonic() - started:.0f} s", flush=True)
    average.eval()
    return average, {"steps": step, "seconds": time.monotonic() - started, "loss": shown}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, default=Path("net.pt"))
    parser.add_argument("--hold-out", nargs="+", default=[], help="data sets that must not be seen")
    parser.add_argument("--neutral", action="store_true", help="press pictures only: a start for every fold")
    parser.add_argument("--start", type=Path, default=None, help="weights of a --neutral run")
    parser.add_argument("--freeze", action="store_true", help="write low features of --start, train nothing")
    parser.add_argument("--frozen", action="store_true", help="train above the low features")
    parser.add_argument("--rate", type=float, default=Recipe().rate)
    parser.add_argument(
        "--agree", type=float, default=Recipe().agree, help="weight of jittered pairs agreeing"
    )
    parser.add_argument("--seed", type=int, default=Recipe().seed)
    parser.add_argument("--steps", type=int, default=Recipe().steps)
    parser.add_argument("--minutes", type=float, default=60.0)
    args = parser.parse_args()
    if args.freeze:
        for folder in args.pool:
            freeze(folder, args.start)
        return
    recipe = Recipe(seed=args.seed, steps=args.steps, rate=args.rate, agree=args.agree)
    pool = read_pool(args.pool, args.hold_out, neutral=args.neutral, frozen=args.frozen)
    print(f"{len(pool.index)} entries, {int(pool.live.sum())} live, without {args.hold_out}", flush=True)
    net, facts = train(pool, recipe, args.minutes, args.start)
    torch.save(net.state_dict(), args.out)
    note = {
        "recipe": asdict(recipe),
        "hold_out": args.hold_out,
        "neutral": args.neutral,
        "start": str(args.start),
        "entries": len(pool.index),
        **facts,
    }
    args.out.with_suffix(".json").write_text(json.dumps(note, indent=1) + "\n")


if __name__ == "__main__":
    main()
