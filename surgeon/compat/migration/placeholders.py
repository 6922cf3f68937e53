"""Shapes of inputs: scripts write them channels first, as UFF has them, recipes as the graph does."""

from __future__ import annotations

from surgeon.graph import AttrValue, Shape

TO_CHANNELS_LAST = (0, 2, 3, 1)


def script_dims(shape: AttrValue | None) -> tuple[int | None, ...]:
    """Return the dimensions of a script's placeholder; 0 and -1 are unknown there."""
    dims = shape.dims if isinstance(shape, Shape) else None
    return tuple(dim if dim is not None and dim > 0 else None for dim in dims or ())


def channels_last(dims: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """Return the dimensions of a picture with its channels at the end."""
    return tuple(dims[axis] for axis in TO_CHANNELS_LAST) if len(dims) == len(TO_CHANNELS_LAST) else dims


def fits(dims: tuple[int | None, ...], known: tuple[int | None, ...]) -> bool:
    """Return whether dimensions agree wherever both are known."""
    return len(dims) == len(known) and all(
        a is None or b is None or a == b for a, b in zip(dims, known, strict=True)
    )


def same_shape(script: AttrValue | None, ours: AttrValue | None) -> bool:
    """Return whether a script's shape is a recipe's, in the same order or channels first."""
    known = ours.dims if isinstance(ours, Shape) else None
    dims = script_dims(script)
    return known is not None and (fits(dims, known) or fits(channels_last(dims), known))
