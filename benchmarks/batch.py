"""Scoring many pictures: crops of 16 pictures through each liveness net one, four or sixteen at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from benchmarks.harness import Call, Runner, alternate
from benchmarks.machine import pin
from benchmarks.options import Options, say
from benchmarks.report import Book
from benchmarks.sequence import rendered_sequence
from benchmarks.whole import make_vision
from pipeline.liveness.passive import NETS
from pipeline.nets import make_session, open_store
from pipeline.vision import crop_batch
from pipeline.vision.types import F32

PICTURES: Final = 16
SIZES: Final = (1, 4, 16)
TOLERANCE: Final = 1e-3
"""Most that a batch may change an output; larger, and there is nothing to compare."""


def measure(options: Options, book: Book) -> None:
    """Each net in turn with batches of each size; a call is all of the pictures."""
    pin(options.one)
    store, vision = open_store(), make_vision(open_store(), 1)
    sequence = rendered_sequence(options.sizes[0], seed=options.seed)
    faces = []
    for number in range(PICTURES):
        frame = sequence.frame(number)
        face = vision.see(frame).face
        if face is None:
            raise ValueError("a rendered picture holds no face that is found")
        faces.append((frame.image, face.box))
    for name in dict.fromkeys(net for nets in options.nets for net in nets):
        session = make_session(store.path(name))
        feed = {
            entry.name: np.concatenate([crop_batch(image, [box], crop) for image, box in faces])
            for entry, crop in zip(session.get_inputs(), NETS[name].crops, strict=True)
        }
        ways = {size: _way(session.run, session.get_outputs()[0].name, feed, size) for size in SIZES}
        wanted = ways[1]()
        for size in SIZES[1:]:
            if np.abs(ways[size]() - wanted).max() > TOLERANCE:
                raise ValueError(f"{name} answers differently in batches of {size}")
        group = f"{PICTURES} pictures, {name}"
        say(f"  {group}")
        runners: dict[str, Runner] = {
            f"batches of {size}": Call(lambda n, way=way: way()) for size, way in ways.items()
        }
        for case, taken in alternate(runners, options.repeats, seed=options.seed).items():
            done = book.add_times(f"{group}: {case}", group, taken, threads=1, cores=options.one)
            if done.cpu_ms:
                book.add_number(
                    f"{group}: {case}", 1e3 * PICTURES / done.cpu_ms, "pictures/s", "of processor time"
                )
        for size in SIZES[1:]:
            book.compare(f"{group}: batches of {size}", f"{group}: batches of 1")
    pin(options.outer)


def _way(run: Callable[..., list[F32]], output: str, feed: dict[str, F32], size: int) -> Callable[[], F32]:
    parts = [{key: value[at : at + size] for key, value in feed.items()} for at in range(0, PICTURES, size)]
    return lambda: np.concatenate([run([output], part)[0] for part in parts])
