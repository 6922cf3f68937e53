"""Arithmetic on dimensions that may be unknown (None)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from surgeon.graph import Shape
from surgeon.infer.rule import Dim, Dims, Mismatch


def add(a: Dim, b: Dim) -> Dim:
    """Return a + b, unknown if either is."""
    return None if a is None or b is None else a + b


def product(dims: Iterable[Dim]) -> Dim:
    """Return the product, 0 where one is 0, else unknown if any is."""
    total: Dim = 1
    for dim in dims:
        if dim == 0:
            return 0
        total = None if total is None or dim is None else total * dim
    return total


def ceil_div(a: int, b: int) -> int:
    """Return a / b rounded up."""
    return -(-a // b)


def broadcast(a: Dims, b: Dims) -> Dims:
    """Return the shape of two operands broadcast together; raise Mismatch where they cannot be.

    An unknown dimension against one above 1 gives the latter, since it can only be that or 1.
    """
    if a is None or b is None:
        return None
    rank = max(len(a), len(b))
    left: tuple[Dim, ...] = (1,) * (rank - len(a)) + a
    right: tuple[Dim, ...] = (1,) * (rank - len(b)) + b
    out: list[Dim] = []
    for x, y in zip(left, right, strict=True):
        if x == y or y == 1:
            out.append(x)
        elif x == 1:
            out.append(y)
        elif x is None or y is None:
            out.append(y if x is None else x)
        else:
            raise Mismatch(
                f"shapes {Shape(a)} and {Shape(b)} do not broadcast; expected equal dimensions or 1"
            )
    return tuple(out)


def merge(a: Dims, b: Dims, what: str = "the inputs") -> Dims:
    """Return what two descriptions of one shape say together; raise Mismatch where they contradict."""
    if a is None or b is None:
        return b if a is None else a
    if not Shape(a).compatible(Shape(b)):
        raise Mismatch(f"{what} have shapes {Shape(a)} and {Shape(b)}; expected equal ones")
    return tuple(y if x is None else x for x, y in zip(a, b, strict=True))


def common(shapes: Sequence[Dims]) -> Dims:
    """Return what holds for every one of several alternative shapes."""
    if not shapes or shapes[0] is None:
        return None
    out: list[Dim] = list(shapes[0])
    for dims in shapes[1:]:
        if dims is None or len(dims) != len(out):
            return None
        out = [x if x == y else None for x, y in zip(out, dims, strict=True)]
    return tuple(out)


def axis_of(axis: Dim, rank: int | None, what: str = "axis") -> int | None:
    """Return ``axis`` counted from the front, None if it or the rank is unknown.

    Raise Mismatch out of range.
    """
    if axis is None or rank is None:
        return axis if axis is not None and axis >= 0 and rank is not None else None
    if not -rank <= axis < rank:
        raise Mismatch(f"{what} {axis} is out of range; the input has {rank} axes")
    return axis + rank if axis < 0 else axis


def window(
    size: Dim, kernel: Dim, stride: int, padding: str, dilation: int = 1, pads: tuple[int, int] = (0, 0)
) -> Dim:
    """Return the output length of a sliding window along one axis (TensorFlow's rules for SAME, VALID,
    EXPLICIT).
    """
    if size is None or stride < 1 or dilation < 1:
        return None
    if padding == "SAME":
        return ceil_div(size, stride)
    if kernel is None or padding not in ("VALID", "EXPLICIT"):
        return None
    reach = (kernel - 1) * dilation + 1
    total = size + (sum(pads) if padding == "EXPLICIT" else 0)
    if total < reach:
        raise Mismatch(
            f"an axis of {total} elements, padding included, is shorter than the window; expected {reach} at "
            "least"
        )
    return (total - reach) // stride + 1
