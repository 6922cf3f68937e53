"""A report in the formats of Google's Model Explorer.

It has the graphs, node data that colours what became of each node, and which nodes of the two graphs belong
together.

The formats are those of the package ``ai-edge-model-explorer`` 0.1: a graph collection as its
``graph_builder.py`` describes it, node data as its ``node_data_builder.py`` does, and the mapping that its
synchronised navigation takes.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

from surgeon.atomic import check_writable, make_folder, write_text
from surgeon.display import number, size, some
from surgeon.viewer.change_report import ChangeReport, GraphReport
from surgeon.viewer.explorer_layers import layers, whole_layers
from surgeon.viewer.explorer_nodes import count_nodes, node_json
from surgeon.viewer.explorer_states import STATES, node_states
from surgeon.viewer.namespace_report import Tally
from surgeon.viewer.node_status import Kind, status_word

COLOURS_FILE, MAPPING_FILE = "colours.json", "sync.json"

_KEYS = {"graph": ("graph",), "plan": ("before", "after"), "diff": ("first", "second")}
"""What the graphs are called, by the kind of the report: also the names of their files."""

_MOST_RELATED = 24

_BEGINNINGS = {
    **{f"{key}.json": f'{{"label":"{key}: '.encode() for keys in _KEYS.values() for key in keys},
    MAPPING_FILE: b'{"mappingEntries":',
}
"""How the files begin, by which those of an earlier export are known."""


def write_explorer(report: ChangeReport, folder: Path) -> tuple[Path, ...]:
    """Write the files for Model Explorer into a folder, and return them.

    The folder is made where it is missing; files of another kind of report in it are removed. Raise
    SurgeonError E105 for a file that cannot be written.
    """
    target = make_folder(folder)
    files = {target / name: text for name, text in explorer_files(report).items()}
    for path in files:
        check_writable(path, follow_links=False)
    for path, text in files.items():
        write_text(path, text, follow_links=False)
    for name, beginning in _BEGINNINGS.items():
        path = target / name
        if path not in files and os.path.isfile(path) and _begins_with(path, beginning):
            path.unlink()
    return tuple(files)


def explorer_query(report: ChangeReport, folder: Path) -> str:
    """Return the part of Model Explorer's address that opens the files in a folder.

    It opens two graphs side by side, synchronises the navigation, and colours the nodes.
    """
    labels = {key: label_of(report, key) for key in graphs_of(report)}
    panes = [
        {
            "deepestExpandedGroupNodeIds": [],
            "selectedNodeId": "",
            "selectedGraphId": key,
            "selectedCollectionLabel": label,
            "widthFraction": 1 / len(labels),
            "selected": index == 0,
        }
        for index, (key, label) in enumerate(labels.items())
    ]
    data: dict[str, Any] = {
        "models": [{"url": str(folder / f"{key}.json")} for key in labels],
        "nodeData": [str(folder / COLOURS_FILE)] * len(labels),
        "nodeDataTargets": list(labels.values()),
        "uiState": {"paneStates": panes},
    }
    if len(labels) > 1:
        data["sync"] = {"mode": "match_node_id"}
    return "/?data=" + quote(json.dumps(data, separators=(",", ":")), safe="")


def explorer_files(report: ChangeReport) -> dict[str, str]:
    """Return the files by name: a graph collection for each graph, and node data.

    Where there are two graphs, there is the mapping, too.
    """
    files: dict[str, Any] = {
        f"{key}.json": {"label": label_of(report, key), "graphs": [graph_data(report, key)]}
        for key in graphs_of(report)
    }
    files[COLOURS_FILE] = node_data(report)
    if report.before is not None:
        files[MAPPING_FILE] = mapping(report)
    return {
        name: json.dumps(data, separators=(",", ":"), allow_nan=False) + "\n" for name, data in files.items()
    }


def graphs_of(report: ChangeReport) -> dict[str, GraphReport]:
    """Return the graphs of a report by the name of their file, which is also their id."""
    return dict(zip(_KEYS[report.kind], report.graphs, strict=True))


def label_of(report: ChangeReport, key: str) -> str:
    """Return what the collection of a graph is called."""
    recipe = f", {report.recipe}" if report.recipe and key == "after" else ""
    return f"{key}: {report.title}{recipe}"


def graph_data(report: ChangeReport, key: str) -> dict[str, Any]:
    """Return one graph of a report, as Model Explorer draws it."""
    graph = graphs_of(report)[key]
    reports = graph.nodes.values()
    signals = {name for node_report in reports for name in node_report.node.control}
    attributes = {name: _layer(tally, report.kind) for name, tally in layers(reports).items()}
    return {
        "id": key,
        "nodes": [
            node_json(node_report, graph, report, node_report.node.name in signals) for node_report in reports
        ],
        "groupNodeAttributes": {"": _summary(report, key), **attributes},
    }


def node_data(report: ChangeReport) -> dict[str, Any]:
    """Return, by graph, the state and colour of every node that is not just kept."""
    return {
        key: {
            "name": "what became of it" if report.before is not None else "plugins",
            "results": {
                name: {"value": status_word(state, report.kind), "bgColor": STATES[state].colour}
                for name, state in node_states(report, graph).items()
            },
            "hideInAggregatedStatsTable": True,
            "showExpandedSummaryOnGroupNode": True,
            "showLabelCountColumnsInChildrenStatsTable": True,
        }
        for key, graph in graphs_of(report).items()
    }


def mapping(report: ChangeReport) -> dict[str, Any]:
    """Return which nodes of the first graph stand for which of the second.

    Nodes with the same name need no entry. For a node that took the place of others, the last entry counts:
    it names the layers that went into it as wholes.
    """
    assert report.before is not None
    first, second = report.before.nodes, report.after.nodes
    counterparts = ((name, node_report.provenance.into) for name, node_report in first.items())
    pairs = {
        name: into for name, into in counterparts if into is not None and into in second and into != name
    }
    entries = [{"leftNodeIds": [name], "rightNodeIds": [into]} for name, into in pairs.items()]
    entries += [
        {"leftNodeIds": names[:_MOST_RELATED], "rightNodeIds": [into]}
        for into, names in whole_layers(pairs, first, second).items()
    ]
    return {"mappingEntries": entries}


def _begins_with(path: Path, beginning: bytes) -> bool:
    with path.open("rb") as handle:
        return handle.read(len(beginning)) == beginning


def _summary(report: ChangeReport, key: str) -> dict[str, str]:
    """Return what is said of a whole graph, with what the colours mean."""
    graph = graphs_of(report)[key]
    summary = {
        "Graph": label_of(report, key),
        "Nodes": number(len(graph.nodes)),
        "Constants": size(graph.constant_bytes),
    }
    if graph is report.after and report.recipe:
        summary["Recipe"] = report.recipe
    if graph is report.after and report.target:
        summary["Target"] = report.target
    summary["Inputs"] = ", ".join(f"{name} {spec}" for name, spec in graph.inputs)
    summary["Outputs"] = ", ".join(f"{name} {spec}" for name, spec in graph.outputs)
    counts = Counter(node_states(report, graph).values())
    for name, state in STATES.items():
        if counts[name]:
            text = f"{state.colour_name}: {count_nodes(counts[name])}, {state.meaning}"
            summary[status_word(name, report.kind)] = text
    return summary


def _layer(tally: Tally, kind: Kind) -> dict[str, str]:
    """Return what is said of a layer."""
    attributes = {"Nodes": number(tally.nodes), "Constants": size(tally.constant_bytes)}
    if kind == "graph":
        return attributes
    statuses = [(status_word(status.value, kind), count) for status, count in tally.statuses.most_common()]
    attributes["Fate"] = ", ".join(
        f"{word} {number(count)}" if len(statuses) > 1 else word for word, count in statuses
    )
    locations: Counter[str] = Counter()
    for (_, location), count in tally.places.items():
        locations[location] += count
    del locations[""]
    for title, table in (("Became", tally.into), ("Recipe line", locations)):
        names = [
            f"{name} ({count_nodes(count)})" if len(table) > 1 else name
            for name, count in table.most_common()
        ]
        if names:
            attributes[title] = some(names)
    return attributes
