"""What evidence costs, in CPU and wall time: `python tests/evidence/measure.py [RECORDS]`."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pipeline.evidence import list_records, purge, sealed_evidence
from pipeline.gateway import open_authority
from pipeline.gateway.keeping import LivePicture

SIZE = 65_536
NOW = 1_795_480_042.0


def main(records: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder, "public.pem")
        public = X25519PrivateKey.generate().public_key()
        key.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        authority = open_authority(f"sqlite:///{folder}/authority.db")
        sink = sealed_evidence(key)(authority)
        cpu, wall = [], []
        for number in range(records):
            picture = LivePicture(os.urandom(SIZE), "REF-1", f"R-{number}", "testid", None, NOW)
            before, started = time.process_time(), time.perf_counter()
            sink.keep(picture)
            cpu.append((time.process_time() - before) * 1e3)
            wall.append((time.perf_counter() - started) * 1e3)
        took = f"CPU median {statistics.median(cpu):.2f} ms, wall {statistics.median(wall):.2f} ms"
        print(f"keep {SIZE} bytes: {took}")
        chosen = [record.id for record in list_records(authority.store)[::2]]
        before, started = time.process_time(), time.perf_counter()
        report = purge(authority.store, now=NOW, ids=chosen)
        print(
            f"purge {len(chosen)} of {records}: {report.proof}, {report.pieces} pieces, CPU"
            f" {time.process_time() - before:.1f} s, wall {time.perf_counter() - started:.1f} s"
        )
        authority.store.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
