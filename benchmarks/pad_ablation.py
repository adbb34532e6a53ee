"""What each net and each cue is worth in the decision: left out, and alone.

    python -m benchmarks.pad_ablation --nets fr_liveness livegate_pad

Needs the scores of ``python -m benchmarks.pad_stills score`` and ``python -m benchmarks.pad_clips score`` in
the folder ``--work``; no net runs here. Every set of nets gets a calibration fitted here on the fit half of
the subjects, so that sets without a shipped one are compared on the same terms.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import pad_clips
from benchmarks.pad_data import WORK, Stills, fit_half, read_clip, read_manifest, read_stills, share
from benchmarks.pad_stills import FULL_FRAMES, ROOT, facts, fit_line, today
from pipeline.camera.frame import Frame, Image
from pipeline.evaluation.curve import auc, equal_error, error_curve
from pipeline.evaluation.reliability import cllr, cllr_min
from pipeline.liveness.calibration import Calibration, Provenance, load_calibration
from pipeline.liveness.cues import DEFAULT_CUES
from pipeline.liveness.evidence import Verdict, sigmoid
from pipeline.liveness.judge import Judge, JudgeSettings
from pipeline.liveness.passive import PassiveScore, fuse
from pipeline.nets import open_store
from pipeline.reasons import Reason
from pipeline.vision import View, Vision
from pipeline.vision.quality import QualityLimits, first_problem
from pipeline.vision.types import F32

LONGEST_S: Final = 4.5
"""Seconds of a clip: a little more than the deadline."""
STILLS: Final = (
    "Pictures of subjects that no calibration was fitted on. AUC / EER % / APCER % at BPCER 5 % for each "
    "data set, the threshold chosen on that data; *worst* and *mean* are of EER over the data sets with "
    "both classes. *Cllr (least)*: cost in bits of the calibrated ratios over the full-frame sets "
    "together, and what the best rising map could reach; the difference is calibration. BPCER and APCER "
    "at the calibrated posterior of 0.5 over the same."
)
CLIPS: Final = (
    "The whole decision on eight clips of seven people, five live and three replays: verdicts, not rates."
    " A live clip counts where it passes, an attack where it passes and where it is refused; the others "
    "end undecided. Time is video time to the verdict, median over the clips that ended before their end."
    " *Still*: the frame of each live clip that looks most live, shown for two seconds as an injected "
    "picture would be (simulated), bare and with sensor noise of 2 grey levels: how many of them pass."
)
NOISE: Final = 2.0
GRAINS: Final = 6
"""Different exposures of a still, shown in turn."""
STILL_S: Final = 2.0
VETOES: Final = frozenset(Reason) - {Reason.UNDECIDED, Reason.SPOOF, Reason.NO_FACE}
"""Reasons that are not the sum's; guidance that a clip ended with is among them."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A clip as the judge gets it.

    Attributes:
        kind: ``live``, ``spoof``, or how a still was made.
        frames, views: in step.
        odds: capture time to the log-odds of each net; frames without a face have none.
    """

    kind: str
    frames: list[Frame]
    views: list[View]
    odds: dict[float, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Trial:
    """One form of the decision and what it said.

    Attributes:
        label: its row's name.
        nets, calibration, cues: what it decides by.
        verdicts: kind of scene and verdict, in the order of the scenes.
    """

    label: str
    nets: tuple[str, ...]
    calibration: Calibration
    cues: tuple[str, ...]
    verdicts: list[tuple[str, Verdict]]


class Recalled:
    """A scorer that runs no net: it knows the log-odds of the frame that is shown.

    Args:
        nets: names to fuse.
        calibration: of them.
    """

    def __init__(self, nets: Sequence[str], calibration: Calibration) -> None:
        self.calibration = calibration
        self._nets = tuple(nets)
        self.known: Mapping[str, float] = {}

    def score(self, image: Image, box: F32) -> PassiveScore:
        """The fused score of the frame whose log-odds are in `known`; missing where there are none."""
        fused = fuse({name: self.known.get(name, math.nan) for name in self._nets})
        return PassiveScore(
            fused,
            self.calibration.llr(fused),
            sigmoid(self.calibration.raw(fused)),
            dict.fromkeys(self._nets, 0.0),
        )


def sets_of(nets: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """The whole set, each net left out, each alone; what would come twice comes once."""
    named: list[tuple[str, tuple[str, ...]]] = [("all", tuple(nets))]
    if len(nets) > 2:
        named += [(f"without {name}", tuple(n for n in nets if n != name)) for name in nets]
    if len(nets) > 1:
        named += [(f"{name} alone", (name,)) for name in nets]
    return named


def cue_sets(cues: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """All cues, each left out, each alone, none."""
    named: list[tuple[str, tuple[str, ...]]] = [("all cues", tuple(cues))]
    named += [(f"without {name}", tuple(c for c in cues if c != name)) for name in cues if len(cues) > 1]
    named += [(f"{name} alone", (name,)) for name in cues if len(cues) > 2]
    return [*named, ("no cue", ())]


def fitted(stills: Stills, clip_scores: Path, nets: Sequence[str]) -> Calibration:
    """A calibration of any set of nets, fitted as the shipped ones are."""
    rows = stills.face & np.isin(stills.dataset, FULL_FRAMES) & fit_half(stills)
    slope, intercept = fit_line(stills, nets, rows)
    correlation = pad_clips.correlation(clip_scores, nets)
    attacks = len(np.unique(stills.presentation[rows & ~stills.live]))
    return Calibration(
        nets=tuple(sorted(nets)),
        slope=slope,
        intercept=intercept,
        bound=math.log(attacks + 1),
        rho=correlation.rho,
        tau_s=correlation.tau_s,
        provenance=Provenance(
            data=FULL_FRAMES,
            subjects=1,
            live_pictures=1,
            attack_pictures=1,
            attacks=attacks,
            clips=correlation.clips,
            command="python -m benchmarks.pad_ablation",
            date=today(),
        ),
    )


def stills_table(
    stills: Stills, clip_scores: Path, nets: Sequence[str]
) -> tuple[list[str], list[dict[str, Any]]]:
    """Rows of the table for single pictures, and the same as numbers."""
    held = stills.face & ~fit_half(stills)
    datasets = [
        name
        for name in np.unique(stills.dataset[held])
        if len(np.unique(stills.live[held & (stills.dataset == name)])) == 2
    ]
    full = held & np.isin(stills.dataset, FULL_FRAMES)
    table = [
        "| nets | " + " | ".join(datasets) + " | worst EER % | mean EER % | Cllr (least) | BPCER at 0.5 "
        "| APCER at 0.5 |",
        "|---" * (len(datasets) + 6) + "|",
    ]
    numbers = []
    for label, chosen in sets_of(nets):
        odds, calibration = stills.fused(chosen), fitted(stills, clip_scores, chosen)
        cells, rates = [], []
        for name in datasets:
            mine = held & (stills.dataset == name)
            curve = error_curve(odds[mine], stills.live[mine])
            at_5 = float(curve.false_accept[curve.false_reject <= 0.05].min())
            rates.append(equal_error(curve).rate)
            area = auc(odds[mine], stills.live[mine])
            cells.append(f"{area:.3f} / {100 * rates[-1]:.1f} / {100 * at_5:.1f}")
        ratios = np.array([calibration.llr(float(x)) for x in odds[full]])
        live = stills.live[full]
        cost, least = cllr(ratios, live), cllr_min(odds[full], live)
        wrong = int((ratios[live] < 0).sum()), int((ratios[~live] >= 0).sum())
        table.append(
            f"| {label} | "
            + " | ".join(cells)
            + f" | {100 * max(rates):.1f} | {100 * float(np.mean(rates)):.1f} | {cost:.3f} ({least:.3f}) "
            f"| {share(wrong[0], int(live.sum()))} | {share(wrong[1], int((~live).sum()))} |"
        )
        numbers.append(
            {
                "nets": list(chosen),
                "eer": dict(zip(datasets, (round(r, 4) for r in rates), strict=True)),
                "cllr": round(cost, 4),
                "cllr_min": round(least, 4),
                "bpcer": [wrong[0], int(live.sum())],
                "apcer": [wrong[1], int((~live).sum())],
            }
        )
    return table, numbers


def scenes(data: Path, clip_scores: Path) -> Iterator[Scene]:
    """Clips one by one, looked at by the gate's own vision, with the log-odds kept for their frames."""
    vision = Vision(open_store())
    kept = json.loads(clip_scores.read_text("utf-8"))
    for row, entry in zip(read_manifest(data / "video_all.tsv"), kept, strict=True):
        vision.reset()
        _, frames = read_clip(data / row["path"], limit=int(LONGEST_S * entry["fps"]) + 1)
        odds = {
            t: {name: values[i] for name, values in entry["odds"].items()} for i, t in enumerate(entry["t"])
        }
        yield Scene(row["label"], frames, [vision.see(frame) for frame in frames], odds)


