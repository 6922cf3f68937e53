"""Which inputs of a graph have one batch: the shapes of its tensors show where two batches contradict."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from surgeon.graph import DType, Graph, Node, Ref, Shape, TensorValue
from surgeon.infer.inference import Inference

_BATCH, _OTHER_BATCH = 60 * 37, 60 * 41
"""Batches that no network has, and which small factors divide."""


def must_agree(graph: Graph, group: Collection[str], name: str) -> bool:
    """Return whether an input must have the batch of others: the shapes contradict where it has another one.

    The batch of an input is its first size; of a scalar, its value.
    """
    same = Inference(with_batches(graph, dict.fromkeys([*group, name], _BATCH)))
    different = Inference(with_batches(graph, {**dict.fromkeys(group, _BATCH), name: _OTHER_BATCH}))
    return _is_less_known(different, same)


def contradicts(graph: Graph, name: str, batch: int) -> bool:
    """Return whether the shapes of a graph contradict where a scalar is this batch."""
    return _is_less_known(Inference(with_batches(graph, {name: batch})), Inference(graph))


def with_batches(graph: Graph, batches: Mapping[str, int]) -> Graph:
    """Return a graph whose inputs have these batches."""
    return graph.replace(
        [_with_batch(node, batches[node.name]) if node.name in batches else node for node in graph]
    )


def _with_batch(node: Node, batch: int) -> Node:
    shape = node.attrs.get("shape")
    if isinstance(shape, Shape) and shape.dims:
        attrs = {**node.attrs, "shape": Shape((batch, *shape.dims[1:]))}
        attrs.pop("_output_shapes", None)
        return replace(node, attrs=attrs)
    dtype = node.attrs.get("dtype")
    if not isinstance(dtype, DType):
        return node
    value = TensorValue.of(np.array(batch, dtype.numpy()), dtype)
    return Node(node.name, "Const", attrs={"dtype": dtype, "value": value})


def _is_less_known(inference: Inference, other: Inference) -> bool:
    """Return whether a size that one inference knows is unknown to the other, as behind a contradiction."""
    for node in other.graph:
        known, dims = other.spec(Ref(node.name)).shape.dims, inference.spec(Ref(node.name)).shape.dims
        if known is None:
            continue
        if dims is None or len(dims) != len(known):
            return True
        if any(size is None and own is not None for size, own in zip(dims, known, strict=True)):
            return True
    return False
