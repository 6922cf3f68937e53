"""Shape of SurgeonTile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import DType, Shape, TensorSpec
from surgeon.kernels.shapes import unfit

LARGEST = (1 << 31) - 1
"""Most elements that an axis can have."""


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32, each axis after the batch repeated.

    Raise SurgeonError C109 where the axes are not as many as the repeats, or one becomes too long.
    """
    x, repeats = inputs[0], fields["repeats"]
    dims = x.shape.dims
    if dims is None:
        return [TensorSpec(DType.FLOAT32, Shape((None,) * (len(repeats) + 1)))]
    if len(dims) != len(repeats) + 1:
        raise unfit(
            "SurgeonTile",
            0,
            x,
            f"{len(repeats) + 1} axes, the batch included",
            f"repeats has {len(repeats)} values",
        )
    tiled = [
        None if length is None else length * times for length, times in zip(dims[1:], repeats, strict=True)
    ]
    if any(length is not None and length > LARGEST for length in tiled):
        raise unfit(
            "SurgeonTile", 0, x, f"axes of at most {LARGEST} once repeated", f"repeats is {list(repeats)}"
        )
    return [TensorSpec(DType.FLOAT32, Shape((dims[0], *tiled)))]
