"""Parse ONNX files with the genuine TensorRT-RTX and build them ahead of time, which takes no GPU: a process of its own.

The arguments are files; standard output is a JSON list with the errors of each, none where an engine was built.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import tensorrt_rtx_bindings as rtx

NO_GPU = "cudaError"
"""What TensorRT-RTX logs on a machine without a GPU; it builds all the same."""


class Log(rtx.ILogger):  # type: ignore[misc]
    """Collects errors."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[str] = []

    def log(self, severity: Any, message: str) -> None:
        """Take a message."""
        if severity in (rtx.ILogger.ERROR, rtx.ILogger.INTERNAL_ERROR) and NO_GPU not in message:
            self.errors.append(message)


def build(path: str) -> list[str]:
    """Return what prevents an engine of a file, for GPUs of compute capability 12.0."""
    log = Log()
    builder = rtx.Builder(log)
    network = builder.create_network(0)
    parser = rtx.OnnxParser(network, log)
    if not parser.parse_from_file(path):
        return log.errors or ["it was not parsed"]
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(rtx.ComputeCapability.SM120, 0)
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    profile = builder.create_optimization_profile()
    for tensor in inputs:
        if -1 in tensor.shape:
            shapes = [[size if size > 0 else batch for size in tensor.shape] for batch in (1, 2, 4)]
            profile.set_shape(tensor.name, *shapes)
    if profile:
        config.add_optimization_profile(profile)
    if builder.build_serialized_network(network, config) is None:
        return log.errors or ["it was not built"]
    return []


if __name__ == "__main__":
    json.dump([build(path) for path in sys.argv[1:]], sys.stdout)
