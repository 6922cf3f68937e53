"""Conditionals of TensorFlow 1 whose predicate is constant."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from surgeon.graph import (
    Add,
    Drop,
    DType,
    Edit,
    Graph,
    Node,
    Ref,
    Rewire,
    SetAttr,
    SetOp,
    SetOutputs,
    TensorValue,
)
from surgeon.graph.op_sets import CONSTANTS, IDENTITIES, LOOP_ENDS, LOOP_ENTRIES, MERGES, SWITCHES
from surgeon.graph.reach import varying
from surgeon.steps.step import StepContext

_DEEPEST = 32
"""Operations of logic that are followed behind a predicate."""


def take_branches(context: StepContext) -> list[Edit]:
    """Plan to take the branch that each constant predicate takes, and to drop the other one.

    A Switch passes its data on, a Merge what the branch that is taken gives: both become Identity nodes of
    their names, and keep their control inputs. Loops, and conditionals that depend on an input, stay. Raise
    SurgeonError S418 where an output is on a branch that is never taken.
    """
    taken = _Predicates(context).taken()
    if not taken:
        return []
    found = _follow(context.graph, taken)
    _check_outputs(context, found)
    return _edits(context, found) if found.is_whole else []


@dataclass(frozen=True)
class _Branches:
    """Slot that each constant Switch passes on; nodes that never run, with the Switch that shows it; the one
    input of each Merge that is left; those of a Merge of which several are left.
    """

    taken: dict[str, int]
    dead: dict[str, str]
    joined: dict[str, Ref]
    narrowed: dict[str, tuple[Ref, ...]]
    is_whole: bool


class _Predicates:
    """Values of the predicates of a graph's conditionals, as far as they are constant."""

    def __init__(self, context: StepContext) -> None:
        self.graph, self.inference = context.graph, context.inference
        self.values: dict[Ref, bool | None] = {}

    def taken(self) -> dict[str, int]:
        """Return the slot that each Switch with a constant predicate passes on."""
        found: dict[str, int] = {}
        for node in self.graph:
            if node.op in SWITCHES and len(node.inputs) == 2:
                value = self.value(node.inputs[1], _DEEPEST)
                if value is not None:
                    found[node.name] = int(value)
        return found

    @cached_property
    def varying(self) -> set[str]:
        sources = [node.name for node in self.graph if not node.inputs and node.op not in CONSTANTS]
        return varying(self.graph, sources)

    def value(self, predicate: Ref, depth: int) -> bool | None:
        """Return the value that a predicate has wherever it runs; None where that is not known."""
        ref = self._source(predicate)
        if ref not in self.values:
            self.values[ref] = self._value(ref, depth)
        return self.values[ref]

    def _value(self, ref: Ref, depth: int) -> bool | None:
        node = self.graph[ref.node]
        if node.op in ("LogicalAnd", "LogicalOr", "LogicalNot") and depth:
            parts = [self.value(source, depth - 1) for source in node.inputs]
            if node.op == "LogicalNot":
                return not parts[0] if parts and parts[0] is not None else None
            decisive = node.op == "LogicalOr"
            if decisive in parts:
                return decisive
            return None if None in parts else not decisive
        if ref.node in self.varying:
            return None
        value = self.inference.value(ref)
        return bool(value.reshape(-1)[0]) if value is not None and value.size == 1 else None

    def _source(self, ref: Ref) -> Ref:
        """Return where a predicate comes from: past identities, switches around it and entries of loops.

        What a switch around it passes on has the value of its data wherever it runs at all.
        """
        for _ in range(len(self.graph)):
            node = self.graph[ref.node]
            constant_entry = node.op in LOOP_ENTRIES and node.attrs.get("is_constant") is True
            passes = node.op in IDENTITIES or node.op in SWITCHES or constant_entry
            if not passes or not node.inputs:
                break
            ref = node.inputs[0]
        return ref


def _follow(graph: Graph, taken: dict[str, int]) -> _Branches:
    """Return which nodes never run, and what is left of each Merge."""
    dead: dict[str, str] = {}
    joined: dict[str, Ref] = {}
    narrowed: dict[str, tuple[Ref, ...]] = {}
    is_whole = True

    def cause(ref: Ref) -> str | None:
        """Return the Switch that keeps a tensor from being computed, if one does."""
        if ref.node in taken and ref.node not in dead:
            return ref.node if ref.slot != taken[ref.node] else None
        return dead.get(ref.node)

    for name in graph.topological():
        node = graph.nodes[name]
        causes = [cause(ref) for ref in node.inputs]
        if node.op not in MERGES:
            first = next((c for c in (*causes, *map(dead.get, node.control)) if c is not None), None)
            if first is not None:
                dead[name] = first
            continue
        first = next((c for c in causes if c is not None), None)
        if first is None:
            continue
        alive = [ref for ref, c in zip(node.inputs, causes, strict=True) if c is None]
        if all(graph[ref.node].op in LOOP_ENDS for ref in alive):
            dead[name] = first
        elif len(alive) == 1:
            joined[name] = alive[0]
        else:
            narrowed[name] = tuple(alive)
            is_whole = is_whole and not graph.data_readers(Ref(name, 1))
    return _Branches(taken, dead, joined, narrowed, is_whole)


def _check_outputs(context: StepContext, found: _Branches) -> None:
    declared = [str(ref) for ref in context.graph.outputs]
    for text in dict.fromkeys([*context.outputs, *declared]):
        name = text.rpartition(":")[0] or text
        if name in found.dead:
            switch = found.dead[name]
            predicate = context.graph[switch].inputs[1]
            value = "true" if found.taken[switch] else "false"
            raise context.fail(
                "S418",
                f"the output '{text}' is never computed; the predicate '{predicate}' of its conditional is "
                f"always {value}",
                help=["name an output behind the conditional, or give the predicate another value"],
            )


def _edits(context: StepContext, found: _Branches) -> list[Edit]:
    graph, span = context.graph, context.span
    edits: list[Edit] = []
    indices: dict[Ref, Ref] = {}
    for name, ref in found.joined.items():
        if graph.data_readers(Ref(name, 1)) or Ref(name, 1) in graph.outputs:
            value = TensorValue.of(graph[name].inputs.index(ref), DType.INT32)
            index = Node(
                graph.free_name(f"{name}/value_index"),
                "Const",
                control=(name,),
                attrs={"dtype": DType.INT32, "value": value},
            )
            indices[Ref(name, 1)] = Ref(index.name)
            edits.append(Add(index, None, span))

    def now(ref: Ref) -> Ref:
        return Ref(ref.node) if ref.node in found.taken else indices.get(ref, ref)

    for node in graph:
        name = node.name
        if name in found.dead:
            edits.append(Drop(name, "on a branch that is never taken", None, span))
            continue
        inputs = node.inputs
        if name in found.taken:
            inputs = node.inputs[:1]
        elif name in found.joined:
            inputs = (found.joined[name],)
        elif name in found.narrowed:
            inputs = found.narrowed[name]
            edits.append(SetAttr(name, "N", len(inputs), span))
        if name in found.taken or name in found.joined:
            edits.append(SetOp(name, "Identity", span))
            edits += [SetAttr(name, key, None, span) for key in node.attrs if key not in ("T", "_class")]
        rewired = tuple(now(ref) for ref in inputs)
        control = tuple(c for c in node.control if c not in found.dead)
        if rewired != node.inputs or control != node.control:
            edits.append(Rewire(name, rewired, control, span))
    outputs = tuple(now(ref) for ref in graph.outputs)
    if outputs != graph.outputs:
        edits.append(SetOutputs(outputs, span))
    return edits
