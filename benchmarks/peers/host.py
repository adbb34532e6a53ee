"""This side of a peer: which ones can run here, their workers, and the frames that all of them see."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Block
from pipeline.camera.frame import Image

SCRIPT: Final = Path(__file__).with_name("worker.py")
SIGNER: Final = Path(__file__).with_name("signing.py")
MINIFASNET: Final = {"v2": "minifasnet_v2_27_80.onnx", "v1se": "minifasnet_v1se_40_80.onnx"}
"""File names of the published pair."""


class WorkerError(Exception):
    """A peer could not be started, or stopped; the message is the last thing that it said."""


@dataclass(frozen=True, slots=True)
class PeerPlan:
    """A peer that may be run.

    Attributes:
        name: of its case.
        peer: key of the worker's table.
        python: interpreter to run it with.
        options: for the worker.
        missing: why it can't be run here, or None.
        note: what it is, for the report.
        everywhere: True to run it on all cores too, False on one core only.
        script: what its Python runs.
    """

    name: str
    peer: str
    python: Path
    options: dict[str, str] = field(default_factory=dict)
    missing: str | None = None
    note: str = ""
    everywhere: bool = True
    script: Path = SCRIPT


def plan_peers(
    *,
    mediapipe: Path,
    minifasnet: Path,
    task: Path | None = None,
    yunet: Path | None = None,
    uniface: Path | None = None,
    uniface_scrfd: Path | None = None,
    uniface_untrained: Path | None = None,
    deepface: Path | None = None,
    torch: Path | None = None,
) -> list[PeerPlan]:
    """What could be run, and why the rest can't. Nothing is ever downloaded.

    Args:
        mediapipe: Python with mediapipe 0.10.
        minifasnet: folder with the published pair.
        task: model bundle of FaceLandmarker.
        yunet: weights of OpenCV's YuNet.
        uniface: Python with uniface; its detector only where its cache holds the weights.
        uniface_scrfd: a file of the SCRFD family for uniface's SCRFD.
        uniface_untrained: a file of the form of uniface's default detector with numbers drawn at random.
        deepface: Python with deepface and torch; its own weights only where its cache holds them.
        torch: Python with torch, onnx and onnxruntime.
    """
    own = Path(sys.executable)
    pair = {key: str((minifasnet / name).resolve()) for key, name in MINIFASNET.items()}
    absent = [MINIFASNET[key] for key, path in pair.items() if not Path(path).is_file()]
    no_pair = f"{' and '.join(absent)} not found; give the folder by --minifasnet" if absent else None
    no_mediapipe = None if mediapipe.is_file() else "no Python with mediapipe 0.10; give it by --mediapipe"
    no_uniface = _wanted(uniface, "--uniface", "a Python with uniface")
    return [
        PeerPlan(
            "mediapipe FaceMesh", "facemesh", mediapipe, {}, no_mediapipe, "BGR to RGB and FaceMesh.process"
        ),
        PeerPlan(
            "mediapipe FaceLandmarker",
            "facelandmarker",
            mediapipe,
            {"task": str(task)},
            no_mediapipe or _wanted(task, "--task", "a model bundle (face_landmarker.task)"),
            "BGR to RGB and detect_for_video",
        ),
        PeerPlan(
            "MiniFASNet pair, onnxruntime defaults",
            "minifasnet",
            own,
            pair,
            no_pair,
            "crops and both nets as published, on boxes given for nothing",
        ),
        PeerPlan(
            "MiniFASNet pair, onnxruntime with one thread",
            "minifasnet",
            own,
            pair | {"threads": "1"},
            no_pair,
            "the same, held to one thread that does not spin, as livegate holds its own",
            everywhere=False,
        ),
        PeerPlan(
            "MiniFASNet pair, PyTorch",
            "torch",
            torch or own,
            pair,
            no_pair or _wanted(torch, "--torch", "a Python with torch, onnx and onnxruntime"),
            "crops and both nets in PyTorch with its own threads, on boxes given for nothing",
        ),
        PeerPlan(
            "YuNet + MiniFASNet pair",
            "yunet",
            own,
            pair | {"weights": str(yunet)},
            no_pair or _wanted(yunet, "--yunet", "its weights"),
            "detector on each whole frame, then the pair",
        ),
        PeerPlan(
            "YuNet + MiniFASNet pair on one thread",
            "yunet",
            own,
            pair | {"weights": str(yunet), "threads": "1"},
            no_pair or _wanted(yunet, "--yunet", "its weights"),
            "the same, the pair held to one thread that does not spin",
            everywhere=False,
        ),
        PeerPlan(
            "uniface RetinaFace + MiniFASNet",
            "uniface",
            uniface or own,
            {},
            no_uniface
            or _wanted(
                _uniface_detector(), "UNIFACE_CACHE_DIR", "its detector's weights, retinaface_mnet_v2.onnx"
            ),
            "its defaults, one of the two nets",
        ),
        PeerPlan(
            "uniface MiniFASNet",
            "uniface net",
            uniface or own,
            pair,
            no_pair or no_uniface,
            "its crop and one of the two nets, on boxes given for nothing",
        ),
        PeerPlan(
            "uniface SCRFD 2.5G + MiniFASNet",
            "uniface scrfd",
            uniface or own,
            pair | {"scrfd": str(uniface_scrfd)},
            no_uniface or _wanted(uniface_scrfd, "--uniface-scrfd", "a file of the SCRFD family") or no_pair,
            "its SCRFD with trained weights of 2.5 GFLOP, not of its own table; one of the two nets",
        ),
        PeerPlan(
            "uniface RetinaFace, untrained, + MiniFASNet",
            "uniface untrained",
            uniface or own,
            pair | {"untrained": str(uniface_untrained)},
            no_uniface
            or _wanted(uniface_untrained, "--uniface-untrained", "a file of its default detector's form")
            or no_pair,
            "its default detector with untrained weights of the published shape, for the time alone; nothing "
            "is found, so no overlaps are suppressed; one of the two nets, on boxes given for nothing",
        ),
        PeerPlan(
            "deepface extract_faces anti_spoofing",
            "deepface",
            deepface or own,
            {},
            _wanted(deepface, "--deepface", "a Python with deepface and torch")
            or _wanted(_deepface_weights(), "DEEPFACE_HOME", "its anti-spoofing weights, two .pth files"),
            "its defaults",
        ),
        PeerPlan(
            "deepface extract_faces anti_spoofing, untrained nets",
            "deepface",
            deepface or own,
            {"untrained": "1"},
            _wanted(deepface, "--deepface", "a Python with deepface and torch"),
            "its defaults on PyTorch; its two nets with numbers drawn at random, for the time alone",
            everywhere=False,
        ),
    ]


def _uniface_detector() -> Path | None:
    """File of uniface's default detector in its cache, or None."""
    folder = Path(os.environ.get("UNIFACE_CACHE_DIR", "~/.uniface/models")).expanduser()
    return next(iter(sorted(folder.glob("retinaface*v2*.onnx"))), None)


