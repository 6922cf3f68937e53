"""What shape rules of plugins need: sizes of axes, and the refusal of inputs that do not go together."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.catalog.modules import UnfitInput
from surgeon.graph import TensorSpec


def dim(spec: TensorSpec, axis: int) -> int | None:
    """Return the size of an axis; None while it or the rank is unknown, or where there is no such axis."""
    dims = spec.shape.dims
    return dims[axis] if dims is not None and -len(dims) <= axis < len(dims) else None


def check_rank(index: int, spec: TensorSpec, *ranks: int) -> None:
    """Raise UnfitInput where the rank of input ``index`` is known and none of ``ranks``.

    Ranks count the batch.
    """
    if spec.shape.rank not in (None, *ranks):
        raise unfit(index, spec, f"{' or '.join(map(str, ranks))} axes, the batch included")


def check_dim(index: int, spec: TensorSpec, axis: int, *wanted: int | None, why: str) -> None:
    """Raise UnfitInput where axis ``axis`` of input ``index`` is known and none of ``wanted``.

    None in ``wanted`` stands for any size.
    """
    found = dim(spec, axis)
    if found is not None and None not in wanted and found not in wanted:
        place = f"axis {axis}" if axis >= 0 else "the last axis"
        raise unfit(index, spec, f"{' or '.join(map(str, wanted))} at {place}", why)


def common_dim(what: str, inputs: Sequence[TensorSpec], *places: tuple[int, int]) -> int | None:
    """Return the one size of several axes, each the pair input and axis; None while all of them are unknown.

    ``what`` says what the axes count. Raise UnfitInput where two of them differ.
    """
    first: tuple[int, int] | None = None
    for index, axis in places:
        size = dim(inputs[index], axis)
        if size is None:
            continue
        if first is None:
            first = (index, size)
        elif size != first[1]:
            raise unfit(
                index,
                inputs[index],
                f"{first[1]} {what} at axis {axis}, as in input {first[0]}",
                f"input {first[0]} is {inputs[first[0]]}",
            )
    return None if first is None else first[1]


def unfit(index: int, spec: TensorSpec, wanted: str, *notes: str) -> UnfitInput:
    """Return what to raise where input ``index`` is ``spec``, and ``wanted`` says what was expected."""
    return UnfitInput(
        index,
        f" is {spec}; expected {wanted}",
        notes,
        "connect another tensor, reshape it, or correct the fields",
    )
