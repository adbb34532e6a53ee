"""Tables of what the cues over time measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import cv2
import numpy as np

from benchmarks.cues_motion.background import RingTracker
from benchmarks.cues_motion.corners import CornerTracker
from benchmarks.cues_motion.eyes import blinks, jitter
from benchmarks.cues_motion.gather import CODINGS, PULSES
from benchmarks.cues_motion.material import BLINK_MS, held_still
from benchmarks.cues_motion.planarity import relief
from benchmarks.cues_motion.pulse import pos, skin_colour, snr_db
from benchmarks.cues_motion.series import Eyes
from benchmarks.pad_data import share
from benchmarks.sequence import portrait
from pipeline.camera.frame import Frame
from pipeline.nets import open_store
from pipeline.vision import Vision
from pipeline.vision.mesh import FaceMesh, roi_of_landmarks

Numbers = dict[str, Any]
LEAST_FRAMES: Final = 5
GAIN: Final = 0.3
"""Between sheets and heads of the renderings: see the report's first table."""
AGREES: Final = 0.5
CONFIRM_TURN: Final = 4.0
"""Degrees: the smaller of the rendered heads' motions."""
DENY_TURN: Final = 8.0
"""Degrees: twice that."""
OPENNESS: Final = ("468 points", "478 points", "blendshapes")
HOLDER: Final = 6
"""The clip, counted from 1, in which the face that vision follows is not the replayed one."""


def confirms(window: dict[str, list[float]]) -> bool:
    """True where relief proves a head, over a sheet that may bend."""
    gain, agreement, turn, frames = window["sheet"]
    return frames >= LEAST_FRAMES and turn >= CONFIRM_TURN and gain >= GAIN and agreement >= AGREES


def denies(window: dict[str, list[float]]) -> bool:
    """True where the mesh turns and the surface has no relief, whichever sheet is assumed."""
    return all(
        window[kind][3] >= LEAST_FRAMES and window[kind][2] >= DENY_TURN and window[kind][0] < GAIN / 2
        for kind in ("sheet", "plane")
    )


def show_relief(data: Numbers) -> None:
    """Relief: gain of optical parallax over the turn that the mesh claims, 0 for a sheet, 1 for a head."""
    print(
        f"{'':34} {'n':>4} {'turn':>5}  sheet may bend     affine plane       mesh points"
        "        confirm  deny"
    )
    groups: dict[str, list[dict[str, list[float]]]] = {}
    for entry in data["rendered"]:
        groups.setdefault(f"rendered {entry['kind']}", []).extend(entry["relief"])
    for entry in data["sessions"]:
        groups.setdefault(f"stills {entry['kind']}", []).extend(entry["relief"])
    for k, entry in enumerate(data["clips"]):
        groups[clip_name(k, entry)] = entry["relief"]
    for name, windows in groups.items():
        used = [w for w in windows if w["sheet"][3] >= LEAST_FRAMES and w["sheet"][2] >= CONFIRM_TURN]
        cells = [quartiles([w[kind][0] for w in used]) for kind in ("sheet", "plane", "mesh")]
        turn = f"{np.median([w['sheet'][2] for w in used]):5.1f}" if used else "    -"
        print(
            f"{name:34} {len(used):4} {turn}  {'  '.join(cells)}  "
            f"{sum(map(confirms, windows)):3}/{len(windows):<3} {sum(map(denies, windows)):3}/{len(windows)}"
        )
    print()
    live = [e for e in data["sessions"] if e["label"] == "live"]
    replays = [c for c in data["clips"] if c["label"] == "spoof"]
    prints = [e for e in data["sessions"] if e["label"] == "spoof"]
    for what, rule in (("confirmed", confirms), ("denied", denies)):
        for name, entries in (
            ("rendered heads", [e for e in data["rendered"] if "head" in e["kind"]]),
            ("rendered sheets", [e for e in data["rendered"] if "sheet" in e["kind"]]),
            ("live sessions, any reference", live),
            ("print sessions, any reference", prints),
            ("live clips, any window", [c for c in data["clips"] if c["label"] == "live"]),
            ("live clips, first window", [first(c) for c in data["clips"] if c["label"] == "live"]),
            ("replays, any window", [c for c in replays if c is not data["clips"][HOLDER - 1]]),
            ("the holder's live face, being covered", [data["clips"][HOLDER - 1]]),
        ):
            hits = sum(any(rule(w) for w in entry["relief"]) for entry in entries)
            print(f"{what}: {name}: {share(hits, len(entries))}")


