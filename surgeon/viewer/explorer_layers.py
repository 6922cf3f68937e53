"""Layers, as Model Explorer calls the namespaces that it opens and closes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

from surgeon.viewer.namespace_report import MAX_DEPTH, Tally
from surgeon.viewer.node_status import NodeReport

_LAYER = "___group___"
"""What Model Explorer writes behind a namespace for the id of its layer."""


def path_of(name: str) -> list[str]:
    """Return the layers of a node, outermost first, and its label."""
    parts = [part for part in name.replace(";", ":").replace("\\", "|").split("/") if part] or [name]
    depth = min(len(parts) - 1, MAX_DEPTH)
    return [*parts[:depth], "/".join(parts[depth:])]


def namespace_of(name: str) -> str:
    """Return the layer of a node.

    It has no semicolon, which would part layers, and no backslash, which would keep them from being parted.
    """
    return "/".join(path_of(name)[:-1])


def layers(reports: Iterable[NodeReport]) -> dict[str, Tally]:
    """Return the layers of a graph by namespace, each with all that lies in it."""
    tallies: dict[str, Tally] = {}
    for report in reports:
        location = report.provenance.location
        constant_bytes = report.constant_bytes
        for namespace in _around(report.node.name):
            tallies.setdefault(namespace, Tally()).count(report, location, constant_bytes)
    return tallies


def whole_layers(
    pairs: Mapping[str, str], first: Iterable[str], second: Collection[str]
) -> dict[str, list[str]]:
    """Return what went into each node that took the place of others, as ids.

    They are the ids of the outermost layers that went into it, and of the nodes outside of those. A layer
    went into a node if none of the layer's nodes stays and most of those that were replaced went into that
    node.

    ``pairs`` maps a node of the first graph to what it went into; ``first`` and ``second`` are the names of
    both graphs.
    """
    replacements: dict[str, Counter[str]] = {}
    kept: dict[str, None] = {}
    for name in first:
        for namespace in _around(name):
            if name in second:
                kept[namespace] = None
            elif name in pairs:
                replacements.setdefault(namespace, Counter())[pairs[name]] += 1
    gone = {
        namespace: counts.most_common(1)[0][0]
        for namespace, counts in replacements.items()
        if namespace not in kept
    }
    ids: dict[str, dict[str, None]] = {}
    for name, into in pairs.items():
        outermost = next((namespace for namespace in _around(name) if namespace in gone), None)
        if outermost is None or gone[outermost] == into:
            ids.setdefault(into, {})[name if outermost is None else f"{outermost}{_LAYER}"] = None
    return {into: list(names) for into, names in ids.items()}


def _around(name: str) -> Iterator[str]:
    """Give the namespaces around a node, outermost first."""
    namespace = namespace_of(name)
    end = namespace.find("/")
    while end >= 0:
        yield namespace[:end]
        end = namespace.find("/", end + 1)
    if namespace:
        yield namespace
