"""`Metrics`: the gateway's numbers for Prometheus, in one process or summed over several.

Labels are closed lists: methods, codes, stages. No key, person, address or request is in any of them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Literal

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
    multiprocess,
)

from pipeline.gateway.operation.watch import Seen

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Where several workers keep their numbers. prometheus_client reads it when it is imported, so it must be set
before a worker starts."""

# A match takes 40 to 60 ms on one core of the machine in docs/load.md; its timeouts end at 8.5 s.
_SECONDS: Final = (0.002, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# A picture of 640x480 makes a body of about 110 kB, one of 1 MB about 1.9 MB.
_BYTES: Final = (1e3, 1e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 4e6)

Level = Literal["body", "queue", "work"]
"""Where requests are at the moment: coming in, waiting for a thread, being answered."""


class Metrics:
    """Counters, gauges and histograms in a registry of their own.

    Args:
        folder: where all workers keep their numbers, the value of `FOLDER_VARIABLE`; None in one process.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._registry = CollectorRegistry()
        if folder is None:
            ProcessCollector(namespace="livegate", registry=self._registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"livegate_{name}", text, labels, registry=self._registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"livegate_{name}", text, labels, buckets=buckets, registry=self._registry)

        self._requests = counter("requests", "Answered requests.", "method", "code")
        self._seconds = histogram(
            "request_seconds", "Time in the gateway's core, seconds.", _SECONDS, "method"
        )
        self._refused = counter("refused", "Requests without success, by where they ended.", "stage")
        self._replays = counter("nonce_replays", "Rightly signed requests whose nonce was used before.")
        self._quota = counter(
            "quota_refusals", "Requests above a quota: of their key, or of the whole gateway.", "scope"
        )
        self._decode = histogram("decode_seconds", "Decoding of one picture, seconds.", _SECONDS)
        self._embed = histogram("embed_seconds", "Detection, alignment and embedding, seconds.", _SECONDS)
        self._upload = histogram("upload_bytes", "Bodies of requests, bytes.", _BYTES)
        self._store_errors = counter("store_errors", "Errors of the database.")
        self._level = Gauge(
            "livegate_in_flight",
            "Requests that are coming in (body), waiting for a thread (queue), being answered (work).",
            ["level"],
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._held = Gauge(
            "livegate_held_bytes",
            "Bytes of bodies that are coming in.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._charged = Gauge(
            "livegate_charged_addresses",
            "Addresses whose bytes without a right signature are counted, in the largest worker.",
            registry=self._registry,
            multiprocess_mode="livemax",
        )

    def seen(self, seen: Seen) -> None:
        """Count one answered request."""
        method = seen.method or "none"
        self._requests.labels(method, seen.code).inc()
        self._seconds.labels(method).observe(seen.seconds)
        self._upload.observe(seen.body_bytes)
        if seen.stage:
            self._refused.labels(seen.stage).inc()
        if seen.stage == "nonce":
            self._replays.inc()
        if seen.stage == "quota":
            self._quota.labels("key" if seen.status == 200 else "gateway").inc()
        if "decode" in seen.spent:
            self._decode.observe(seen.spent["decode"])
        if "embed" in seen.spent:
            self._embed.observe(seen.spent["embed"])

    def store_error(self) -> None:
        """Count one error of the database."""
        self._store_errors.inc()

    def move(self, came: Level | None, left: Level | None = None) -> None:
        """A request comes to one level and leaves another."""
        if left is not None:
            self._level.labels(left).dec()
        if came is not None:
            self._level.labels(came).inc()

    def hold(self, size: int) -> None:
        """So many more bytes of bodies are held, fewer where it is below zero."""
        self._held.inc(size)

    def charged(self, addresses: int) -> None:
        """So many addresses are charged for bytes."""
        self._charged.set(addresses)

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format, of all workers where there are several."""
        if self._folder is None:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry, path=str(self._folder))  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def metrics_of_worker() -> Metrics:
    """Metrics of this process: shared with other workers where `FOLDER_VARIABLE` names their folder."""
    folder = os.environ.get(FOLDER_VARIABLE)
    return Metrics(Path(folder) if folder else None)


def forget_worker(folder: Path, pid: int) -> None:
    """Take a dead worker's gauges out of the sums. What it counted stays."""
    multiprocess.mark_process_dead(pid, path=str(folder))  # type: ignore[no-untyped-call]
