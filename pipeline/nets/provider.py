"""Execution providers of onnxruntime: names, which are here, and whether one says what the CPU says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterator

CPU_PROVIDER: Final = "CPUExecutionProvider"
PROVIDERS: Final[Mapping[str, str]] = {
    "cpu": CPU_PROVIDER,
    "openvino": "OpenVINOExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
}
"""The settings' names, and onnxruntime's."""
TOLERANCE: Final = 1e-3
"""Most that an output may differ from the CPU's, over the larger of 1 and the largest output."""
PROBES: Final = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
"""Ranges of the inputs that both are asked with: those of the nets' own inputs."""

State = Literal["same", "absent", "failed", "differs"]


@dataclass(frozen=True, slots=True)
class ProviderCheck:
    """How a provider got on with one net.

    Attributes:
        state: ``same`` within `TOLERANCE`; ``absent`` from this onnxruntime; ``failed`` to load or to run the
            net; ``differs`` from the CPU.
        difference: see `difference`; NaN where nothing could be compared.
    """

    state: State
    difference: float = float("nan")


def choose_providers(provider: str, available: Sequence[str] | None = None) -> list[str]:
    """Providers in the order to try them, the CPU always last.

    Args:
        provider: a key of `PROVIDERS`, or one of onnxruntime's names with or without its ending.
        available: providers that onnxruntime has; asked of it when left out.
    """
    names = list(ort.get_available_providers()) if available is None else list(available)
    full = PROVIDERS.get(provider.lower(), provider).lower()
    wanted = full.removesuffix("executionprovider") + "executionprovider"
    found = [name for name in names if name.lower() == wanted and name != CPU_PROVIDER]
    return [*found, CPU_PROVIDER]


def difference(session: ort.InferenceSession, reference: ort.InferenceSession) -> float:
    """Largest difference of two sessions of one net on the same fixed inputs.

    Returns:
        Over the larger of 1 and the reference's largest output, the worst of all outputs and `PROBES`;
        infinite where an output is not a number or has another shape.
    """
    worst = 0.0
    for feed in _probes(reference):
        pairs = zip(session.run(None, feed), reference.run(None, feed), strict=True)
        worst = max(worst, *(_apart(np.asarray(a), np.asarray(b)) for a, b in pairs))
    return worst


def _apart(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    if found.shape != wanted.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - wanted).max() / max(1.0, float(np.abs(wanted).max())))


def _probes(session: ort.InferenceSession) -> Iterator[dict[str, NDArray[np.float32]]]:
    rng = np.random.default_rng(0)
    for low, high in PROBES:
        yield {
            entry.name: rng.uniform(low, high, [n if isinstance(n, int) else 1 for n in entry.shape]).astype(
                np.float32
            )
            for entry in session.get_inputs()
        }
