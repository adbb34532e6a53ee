"""Operators whose inputs are all constants are computed during the conversion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.nets.tflite.lower import Lowering
from pipeline.nets.tflite.reader import Operator

Array = NDArray[Any]

FOLDS: dict[str, Callable[..., Array]] = {
    "DEQUANTIZE": lambda x: x.astype(np.float32),
    "ADD": np.add,
    "SUB": np.subtract,
    "MUL": np.multiply,
    "DIV": np.divide,
    "NEG": np.negative,
    "SQRT": np.sqrt,
    "TRANSPOSE": lambda x, perm: x.transpose(perm.tolist()),
}
"""Only what IEEE 754 rounds to one result everywhere, so that the converted bytes depend on no machine."""
FUSED = ("ADD", "SUB", "MUL", "DIV")
"""These may carry an activation, and are folded only without one."""


def fold(lowering: Lowering, op: Operator) -> bool:
    """Compute an operator now, if it can be.

    Args:
        lowering: the conversion; the result becomes one of its constants.
        op: any operator.

    Returns:
        Whether it was folded.
    """
    if op.kind not in FOLDS or not all(lowering.is_constant(op, i) for i in range(len(op.inputs))):
        return False
    if op.kind in FUSED and lowering.fused_activation(op):
        return False
    result = FOLDS[op.kind](*(lowering.constant(op, i) for i in range(len(op.inputs))))
    shape = lowering.result(op).shape
    lowering.constants[op.outputs[0]] = result.reshape(shape)
    return True