def still(scene: Scene, nets: Sequence[str], noise: float) -> Scene | None:
    """The frame of a live clip that looks most live, shown again and again; None where no frame is good."""
    good = [
        (fuse({name: scene.odds[frame.t][name] for name in nets}), frame, view)
        for frame, view in zip(scene.frames, scene.views, strict=True)
        if frame.t in scene.odds and first_problem(view, QualityLimits()) is None
    ]
    if not good:
        return None
    _, best, view = max(good, key=lambda entry: entry[0])
    rng = np.random.default_rng(0)
    images = [best.image]
    if noise:
        grain = [noise * rng.standard_normal(best.image.shape, dtype=np.float32) for _ in range(GRAINS)]
        images = [np.clip(best.image + g, 0, 255).astype(np.uint8) for g in grain]
    frames = [
        Frame(np.ascontiguousarray(images[seq % len(images)]), t=seq / 30, seq=seq)
        for seq in range(int(STILL_S * 30))
    ]
    kind = "still with noise" if noise else "still"
    return Scene(kind, frames, [view] * len(frames), {f.t: scene.odds[best.t] for f in frames})


def run_clip(scene: Scene, trial: Trial) -> Verdict:
    """The whole decision on one clip."""
    scorer = Recalled(trial.nets, trial.calibration)
    judge = Judge(open_store(), JudgeSettings(nets=trial.nets, cues=trial.cues), scorer=scorer)
    session = judge.begin("ablation", live=False)
    for frame, view in zip(scene.frames, scene.views, strict=True):
        scorer.known = scene.odds.get(frame.t, {})
        if session.take(frame, lambda _, view=view, **__: view).verdict is not None:  # type: ignore[misc]
            break
    return session.finish()


