"""Edits as values, and the one function that applies them."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from surgeon.diagnostics import Span, error, nearest_note
from surgeon.graph.graph import Graph
from surgeon.graph.node import Node, Ref
from surgeon.graph.values import AttrValue, attr_list


@dataclass(frozen=True, slots=True)
class Add:
    """Put ``node`` in: where the node ``before`` stands (it may be dropped in the same batch), else at the
    end.
    """

    node: Node
    before: str | None = None
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Drop:
    """Take a node out.

    ``fate`` says what became of it, ``into`` names the node that took its place, if any.
    """

    name: str
    fate: str
    into: str | None = None
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Rewire:
    """Give a node other inputs, data and control; None keeps what it has."""

    name: str
    inputs: tuple[Ref, ...] | None = None
    control: tuple[str, ...] | None = None
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class SetAttr:
    """Set one attribute, or take it away where ``value`` is None."""

    name: str
    key: str
    value: AttrValue | None
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class SetOp:
    """Change a node's operation."""

    name: str
    op: str
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class SetOutputs:
    """Declare the graph's outputs."""

    outputs: tuple[Ref, ...]
    span: Span | None = None


Edit: TypeAlias = Add | Drop | Rewire | SetAttr | SetOp | SetOutputs


def apply_edits(graph: Graph, edits: Sequence[Edit]) -> Graph:
    """Return ``graph`` with one batch of edits applied, in time linear in nodes, edges and edits.

    The batch is one change: a node may be dropped and another of its name added. Raise SurgeonError S101 for
    an edit of a node that is not there, S102 for adding a name that is taken, and S103 for dropping a node
    that a node outside the dropped set still reads; what :meth:`Graph.check` raises, too.
    """
    if not edits:
        return graph.check()
    dropped: dict[str, Drop] = {}
    changed: dict[str, Node] = {}
    placed: dict[str | None, list[Add]] = {}
    added: dict[str, Add] = {}
    outputs = graph.outputs
    outputs_span: Span | None = None
    for edit in edits:
        match edit:
            case Drop():
                _present(graph, edit.name, edit.span)
                dropped[edit.name] = edit
            case Add():
                if edit.node.name in added:
                    raise error("S102", f"node '{edit.node.name}' is added twice", edit.span)
                added[edit.node.name] = edit
                placed.setdefault(edit.before if edit.before in graph else None, []).append(edit)
            case SetOutputs():
                outputs, outputs_span = edit.outputs, edit.span
            case Rewire() | SetAttr() | SetOp():
                _present(graph, edit.name, edit.span)
                changed[edit.name] = _change(changed.get(edit.name) or graph[edit.name], edit)
    for name, add in added.items():
        if name in graph and name not in dropped:
            raise error(
                "S102",
                f"node '{name}' cannot be added; the graph has one of that name",
                add.span,
                help=["choose another name, or rename the node that is there"],
            )

    nodes: list[Node] = []
    for node in graph:
        if node.name in placed:
            nodes += [add.node for add in placed[node.name]]
        if node.name not in dropped:
            nodes.append(changed.get(node.name, node))
    nodes += [add.node for add in placed.get(None, ())]

    gone = {name: drop for name, drop in dropped.items() if name not in added}
    if gone:
        marks = {f"loc:@{name}".encode() for name in gone}
        nodes = [_released(node, marks) if "_class" in node.attrs else node for node in nodes]
    for node in nodes:
        for source in node.sources:
            if source in gone:
                drop = gone[source]
                edge = (
                    "after"
                    if source in node.control and all(r.node != source for r in node.inputs)
                    else "reads"
                )
                raise error(
                    "S103",
                    f"node '{source}' cannot be taken out ({drop.fate}); '{node.name}' ({node.op}) {edge} it",
                    drop.span,
                    help=["take the reader out as well, rewire it, or keep the node"],
                )
    for ref in outputs:
        if ref.node in gone:
            raise error(
                "S103",
                f"node '{ref.node}' cannot be taken out ({gone[ref.node].fate}); it is an output",
                outputs_span or gone[ref.node].span,
                help=["declare other outputs"],
            )
    return graph.replace(nodes, outputs).check()


def _change(node: Node, edit: Rewire | SetAttr | SetOp) -> Node:
    match edit:
        case Rewire():
            return node.with_inputs(node.inputs if edit.inputs is None else edit.inputs, edit.control)
        case SetAttr():
            return node.with_attr(edit.key, edit.value)
        case SetOp():
            return replace(node, op=edit.op)


def _released(node: Node, gone: Container[bytes]) -> Node:
    """Return the node without colocation with nodes that are gone.

    TensorFlow refuses a graph that names them.
    """
    marks = node.attrs.get("_class")
    if not isinstance(marks, tuple) or not any(mark in gone for mark in marks if isinstance(mark, bytes)):
        return node
    kept = attr_list(mark for mark in marks if not isinstance(mark, bytes) or mark not in gone)
    return node.with_attr("_class", kept or None)


def _present(graph: Graph, name: str, span: Span | None) -> None:
    if name not in graph:
        raise error(
            "S101",
            f"node '{name}' is to be edited, but is not in the graph",
            span,
            nearest_note(name, graph.nodes),
        )
