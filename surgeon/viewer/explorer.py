"""The story in the formats of Google's Model Explorer: graphs, node data that colours what became of each
node, and which nodes of the two graphs belong together.

The formats are those of the package ``ai-edge-model-explorer`` 0.1: a graph collection as its
``graph_builder.py`` describes it, node data as its ``node_data_builder.py`` does, and the mapping that its
synchronised navigation takes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from surgeon.atomic import make_folder, write_text
from surgeon.diagnostics import SurgeonError
from surgeon.display import number, size, some
from surgeon.graph import Node
from surgeon.viewer.change_report import CONSTANTS, GraphStory, NodeStory, Story, place
from surgeon.viewer.drawing_data import attributes_of, specs_of
from surgeon.viewer.explorer_layers import Layer, layers, namespace_of, path_of, whole_layers
from surgeon.viewer.html_parts import value_of
from surgeon.viewer.node_status import Fate, Mark

COLOURS_FILE, MAPPING_FILE = "colours.json", "sync.json"

CONTROL = "control"
"""The output that a control edge comes from."""

COLOURS = {
    "collapsed": "#1f6fd6",
    "forwarded": "#a6adb5",
    "dropped": "#c4382e",
    "added": "#1a8a3c",
    "rewired": "#9a6b00",
    "changed": "#0b7f86",
    "renamed": "#0B7F86",
    "derived": "#7a46e0",
    "plugin": "#7a46e0",
}
"""The colours of the page.

