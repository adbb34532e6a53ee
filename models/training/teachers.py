"""Public nets: three that teach, and one more to compare with; none of them is committed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from pipeline.camera.frame import Image
from pipeline.nets.convert import free_reshapes
from pipeline.nets.prelu import rewrite_prelu
from pipeline.nets.session import make_session
from pipeline.nets.widen import widen_channels
from pipeline.vision.crop import FACENOX, FR_LIVENESS, MINIFASNET_V1SE, MINIFASNET_V2, CropSpec, crop_batch
from pipeline.vision.types import F32

#: The first three teach; fr_liveness never does.
NAMES = ("minifasnet_v2", "minifasnet_v1se", "facenox", "fr_liveness")
_FILES = ("minifasnet_v2_27_80.onnx", "minifasnet_v1se_40_80.onnx", "facenox_minifasnetv2se_128.onnx")
_SPECS: tuple[CropSpec, ...] = (MINIFASNET_V2, MINIFASNET_V1SE, FACENOX, FR_LIVENESS)
_LIVE = (1, 1, 0, 0)
#: Probabilities are clipped to this before the logit, as in the published fusion.
CLIP = 1e-3


def _session(path: Path) -> ort.InferenceSession:
    model = onnx.load(path)
    weights = {item.name for item in model.graph.initializer}
    kept = [item for item in model.graph.input if item.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    rewrite_prelu(model)
    free_reshapes(model.graph)
    widen_channels(model)
    with tempfile.TemporaryDirectory() as folder:
        fast = Path(folder) / path.name
        onnx.save(model, fast)
        return make_session(fast)


class Teachers:
    """MiniFASNet V2, MiniFASNet V1SE, facenox and perhaps fr_liveness on one picture.

    Args:
        folder: ``../shared/models``.
        fr_liveness: ONNX of the model cache, to compare with.
    """

    def __init__(self, folder: Path, fr_liveness: Path | None = None) -> None:
        self._nets = [_session(folder / name) for name in _FILES]
        if fr_liveness is not None:
            self._nets.append(make_session(fr_liveness))

    def logits(self, image: Image, box: F32) -> NDArray[np.float32]:
        """Clipped logit of live by each net in the order of `NAMES`, float32 (3,) or (4,).

        Args:
            image: uint8 (H, W, 3) BGR.
            box: float32 (4,), the face.
        """
        out = np.empty(len(self._nets), np.float32)
        for k, (net, spec) in enumerate(zip(self._nets, _SPECS, strict=False)):
            blob = crop_batch(image, [box], spec)
            raw = net.run(None, {net.get_inputs()[0].name: blob})[0][0].astype(np.float64)
            prob = np.exp(raw - raw.max())
            prob /= prob.sum()
            live = np.clip(prob[_LIVE[k]], CLIP, 1 - CLIP)
            out[k] = np.log(live / (1 - live))
        return out