def clip_name(k: int, entry: dict[str, Any]) -> str:
    """How tables call a clip."""
    if k + 1 == HOLDER:
        return f"clip {HOLDER} replay: holder, live"
    return f"clip {k + 1} {entry['label']} {entry['species']}".replace(" none", "")


def first(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry with its first window alone: what a check sees."""
    return {**entry, "relief": entry["relief"][:1]}


def quartiles(values: Sequence[float]) -> str:
    """Median and range, or a dash."""
    if not values:
        return f"{'-':17}"
    return f"{np.median(values):5.2f} ({min(values):5.2f} {max(values):5.2f})"


def show_ring(data: Numbers) -> None:
    """Surroundings: slope of their shift on the face's, in each second in which the face moved."""
    groups: dict[str, list[list[float]]] = {}
    for entry in data["rendered"]:
        groups.setdefault(f"rendered {entry['kind']}", []).extend(entry["ring"])
    for k, entry in enumerate(data["clips"]):
        groups[clip_name(k, entry)] = entry["ring"]
    print(f"{'':34} {'n':>4}  coupling           share moving with the face   seconds in which 80 % do")
    for name, rows in groups.items():
        together = [r[1] for r in rows]
        hits = sum(x >= 0.8 for x in together)
        print(
            f"{name:34} {len(rows):4}  {quartiles([r[0] for r in rows])}  {quartiles(together)}"
            f"           {hits}/{len(rows)}"
        )


def show_blinks(data: Numbers) -> None:
    """Blinks by three measures of openness: drawn ones found, and what the clips hold."""
    for duration in (None, *BLINK_MS):
        cells = []
        for k in range(3):
            rows = [e for e in data["blinks"] if e["duration"] == duration and len(e["t"]) > 20]
            found = [blinks(np.array(e["t"]), np.array(e["open"])[:, k]) for e in rows]
            hits = sum(bool(f) for f in found)
            times = [1e3 * f[0].duration for f in found if f]
            cells.append(
                f"{OPENNESS[k]} {hits}/{len(rows)}" + (f" ({np.median(times):.0f} ms)" if times else "")
            )
        name = "no blink drawn" if duration is None else f"drawn, {duration} ms"
        print(f"{name:18} found by " + ", ".join(cells))
    print()
    for k, entry in enumerate(data["clips"]):
        t, openness = np.array(entry["t"]), np.array(entry["open"])
        if len(t) < 20:
            print(f"{clip_name(k, entry):27} too few frames")
            continue
        cells = []
        for j in range(3):
            found = blinks(t, openness[:, j])
            cell = f"{OPENNESS[j]} {len(found)}"
            if found:
                spread = 1e3 * np.median([b.duration for b in found])
                cell += f" ({spread:.0f} ms, asymmetry {np.mean([b.asymmetry for b in found]):+.2f})"
            cells.append(cell)
        seconds = len(t) / entry["fps"]
        print(f"{clip_name(k, entry):27} {seconds:4.1f} s: " + ", ".join(cells))


def show_gaze(data: Numbers) -> None:
    """Motion above 3 Hz of irises in their eyes and of the head, against the same frame held still."""
    print("gaze in degrees of the eye, head in thousandths of the face's size; root mean square above 3 Hz")
    for k, entry in enumerate(data["clips"]):
        cells = []
        for name, one in (("clip", entry), ("held still", data["still"][k])):
            t = np.array(one["t"])
            if len(t) < 20:
                cells.append(f"{name} -")
                continue
            degrees = jitter(t, np.array(one["gaze"])) / 0.007
            cells.append(f"{name} gaze {degrees:.2f} head {1e3 * jitter(t, np.array(one['head'])):.2f}")
        print(f"{clip_name(k, entry):27} {'; '.join(cells)}")


def show_pulse(data: Numbers) -> None:
    """Pulse by POS: signal over the rest of the band in dB; skin, and a patch beside the head."""
    for coding in CODINGS:
        for amplitude in PULSES:
            rows = [e for e in data["pulse"] if (e["amplitude"], e["coding"]) == (amplitude, coding)]
            cells = [f"{s} s {quartiles([rhythm(e, s) for e in rows])}" for s in (4, 8)]
            print(f"rendered, pulse {100 * amplitude:.2f} %, {coding or 'not coded':9}: " + ", ".join(cells))
    print()
    for k, entry in enumerate(data["clips"]):
        t, skin = np.array(entry["t"]), np.array(entry["skin"])
        if len(t) < 20:
            print(f"{clip_name(k, entry):27} too few frames")
            continue
        cells = []
        for length in (4.0, 8.0):
            starts = np.arange(t[0], t[-1] - length + 1e-6, 1.0)
            rows = [(t >= a) & (t < a + length) for a in starts]
            rows = [r for r in rows if r.sum() >= 0.8 * length * entry["fps"]]
            own = [snr_db(pos(t[r], skin[r, :3]))[0] for r in rows]
            other = [snr_db(pos(t[r], skin[r, 3:]))[0] for r in rows]
            cells.append(f"{length:.0f} s skin {quartiles(own)} beside {quartiles(other)}")
        print(f"{clip_name(k, entry):27} " + ", ".join(cells))


def rhythm(entry: dict[str, Any], seconds: float) -> float:
    """Signal over the rest in dB, of the first seconds of a series."""
    t, skin = np.array(entry["t"]), np.array(entry["skin"])
    return snr_db(pos(t[t < seconds], skin[t < seconds]))[0]


def show_cost(repeats: int) -> None:
    """Milliseconds of a frame, median, and the ratio to one pass of the 468-point mesh in the same run."""
    cv2.setNumThreads(1)
    store = open_store()
    vision, eyes, mesh = Vision(store), Eyes(store), FaceMesh(store.path("face_mesh"))
    base = cv2.resize(portrait()[:384], (640, 480), interpolation=cv2.INTER_CUBIC)
    frames = held_still(np.asarray(base, np.uint8), 12, 30.0)
    face = vision.look(frames[0].image).face
    if face is None:
        raise ValueError("no face in the sample picture")
    corners, ring = (
        CornerTracker(frames[0].image, face.landmarks),
        RingTracker(frames[0].image, face.landmarks),
    )
    moved = corners.follow(frames[1].image, face.landmarks)
    t = np.arange(240) / 30
    colour = 100 + np.random.default_rng(0).standard_normal((240, 3))
    steps: dict[str, Callable[[Frame], object]] = {
        "mesh, 468 points": lambda f: mesh.locate(f.image, roi_of_landmarks(face.landmarks)),
        "corners, new reference": lambda f: CornerTracker(f.image, face.landmarks),
        "corners, a frame": lambda f: corners.follow(f.image, face.landmarks),
        "relief, a frame": lambda _: relief(moved),
        "surroundings, a frame": lambda f: ring.follow(f.image),
        "478 points, blendshapes, gaze": lambda f: eyes.look(f.image, face),
        "skin's colour, a frame": lambda f: skin_colour(f.image, face.landmarks),
        "pulse of 8 s, once": lambda _: snr_db(pos(t, colour)),
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for k in range(repeats):
        for name, step in steps.items():
            start = time.thread_time_ns()
            step(frames[k % len(frames)])
            times[name].append((time.thread_time_ns() - start) / 1e6)
    medians = {name: float(np.median(v[5:])) for name, v in times.items()}
    print("CPU time of the thread on a shared machine; 640x480, one thread")
    for name, value in medians.items():
        print(f"{name:32} {value:6.2f} ms  {value / medians['mesh, 468 points']:5.2f} of a mesh pass")
