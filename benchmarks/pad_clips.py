"""Clips: how alike successive frames are, what continuity and motion measure, and what the whole judge says.

    python -m benchmarks.pad_clips score --net fr_liveness --net facenox=FILE.onnx ...
    python -m benchmarks.pad_clips correlation
    python -m benchmarks.pad_clips continuity
    python -m benchmarks.pad_clips motion
    python -m benchmarks.pad_clips judge
    python -m benchmarks.pad_clips report              all of it into docs/pad-results

There are eight labelled clips of seven people: enough to see an order of magnitude, not to prove a rate.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.pad_data import WORK, clips, load_nets, read_clip, share
from pipeline.calibrate.correlation import Series, between_share, correlation_time
from pipeline.camera.frame import Frame, Image
from pipeline.liveness.calibration import load_calibration
from pipeline.liveness.continuity import correlation as patch_correlation
from pipeline.liveness.continuity import face_patch
from pipeline.liveness.cues import same_pixels
from pipeline.liveness.judge import Judge, JudgeSettings
from pipeline.liveness.motion import BOUND, face_grey, motion_ratio
from pipeline.liveness.passive import PassiveScorer, fuse
from pipeline.nets import open_store
from pipeline.vision import View, Vision

ROOT = Path(__file__).resolve().parents[1]
NOISE = (0.5, 1, 2, 4, 8)
"""Standard deviations of a still's noise, grey levels."""
FEW = (
    "Eight labelled clips of seven people, five live and three replays. They show an order of magnitude; no "
    "rate can be had from them. In one of the replays, the one with 28 frames, the face that is followed is "
    "that of the live man behind the telephone until the telephone covers it: it ends as `face_changed`, and "
    "counts as an attack all the same."
)


@dataclass(frozen=True, slots=True)
class Correlation:
    """How little the frames of one check say beyond the first.

    Attributes:
        rho: share of the variance of log-odds that lies between clips of one class.
        rho_range: smallest and largest rho with one clip left out.
        tau_s: correlation time of log-odds about their clip's mean, seconds.
        clips: number of clips.
    """

    rho: float
    rho_range: tuple[float, float]
    tau_s: float
    clips: int


def score(args: argparse.Namespace) -> None:
    """Log-odds of every frame of every clip, by the same vision as the gate's, to a JSON file of numbers."""
    nets = load_nets(args.net)
    vision = Vision(open_store())
    out: list[dict[str, Any]] = []
    for row, fps, frames in clips(args.data):
        vision.reset()
        times: list[float] = []
        odds: dict[str, list[float]] = {name: [] for name in nets}
        for frame in frames:
            face = vision.see(frame).face
            if face is None:
                continue
            times.append(frame.t)
            for name, folds in nets.items():
                odds[name].append(round(folds.of(row["group"]).log_odds(frame.image, face.box), 4))
        out.append({"label": row["label"], "species": row["species"], "fps": fps, "t": times, "odds": odds})
        print(
            row["label"], row["species"], f"{fps:.0f} fps, {len(times)} of {len(frames)} frames with a face"
        )
    args.work.mkdir(parents=True, exist_ok=True)
    (args.work / "clips.json").write_text(json.dumps(out), encoding="utf-8")


def correlation(path: Path, nets: Sequence[str]) -> Correlation:
    """Measure rho and tau from what `score` wrote, see `pipeline.calibrate.correlation`."""
    data = json.loads(path.read_text("utf-8"))
    series = [
        (entry["label"], np.array(entry["t"]), fuse({name: np.array(entry["odds"][name]) for name in nets}))
        for entry in data
        if len(entry["t"]) >= 20
    ]
    labels = [label for label, _, _ in series]
    values = [value for _, _, value in series]
    left_out = [
        between_share(labels[:i] + labels[i + 1 :], values[:i] + values[i + 1 :]) for i in range(len(values))
    ]
    tau = correlation_time([Series(*entry) for entry in series])
    if tau is None:
        raise SystemExit("the clips' log-odds do not vary")
    return Correlation(between_share(labels, values), (min(left_out), max(left_out)), tau, len(series))


