"""Leave-one-dataset-out table, split by subject, jitter test and timing.

    python -m models.training.evaluate prepare --detector BLAZE.onnx --fr-liveness FR.onnx --out bench.npz
    python -m models.training.evaluate lodo --bench bench.npz --folds FOLDER --out docs/pad-results/NAME.md
    python -m models.training.evaluate time --net models/livegate_pad.onnx

FOLDER holds nets of `train`; the file beside each says what it has never seen, and it is judged on just that.
`prepare` cuts every labelled picture at full size once: at the detector's box and at ten jittered ones. The
file holds faces: keep it out of the checkout.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.training import metrics
from models.training.crops import TIGHT, jitter_box, pair
from models.training.data import CROP_ONLY, DATASETS, DEV_SUBJECTS, load
from models.training.export import load as load_net
from models.training.net import PadNet
from models.training.teachers import NAMES, Teachers
from pipeline.liveness.passive import NETS
from pipeline.nets.session import make_session
from pipeline.vision.detect import BlazeFaceDetector

JITTERS = 10
DEV = "nuaa_raw, subjects not trained on"
OURS = NETS["livegate_pad"].weight
#: Means of logits; ours counts twice, for its two heads (`pipeline.liveness.passive.fuse`). None is fitted.
FUSIONS = {
    "minifasnet pair": (0.0, (1, 1, 0, 0)),
    "public trio": (0.0, (1, 1, 1, 0)),
    "ours + minifasnet_v2": (OURS, (1, 0, 0, 0)),
    "ours + facenox": (OURS, (0, 0, 1, 0)),
    "ours + fr_liveness": (OURS, (0, 0, 0, 1)),
    "ours + minifasnet pair": (OURS, (1, 1, 0, 0)),
    "ours + public trio": (OURS, (1, 1, 1, 0)),
}


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """Every labelled picture as crops.

    Attributes:
        crops: uint8 (n, 1 + JITTERS, 2, 96, 96, 3), first at the detector's box.
        teachers: float32 (n, 4) clipped logits of `teachers.NAMES`.
        live: bool (n,).
        dataset, subject, path, species: (n,) text.
    """

    crops: NDArray[np.uint8]
    teachers: NDArray[np.float32]
    live: NDArray[np.bool_]
    dataset: NDArray[np.str_]
    subject: NDArray[np.str_]
    path: NDArray[np.str_]
    species: NDArray[np.str_]


def prepare(data: Path, teachers: Path, fr_liveness: Path, detector: Path, out: Path) -> None:
    """Cut and let the public nets judge all labelled pictures."""
    pictures = load(data, BlazeFaceDetector(detector), (*DATASETS, "sdk_samples"), max_side=None)
    nets = Teachers(teachers, fr_liveness)
    crops = np.empty((len(pictures), 1 + JITTERS, 2, TIGHT.size, TIGHT.size, 3), np.uint8)
    logits = np.empty((len(pictures), len(NAMES)), np.float32)
    for k, picture in enumerate(pictures):
        rng = np.random.default_rng([7, k])
        logits[k] = nets.logits(picture.image, picture.box)
        crops[k, 0] = pair(picture.image, picture.box)
        for j in range(JITTERS):
            crops[k, 1 + j] = pair(picture.image, jitter_box(picture.box, rng))
    np.savez(
        out,
        crops=crops,
        teachers=logits,
        **{
            name: np.array([getattr(p, name) for p in pictures])
            for name in ("live", "dataset", "subject", "path", "species")
        },
    )
    print(f"{len(pictures)} pictures")


def read(path: Path) -> Bench:
    """The file of `prepare`."""
    with np.load(path) as file:
        return Bench(**{name: file[name] for name in Bench.__slots__})


def judge(net: PadNet, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Logits for (n, 2, 96, 96, 3) uint8 crops."""
    torch.set_num_threads(1)
    out = []
    with torch.no_grad():
        for start in range(0, len(crops), 64):
            part = torch.from_numpy(crops[start : start + 64]).permute(0, 1, 4, 2, 3).float()
            out.append(net(part[:, 0].contiguous(), part[:, 1].contiguous()).logit.numpy())
    return np.concatenate(out).astype(np.float64)


