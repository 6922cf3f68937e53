"""A script's graph to UFF, as the incumbent converter 0.6.3 walks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.compat.remarks import remark
from surgeon.compat.talk import say
from surgeon.compat.uff.converters.tensorflow.converter import (
    TensorFlowToUFFConverter,
    UffGraph,
    source_of,
)
from surgeon.compat.uff.converters.tensorflow.converter_functions import convert_custom
from surgeon.diagnostics import SurgeonError, error, nearest_note
from surgeon.formats.uff import UffModel


def convert(tf_nodes: Mapping[str, Any], outputs: Sequence[str], quiet: bool) -> UffModel:
    """Return the UFF content of what ``outputs`` depend on, marked in their order.

    A node stands before what it reads. Raise SurgeonError P110 where a node reads what is not in the graph,
    and what the functions of single operations raise.
    """
    graph = UffGraph()
    done: set[str] = set()
    waiting = [(name, name) for name in reversed(outputs)]
    while waiting:
        name, reader = waiting.pop()
        if name in done:
            continue
        if name not in tf_nodes:
            raise _missing(tf_nodes[reader], [name], tf_nodes)
        done.add(name)
        node = tf_nodes[name]
        inputs = _present(node, tf_nodes)
        function = TensorFlowToUFFConverter.registry_.get(node.op)
        if function is None:
            if not quiet:
                say(f"Converting {name} as custom op: {node.op}")
            function = convert_custom
        waiting += [(each, name) for each in function(name, node, inputs, graph, tf_nodes=tf_nodes)]
    for number, name in enumerate(outputs):
        graph.add(f"MarkOutput_{number}", "MarkOutput", [name])
    return graph.model()


def _present(node: Any, tf_nodes: Mapping[str, Any]) -> list[str]:
    """Return the nodes that a node reads; raise SurgeonError P110 for one that is not in the graph.

    An input of the network reads nothing, so what a script left there is passed over with a warning.
    """
    sources = [source_of(spelling, tf_nodes) for spelling in node.input]
    missing = [
        spelling for spelling, source in zip(node.input, sources, strict=True) if source not in tf_nodes
    ]
    if not missing:
        return sources
    problem = _missing(node, missing, tf_nodes)
    if node.op != "Placeholder":
        raise problem
    help = (f"let the script take it out: node.input.remove('{missing[0]}')",)
    remark("P110", problem.diagnostics[0].message, node.name, help=help)
    return [source for source in sources if source in tf_nodes]


def _missing(node: Any, names: Sequence[str], tf_nodes: Mapping[str, Any]) -> SurgeonError:
    listed = ", ".join(f"'{name}'" for name in names)
    return error(
        "P110",
        f"'{node.name}' ({node.op}) reads {listed}, which is not in the graph",
        node.name,
        nearest_note(names[0], tf_nodes),
        ["map the namespace of what is missing, or let the script take the input out"],
    )
