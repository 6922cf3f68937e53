"""Namespaces that hold some nodes of a graph and none of others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from surgeon.graph import Graph, Ref
from surgeon.graph.op_sets import IDENTITIES

DEPTH = 12
"""Components of a name that are looked at."""


def shortest_namespaces(
    graph: Graph,
    cores: Mapping[str, Collection[str]],
    stay: Iterable[str],
    nested: Collection[tuple[str, str]] = (),
) -> dict[str, str]:
    """Return the namespaces that hold the nodes of each core, as short as they can be, with the core's key.

    None holds a node that stays, or one of another core unless (core, other) is ``nested``.
    """
    staying = list(stay)
    found: dict[str, str] = {}
    for key, core in cores.items():
        others = [
            name
            for other, names in cores.items()
            if other != key and (key, other) not in nested
            for name in names
        ]
        taken = _prefixes([*staying, *others])
        # What only passes a tensor on is forwarded before namespaces are taken out.
        for name in (each.name for each in graph if each.name in core and each.op not in IDENTITIES):
            found.setdefault(_shortest(name, taken), key)
    return found


def ahead_of(graph: Graph, refs: Iterable[Ref]) -> set[str]:
    """Return the nodes that depend on the tensors, their own left out. Membership only."""
    seen: set[str] = set()
    stack = [name for ref in refs for name, _ in graph.data_readers(ref)]
    while stack:
        name = stack.pop()
        if name not in seen:
            seen.add(name)
            stack += [reader for reader in graph.readers[name] if reader not in seen]
    return seen


def _prefixes(names: Iterable[str]) -> set[str]:
    """Return every namespace around the names, and the names. Membership only."""
    found: set[str] = set()
    for name in names:
        parts = name.split("/", DEPTH)
        found.update("/".join(parts[:end]) for end in range(1, len(parts) + 1))
    return found


def _shortest(name: str, taken: set[str]) -> str:
    parts = name.split("/", DEPTH)
    return next(
        (prefix for end in range(1, len(parts) + 1) if (prefix := "/".join(parts[:end])) not in taken), name
    )
