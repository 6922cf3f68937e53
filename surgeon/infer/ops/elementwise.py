"""Ops that work element by element, with broadcasting."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from surgeon.graph import DType, Node, Shape, TensorSpec
from surgeon.infer.dims import broadcast, merge
from surgeon.infer.rule import (
    Array,
    Context,
    Kernel,
    NoKernel,
    Partial,
    Rule,
    attr_bool,
    attr_dtype,
    attr_float,
    attr_shape,
    elementwise,
)


def same(ctx: Context) -> Sequence[TensorSpec]:
    """Return the first input's shape."""
    return [TensorSpec(ctx.dtype(), ctx.spec(0).shape)]


def same_bool(ctx: Context) -> Sequence[TensorSpec]:
    """Return the first input's shape, as bool."""
    return [TensorSpec(DType.BOOL, ctx.spec(0).shape)]


def broadcast_pair(ctx: Context) -> Sequence[TensorSpec]:
    """Return the two inputs' shapes broadcast together."""
    check_types(ctx)
    return [TensorSpec(ctx.dtype(), Shape(broadcast(ctx.dims(0), ctx.dims(1))))]


def compare(ctx: Context) -> Sequence[TensorSpec]:
    """Return the two inputs' shapes broadcast together, as bool."""
    check_types(ctx)
    dims = broadcast_loose(ctx)
    return [TensorSpec(DType.BOOL, Shape(dims))]


def broadcast_loose(ctx: Context) -> tuple[int | None, ...] | None:
    """Return the broadcast shape; None where the op may answer unequal shapes with a scalar."""
    if attr_bool(ctx.node, "incompatible_shape_error", True):
        return broadcast(ctx.dims(0), ctx.dims(1))
    a, b = ctx.dims(0), ctx.dims(1)
    if a is None or b is None or None in a or None in b:
        return None
    return broadcast(a, b) if a == b or not a or not b else None


def check_types(ctx: Context) -> None:
    """Record two inputs of different element types."""
    a, b = ctx.spec(0).dtype, ctx.spec(1).dtype
    if a is not None and b is not None and a is not b:
        ctx.contradict(f"the inputs have element types {a} and {b}; expected equal ones")


def add_n(ctx: Context) -> Sequence[TensorSpec]:
    dims = attr_shape(ctx.node, "shape").dims
    for i in range(len(ctx.inputs)):
        dims = merge(dims, ctx.dims(i))
    return [TensorSpec(ctx.dtype(), Shape(dims))]


def select(ctx: Context) -> Sequence[TensorSpec]:
    dims = merge(ctx.dims(1), ctx.dims(2), "the two branches")
    condition = ctx.dims(0)
    if condition is not None and len(condition) > 1:
        dims = merge(dims, condition, "the condition and the branches")
    elif condition is not None and len(condition) == 1 and dims is not None and dims:
        merge(condition, dims[:1], "the condition and the first axis of the branches")
    return [TensorSpec(ctx.dtype("T", 1), Shape(dims))]


def select_v2(ctx: Context) -> Sequence[TensorSpec]:
    dims = broadcast(broadcast(ctx.dims(1), ctx.dims(2)), ctx.dims(0))
    return [TensorSpec(ctx.dtype("T", 1), Shape(dims))]


def clip(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(ctx.dtype(), Shape(broadcast(broadcast(ctx.dims(0), ctx.dims(1)), ctx.dims(2))))]


def cast(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(attr_dtype(ctx.node, "DstT"), ctx.spec(0).shape)]


def approximate_equal(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(DType.BOOL, Shape(merge(ctx.dims(0), ctx.dims(1))))]


def _unary(function: Callable[[Array], Any]) -> Kernel:
    def kernel(node: Node, arrays: list[Array]) -> Sequence[Array]:
        x = arrays[0]
        return [np.asarray(function(x)).astype(x.dtype, copy=False)]

    return kernel


def _binary(function: Callable[[Array, Array], Any]) -> Kernel:
    def kernel(node: Node, arrays: list[Array]) -> Sequence[Array]:
        a, b = arrays
        return [np.asarray(function(a, b)).astype(a.dtype, copy=False)]

    return kernel


def _logic(function: Callable[..., Any]) -> Kernel:
    def kernel(node: Node, arrays: list[Array]) -> Sequence[Array]:
        return [np.asarray(function(*arrays)).astype(bool, copy=False)]

    return kernel


def _no_zero(divisor: Array) -> None:
    if divisor.dtype.kind in "iu" and not divisor.all():
        raise ZeroDivisionError("an integer is divided by zero; expected divisors other than 0")


def _floor_div(a: Array, b: Array) -> Any:
    _no_zero(b)
    return np.floor_divide(a, b) if a.dtype.kind in "iu" else np.floor(a / b)


