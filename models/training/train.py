"""Train the net on a pool of crops, with or without one data set held out.

    python -m models.training.train --pool CACHE --out net.pt [--hold-out pourfard_bench] [--minutes 20]

Seeded; one thread a process, and with ``--jobs`` several processes that share each batch and its gradient (a
quarter faster than as many threads of one process). The schedule follows steps or the clock, whichever is
further on, so that a slow machine ends in time with a finished cosine.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.multiprocessing as mp
from numpy.typing import NDArray
from torch import Tensor, distributed
from torch.nn import functional

from models.training.entries import Pool, freeze, gather, read_pool
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


def loss(
    out: Output, tight: Tensor | None, live: Tensor, logits: Tensor, pairs: int, recipe: Recipe
) -> Tensor:
    """Labels for one head and for the branches, teachers for the other, spectrum, agreement of pairs.

    Args:
        out: what the net says of N samples.
        tight: (N, 3, 96, 96) BGR 0..255 for the spectrum, or None.
        live: (N,) 1 or 0.
        logits: (N, 3) of the teachers.
        pairs: the last so many samples are the first so many under their other box.
        recipe: weights of the parts.
    """
    target = live * (1 - 2 * recipe.smoothing) + recipe.smoothing
    bce = functional.binary_cross_entropy_with_logits
    total = bce(out.label_logit, target)
    total = total + recipe.branch * (bce(out.tight_logit, target) + bce(out.context_logit, target))
    total = total + recipe.teach * functional.smooth_l1_loss(out.teachers, logits)
    if out.spectrum is not None and tight is not None:
        total = total + recipe.fourier * functional.mse_loss(out.spectrum, log_spectrum(tight))
    first, second = (part.clamp(-6, 6) for part in (out.logit[:pairs], out.logit[-pairs:]))
    return total + recipe.agree * functional.mse_loss(first, second)


def _split(batch: NDArray[Any]) -> tuple[Tensor, Tensor]:
    tensor = torch.from_numpy(batch).float()
    first, second = (tensor[:, k].contiguous(memory_format=torch.channels_last) for k in range(2))
    return first, second


def _average(learnt: Sequence[Tensor], progress: float, jobs: int) -> float:
    """Replace every gradient by its mean over the processes; mean of their progress, the same in each."""
    grads = [p.grad for p in learnt if p.grad is not None]
    flat = torch.cat([grad.reshape(-1) for grad in grads] + [torch.tensor([progress])])
    distributed.all_reduce(flat)
    flat /= jobs
    for grad, mean in zip(grads, flat[:-1].split([grad.numel() for grad in grads]), strict=True):
        grad.copy_(mean.view_as(grad))
    return float(flat[-1])


def train(
    pool: Pool, recipe: Recipe, minutes: float, start: Path | None = None, rank: int = 0, jobs: int = 1
) -> tuple[PadNet, dict[str, float]]:
    """Train and give back the moving average of the weights, with a few facts about the run.

    Args:
        pool: what to learn from.
        recipe: how.
        minutes: the schedule ends then at the latest.
        start: weights to begin with, of a run on neutral pictures.
        rank: number of this process.
        jobs: processes of the default group of `torch.distributed`, which share each batch.
    """
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(1)
    net = PadNet().to(memory_format=torch.channels_last)
    torch.manual_seed(recipe.seed + 1000 * rank)
    rng = np.random.default_rng([recipe.seed, rank])
    if start is not None:
        net.load_state_dict(torch.load(start, weights_only=True))
    average = copy.deepcopy(net)
    for part in (net.tight, net.context) if pool.low else ():
        part.stem.requires_grad_(False)
        part.early.requires_grad_(False)
    chance = weights(pool, recipe)
    learnt = [p for p in net.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learnt, lr=recipe.rate, weight_decay=recipe.decay)
    batch, pairs = recipe.batch // jobs, recipe.pairs // jobs
    started, progress, step, shown = time.monotonic(), 0.0, 0, 0.0
    while progress < 1:
        pick = rng.choice(len(pool.index), batch, p=chance)
        pick = np.concatenate([pick, pick[:pairs]])
        view = rng.integers(0, 2, len(pick))
        view[batch:] = 1 - view[:pairs]
        warm = min(1.0, progress / 0.05 + 0.05)
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * warm * (0.5 + 0.5 * np.cos(np.pi * progress)) + 1e-5
        tight: Tensor | None = None
        if pool.low:
            first, second = _split(gather(pool, pool.low, pick, view))
            out = net.judge(first, second)
        else:
            crops = torch.from_numpy(gather(pool, pool.crops, pick, view)).permute(0, 1, 4, 2, 3).float()
            tight, context = _split(augment(crops, rng).numpy())
            out = net(tight, context)
        live, logits = torch.from_numpy(pool.live[pick]), torch.from_numpy(pool.logits[pick])
        value = loss(out, tight, live, logits, pairs, recipe)
        optimiser.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        step += 1
        progress = max(step / recipe.steps, (time.monotonic() - started) / (60 * minutes))
        if jobs > 1:
            progress = _average(learnt, progress, jobs)
        torch.nn.utils.clip_grad_norm_(learnt, 2.0)
        optimiser.step()
        keep = min(recipe.ema, step / (step + 19))
        with torch.no_grad():
            for ours, theirs in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
                if ours.dtype.is_floating_point:
                    ours.lerp_(theirs, 1 - keep)
        shown = 0.98 * shown + 0.02 * value.item() if step > 1 else value.item()
        if step % 100 == 0 and rank == 0:
            print(f"{step:5d} {progress:.2f} loss {shown:.3f} {time.monotonic() - started:.0f} s", flush=True)
    average.eval()
    return average, {"steps": step, "seconds": time.monotonic() - started, "loss": shown}


def work(rank: int, meeting: str, args: argparse.Namespace) -> None:
    """One process of a run; the first writes the weights and the note beside them."""
    if args.jobs > 1:
        distributed.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=args.jobs)
    recipe = Recipe(seed=args.seed, steps=args.steps, rate=args.rate, agree=args.agree)
    pool = read_pool(args.pool, args.hold_out, neutral=args.neutral, frozen=args.frozen)
    print(f"{len(pool.index)} entries, {int(pool.live.sum())} live, without {args.hold_out}", flush=True)
    net, facts = train(pool, recipe, args.minutes, args.start, rank, args.jobs)
    if rank == 0:
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
    if args.jobs > 1:
        distributed.destroy_process_group()


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
    parser.add_argument("--jobs", type=int, default=1, help="processes that share each batch")
    args = parser.parse_args()
    if args.freeze:
        for folder in args.pool:
            freeze(folder, args.start)
    elif args.jobs == 1:
        work(0, "", args)
    else:
        with tempfile.TemporaryDirectory() as folder:
            mp.spawn(work, (str(Path(folder) / "meeting"), args), args.jobs)


if __name__ == "__main__":
    main()
