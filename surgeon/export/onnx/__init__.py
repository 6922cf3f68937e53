"""Rewritten graphs as ONNX."""
