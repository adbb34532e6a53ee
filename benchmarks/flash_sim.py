"""Flash reflection in simulation: how often a head is proved, by light and distance, and what attacks prove.

    python -m benchmarks.flash_sim run [--data ../shared/data] [--repeats 4] [--attacks 12]
    python -m benchmarks.flash_sim report

Portraits are press pictures of ../shared/data/faces/lfw_single, of people whom the bounds were not set on;
only numbers are kept. What the simulation holds and lacks is told in `benchmarks.flash_scene`.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from benchmarks.flash_scene import F32, MONITOR, TABLET, Setting, SimCamera, SimDisplay
from benchmarks.pad_data import WORK, share
from pipeline.camera.frame import Frame, Image
from pipeline.liveness.flash import FlashChallenge, FlashSession, FlashVerdict, Rgb
from pipeline.nets import open_store
from pipeline.vision import Face, Pose, View, Vision

DEV_PEOPLE: Final = 200
"""Pictures at the front of the list that the bounds may be set on."""
AMBIENT: Final = (50.0, 200.0, 400.0, 800.0)
DISTANCE: Final = (0.35, 0.5, 0.8)
ATTACKS: Final = (
    "photo",
    "photo_cut",
    "photo_bent",
    "photo_cut_glossy",
    "replay_phone",
    "replay_full",
    "injected",
    "wrong_nonce",
    "late",
)


class OtherDisplay:
    """A screen that shows another sequence than it is told, as a recording of an earlier check holds it."""

    def __init__(self, inner: SimDisplay, other: FlashChallenge) -> None:
        self._inner, self._other = inner, other

    def show(self, rgb: Rgb) -> bool:
        """Show the other sequence's colour of this moment."""
        return self._inner.show(self._other.colour_at(self._inner.now))


def view_of(mesh: F32) -> View:
    """What vision says of a simulated frame: one face with this mesh."""
    low, high = mesh[:, :2].min(axis=0), mesh[:, :2].max(axis=0)
    box = np.array([*low, *high], np.float32)
    face = Face(1, box, mesh, np.zeros((5, 2), np.float32), 1.0, Pose(0.0, 0.0, 0.0), True)
    return View(face=face, faces=1, quality=None)


def simulate(
    image: Image, landmarks: F32, setting: Setting, *, wrong: bool = False, seed: int = 0
) -> FlashVerdict:
    """One run of `FlashSession` in closed loop with the simulated camera and screen."""
    rng = np.random.default_rng([seed, 17])
    challenge, other = FlashChallenge(rng.bytes(32)), FlashChallenge(rng.bytes(32))
    camera, screen = SimCamera(image, landmarks, setting), SimDisplay()
    session = FlashSession(OtherDisplay(screen, other) if wrong else screen, challenge, rng=rng)
    k = 0
    while session.verdict is None:
        screen.now = k / setting.fps
        frame: Frame
        frame, mesh = camera.frame(screen.now, screen)
        session.update(frame, view_of(mesh))
        k += 1
    return session.verdict


def cases(repeats: int, attacks: int) -> Iterator[tuple[str, Setting, bool]]:
    """Name, setting and whether the sequence is another one; seeds are the case's own number."""
    rng = np.random.default_rng(2026)
    seed = 0
    for name, screen, distances in (("monitor", MONITOR, DISTANCE), ("tablet", TABLET, (0.35,))):
        for distance in distances:
            for ambient in AMBIENT:
                for _ in range(repeats):
                    seed += 1
                    yield name, Setting("live", distance, ambient, screen, seed=seed), False
    for _ in range(attacks):
        for kind in ATTACKS:
            seed += 1
            base = Setting(
                distance=float(rng.choice([0.35, 0.5, 0.65])),
                ambient=float(rng.choice([50, 100, 200, 400])),
                jpeg=int(rng.integers(70, 96)),
                seed=seed,
            )
            if kind == "wrong_nonce":
                yield kind, base, True
            elif kind == "late":
                yield kind, replace(base, delay_s=float(rng.uniform(0.75, 1.5))), False
            else:
                yield kind, replace(base, kind=kind), False


def people(data: Path, store: Any) -> Iterator[tuple[Image, F32]]:
    """Portraits that vision finds a face in, without end, from beyond `DEV_PEOPLE`."""
    vision = Vision(store)
    files = sorted((data / "faces" / "lfw_single").rglob("*.jpg"))[DEV_PEOPLE:]
    while files:
        for path in files:
            image = cv2.imread(str(path), cv2.IMREAD_COLOR)
            face = None if image is None else vision.look(np.asarray(image, np.uint8)).face
            if image is not None and face is not None:
                yield np.asarray(image, np.uint8), face.landmarks


