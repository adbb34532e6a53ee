"""Sequences to measure on: labelled clips, labelled sessions of stills, and rendered ones, named so."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from benchmarks.cues_motion.render import Motion, blink, head, render, sheet
from benchmarks.faces import in_first_half, pictures, read
from benchmarks.pad_clips import through_video
from benchmarks.pad_data import read_manifest
from pipeline.camera.frame import Frame, Image
from pipeline.vision import Face, Vision

PEOPLE: Final = 4
"""People of ``faces/lfw_single`` who are rendered, all of one half."""
MOTIONS: Final = {
    "head, 10 degrees": Motion(yaw=10, pitch=4),
    "head, 4 degrees": Motion(yaw=4, pitch=2),
    "flat sheet, 25 degrees": Motion(yaw=25, pitch=10),
    "bent sheet, 25 degrees": Motion(yaw=25, pitch=6, bend=1.2),
    "sheet that is being bent": Motion(yaw=12, pitch=6, bend=0.8, bend_change=1.0),
    "hollow sheet, 25 degrees": Motion(yaw=25, pitch=6, bend=-1.0),
}
RENDER_FPS: Final = 2.0
RENDER_FRAMES: Final = 8
BLINK_FPS: Final = 30.0
BLINK_MS: Final = (100, 200)
"""Durations of drawn blinks."""
PULSE_RGB: Final = np.array([0.33, 0.77, 0.53])
"""Pulse in R, G, B relative to each other (Wang and others, 2017, for a halogen lamp)."""


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """Stills of one person or one photograph before one camera, in order, seconds apart.

    Attributes:
        label: live or spoof.
        kind: what is shown.
        subject: whose face it is.
        shown: pictures and faces in them.
    """

    label: str
    kind: str
    subject: str
    shown: list[tuple[Frame, Face]]


def sessions(data: Path, vision: Vision) -> Iterator[Session]:
    """Sessions of ``nuaa_raw``: people, and photographs held still or moved, turned and bent in the hand.

    Position 00 holds the photograph still. All other positions of one session are of one photograph, two to
    four pictures each, and are taken together.
    """
    groups: dict[tuple[str, str, str], list[tuple[str, int, str]]] = defaultdict(list)
    for row in read_manifest(data / "pad_all.tsv"):
        if row["group"] != "nuaa_raw":
            continue
        subject, glasses, position, session, number = Path(row["path"]).stem.split("_")
        kind, held = "person", position
        if row["label"] == "spoof":
            kind, held = ("print held still", "00") if position == "00" else ("print moved and bent", "")
        key = (row["label"], kind, "_".join((subject, glasses, held, session)))
        groups[key].append((position, int(number), row["path"]))
    for (label, kind, session), files in sorted(groups.items()):
        shown = []
        for k, (_, _, path) in enumerate(sorted(files)):
            image = read(data / path)
            face = None if image is None else vision.look(image).face
            if image is not None and face is not None:
                shown.append((Frame(image, t=0.1 * k, seq=k), face))
        if len(shown) > 1:
            yield Session(label, kind, session.split("_")[0], shown)


def portraits(data: Path, count: int = PEOPLE) -> Iterator[tuple[Image, str]]:
    """Press pictures to render from, enlarged to 512 pixels; numbers may leave, pictures may not."""
    paths = [p for p in pictures(data / "faces" / "lfw_single") if in_first_half(p.stem)]
    for path in paths[:: max(1, len(paths) // count)][:count]:
        image = read(path)
        if image is not None:
            yield (
                np.asarray(cv2.resize(image, (512, 512), interpolation=cv2.INTER_CUBIC), dtype=np.uint8),
                path.stem,
            )


def rendered(portrait: Image, face: Face, seed: int) -> Iterator[tuple[str, list[Frame]]]:
    """The portrait as a head and as sheets, every motion of `MOTIONS`."""
    solid, flat = head(portrait, face.landmarks), sheet(portrait, face.landmarks)
    for name, motion in MOTIONS.items():
        surface = solid if name.startswith("head") else flat
        size = 150.0 + 25 * (seed % 4)
        yield (
            name,
            list(
                render(
                    surface,
                    motion,
                    RENDER_FRAMES,
                    seed=seed,
                    face=size,
                    sigma=1.0 + seed % 3,
                    jpeg=85,
                    fps=RENDER_FPS,
                )
            ),
        )


def held_still(image: Image, frames: int, fps: float, *, sigma: float = 2.0, seed: int = 0) -> list[Frame]:
    """Exposures of a scene that does not move."""
    rng = np.random.default_rng(seed)
    return [_exposed(image.astype(np.float32), sigma, rng, k, fps) for k in range(frames)]


def blinking(portrait: Image, face: Face, milliseconds: int | None, *, seed: int = 0) -> list[Frame]:
    """A still portrait that blinks once in 1.2 s, or not at all. Synthetic lids of smeared skin.

    The lid falls in 40 % of the time and rises in 60 %, along half a cosine each.
    """
    rng = np.random.default_rng(seed)
    middle = 0.6 + rng.uniform(0, 1 / BLINK_FPS)
    out = []
    for k in range(round(1.2 * BLINK_FPS)):
        closed = 0.0
        if milliseconds is not None:
            phase = (k / BLINK_FPS - middle) / (milliseconds / 1e3)
            span = 0.4 if phase < 0 else 0.6
            closed = math.cos(math.pi / 2 * min(abs(phase) / span, 1.0))
        image = blink(portrait, face.landmarks, closed)
        shift = np.array([[1, 0, rng.normal(0, 0.3)], [0, 1, rng.normal(0, 0.3)]])
        image = cv2.warpAffine(image, shift, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
        out.append(_exposed(image.astype(np.float32), 2.0, rng, k, BLINK_FPS))
    return out


def pulsing(portrait: Image, amplitude: float, coding: str, *, seconds: float, seed: int) -> list[Frame]:
    """A still portrait whose colour pulses at 72 beats a minute. Synthetic.

    Args:
        portrait: uint8 (h, w, 3), BGR.
        amplitude: peak of the green-most direction, relative: 0.005 is a strong facial pulse.
        coding: nothing, ``jpeg`` for quality 80, or a video codec's four letters.
        seconds: how long.
        seed: of the noise.
    """
    rng = np.random.default_rng(seed)
    fps = 30.0
    base = portrait.astype(np.float32)
    phase = rng.uniform(0, 2 * np.pi)
    frames = []
    for k in range(round(seconds * fps)):
        beat = amplitude * math.sin(2 * np.pi * 1.2 * k / fps + phase)
        light = 1 + 0.004 * math.sin(2 * np.pi * 0.3 * k / fps + phase)
        frames.append(
            _exposed(base * light * (1 + beat * PULSE_RGB[::-1]).astype(np.float32), 2.0, rng, k, fps)
        )
    if coding == "jpeg":
        coded = [cv2.imencode(".jpg", f.image, [cv2.IMWRITE_JPEG_QUALITY, 80])[1] for f in frames]
        images = [np.asarray(cv2.imdecode(c, cv2.IMREAD_COLOR), dtype=np.uint8) for c in coded]
    elif coding:
        images = through_video([f.image for f in frames], coding)
    else:
        return frames
    return [Frame(image, t=k / fps, seq=k) for k, image in enumerate(images)]


def _exposed(scene: np.ndarray, sigma: float, rng: np.random.Generator, k: int, fps: float) -> Frame:
    noisy = scene + sigma * rng.standard_normal(scene.shape, dtype=np.float32)
    return Frame(np.clip(np.rint(noisy), 0, 255).astype(np.uint8), t=k / fps, seq=k)
