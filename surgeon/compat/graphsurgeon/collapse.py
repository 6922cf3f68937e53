"""The nodes of namespaces replaced by one node each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from surgeon.compat.messages import clean, copied_to, is_node
from surgeon.compat.remarks import and_others, remark, script_place, word_place
from surgeon.diagnostics import error, nearest_note
from surgeon.garbage import no_garbage_collection


def collapse(
    graphdef: Any, namespaces: Mapping[str, Any], excluded: Iterable[str], unique_inputs: bool
) -> None:
    """Replace the nodes of namespaces in a GraphDef, in time linear in it.

    An input is looked up as it is spelt: ``ns/a:1`` is in the namespace ``ns``, but is not the node ``ns/a``.
    Raise SurgeonError P102 where a namespace is to become anything but a node.
    """
    work = _Collapse(namespaces, frozenset(excluded))
    nodes = graphdef.node
    replaced: set[str] = set()
    with no_garbage_collection():
        for node in nodes:
            if work.take(node, unique_inputs):
                replaced.add(node.name)
            else:
                work.redirect(node)
        if replaced:
            kept = sum(node.name not in replaced for node in nodes)
            nodes.sort(key=lambda node: node.name in replaced)
            del nodes[kept:]
        for taker in work.takers.values():
            copied_to(nodes, taker)
    work.tell(graphdef)


class _Collapse:
    """One call: the nodes that take namespaces, by name, and what was found on the way."""

    def __init__(self, namespaces: Mapping[str, Any], excluded: frozenset[str]) -> None:
        for key, taker in namespaces.items():
            if not is_node(taker):
                raise error(
                    "P102",
                    f"the namespace '{key}' is to become {taker!r}; expected a node",
                    word_place(key, "key"),
                    help=["make the node with 'create_plugin_node' or 'create_node'"],
                )
        self.namespaces = namespaces
        self.takers = {taker.name: taker for taker in namespaces.values()}
        self._excluded = excluded
        self._depths = sorted({key.count("/") + 1 for key in namespaces}, reverse=True)
        self._heads = {key.partition("/")[0] for key in namespaces}
        self._seen: dict[str, set[str]] = {name: set(taker.input) for name, taker in self.takers.items()}
        self._matched: set[str] = set()
        self._lost: dict[tuple[str, str], str] = {}
        self._merged: dict[str, list[str]] = {}

    def _key(self, name: str) -> str | None:
        """Return the longest namespace that a name begins with, whole parts counted."""
        parts = name.split("/", self._depths[0]) if self._depths else []
        if not parts or parts[0] not in self._heads:
            return None
        for depth in self._depths:
            if depth <= len(parts):
                head = "/".join(parts[:depth])
                if head in self.namespaces:
                    return None if self._excluded and clean(name) in self._excluded else head
        return None

    def _taker(self, source: str) -> str | None:
        """Return the name of the node that takes what an input names, control edges included."""
        key = self._key(source.lstrip("^"))
        return None if key is None else self.namespaces[key].name

    def take(self, node: Any, unique_inputs: bool) -> bool:
        """Give a node's inputs from outside to the node that takes its place; return whether there is one."""
        key = self._key(node.name)
        if key is None:
            return False
        self._matched.add(key)
        name = self.namespaces[key].name
        taker, seen = self.takers[name], self._seen[name]
        for source in node.input:
            other = self._taker(source)
            if other == name:
                continue
            if other is not None:
                self._note_port(name, source, other)
                source = other
            if unique_inputs and source in seen:
                continue
            seen.add(source)
            taker.input.append(source)
        return True

    def redirect(self, node: Any) -> None:
        """Let a node that stays read the nodes that took its sources' place, each once."""
        takers = [self._taker(source) for source in node.input]
        if not any(takers):
            return
        inputs: list[str] = []
        for source, taker in zip(node.input, takers, strict=True):
            if taker is None:
                inputs.append(source)
                continue
            self._note_port(node.name, source, taker)
            if taker not in inputs:
                inputs.append(taker)
            elif not source.startswith("^"):
                self._merged.setdefault(node.name, []).append(taker)
        node.input[:] = inputs

    def _note_port(self, reader: str, source: str, taker: str) -> None:
        port = source.rpartition(":")[2]
        if ":" in source and port.isdigit() and int(port):
            self._lost[reader, source] = taker

    def tell(self, graphdef: Any) -> None:
        """Warn of namespaces that match nothing and of edges that lost what they said."""
        place = script_place()
        for key, taker in self.namespaces.items():
            if key not in self._matched:
                others = [k for k in self._matched if self.namespaces[k].name == taker.name]
                notes = nearest_note(key, self._names(graphdef)) if not others else ()
                remark(
                    "P101",
                    f"the namespace '{key}' matches no node, so '{taker.name}' "
                    + (f"replaces only {_listed(others)}" if others else "replaces nothing"),
                    word_place(key, "key"),
                    notes,
                    ("correct the spelling, or leave the key out where the graph has no such namespace",),
                )
        for taker in dict.fromkeys(self._lost.values()):
            lost = [edge for edge, to in self._lost.items() if to == taker]
            reader, source = lost[0]
            remark(
                "P109",
                f"'{reader}' read '{source}', and now reads '{taker}': the port is lost"
                + and_others(len(lost), "edge"),
                place,
                help=(
                    f"check that '{reader}' is to read output 0 of '{taker}', or map '{clean(source)}' to a "
                    "node of its own",
                ),
            )
        for taker in dict.fromkeys(takers[0] for takers in self._merged.values()):
            readers = [reader for reader, takers in self._merged.items() if takers[0] == taker]
            remark(
                "P109",
                f"'{readers[0]}'{and_others(len(readers), 'node')} read several tensors of what '{taker}' "
                "replaces; one edge is left",
                place,
                help=(f"map '{readers[0]}' to a node, too, or give '{taker}' one output that says all",),
            )

    def _names(self, graphdef: Any) -> list[str]:
        """Return names and namespaces that were there before, the outer ones first."""
        found: dict[str, None] = {}
        nodes = [node for node in graphdef.node if node.name not in self.takers]
        for node in nodes:
            found.setdefault(node.name.partition("/")[0])
        for node in nodes:
            found.setdefault(node.name.rpartition("/")[0] or node.name)
        return list(found)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))
