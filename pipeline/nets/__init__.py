"""Model files and onnxruntime sessions, made in one place."""
