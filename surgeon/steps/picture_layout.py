"""Where a graph's pictures have their channels, read off the operations."""

from __future__ import annotations

from functools import cached_property

from surgeon.catalog import Catalog
from surgeon.graph import Graph, Node
from surgeon.graph.op_sets import IDENTITIES, PLACEHOLDERS
from surgeon.infer import Inference

FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)
"""Permutations of a picture that put its channels first, and last."""

_SPATIAL = frozenset(
    {
        "Conv2D",
        "DepthwiseConv2dNative",
        "MaxPool",
        "AvgPool",
        "MaxPoolV2",
        "FusedBatchNorm",
        "FusedBatchNormV2",
        "FusedBatchNormV3",
        "LRN",
        "DepthToSpace",
        "SpaceToDepth",
        "ResizeBilinear",
        "ResizeNearestNeighbor",
    }
)
"""Operations whose result is a picture, its layout told by ``data_format``."""

_KEEPS_LAYOUT = IDENTITIES | frozenset(
    {
        "Abs",
        "Add",
        "AddN",
        "AddV2",
        "BiasAdd",
        "Cast",
        "ConcatV2",
        "Elu",
        "Exp",
        "LeakyRelu",
        "Maximum",
        "Minimum",
        "MirrorPad",
        "Mul",
        "Neg",
        "Pad",
        "PadV2",
        "RealDiv",
        "Relu",
        "Relu6",
        "Rsqrt",
        "Selu",
        "Sigmoid",
        "Slice",
        "Softplus",
        "Split",
        "SplitV",
        "Sqrt",
        "Square",
        "StridedSlice",
        "Sub",
        "Tanh",
        "Tile",
    }
)
"""Operations whose result is laid out as what they read, beside plugins whose definition says so."""


class PictureLayout:
    """Which tensors of 4 axes are pictures with their channels last; what was found out is kept."""

    def __init__(self, graph: Graph, inference: Inference, catalog: Catalog) -> None:
        self.graph, self.inference, self.catalog = graph, inference, catalog
        self._layouts: dict[str, bool | None] = {}

    def is_channels_last(self, start: str) -> bool | None:
        """Return whether a node's 4 axes are a picture's with channels last; None where nothing tells."""
        waiting, seen = [start], {start: None}
        told: bool | None = None
        while waiting and told is None:
            name = waiting.pop()
            node = self.graph[name]
            told = self._layouts[name] if name in self._layouts else self._tells(node)
            if name in self._layouts or not self._keeps_layout(node.op):
                break
            fresh = [
                ref.node
                for ref in node.inputs
                if ref.node not in seen and self.inference.spec(ref).shape.rank == 4
            ]
            seen.update(dict.fromkeys(fresh))
            waiting += fresh[::-1]
        self._layouts.update(dict.fromkeys(seen, told))
        return told

    def _keeps_layout(self, op: str) -> bool:
        return op in _KEEPS_LAYOUT or (op in self.catalog and self.catalog[op].layout == "kept")

    def _tells(self, node: Node) -> bool | None:
        if node.op in _SPATIAL or (node.op == "BiasAdd" and "data_format" in node.attrs):
            return node.attrs.get("data_format", b"NHWC") == b"NHWC"
        if node.op in PLACEHOLDERS:
            return not self._has_channels_first
        if node.op == "Transpose" and len(node.inputs) == 2:
            order = self.inference.value(node.inputs[1])
            return order is not None and tuple(order.ravel().tolist()) == LAST
        return (
            False if node.op in ("Reshape", "ExpandDims", "Squeeze", "Pack", "Gather", "GatherV2") else None
        )

    @cached_property
    def _has_channels_first(self) -> bool:
        return any(node.attrs.get("data_format") == b"NCHW" for node in self.graph)
