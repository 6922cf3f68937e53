"""Arithmetic that operators of ONNX round otherwise, have for floats only, or lack."""

from __future__ import annotations

from collections.abc import Callable

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


def _log1p(at: Operation) -> None:
    """Return log(1 + x); x / ((1 + x) - 1) makes good what the sum loses where x is small.

    Source: W. Kahan, as in Goldberg, What every computer scientist should know about floating-point
    arithmetic, theorem 4.
    """
    x, dtype = at.inputs[0], at.dtype(0)
    one = at.constant(1, dtype)
    whole = at.op("Add", x, one)
    rest = at.op("Sub", whole, one)
    infinite = at.op("IsInf", at.cast(x, np.float32))
    factor = at.op("Where", infinite, one, at.op("Div", x, rest))
    nothing = at.op("Equal", rest, at.constant(0, dtype))
    at.becomes(at.op("Where", nothing, x, at.op("Mul", at.op("Log", whole), factor)))


def _expm1(at: Operation) -> None:
    """Return exp(x) - 1 as tanh(x / 2) (exp(x) + 1), which loses nothing where x is small."""
    x, dtype = at.inputs[0], at.dtype(0)
    half = at.op("Tanh", at.op("Mul", x, at.constant(0.5, dtype)))
    at.becomes(at.op("Mul", half, at.op("Add", at.op("Exp", x), at.constant(1, dtype))))


_ERFC = (
    -1.26551223,
    1.00002368,
    0.37409196,
    0.09678418,
    -0.18628806,
    0.27886807,
    -1.13520398,
    1.48851587,
    -0.82215223,
    0.17087277,
)


def _erfc(at: Operation) -> None:
    """Return 1 - erf(x), and where that loses digits t exp(-x² + polynomial of t), t = 1 / (1 + x / 2).

    Source: W. H. Press et al., Numerical Recipes, 2nd edition, 6.2; at most 1.2e-7 of the result off.
    """
    dtype = at.dtype(0)
    if dtype == np.float64:
        raise at.refused("it takes float64; expected float32 or float16")
    x = at.cast(at.inputs[0], np.float32)
    one, half = at.constant(1, np.float32), at.constant(0.5, np.float32)
    t = at.op("Reciprocal", at.op("Add", one, at.op("Mul", half, x)))
    total = at.constant(_ERFC[-1], np.float32)
    for factor in _ERFC[-2::-1]:
        total = at.op("Add", at.op("Mul", total, t), at.constant(factor, np.float32))
    beyond = at.op("Mul", t, at.op("Exp", at.op("Sub", total, at.op("Mul", x, x))))
    near = at.op("Sub", one, at.op("Erf", x))
    at.becomes(at.cast(at.op("Where", at.op("Less", x, half), near, beyond), dtype))


def _zero_or(function: Callable[[Operation, str, str], str]) -> Callable[[Operation], None]:
    """Return what gives 0 where x is 0, whatever y is, and a function of both elsewhere."""

    def convert(at: Operation) -> None:
        x, y = at.inputs
        zero = at.constant(0, at.dtype(0))
        at.becomes(at.op("Where", at.op("Equal", x, zero), zero, function(at, x, y)))

    return convert


def _euclidean_norm(at: Operation) -> None:
    axes = at.value(1)
    if axes is None or at.dtype(0) in INTEGERS:
        what = "its axes are computed" if axes is None else "it takes whole numbers"
        raise at.refused(f"{what}; expected constant axes and floats")
    listed = np.asarray(axes).reshape(-1).tolist()
    if not listed:
        at.becomes(at.op("Abs", at.inputs[0]))
        return
    at.becomes(at.op("ReduceL2", at.inputs[0], axes=listed, keepdims=int(at.attr("keep_dims", False))))


def _reduction(at: Operation) -> None:
    """Reduce; an empty list of axes leaves the numbers alone, and means all axes in ONNX."""
    axes = at.value(1)
    if axes is None or axes.size:
        at.stays()
        return
    at.becomes(at.inputs[0])


CONVERTERS = {
    **dict.fromkeys(("Sum", "Mean", "Max", "Min", "Prod", "All", "Any"), _reduction),
    "FloorDiv": _floor_div,
    "FloorMod": _floor_mod,
    "AddN": _add_n,
    "Relu": _relu,
    "Log1p": _log1p,
    "Expm1": _expm1,
    "Erfc": _erfc,
    "Xlogy": _zero_or(lambda at, x, y: at.op("Mul", x, at.op("Log", y))),
    "Xdivy": _zero_or(lambda at, x, y: at.op("Div", x, y)),
    "EuclideanNorm": _euclidean_norm,
}
