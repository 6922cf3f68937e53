"""Layers that keep their precision. Runs in the child process, whose TensorRT may be of any version."""

from typing import Any, Dict, List, Sequence

from .failures import Refused

_CONSTRAINTS = ("OBEY_PRECISION_CONSTRAINTS", "STRICT_TYPES")
"""Builder flags that make a builder follow a layer's precision: from 8.2 on, and before."""

_FLOATS = ("FLOAT", "HALF")


def constraint(trt: Any) -> str:
    """Return the builder flag that makes a builder follow the precision of layers; '' where there is none."""
    return next((name for name in _CONSTRAINTS if hasattr(trt.BuilderFlag, name)), "")


def layers_of(network: Any) -> List[Dict[str, Any]]:
    """Return name, type, inputs and outputs of each layer, in the network's order.

    ``inputs`` and ``outputs`` are names of tensors; ``floats`` says that all outputs are floating point.
    """
    return [_described(network.get_layer(index)) for index in range(network.num_layers)]


def _described(layer: Any) -> Dict[str, Any]:
    outputs = [layer.get_output(i) for i in range(layer.num_outputs)]
    # A layer has None for an optional input that is not used.
    inputs = [t for t in (layer.get_input(i) for i in range(layer.num_inputs)) if t is not None]
    return {
        "name": layer.name,
        "type": layer.type.name,
        "inputs": [tensor.name for tensor in inputs],
        "outputs": [tensor.name for tensor in outputs],
        "floats": bool(outputs) and all(tensor.dtype.name in _FLOATS for tensor in outputs),
    }


def keep_in_fp32(trt: Any, network: Any, config: Any, numbers: Sequence[int]) -> None:
    """Let layers compute in FP32 and give FP32, whatever the builder may use elsewhere.

    Raise Refused where the version has no flag for it.
    """
    if not numbers:
        return
    flag = constraint(trt)
    if not flag:
        raise Refused(f"TensorRT {trt.__version__} has no flag that makes layers keep a precision")
    config.set_flag(getattr(trt.BuilderFlag, flag))
    for number in numbers:
        layer = network.get_layer(number)
        layer.precision = trt.DataType.FLOAT
        for index in range(layer.num_outputs):
            layer.set_output_type(index, trt.DataType.FLOAT)
