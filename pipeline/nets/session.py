"""Where every onnxruntime session is made."""

from __future__ import annotations

import logging
from pathlib import Path

import onnxruntime as ort

from pipeline.errors import ModelError, ModelMissingError, UsageError
from pipeline.nets.provider import (
    CPU_PROVIDER,
    PROVIDERS,
    TOLERANCE,
    ProviderCheck,
    choose_providers,
    difference,
)

log = logging.getLogger("livegate.nets")

ERRORS_ONLY = 3
"""onnxruntime's log level: 0 verbose, 1 info, 2 warning, 3 error, 4 fatal."""
WORDS = {
    "absent": "this onnxruntime does not have it",
    "failed": "it can't load or run the net",
    "differs": "its outputs differ from the processor's",
}
"""Why a provider is not used."""

# `pipeline` sets the variable that leaves nothing on; this is for a program that imported onnxruntime before.
ort.disable_telemetry_events()


def make_session(path: Path, *, threads: int = 1, provider: str = "cpu") -> ort.InferenceSession:
    """Load an ONNX file.

    The nets here take 0.3 to 3 ms: a second thread costs more in hand-over than it saves, and spinning
    threads take the core from the camera's reader. So: one thread of each kind, sequential, no spinning.

    A provider other than the CPU is asked the same as the CPU before it may answer for it. Where it is
    absent, fails or differs by more than `TOLERANCE`, the net runs on the CPU and a warning says so: a
    threshold that was measured with one arithmetic must not meet another.

    Args:
        path: an ONNX file, `ModelStore.path` gives it.
        threads: intra-op threads, 1 or more.
        provider: ``cpu``, a key of `PROVIDERS`, or an onnxruntime provider's full name;
            `InferenceSession.get_providers` tells what it became.

    Returns:
        A session whose ``run`` may be called from several threads.

    Raises:
        ModelMissingError: there is no such file.
        ModelError: the file is not a model that onnxruntime can load.
        UsageError: ``threads`` is below 1.
    """
    plain = _load(path, threads, [CPU_PROVIDER])
    if provider == "cpu":
        return plain
    session, found = _compare(path, threads, provider, plain)
    if session is None:
        log.warning("%s runs on the processor, not on %s: %s", path.name, provider, WORDS[found.state])
        return plain
    return session


def check_provider(path: Path, provider: str, *, threads: int = 1) -> ProviderCheck:
    """What `make_session` would find: whether a provider gives this net's outputs as the CPU does.

    Raises:
        ModelError: the CPU can't load the file.
    """
    return _compare(path, threads, provider, _load(path, threads, [CPU_PROVIDER]))[1]


def _compare(
    path: Path, threads: int, provider: str, plain: ort.InferenceSession
) -> tuple[ort.InferenceSession | None, ProviderCheck]:
    wanted = choose_providers(provider)
    if wanted == [CPU_PROVIDER]:
        own = PROVIDERS.get(provider.lower(), provider) == CPU_PROVIDER
        return (plain, ProviderCheck("same", 0.0)) if own else (None, ProviderCheck("absent"))
    try:
        session = _load(path, threads, wanted)
        if wanted[0] not in session.get_providers():
            return None, ProviderCheck("failed")
        apart = difference(session, plain)
    except Exception:  # a driver's own errors share no base class either
        return None, ProviderCheck("failed")
    if not apart <= TOLERANCE:
        return None, ProviderCheck("differs", apart)
    return session, ProviderCheck("same", apart)


def _load(path: Path, threads: int, providers: list[str]) -> ort.InferenceSession:
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
    if providers[0] == PROVIDERS["directml"]:
        options.enable_mem_pattern = False  # it refuses a session with it
    try:
        # without enable_fallback=0 onnxruntime prints a provider's failure to standard output
        return ort.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        raise ModelError(f"onnxruntime can't load {path.name}: {type(error).__name__}") from error
