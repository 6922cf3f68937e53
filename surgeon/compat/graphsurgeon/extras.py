"""Chains of operations that are one: dilated convolutions and softmax."""

from __future__ import annotations

from typing import Any

from surgeon.compat.messages import clean

_DILATED = ["SpaceToBatchND", "Conv2D", "BatchToSpaceND"]
_SOFTMAX = ["Sub", "Pack", "Slice", "ConcatV2", "Reshape", "Softmax", "Reshape"]


def process_dilated_conv(graph: Any) -> Any:
    """Make a convolution between SpaceToBatchND and BatchToSpaceND one Conv2D, and return the graph.

    The Conv2D keeps its name, and reads the tensor, its weights, the block shape, the paddings and the crops.
    """
    for space, conv, batch in _exact(graph, _DILATED):
        if len(conv.input) < 2 or len(space.input) < 3 or len(batch.input) < 3:
            continue
        conv.input[:] = [space.input[0], conv.input[1], *space.input[1:3], batch.input[2]]
        _take_place(graph, conv, [space, batch], batch)
    return graph


def process_softmax(graph: Any) -> Any:
    """Make a softmax over the last axis that reshapes to a matrix and back one Softmax, and return the
    graph.
    """
    for _, _, _, _, before, softmax, after in _exact(graph, _SOFTMAX):
        softmax.input[:] = [before.input[0]]
        _take_place(graph, softmax, [before, after], after)
    return graph


def _exact(graph: Any, ops: list[str]) -> list[list[Any]]:
    """Return the chains of exactly one node for each operation, of which the inner ones are read once."""
    chains = []
    for nodes in graph.find_node_chains_by_op(ops):
        if [node.op for node in nodes] == ops and all(
            len(graph.node_outputs[node.name]) == 1 for node in nodes[-3:-1]
        ):
            chains.append(nodes)
    return chains


def _take_place(graph: Any, kept: Any, gone: list[Any], last: Any) -> None:
    """Let the readers of ``last`` read ``kept``, and take the nodes in ``gone`` out."""
    for reader in graph.node_outputs[last.name]:
        reader.input[:] = [kept.name if clean(source) == last.name else source for source in reader.input]
    graph._drop({node.name for node in gone})
