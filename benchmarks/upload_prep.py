"""What it costs to make a frame that passed ready for sending, and what the plain way would cost.

    python -m benchmarks.upload_prep [--repeats 300] [--out FILE.json]

The picture is 640x480, cut from scikit-image's astronaut. Each round times, in turn: the digest of the pass
(`LivePass.check`), the JPEG, our request (base64, JSON, percent-encoding, string to sign, HMAC, form body),
and the same request by the plain way: `json.dumps`, and `urllib.parse.quote` on every value and on the whole
again. Both bodies are compared first: they are equal byte for byte. One core, one OpenCV thread, warm-up
rounds left out, times in milliseconds of wall clock. What shares the machine shows in ``load``.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.camera.frame import Frame
from pipeline.liveness.livepass import LivePass, _mint, seal
from pipeline.match.client import match_parameters
from pipeline.match.encode import encode_upload
from pipeline.match.jpeg import encode_jpeg
from pipeline.match.person import Person
from pipeline.nets import open_store
from pipeline.protocol.signing import AccessKey, signed_form

WARM_UP = 20
PERSON = Person("张三", "33010320180101010X")
KEY = AccessKey("testid", "testsecret")
PUBLIC = {
    "AccessKeyId": KEY.key_id,
    "Action": "ExecuteRequest",
    "Format": "JSON",
    "Service": "face_verify",
    "SignatureMethod": "HMAC-SHA1",
    "SignatureNonce": "180c9812-da14-4598-9d16-606a7a2b2036",
    "SignatureVersion": "1.0",
    "Timestamp": "2026-11-24T00:27:22Z",
    "Version": "2017-03-31",
}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=300, help="rounds, at least 200")
    parser.add_argument("--out", type=Path, help="write the JSON here too")
    arguments = parser.parse_args()
    if arguments.repeats < 200:
        parser.error("at least 200 repeats")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    text = json.dumps(measure(arguments.repeats), indent=1, ensure_ascii=False)
    print(text)
    if arguments.out is not None:
        arguments.out.write_text(text + "\n", encoding="utf-8")


def measure(repeats: int) -> dict[str, object]:
    """Time every stage ``repeats`` times, in turn."""
    live_pass = passed(portrait())
    upload = encode_upload(live_pass)
    jpeg = upload.jpeg
    if our_request(jpeg) != plain_request(jpeg):
        raise SystemExit("the two ways differ: nothing to compare")
    stages: dict[str, Callable[[], object]] = {
        "digest": live_pass.check,
        "jpeg": lambda: encode_jpeg(live_pass.frame.image),
        "request": lambda: our_request(jpeg),
        "request_plain": lambda: plain_request(jpeg),
        "base64": lambda: base64.b64encode(jpeg),
    }
    times: dict[str, list[float]] = {name: [] for name in stages}
    for round_ in range(WARM_UP + repeats):
        for name, stage in stages.items():
            start = time.perf_counter_ns()
            stage()
            elapsed = time.perf_counter_ns() - start
            if round_ >= WARM_UP:
                times[name].append(elapsed / 1e6)
    times["own_work"] = [a + b for a, b in zip(times["digest"], times["request"], strict=True)]
    summary = {name: summarise(values) for name, values in times.items()}
    return {
        "what": "ms per upload of a 640x480 frame; own_work = digest + request, all but the JPEG",
        "jpeg_bytes": len(jpeg),
        "body_bytes": len(our_request(jpeg)),
        "repeats": repeats,
        "ms": summary,
        "plain_over_ours": round(summary["request_plain"]["median"] / summary["request"]["median"], 1),
        "machine": machine(),
    }


def our_request(jpeg: bytes) -> bytes:
    """Signed form body as the client makes it."""
    return signed_form(KEY, {**PUBLIC, "ServiceParameters": match_parameters(PERSON, jpeg)})


def plain_request(jpeg: bytes) -> bytes:
    """The same body by the standard library alone."""
    fields = {
        "method": "match",
        "name": PERSON.name,
        "certNumber": PERSON.cert_number,
        "imgbase64": base64.b64encode(jpeg).decode(),
    }
    written = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    params = {**PUBLIC, "ServiceParameters": written}
    query = "&".join(f"{name}={quote(params[name], safe='-_.~')}" for name in sorted(params))
    text = f"POST&%2F&{quote(query, safe='-_.~')}"
    digest = hmac.new(f"{KEY.secret}&".encode(), text.encode(), hashlib.sha1).digest()
    return f"{query}&Signature={quote(base64.b64encode(digest).decode(), safe='')}".encode()


def portrait() -> NDArray[np.uint8]:
    """640x480 of the astronaut's upper part, the face at a kiosk's distance."""
    image = cv2.imread(str(open_store().path("sample_astronaut")), cv2.IMREAD_COLOR)
    if image is None:
        raise SystemExit("the sample picture can't be read; run `livegate models pull`")
    return np.asarray(cv2.resize(image[:384], (640, 480), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def passed(image: NDArray[np.uint8]) -> LivePass:
    """A pass without a decision: the benchmark times what follows it."""
    return _mint(seal(Frame(image, t=0.0, seq=0)), session_id="benchmark", score=1.0, minted_at=0.0)


def summarise(values: list[float]) -> dict[str, float]:
    """Median and spread, in ms."""
    marks = np.percentile(values, [0, 10, 50, 90])
    return {name: round(float(v), 4) for name, v in zip(("min", "p10", "median", "p90"), marks, strict=True)}


def machine() -> dict[str, object]:
    """What the numbers depend on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), None)
    return {
        "cpu": model or platform.processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "system": platform.system(),
        "opencv": version("opencv-python"),
        "numpy": version("numpy"),
    }


if __name__ == "__main__":
    main()