Model Explorer counts nodes by the text of a colour: where two states share a colour, case tells them apart.
"""

_SIDES = {"graph": ("graph", "graph"), "plan": ("before", "after"), "diff": ("first", "second")}
_MOST_RELATED = 24

_BEGINNINGS = {
    **{f"{key}.json": f'{{"label":"{key}: '.encode() for pair in _SIDES.values() for key in pair},
    MAPPING_FILE: b'{"mappingEntries":',
}
"""How the files begin, by which those of an earlier export are known."""


def write_explorer(story: Story, folder: Path) -> tuple[Path, ...]:
    """Write the files for Model Explorer into a folder, which is made, and take away those of another kind of
    story.

    Return the files. Raise SurgeonError E105.
    """
    made = make_folder(folder)
    files = {made / name: text for name, text in explorer_files(story).items()}
    for path, text in files.items():
        write_text(path, text)
    for name, begins in _BEGINNINGS.items():
        old = made / name
        if old not in files and old.is_file():
            with old.open("rb") as handle:
                ours = handle.read(len(begins)) == begins
            if ours:
                old.unlink()
    return tuple(files)


def explorer_query(story: Story, folder: Path) -> str:
    """Return the part of Model Explorer's address that opens the files in a folder: two graphs side by side,
    the navigation in both synchronised, and the nodes coloured.
    """
    shown = {key: label_of(story, key) for key in sides(story)}
    panes = [
        {
            "deepestExpandedGroupNodeIds": [],
            "selectedNodeId": "",
            "selectedGraphId": key,
            "selectedCollectionLabel": label,
            "widthFraction": 1 / len(shown),
            "selected": index == 0,
        }
        for index, (key, label) in enumerate(shown.items())
    ]
    data: dict[str, Any] = {
        "models": [{"url": str(folder / f"{key}.json")} for key in shown],
        "nodeData": [str(folder / COLOURS_FILE)] * len(shown),
        "nodeDataTargets": list(shown.values()),
        "uiState": {"paneStates": panes},
    }
    if len(shown) > 1:
        data["sync"] = {"mode": "match_node_id"}
    return "/?data=" + quote(json.dumps(data, separators=(",", ":")), safe="")


def explorer_files(story: Story) -> dict[str, str]:
    """Return the files by name: a graph collection for each graph, node data, and the mapping where there are
    two graphs.
    """
    files: dict[str, Any] = {
        f"{key}.json": _collection(story, key, side) for key, side in sides(story).items()
    }
    files[COLOURS_FILE] = node_data(story)
    if story.before is not None:
        files[MAPPING_FILE] = mapping(story)
    return {
        name: json.dumps(data, separators=(",", ":"), allow_nan=False) + "\n" for name, data in files.items()
    }


def sides(story: Story) -> dict[str, GraphStory]:
    """Return the graphs of a story by the name of their file, which is also their id."""
    first, second = _SIDES[story.kind]
    return {second: story.after} if story.before is None else {first: story.before, second: story.after}


def label_of(story: Story, key: str) -> str:
    """Return what the collection of a graph is called."""
    return f"{key}: {story.title}" + (f", {story.recipe}" if story.recipe and key == "after" else "")


def graph_data(story: Story, key: str) -> dict[str, Any]:
    """Return one graph of a story, as Model Explorer draws it."""
    side = sides(story)[key]
    derived = _derived(story) if side is story.after else {}
    signals = {name: None for told in side.nodes.values() for name in told.node.control}
    nodes = [
        _node(told, side, story, derived.get(told.node.name, {}), told.node.name in signals)
        for told in side.nodes.values()
    ]
    return {
        "id": key,
        "nodes": nodes,
        "groupNodeAttributes": {"": _about(story, key, side), **_layer_attributes(side, story.kind)},
    }


def node_data(story: Story) -> dict[str, Any]:
    """Return, by graph, the state and colour of every node that is not just kept."""
    found: dict[str, Any] = {}
    for key, side in sides(story).items():
        derived = _derived(story) if side is story.after else {}
        states = ((told.node.name, _state(told, side, story.kind, derived)) for told in side.nodes.values())
        results = {
            name: {"value": _word(state, story.kind), "bgColor": COLOURS[state]}
            for name, state in states
            if state
        }
        found[key] = {
            "name": "what became of it" if story.before is not None else "plugins",
            "results": results,
            "hideInAggregatedStatsTable": True,
            "showExpandedSummaryOnGroupNode": True,
            "showLabelCountColumnsInChildrenStatsTable": True,
        }
    return found


def mapping(story: Story) -> dict[str, Any]:
    """Return which nodes of the first graph stand for which of the second; nodes with the same name need no
    entry.

    For a node that took others' place the last entry counts: it names the layers that are gone into it as
    wholes.
    """
    assert story.before is not None
    pairs = {
        told.node.name: told.mark.into
        for told in story.before.nodes.values()
        if told.mark.into is not None
        and told.mark.into in story.after.nodes
        and told.mark.into != told.node.name
    }
    entries = [{"leftNodeIds": [name], "rightNodeIds": [into]} for name, into in pairs.items()]
    entries += [
        {"leftNodeIds": names[:_MOST_RELATED], "rightNodeIds": [into]}
        for into, names in whole_layers(pairs, story.before.nodes, story.after.nodes).items()
    ]
    return {"mappingEntries": entries}


def _collection(story: Story, key: str, side: GraphStory) -> dict[str, Any]:
    return {"label": label_of(story, key), "graphs": [graph_data(story, key)]}


def _node(
    told: NodeStory, side: GraphStory, story: Story, derived: Mapping[str, tuple[str, ...]], signals: bool
) -> dict[str, Any]:
    node = told.node
    outputs = [_output(node, slot, str(spec), port) for slot, (spec, port) in enumerate(_outputs(node, side))]
    if signals:
        outputs.append({"id": CONTROL, "attrs": _pairs({"tensor_shape": CONTROL})})
    found = {
        "id": node.name,
        "label": _label(node),
        "namespace": namespace_of(node.name),
        "attrs": _pairs(_attributes(told, side, story, derived)),
        "incomingEdges": [
            {"sourceNodeId": source, "sourceNodeOutputId": output, "targetNodeInputId": str(index)}
            for index, source, output in _edges(node, side)
        ],
        "inputsMetadata": [
            {"id": str(index), "attrs": _pairs({"__tensor_tag": CONTROL})}
            for index in range(len(node.inputs), len(node.inputs) + len(node.control))
        ],
        "outputsMetadata": outputs,
    }
    return {key: value for key, value in found.items() if value or key in ("id", "label", "namespace")}


def _label(node: Node) -> str:
    # Model Explorer leaves nodes out that are labelled like this, unless its settings say otherwise.
    return "Const" if node.op in CONSTANTS else path_of(node.name)[-1]


def _edges(node: Node, side: GraphStory) -> Iterator[tuple[int, str, str]]:
    for index, ref in enumerate(node.inputs):
        if ref.node in side.nodes:
            yield index, ref.node, str(ref.slot)
    for index, name in enumerate(node.control, len(node.inputs)):
        if name in side.nodes:
            yield index, name, CONTROL


def _outputs(node: Node, side: GraphStory) -> Iterator[tuple[Any, str]]:
    ports: tuple[str, ...] = ()
    if node.op in side.catalog:
        try:
            ports = side.catalog[node.op].output_ports(dict(node.attrs))
        except SurgeonError:
            ports = ()  # a field is wrong; the diagnostics say so
    for slot, spec in enumerate(specs_of(side, node.name)):
        yield spec, ports[slot] if slot < len(ports) else ""


def _output(node: Node, slot: int, spec: str, port: str) -> dict[str, Any]:
    name = node.name if slot == 0 else f"{node.name}:{slot}"
    # The key is Model Explorer's, and what stands there is written on the edges: the element type belongs to
    # it.
    return {
        "id": str(slot),
        "attrs": _pairs(
            {**({"__tensor_tag": port} if port else {}), "tensor_name": name, "tensor_shape": spec}
        ),
    }


def _attributes(
    told: NodeStory, side: GraphStory, story: Story, derived: Mapping[str, tuple[str, ...]]
) -> dict[str, str]:
    node = told.node
    found = {"Operation": node.op}
    if node.op in side.catalog:
        found["Plugin"] = side.catalog[node.op].title
    found.update(
        _history(told.mark, story.replaced.get(node.name, {}) if side is story.after else {}, story.kind)
    )
    for change in told.changes:
        found[f"Changed {change.label}"] = f"{change.before or 'none'} → {change.after or 'none'}"
    if told.constant_bytes:
        found["Constant"] = size(told.constant_bytes)
    for key, text in (*attributes_of(told, side), *_left_out(node, side)):
        shown = f"{text} (derived: {'; '.join(derived[key])})" if key in derived else text
        found[key if key not in found else f"{key} (attribute)"] = shown
    return found


def _left_out(node: Node, side: GraphStory) -> Iterator[tuple[str, str]]:
    """Give the fields of a plugin node that are not written: they have the plugin's default."""
    for name, spec in side.catalog[node.op].fields.items() if node.op in side.catalog else ():
        if name not in node.attrs and spec.default is not None:
            yield name, f"{value_of(spec.default)} (default)"


