"""Evaluation of a part of a graph in numpy, on demand and bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from surgeon.diagnostics import SurgeonError, error
from surgeon.graph import DType, Graph, Node, Ref, Shape, TensorSpec
from surgeon.graph.op_sets import CONSTANTS, LOOP_ENDS, MERGES, SWITCHES, UNSET_PLACEHOLDERS
from surgeon.graph.values import TensorDigest, TensorRef, TensorValue
from surgeon.infer.registry import builtin_rules
from surgeon.infer.rule import Array, Context, Mismatch, NoKernel, Rule

if TYPE_CHECKING:
    from surgeon.infer.inference import Inference

KERNEL_ERRORS = (ValueError, IndexError, TypeError, ArithmeticError, MemoryError)
"""What numpy raises when shapes or values do not go together."""

_NO_ARITHMETIC = (
    DType.BFLOAT16,
    DType.QINT8,
    DType.QUINT8,
    DType.QINT32,
    DType.QINT16,
    DType.QUINT16,
    DType.RESOURCE,
    DType.VARIANT,
)

_SPEC_TYPES: dict[Any, DType] = {}


def computable(dtype: DType | None) -> bool:
    """True for element types that numpy computes with as TensorFlow does; an unknown type counts as one."""
    return dtype not in _NO_ARITHMETIC


def is_back_edge(graph: Graph, node: Node, ref: Ref) -> bool:
    """True for the edge that closes a while loop: a merge reading the next iteration."""
    if node.op not in MERGES:
        return False
    source = graph.get(ref.node)
    return source is not None and source.op in LOOP_ENDS


def pivots(graph: Graph, node: Node) -> Iterator[str]:
    """Yield the control inputs by which TF1 conditionals tie a node to a branch.

    A switch, or an Identity of one.
    """
    for name in node.control:
        source = graph.get(name)
        if source is None:
            continue
        if source.op == "Identity" and source.inputs:
            reader = graph.get(source.inputs[0].node)
            if reader is not None and reader.op in SWITCHES:
                yield name
        elif source.op in SWITCHES:
            yield name


def evaluate(
    graph: Graph,
    refs: Sequence[Ref],
    feeds: Mapping[Ref, Array] | None = None,
    *,
    inference: Inference | None = None,
    max_nodes: int = 200_000,
    max_elements: int = 50_000_000,
    keep: Callable[[Ref, Array], None] | None = None,
) -> list[Array]:
    """Return the values of ``refs``, computing exactly the nodes they need.

    ``feeds`` gives values of tensors, which are then not computed. ``inference``, of the same graph, adds
    what is known without data: a Shape of a tensor whose shape is static needs no value of that tensor; feeds
    must agree with it. ``max_nodes`` bounds the nodes computed and ``max_elements`` the elements of their
    results together. ``keep`` is called with each result. A conditional is followed along the branch that its
    predicate takes. The arrays may be read-only views.

    Raise SurgeonError I101 for an op without a kernel (while loops included), I102 for a placeholder that is
    not fed, I103 over a bound, I104 where a kernel fails or the tensor is on a branch not taken, G110 for a
    node not there.
    """
    run = _Evaluation(graph, dict(feeds or {}), inference, max_nodes, max_elements, keep)
    return [run.value(ref) for ref in refs]


class _Dead:
    """Stands for the tensors of a branch that is not taken."""


_DEAD = _Dead()


class _Evaluation:
    def __init__(
        self,
        graph: Graph,
        feeds: dict[Ref, Array],
        inference: Inference | None,
        max_nodes: int,
        max_elements: int,
        keep: Callable[[Ref, Array], None] | None,
    ) -> None:
        self.graph = graph
        self.results: dict[Ref, Array | _Dead] = {ref: np.asarray(value) for ref, value in feeds.items()}
        self.inference = inference
        self.rules: Mapping[str, Rule] = inference.rules if inference is not None else builtin_rules()
        self.max_nodes, self.max_elements = max_nodes, max_elements
        self.keep = keep
        self.nodes = self.elements = 0
        self.conditional = False

    def value(self, ref: Ref) -> Array:
        self.conditional = self._reads_merge(ref)
        self._demand(ref)
        result = self.results[ref]
        if isinstance(result, _Dead):
            raise self._error(
                "I104",
                self.graph[ref.node],
                "is on the branch of a conditional that is not taken; expected a value",
            )
        return result

    def _reads_merge(self, ref: Ref) -> bool:
        seen: set[str] = set()
        stack = [ref]
        while stack:
            top = stack.pop()
            node = self.graph.get(top.node)
            if node is None or top.node in seen or top in self.results:
                continue
            if node.op in MERGES:
                return True
            seen.add(top.node)
            stack.extend(node.inputs)
        return False

    def _demand(self, goal: Ref) -> None:
        """Compute ``goal`` and what it needs, with an explicit stack.

        A tensor waits for one other at a time.
        """
        stack = [goal]
        waiting: dict[Ref, int] = {}
        while stack:
            ref = stack[-1]
            if ref in self.results:
                waiting.pop(ref, None)
                stack.pop()
                continue
            if ref not in waiting and self._is_known(ref):
                stack.pop()
                continue
            node = self.graph[ref.node]
            needed, waiting[ref] = self._next_needed(node, ref, waiting.get(ref, 0))
            if needed is None:
                self._finish(node, ref)
            elif needed in waiting:
                raise self._error("I104", node, "depends on itself; expected a graph without cycles")
            else:
                stack.append(needed)

    def _is_known(self, ref: Ref) -> bool:
        if self.inference is None:
            return False
        value = self.inference.folded(ref) if self.keep is not None else self.inference.known(ref)
        if value is None or (self.conditional and self.inference.guarded(ref)):
            return False
        self.results[ref] = value
        return True

    def _next_needed(self, node: Node, ref: Ref, start: int) -> tuple[Ref | None, int]:
        """Return the next tensor that ``ref`` waits for, or None; ``start`` inputs are there already."""
        if self.inference is not None and self.inference.is_fed(ref):
            raise self._error(
                "I102", node, "is assumed to have a type and shape only; expected a value for it"
            )
        order = self._order(node)
        if (
            start == 0
            and node.op in MERGES
            and any(is_back_edge(self.graph, node, source) for source in order)
        ):
            raise self._error(
                "I101",
                node,
                "closes a while loop, which has no numpy kernel; expected ops that can be evaluated here",
            )
        for position in range(start, len(order)):
            source = order[position]
            result = self.results.get(source)
            if result is None:
                return source, position
            if self._settles(node, ref, position, result):
                return None, len(order)
        return None, len(order)

    def _order(self, node: Node) -> tuple[Ref, ...]:
        if node.op in SWITCHES and len(node.inputs) == 2:
            return (node.inputs[1], node.inputs[0])
        if self.conditional and node.control:
            return (
                tuple(
                    Ref(name) if self.graph[name].op == "Identity" else Ref(name, 1)
                    for name in pivots(self.graph, node)
                )
                + node.inputs
            )
        return node.inputs

    def _settles(self, node: Node, ref: Ref, position: int, result: Array | _Dead) -> bool:
        """True when no further input is needed to know ``ref``."""
        if node.op in MERGES:
            return not isinstance(result, _Dead)
        if isinstance(result, _Dead):
            return True
        return node.op in SWITCHES and position == 0 and _taken(result) != ref.slot

    def _finish(self, node: Node, ref: Ref) -> None:
        self.nodes += 1
        if self.nodes > self.max_nodes:
            raise self._error("I103", node, f"is one node too many; expected {self.max_nodes} nodes at most")
        if node.op in SWITCHES and len(node.inputs) == 2:
            self.results[ref] = self._switched(node, ref)
            return
        if node.op in MERGES:
            self._merge(node)
        elif any(isinstance(self.results.get(source), _Dead) for source in self._order(node)):
            rule = self.rules.get(node.op)
            for slot in range(max(ref.slot + 1, rule.count(node) if rule else 1)):
                self.results.setdefault(Ref(node.name, slot), _DEAD)
        else:
            self._compute(node)
        if ref not in self.results:
            raise self._error("I104", node, f"has no output {ref.slot}; expected one of its outputs")

    def _switched(self, node: Node, ref: Ref) -> Array | _Dead:
        taken = self.results[node.inputs[1]]
        if isinstance(taken, _Dead) or _taken(taken) != ref.slot:
            return _DEAD
        return self.results[node.inputs[0]]

    def _merge(self, node: Node) -> None:
        value, index = Ref(node.name), Ref(node.name, 1)
        for position, source in enumerate(node.inputs):
            result = self.results.get(source, _DEAD)
            if not isinstance(result, _Dead):
                self.results[value], self.results[index] = result, np.array(position, np.int32)
                return
        self.results[value] = self.results[index] = _DEAD

    def _compute(self, node: Node) -> None:
        if node.op in CONSTANTS:
            self._store(node, [self._constant(node)])
            return
        rule = self.rules.get(node.op)
        if rule is None or rule.kernel is None:
            if node.op in UNSET_PLACEHOLDERS:
                raise self._error("I102", node, "is not fed; expected a value for it")
            raise self._error("I101", node, "has no numpy kernel; expected ops that can be evaluated here")
        arrays: list[Array] = []
        for source in node.inputs:
            result = self.results[source]
            assert not isinstance(result, _Dead)
            arrays.append(result)
        self._check_bounds(rule, node, arrays)
        try:
            with np.errstate(all="ignore"):
                outputs = [np.asarray(v) for v in rule.kernel(node, arrays)]
        except NoKernel as exc:
            raise self._error(
                "I101", node, f"has no numpy kernel for {exc}; expected ops that can be evaluated here"
            ) from None
        except KERNEL_ERRORS as exc:
            raise self._error("I104", node, f"cannot be evaluated; {exc}") from None
        self.elements += sum(v.size for v in outputs)
        self._check_total(node, 0)
        self._store(node, outputs)

    def _store(self, node: Node, outputs: Sequence[Array]) -> None:
        for slot, value in enumerate(outputs):
            ref = Ref(node.name, slot)
            if ref not in self.results:
                self.results[ref] = value
                if self.keep is not None and node.op not in CONSTANTS:
                    self.keep(ref, value)

    def _constant(self, node: Node) -> Array:
        tensor = node.attrs.get("value")
        if not isinstance(tensor, (TensorValue, TensorRef, TensorDigest)):
            raise self._error("I104", node, "has no value; expected a tensor in its attribute 'value'")
        if not computable(tensor.dtype):
            raise self._error(
                "I101",
                node,
                f"has element type {tensor.dtype}, which has no arithmetic in numpy; expected a plain type",
            )
        if any(d < 0 for d in tensor.shape):
            raise self._error(
                "I104", node, f"has shape {Shape(tensor.shape)}; expected dimensions of at least 0"
            )
        self._check_total(node, tensor.count)
        try:
            return tensor.array()
        except ValueError as exc:
            raise self._error("I104", node, f"cannot be read; {exc}") from None

    def _check_bounds(self, rule: Rule, node: Node, arrays: Sequence[Array]) -> None:
        """Run the shape rule on what is now known, before the kernel allocates anything."""
        context = Context(node, tuple(_spec_of(a) for a in arrays), tuple(arrays))
        try:
            specs = list(rule.shape(context))
        except Mismatch as exc:
            raise self._error("I104", node, f"cannot be evaluated; {exc}") from None
        if context.contradictions:
            raise self._error("I104", node, f"cannot be evaluated; {context.contradictions[0]}")
        for spec in specs:
            if spec.shape.dims is not None and any(d is not None and d < 0 for d in spec.shape.dims):
                raise self._error(
                    "I104", node, f"would have shape {spec.shape}; expected dimensions of at least 0"
                )
            if spec.dtype is not None and not computable(spec.dtype):
                raise self._error(
                    "I101",
                    node,
                    f"has element type {spec.dtype}, which has no arithmetic in numpy; expected a plain type",
                )
        self._check_total(node, sum(spec.shape.size or 0 for spec in specs))

    def _check_total(self, node: Node, more: int) -> None:
        if self.elements + more > self.max_elements:
            raise self._error(
                "I103",
                node,
                f"brings the evaluation to {self.elements + more} elements; expected {self.max_elements} "
                "elements at most",
            )

    def _error(self, code: str, node: Node, what: str) -> SurgeonError:
        namespace = node.namespace
        notes = [f"namespace: '{namespace}'"] if namespace else []
        return error(
            code, f"node '{node.name}' ({node.op}) {what}", self.graph.source or None, notes, _HELP[code]
        )


_HELP = {
    "I101": ("feed a tensor behind this node, or give the value by hand where it was to be derived",),
    "I102": ("feed it, or fix its shape where only the shape matters",),
    "I103": ("ask for a smaller part of the graph, or raise the bound where the size is right",),
    "I104": (
        "compare the shapes of the node's inputs with what the op expects: 'surgeon inspect' shows them",
    ),
}


def _taken(predicate: Array) -> int:
    return 1 if predicate.size and bool(predicate.reshape(-1)[0]) else 0


def _spec_of(array: Array) -> TensorSpec:
    dtype = _SPEC_TYPES.get(array.dtype)
    if dtype is None:
        dtype = _SPEC_TYPES.setdefault(array.dtype, DType.of(array.dtype))
    return TensorSpec(dtype, Shape(array.shape))
