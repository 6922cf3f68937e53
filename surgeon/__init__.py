"""Surgery on detector graphs for operations that TensorRT cannot run."""
