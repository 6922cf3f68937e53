"""The layout of an image input: what the ops that first treat its axes as space and channels say."""

from __future__ import annotations

from collections.abc import Container

from surgeon.diagnostics import error
from surgeon.formats.shape_advice import shape_advice
from surgeon.graph import Graph, Node, Shape

_SPATIAL = frozenset(
    {
        "Conv2D",
        "DepthwiseConv2dNative",
        "Conv2DBackpropInput",
        "MaxPool",
        "AvgPool",
        "MaxPoolV2",
        "BiasAdd",
        "FusedBatchNorm",
        "FusedBatchNormV2",
        "FusedBatchNormV3",
        "LRN",
        "DepthToSpace",
        "SpaceToDepth",
        "ResizeBilinear",
        "ResizeNearestNeighbor",
        "CropAndResize",
        "SpaceToBatchND",
    }
)
_OPAQUE = frozenset(
    {
        "Reshape",
        "Squeeze",
        "MatMul",
        "Shape",
        "Size",
        "Rank",
        "ArgMax",
        "ArgMin",
        "ExpandDims",
        "Gather",
        "GatherV2",
    }
)


def input_shape(
    graph: Graph, node: Node, exported: Container[str], left_out: Container[str] = ()
) -> tuple[int, ...]:
    """Return the shape of an input as the file states it, batch included.

    Unknown batch is 1. A rank-4 input whose first spatial readers are NHWC is stated NCHW, as TensorRT
    registers it. One that no spatial op reads (before a Reshape, a Transpose, a plugin) is stated as the
    graph has it: nothing then says which axis is the channel. ``left_out`` are Transposes, NHWC to a plugin's
    NCHW, that the file does without. Raise X106 for any other unknown dimension, X112 where readers disagree.
    """
    shape = node.attrs.get("shape")
    dims = shape.dims if isinstance(shape, Shape) else None
    if dims is None or any(d is None for d in dims[1:]):
        told = shape if isinstance(shape, Shape) else Shape()
        raise error(
            "X106",
            f"the input '{node.name}' has the shape {told}; UFF needs every size but the batch",
            node.name,
            help=[shape_advice(node.name, told)],
        )
    sizes = tuple(1 if d is None else d for d in dims)
    if not is_stated_channels_first(graph, node, exported, left_out):
        return sizes
    batch, height, width, channels = sizes
    return batch, channels, height, width


def is_stated_channels_first(
    graph: Graph, node: Node, exported: Container[str], left_out: Container[str] = ()
) -> bool:
    """Return whether :func:`input_shape` states an input channels first where the graph has them last.

    Raise X112 where readers disagree.
    """
    shape = node.attrs.get("shape")
    rank = shape.rank if isinstance(shape, Shape) else None
    return rank == 4 and _layout(graph, node, exported, left_out) == "NHWC"


def _layout(graph: Graph, node: Node, exported: Container[str], left_out: Container[str]) -> str | None:
    says: dict[str, Node] = {}
    seen = {node.name}
    queue = [node.name]
    while queue:
        for reader in graph.readers[queue.pop()]:
            if reader in seen or reader not in exported:
                continue
            seen.add(reader)
            found = graph[reader]
            if found.op in _SPATIAL:
                layout = found.attrs.get("data_format", b"NHWC")
                says.setdefault(
                    layout.decode("utf-8", "replace") if isinstance(layout, bytes) else "NHWC", found
                )
            elif found.op == "Transpose":
                says.setdefault("NHWC" if reader in left_out else "Transpose", found)
            elif found.op not in _OPAQUE:
                queue.append(reader)
    if len(says) > 1 and "NHWC" in says:
        shown = [f"'{n.name}' ({n.op}) reads it as {layout}" for layout, n in sorted(says.items())]
        raise error(
            "X112",
            f"the input '{node.name}' is read in more than one layout; UFF states one",
            node.name,
            shown,
            ["give each reader an input of its own, or cut the graph after the conversion"],
        )
    return "NHWC" if "NHWC" in says else None
