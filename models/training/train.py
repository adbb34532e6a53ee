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
from dataclasses import asdict, dataclass
from pathlib import Path

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
    pairs: int = 16
    rate: float = 2.5e-3
    decay: float = 0.03
    smoothing: float = 0.04
    branch: float = 0.35
    teach: float = 0.25
    distil: float = 0.2
    fourier: float = 0.1
    agree: float = 0.05
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
    """

    index: NDArray[np.int64]
    folder: NDArray[np.int64]
    live: NDArray[np.float32]
    real: NDArray[np.bool_]
    dataset: NDArray[np.str_]
    logits: NDArray[np.float32]
    crops: list[NDArray[np.uint8]]


def read_pool(folders: list[Path], hold_out: str | None, neutral: bool = False) -> Pool:
    """Read pools; entries whose face or scene comes from `hold_out` are left out.

    Args:
        folders: of `models.training.pool`, made with different seeds.
        hold_out: a data set, or None.
        neutral: keep only press pictures, which belong to no labelled data set.
    """
    rows: list[tuple[int, dict[str, str]]] = []
    for number, folder in enumerate(folders):
        with (folder / "entries.tsv").open(newline="") as handle:
            rows += [(number, row) for row in csv.DictReader(handle, delimiter="\t")]
    rows = [r for r in rows if r[1]["dataset"] != hold_out and (not neutral or r[1]["dataset"] in NEUTRAL)]
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
    )


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
    """Mirror, channel gains, and a hole in one crop; both crops of a sample alike where it matters.

    Args:
        batch: (N, 2, 3, S, S) float 0..255.
        rng: all chance comes from here.
    """
    count, size = batch.shape[0], batch.shape[-1]
    mirror = torch.from_numpy(rng.random(count) < 0.5)
    batch = torch.where(mirror[:, None, None, None, None], batch.flip(-1), batch)
    gain = np.exp(rng.normal(0, 0.06, (count, 1, 3, 1, 1)) + rng.normal(0, 0.08, (count, 1, 1, 1, 1)))
    batch = (batch * torch.from_numpy(gain.astype(np.float32))).clamp_(0, 255)
    for k in np.flatnonzero(rng.random(count) < 0.25):
        side = rng.integers(size // 8, size // 2, 2)
        y, x = (int(rng.integers(0, size - int(s))) for s in side)
        batch[k, int(rng.integers(2)), :, y : y + int(side[0]), x : x + int(side[1])] = float(
            rng.uniform(0, 255)
        )
    return batch


def loss(out: Output, tight: Tensor, live: Tensor, real: Tensor, logits: Tensor, recipe: Recipe) -> Tensor:
    """Labels, branches, teachers, distillation on unsimulated pictures, spectrum, agreement of pairs."""
    target = live * (1 - 2 * recipe.smoothing) + recipe.smoothing
    bce = functional.binary_cross_entropy_with_logits
    total = bce(out.logit, target)
    total = total + recipe.branch * (bce(out.tight_logit, target) + bce(out.context_logit, target))
    asked = ~logits[:, 0].isnan()
    if asked.any():
        total = total + recipe.teach * functional.smooth_l1_loss(out.teachers[asked], logits[asked])
        mean = logits.mean(1)
        right = asked & real & ((mean > 0) == (live > 0.5))
        if right.any():
            soft = torch.sigmoid(mean[right] / 2)
            total = total + recipe.distil * bce(out.logit[right] / 2, soft)
    if out.spectrum is not None:
        total = total + recipe.fourier * functional.mse_loss(out.spectrum, log_spectrum(tight))
    first = out.logit[: recipe.pairs].clamp(-6, 6)
    second = out.logit[recipe.batch : recipe.batch + recipe.pairs].clamp(-6, 6)
    return total + recipe.agree * functional.mse_loss(first, second)


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
    chance = weights(pool, recipe)
    optimiser = torch.optim.AdamW(net.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    started, progress, step, shown = time.monotonic(), 0.0, 0, 0.0
    while progress < 1:
        pick = rng.choice(len(pool.index), recipe.batch, p=chance)
        pick = np.concatenate([pick, pick[: recipe.pairs]])
        view = rng.integers(0, 2, len(pick))
        view[recipe.batch :] = 1 - view[: recipe.pairs]
        raw = np.stack(
            [pool.crops[pool.folder[p]][pool.index[p], v] for p, v in zip(pick, view, strict=True)]
        )
        batch = augment(torch.from_numpy(raw).permute(0, 1, 4, 2, 3).float(), rng)
        tight = batch[:, 0].contiguous(memory_format=torch.channels_last)
        context = batch[:, 1].contiguous(memory_format=torch.channels_last)
        warm = min(1.0, progress / 0.05 + 0.05)
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * warm * (0.5 + 0.5 * np.cos(np.pi * progress)) + 1e-5
        value = loss(
            net(tight, context),
            tight,
            torch.from_numpy(pool.live[pick]),
            torch.from_numpy(pool.real[pick]),
            torch.from_numpy(pool.logits[pick]),
            recipe,
        )
        optimiser.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
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
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--hold-out", default=None, help="data set that must not be seen")
    parser.add_argument("--neutral", action="store_true", help="press pictures only: a start for every fold")
    parser.add_argument("--start", type=Path, default=None, help="weights of a --neutral run")
    parser.add_argument("--rate", type=float, default=Recipe().rate)
    parser.add_argument("--seed", type=int, default=Recipe().seed)
    parser.add_argument("--steps", type=int, default=Recipe().steps)
    parser.add_argument("--minutes", type=float, default=60.0)
    args = parser.parse_args()
    recipe = Recipe(seed=args.seed, steps=args.steps, rate=args.rate)
    pool = read_pool(args.pool, args.hold_out, args.neutral)
    print(f"{len(pool.index)} entries, {int(pool.live.sum())} live, held out: {args.hold_out}", flush=True)
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
