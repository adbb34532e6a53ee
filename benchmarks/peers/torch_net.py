"""A published ONNX net as a plain PyTorch module: its operators by ``torch.nn.functional``, its own numbers.

Imported by `worker` in a Python that has torch and onnx; it imports no livegate.
"""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch.nn import functional


class OnnxModule(torch.nn.Module):
    """Runs the operators of the published MiniFASNets one after the other.

    Args:
        path: ONNX file.

    Raises:
        ValueError: it has an operator that is not written here.
    """

    def __init__(self, path):
        super().__init__()
        graph = onnx.load(path).graph
        self._nodes = [node for node in graph.node if node.op_type != "Constant"]
        unknown = {node.op_type for node in self._nodes} - set(OPERATORS)
        if unknown:
            raise ValueError(f"no PyTorch form of {', '.join(sorted(unknown))}")
        self._steps = [
            (
                OPERATORS[node.op_type],
                list(node.input),
                node.output[0],
                {entry.name: helper.get_attribute_value(entry) for entry in node.attribute},
            )
            for node in self._nodes
        ]
        values = {entry.name: numpy_helper.to_array(entry) for entry in graph.initializer}
        values |= {
            node.output[0]: numpy_helper.to_array(node.attribute[0].t)
            for node in graph.node
            if node.op_type == "Constant"
        }
        self._names = dict.fromkeys(values)
        for number, (name, value) in enumerate(values.items()):
            self._names[name] = f"w{number}"
            self.register_buffer(f"w{number}", torch.from_numpy(np.array(value)))
        self._input, self._output = graph.input[0].name, graph.output[0].name

    def forward(self, x):
        """Float32 (n, 3, 80, 80) to logits."""
        seen = {name: getattr(self, place) for name, place in self._names.items()} | {self._input: x}
        for step, names, output, options in self._steps:
            seen[output] = step([seen[name] for name in names], options)
        return seen[self._output]


def _conv(values, options):
    pads = options.get("pads", [0, 0, 0, 0])
    bias = values[2] if len(values) > 2 else None
    stride = tuple(options.get("strides", (1, 1)))
    return functional.conv2d(
        values[0], values[1], bias, stride=stride, padding=tuple(pads[:2]), groups=options.get("group", 1)
    )


def _norm(values, options):
    x, scale, bias, mean, variance = values
    return functional.batch_norm(x, mean, variance, scale, bias, eps=options.get("epsilon", 1e-5))


def _concat(values, options):
    return torch.cat([torch.atleast_1d(value) for value in values], dim=options.get("axis", 0))


OPERATORS = {
    "Conv": _conv,
    "BatchNormalization": _norm,
    "Concat": _concat,
    "PRelu": lambda v, o: functional.prelu(v[0], v[1].reshape(-1)),
    "Relu": lambda v, o: torch.relu(v[0]),
    "Sigmoid": lambda v, o: torch.sigmoid(v[0]),
    "Add": lambda v, o: v[0] + v[1],
    "Mul": lambda v, o: v[0] * v[1],
    "MatMul": lambda v, o: v[0] @ v[1],
    "GlobalAveragePool": lambda v, o: functional.adaptive_avg_pool2d(v[0], 1),
    "Shape": lambda v, o: torch.tensor(v[0].shape),
    "Gather": lambda v, o: v[0][v[1].long()],
    "Unsqueeze": lambda v, o: v[0].reshape(-1),
    "Reshape": lambda v, o: v[0].reshape(tuple(int(size) for size in v[1])),
}
