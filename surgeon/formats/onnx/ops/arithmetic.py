"""Arithmetic that operators of ONNX round otherwise, or have for floats only."""

from __future__ import annotations

import numpy as np

from surgeon.formats.onnx.operation import INTEGERS, Operation


def _floor_div(at: Operation) -> None:
    """Divide and round down; Div of ONNX rounds toward zero."""
    if at.dtype(0) not in INTEGERS:
        at.stays()
        return
    quotient, _, below = _divided(at)
    at.becomes(at.op("Sub", quotient, below))


def _floor_mod(at: Operation) -> None:
    """Return what rounding down leaves: it has the divisor's sign."""
    if at.dtype(0) in INTEGERS:
        _, rest, below = _divided(at)
    else:
        rest = at.op("Mod", *at.inputs, fmod=1)
        below = _below(at, rest)
    at.becomes(at.op("Add", rest, at.op("Mul", below, at.inputs[1])))


def _divided(at: Operation) -> tuple[str, str, str]:
    """Return quotient and rest of a division toward zero, and 1 where rounding down gives less."""
    x, y = at.inputs
    quotient = at.op("Div", x, y)
    rest = at.op("Sub", x, at.op("Mul", quotient, y))
    return quotient, rest, _below(at, rest)


def _below(at: Operation, rest: str) -> str:
    """Return 1 where the rest of a division toward zero has another sign than the divisor, 0 elsewhere."""
    dtype = at.dtype(0)
    signs = at.op("Mul", at.op("Sign", rest), at.op("Sign", at.inputs[1]))
    return at.cast(at.op("Less", signs, at.constant(0, dtype)), dtype)


def _add_n(at: Operation) -> None:
    """Add any number of tensors; Sum of ONNX takes floats only."""
    if at.dtype(0) not in INTEGERS:
        at.stays()
        return
    total = at.inputs[0]
    for term in at.inputs[1:]:
        total = at.op("Add", total, term)
    at.becomes(total)


def _relu(at: Operation) -> None:
    """Return max(x, 0); runtimes have Relu of ONNX for floats and int32."""
    if at.dtype(0) not in INTEGERS or at.dtype(0) == np.int32:
        at.stays()
        return
    at.becomes(at.op("Max", at.inputs[0], at.constant(0, at.dtype(0))))


CONVERTERS = {"FloorDiv": _floor_div, "FloorMod": _floor_mod, "AddN": _add_n, "Relu": _relu}
