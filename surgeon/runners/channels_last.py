"""Layers with channels first as TensorFlow computes them on a CPU: with channels last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from surgeon.graph import AttrValue, DType, Graph, Node, Ref, TensorValue

_PICTURE: Mapping[str, int] = MappingProxyType(
    {
        "AvgPool": 0,
        "Conv2D": 0,
        "Conv2DBackpropInput": 2,
        "DepthwiseConv2dNative": 0,
        "FusedBatchNorm": 0,
        "FusedBatchNormV2": 0,
        "FusedBatchNormV3": 0,
        "MaxPool": 0,
    }
)
"""Operations of which a CPU's kernels take channels last, and the input that is a picture."""

_BY_AXIS = ("strides", "ksize", "dilations")
_TO_LAST, _TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


def with_channels_last(graph: Graph) -> Graph:
    """Return the graph with transposes around each layer that has channels first.

    Tensors keep their names. A layer of which another output than the first is read stays as it is.
    """
    first = [node.name for node in graph if node.op in _PICTURE and node.attrs.get("data_format") == b"NCHW"]
    if not first:
        return graph
    further = {ref.node for node in graph for ref in node.inputs if ref.slot}
    moved = {name for name in first if name not in further}
    names: dict[str, None] = {}
    return graph.replace(
        node
        for old in graph
        for node in (_between_transposes(graph, old, names) if old.name in moved else [old])
    )


def _between_transposes(graph: Graph, node: Node, names: dict[str, None]) -> list[Node]:
    at = _PICTURE[node.op]
    made: list[Node] = []

    def put(part: str, op: str, inputs: Sequence[Ref], attrs: Mapping[str, AttrValue]) -> Ref:
        name = graph.free_name(f"{node.name}/{part}", names)
        names[name] = None
        # Beside the picture, so that a constant of a layer in a loop is computed there.
        control = (node.inputs[at].node,) if op == "Const" else ()
        made.append(Node(name, op, tuple(inputs), control, attrs))
        return Ref(name)

    def ints(part: str, values: Sequence[int] | int) -> Ref:
        return put(part, "Const", (), {"dtype": DType.INT32, "value": TensorValue.of(values, DType.INT32)})

    kind = node.attrs.get("T", DType.FLOAT32)
    turned = {"T": kind, "Tperm": DType.INT32}
    inputs = list(node.inputs)
    inputs[at] = put("picture", "Transpose", (inputs[at], ints("to_last", _TO_LAST)), turned)
    if node.op == "Conv2DBackpropInput":
        inputs[0] = put(
            "size",
            "GatherV2",
            (inputs[0], ints("axes", _TO_LAST), ints("axis", 0)),
            {"Tparams": DType.INT32, "Tindices": DType.INT32, "Taxis": DType.INT32, "batch_dims": 0},
        )
    layer = put("channels_last", node.op, inputs, _attributes(node))
    order = ints("to_first", _TO_FIRST)
    return [*made, replace(node, op="Transpose", inputs=(layer, order), attrs=turned)]


def _attributes(node: Node) -> dict[str, AttrValue]:
    """Return the attributes of the same layer with channels last."""
    attrs: dict[str, AttrValue] = {**node.attrs, "data_format": b"NHWC"}
    for key in _BY_AXIS:
        values = attrs.get(key)
        if isinstance(values, tuple) and len(values) == len(_TO_LAST):
            attrs[key] = tuple(values[axis] for axis in _TO_LAST)
    pads = attrs.get("explicit_paddings")
    if isinstance(pads, tuple) and len(pads) == 2 * len(_TO_LAST):
        attrs["explicit_paddings"] = tuple(pads[2 * axis + side] for axis in _TO_LAST for side in (0, 1))
    return attrs
