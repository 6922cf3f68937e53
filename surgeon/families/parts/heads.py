"""The heads of a detector: the convolutions whose results are joined."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from surgeon.graph import Graph, Node, Ref
from surgeon.infer import Inference

Role: TypeAlias = Literal["loc", "conf"]

CONVOLUTIONS = frozenset({"Conv2D", "DepthwiseConv2dNative", "MatMul"})
_PASSED = frozenset(
    {
        "Identity",
        "Squeeze",
        "Reshape",
        "ExpandDims",
        "BiasAdd",
        "Add",
        "AddV2",
        "Transpose",
        "StopGradient",
        "ConcatV2",
        "FusedBatchNorm",
        "FusedBatchNormV2",
        "FusedBatchNormV3",
        "Sigmoid",
        "Softmax",
        "FakeQuantWithMinMaxVars",
        "FakeQuantWithMinMaxArgs",
        "Minimum",
        "Maximum",
    }
)
_BOXES = re.compile(r"Box(Encoding)?Predictor(_\d+)?\Z")
_CLASSES = re.compile(r"ClassPredictor(_\d+)?\Z")
_STEPS = 64


@dataclass(frozen=True)
class Head:
    """One convolution whose result is joined.

    ``tensor`` is what is joined, ``feature`` the map the convolution reads.
    """

    tensor: Ref
    conv: str
    feature: Ref
    height: int | None
    width: int | None
    channels: int | None


def convolution_behind(graph: Graph, ref: Ref, *, joined: bool = True) -> Node | None:
    """Return the convolution whose result a tensor is, through bias, normalisation and reshapes, else None.

    ``joined`` follows the first part of what is joined, too.
    """
    at = ref
    for _ in range(_STEPS):
        node = graph.get(at.node)
        if node is None or not node.inputs:
            return None
        if node.op in CONVOLUTIONS:
            return node
        if node.op not in _PASSED or (node.op == "ConcatV2" and not joined):
            return None
        at = node.inputs[0]
    return None


def head_at(graph: Graph, inference: Inference, ref: Ref) -> Head | None:
    """Return the head whose convolution gives a tensor, with the size of its map and its channels, else
    None.
    """
    node = convolution_behind(graph, ref)
    if node is None:
        return None
    result, feature = inference.spec(Ref(node.name)), inference.spec(node.inputs[0])
    nchw = node.attrs.get("data_format") == b"NCHW"
    dims = feature.shape.dims if feature.shape.rank == 4 and feature.shape.dims else (None,) * 4
    height, width = dims[2:] if nchw else dims[1:3]
    last = result.shape.dims or (None,) * 4
    return Head(ref, node.name, node.inputs[0], height, width, last[1 if nchw else -1])


def named_role(conv: str) -> Role | None:
    """Return what the name of a head's convolution says that it predicts: boxes, class scores, or nothing."""
    # Only the convolution's own scope: 'BoxPredictor_0' around it is the scope of boxes and classes alike.
    scope = conv.rpartition("/")[0].rpartition("/")[2]
    return "conf" if _CLASSES.match(scope) else "loc" if _BOXES.match(scope) else None