def _truncate_div(a: Array, b: Array) -> Any:
    _no_zero(b)
    if a.dtype.kind not in "iu":
        return a / b
    quotient = np.floor_divide(a, b)
    return quotient + ((np.remainder(a, b) != 0) & ((a < 0) != (b < 0)))


def _floor_mod(a: Array, b: Array) -> Any:
    _no_zero(b)
    return np.mod(a, b)


def _truncate_mod(a: Array, b: Array) -> Any:
    _no_zero(b)
    return np.fmod(a, b)


def _div_no_nan(a: Array, b: Array) -> Any:
    return np.where(b == 0, a.dtype.type(0), a / np.where(b == 0, b.dtype.type(1), b))


def _mul_no_nan(a: Array, b: Array) -> Any:
    return np.where(b == 0, a.dtype.type(0), a * b)


def _pow(a: Array, b: Array) -> Any:
    if b.dtype.kind in "iu" and bool((b < 0).any()):
        raise ValueError("an integer is raised to a negative power; expected powers of at least 0")
    return np.power(a, b)


def _sigmoid(x: Array) -> Any:
    one = x.dtype.type(1)
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, one / (one + small), small / (one + small))


def _softplus(x: Array) -> Any:
    return np.maximum(x, x.dtype.type(0)) + np.log1p(np.exp(-np.abs(x)))


def _elu(x: Array) -> Any:
    return np.where(x < 0, np.expm1(np.minimum(x, x.dtype.type(0))), x)


_SELU_SCALE = 1.0507009873554804934193349852946
_SELU_SCALED_ALPHA = 1.7580993408473768599402175208123


def _selu(x: Array) -> Any:
    low = x.dtype.type(_SELU_SCALED_ALPHA) * np.expm1(np.minimum(x, x.dtype.type(0)))
    return np.where(x < 0, low, x.dtype.type(_SELU_SCALE) * x)


def _rsqrt(x: Array) -> Any:
    return x.dtype.type(1) / np.sqrt(x)


def _reciprocal(x: Array) -> Any:
    if x.dtype.kind in "iu":
        raise NoKernel("integers")
    return x.dtype.type(1) / x


def _erf(x: Array) -> Any:
    return np.array([math.erf(v) for v in x.ravel().tolist()], x.dtype).reshape(x.shape)


def _erfc(x: Array) -> Any:
    return np.array([math.erfc(v) for v in x.ravel().tolist()], x.dtype).reshape(x.shape)


def _leaky_relu(node: Node, arrays: list[Array]) -> Sequence[Array]:
    x = arrays[0]
    alpha = x.dtype.type(attr_float(node, "alpha", 0.2))
    return [np.where(x > 0, x, (x * alpha).astype(x.dtype))]


def _relu(x: Array) -> Any:
    return np.maximum(x, x.dtype.type(0))


def _relu6(x: Array) -> Any:
    return np.minimum(_relu(x), x.dtype.type(6))


def _add_n(node: Node, arrays: list[Array]) -> Sequence[Array]:
    total = arrays[0]
    for array in arrays[1:]:
        total = total + array
    return [np.asarray(total)]


def _select(node: Node, arrays: list[Array]) -> Sequence[Array]:
    condition, a, b = arrays
    if condition.ndim == 1 and a.ndim > 1:
        condition = condition.reshape(condition.shape + (1,) * (a.ndim - 1))
    return [np.where(condition, a, b)]


