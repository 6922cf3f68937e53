"""What is probably wrong in a script's graph when it is converted, and silent in the incumbents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.catalog import PluginSpec, load_catalog
from surgeon.compat.graphsurgeon.removal import taken_out, tell_torn
from surgeon.compat.messages import clean, needed_nodes
from surgeon.compat.plugin_inputs import (
    DETECTION_PLUGINS,
    check_suppression,
    place_of_field,
    place_of_node,
    plugin_fields,
)
from surgeon.compat.remarks import and_others, remark
from surgeon.compat.target import current_target
from surgeon.compat.uff.converters.tensorflow.converter import TensorFlowToUFFConverter
from surgeon.compat.uff.converters.tensorflow.converter_functions import NEARLY
from surgeon.diagnostics import nearest_note
from surgeon.formats.uff.model import field_name
from surgeon.graph.input_counts import INPUT_COUNTS
from surgeon.targets import Target

LONGEST = 8
"""Nodes of a cycle that a warning names."""


def check_script_graph(graphdef: Any, outputs: Sequence[str]) -> None:
    """Warn of what is probably wrong in what the outputs of a GraphDef depend on."""
    nodes = {node.name: node for node in graphdef.node}
    plugins, target = {plugin.creator: plugin for plugin in load_catalog().values()}, current_target()
    needed = [nodes[name] for name in needed_nodes(nodes, outputs)]
    known = TensorFlowToUFFConverter.registry_
    custom: dict[str, list[str]] = {}
    for node in needed:
        if node.op in plugins and "T" not in node.attr:  # TensorFlow has operations of the same names
            _check_plugin(node, plugins[node.op], target)
        elif node.op not in known:
            custom.setdefault(node.op, []).append(node.name)
        else:
            _check_input_count(node, nodes)
        if node.op in DETECTION_PLUGINS:
            check_suppression(node, nodes)
    _check_ports(needed, nodes)
    _check_cycles(nodes, outputs)
    tell_torn(graphdef, {node.name for node in needed})
    for op, names in custom.items():
        _tell_custom(op, names, target)


def _check_ports(needed: Sequence[Any], nodes: Mapping[str, Any]) -> None:
    """Warn of edges from another output than the first; one warning speaks of all."""
    found = [
        (node, spelling)
        for node in needed
        for spelling in node.input
        if TensorFlowToUFFConverter.split_node_name_and_output(spelling)[1] and clean(spelling) in nodes
    ]
    if found:
        node, spelling = found[0]
        remark(
            "P114",
            f"'{node.name}' ({node.op}) reads '{spelling}'{and_others(len(found), 'edge')}, and UFF has "
            "output 0 of a node only",
            place_of_node(node.name),
            help=(f"map the namespace of '{clean(spelling)}' to a plugin, or cut the graph before it",),
        )


def _check_input_count(node: Any, nodes: Mapping[str, Any]) -> None:
    """Warn where an operation reads more or fewer tensors than TensorFlow's does.

    Constants behind all that it reads, such as those of a dilated chain, are passed over by the converter.
    """
    data = [source for source in node.input if not source.startswith("^")]
    least, most = INPUT_COUNTS.get(node.op, (0, None))
    if node.op == "Softmax":
        most = 2  # the converter takes the second one for the axis
    if node.op == "ConcatV2" and "axis" in node.attr:
        least = 1
    constant = [clean(source) in nodes and nodes[clean(source)].op == "Const" for source in data]
    passed_over = most is not None and all(constant[most:]) and not any(constant[:1])
    if len(data) >= least and (most is None or len(data) <= most or passed_over):
        return
    remark(
        "P129",
        f"'{node.name}' ({node.op}) reads {', '.join(map(repr, data)) or 'nothing'}; expected {least}"
        f"{'' if most == least else ' or more'} input{'' if most == 1 else 's'}",
        place_of_node(node.name),
        help=(
            "'forward_inputs' leaves all inputs of the node that it takes out, constants such as a shape "
            "included, and 'remove' leaves none: let the script set the inputs of this node",
        ),
    )


def _check_cycles(nodes: Mapping[str, Any], outputs: Sequence[str]) -> None:
    """Warn of one cycle among what the outputs depend on; loops of TensorFlow are none."""
    on_way: dict[str, None] = {}
    done: set[str] = set()
    waiting = [(name, False) for name in outputs]
    while waiting:
        name, left = waiting.pop()
        if left:
            del on_way[name]
            done.add(name)
            continue
        if name in on_way:
            way = list(on_way)
            cycle = [*way[way.index(name) :], name]
            shown = cycle if len(cycle) <= LONGEST else [*cycle[: LONGEST - 2], "...", name]
            remark(
                "P130",
                f"'{name}' depends on itself, each node of {' <- '.join(shown)} reading the next",
                place_of_node(name),
                help=("take one of these edges out, or let one namespace hold all of these nodes",),
            )
            return
        if name in done or name not in nodes or nodes[name].op == "NextIteration":
            continue
        on_way[name] = None
        waiting.append((name, True))
        waiting += [(clean(source), False) for source in nodes[name].input]


def tell_shortened(graphdef: Any, outputs: Sequence[str]) -> None:
    """Warn of outputs that were found, and that are outputs since the script took out what read them."""
    nodes = {node.name: node for node in graphdef.node}
    known = TensorFlowToUFFConverter.registry_
    for each in taken_out(graphdef):
        ends = [name for name in outputs if name in each.sources and nodes[name].op in known]
        if each.was_output and ends:
            remark(
                "P140",
                f"'{ends[0]}' is an output because the script takes out '{each.name}' ({each.op}), which "
                "read it",
                each.place,
                help=(
                    f"keep '{each.name}' in the graph, or name the outputs: "
                    f"from_tensorflow(graph, ['{ends[0]}']), convert-to-uff -O {ends[0]}",
                ),
            )


def _tell_custom(op: str, names: Sequence[str], target: Target) -> None:
    cure = NEARLY.get(op)
    stay = f"'{names[0]}'{and_others(len(names), 'node')} {'stays' if len(names) == 1 else 'stay'}"
    help = (
        f"let the script make each '{cure}': gs.update_node(node, op='{cure}')"
        if cure
        else "map the namespace to a plugin, or load a library that has a plugin of that name"
    )
    remark(
        "P115",
        f"{stay} as the custom operation '_{op}'; '{target.name}' has no such plugin",
        place_of_node(names[0]),
        help=(help,),
    )


def _check_plugin(node: Any, plugin: PluginSpec, target: Target) -> None:
    if not plugin.exists_in(target.tensorrt):
        replacement = plugin.replacement_in(target.tensorrt) if target.tensorrt else None
        remark(
            "P116",
            f"the plugin '{node.op}' of '{node.name}' is not in '{target.name}'",
            place_of_node(node.name),
            help=(
                f"use '{replacement}'"
                if replacement
                else "use another target, or a library that has the plugin",
            ),
        )
        return
    for key, value in plugin_fields(node).items():
        if isinstance(value, bytes):
            remark(
                "P117",
                f"the field '{field_name(key)}' of '{node.name}' ({node.op}) is text, which is written as "
                f"{str(value)!r}",
                place_of_field(field_name(key), node.name),
                help=("leave it out where the plugin has no such field",),
            )
        elif field_name(key) not in plugin.fields:
            remark(
                "P128",
                f"the field '{field_name(key)}' of '{node.name}' is none of '{node.op}', and is passed over",
                place_of_field(field_name(key), node.name),
                nearest_note(field_name(key), plugin.fields),
                ("correct the spelling, or leave the field out",),
            )
