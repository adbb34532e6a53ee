"""The other end of `host.Worker`, in a peer's own Python: nothing but the standard library.

Lines of JSON come in on standard input and go out on standard output:

    -> (start)                            <- {"ready": true, "versions": {...}}
    -> {"start": 0, "count": 10}          <- {"wall_ns": [...], "cpu_ns": ..., "found": 10}
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from importlib.metadata import PackageNotFoundError, version


def begin():
    """Read the job of the command line and go to its cores: the job, and where answers are written."""
    job = json.loads(sys.argv[1])
    if job["cores"] is not None:
        os.sched_setaffinity(0, job["cores"])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a peer prints must not get between the answers
    return job, answers


def versions(names):
    """Versions of those packages that are there."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def serve(answers, step, count, packages):
    """Time blocks until standard input ends, around the peer's own call alone.

    Args:
        answers: of `begin`.
        step: takes the index of what it is shown; False where it did not find what it looked for.
        count: how many there are; they are shown forwards and backwards.
        packages: whose versions are told.
    """
    period = max(2 * (count - 1), 1)
    print(json.dumps({"ready": True, "versions": versions(packages)}), file=answers, flush=True)
    for line in sys.stdin:
        block = json.loads(line)
        wall, found = [], 0
        gc.collect()
        gc.disable()
        cpu = time.process_time_ns()
        for number in range(block["start"], block["start"] + block["count"]):
            place = number % period
            index = min(place, period - place)
            started = time.perf_counter_ns()
            hit = step(index)
            wall.append(time.perf_counter_ns() - started)
            found += bool(hit)
        cpu = time.process_time_ns() - cpu
        gc.enable()
        print(json.dumps({"wall_ns": wall, "cpu_ns": cpu, "found": found}), file=answers, flush=True)
