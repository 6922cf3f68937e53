"""What plugins compute, by meaning and not by plugin: numbers in numpy, shapes, and lowerings to standard ONNX operators."""
