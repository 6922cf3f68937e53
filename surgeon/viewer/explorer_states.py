"""What a node is coloured for in Model Explorer, with the colours and what they mean."""

from __future__ import annotations

from typing import NamedTuple

from surgeon.viewer.change_report import ChangeReport, GraphReport
from surgeon.viewer.node_status import Kind, NodeReport, NodeStatus


class State(NamedTuple):
    """A colour, its name, and what nodes of that colour are."""

    colour: str
    colour_name: str
    meaning: str


STATES = {
    "collapsed": State("#1a5cb4", "blue", "taken out; another node took their place"),
    "forwarded": State("#a6adb5", "grey", "taken out; their readers read what they read"),
    "dropped": State("#b5302a", "red", "which the other graph lacks"),
    "added": State("#146a2e", "green", "which the other graph lacks"),
    "rewired": State("#805a00", "brown", "with other inputs"),
    "changed": State("#066a70", "teal", "with another operation or other attributes"),
    "renamed": State("#066A70", "teal", "under another name"),
    "derived": State("#6a35d2", "violet", "plugin nodes with values that were read off the graph"),
    "plugin": State("#6a35d2", "violet", "operations of TensorRT plugins"),
}
"""The colours of the page.

Model Explorer counts nodes by the text of a colour: where two states share a colour, case tells them apart.
"""


def node_states(report: ChangeReport, graph: GraphReport) -> dict[str, str]:
    """Return the states of the nodes of one graph that are not just kept, by name."""
    derived = report.derived if graph is report.after else {}
    states = {
        name: _state(node_report, node_report.node.op in graph.catalog, name in derived, report.kind)
        for name, node_report in graph.nodes.items()
    }
    return {name: state for name, state in states.items() if state}


def _state(report: NodeReport, is_plugin: bool, is_derived: bool, kind: Kind) -> str:
    """Return what a node is coloured for; empty where it is kept as it was."""
    if is_plugin and is_derived:
        return "derived"
    if is_plugin and kind == "graph":
        return "plugin"
    status = report.provenance.status
    return "" if status is NodeStatus.KEPT else status.value
