"""Dropout and noise that change nothing at their rate."""

from __future__ import annotations

from functools import cached_property

from surgeon.graph import Node, Ref
from surgeon.graph.frames import frame_depths
from surgeon.graph.op_sets import CONSTANTS, NORMAL, PASSED_OVER, RANDOM, SELECTIONS, SIZES, SWITCHES, UNIFORM
from surgeon.graph.reach import before_identities
from surgeon.infer.bounds import RandomBounds
from surgeon.steps.step import StepContext

_ADDITIONS = frozenset({"Add", "AddV2"})
_DIVISIONS = frozenset({"Div", "RealDiv"})
_ONE_SHAPE = frozenset({"BiasAdd", "Cast", "Elu", "Relu", "Relu6", "Selu", "Sigmoid", "Tanh"})
"""Operations whose output has the shape of input 0."""

_ELEMENTWISE = frozenset(
    """
    Add AddV2 Cast Ceil Div Floor Greater GreaterEqual Less LessEqual LogicalAnd LogicalNot LogicalOr Maximum
    Minimum Mul Neg RealDiv Rint Round Select SelectV2 Sign Sqrt Sub
    """.split()
)
"""Operations whose output has the shape of their inputs, broadcast."""

_BOUND = 64
"""Operations that a walk along a dropout takes at most."""


def inert_nodes(context: StepContext) -> dict[str, Ref]:
    """Return the nodes of dropout and noise whose output is one of their inputs, with that input.

    That is a product with a random mask that is always 1, a sum with noise that is always 0, a selection by a
    mask that is always the same, random or constant, and the scaling by 1 beside them. A node counts only
    where the bounds of what is drawn prove it, and the mask has the shape of what it is applied to.
    """
    if not any(node.op in RANDOM or node.op in SELECTIONS for node in context.graph):
        return {}
    return _Inert(context).found()


