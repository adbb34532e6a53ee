"""Face embeddings: an aligned face to a unit vector."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from pipeline.camera.frame import Image
from pipeline.nets.session import make_session
from pipeline.vision.align import TEMPLATE_SIZE, align, align_batch
from pipeline.vision.image import check_image
from pipeline.vision.types import F32

DIMENSIONS: Final = 512


class FaceEmbedder:
    """The embedding net ``fr_feature``. Not safe to share between threads.

    Args:
        path: ONNX file, input float32 (n, 3, 112, 112), BGR, (x - 127) / 128; output float32 (n, 512).
        threads: onnxruntime threads.
        provider: see `make_session`.
    """

    def __init__(self, path: Path, *, threads: int = 1, provider: str = "cpu") -> None:
        self._session = make_session(path, threads=threads, provider=provider)
        entry = self._session.get_inputs()[0]
        self._input: str = entry.name
        self._output: str = self._session.get_outputs()[0].name
        self._fixed = isinstance(entry.shape[0], int)

    def embed(self, image: Image, five: F32) -> F32:
        """Embed one face.

        Args:
            image: uint8 (height, width, 3), BGR.
            five: float32 (5, 2) in pixels, as in `Face.five`.

        Returns:
            float32 (512,) of length 1. The dot product of two is their cosine similarity.

        Raises:
            FrameError: the array is not a BGR picture.
        """
        unit: F32 = self.embed_aligned(align(check_image(image), five)[None])[0]
        return unit

    def embed_many(self, image: Image, fives: F32) -> F32:
        """Embed several faces of one picture: fives (n, 5, 2) to float32 (n, 512), each of length 1."""
        return self.embed_aligned(align_batch(check_image(image), fives))

    def embed_aligned(self, faces: Image) -> F32:
        """Embed aligned faces: uint8 (n, 112, 112, 3), BGR, to float32 (n, 512), each of length 1."""
        planes = faces.reshape(-1, TEMPLATE_SIZE, TEMPLATE_SIZE, 3).transpose(0, 3, 1, 2).astype(np.float32)
        planes = (planes - np.float32(127)) / np.float32(128)
        batches = np.split(planes, len(planes)) if self._fixed else [planes]
        raw = np.concatenate([self._session.run([self._output], {self._input: b})[0] for b in batches])
        raw = raw.reshape(len(planes), DIMENSIONS)
        norm = np.linalg.norm(raw, axis=1, keepdims=True)
        return np.asarray(raw / np.maximum(norm, 1e-12), dtype=np.float32)
