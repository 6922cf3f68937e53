"""Layers, as Model Explorer calls the namespaces that it opens and closes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from surgeon.viewer.change_report import MAX_DEPTH, NodeStory, place
from surgeon.viewer.node_status import Fate

_LAYER = "___group___"
"""What Model Explorer writes behind a namespace for the id of its layer."""


@dataclass
class Layer:
    """Counts of one namespace of one graph: its nodes, what became of them, and which recipe lines did it."""

    nodes: int = 0
    constant_bytes: int = 0
    fates: dict[Fate, int] = field(default_factory=dict)
    into: dict[str, int] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)

    def count(self, story: NodeStory, at: str) -> None:
        """Add a node, whose recipe line is ``at``."""
        mark = story.mark
        self.nodes += 1
        self.constant_bytes += story.constant_bytes
        self.fates[mark.fate] = self.fates.get(mark.fate, 0) + 1
        if mark.into is not None and mark.fate is Fate.COLLAPSED:
            self.into[mark.into] = self.into.get(mark.into, 0) + 1
        if at:
            self.places[at] = self.places.get(at, 0) + 1


def path_of(name: str) -> list[str]:
    """Return the layers of a node, outermost first, and its label."""
    parts = [part for part in name.replace(";", ":").replace("\\", "|").split("/") if part] or [name]
    depth = min(len(parts) - 1, MAX_DEPTH)
    return [*parts[:depth], "/".join(parts[depth:])]


def namespace_of(name: str) -> str:
    """Return the layer of a node.

    A semicolon would part layers, and a backslash would keep them from being parted.
    """
    return "/".join(path_of(name)[:-1])


def layers(stories: Iterable[NodeStory]) -> dict[str, Layer]:
    """Return the layers of a graph by namespace, each with all that lies in it."""
    found: dict[str, Layer] = {}
    for story in stories:
        at = place(story.mark.span)
        for namespace in _around(story.node.name):
            found.setdefault(namespace, Layer()).count(story, at)
    return found


def whole_layers(
    pairs: Mapping[str, str], first: Iterable[str], second: Collection[str]
) -> dict[str, list[str]]:
    """Return, for every node that others went into, the ids of the outermost layers that are gone into it,
    and of the nodes outside those. A layer is gone into a node when none of its nodes stays and most of those
    that went into some went into that one.

    ``pairs`` maps a node of the first graph to what it went into; ``first`` and ``second`` are the names of
    both graphs.
    """
    went: dict[str, dict[str, int]] = {}
    stays: dict[str, None] = {}
    for name in first:
        for namespace in _around(name):
            if name in second:
                stays[namespace] = None
            elif name in pairs:
                counts = went.setdefault(namespace, {})
                counts[pairs[name]] = counts.get(pairs[name], 0) + 1
    gone = {
        namespace: max(counts, key=lambda into: counts[into])
        for namespace, counts in went.items()
        if namespace not in stays
    }
    found: dict[str, dict[str, None]] = {}
    for name, into in pairs.items():
        around = next((namespace for namespace in _around(name) if namespace in gone), None)
        if around is None or gone[around] == into:
            found.setdefault(into, {})[name if around is None else f"{around}{_LAYER}"] = None
    return {into: list(ids) for into, ids in found.items()}


def _around(name: str) -> Iterator[str]:
    """Give the namespaces around a node, outermost first."""
    namespace = namespace_of(name)
    end = namespace.find("/")
    while end >= 0:
        yield namespace[:end]
        end = namespace.find("/", end + 1)
    if namespace:
        yield namespace
