"""Shape rules that NMS_TRT and NMSDynamic_TRT share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.catalog.modules import UnfitInput
from surgeon.graph import TensorSpec
from surgeon.kernels.suppression.shapes import check_kept


def detection_output(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, 1, keepTopK, 7] and float32[N, 1, 1, 1].

    Raise UnfitInput where the sizes of the inputs are known and do not go together.
    """
    loc, conf, prior = (inputs[i] for i in fields["inputOrder"])
    _check_sizes(fields, loc, conf, prior)
    batches = [spec.shape.dims[0] for spec in (loc, conf) if spec.shape.dims]
    batch = next((n for n in batches if n is not None), None)
    return [
        TensorSpec.of("float32", batch, 1, fields["keepTopK"], 7),
        TensorSpec.of("float32", batch, 1, 1, 1),
    ]


def check(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    problems = check_kept(fields)
    if sorted(fields["inputOrder"]) != [0, 1, 2]:
        problems.append(f"'inputOrder' is {list(fields['inputOrder'])}; expected 0, 1 and 2 once each")
    return problems


def _check_sizes(fields: Mapping[str, Any], loc: TensorSpec, conf: TensorSpec, prior: TensorSpec) -> None:
    """Compare the sizes of loc and conf with the number of anchors that prior tells."""
    order = dict(zip(("loc", "conf", "prior"), fields["inputOrder"], strict=True))
    if prior.shape.dims is None or len(prior.shape.dims) != 4:
        return
    _, channels, length, _ = prior.shape.dims
    if channels not in (None, 2) or (length is not None and length % 4):
        raise UnfitInput(
            order["prior"],
            f", taken as prior, is {prior}; expected [1,2,4P,1] for P anchors",
            [f"inputOrder is {list(fields['inputOrder'])}"],
            "correct the order of the inputs",
        )
    if length is None:
        return
    anchors, classes = length // 4, fields["numClasses"]
    boxes = 1 if fields["shareLocation"] else classes
    each = "" if boxes == 1 else f"x {classes} classes "
    loc_sum = f"{anchors} anchors {each}x 4 = {anchors * boxes * 4}"
    for name, spec, wanted, arithmetic in (
        ("loc", loc, anchors * boxes * 4, loc_sum),
        ("conf", conf, anchors * classes, f"{anchors} anchors x {classes} classes = {anchors * classes}"),
    ):
        size = _sample_size(spec)
        if size is not None and size != wanted:
            raise UnfitInput(
                order[name],
                f", taken as {name}, has {size} numbers a picture; expected {wanted}",
                [
                    arithmetic,
                    f"prior is {prior}: {length} / 4 = {anchors} anchors",
                    *_guess(name, size, anchors, classes),
                ],
                "correct the order of the inputs, numClasses, or the fields that make the anchors",
            )


def _guess(name: str, size: int, anchors: int, classes: int) -> list[str]:
    if name == "conf" and anchors and size % anchors == 0 and size // anchors not in (classes, 4):
        return [f"{size} / {anchors} anchors = {size // anchors} classes, where numClasses is {classes}"]
    if name == "loc" and size == anchors * classes:
        return ["that is the size of conf: loc and conf may be interchanged"]
    if name == "conf" and size == anchors * 4:
        return ["that is the size of loc: loc and conf may be interchanged"]
    return []


def _sample_size(spec: TensorSpec) -> int | None:
    if not spec.shape.dims or None in spec.shape.dims[1:]:
        return None
    return math.prod(dim for dim in spec.shape.dims[1:] if dim is not None)
