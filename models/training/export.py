"""Write the trained net as one ONNX file and prove that it says what the trained one says.

    python -m models.training.export --weights net.pt --out models/livegate_pad.onnx

Inputs ``tight`` and ``context``, float32 (N, 3, 96, 96) BGR 0..255; outputs ``live`` (N,), a logit, positive
is live, and ``patches`` (N, 2, 6, 6), logits per patch, tight then context. BatchNorm is folded into the
convolutions; the shift of the pixels stays, as zero padding of the first convolution is in shifted units.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from models.training.net import PadNet
from pipeline.nets.session import make_session

OPSET = 17
#: Largest difference of a logit between torch and onnxruntime.
TOLERANCE = 1e-3


class Deployed(nn.Module):
    """What is exported of `PadNet`: the logit and the patches."""

    def __init__(self, net: PadNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, tight: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Logit (N,) and patches (N, 2, 6, 6)."""
        out = self.net(tight, context)
        return out.logit, out.patches


def load(path: Path) -> PadNet:
    """The net with trained weights, ready to judge."""
    net = PadNet()
    net.load_state_dict(torch.load(path, weights_only=True))
    return net.eval()


def export(net: PadNet, path: Path) -> None:
    """Write ONNX with a free batch, without traces of the machine it was made on."""
    example = torch.zeros(2, 3, 96, 96)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Deployed(net).eval(),
            (example, example),
            str(path),
            opset_version=OPSET,
            input_names=["tight", "context"],
            output_names=["live", "patches"],
            dynamic_axes={name: {0: "N"} for name in ("tight", "context", "live", "patches")},
            dynamo=False,
        )
    model = onnx.load(path)
    model.producer_name, model.producer_version, model.doc_string = "livegate", "", ""
    for node in model.graph.node:
        node.doc_string = ""
    onnx.checker.check_model(model)
    onnx.save(model, path)


def difference(net: PadNet, path: Path, seed: int = 0) -> float:
    """Largest absolute difference of logit or patch between torch and onnxruntime on seeded pictures."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(0, 255, (16, 3, 12, 12)).astype(np.float32))
    smooth = nn.functional.interpolate(coarse, size=96, mode="bilinear")
    tight, context = smooth[:8].round(), smooth[8:].round()
    with torch.no_grad():
        expected = Deployed(net)(tight, context)
    got = make_session(path).run(["live", "patches"], {"tight": tight.numpy(), "context": context.numpy()})
    return max(float(np.abs(g - e.numpy()).max()) for g, e in zip(got, expected, strict=True))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("models/livegate_pad.onnx"))
    args = parser.parse_args()
    net = load(args.weights)
    export(net, args.out)
    worst = difference(net, args.out)
    print(f"{args.out}: {args.out.stat().st_size} bytes, largest difference {worst:.2e}")
    if not worst < TOLERANCE:
        raise SystemExit("the exported net differs from the trained one")


if __name__ == "__main__":
    main()
