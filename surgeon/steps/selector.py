"""Which nodes a recipe means: namespaces, whole names, and selectors."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Mapping, Sequence
from typing import TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from surgeon.diagnostics import nearest
from surgeon.graph import Graph, Node
from surgeon.steps.step import StepContext

Entry = TypeVar("Entry")

PATIENCE = 10.0
"""Seconds that the pattern of one selector may take on the names of a graph."""


class Selector(BaseModel):
    """Nodes by operation, by a regular expression over the whole name, or by a glob over its last
    component.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    op: str | tuple[str, ...] | None = Field(None, description="Operation, or several of them.")
    path: str | None = Field(None, description="Regular expression that the whole name matches.")
    name: str | None = Field(None, description="Glob that the name's last path component matches.")
    under: str | None = Field(None, description="Only inside this namespace.")
    optional: bool = Field(False, description="No error when nothing matches.")

    @model_validator(mode="after")
    def _says_something(self) -> Selector:
        if self.op is None and self.path is None and self.name is None:
            raise ValueError("a selector needs one of 'op', 'path' and 'name'")
        if self.path is not None:
            import regex

            try:
                regex.compile(self.path)
            except (regex.error, OverflowError, RecursionError) as exc:
                raise ValueError(f"'{self.path}' is not a regular expression: {exc}") from None
        return self

    def matches(self, node: Node, timeout: float = PATIENCE) -> bool:
        """Return whether the node fits every part given.

        Raise TimeoutError where the pattern takes more than ``timeout`` seconds on the name.
        """
        ops = (self.op,) if isinstance(self.op, str) else self.op
        return (
            (ops is None or node.op in ops)
            and (self.under is None or node.name == self.under or node.name.startswith(self.under + "/"))
            and (self.name is None or fnmatch.fnmatchcase(node.name.rpartition("/")[2], self.name))
            and (self.path is None or self._path_matches(node.name, timeout))
        )

    def _path_matches(self, name: str, timeout: float) -> bool:
        import regex

        return self.path is not None and regex.fullmatch(self.path, name, timeout=timeout) is not None

    def __str__(self) -> str:
        shown = {k: v for k, v in self.model_dump(exclude_defaults=True).items() if k != "optional"}
        return "{" + ", ".join(f"{k}: {v}" for k, v in shown.items()) + "}"


Selection: TypeAlias = tuple[str | Selector, ...]
"""Entries of a list of nodes.

A namespace or whole name (``a/b``, or ``a/b?`` if it may be absent), or a selector.
"""


def split_optional(key: str) -> tuple[str, bool]:
    """Return a namespace without its trailing question mark, and whether it had one."""
    return (key[:-1], True) if key.endswith("?") else (key, False)


def namespaces_of(graph: Graph) -> list[str]:
    """Return every namespace and top-level name, in graph order."""
    found: dict[str, None] = {}
    for node in graph:
        end = node.name.find("/")
        while end >= 0:
            found[node.name[:end]] = None
            end = node.name.find("/", end + 1)
        if "/" not in node.name:
            found[node.name] = None
    return list(found)


def select(context: StepContext, items: Sequence[str | Selector], *path: str | int) -> list[str]:
    """Return the names of the nodes that ``items`` mean, each once, in graph order.

    ``path`` places the list in the step for diagnostics. Raise SurgeonError R201 for an entry that matches
    nothing and is not optional, R115 for one whose pattern takes more than ``PATIENCE`` seconds.
    """
    wanted = [split_optional(item)[0] for item in items if isinstance(item, str)]
    plain = dict.fromkeys(wanted, 0)
    selectors = [item for item in items if isinstance(item, Selector)]
    hits = [0] * len(selectors)
    left = [PATIENCE] * len(selectors)
    chosen: list[str] = []
    for node in context.graph:
        taken = False
        for prefix in _prefixes(node.name):
            if prefix in plain:
                plain[prefix] += 1
                taken = True
        for i, selector in enumerate(selectors):
            start = time.monotonic()
            try:
                matched = selector.matches(node, max(left[i], 0.001))
            except TimeoutError:
                raise _slow(context, selector, node, *path, items.index(selector)) from None
            left[i] -= time.monotonic() - start
            if matched:
                hits[i] += 1
                taken = True
        if taken:
            chosen.append(node.name)
    for i, item in enumerate(items):
        if isinstance(item, str):
            key, optional = split_optional(item)
            count = plain[key]
        else:
            key, optional = str(item), item.optional
            count = hits[selectors.index(item)]
        if not count and not optional:
            raise unmatched(context, key, *path, i)
    return chosen


def _slow(context: StepContext, selector: Selector, node: Node, *path: str | int) -> Exception:
    return context.fail(
        "R115",
        f"the pattern '{selector.path}' takes more than {PATIENCE:.0f} s on the graph's names; it stopped at "
        f"'{node.name}'",
        *path,
        help=["write one repetition where two are inside each other: 'a+' for '(a+)+'"],
    )


def unmatched(context: StepContext, key: str, *path: str | int) -> Exception:
    """Return the error of an entry that matches no node."""
    if key.startswith("{"):
        return context.fail(
            "R201", f"the selector {key} matches no node", *path, help=["correct it, or add 'optional: true'"]
        )
    close = nearest(key, namespaces_of(context.graph))
    counts = {
        name: sum(n.name == name or n.name.startswith(name + "/") for n in context.graph) for name in close
    }
    shown = ", ".join(f"'{name}' ({count} node{'s' if count != 1 else ''})" for name, count in counts.items())
    return context.fail(
        "R201",
        f"namespace '{key}' matches no node",
        *path,
        notes=(f"nearest: {shown}",) if shown else (),
        help=[f"correct the spelling, or write '{key}?' if its absence is meant"],
    )


def longest_prefix(name: str, table: Mapping[str, Entry]) -> Entry | None:
    """Return the entry of the key with the most path components that is ``name`` or a namespace around it."""
    end = len(name)
    while end > 0:
        entry = table.get(name[:end])
        if entry is not None:
            return entry
        end = name.rfind("/", 0, end)
    return None


def _prefixes(name: str) -> list[str]:
    out = []
    end = name.find("/")
    while end >= 0:
        out.append(name[:end])
        end = name.find("/", end + 1)
    out.append(name)
    return out