def _row(name: str, score: NDArray[np.float64], bench: Bench, rows: NDArray[np.bool_]) -> dict[str, Any]:
    live = bench.live[rows]
    groups = np.where(bench.subject[rows] == "", bench.path[rows], bench.subject[rows])
    rate, threshold = metrics.eer(score, live)
    low, high = metrics.interval(score, live, groups)
    return {
        "net": name,
        "live": int(live.sum()),
        "attacks": int((~live).sum()),
        "auc": round(metrics.auc(score, live), 4),
        "eer": round(100 * rate, 2),
        "eer_95": [round(100 * low, 1), round(100 * high, 1)],
        "apcer_at_bpcer_5": round(100 * metrics.apcer_at(score, live), 2),
        "threshold": round(threshold, 3),
    }


def rows_of(bench: Bench, ours: NDArray[np.float64], rows: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """All nets and fusions on the pictures `rows`; `ours` are logits of those pictures."""
    out = [_row("ours", ours, bench, rows)]
    teachers = bench.teachers[rows].astype(np.float64)
    out += [_row(name, teachers[:, k], bench, rows) for k, name in enumerate(NAMES)]
    clipped = np.clip(ours, -6.9, 6.9)
    for name, (own, parts) in FUSIONS.items():
        weight = np.array(parts, np.float64)
        fused = (own * clipped + teachers @ weight) / (own + weight.sum())
        out.append(_row(name, fused, bench, rows))
    return out


def flips(net: PadNet, bench: Bench, rows: NDArray[np.bool_], threshold: float) -> float:
    """Share of jittered copies whose verdict at `threshold` differs from the one at the detector's box."""
    crops = bench.crops[rows]
    base = judge(net, crops[:, 0]) >= threshold
    moved = np.stack([judge(net, crops[:, 1 + j]) >= threshold for j in range(JITTERS)], 1)
    return float((moved != base[:, None]).mean())


def _table(rows: list[dict[str, Any]]) -> list[str]:
    lines = ["| net | AUC | EER % (95 %) | APCER % at BPCER 5 % |", "|---|---|---|---|"]
    for row in rows:
        low, high = row["eer_95"]
        lines.append(
            f"| {row['net']} | {row['auc']:.3f} | {row['eer']:.1f} ({low} to {high}) "
            f"| {row['apcer_at_bpcer_5']:.1f} |"
        )
    return lines


def _summary(tables: dict[str, list[dict[str, Any]]]) -> list[str]:
    folds = [name for name in DATASETS if name in tables]
    scenes = [name for name in folds if name not in CROP_ONLY]
    lines = [
        "| net | " + " | ".join(f"{name} EER %" for name in folds) + " | mean, with scene | mean, all |",
        "|---|" + "---|" * (len(folds) + 2),
    ]
    for k, first in enumerate(tables[folds[0]] if folds else []):
        rates = {name: float(tables[name][k]["eer"]) for name in folds}
        part = np.mean([rates[name] for name in scenes]) if scenes else float("nan")
        cells = [f"{rate:.1f}" for rate in rates.values()] + [
            f"{part:.1f}",
            f"{np.mean([*rates.values()]):.1f}",
        ]
        lines.append(f"| {first['net']} | " + " | ".join(cells) + " |")
    return lines


def markdown(report: dict[str, Any]) -> str:
    """Tables of a report of `lodo`, worst news included."""
    lines = ["## Summary", "", *_summary(report["tables"]), ""]
    for name, rows in report["tables"].items():
        lines += [f"## {name}: {rows[0]['live']} live, {rows[0]['attacks']} attacks", "", *_table(rows), ""]
    lines += [
        "## Verdicts that flip when the box moves by 20 % and scales by 15 %",
        "",
        "| net of the fold | threshold 0 | threshold at EER |",
        "|---|---|---|",
    ]
    for name, row in report["flips"].items():
        at_eer = f"{100 * row['at_eer']:.1f} %" if "at_eer" in row else "-"
        lines.append(f"| {name} | {100 * row['at_zero']:.1f} % | {at_eer} |")
    lines += [
        "",
        "## Training of each net",
        "",
        "| net | never seen | entries | steps | minutes |",
        "|---|---|---|---|---|",
    ]
    for name, row in report["runs"].items():
        unseen = ", ".join(row["hold_out"]) or "subjects kept out"
        minutes = row["seconds"] / 60
        lines.append(f"| {name} | {unseen} | {row['entries']} | {row['steps']} | {minutes:.0f} |")
    return "\n".join(lines) + "\n"


def lodo(bench: Bench, folder: Path, jitter: bool) -> dict[str, Any]:
    """Report of every net in `folder` on what it has never seen: data sets, or the subjects kept out."""
    report: dict[str, list[dict[str, Any]]] = {}
    runs: dict[str, dict[str, Any]] = {}
    moved: dict[str, dict[str, float]] = {}
    for weights in sorted(folder.glob("*.pt")):
        run = json.loads(weights.with_suffix(".json").read_text())
        net = load_net(weights)
        for name in run["hold_out"]:
            rows = bench.dataset == name
            runs[name] = run
            report[name] = rows_of(bench, judge(net, bench.crops[rows][:, 0]), rows)
            if jitter:
                at = float(report[name][0]["threshold"])
                moved[name] = {"at_zero": flips(net, bench, rows, 0.0), "at_eer": flips(net, bench, rows, at)}
        if not run["hold_out"] and not run["neutral"]:
            runs["all"] = run
            rows = np.isin(bench.subject, list(DEV_SUBJECTS))
            report[DEV] = rows_of(bench, judge(net, bench.crops[rows][:, 0]), rows)
            if jitter:
                moved["all"] = {"at_zero": flips(net, bench, bench.dataset != "sdk_samples", 0.0)}
                moved[DEV] = {"at_zero": flips(net, bench, rows, 0.0)}
    facts = {
        name: {k: run[k] for k in ("entries", "steps", "seconds", "hold_out")} for name, run in runs.items()
    }
    return {"tables": report, "flips": moved, "runs": facts}


def timing(paths: list[Path], rounds: int = 300) -> dict[str, float]:
    """Median milliseconds of each net at batch 1 on one thread; run in turn, so all see the same machine."""
    sessions = [make_session(path) for path in paths]
    feeds = []
    for session in sessions:
        shapes = {i.name: [d if isinstance(d, int) else 1 for d in i.shape] for i in session.get_inputs()}
        feeds.append({name: np.full(shape, 127.0, np.float32) for name, shape in shapes.items()})
    spent = np.empty((rounds, len(paths)))
    for k in range(rounds):
        for j, (session, feed) in enumerate(zip(sessions, feeds, strict=True)):
            begin = time.perf_counter()
            session.run(None, feed)
            spent[k, j] = time.perf_counter() - begin
    return {
        path.name: round(1e3 * float(m), 3) for path, m in zip(paths, np.median(spent[20:], 0), strict=True)
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    sub = parser.add_subparsers(dest="command", required=True)
    make = sub.add_parser("prepare")
    make.add_argument("--data", type=Path, default=Path("../shared/data"))
    make.add_argument("--teachers", type=Path, default=Path("../shared/models"))
    make.add_argument("--fr-liveness", type=Path, required=True)
    make.add_argument("--detector", type=Path, required=True)
    make.add_argument("--out", type=Path, required=True)
    table = sub.add_parser("lodo")
    table.add_argument("--bench", type=Path, required=True)
    table.add_argument("--folds", type=Path, required=True)
    table.add_argument("--out", type=Path, default=None)
    table.add_argument("--no-jitter", action="store_true")
    clock = sub.add_parser("time")
    clock.add_argument("nets", type=Path, nargs="+")
    args = parser.parse_args()
    if args.command == "prepare":
        prepare(args.data, args.teachers, args.fr_liveness, args.detector, args.out)
    elif args.command == "time":
        print(json.dumps(timing(args.nets), indent=1))
    else:
        result = lodo(read(args.bench), args.folds, not args.no_jitter)
        text = markdown(result)
        print(text)
        if args.out is not None:
            args.out.write_text(json.dumps(result, indent=1) + "\n")
            args.out.with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
