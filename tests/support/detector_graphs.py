"""Generated detectors as graphs, and edits of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from surgeon.formats.graphdef import load_graph
from surgeon.graph import AttrValue, DType, Graph, Node, Ref, TensorValue

SMALL = {"height": 96, "width": 96, "depth_multiplier": 0.125}
"""Options of a detector whose numbers are quick to compute."""


@cache
def load(path: Path) -> Graph:
    """Return a file's graph, the same for whoever asks: what is inferred of it is inferred once."""
    return load_graph(path)


@pytest.fixture(scope="session")
def zoo_graph(zoo_ssd: Callable[..., Path]) -> Callable[..., Graph]:
    """Give ``zoo_graph(date="2018", **options) -> Graph``: a small generated detector."""

    def loaded(date: str = "2018", **options: Any) -> Graph:
        return load(zoo_ssd(date, **{**SMALL, **options}))

    return loaded


class Edit:
    """Changes of single nodes; each is a function from a node to a node, or to several, the last in its place."""

    @staticmethod
    def graph(graph: Graph, changes: Mapping[str, Callable[[Node], Any]]) -> Graph:
        """Return the graph with some nodes changed; every name must be there."""
        assert not [name for name in changes if name not in graph]
        nodes: list[Node] = []
        for node in graph:
            made = changes[node.name](node) if node.name in changes else node
            nodes += [made] if isinstance(made, Node) else made
        return graph.replace(nodes).check()

    @staticmethod
    def value(value: object) -> Callable[[Node], Node]:
        """Give a constant another value of its type."""
        return lambda node: node.with_attr("value", TensorValue.of(value, node.attrs["value"].dtype))  # type: ignore[union-attr]

    @staticmethod
    def op(op: str, **attrs: AttrValue) -> Callable[[Node], Node]:
        """Make a node another operation."""
        return lambda node: replace(node, op=op, attrs={**node.attrs, **attrs})

    @staticmethod
    def reads(*inputs: str) -> Callable[[Node], Node]:
        """Let a node read other tensors."""
        return lambda node: node.with_inputs(tuple(Ref.parse(text) for text in inputs))

    @staticmethod
    def const(name: str, value: object, dtype: DType = DType.FLOAT32) -> Node:
        """Return a constant."""
        return Node(name, "Const", attrs={"dtype": dtype, "value": TensorValue.of(value, dtype)})

    @staticmethod
    def before(graph: Graph, ref: str, node: Node) -> Graph:
        """Let every reader of a tensor read ``node``, which reads it, instead."""
        old = Ref.parse(ref)
        nodes: list[Node] = []
        for each in graph:
            nodes.append(
                each.with_inputs(tuple(Ref(node.name) if source == old else source for source in each.inputs))
            )
            if each.name == old.node:
                nodes.append(node)
        return graph.replace(nodes)


@pytest.fixture(scope="session")
def edit() -> type[Edit]:
    """Give edits of graphs."""
    return Edit
