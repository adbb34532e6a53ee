"""Measurements of speed and accuracy: see README.md in this folder."""

import pipeline  # noqa: F401 - before any part that imports onnxruntime: it keeps the telemetry off