class _Inert:
    def __init__(self, context: StepContext) -> None:
        self.graph, self.inference = context.graph, context.inference
        self.inert: dict[str, Ref] = {}

    @cached_property
    def varying(self) -> set[str]:
        """Nodes whose numbers depend on an input, or on what is not known here.

        The predicate of a Switch does not count: it decides where a number is computed, not the number.
        """
        graph = self.graph
        waiting = [n.name for n in graph if not n.inputs and n.op not in CONSTANTS and n.op not in RANDOM]
        found = set(waiting)
        while waiting:
            name = waiting.pop()
            for reader in graph.readers[name]:
                node = graph[reader]
                data = node.inputs[:1] if node.op in SWITCHES else node.inputs
                if reader not in found and node.op not in SIZES and any(ref.node == name for ref in data):
                    found.add(reader)
                    waiting.append(reader)
        return found

    @cached_property
    def depths(self) -> dict[str, tuple[int, int]]:
        return frame_depths(self.graph)

    @cached_property
    def bounds(self) -> RandomBounds:
        return RandomBounds(self.graph, self.inference, self.varying)

    def found(self) -> dict[str, Ref]:
        for node in self._meetings():
            kept = self._kept(node)
            if kept is not None and self.depths.get(kept.node) == self.depths.get(node.name):
                self.inert[node.name] = kept
        for name in list(self.inert):
            self._scalings_before(self.inert[name])
            self._scalings_behind(name)
        return self.inert

    def _meetings(self) -> list[Node]:
        """Return the nodes where what is drawn meets an input, and selections by a constant."""
        waiting = [node.name for node in self.graph if node.op in RANDOM]
        seen = set(waiting)
        met: set[str] = set()
        while waiting:
            for reader in self.graph.readers[waiting.pop()]:
                if reader in seen:
                    continue
                seen.add(reader)
                if reader in self.varying:
                    met.add(reader)
                else:
                    waiting.append(reader)
        return [node for node in self.graph if node.name in met or self._is_fixed_selection(node)]

    def _is_fixed_selection(self, node: Node) -> bool:
        return node.op in SELECTIONS and len(node.inputs) == 3 and node.inputs[0].node not in self.varying

    def _kept(self, node: Node) -> Ref | None:
        """Return the input that a node passes on as it is."""
        inputs = node.inputs
        if node.op in SELECTIONS and len(inputs) == 3:
            mask = self.bounds.of(inputs[0])
            if mask is None:
                return None
            taken, other = (inputs[1], inputs[2]) if mask.always(True) else (inputs[2], inputs[1])
            if not mask.always(True) and not mask.always(False):
                return None
            fits = node.op == "Select" or (self._fits(inputs[0], taken) and self._fits(other, taken))
            return taken if fits else None
        if len(inputs) != 2:
            return None
        for kept, drawn in ((inputs[0], inputs[1]), (inputs[1], inputs[0])):
            neutral = self._neutral(node, drawn is inputs[1])
            limits = None if neutral is None else self.bounds.of(drawn)
            if limits is not None and neutral is not None and limits.always(neutral):
                return kept if self._fits(drawn, kept) else None
        return None

    def _neutral(self, node: Node, second: bool) -> float | None:
        """Return the number that changes nothing as the second or first input of a node."""
        if node.op == "Mul" or (node.op in _DIVISIONS and second and self._is_real(node)):
            return 1.0
        return 0.0 if node.op in _ADDITIONS or (node.op == "Sub" and second) else None

    def _is_real(self, node: Node) -> bool:
        dtype = self.inference.spec(node.inputs[1]).dtype
        return dtype is not None and "float" in dtype.value

    def _is_scalar(self, ref: Ref) -> bool:
        spec = self.inference.spec(ref)
        return spec.shape.dims == () and spec.dtype is not None and "float" in spec.dtype.value

    def _scalings_before(self, ref: Ref) -> None:
        for _ in range(_BOUND):
            node = self.graph[before_identities(self.graph, ref).node]
            kept = self._scaled(node)
            if kept is None:
                return
            self.inert[node.name] = ref = kept

    def _scalings_behind(self, name: str) -> None:
        for _ in range(_BOUND):
            readers = [self.graph[reader] for reader in self.graph.readers[name]]
            scaled = [(node, self._scaled(node)) for node in readers]
            passing = [node.name for node, kept in scaled if kept is not None and kept.node == name]
            passing += [node.name for node in readers if node.op in PASSED_OVER and len(node.inputs) == 1]
            for node, kept in scaled:
                if kept is not None and kept.node == name:
                    self.inert[node.name] = kept
            if len(readers) != 1 or not passing:
                return
            name = passing[0]

    def _scaled(self, node: Node) -> Ref | None:
        """Return what a node multiplies or divides by the number 1, or adds the number 0 to."""
        if len(node.inputs) != 2 or node.name in self.inert or node.name not in self.varying:
            return None
        for kept, number in ((node.inputs[0], node.inputs[1]), (node.inputs[1], node.inputs[0])):
            neutral = self._neutral(node, number is node.inputs[1])
            if neutral is None or number.node in self.varying or kept.node not in self.varying:
                continue
            if self.depths.get(kept.node) != self.depths.get(node.name):
                continue
            limits = self.bounds.of(number)
            if limits is not None and self._is_scalar(number) and limits.always(neutral):
                return kept
        return None

    # Shapes

    def _fits(self, smaller: Ref, whole: Ref) -> bool:
        """Return whether a tensor of random numbers and constants broadcasts to the shape of ``whole``."""
        waiting, seen = [smaller], set()
        while waiting:
            ref = before_identities(self.graph, waiting.pop())
            if ref in seen:
                continue
            seen.add(ref)
            node = self.graph[ref.node]
            if self._same_shape(ref, whole):
                continue
            if node.op in UNIFORM or node.op in NORMAL:
                if not self._shape_fits(node.inputs[0], whole):
                    return False
            elif node.op in ("ZerosLike", "OnesLike"):
                if not self._same_shape(node.inputs[0], whole):
                    return False
            elif node.op not in _ELEMENTWISE:
                if not self._known_to_fit(self.inference.spec(ref).shape.dims, whole):
                    return False
            else:
                waiting += node.inputs
        return True

    def _shape_fits(self, shape: Ref, whole: Ref) -> bool:
        """Return whether the shape that a tensor lists broadcasts to that of ``whole``."""
        node = self.graph[before_identities(self.graph, shape).node]
        if node.op == "Shape" and self._same_shape(node.inputs[0], whole):
            return True
        dims = self.inference.shape_value(shape)
        if self._known_to_fit(dims, whole):
            return True
        of_whole = self.inference.spec(whole).shape.dims
        if node.op != "Pack" or of_whole is None or len(node.inputs) > len(of_whole):
            return False
        offset = len(of_whole) - len(node.inputs)
        known = dims or (None,) * len(node.inputs)
        return all(
            known[i] == 1
            or (known[i] is not None and known[i] == of_whole[offset + i])
            or self._is_length(source, offset + i, whole)
            for i, source in enumerate(node.inputs)
        )

    def _is_length(self, ref: Ref, axis: int, whole: Ref) -> bool:
        """Return whether a scalar is the length of an axis of ``whole``, cut out of its shape."""
        node = self.graph[before_identities(self.graph, ref).node]
        if node.op != "StridedSlice" or node.attrs.get("shrink_axis_mask") != 1 or len(node.inputs) != 4:
            return False
        begin = self.inference.shape_value(node.inputs[1])
        shape = self.graph[before_identities(self.graph, node.inputs[0]).node]
        return begin == (axis,) and shape.op == "Shape" and self._same_shape(shape.inputs[0], whole)

    def _known_to_fit(self, dims: tuple[int | None, ...] | None, whole: Ref) -> bool:
        if not dims:
            return dims is not None
        of_whole = self.inference.spec(whole).shape.dims
        if of_whole is None or len(dims) > len(of_whole):
            return False
        pairs = zip(dims, of_whole[len(of_whole) - len(dims) :], strict=True)
        return all(dim == 1 or (dim is not None and dim == other) for dim, other in pairs)

    def _same_shape(self, a: Ref, b: Ref) -> bool:
        return self._shape_source(a) == self._shape_source(b)

    def _shape_source(self, ref: Ref) -> Ref:
        """Return the tensor at the end of a chain of operations that keep the shape of one input."""
        for _ in range(_BOUND):
            ref = before_identities(self.graph, ref)
            node = self.graph[ref.node]
            if ref.slot:
                break
            if node.name in self.inert:
                ref = self.inert[node.name]
            elif node.op in _ONE_SHAPE and node.inputs:
                ref = node.inputs[0]
            elif (kept := self._scalar_operand(node)) is not None:
                ref = kept
            else:
                break
        return ref

    def _scalar_operand(self, node: Node) -> Ref | None:
        """Return the input that a node combines with a scalar that depends on no input."""
        if len(node.inputs) != 2 or node.op not in (*_ADDITIONS, *_DIVISIONS, "Mul", "Sub"):
            return None
        for kept, other in ((node.inputs[0], node.inputs[1]), (node.inputs[1], node.inputs[0])):
            if other.node not in self.varying and self.inference.spec(other).shape.dims == ():
                return kept
        return None
