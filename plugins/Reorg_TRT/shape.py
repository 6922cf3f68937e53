"""Shape of Reorg_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.shapes import dim, unfit


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, C s s, H / s, W / s], s the stride.

    Raise SurgeonError C109 where height or width is no multiple of the stride, or the channels none of its
    square.
    """
    x, stride = inputs[0], fields["stride"]
    for axis, unit in ((1, stride * stride), (2, stride), (3, stride)):
        size = dim(x, axis)
        if size is not None and size % unit:
            raise unfit("Reorg_TRT", 0, x, f"a multiple of {unit} at axis {axis}", f"stride is {stride}")
    channels, height, width = (dim(x, axis) for axis in (1, 2, 3))
    return [
        TensorSpec.of(
            "float32",
            dim(x, 0),
            None if channels is None else channels * stride * stride,
            None if height is None else height // stride,
            None if width is None else width // stride,
        )
    ]