def show_correlation(args: argparse.Namespace) -> None:
    """Print rho and tau of every net and set of nets."""
    from benchmarks.pad_stills import scored

    path = args.work / "clips.json"
    names = json.loads(path.read_text("utf-8"))[0]["odds"]
    for nets in [*((name,) for name in names), *(s for s in scored(names) if len(s) > 1)]:
        c = correlation(path, nets)
        low, high = c.rho_range
        print(f"{'+'.join(nets)}: rho {c.rho:.3f} ({low:.2f} to {high:.2f}), tau {c.tau_s:.2f} s")


def show_continuity(args: argparse.Namespace) -> None:
    """Correlation of aligned faces: consecutive frames of a clip against two different people."""
    vision = Vision(open_store())
    same: list[float] = []
    new_track: list[float] = []
    copies = pairs = 0
    people: dict[str, list[Any]] = {}
    for row, _, frames in clips(args.data):
        vision.reset()
        before = None
        for frame, following in itertools.pairwise(frames):
            copies += same_pixels(frame, following)
            pairs += 1
        for frame in frames:
            face = vision.see(frame).face
            if face is None:
                before = None
                continue
            patch = face_patch(frame.image, face.five)
            if before is not None:
                (same if face.track_id == before[0] else new_track).append(
                    patch_correlation(before[1], patch)
                )
            before = (face.track_id, patch)
            if frame.seq % 5 == 0:
                people.setdefault(row["subject"], []).append(patch)
    swaps = np.array(
        [
            patch_correlation(a, b)
            for one, other in itertools.combinations(people.values(), 2)
            for a in one
            for b in other[::2]
        ]
    )
    for name, v in (("same track", np.array(same)), ("track broke", np.array(new_track)), ("swap", swaps)):
        q = ", ".join(f"{x:.3f}" for x in np.percentile(v, [0, 0.1, 1, 50, 99, 99.9, 100]))
        print(f"{name}: {v.size} pairs; min, 0.1, 1, 50, 99, 99.9 %, max: {q}")
    for bound in (0.4, 0.5, 0.6, 0.7, 0.8):
        print(
            f"bound {bound}: {np.mean(np.array(same) < bound):.4f} of same below, "
            f"{np.mean(swaps >= bound):.4f} of swaps reach it"
        )
    print(f"exact copies: {share(copies, pairs)}")


