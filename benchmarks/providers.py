"""The nets on another execution provider and on the CPU, in turn, and how far apart their outputs are."""

from __future__ import annotations

import numpy as np

from benchmarks.harness import Call, Runner, alternate
from benchmarks.machine import pin
from benchmarks.options import Options, say
from benchmarks.report import Book
from pipeline.nets import PROVIDERS, check_provider, make_session, open_store


def measure(options: Options, book: Book) -> None:
    """Every provider that this onnxruntime has, on the detector, the mesh and the liveness nets."""
    store = open_store()
    pin(options.one)
    for provider in PROVIDERS:
        if provider == "cpu":
            continue
        for name in dict.fromkeys(
            ["face_detector", "face_mesh", *(net for nets in options.nets for net in nets)]
        ):
            path = store.path(name)
            found = check_provider(path, provider)
            if found.state != "same":
                book.skip(f"{name} on {provider}", f"not run: {found.state}")
                if found.state == "absent":
                    break
                continue
            group = f"{name} on {provider}"
            book.add_number(f"{group}: difference from the CPU", 1e6 * found.difference, "millionths")
            say(f"  {group}")
            runners: dict[str, Runner] = {}
            for kind in ("cpu", provider):
                session = make_session(path, provider=kind)
                rng = np.random.default_rng(0)
                feed = {
                    entry.name: rng.random([n if isinstance(n, int) else 1 for n in entry.shape], np.float32)
                    for entry in session.get_inputs()
                }
                runners[kind] = Call(lambda n, run=session.run, feed=feed: run(None, feed), options.one)
            for kind, taken in alternate(runners, options.repeats, seed=options.seed).items():
                book.add_times(f"{group}: {kind}", group, taken, threads=1, cores=options.one)
            book.compare(f"{group}: {provider}", f"{group}: cpu")
    pin(options.outer)
