"""Arithmetic and activations."""

from __future__ import annotations

from math import prod

import numpy as np

from surgeon.formats.uff.expansion import LIMIT, Expanded, Expansion
from surgeon.formats.uff.ops.elementwise import BINARY
from surgeon.graph import Ref

_ERF = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
_ERF_STEP = 0.3275911


def _squared_difference(at: Expansion) -> Expanded:
    return at.op("Square", at.op("Sub", *at.inputs))


def _add_n(at: Expansion) -> Expanded:
    """Add one tensor after the other, constants last: the parser adds none of different shapes."""
    total, *others = sorted(at.inputs, key=lambda ref: not at.varies(ref))
    for term in others:
        total = at.op("AddV2", total, term)
    return total


def _log1p(at: Expansion) -> Expanded:
    return at.op("Log", at.op("AddV2", at.inputs[0], at.const(1.0)))


def _expm1(at: Expansion) -> Expanded:
    """tanh(x / 2) (exp(x) + 1) loses nothing where x is small."""
    half = at.op("Tanh", at.op("Mul", at.inputs[0], at.const(0.5)))
    return at.op("Mul", half, at.op("AddV2", at.op("Exp", at.inputs[0]), at.const(1.0)))


def _extreme(at: Expansion) -> Expanded:
    """Minimum or Maximum with a constant, which the scale layer has not."""
    varying = [ref for ref in at.inputs if at.varies(ref)]
    if len(varying) != 1:
        return _binary(at)
    (x,) = varying
    constant = at.inputs[0] if x == at.inputs[1] else at.inputs[1]
    if at.number(constant) == 0 and at.keeps_shape(x):
        return at.op("Relu", x) if at.kind == "Maximum" else _negative(at, at.op("Relu", _negative(at, x)))
    if at.dims(x) is None or not at.keeps_shape(x):
        return None
    return at.op(at.kind, x, at.repeated(constant, x))


def _negative(at: Expansion, ref: Ref) -> Ref:
    return at.op("Neg", ref)


def _clip(at: Expansion) -> Expanded:
    return at.op("Maximum", at.op("Minimum", at.inputs[0], at.inputs[2]), at.inputs[1])


def _quotient(at: Expansion) -> Expanded:
    """A quotient or power of a constant, which the parser takes on the right alone."""
    x, y = at.inputs
    if at.varies(x) or at.dims(y) is None or at.dims(y) != at.dims(Ref(at.node.name)):
        return _binary(at)
    return at.op(at.kind, at.repeated(x, y), y)


def _power(at: Expansion) -> Expanded:
    """A power of a negative number is left to products, which need no logarithm."""
    x = at.inputs[0]
    exponent = at.number(1) if at.keeps_shape(x) else None
    if exponent == 1:
        return x
    if exponent == 2:
        return at.op("Square", x)
    if exponent == 3:
        return at.op("Mul", at.op("Square", x), x)
    if exponent == 4:
        return at.op("Square", at.op("Square", x))
    if exponent == -1:
        return at.op("Reciprocal", x)
    return _quotient(at)


def _reciprocal(at: Expansion) -> Expanded:
    return at.op("RealDiv", at.repeated(1.0, at.inputs[0]), at.inputs[0])


def _floor_div(at: Expansion) -> Expanded:
    return at.op("Floor", at.op("RealDiv", *at.inputs))


def _erf(at: Expansion) -> Expanded:
    """Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26; at most 1.5e-7 off, and odd."""
    x = at.inputs[0]
    return at.op("Sub", _erf_rest(at, at.op("Relu", _negative(at, x))), _erf_rest(at, at.op("Relu", x)))


def _erfc(at: Expansion) -> Expanded:
    return at.op("Sub", at.const(1.0), at.op("Erf", at.inputs[0]))


def _erf_rest(at: Expansion, x: Ref) -> Ref:
    """Return 1 - erf(x) of numbers that are not negative."""
    t = at.op("Reciprocal", at.op("AddV2", at.op("Mul", x, at.const(_ERF_STEP)), at.const(1.0)))
    total = at.op("Mul", t, at.const(_ERF[-1]))
    for factor in _ERF[-2::-1]:
        total = at.op("Mul", at.op("AddV2", total, at.const(factor)), t)
    return at.op("Mul", total, at.op("Exp", _negative(at, at.op("Square", x))))


def _leaky_relu(at: Expansion) -> Expanded:
    """Relu(x) - alpha Relu(-x), for parsers that lack LeakyRelu."""
    if at.target is None or at.target.leaky_relu:
        return None
    x = at.inputs[0]
    below = at.op("Mul", at.op("Relu", _negative(at, x)), at.const(at.attr("alpha", 0.2)))
    return at.op("Sub", at.op("Relu", x), below)


def _binary(at: Expansion) -> Expanded:
    """Arithmetic for which TensorRT's broadcasting is too narrow."""
    if len(at.inputs) != 2:
        return None
    left, right = (at.dims(ref) for ref in at.inputs)
    result = at.dims(Ref(at.node.name))
    if not left or not right or not result:
        return None
    constant = next((i for i, ref in enumerate(at.inputs) if not at.varies(ref)), None)
    if constant is not None:
        return _tiled(at, constant, (left, right)[constant], (left, right)[1 - constant], result)
    if len(left) == len(right) or result[0] != 1 or min(len(left), len(right)) < 2:
        return None
    lower = 0 if len(left) < len(right) else 1
    dims = (left, right)[lower]
    operands = list(at.inputs)
    operands[lower] = at.reshaped(at.inputs[lower], (1,) * (len(result) - len(dims)) + dims)
    return at.op(at.kind, *operands)


def _bias(at: Expansion) -> Expanded:
    """A bias of a sequence is added as a constant of its size; the parser adds one a channel to pictures."""
    dims = at.dims(0)
    if (
        dims is None
        or len(dims) != 3
        or at.varies(at.inputs[1])
        or at.attr("data_format", b"NHWC") != b"NHWC"
    ):
        return None
    return at.op("AddV2", *at.inputs)


def _tiled(
    at: Expansion, index: int, dims: tuple[int, ...], other: tuple[int, ...], result: tuple[int, ...]
) -> Expanded:
    """A constant that is neither a number, nor one a channel of a picture becomes full-sized."""
    aligned = (1,) * (len(result) - len(dims)) + dims
    wide = [axis for axis, size in enumerate(aligned) if size != 1]
    if (
        not wide
        or (wide == [len(result) - 1] and len(result) != 3)
        or prod(aligned[1:]) == prod(result[1:])
        or other != result
        or result[0] != 1
        or prod(result) * 4 > LIMIT
        or (value := at.value(index)) is None
    ):
        return None
    operands = list(at.inputs)
    operands[index] = at.const(np.broadcast_to(value, result))
    return at.op(at.kind, *operands)


EXPANSIONS = {
    **dict.fromkeys(BINARY, _binary),
    **dict.fromkeys(("Maximum", "Minimum"), _extreme),
    **dict.fromkeys(("Div", "RealDiv"), _quotient),
    **dict.fromkeys(("Inv", "Reciprocal"), _reciprocal),
    **dict.fromkeys(("AddN", "AccumulateNV2"), _add_n),
    **dict.fromkeys(("BiasAdd", "BiasAddV1"), _bias),
    "ClipByValue": _clip,
    "Erf": _erf,
    "Erfc": _erfc,
    "Expm1": _expm1,
    "FloorDiv": _floor_div,
    "LeakyRelu": _leaky_relu,
    "Log1p": _log1p,
    "Pow": _power,
    "SquaredDifference": _squared_difference,
}
