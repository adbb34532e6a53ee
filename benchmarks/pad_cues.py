"""Cues that look at single pictures: what each is worth alone, and as a veto on top of the nets.

    python -m benchmarks.pad_stills score ...     the nets' scores, see there
    python -m benchmarks.pad_cues score           every cue on every picture, every 20th frame of clips
    python -m benchmarks.pad_cues bounds          the constants, from half of the subjects
    python -m benchmarks.pad_cues report          all of it into docs/pad-results
    python -m benchmarks.pad_cues cost            processor time beside one mesh pass

The cues are those of `benchmarks.cues`; docs/adr/0017 tells why none of them is in the gate. A cue's bound is
the highest score of a live picture in the half of the subjects that it is fitted on, plus one standard
deviation of the live scores there: the same rule for every cue and fold. Only the data sets with
surroundings are fitted on; the other half, the clips, press portraits and simulated pictures are reported on
and choose nothing.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.cues.glare import glare_score
from benchmarks.cues.medium import find_medium
from benchmarks.cues.moire import moire_score
from benchmarks.pad_data import WORK, Stills, clips, fit_half, read_manifest, read_stills, share
from benchmarks.pad_stills import FULL_FRAMES, ROOT, facts, fit_line, today
from models.training.camera import capture
from models.training.recapture import distract, recapture
from pipeline.camera.frame import Image
from pipeline.evaluation.curve import auc
from pipeline.evaluation.intervals import zero_error_bound
from pipeline.nets import open_store
from pipeline.vision import Vision
from pipeline.vision.mesh import FaceMesh, roi_of_landmarks
from pipeline.vision.types import F32, Face

F64 = NDArray[np.float64]
Flags = NDArray[np.bool_]

CUES = ("medium", "moire", "glare")
NETS = (("fr_liveness", "livegate_pad"), ("minifasnet_v2", "minifasnet_v1se"), ("livegate_pad",))
"""The default, the best public pair, and the one net that is known not to have seen the set it scores."""
PORTRAIT = 90
"""Pixels kept to each side of the middle of a 250-pixel press portrait: its black wedges lie outside."""
LOOK_EVERY = 20
SIMULATED = 60
SEED = 20261124


def measure(image: Image, face: Face) -> tuple[float, ...]:
    """All cues on one face, in the order of `CUES`."""
    return (
        find_medium(image, face.box).score,
        moire_score(image, face.box),
        glare_score(image, face.landmarks),
    )


def portraits(data: Path) -> Iterator[Image]:
    """Press portraits cut to their middle, without those whose turning left black pixels at the border."""
    for path in sorted((data / "faces" / "lfw_single").glob("*.jpg")):
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            continue
        y, x = image.shape[0] // 2, image.shape[1] // 2
        part = np.ascontiguousarray(image[y - PORTRAIT : y + PORTRAIT, x - PORTRAIT : x + PORTRAIT])
        rim = np.concatenate([part[:3].reshape(-1, 3), part[-3:].reshape(-1, 3)])
        rim = np.concatenate([rim, part[:, :3].reshape(-1, 3), part[:, -3:].reshape(-1, 3)])
        if float(np.mean(rim.max(1) < 12)) < 0.01:
            yield np.asarray(part, np.uint8)


def simulated(data: Path, vision: Vision) -> Iterator[tuple[str, str, Image]]:
    """Live pictures shown to a camera on paper or a screen; live ones with a medium beside the face."""
    rows = [
        r for r in read_manifest(data / "pad_all.tsv") if r["label"] == "live" and r["group"] in FULL_FRAMES
    ]
    rng = np.random.default_rng(SEED)
    for index in rng.choice(len(rows), SIMULATED):
        image = np.asarray(cv2.imread(str(data / rows[index]["path"]), cv2.IMREAD_COLOR), np.uint8)
        face = vision.look(image).face
        if face is None:
            continue
        other = rows[int(rng.integers(len(rows)))]
        sources = [np.asarray(cv2.imread(str(data / other["path"]), cv2.IMREAD_COLOR), np.uint8)]
        shown = recapture(image, face.box, sources, rng)
        where = "out of view" if "border_out_of_view" in shown.steps else "in view"
        yield "spoof", f"{shown.medium}, border {where}", capture(shown.image, rng)
        yield "live", "medium beside the face", capture(distract(image, face.box, sources, rng), rng)


def score(args: argparse.Namespace) -> None:
    """Measure every picture and keep the numbers; labelled pictures first, in their manifest's order."""
    vision = Vision(open_store())
    lines: list[list[str]] = []

    def add(part: str, label: str, species: str, image: Image, face: Face | None) -> None:
        values = (float("nan"),) * len(CUES) if face is None else measure(image, face)
        lines.append([part, label, species, str(int(face is not None)), *(f"{v:.4f}" for v in values)])

    for row in read_manifest(args.data / "pad_all.tsv"):
        image = np.asarray(cv2.imread(str(args.data / row["path"]), cv2.IMREAD_COLOR), np.uint8)
        add(row["group"], row["label"], row["species"], image, vision.look(image).face)
    for image in itertools.islice(portraits(args.data), 0, None, 3):
        add("portraits", "live", "none", image, vision.look(image).face)
    for label, species, image in simulated(args.data, vision):
        add("simulated", label, species, image, vision.look(image).face)
    for row, _, frames in clips(args.data):
        name = f"clip {Path(row['path']).stem}"
        for frame in frames[::LOOK_EVERY]:
            add(name, row["label"], row["species"], frame.image, vision.look(frame.image).face)
    args.work.mkdir(parents=True, exist_ok=True)
    with (args.work / "picture_cues.tsv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["part", "label", "species", "face", *CUES])
        writer.writerows(lines)


@dataclass(frozen=True, slots=True)
class Scores:
    """What `score` wrote, row by row; the first rows are those of `stills`."""

    stills: Stills
    part: NDArray[np.str_]
    species: NDArray[np.str_]
    live: Flags
    face: Flags
    cues: dict[str, F64]

    def still(self, cue: str) -> F64:
        """A cue on the labelled pictures, float64 (n,); minus infinity where it can't tell."""
        values = self.cues[cue][: len(self.stills.live)]
        return np.where(np.isfinite(values), values, -np.inf)


def read(work: Path) -> Scores:
    """Read both files of scores."""
    stills = read_stills(work / "stills.tsv")
    rows = read_manifest(work / "picture_cues.tsv")
    part = np.array([r["part"] for r in rows])
    n = len(stills.live)
    if not np.array_equal(part[:n], stills.dataset):
        raise SystemExit("picture_cues.tsv and stills.tsv are of different data: run both `score` again")
    return Scores(
        stills,
        part,
        np.array([r["species"] for r in rows]),
        np.array([r["label"] == "live" for r in rows]),
        np.array([r["face"] == "1" for r in rows]),
        {cue: np.array([float(r[cue]) for r in rows]) for cue in CUES},
    )


def bound_of(values: F64, live: Flags) -> float:
    """The rule: highest live score plus one standard deviation of the live scores.

    A score of 0 is nothing found and never denies.
    """
    mine = values[live & np.isfinite(values)]
    return max(float(mine.max() + mine.std()), 1e-6)


def usable(scores: Scores) -> Flags:
    """Labelled pictures with a face, of data sets with surroundings."""
    return scores.stills.face & np.isin(scores.stills.dataset, FULL_FRAMES)


def fitted_bounds(scores: Scores) -> dict[str, float]:
    """Bound of each cue from the fit half."""
    rows = usable(scores) & fit_half(scores.stills)
    return {cue: bound_of(scores.still(cue)[rows], scores.stills.live[rows]) for cue in CUES}


def show_bounds(args: argparse.Namespace) -> None:
    """Print the constants."""
    scores = read(args.work)
    rows = usable(scores) & fit_half(scores.stills)
    for cue, bound in fitted_bounds(scores).items():
        live = scores.still(cue)[rows & scores.stills.live]
        live = live[np.isfinite(live)]
        print(
            f"{cue}: {live.size} live pictures, "
            f"highest {live.max():.3f}, sd {live.std():.3f}, bound {bound:.3f}"
        )


def rate_at(values: F64, live: Flags, limit: float) -> str:
    """Share of attacks above the bound that at most ``limit`` of these live pictures exceed."""
    ordered = np.sort(values[live])[::-1]
    allowed = int(limit * ordered.size)
    return f"{100 * float(np.mean(values[~live] > ordered[allowed])):.1f}"


def alone(scores: Scores, bounds: dict[str, float]) -> list[str]:
    """Each cue by itself on the subjects that chose nothing."""
    stills, held = scores.stills, scores.stills.face & ~fit_half(scores.stills)
    table = [
        "| cue | data set | AUC | attacks found % at 1 / 5 % live | live denied at bound | attacks denied |",
        "|---|---|---|---|---|---|",
    ]
    for cue in CUES:
        values = scores.still(cue)
        for name in (*FULL_FRAMES, "selfie_replay_crops"):
            mine = held & (stills.dataset == name)
            live, spoof = values[mine & stills.live], values[mine & ~stills.live]
            finite = np.where(np.isfinite(values[mine]), values[mine], -1e9)
            cells = ["-", "-"]
            if live.size and spoof.size:
                cells = [
                    f"{auc(-finite, stills.live[mine]):.3f}",
                    " / ".join(rate_at(values[mine], stills.live[mine], limit) for limit in (0.01, 0.05)),
                ]
            at = bounds[cue]
            cells += [share(int((live >= at).sum()), live.size) if live.size else "-"]
            cells += [share(int((spoof >= at).sum()), spoof.size) if spoof.size else "-"]
            table.append(f"| {cue} | {name} | " + " | ".join(cells) + " |")
    return table


def left_out(scores: Scores) -> list[str]:
    """Bound from all other sets, on the set left out."""
    stills = scores.stills
    table = ["| cue | left out | bound | AUC | live denied | attacks denied |", "|---|---|---|---|---|---|"]
    for cue in CUES:
        values = scores.still(cue)
        for name in (*FULL_FRAMES, "selfie_replay_crops"):
            others = usable(scores) & (stills.dataset != name)
            mine = stills.face & (stills.dataset == name)
            at = bound_of(values[others], stills.live[others])
            live, spoof = values[mine & stills.live], values[mine & ~stills.live]
            finite = np.where(np.isfinite(values[mine]), values[mine], -1e9)
            table.append(
                f"| {cue} | {name} | {at:.3f} | {auc(-finite, stills.live[mine]):.3f} | "
                + " | ".join(share(int((x >= at).sum()), x.size) for x in (live, spoof))
                + " |"
            )
    return table


def elsewhere(scores: Scores, bounds: dict[str, float]) -> list[str]:
    """Pictures that no bound was chosen on: clips, portraits, simulated ones."""
    table = ["| pictures | " + " | ".join(f"{cue}: highest, denied" for cue in CUES) + " |", "|---" * 4 + "|"]
    rest = np.arange(len(scores.part)) >= len(scores.stills.live)
    kinds = list(dict.fromkeys(zip(scores.part[rest], scores.live[rest], scores.species[rest], strict=True)))
    for part, live, species in sorted(kinds, key=lambda k: (not k[1], k[0], k[2])):
        mine = (
            rest & scores.face & (scores.part == part) & (scores.live == live) & (scores.species == species)
        )
        cells = []
        for cue in CUES:
            values = scores.cues[cue][mine]
            values = values[np.isfinite(values)]
            cells.append(
                f"{values.max():.2f}, {share(int((values >= bounds[cue]).sum()), values.size)}"
                if values.size
                else "-"
            )
        name = f"{part}, {'live' if live else 'attack'}" + ("" if species == "none" else f", {species}")
        table.append(f"| {name} | " + " | ".join(cells) + " |")
    return table


def with_veto(odds: F64, cue: F64, bound: float) -> F64:
    """Log-odds with minus infinity where the cue denies."""
    return np.where(cue >= bound, -np.inf, odds)


def accepted(odds: F64, live: Flags, limit: float) -> tuple[int, int, int]:
    """Attacks accepted, attacks, and live pictures refused at the lowest threshold with BPCER <= limit.

    Vetoed live pictures are among the refused: the comparison is at equal BPCER.
    """
    ordered = np.sort(odds[live])
    threshold = ordered[min(int(limit * ordered.size), ordered.size - 1)]
    return int((odds[~live] >= threshold).sum()), int((~live).sum()), int((odds[live] < threshold).sum())


def veto(scores: Scores) -> list[str]:
    """APCER with and without each veto at equal BPCER, each set left out of the bound in turn."""
    stills = scores.stills
    table = [
        "| nets | left out | veto | APCER at BPCER 1 % | APCER at BPCER 5 % | APCER at 0.5 | BPCER at 0.5 |",
        "|---|---|---|---|---|---|---|",
    ]
    for nets in NETS:
        odds = stills.fused(nets)
        for name in FULL_FRAMES:
            mine = stills.face & (stills.dataset == name)
            others = usable(scores) & (stills.dataset != name)
            slope, intercept = fit_line(stills, nets, others)
            neutral = -intercept / slope
            for cue in (None, *CUES):
                values = odds
                if cue is not None:
                    values = with_veto(
                        odds, scores.still(cue), bound_of(scores.still(cue)[others], stills.live[others])
                    )
                here, live = values[mine], stills.live[mine]
                cells = [share(*accepted(here, live, limit)[:2]) for limit in (0.01, 0.05)]
                cells += [
                    share(int((here[~live] >= neutral).sum()), int((~live).sum())),
                    share(int((here[live] < neutral).sum()), int(live.sum())),
                ]
                table.append(f"| {' + '.join(nets)} | {name} | {cue or 'none'} | " + " | ".join(cells) + " |")
    return table


def missed(scores: Scores, bounds: dict[str, float]) -> list[str]:
    """Of the attacks that the nets take for live, how many each cue denies; all subjects, out of fold."""
    stills = scores.stills
    table = [
        "| nets | attacks at posterior 0.5 or more, nets alone | " + " | ".join(CUES) + " |",
        "|---" * 5 + "|",
    ]
    for nets in NETS:
        odds = stills.fused(nets)
        passing = np.zeros(len(odds), bool)
        for name in FULL_FRAMES:
            mine = stills.face & (stills.dataset == name)
            slope, intercept = fit_line(stills, nets, usable(scores) & (stills.dataset != name))
            passing |= mine & ~stills.live & (slope * odds + intercept >= 0)
        cells = [
            f"{int((scores.still(cue)[passing] >= bounds[cue]).sum())} of {int(passing.sum())}"
            for cue in CUES
        ]
        table.append(f"| {' + '.join(nets)} | {int(passing.sum())} | " + " | ".join(cells) + " |")
    return table


def cpu_ratio(image: Image, box: F32, landmarks: F32, runs: int) -> dict[str, tuple[float, float]]:
    """Median processor time in ms of each cue, and over that of one mesh pass, in turn in one run."""
    mesh, roi = FaceMesh(open_store().path("face_mesh")), roi_of_landmarks(landmarks)
    works: dict[str, Callable[[], object]] = {
        "mesh pass": lambda: mesh.locate(image, roi),
        "medium": lambda: find_medium(image, box),
        "moire": lambda: moire_score(image, box),
        "glare": lambda: glare_score(image, landmarks),
    }
    spent: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(runs):
        for name, work in works.items():
            work()
            start = time.thread_time()
            work()
            spent[name].append((time.thread_time() - start) * 1e3)
    medians = {name: statistics.median(v) for name, v in spent.items()}
    return {name: (value, value / medians["mesh pass"]) for name, value in medians.items()}


def costs(args: argparse.Namespace) -> list[str]:
    """Processor time on the shipped portrait in a 1280x720 picture."""
    cv2.setNumThreads(1)
    store = open_store()
    portrait = cv2.imread(str(store.path("sample_astronaut")), cv2.IMREAD_COLOR)
    image = np.asarray(cv2.resize(portrait, (1280, 1280))[:720], np.uint8)
    image = np.ascontiguousarray(image)
    face = Vision(store).look(image).face
    if face is None:
        raise SystemExit("no face in the portrait")
    table = ["| | processor time, ms | of one mesh pass |", "|---|---|---|"]
    for name, (value, ratio) in cpu_ratio(image, face.box, face.landmarks, args.runs).items():
        table.append(f"| {name} | {value:.2f} | {ratio:.2f} |")
    return table


def cost(args: argparse.Namespace) -> None:
    """Print processor times."""
    print("\n".join(costs(args)))


INTRO = (
    "Intervals are exact (Clopper-Pearson, 95 %) and take pictures for independent, which pictures of one "
    "person are not: the true ones are wider. `livegate_pad` stands for nets trained without the data set "
    "that they score. `selfie_replay_crops` has tight crops: no medium can be in view there."
)


def report(args: argparse.Namespace) -> None:
    """Write the report."""
    scores = read(args.work)
    bounds = fitted_bounds(scores)
    live = usable(scores) & ~fit_half(scores.stills) & scores.stills.live
    lines = [
        "# Cues that look at single pictures",
        "",
        *facts("python -m benchmarks.pad_cues report"),
        "",
        INTRO,
        "",
    ]
    lines += ["Bounds from the fit half: " + ", ".join(f"{c} {b:.3f}" for c, b in bounds.items()) + ".", ""]
    people, n = len(np.unique(scores.stills.subject[live])), int(live.sum())
    lines += [f"Live pictures of the other half: {n}, of {people} subjects.", ""]
    lines += [f"None of them denied would bound the rate by {zero_error_bound(n):.2%} (one-sided, 95 %).", ""]
    for title, part in (
        ("Alone, on subjects that chose nothing", alone(scores, bounds)),
        ("Alone, on a data set that chose nothing", left_out(scores)),
        ("Clips, portraits, simulated pictures", elsewhere(scores, bounds)),
        ("As a veto on top of the nets, on a data set that chose nothing", veto(scores)),
        ("What the nets miss", missed(scores, bounds)),
        ("Cost, 1280x720", costs(args)),
    ):
        lines += [f"## {title}", "", *part, ""]
    path = args.out or ROOT / "docs" / "pad-results" / f"{today()}-picture-cues.md"
    path.write_text("\n".join(lines), encoding="utf-8")
    print(path)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--work", type=Path, default=WORK, help="folder for scores")
    parser.add_argument("--runs", type=int, default=60, help="timed calls of each cue")
    commands = parser.add_subparsers(required=True)
    works: dict[str, Callable[[argparse.Namespace], None]] = {
        "score": score,
        "bounds": show_bounds,
        "report": report,
        "cost": cost,
    }
    for name, work in works.items():
        command = commands.add_parser(name, help=(work.__doc__ or "").partition("\n")[0])
        command.set_defaults(run=work)
        if name == "report":
            command.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    args.run(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
