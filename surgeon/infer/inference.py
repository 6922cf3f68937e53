"""Specs and constant values of a graph's tensors, computed when asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from surgeon.diagnostics import SurgeonError
from surgeon.graph import DType, Graph, Node, Ref, Shape, TensorSpec
from surgeon.graph.op_sets import CONSTANTS, MERGES, SWITCHES
from surgeon.graph.values import TensorDigest, TensorRef, TensorValue
from surgeon.infer.evaluation import (
    KERNEL_ERRORS,
    computable,
    evaluate,
    is_back_edge,
    pivots,
)
from surgeon.infer.registry import with_extra
from surgeon.infer.rule import (
    MAX_OUTPUTS,
    MAX_RANK,
    Array,
    Context,
    Mismatch,
    NoKernel,
    Partial,
    Rule,
    attr_dtype,
)

SMALL = 4096
"""Elements up to which values are folded on the way; larger ones only when asked for."""

HELD = 16_000_000
"""Elements of large folded values that one Inference keeps."""

MAX_CONTRADICTIONS = 1000

_UNKNOWN = TensorSpec()


class _Facts(NamedTuple):
    """What is known of one node's outputs; the empty tuples mean that no value, partial value or dead slot
    is.

    ``dead`` marks the outputs on a branch that is not taken; ``guarded`` says that a predicate not known here
    decides.
    """

    specs: tuple[TensorSpec, ...]
    values: tuple[Array | None, ...] = ()
    partials: tuple[Partial | None, ...] = ()
    foldable: bool = False
    dead: tuple[bool, ...] = ()
    guarded: bool = False


_NOTHING = _Facts(())


def infer(graph: Graph, feeds: Mapping[str, TensorSpec] | None = None) -> Inference:
    """Return the :class:`Inference` of a graph, the same one each time that ``feeds`` are the same."""
    key = (Inference, tuple(sorted((feeds or {}).items(), key=lambda item: item[0])))
    return graph.kept(key, lambda: Inference(graph, feeds))


class Inference:
    """Lazily computed specs and constant values of a graph's tensors.

    ``feeds`` gives the specs that tensors are assumed to have, by tensor name (``a``, ``a:1``); it overrides
    what the graph says of them, and their values count as unknown. ``rules`` adds rules by op.
    ``contradictions`` lists (node, message) for inputs that cannot go together, found among the nodes visited
    so far.

    Raise SurgeonError G110 for a feed of a node that is not there, I105 for a rule of an op that has one
    already.
    """

    def __init__(
        self,
        graph: Graph,
        feeds: Mapping[str, TensorSpec] | None = None,
        rules: Mapping[str, Rule] | None = None,
        *,
        max_nodes: int = 200_000,
        max_elements: int = 50_000_000,
    ) -> None:
        self.graph = graph
        self.rules = with_extra(rules)
        self.feeds = dict(feeds or {})
        self.contradictions: list[tuple[str, str]] = []
        self.max_nodes = max_nodes
        self.max_elements = max_elements
        self._fed: dict[str, dict[int, TensorSpec]] = {}
        self._facts: dict[str, _Facts] = {}
        self._folded: dict[Ref, Array | None] = {}
        self._held = 0
        self._producer = graph.versions.producer if graph.versions else None
        for name, spec in (feeds or {}).items():
            ref = Ref.parse(name)
            self._fed.setdefault(graph[ref.node].name, {})[ref.slot] = spec

    def spec(self, ref: Ref) -> TensorSpec:
        """Return element type and shape of a tensor; parts that are not known are None.

        Of an op without a rule nothing is known: its attribute ``T`` may be the type of what it reads. Raise
        SurgeonError G110 for a node that is not in the graph.
        """
        specs = self._solved(ref.node).specs
        return specs[ref.slot] if 0 <= ref.slot < len(specs) else _UNKNOWN

    def value(self, ref: Ref) -> Array | None:
        """Return the read-only constant value of a tensor, None where it is not constant or over the bounds.

        The bounds are ``max_nodes`` and ``max_elements``, as in :func:`surgeon.infer.evaluate`.
        """
        facts = self._solved(ref.node)
        small = self.known(ref)
        if small is not None or not facts.foldable or not 0 <= ref.slot < len(facts.specs):
            return small
        if ref not in self._folded:
            self._folded[ref] = self._fold(ref)
        return self._folded[ref]

    def shape_value(self, ref: Ref) -> tuple[int | None, ...] | None:
        """Return the elements of a small integer tensor of rank 0 or 1, None for each that is unknown.

        None for the whole where the tensor is of another kind or not even its length is known.
        """
        self._solved(ref.node)
        spec = self.spec(ref)
        if spec.shape.rank not in (0, 1, None) or spec.dtype not in (DType.INT32, DType.INT64, None):
            return None
        context = Context(self.graph[ref.node], (spec,), (self.known(ref),), (self._partial(ref),))
        items = context.ints(0)
        if items is None and spec.shape.rank == 0 and spec.dtype is not None:
            return (None,)
        return items

    def outputs(self, name: str) -> int:
        """Return the number of outputs of a node by its op and attributes; 1 for an op without a rule."""
        node = self.graph[name]
        rule = self.rules.get(node.op)
        return 1 if rule is None else rule.count(node)

    def is_fed(self, ref: Ref) -> bool:
        """Return True for a tensor whose spec is assumed."""
        return ref.slot in self._fed.get(ref.node, ())

    def known(self, ref: Ref) -> Array | None:
        """Return the value of a small constant tensor, without computing large ones on the way."""
        values = self._solved(ref.node).values
        return values[ref.slot] if 0 <= ref.slot < len(values) else None

    def _partial(self, ref: Ref) -> Partial | None:
        partials = self._solved(ref.node).partials
        return partials[ref.slot] if 0 <= ref.slot < len(partials) else None

    def _fold(self, ref: Ref) -> Array | None:
        try:
            value = evaluate(
                self.graph,
                [ref],
                inference=self,
                max_nodes=self.max_nodes,
                max_elements=self.max_elements,
                keep=self._keep,
            )[0]
        except SurgeonError:
            return None
        view = value.view()
        view.flags.writeable = False
        return view

    def _keep(self, ref: Ref, value: Array) -> None:
        """Hold on to an intermediate value, so that folding a whole chain stays linear."""
        if ref not in self._folded and self._held + value.size <= HELD:
            self._held += value.size
            self._folded[ref] = value

    def guarded(self, ref: Ref) -> bool:
        """Return True for a tensor on a branch of which is not known whether it is taken."""
        return self._solved(ref.node).guarded

    def folded(self, ref: Ref) -> Array | None:
        """Return a value that is held already, small or large."""
        large = self._folded.get(ref)
        return self.known(ref) if large is None else large

    def _sources(self, node: Node) -> list[str]:
        fed = self._fed.get(node.name)
        if fed and all(slot in fed for slot in range(self.outputs(node.name))):
            return []
        graph = self.graph
        if node.op in MERGES:
            names = [ref.node for ref in node.inputs if not is_back_edge(graph, node, ref)]
        else:
            names = [ref.node for ref in node.inputs]
        return names + list(pivots(graph, node)) if node.control else names

    def _solved(self, name: str) -> _Facts:
        facts = self._facts.get(name)
        if facts is not None:
            return facts
        graph, done = self.graph, self._facts
        graph[name]
        stack = [name]
        opened: set[str] = set()
        while stack:
            top = stack[-1]
            node = graph.get(top)
            if top in done or node is None:
                stack.pop()
                continue
            if top not in opened:
                opened.add(top)
                waiting = [s for s in self._sources(node) if s not in done and s not in opened]
                if waiting:
                    stack.extend(reversed(waiting))
                    continue
            done[top] = self._infer(node)
            opened.discard(top)
            stack.pop()
        return done[name]

    def _infer(self, node: Node) -> _Facts:
        inputs = [self._input(node, ref) for ref in node.inputs]
        held = [self._facts.get(name, _NOTHING) for name in pivots(self.graph, node)] if node.control else []
        if node.op in CONSTANTS:
            facts = self._of_const(node)
        else:
            facts = self._of_op(node, inputs)
        dead = [i for i in inputs if i.dead]
        if (dead and node.op not in MERGES) or any(h.dead and all(h.dead) for h in held):
            facts = _Facts(facts.specs, dead=(True,) * len(facts.specs))
        elif [i for i in inputs if i.guarded] or any(h.guarded for h in held):
            facts = facts._replace(guarded=True)
        fed = self._fed.get(node.name)
        return facts if fed is None else _with_feeds(facts, fed)

    def _of_const(self, node: Node) -> _Facts:
        tensor = node.attrs.get("value")
        if not isinstance(tensor, (TensorValue, TensorRef, TensorDigest)):
            return _Facts((TensorSpec(attr_dtype(node, "dtype")),))
        spec = tensor.spec
        if not computable(spec.dtype) or isinstance(tensor, TensorDigest):
            return _Facts((spec,))
        if any(d < 0 for d in tensor.shape) or tensor.count > SMALL:
            return _Facts((spec,), foldable=True)
        try:
            return _Facts((spec,), (tensor.array(),), foldable=True)
        except ValueError:
            return _Facts((spec,))

    def _of_op(self, node: Node, inputs: list[_Input]) -> _Facts:
        rule = self.rules.get(node.op)
        if rule is None:
            return _Facts((_UNKNOWN,))
        fed = self._fed.get(node.name, {})
        count = rule.count(node)
        if fed and all(slot in fed for slot in range(count)):
            return _NOTHING
        if node.op in MERGES:
            return self._of_merge(rule, node, inputs, count)
        facts = self._apply(rule, node, inputs, count)
        return self._of_switch(facts, inputs) if node.op in SWITCHES and len(inputs) == 2 else facts

    def _of_merge(self, rule: Rule, node: Node, inputs: list[_Input], count: int) -> _Facts:
        alive = [i for i in inputs if not i.dead]
        facts = self._apply(rule, node, alive or inputs, count)
        if not alive and inputs:
            return _Facts(facts.specs, dead=(True,) * len(facts.specs))
        if len(alive) == 1 and alive[0].value is not None:
            index = np.array(inputs.index(alive[0]), np.int32)
            return _Facts(facts.specs, (alive[0].value, index), foldable=True)
        return _Facts(facts.specs, foldable=all(i.foldable or i.dead for i in inputs))

    def _of_switch(self, facts: _Facts, inputs: list[_Input]) -> _Facts:
        data, predicate = inputs
        foldable = data.foldable and predicate.foldable
        if predicate.value is None or predicate.value.size != 1:
            return _Facts(facts.specs, foldable=foldable, guarded=True)
        taken = bool(predicate.value.reshape(-1)[0])
        values = (None, data.value) if taken else (data.value, None)
        return _Facts(facts.specs, values, foldable=foldable, dead=(taken, not taken))

    def _input(self, node: Node, ref: Ref) -> _Input:
        if node.op in MERGES and is_back_edge(self.graph, node, ref):
            return _Input(_UNKNOWN)
        specs, values, partials, foldable, dead, guarded = self._facts.get(ref.node, _NOTHING)
        slot = ref.slot
        if slot < 0:
            return _Input(_UNKNOWN, foldable=foldable, guarded=guarded)
        return _Input(
            specs[slot] if slot < len(specs) else _UNKNOWN,
            values[slot] if slot < len(values) else None,
            partials[slot] if slot < len(partials) else None,
            foldable,
            slot < len(dead) and dead[slot],
            guarded,
        )

    def _apply(self, rule: Rule, node: Node, inputs: Sequence[_Input], count: int) -> _Facts:
        context = Context(
            node,
            tuple([i.spec for i in inputs]),
            tuple([i.value for i in inputs]),
            tuple([i.partial for i in inputs]),
            producer=self._producer,
            graph=self.graph,
        )
        specs = self._shapes(rule, context, count)
        foldable = rule.foldable and rule.kernel is not None and all(i.foldable for i in inputs)
        if context.contradictions:
            for message in context.contradictions:
                self._contradict(node.name, message)
            return _Facts(specs, foldable=foldable)
        if rule.kernel is not None and rule.foldable:
            values = self._small_values(rule, context, specs)
            if values is None:
                return _Facts(specs)
            if values:
                exact = tuple(TensorSpec(s.dtype, Shape(v.shape)) for s, v in zip(specs, values, strict=True))
                return _Facts(exact, values, (), True)
        if rule.partial is None:
            return _Facts(specs, foldable=foldable)
        return self._with_partials(rule, context, specs, foldable)

    def _shapes(self, rule: Rule, context: Context, count: int) -> tuple[TensorSpec, ...]:
        try:
            found = list(rule.shape(context))[:count]
        except Mismatch as exc:
            context.contradict(str(exc))
            found = []
        except SurgeonError as exc:
            context.contradict(exc.diagnostics[0].message if exc.diagnostics else str(exc))
            found = []
        if len(found) < count:
            found += [_UNKNOWN] * (count - len(found))
        return tuple([_checked(spec, context) for spec in found])

    def _small_values(
        self, rule: Rule, context: Context, specs: tuple[TensorSpec, ...]
    ) -> tuple[Array, ...] | None:
        """Return the values where all is known and small, nothing where it is not, None where the kernel
        fails.
        """
        arrays = [v for v in context.values if v is not None]
        if rule.kernel is None or len(arrays) < len(context.values):
            return ()
        if any((size := s.shape.size) is not None and size > SMALL for s in specs):
            return ()
        if not all(computable(s.dtype) for s in specs):
            return ()
        try:
            with np.errstate(all="ignore"):
                values = tuple(np.asarray(v) for v in rule.kernel(context.node, arrays))
        except NoKernel:
            return ()
        except KERNEL_ERRORS as exc:
            self._contradict(context.node.name, str(exc))
            return None
        return values if len(values) == len(specs) else ()

    def _with_partials(
        self, rule: Rule, context: Context, specs: tuple[TensorSpec, ...], foldable: bool
    ) -> _Facts:
        if rule.partial is None or not specs:
            return _Facts(specs, foldable=foldable)
        for spec in specs:
            size = spec.shape.size
            if spec.dtype not in (DType.INT32, DType.INT64) or size is None or size > SMALL:
                return _Facts(specs, foldable=foldable)
        try:
            with np.errstate(all="ignore"):
                partials = tuple(rule.partial(rule, context))
        except NoKernel:
            partials = ()
        except KERNEL_ERRORS as exc:
            self._contradict(context.node.name, str(exc))
            partials = ()
        if len(partials) != len(specs):
            return _Facts(specs, foldable=foldable)
        values = tuple(p.data if p is not None and bool(p.known.all()) else None for p in partials)
        complete = all(v is not None for v in values)
        return _Facts(specs, values, () if complete else partials, foldable or complete)

    def _contradict(self, name: str, message: str) -> None:
        if len(self.contradictions) < MAX_CONTRADICTIONS:
            self.contradictions.append((name, message))


@dataclass(slots=True, eq=False)
class _Input:
    spec: TensorSpec
    value: Array | None = None
    partial: Partial | None = None
    foldable: bool = False
    dead: bool = False
    guarded: bool = False


def _with_feeds(facts: _Facts, fed: Mapping[int, TensorSpec]) -> _Facts:
    """Return ``facts`` with assumed specs, of whose values nothing is known."""
    count = max(len(facts.specs), min(max(fed) + 1, MAX_OUTPUTS))
    specs = tuple(fed.get(i, facts.specs[i] if i < len(facts.specs) else _UNKNOWN) for i in range(count))
    values = tuple(None if i in fed else v for i, v in enumerate(facts.values))
    partials = tuple(None if i in fed else p for i, p in enumerate(facts.partials))
    return _Facts(specs, values, partials)


def _checked(spec: TensorSpec, context: Context) -> TensorSpec:
    """Return ``spec`` with dimensions that no tensor can have made unknown, recording them."""
    dims = spec.shape.dims
    if dims is None:
        return spec
    if len(dims) > MAX_RANK:
        context.contradict(f"the output has {len(dims)} axes; expected {MAX_RANK} at most")
        return TensorSpec(spec.dtype)
    known = [d for d in dims if d is not None]
    if not known or (min(known) >= 0 and max(known) < 1 << 63):
        return spec
    context.contradict(f"the output has shape {spec.shape}; expected dimensions from 0 to 2^63 - 1")
    return TensorSpec(
        spec.dtype, Shape(tuple(d if d is not None and 0 <= d < 1 << 63 else None for d in dims))
    )