def run(args: argparse.Namespace) -> None:
    """Simulate all cases and write numbers, line by line."""
    cv2.setNumThreads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    portraits = people(args.data, open_store())
    order = list(cases(args.repeats, args.attacks))
    np.random.default_rng(1).shuffle(order)  # type: ignore[arg-type]  # what is cut short is short everywhere
    with (args.work / "flash_sim.jsonl").open("w", encoding="utf-8") as file:
        for name, setting, wrong in order:
            image, landmarks = next(portraits)
            verdict = simulate(image, landmarks, setting, wrong=wrong, seed=setting.seed)
            numbers = {
                key: round(float(getattr(verdict, key)), 5)
                for key in ("p", "size", "ring_size", "delay_s", "relief", "spread", "gloss")
            }
            row = {"name": name, "distance": setting.distance, "ambient": setting.ambient, **numbers}
            file.write(json.dumps({**row, "state": verdict.state, "why": verdict.why}) + "\n")
            file.flush()


def report(args: argparse.Namespace) -> None:
    """Print the tables."""
    rows = [json.loads(line) for line in (args.work / "flash_sim.jsonl").read_text("utf-8").splitlines()]
    print(f"{len(rows)} simulated runs; {platform.processor() or platform.machine()}\n")
    live = [r for r in rows if r["name"] in ("monitor", "tablet")]
    print("| screen, distance | ambient lux | proved (exact 95 %) | answer found, p <= 0.001 | size F/A |")
    print("|---|---|---|---|---|")
    for name, distance in dict.fromkeys((r["name"], r["distance"]) for r in sorted(live, key=_place)):
        for ambient in AMBIENT:
            cell = [r for r in live if (r["name"], r["distance"], r["ambient"]) == (name, distance, ambient)]
            if cell:
                proved = share(sum(r["state"] == "proved" for r in cell), len(cell))
                found = share(sum(r["p"] <= 0.001 for r in cell), len(cell))
                size = float(np.nanmedian([r["size"] for r in cell]))
                print(
                    f"| {name}, {100 * distance:.0f} cm | {ambient:.0f} | {proved} | {found} | {size:.3f} |"
                )
    print("\n| attack | proved (exact 95 %) | answer found | contradicted | why not |")
    print("|---|---|---|---|---|")
    for kind in ATTACKS:
        cell = [r for r in rows if r["name"] == kind]
        if cell:
            why: dict[str, int] = {}
            for r in cell:
                why[r["why"]] = why.get(r["why"], 0) + 1
            told = ", ".join(f"{k} {n}" for k, n in sorted(why.items(), key=lambda item: -item[1]))
            proved, found, against = (
                share(sum(test(r) for r in cell), len(cell)) for test in (_proved, _found, _contradicted)
            )
            print(f"| {kind} | {proved} | {found} | {against} | {told} |")
    print("\n| | relief: 5, 50, 95 % | spread: 5, 50, 95 % | gloss: 5, 50, 95 % |\n|---|---|---|---|")
    for name in ("monitor", "tablet", *ATTACKS):
        cell = [r for r in rows if r["name"] == name and r["p"] <= 0.001 and np.isfinite(r["relief"])]
        if len(cell) >= 3:
            quantiles = [
                ", ".join(f"{q:.2f}" for q in np.percentile([r[key] for r in cell], [5, 50, 95]))
                for key in ("relief", "spread", "gloss")
            ]
            print(f"| {name} | {' | '.join(quantiles)} |")
    refused: dict[str, int] = {}
    for r in live:
        refused[r["why"]] = refused.get(r["why"], 0) + 1
    print(f"\nHow live runs ended: {refused}")


def _place(row: dict[str, Any]) -> tuple[str, float]:
    return row["name"], row["distance"]


def _proved(row: dict[str, Any]) -> bool:
    return bool(row["state"] == "proved")


def _found(row: dict[str, Any]) -> bool:
    return bool(row["p"] <= 0.001)


def _contradicted(row: dict[str, Any]) -> bool:
    return bool(row["state"] == "contradicted")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("command", choices=("run", "report"))
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--attacks", type=int, default=12)
    args = parser.parse_args()
    {"run": run, "report": report}[args.command](args)


if __name__ == "__main__":
    main()
