"""What detection plugins of scripts' graphs read, and the order that their fields say."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.compat.messages import clean, needed_nodes
from surgeon.compat.remarks import remark, word_place
from surgeon.diagnostics import Span
from surgeon.formats.graphdef.messages import attr_from_message
from surgeon.graph import AttrValue

DETECTION_PLUGINS = ("NMS_TRT", "NMSDynamic_TRT")
_ROLES = ("loc", "conf", "prior")
_NAMED = {
    "loc": ("boxencod", "box_encod", "locali", "loc_data", "mbox_loc", "box_loc"),
    "conf": ("classpred", "class_pred", "confiden", "conf_data", "mbox_conf", "box_conf"),
    "prior": ("anchor", "prior"),
}
_WEIGHTED = ("Conv2D", "DepthwiseConv2dNative", "MatMul")


def check_plugin_inputs(graphdef: Any) -> None:
    """Warn where a detection plugin of a GraphDef reads the picture, or its inputs in another order."""
    detections = [node for node in graphdef.node if node.op in DETECTION_PLUGINS]
    nodes = {node.name: node for node in graphdef.node} if detections else {}
    for node in detections:
        check_suppression(node, nodes)


def place_of_node(name: str) -> Span | str:
    """Return where the script makes a node of that name, else the name."""
    place = word_place(name, "argument")
    return place if place is not None and name in place.text else name


def place_of_field(field: str, node: str) -> Span | str:
    """Return where the script gives a field of a node, else where it makes the node."""
    place = word_place(field, "keyword")
    return place if place is not None and field in place.text else place_of_node(node)


def plugin_fields(node: Any) -> dict[str, AttrValue]:
    return {key: attr_from_message(node.attr[key]) for key in sorted(node.attr) if key.find("_u_") > 0}


def check_suppression(node: Any, nodes: Mapping[str, Any]) -> None:
    """Warn where the plugin's inputs are not what its field inputOrder says."""
    sources = [clean(source) for source in node.input]
    for source in sources:
        if source in nodes and nodes[source].op == "Placeholder":
            remark(
                "P118",
                f"the picture '{source}' is an input of '{node.name}' ({node.op}); expected boxes, "
                "scores and anchors",
                place_of_node(node.name),
                help=(f"let the script take it out: node.input.remove('{source}')",),
            )
    given = plugin_fields(node).get("inputOrder_u_ilist")
    if not isinstance(given, tuple):
        return
    classes = plugin_fields(node).get("numClasses_u_int")
    roles = _roles(sources, nodes, classes if isinstance(classes, int) else 0)
    order = [roles.index(role) if role in roles else -1 for role in _ROLES]
    if -1 not in order and list(given) != order:
        inputs = ", ".join(
            f"'{source}' is {role or 'another'}" for source, role in zip(sources, roles, strict=True)
        )
        remark(
            "P119",
            f"the field 'inputOrder' of '{node.name}' ({node.op}) is {list(given)}; the inputs are in the "
            f"order {order} in this graph",
            place_of_field("inputOrder", node.name),
            (inputs,),
            (f"write inputOrder={order} for this graph, or a recipe, which derives the order",),
        )


def _roles(sources: Sequence[str], nodes: Mapping[str, Any], classes: int) -> list[str | None]:
    """Return what each input of a detection plugin is: loc, conf, prior, or None where that is unknown.

    What no network input reaches is anchors. Of the others, four numbers for each anchor are boxes and one
    for each class are scores, by the channels of the layers that make them; where that does not tell, their
    names do.
    """
    walked = {source: needed_nodes(nodes, [source]) for source in sources}
    roles: list[str | None] = [None] * len(sources)
    heads = []
    for at, source in enumerate(sources):
        ops = {nodes[name].op for name in walked[source]}
        if source not in nodes or nodes[source].op == "Placeholder":
            continue
        if any("Anchor" in op or "Prior" in op for op in ops) or "Placeholder" not in ops:
            roles[at] = "prior"
        else:
            heads.append(at)
    channels = {at: _channels(sources[at], nodes) for at in heads}
    fitting = [
        pair for pair in itertools.permutations(heads) if len(pair) == 2 and _fits(channels, pair, classes)
    ]
    if len(fitting) == 1:
        loc, conf = fitting[0]
        roles[loc], roles[conf] = "loc", "conf"
        return roles
    for at in heads:
        near = [sources[at], *nodes[sources[at]].input, *_heads(sources[at], nodes)]
        roles[at] = _role_by_name(" ".join(near).lower())
    return roles


def _role_by_name(names: str) -> str | None:
    roles = [role for role, words in _NAMED.items() if any(word in names for word in words)]
    return roles[0] if len(roles) == 1 else None


def _fits(channels: Mapping[int, int], pair: tuple[int, ...], classes: int) -> bool:
    """Return whether two inputs are boxes and scores by their channels: 4 and ``classes`` for each anchor."""
    boxes, scores = (channels[at] for at in pair)
    return bool(boxes and scores and classes) and boxes * classes == scores * 4


def _heads(source: str, nodes: Mapping[str, Any]) -> list[str]:
    """Return the nearest layers with weights on every way up from a node."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    waiting = [source]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in nodes:
            continue
        seen.add(name)
        if nodes[name].op in _WEIGHTED:
            found[name] = None
        elif nodes[name].op != "Shape":
            waiting += [clean(each) for each in nodes[name].input]
    return list(found)


def _channels(source: str, nodes: Mapping[str, Any]) -> int:
    """Return the channels of the nearest layers with weights together, 0 where one is unknown."""
    total = 0
    for name in _heads(source, nodes):
        weights = nodes.get(clean(nodes[name].input[1])) if len(nodes[name].input) > 1 else None
        while weights is not None and weights.op == "Identity":
            weights = nodes.get(clean(weights.input[0]))
        if weights is None or "value" not in weights.attr:
            return 0
        sizes = [dim.size for dim in weights.attr["value"].tensor.tensor_shape.dim]
        if not sizes:
            return 0
        total += sizes[-1] * (sizes[-2] if nodes[name].op == "DepthwiseConv2dNative" else 1)
    return total