def _history(mark: Mark, replaced: Mapping[str, int], kind: str) -> dict[str, str]:
    if kind == "graph":
        return {}
    found = {"Fate": _word(mark.fate.value, kind)}
    if mark.reason:
        found["Why"] = mark.reason
    if mark.into is not None:
        found["Was" if mark.fate is Fate.RENAMED and mark.reason.startswith("was ") else "Became"] = mark.into
    if replaced:
        found["Took the place of"] = some(
            [f"{name} ({_nodes(count)})" for name, count in replaced.items()], 12
        )
    if mark.step:
        found["Step"] = mark.step
    if mark.span is not None:
        found["Recipe line"] = place(mark.span)
    return found


def _about(story: Story, key: str, side: GraphStory) -> dict[str, str]:
    """Return what is said of a whole graph, with what the colours mean."""
    found = {
        "Graph": label_of(story, key),
        "Nodes": number(len(side.nodes)),
        "Constants": size(side.constant_bytes),
    }
    if side is story.after:
        found.update(
            {name: text for name, text in (("Recipe", story.recipe), ("Target", story.target)) if text}
        )
    found["Inputs"] = ", ".join(f"{name} {spec}" for name, spec in side.inputs)
    found["Outputs"] = ", ".join(f"{name} {spec}" for name, spec in side.outputs)
    derived = _derived(story) if side is story.after else {}
    states = [_state(told, side, story.kind, derived) for told in side.nodes.values()]
    for state, text in _MEANINGS.items():
        count = states.count(state)
        if count:
            found[_word(state, story.kind)] = f"{_COLOUR_NAMES[state]}: {_nodes(count)}, {text}"
    return found


_MEANINGS = {
    "collapsed": "taken out; another node took their place",
    "forwarded": "taken out; their readers read what they read",
    "dropped": "which the other graph lacks",
    "added": "which the other graph lacks",
    "rewired": "with other inputs",
    "changed": "with another operation or other attributes",
    "renamed": "under another name",
    "derived": "plugin nodes with values that were read off the graph",
    "plugin": "operations of TensorRT plugins",
}

_COLOUR_NAMES = {
    "collapsed": "blue",
    "forwarded": "grey",
    "dropped": "red",
    "added": "green",
    "rewired": "brown",
    "changed": "teal",
    "renamed": "teal",
    "derived": "violet",
    "plugin": "violet",
}


def _layer_attributes(side: GraphStory, kind: str) -> dict[str, dict[str, str]]:
    return {name: _layer(layer, kind) for name, layer in layers(side.nodes.values()).items()}


def _layer(layer: Layer, kind: str) -> dict[str, str]:
    found = {"Nodes": number(layer.nodes), "Constants": size(layer.constant_bytes)}
    if kind == "graph":
        return found
    counts = sorted(layer.fates.items(), key=lambda item: -item[1])
    found["Fate"] = ", ".join(
        f"{_word(fate.value, kind)} {number(count)}" if len(counts) > 1 else _word(fate.value, kind)
        for fate, count in counts
    )
    for title, table in (("Became", layer.into), ("Recipe line", layer.places)):
        if table:
            ranked = sorted(table.items(), key=lambda item: -item[1])
            found[title] = some(
                [f"{name} ({_nodes(count)})" if len(ranked) > 1 else name for name, count in ranked]
            )
    return found


def _state(told: NodeStory, side: GraphStory, kind: str, derived: Mapping[str, object]) -> str:
    """Return what a node is coloured for; empty where it is kept as it was."""
    if told.node.op in side.catalog:
        if told.node.name in derived:
            return "derived"
        if kind == "graph":
            return "plugin"
    return "" if told.mark.fate is Fate.KEPT else told.mark.fate.value


def _word(state: str, kind: str) -> str:
    return "removed" if kind == "diff" and state == "dropped" else state


def _nodes(count: int) -> str:
    return f"{number(count)} node{'' if count == 1 else 's'}"


def _derived(story: Story) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return, by node and field, what shows a derived value."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for one in story.derivations:
        found.setdefault(one.node, {})[one.field] = one.evidence
    return found


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]
