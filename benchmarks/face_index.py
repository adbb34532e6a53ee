"""How long the search for a likely duplicate takes among 1,000, 10,000 and 100,000 enrolled templates.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.face_index [--sizes 1000 10000 100000] [--out FILE.json]

The templates are synthetic: random unit vectors of 512 numbers, sealed and stored as real ones, in SQLite.
A search compares with every template whatever they are, so its time says what real ones would take; how many
are found says nothing. Processor time stands beside wall time, which other work on the machine lengthens.

- ``fill``: the first search: every template read, opened (AES-256-GCM) and put into the matrix.
- ``search``: median of 30 searches after that, each in a transaction of its own.
- ``follow``: a search after one template was enrolled through another connection.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import insert

from pipeline.gateway import Authority, FaceIndex, Identity, open_authority
from pipeline.gateway.authority import EmbeddingModel, _place
from pipeline.gateway.enrolment import DUPLICATE_SCORE
from pipeline.gateway.schema import PersonRow, TemplateRow
from pipeline.gateway.scoring import cosine_of

MODEL = EmbeddingModel("synthetic", "0" * 64)
WIDTH = 512
SEARCHES = 30


def unit(generator: np.random.Generator, count: int) -> np.ndarray:
    """float32 (count, 512), unit rows."""
    vectors = generator.normal(size=(count, WIDTH)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def fill(authority: Authority, vectors: np.ndarray) -> None:
    """Store one person for each vector; past the enrolment, which would search each time."""
    people = [uuid.uuid4().hex for _ in vectors]
    persons = [
        {"id": each, "cert_digest": f"{n:064d}", "pair_digest": f"{n:064d}", "created_at": 1}
        for n, each in enumerate(people)
    ]
    rows = []
    for person_id, vector in zip(people, vectors, strict=True):
        template_id = uuid.uuid4().hex
        data = authority.vault.seal(vector.tobytes(), _place(template_id, person_id, MODEL))
        rows.append(
            {
                "id": template_id,
                "person_id": person_id,
                "model": MODEL.name,
                "model_sha256": MODEL.sha256,
                "data": data,
                "created_at": 1,
                "change": 0,
            }
        )
    with authority.store.write() as session:
        session.execute(insert(PersonRow), persons)
        session.execute(insert(TemplateRow), rows)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor milliseconds."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - wall) * 1000, (time.process_time() - processor) * 1000


def measure(size: int) -> dict[str, Any]:
    """One size."""
    generator = np.random.default_rng(size)
    at_least = cosine_of(DUPLICATE_SCORE)
    with tempfile.TemporaryDirectory() as folder:
        authority = open_authority(f"sqlite:///{folder}/authority.db")
        fill(authority, unit(generator, size))
        index = FaceIndex(authority, MODEL)
        queries = unit(generator, SEARCHES + 1)
        filled = timed(lambda: index.find(queries[0], at_least))
        searches = [timed(lambda query=query: index.find(query, at_least)) for query in queries[1:]]
        other = open_authority(f"sqlite:///{folder}/authority.db")
        other.enroll(Identity.of("n", "new"), queries[0], MODEL, now=2.0)
        found: list[Any] = []
        followed = timed(lambda: found.extend(index.find(queries[0], at_least)))
        if len(index) != size + 1 or len(found) != 1:
            raise SystemExit("the index does not hold what was enrolled")
        other.store.close()
        authority.store.close()
    return {
        "templates": size,
        "matrix_mb": round(size * WIDTH * 4 / 1e6, 1),
        "fill_ms": [round(value, 1) for value in filled],
        "search_ms": [round(statistics.median(values), 2) for values in zip(*searches, strict=True)],
        "follow_ms": [round(value, 2) for value in followed],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    report: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(),
        "numpy": np.__version__,
        "columns": "wall and processor time",
        "sizes": [],
    }
    for size in options.sizes:
        report["sizes"].append(measure(size))
        sys.stdout.write(json.dumps(report["sizes"][-1]) + "\n")
        sys.stdout.flush()
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