def _deepface_weights() -> Path | None:
    """File of deepface's first anti-spoofing net in its cache, or None."""
    folder = Path(os.environ.get("DEEPFACE_HOME", "~")).expanduser() / ".deepface" / "weights"
    return next(iter(sorted(folder.glob("*MiniFASNetV2.pth"))), None)


def _wanted(path: Path | None, flag: str, what: str) -> str | None:
    if path is None:
        return f"needs {what}, given by {flag}; nothing is downloaded"
    return None if path.is_file() else f"the file given by {flag} does not exist"


def plan_signers(*, core: Path, tea: Path) -> list[PeerPlan]:
    """The service's own clients as signers of a match.

    Args:
        core: Python with the older client.
        tea: Python with the current one.
    """
    return [
        PeerPlan(
            f"official {name} client",
            name,
            python,
            missing=None if python.is_file() else f"no Python with it; give it by --official-{name}",
            note="base64, JSON, signed request as its users make it; nothing is sent",
            everywhere=False,
            script=SIGNER,
        )
        for name, python in (("core", core), ("tea", tea))
    ]


class SharedFrames:
    """Frames in a file without a name, which workers inherit: they see the same pixels, and no copy stays.

    Args:
        images: uint8 (n, height, width, 3), BGR; or (1, bytes), one JPEG for a signer.
    """

    def __init__(self, images: Image) -> None:
        self.shape = images.shape
        self._file: IO[bytes]
        if hasattr(os, "memfd_create"):
            self._file = os.fdopen(os.memfd_create("frames"), "wb")
        else:
            self._file = tempfile.TemporaryFile("wb")  # noqa: SIM115 - closed in close()
        self._file.write(np.ascontiguousarray(images).data)
        self._file.flush()

    @property
    def fd(self) -> int:
        """File descriptor."""
        return self._file.fileno()

    def close(self) -> None:
        """Give the memory back."""
        self._file.close()


class Worker:
    """A peer's process as a runner. Use it in ``with``, or close it.

    Args:
        plan: which peer.
        frames: what it sees.
        boxes: float (n, 4), a face box per frame.
        cores: cores to hold it to; None leaves it all of ``outer``.
        outer: cores of the process that starts it.

    Raises:
        WorkerError: it did not start.
    """

    def __init__(
        self,
        plan: PeerPlan,
        frames: SharedFrames,
        boxes: NDArray[np.floating],
        cores: tuple[int, ...] | None,
        outer: tuple[int, ...],
    ) -> None:
        # the calling thread sleeps while the worker runs, wherever it is held
        self.cores: tuple[int, ...] | None = None
        job = {
            "peer": plan.peer,
            "fd": frames.fd,
            "shape": list(frames.shape),
            "boxes": boxes.tolist(),
            "cores": list(cores or outer) if hasattr(os, "sched_setaffinity") else None,
            "options": plan.options,
        }
        self._name = plan.name
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [str(plan.python), str(plan.script), json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            pass_fds=(frames.fd,),
            text=True,
            encoding="utf-8",
        )
        self.versions: dict[str, str] = self._answer()["versions"]

    def block(self, start: int, count: int) -> Block:
        """See `harness.Runner`.

        Raises:
            WorkerError: it stopped.
        """
        if self._process.stdin is None or self._process.stdin.closed:
            raise WorkerError(f"{self._name} is closed")
        try:
            self._process.stdin.write(json.dumps({"start": start, "count": count}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError(self._last_words()) from None
        answer = self._answer()
        return Block(answer["wall_ns"], answer["cpu_ns"], answer["found"])

    def close(self) -> None:
        """End the process. Idempotent."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise WorkerError(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        said = [line.strip() for line in self._errors.read().splitlines() if line.strip()]
        status = self._process.returncode
        self.close()
        return f"its process ended with status {status}: {said[-1] if said else 'it said nothing'}"
