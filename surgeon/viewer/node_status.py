"""What can become of a node, why it did, and what differs between its two states."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from surgeon.deprecation import RenamedAttribute
from surgeon.diagnostics import Span
from surgeon.display import short_file
from surgeon.graph import Change, Node, Tensor

Kind = Literal["graph", "plan", "diff"]
"""What a report is of: one graph alone, a recipe's work, or two graphs."""


class NodeStatus(str, Enum):
    """What became of a node, or of a namespace.

    ``PARTLY`` is for namespaces of which some nodes stay and some do not.
    """

    KEPT = "kept"
    REWIRED = "rewired"
    CHANGED = "changed"
    RENAMED = "renamed"
    COLLAPSED = "collapsed"
    FORWARDED = "forwarded"
    DROPPED = "dropped"
    ADDED = "added"
    PARTLY = "partly"

    def __str__(self) -> str:
        return self.value


REMOVED = (NodeStatus.COLLAPSED, NodeStatus.FORWARDED, NodeStatus.DROPPED)
"""The statuses of nodes that the second graph lacks."""


MEANINGS = {
    NodeStatus.KEPT: "in both graphs, the same",
    NodeStatus.REWIRED: "in both, with other inputs",
    NodeStatus.CHANGED: "in both, with another operation or other attributes",
    NodeStatus.RENAMED: "in both, under another name",
    NodeStatus.COLLAPSED: "taken out; a new node took its place",
    NodeStatus.FORWARDED: "taken out; its readers read what it read",
    NodeStatus.DROPPED: "taken out, with nothing in its place",
    NodeStatus.ADDED: "put in",
    NodeStatus.PARTLY: "a namespace of which some nodes stay and some are gone",
}
"""What each status says of a node, or of a namespace."""


def status_word(status: str, kind: Kind) -> str:
    """Return a status for people: between two graphs nobody drops a node."""
    return "removed" if kind == "diff" and status == NodeStatus.DROPPED.value else status


@dataclass(frozen=True, slots=True)
class Provenance:
    """What became of a node and why.

    ``into`` names the node of the other graph that stands for it. ``step`` and ``span`` are the recipe's;
    ``reason`` is what the step says.
    """

    status: NodeStatus
    reason: str = ""
    into: str | None = None
    step: str = ""
    span: Span | None = None
    fate = RenamedAttribute("status", removal="0.2.0")

    @property
    def location(self) -> str:
        """The recipe's line for people; empty without one."""
        return location_of(self.span)


def location_of(span: Span | None) -> str:
    """Return a place for people, whose file may be read elsewhere.

    Files outside of the working folder are called by their name alone.
    """
    if span is None:
        return ""
    if span.file.startswith("<"):
        return f"({span.file.strip('<>')})"
    file = short_file(span.file)
    return f"{os.path.basename(file) if os.path.isabs(file) else file}:{span.line}"


KEPT = Provenance(NodeStatus.KEPT)


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One node, what became of it, and what differs between the two graphs where both have it."""

    node: Node
    provenance: Provenance = KEPT
    changes: tuple[Change, ...] = ()
    mark = RenamedAttribute("provenance", removal="0.2.0")

    @property
    def constant_bytes(self) -> int:
        """Bytes of the tensors that the node holds."""
        return sum(value.nbytes for value in self.node.attrs.values() if isinstance(value, Tensor))
