"""Nodes and the references that join them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from surgeon.graph.values import AttrValue

NODE_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*\Z")
"""What TensorFlow takes as the name of a node."""


class Ref(NamedTuple):
    """Output ``slot`` of ``node``."""

    node: str
    slot: int = 0

    @staticmethod
    def parse(text: str) -> Ref:
        """Parse ``a`` or ``a:1``.

        Raise ValueError for a control edge (``^a``) or a slot that is not a number.
        """
        if text.startswith("^"):
            raise ValueError(f"'{text}' is a control edge, not a tensor")
        if ":" not in text:
            return Ref(text)
        name, _, slot = text.rpartition(":")
        if not name or not slot or not set(slot) <= set("0123456789"):
            raise ValueError(f"'{text}' is not a tensor name; expected NODE or NODE:SLOT")
        return Ref(name, int(slot))

    def __str__(self) -> str:
        return f"{self.node}:{self.slot}" if self.slot else self.node


@dataclass(frozen=True, slots=True)
class Node:
    """One operation: data inputs in order, control inputs, attributes by name.

    ``extra`` keeps fields of the NodeDef that this package does not model, serialized.
    """

    name: str
    op: str
    inputs: tuple[Ref, ...] = ()
    control: tuple[str, ...] = ()
    attrs: Mapping[str, AttrValue] = field(default_factory=dict)
    device: str = ""
    extra: bytes = b""
    sources: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """Names of all nodes this one depends on: data inputs in order, then control inputs."""

    def __post_init__(self) -> None:
        # Every walk asks for it, so it is put together once.
        object.__setattr__(self, "sources", (*[ref.node for ref in self.inputs], *self.control))

    def with_inputs(self, inputs: tuple[Ref, ...], control: tuple[str, ...] | None = None) -> Node:
        """Return this node reading ``inputs`` (and ``control``, if given) instead."""
        return replace(self, inputs=inputs, control=self.control if control is None else control)

    def with_attr(self, key: str, value: AttrValue | None) -> Node:
        """Return this node with one attribute set, or taken away where ``value`` is None."""
        attrs = dict(self.attrs)
        if value is None:
            attrs.pop(key, None)
        else:
            attrs[key] = value
        return replace(self, attrs=attrs)

    @property
    def namespace(self) -> str:
        """The name without its last path component; empty at top level."""
        return self.name.rpartition("/")[0]
