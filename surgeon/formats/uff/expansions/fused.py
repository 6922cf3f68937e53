"""Layers that TensorFlow's optimizer fused, taken apart: a product or convolution, bias and activation."""

from __future__ import annotations

from surgeon.formats.uff.expansion import Expanded, Expansion
from surgeon.graph import AttrValue, Ref

_ACTIVATIONS = ("Elu", "LeakyRelu", "Relu", "Relu6", "Sigmoid", "Tanh")

_KEPT = {
    "_FusedConv2D": ("Conv2D", ("strides", "padding", "explicit_paddings", "data_format", "dilations")),
    "_FusedMatMul": ("MatMul", ("transpose_a", "transpose_b")),
}
"""Fused operations, what they begin with, and the attributes of that."""


def _apart(at: Expansion) -> Expanded:
    """The layer, its bias, and at most one activation, in this order."""
    fused = [each.decode("utf-8", "replace") for each in _texts(at)]
    if not fused or fused[0] != "BiasAdd" or len(at.inputs) != 3 or len(fused) > 2:
        return f"it fuses {', '.join(fused) or 'nothing'}; expected BiasAdd, and one activation"
    if len(fused) == 2 and fused[1] not in _ACTIVATIONS:
        return f"it fuses {fused[1]}, which is no activation that can be taken apart"
    kind, keys = _KEPT[at.kind]
    attrs = {key: at.node.attrs[key] for key in keys if key in at.node.attrs}
    found: Ref = at.op(kind, *at.inputs[:2], **attrs)
    layout: dict[str, AttrValue] = {"data_format": attrs.get("data_format", b"NHWC")}
    found = at.op("BiasAdd", found, at.inputs[2], **layout)
    if len(fused) == 1:
        return found
    slope: dict[str, AttrValue] = {}
    if fused[1] == "LeakyRelu":
        slope["alpha"] = at.attr("leakyrelu_alpha", 0.2)
    return at.op(fused[1], found, **slope)


def _texts(at: Expansion) -> tuple[bytes, ...]:
    values = at.node.attrs.get("fused_ops", ())
    return tuple(each for each in values if isinstance(each, bytes)) if isinstance(values, tuple) else ()


EXPANSIONS = dict.fromkeys(_KEPT, _apart)