def _select_v2(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return [np.where(*arrays)]


def _clip(node: Node, arrays: list[Array]) -> Sequence[Array]:
    x, low, high = arrays
    return [np.maximum(np.minimum(x, high), low)]


def _cast(node: Node, arrays: list[Array]) -> Sequence[Array]:
    target = attr_dtype(node, "DstT")
    if (
        target is None
        or target.itemsize is None
        or target in (DType.BFLOAT16,)
        or target.value.startswith("q")
    ):
        raise NoKernel(f"the type {target}")
    x = arrays[0]
    if x.dtype.kind == "O":
        raise NoKernel("strings")
    if x.dtype.kind == "c" and target.value[:7] != "complex":
        x = x.real
    return [x.astype(target.numpy())]


def _comparison(function: Callable[[Array, Array], Any]) -> Kernel:
    def kernel(node: Node, arrays: list[Array]) -> Sequence[Array]:
        return [np.asarray(function(*arrays)).astype(bool)]

    return kernel


def _approximate_equal(node: Node, arrays: list[Array]) -> Sequence[Array]:
    a, b = arrays
    return [np.asarray(np.abs(a - b) < a.dtype.type(attr_float(node, "tolerance", 1e-5)))]


def _bounds_partial(rule: Rule, ctx: Context) -> Sequence[Partial | None]:
    """Pass partial values through a cast between integers."""
    if ctx.spec(0).dtype not in (DType.INT32, DType.INT64):
        return ()
    return elementwise(rule, ctx)


def _mul_partial(rule: Rule, ctx: Context) -> Sequence[Partial | None]:
    """Pass partial values through a product; a known 0 makes the element known."""
    out = elementwise(rule, ctx)
    if not out or out[0] is None:
        return out
    zero = np.zeros((), bool)
    for i in range(2):
        value, part = ctx.value(i), ctx.partial(i)
        if value is not None:
            zero = zero | (value == 0)
        elif part is not None:
            zero = zero | ((part.data == 0) & part.known)
    known = out[0].known | zero
    return [Partial(np.where(known & ~zero, out[0].data, 0).astype(out[0].data.dtype), known)]


_UNARY: dict[str, Callable[[Array], Any]] = {
    "Abs": np.abs,
    "Neg": np.negative,
    "Exp": np.exp,
    "Expm1": np.expm1,
    "Log": np.log,
    "Log1p": np.log1p,
    "Sqrt": np.sqrt,
    "Rsqrt": _rsqrt,
    "Square": np.square,
    "Sigmoid": _sigmoid,
    "Tanh": np.tanh,
    "Relu": _relu,
    "Relu6": _relu6,
    "Elu": _elu,
    "Selu": _selu,
    "Softplus": _softplus,
    "Floor": np.floor,
    "Ceil": np.ceil,
    "Round": np.rint,
    "Rint": np.rint,
    "Sign": np.sign,
    "Reciprocal": _reciprocal,
    "Inv": _reciprocal,
    "Sin": np.sin,
    "Cos": np.cos,
    "Tan": np.tan,
    "Asin": np.arcsin,
    "Acos": np.arccos,
    "Atan": np.arctan,
    "Sinh": np.sinh,
    "Cosh": np.cosh,
    "Asinh": np.arcsinh,
    "Acosh": np.arccosh,
    "Atanh": np.arctanh,
    "Erf": _erf,
    "Erfc": _erfc,
    "Softsign": lambda x: x / (x.dtype.type(1) + np.abs(x)),
    "Invert": np.invert,
}

_BINARY: dict[str, Callable[[Array, Array], Any]] = {
    "Add": np.add,
    "AddV2": np.add,
    "Sub": np.subtract,
    "RealDiv": np.divide,
    "Div": _truncate_div,
    "TruncateDiv": _truncate_div,
    "FloorDiv": _floor_div,
    "FloorMod": _floor_mod,
    "Mod": _truncate_mod,
    "TruncateMod": _truncate_mod,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
    "Pow": _pow,
    "SquaredDifference": lambda a, b: np.square(a - b),
    "DivNoNan": _div_no_nan,
    "MulNoNan": _mul_no_nan,
    "Atan2": np.arctan2,
    "BitwiseAnd": np.bitwise_and,
    "BitwiseOr": np.bitwise_or,
    "BitwiseXor": np.bitwise_xor,
}

_COMPARISONS: dict[str, Callable[[Array, Array], Any]] = {
    "Less": np.less,
    "LessEqual": np.less_equal,
    "Greater": np.greater,
    "GreaterEqual": np.greater_equal,
    "Equal": np.equal,
    "NotEqual": np.not_equal,
    "LogicalAnd": np.logical_and,
    "LogicalOr": np.logical_or,
}

RULES = (
    *(Rule(op, same, _unary(function), partial=elementwise) for op, function in _UNARY.items()),
    *(Rule(op, broadcast_pair, _binary(function), partial=elementwise) for op, function in _BINARY.items()),
    *(Rule(op, compare, _comparison(function)) for op, function in _COMPARISONS.items()),
    Rule("Mul", broadcast_pair, _binary(np.multiply), partial=_mul_partial),
    Rule("LogicalNot", same_bool, _logic(np.logical_not)),
    Rule("IsNan", same_bool, _logic(np.isnan)),
    Rule("IsInf", same_bool, _logic(np.isinf)),
    Rule("IsFinite", same_bool, _logic(np.isfinite)),
    Rule("ApproximateEqual", approximate_equal, _approximate_equal),
    Rule("LeakyRelu", same, _leaky_relu),
    Rule("AddN", add_n, _add_n, partial=elementwise),
    Rule("AccumulateNV2", add_n, _add_n),
    Rule("Select", select, _select),
    Rule("SelectV2", select_v2, _select_v2),
    Rule("ClipByValue", clip, _clip, partial=elementwise),
    Rule("Cast", cast, _cast, partial=_bounds_partial),
)
