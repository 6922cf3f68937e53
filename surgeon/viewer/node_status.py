"""What can become of a node, and why it did."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from surgeon.diagnostics import Span


class Fate(str, Enum):
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


GONE = (Fate.COLLAPSED, Fate.FORWARDED, Fate.DROPPED)
"""The fates of nodes that the second graph lacks."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What became of a node and why.

    ``into`` names the node of the other graph that stands for it. ``step`` and ``span`` are the recipe's;
    ``reason`` is what the step says.
    """

    fate: Fate
    reason: str = ""
    into: str | None = None
    step: str = ""
    span: Span | None = None
