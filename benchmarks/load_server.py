"""`livegate serve` with a stub in the place of detector and nets: what all else costs. For `load` alone.

    python -m benchmarks.load_server URL WORKERS

The stub says of every picture that it shows the one enrolled face. The product's command line knows nothing
of it.
"""

from __future__ import annotations

import json
import sys
from functools import partial

import numpy as np

from pipeline.gateway import Gateway, ServeOptions, open_gateway, serve
from pipeline.gateway.authority import EmbeddingModel
from pipeline.gateway.faces import FaceReading
from pipeline.gateway.operation.logs import set_up_logs
from pipeline.gateway.workers import serve_workers
from pipeline.service import gateway_options
from pipeline.settings import Settings


class StubEmbedder:
    """Looks at nothing and answers at once."""

    model = EmbeddingModel("stub of the load run", "0" * 64)

    def read(self, image: np.ndarray) -> FaceReading:
        """One face, the same one always."""
        vector = np.zeros(512, np.float32)
        vector[0] = 1.0
        return FaceReading(vector, 100.0, 1, 0.0)


def opening(url: str) -> Gateway:
    """A worker's gateway."""
    set_up_logs("json")
    options = gateway_options(Settings(database=url))
    return open_gateway(url, embedder=StubEmbedder(), options=options)


def ready(url: str, admin_url: str | None) -> None:
    """As `livegate serve --json` says it."""
    print(json.dumps({"event": "listening", "url": url, "admin_url": admin_url}), flush=True)


def main() -> None:
    """Serve until a signal."""
    url, workers = sys.argv[1], int(sys.argv[2])
    options = ServeOptions(admin_port=0)
    if workers == 1:
        serve(opening(url), port=0, options=options, ready_callback=ready)
    else:
        serve_workers(partial(opening, url), port=0, workers=workers, options=options, ready_callback=ready)


if __name__ == "__main__":
    main()
