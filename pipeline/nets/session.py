"""Where every onnxruntime session is made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnxruntime as ort

from pipeline.errors import ModelError, ModelMissingError, UsageError

CPU_PROVIDER = "CPUExecutionProvider"
ERRORS_ONLY = 3
"""onnxruntime's log level: 0 verbose, 1 info, 2 warning, 3 error, 4 fatal."""


def make_session(path: Path, *, threads: int = 1, provider: str = "cpu") -> ort.InferenceSession:
    """Load an ONNX file.

    The nets here take 0.3 to 3 ms: a second thread costs more in hand-over than it saves, and spinning
    threads take the core from the camera's reader. So: one thread of each kind, sequential, no spinning.

    Args:
        path: an ONNX file, `ModelStore.path` gives it.
        threads: intra-op threads, 1 or more.
        provider: ``cpu``, or an onnxruntime provider in short form (``cuda``, ``coreml``) or by its full
            name. One that this onnxruntime does not have falls back to ``cpu``;
            `InferenceSession.get_providers` tells.

    Returns:
        A session whose ``run`` may be called from several threads.

    Raises:
        ModelMissingError: there is no such file.
        ModelError: the file is not a model that onnxruntime can load.
        UsageError: ``threads`` is below 1.
    """
    if threads < 1:
        raise UsageError(f"threads is {threads}, and must be 1 or more")
    if not path.is_file():
        raise ModelMissingError(f"model file {path.name} is missing")
    options = ort.SessionOptions()
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(str(path), options, providers=choose_providers(provider))
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        raise ModelError(f"onnxruntime can't load {path.name}: {type(error).__name__}") from error


def choose_providers(provider: str, available: Sequence[str] | None = None) -> list[str]:
    """Providers in the order to try them, the CPU always last.

    Args:
        provider: ``cpu``, a short form such as ``cuda``, or a full name.
        available: providers that onnxruntime has; asked of it when left out.
    """
    names = list(ort.get_available_providers()) if available is None else list(available)
    wanted = provider.lower().removesuffix("executionprovider") + "executionprovider"
    found = [name for name in names if name.lower() == wanted and name != CPU_PROVIDER]
    return [*found, CPU_PROVIDER]
