"""What plugins compute, by meaning and not by plugin.

Numbers in numpy, shapes, and lowerings to standard ONNX operators.
"""
