"""TFLite to ONNX: channels first, free batch, float32, no transposes but those that a reshape needs.

`convert_tflite` is the one entrance. `reader` parses and checks the file, `lower` keeps the registry of
operators, `spatial` and `algebra` hold one small function per operator, `graph` writes ONNX.
"""

from pipeline.nets.tflite.convert import Output, convert_tflite

__all__ = ["Output", "convert_tflite"]