def show_motion(args: argparse.Namespace) -> None:
    """Motion ratio of clips, and of a frame held still under noise, exposure drift and coding."""
    vision = Vision(open_store())
    rng = np.random.default_rng(0)
    highest = 0.0
    for row, fps, frames in clips(args.data):
        vision.reset()
        boxes = [None if (f := vision.see(frame).face) is None else f.box for frame in frames]
        waits = []
        for i in range(0, max(1, len(frames) - int(2 * fps)), 5):
            box = boxes[i]
            if box is None or (reference := face_grey(frames[i].image, box)) is None:
                continue
            later = frames[i + 1 : i + 1 + int(2 * fps)]
            reached = (
                f.t - frames[i].t
                for f in later
                if (grey := face_grey(f.image, box)) is not None and motion_ratio(reference, grey) >= BOUND
            )
            waits.append(next(reached, np.inf))
        if waits:
            waited = np.percentile(waits, [50, 95, 100]).round(2)
            print(row["label"], row["species"], "seconds to the bound, 50 %, 95 %, max:", waited)
        middle = next((i for i in range(len(frames) // 2, len(frames)) if boxes[i] is not None), None)
        if middle is None or (box := boxes[middle]) is None:
            continue
        for sigma, how in itertools.product(NOISE, ("", "jpeg 95", "jpeg 80", "jpeg 50", "mp4v", "VP80")):
            cuts = [
                c for s in stills(frames[middle], sigma, how, rng) if (c := face_grey(s, box)) is not None
            ]
            worst = max((motion_ratio(cuts[0], c) for c in cuts[1:]), default=0.0)
            if worst > 2.5:
                print(f"   held still: noise {sigma} {how}: {worst:.2f}")
            highest = max(highest, worst)
    print(f"largest ratio of a still: {highest:.2f}; bound {BOUND}")


def stills(frame: Frame, sigma: float, how: str, rng: np.random.Generator) -> list[Image]:
    """Exposures of a scene that does not move: noise, 1 % more gain a step, then coded.

    Args:
        frame: the scene.
        sigma: standard deviation in grey levels.
        how: ``jpeg QUALITY``, a video codec's four letters, or nothing.
        rng: of the noise.
    """
    images = []
    for k in range(6):
        noise = sigma * rng.standard_normal(frame.image.shape, dtype=np.float32)
        images.append(np.clip(frame.image * np.float32(1 + 0.01 * k) + noise, 0, 255).astype(np.uint8))
    if how.startswith("jpeg"):
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(how.split()[1])]
        coded = [cv2.imencode(".jpg", image, quality)[1] for image in images]
        return [np.asarray(cv2.imdecode(c, cv2.IMREAD_COLOR), dtype=np.uint8) for c in coded]
    return through_video(images, how) if how else images


def through_video(images: Sequence[Image], codec: str) -> list[Image]:
    """The pictures as they come out of a video file."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / ("clip.webm" if codec == "VP80" else "clip.mp4"))
        height, width = images[0].shape[:2]
        writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*codec), 30.0, (width, height))
        for image in images:
            writer.write(image)
        writer.release()
        return [frame.image for frame in read_clip(Path(path))[1]]


def show_judge(args: argparse.Namespace) -> None:
    """Run the whole judge on every clip."""
    store = open_store()
    nets = load_nets(args.net or ["fr_liveness"])
    scorer = PassiveScorer([folds.of("faces") for folds in nets.values()], load_calibration(nets))
    judge = Judge(store, JudgeSettings(nets=tuple(nets), target_apcer=args.apcer), scorer=scorer)
    vision = Vision(store)
    start, face_at = 0.0, None

    def see(frame: Frame, *, detect: bool | None = None) -> View:
        nonlocal start, face_at
        view = vision.see(frame, detect=detect)
        face_at = frame.t if face_at is None and view.face is not None else face_at
        start = time.thread_time()
        return view

    for row, _, frames in clips(args.data):
        vision.reset()
        session = judge.begin("benchmark", live=False)
        face_at = None
        guidance: dict[str, int] = {}
        spent: list[float] = []
        for frame in frames:
            step = session.take(frame, see)
            if step.evidence is not None:
                spent.append((time.thread_time() - start) * 1e3)
            if step.guidance is not None:
                guidance[step.guidance.value] = guidance.get(step.guidance.value, 0) + 1
            if step.verdict is not None:
                break
        verdict = session.finish()
        after = verdict.elapsed_ms - 1e3 * (face_at or 0.0)
        print(
            f"{row['label']:5} {row['species']:13} -> {verdict.state} {verdict.reason or ''} "
            f"score {verdict.score:.3f}, {verdict.frames} judged, {verdict.elapsed_ms:.0f} ms of video "
            f"({after:.0f} after the first face), {np.median(spent or [0]):.1f} ms of CPU a judged frame of "
            f"{frames[0].width}x{frames[0].height}, guidance {guidance or 'none'}"
        )


def report(args: argparse.Namespace) -> None:
    """Write what all the others print to docs/pad-results."""
    from benchmarks.pad_stills import facts, today

    parts = (
        ("Correlation of log-odds in time", show_correlation),
        ("The same-face guard", show_continuity),
        ("Motion", show_motion),
        ("The whole judge, default settings", show_judge),
    )
    lines = ["# Clips: correlation, continuity, motion, verdicts", ""]
    lines += [*facts("python -m benchmarks.pad_clips report"), "", FEW, ""]
    for title, work in parts:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            work(args)
        lines += [f"## {title}", "", (work.__doc__ or "").partition("\n")[0], ""]
        lines += ["```", printed.getvalue().rstrip(), "```", ""]
    path = args.out or ROOT / "docs" / "pad-results" / f"{today()}-clips.md"
    path.write_text("\n".join(lines), encoding="utf-8")
    print(path)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--work", type=Path, default=WORK, help="folder for scores")
    commands = parser.add_subparsers(required=True)
    works: dict[str, Callable[[argparse.Namespace], None]] = {
        "score": score,
        "correlation": show_correlation,
        "continuity": show_continuity,
        "motion": show_motion,
        "judge": show_judge,
        "report": report,
    }
    for name, work in works.items():
        command = commands.add_parser(name, help=(work.__doc__ or "").partition("\n")[0])
        command.set_defaults(run=work)
        if name in ("score", "judge", "report"):
            command.add_argument("--net", action="append", metavar="NAME[=FILE[@DATASET,...]]")
        if name == "report":
            command.add_argument("--out", type=Path)
        if name in ("judge", "report"):
            command.add_argument("--apcer", type=float, default=0.01)
    args = parser.parse_args(argv)
    args.run(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
