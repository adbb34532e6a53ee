"""Measurements of speed and accuracy: see README.md in this folder."""

import os

# As in `pipeline`, for parts that import onnxruntime first: it would report its use to its maker.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
