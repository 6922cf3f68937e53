"""Shapes of RPROI_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.shapes import check_dim, common_dim, dim

OP = "RPROI_TRT"


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, 1, nmsMaxOut, 4] and float32[N, nmsMaxOut, C, poolingH, poolingW].

    Raise SurgeonError C109 where the inputs do not fit the anchors or one another.
    """
    ratios, scales = fields["anchorsRatioCount"], fields["anchorsScaleCount"]
    why = f"{ratios} ratios x {scales} scales are {ratios * scales} anchors of a cell"
    check_dim(OP, 0, inputs[0], 1, 2 * ratios * scales, why=why)
    check_dim(OP, 1, inputs[1], 1, 4 * ratios * scales, why=why)
    for axis, what in ((2, "rows"), (3, "columns")):
        common_dim(OP, what, inputs, (0, axis), (1, axis), (2, axis))
    for axis, wanted in ((1, 1), (2, 1), (3, 3)):
        check_dim(OP, 3, inputs[3], axis, wanted, why="height, width and scale of the picture")
    pictures, most = common_dim(OP, "pictures", inputs, (0, 0), (1, 0), (2, 0), (3, 0)), fields["nmsMaxOut"]
    return [
        TensorSpec.of("float32", pictures, 1, most, 4),
        TensorSpec.of("float32", pictures, most, dim(inputs[2], 1), fields["poolingH"], fields["poolingW"]),
    ]


def check(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    return [
        f"'{count}' is {fields[count]} and '{name}' has {len(fields[name])} numbers; expected as many"
        for count, name in (("anchorsRatioCount", "anchorsRatios"), ("anchorsScaleCount", "anchorsScales"))
        if fields[count] != len(fields[name])
    ]
