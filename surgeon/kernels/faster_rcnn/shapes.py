"""Shapes of a Faster R-CNN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.shapes import check_dim, common_dim, dim


def rpn_regions(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, 1, nmsMaxOut, 4] and float32[N, nmsMaxOut, C, poolingH, poolingW].

    Raise UnfitInput where the inputs do not fit the anchors or one another.
    """
    ratios, scales = fields["anchorsRatioCount"], fields["anchorsScaleCount"]
    why = f"{ratios} ratios x {scales} scales are {ratios * scales} anchors of a cell"
    check_dim(0, inputs[0], 1, 2 * ratios * scales, why=why)
    check_dim(1, inputs[1], 1, 4 * ratios * scales, why=why)
    for axis, what in ((2, "rows"), (3, "columns")):
        common_dim(what, inputs, (0, axis), (1, axis), (2, axis))
    for axis, wanted in ((1, 1), (2, 1), (3, 3)):
        check_dim(3, inputs[3], axis, wanted, why="height, width and scale of the picture")
    pictures, most = common_dim("pictures", inputs, (0, 0), (1, 0), (2, 0), (3, 0)), fields["nmsMaxOut"]
    return [
        TensorSpec.of("float32", pictures, 1, most, 4),
        TensorSpec.of("float32", pictures, most, dim(inputs[2], 1), fields["poolingH"], fields["poolingW"]),
    ]


def check_rpn_regions(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    return [
        f"'{count}' is {fields[count]} and '{name}' has {len(fields[name])} numbers; expected as many"
        for count, name in (("anchorsRatioCount", "anchorsRatios"), ("anchorsScaleCount", "anchorsScales"))
        if fields[count] != len(fields[name])
    ]


def proposals(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, post_nms_top_n, 4, 1].

    Raise UnfitInput where the inputs do not fit the anchors or one another.
    """
    sizes, ratios = len(fields["anchor_sizes"]), len(fields["anchor_ratios"])
    anchors, why = (
        sizes * ratios,
        f"{sizes} anchor_sizes x {ratios} anchor_ratios are {sizes * ratios} anchors of a cell",
    )
    check_dim(0, inputs[0], 1, anchors, why=why)
    check_dim(1, inputs[1], 1, 4 * anchors, why=why)
    for axis, what in ((2, "rows"), (3, "columns")):
        common_dim(what, inputs, (0, axis), (1, axis))
    return [
        TensorSpec.of(
            "float32", common_dim("pictures", inputs, (0, 0), (1, 0)), fields["post_nms_top_n"], 4, 1
        )
    ]