def clips_table(trials: Sequence[Trial]) -> tuple[list[str], list[dict[str, Any]]]:
    """Rows of the table for clips, and the same as numbers."""
    table = [
        (
            "| decision | live pass | live refused | attacks pass | attacks refused | stills pass "
            "| stills with noise pass | ended by | ms to verdict |"
        ),
        "|---" * 9 + "|",
    ]
    numbers = []
    for trial in trials:
        label, verdicts = trial.label, trial.verdicts
        live, spoof, bare, noisy = (
            [v for kind, v in verdicts if kind == wanted]
            for wanted in ("live", "spoof", "still", "still with noise")
        )
        counts = {
            "live_pass": sum(v.state == "live" for v in live),
            "live_refused": sum(v.state == "spoof" for v in live),
            "attacks_pass": sum(v.state == "live" for v in spoof),
            "attacks_refused": sum(v.state == "spoof" for v in spoof),
            "stills_pass": sum(v.state == "live" for v in bare),
            "noisy_stills_pass": sum(v.state == "live" for v in noisy),
        }
        ended = [v.elapsed_ms for v in (*live, *spoof) if v.state != "undecided"]
        reasons = sorted({v.reason.value for _, v in verdicts if v.reason in VETOES})
        table.append(
            f"| {label} | {counts['live_pass']}/{len(live)} | {counts['live_refused']}/{len(live)} "
            f"| {counts['attacks_pass']}/{len(spoof)} | {counts['attacks_refused']}/{len(spoof)} "
            f"| {counts['stills_pass']}/{len(bare)} | {counts['noisy_stills_pass']}/{len(noisy)} "
            f"| {', '.join(reasons) or '-'} | {f'{np.median(ended):.0f}' if ended else '-'} |"
        )
        numbers.append({"decision": label, **counts, "live": len(live), "attacks": len(spoof)})
    return table, numbers


def report(args: argparse.Namespace) -> None:
    """Write the tables to docs/pad-results."""
    stills = read_stills(args.work / "stills.tsv")
    clip_scores = args.work / "clips.json"
    nets, cues = tuple(args.nets), tuple(args.cues)
    still_rows, still_numbers = stills_table(stills, clip_scores, nets)
    whole = load_calibration(nets)
    by_nets = [Trial(label, n, fitted(stills, clip_scores, n), cues, []) for label, n in sets_of(nets)]
    by_cues = [Trial(label, nets, whole, chosen, []) for label, chosen in cue_sets(cues)]
    for scene in scenes(args.data, clip_scores):
        shown = [scene]
        if scene.kind == "live":
            shown += [s for noise in (0.0, NOISE) if (s := still(scene, nets, noise)) is not None]
        for one in shown:
            for trial in (*by_nets, *by_cues):
                trial.verdicts.append((one.kind, run_clip(one, trial)))
        print(f"{scene.kind} clip of {len(scene.frames)} frames", file=sys.stderr)
    net_rows, net_numbers = clips_table(by_nets)
    cue_rows, cue_numbers = clips_table(by_cues)
    lines = ["# Ablation: every net and every cue", ""]
    lines += [*facts(f"python -m benchmarks.pad_ablation --nets {' '.join(nets)}"), ""]
    lines += ["## Nets on single pictures", "", STILLS, "", *still_rows, ""]
    lines += ["## Nets on clips", "", CLIPS, "", *net_rows, ""]
    lines += [
        "## Cues on clips",
        "",
        f"All nets with their shipped calibration; cues: {', '.join(cues) or 'none'}. {CLIPS}",
        "",
        *cue_rows,
        "",
    ]
    stem = args.out or ROOT / "docs" / "pad-results" / f"{today()}-ablation"
    stem.with_name(stem.name + ".md").write_text("\n".join(lines), encoding="utf-8")
    body = {
        "date": today(), "nets": list(nets), "cues": list(cues),
        "stills": still_numbers, "clips_nets": net_numbers, "clips_cues": cue_numbers,
    }  # fmt: skip
    stem.with_name(stem.name + ".json").write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    print(stem.with_name(stem.name + ".md"))


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of the scores")
    parser.add_argument("--nets", nargs="+", required=True, help="nets of the decision")
    parser.add_argument("--cues", nargs="*", default=DEFAULT_CUES, help="cues of the decision")
    parser.add_argument("--out", type=Path, help="files to write, without a suffix")
    report(parser.parse_args(argv))
    return 0


if __name__ == "__main__":
    sys.exit(main())
