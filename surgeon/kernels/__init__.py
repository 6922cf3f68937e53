"""What plugins compute, by meaning and not by plugin.

A kernel holds the numbers in numpy, the shapes, and the lowering to standard ONNX operators.
"""
