"""A writer of small TFLite files, an offline store, and fakes of the package clients."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
import tflite
from numpy.typing import NDArray

from pipeline.errors import ModelFetchError

TYPES = {
    np.dtype(np.float32): tflite.TensorType.FLOAT32,
    np.dtype(np.float16): tflite.TensorType.FLOAT16,
    np.dtype(np.int32): tflite.TensorType.INT32,
}


@dataclass
class TfliteWriter:
    """Builds a one-subgraph TFLite file from tensors and operators in the order they are added."""

    tensors: list[tuple[str, tuple[int, ...], int, bytes]] = field(default_factory=list)
    operators: list[tuple[int, tuple[int, ...], tuple[int, ...], str, dict[str, int | float | bool]]] = field(
        default_factory=list
    )
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def input(self, *shape: int) -> int:
        """A float32 input."""
        self.inputs.append(self.tensor(shape))
        return self.inputs[-1]

    def tensor(self, shape: Sequence[int], data: bytes = b"", kind: int = tflite.TensorType.FLOAT32) -> int:
        self.tensors.append((f"t{len(self.tensors)}", tuple(shape), kind, data))
        return len(self.tensors) - 1

    def constant(self, array: NDArray[Any]) -> int:
        return self.tensor(array.shape, array.tobytes(), TYPES[array.dtype])

    def add(
        self, kind: str, inputs: Sequence[int], shape: Sequence[int], options: str = "", **values: Any
    ) -> int:
        """An operator with one float32 output of that shape; options are those of a `tflite` table."""
        out = self.tensor(shape)
        code = getattr(tflite.BuiltinOperator, kind)
        self.operators.append((code, tuple(inputs), (out,), options, values))
        return out

    def finish(self, *outputs: int) -> bytes:
        """The file."""
        self.outputs = list(outputs)
        b = flatbuffers.Builder(1024)
        buffers = [self._buffer(b, data) for _, _, _, data in self.tensors]
        tensors = [self._tensor(b, i) for i in range(len(self.tensors))]
        codes = sorted({code for code, *_ in self.operators})
        operators = [self._operator(b, codes, *operator) for operator in self.operators]
        graph = self._subgraph(b, tensors, operators)
        operator_codes = []
        for code in codes:
            tflite.OperatorCodeStart(b)
            tflite.OperatorCodeAddDeprecatedBuiltinCode(b, min(code, 127))
            tflite.OperatorCodeAddBuiltinCode(b, code)
            tflite.OperatorCodeAddVersion(b, 1)
            operator_codes.append(tflite.OperatorCodeEnd(b))
        vectors = [self._offsets(b, items) for items in (operator_codes, [graph], buffers)]
        tflite.ModelStart(b)
        tflite.ModelAddVersion(b, 3)
        tflite.ModelAddOperatorCodes(b, vectors[0])
        tflite.ModelAddSubgraphs(b, vectors[1])
        tflite.ModelAddBuffers(b, vectors[2])
        b.Finish(tflite.ModelEnd(b), file_identifier=b"TFL3")
        return bytes(b.Output())

    @staticmethod
    def _offsets(b: Any, items: Sequence[int]) -> int:
        b.StartVector(4, len(items), 4)
        for item in reversed(items):
            b.PrependUOffsetTRelative(item)
        return int(b.EndVector())

    @staticmethod
    def _ints(b: Any, items: Sequence[int]) -> int:
        return int(b.CreateNumpyVector(np.array(items, np.int32)))

    @staticmethod
    def _buffer(b: Any, data: bytes) -> int:
        vector = b.CreateByteVector(data) if data else None
        tflite.BufferStart(b)
        if vector is not None:
            tflite.BufferAddData(b, vector)
        return int(tflite.BufferEnd(b))

    def _tensor(self, b: Any, index: int) -> int:
        name, shape, kind, _ = self.tensors[index]
        label, sizes = b.CreateString(name), self._ints(b, shape)
        tflite.TensorStart(b)
        tflite.TensorAddShape(b, sizes)
        tflite.TensorAddType(b, kind)
        tflite.TensorAddBuffer(b, index)
        tflite.TensorAddName(b, label)
        return int(tflite.TensorEnd(b))

    def _operator(
        self,
        b: Any,
        codes: Sequence[int],
        code: int,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: str,
        values: dict[str, Any],
    ) -> int:
        table = None
        if options:
            getattr(tflite, f"{options}Start")(b)
            for key, value in values.items():
                getattr(tflite, f"{options}Add{key}")(b, value)
            table = getattr(tflite, f"{options}End")(b)
        reads, writes = self._ints(b, inputs), self._ints(b, outputs)
        tflite.OperatorStart(b)
        tflite.OperatorAddOpcodeIndex(b, codes.index(code))
        tflite.OperatorAddInputs(b, reads)
        tflite.OperatorAddOutputs(b, writes)
        if table is not None:
            tflite.OperatorAddBuiltinOptionsType(b, getattr(tflite.BuiltinOptions, options))
            tflite.OperatorAddBuiltinOptions(b, table)
        return int(tflite.OperatorEnd(b))

    def _subgraph(self, b: Any, tensors: Sequence[int], operators: Sequence[int]) -> int:
        parts = (
            self._offsets(b, tensors),
            self._ints(b, self.inputs),
            self._ints(b, self.outputs),
            self._offsets(b, operators),
        )
        tflite.SubGraphStart(b)
        tflite.SubGraphAddTensors(b, parts[0])
        tflite.SubGraphAddInputs(b, parts[1])
        tflite.SubGraphAddOutputs(b, parts[2])
        tflite.SubGraphAddOperators(b, parts[3])
        return int(tflite.SubGraphEnd(b))


@pytest.fixture
def writer() -> TfliteWriter:
    return TfliteWriter()


@dataclass
class FakePackages:
    """Stands in for pip and npm: leaves the archive asked for, or fails.

    Attributes:
        archives: file name and bytes by ``package==version`` or ``package@version``.
        calls: the last argument of each command run, in order.
        error: raised instead, when set.
    """

    archives: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    commands: list[list[str]] = field(default_factory=list)
    error: ModelFetchError | None = None

    def __call__(self, command: Sequence[str], folder: Path, tell: Callable[[int], None]) -> None:
        self.calls.append(command[-1])
        self.commands.append(list(command))
        if self.error:
            raise self.error
        name, data = self.archives[command[-1]]
        (folder / name).write_bytes(data)
        tell(len(data))


@pytest.fixture
def packages() -> FakePackages:
    return FakePackages()


def zip_bytes(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/"), data)
    return file.getvalue()


def tar_bytes(**members: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


@pytest.fixture
def archive_bytes() -> tuple[Callable[..., bytes], Callable[..., bytes]]:
    """Functions that make a zip and a gzipped tar of ``folder__member=bytes``."""
    return zip_bytes, tar_bytes


def entry(source: str, data: bytes, *, group: str = "core", extra: str = "") -> str:
    """Manifest lines of an entry whose original is these bytes."""
    return (
        f'purpose = "test"\ngroup = "{group}"\nlicence = "MIT"\nlicence_source = "here"\n{extra}'
        f'source = {{ {source}, sha256 = "{hashlib.sha256(data).hexdigest()}", size = {len(data)} }}\n'
    )


@pytest.fixture
def manifest_entry() -> Callable[..., str]:
    return entry


@pytest.fixture(scope="session")
def mediapipe_python() -> Path:
    """Python of the environment that has mediapipe 0.10.21; the tests that need it are skipped without."""
    default = Path(__file__).resolve().parents[2] / ".venv-mediapipe" / "bin" / "python"
    path = Path(os.environ.get("LIVEGATE_MEDIAPIPE_PYTHON", default))
    if not path.is_file():
        pytest.skip("no environment with mediapipe 0.10.21: make .venv-mediapipe/.done")
    return path
