"""Runs the cues over time on clips, stills and renderings, and gathers numbers alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.cues_motion.material import (
    BLINK_MS,
    blinking,
    held_still,
    portraits,
    pulsing,
    rendered,
    sessions,
)
from benchmarks.cues_motion.pulse import skin_colour
from benchmarks.cues_motion.series import Eyes, aspect, collect, follow_relief, follow_ring
from benchmarks.pad_data import clips
from benchmarks.sequence import portrait
from pipeline.camera.frame import Frame, Image
from pipeline.vision import Face, Vision

PULSES: Final = (0.0, 0.0025, 0.005, 0.01)
"""Amplitudes of rendered pulses."""
CODINGS: Final = ("", "jpeg", "mp4v")
"""How rendered pulses are coded."""


def of_clips(data: Path, vision: Vision, eyes: Eyes) -> dict[str, Any]:
    """Every cue on the clips, and on their middle frames held still under noise."""
    out: dict[str, Any] = {"clips": [], "still": []}
    for row, fps, frames in clips(data):
        series = collect(frames, vision, eyes).as_dict()
        out["clips"].append({"label": row["label"], "species": row["species"], "fps": fps, **series})
        still = held_still(frames[len(frames) // 2].image, 40, fps)
        out["still"].append({"fps": fps, **collect(still, vision, eyes).as_dict()})
        say(f"clip {len(out['clips'])}")
    return out


def of_sessions(data: Path, vision: Vision, eyes: Eyes) -> dict[str, Any]:
    """Relief on sessions of stills, every picture once the reference of all others."""
    out: dict[str, Any] = {"sessions": []}
    for session in sessions(data, vision):
        windows = []
        for k in range(len(session.shown)):
            order = [session.shown[k], *session.shown[:k], *session.shown[k + 1 :]]
            timed = [(Frame(f.image, t=0.1 * i, seq=i), face) for i, (f, face) in enumerate(order)]
            windows += follow_relief(timed)[:1]
        out["sessions"].append(
            {
                "label": session.label,
                "kind": session.kind,
                "subject": session.subject,
                "pictures": len(session.shown),
                "relief": windows,
            }
        )
    return out


def of_renderings(data: Path, vision: Vision, eyes: Eyes) -> dict[str, Any]:
    """Relief and surroundings on rendered heads and sheets, and blinks that were drawn."""
    out: dict[str, Any] = {"rendered": [], "blinks": []}
    for seed, (image, _) in enumerate(portraits(data)):
        face = vision.look(image).face
        if face is None:
            continue
        for name, frames in rendered(image, face, seed):
            vision.reset()
            pairs = [(frame, vision.see(frame).face) for frame in frames]
            out["rendered"].append(
                {"kind": name, "seed": seed, "relief": follow_relief(pairs), "ring": follow_ring(pairs)}
            )
        for duration in (None, *BLINK_MS):
            out["blinks"].append(drawn_blink(image, face, duration, seed, eyes, vision))
        say(f"portrait {seed}")
    return out


def of_pulses(data: Path, vision: Vision, eyes: Eyes) -> dict[str, Any]:
    """Skin's colour over 8 s of a still portrait that pulses."""
    image = portrait()
    face = vision.look(image).face
    if face is None:
        raise ValueError("no face in the sample picture")
    out: dict[str, Any] = {"pulse": []}
    cut = image[20:276, 90:346]
    landmarks = face.landmarks - np.array([90, 20, 0], np.float32)
    for amplitude in PULSES:
        for coding in CODINGS:
            for seed in range(6):
                frames = pulsing(cut, amplitude, coding, seconds=8.0, seed=seed)
                colour = [skin_colour(f.image, landmarks) for f in frames]
                out["pulse"].append(
                    {
                        "amplitude": amplitude,
                        "coding": coding,
                        "t": [f.t for f in frames],
                        "skin": [c.tolist() for c in colour if c is not None],
                    }
                )
    return out


def drawn_blink(
    image: Image, face: Face, duration: int | None, seed: int, eyes: Eyes, vision: Vision
) -> dict[str, Any]:
    """Openness over a drawn blink."""
    vision.reset()
    t, openness = [], []
    for frame in blinking(image, face, duration, seed=seed):
        seen = vision.see(frame).face
        if seen is not None:
            t.append(frame.t)
            openness.append([aspect(seen.landmarks), *eyes.look(frame.image, seen)[0]])
    return {"duration": duration, "t": t, "open": openness}


def say(text: str) -> None:
    """Progress goes to standard error."""
    print(text, file=sys.stderr, flush=True)


Part = Callable[[Path, Vision, Eyes], dict[str, Any]]
PARTS: Final[dict[str, Part]] = {
    "rendered": of_renderings,
    "sessions": of_sessions,
    "clips": of_clips,
    "pulse": of_pulses,
}
"""What is gathered, by name."""
