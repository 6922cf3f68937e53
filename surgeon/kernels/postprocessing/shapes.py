"""The shape rule of SurgeonDetection."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.catalog.modules import UnfitInput
from surgeon.graph import TensorSpec
from surgeon.kernels.postprocessing.numbers import CENTRE_SIZE


def detections(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, 1, maxTotal, 7] and float32[N, 1, 1, 1].

    Raise UnfitInput where the sizes of the inputs are known and do not go together.
    """
    _check_sizes(fields, inputs)
    batches = [spec.shape.dims[0] for spec in inputs[:2] if spec.shape.dims]
    batch = next((n for n in batches if n is not None), None)
    return [
        TensorSpec.of("float32", batch, 1, fields["maxTotal"], 7),
        TensorSpec.of("float32", batch, 1, 1, 1),
    ]


def check(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    if fields["background"] < fields["classes"]:
        return []
    return [
        f"'background' is {fields['background']} and 'classes' is {fields['classes']}; expected a class "
        "below that, or -1 for none"
    ]


def _check_sizes(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> None:
    loc, conf = (_numbers(spec) for spec in inputs[:2])
    classes = fields["classes"]
    if fields["coding"] == CENTRE_SIZE and len(inputs) < 3:
        raise UnfitInput(
            len(inputs) - 1,
            " is the last one; expected anchors behind it",
            ["coding is 1: boxes are encoded against anchors"],
            "add the input 'prior'",
        )
    if conf is None:
        return
    anchors, rest = divmod(conf, classes)
    if rest or not anchors:
        raise UnfitInput(
            1,
            f", taken as conf, has {conf} numbers a picture; expected a multiple of {classes} classes",
            [],
            "correct the order of the inputs, or the field 'classes'",
        )
    wanted = {0: anchors * 4 * (1 if fields["shareLocation"] else classes)}
    if fields["coding"] == CENTRE_SIZE:
        wanted[2] = anchors * 8
    for index, numbers in wanted.items():
        port = ("loc", "conf", "prior")[index]
        given = loc if index == 0 else _numbers(inputs[index])
        if given is not None and given != numbers:
            raise UnfitInput(
                index,
                f", taken as {port}, has {given} numbers a picture; expected {numbers}",
                [f"conf has {conf} numbers: {conf} / {classes} classes = {anchors} anchors"],
                "correct the order of the inputs, or the fields 'classes' and 'shareLocation'",
            )


def _numbers(spec: TensorSpec) -> int | None:
    """Return how many numbers a picture has."""
    dims = spec.shape.dims
    if not dims or None in dims[1:]:
        return None
    return math.prod(dim for dim in dims[1:] if dim is not None)
