"""Rounding as 8-bit arithmetic would, in floats.

QuantizeLinear of ONNX rounds a half to the even number, and takes neither a narrow range nor other numbers of
bits.
"""

from __future__ import annotations

import numpy as np

from surgeon.formats.onnx.operation import Operation
from surgeon.infer.quantization import QuantizedRange


def _fake_quantized(at: Operation) -> None:
    """Clamp to a range of which 0 is a step, and round to its steps."""
    least, most = _bounds(at)
    steps = QuantizedRange.of(least, most, at.attr("num_bits", 8), bool(at.attr("narrow_range", False)))
    clamped = at.op("Min", at.inputs[0], at.constant(steps.most))
    clamped = at.op("Max", clamped, at.constant(steps.least))
    place = at.op("Div", at.op("Sub", clamped, at.constant(steps.least)), at.constant(steps.size))
    place = at.op("Add", at.op("Sub", place, at.constant(steps.zero)), at.constant(0.5, np.float32))
    at.becomes(at.op("Mul", at.op("Floor", place), at.constant(steps.size)))


def _bounds(at: Operation) -> tuple[np.ndarray, np.ndarray]:
    if at.kind == "FakeQuantWithMinMaxArgs":
        return np.asarray(at.attr("min", -6.0)), np.asarray(at.attr("max", 6.0))
    least, most = at.value(1), at.value(2)
    if least is None or most is None:
        raise at.refused(
            "its range is computed; expected constants for 'min' and 'max'",
            "leave it out with the step 'forward', or freeze the graph with the range as constants",
        )
    return least, most


CONVERTERS = dict.fromkeys(
    ("FakeQuantWithMinMaxArgs", "FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel"),
    _fake_quantized,
)
