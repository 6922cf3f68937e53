"""What a step that matches several nodes asks of a graph, and why a node is not a match.

A step matches an operation from its result backwards. :meth:`NodeReader.source` passes over identities.
:meth:`NodeReader.factors` and :meth:`NodeReader.less` take arithmetic apart, in whichever order it was
written. :meth:`NodeReader.ints` and :meth:`NodeReader.scalar` read the constants.
"""

from __future__ import annotations

from surgeon.graph import DType, Node, Ref
from surgeon.graph.reach import before_identities
from surgeon.steps.step import StepContext


class Miss(Exception):
    """A node is not a match; the message ends a sentence that begins with the node."""


class NodeReader:
    """What nodes compute, and the constants that they read."""

    def __init__(self, context: StepContext) -> None:
        self.context, self.graph, self.inference = context, context.graph, context.inference

    def dims(self, ref: Ref) -> tuple[int | None, ...]:
        """Return the lengths of a tensor's axes; raise Miss where it does not have 2 to 4."""
        dims = self.inference.spec(ref).shape.dims
        if dims is None or not 2 <= len(dims) <= 4:
            raise Miss(
                f"its input has {'an unknown number of' if dims is None else len(dims)} axes; expected 2 to 4"
            )
        return dims

    def ints(self, node: Node, position: int, what: str) -> list[int]:
        """Return the whole numbers of a constant operand; raise Miss where it has none."""
        value = self.inference.value(node.inputs[position]) if position < len(node.inputs) else None
        if value is None or value.dtype.kind not in "iu" or value.size > 64:
            raise Miss(f"its {what} is not constant; expected whole numbers")
        return [int(v) for v in value.ravel()]

    def scalar(self, ref: Ref) -> float | None:
        """Return a float32 constant of one element, None for any other tensor."""
        spec = self.inference.spec(ref)
        if spec.dtype is not DType.FLOAT32 or spec.shape.size != 1:
            return None
        value = self.inference.value(ref)
        return None if value is None or value.size != 1 else float(value.ravel()[0])

    def source(self, ref: Ref) -> Ref:
        """Return the tensor that ``ref`` equals, past identities."""
        return before_identities(self.graph, ref)

    def less(self, ref: Ref, number: float) -> list[Ref]:
        """Return x where ``ref`` is x + ``number``; nothing where it is no such sum."""
        node = self.graph[ref.node]
        if node.op not in ("Add", "AddV2") or len(node.inputs) != 2:
            return []
        a, b = map(self.source, node.inputs)
        return [x for x, constant in ((a, b), (b, a)) if self.scalar(constant) == number]

    def factors(self, node: Node, whole: Ref | None = None) -> tuple[list[Ref], float]:
        """Return the tensors that a node multiplies, and the product of the numbers among them.

        Products before it, up to two deep, are taken apart, but not the tensor ``whole``.
        """
        factors: list[Ref] = []
        scale = 1.0
        waiting = [(Ref(node.name), 0)]
        while waiting:
            ref, depth = waiting.pop()
            ref = self.source(ref)
            at, number = self.graph[ref.node], self.scalar(ref)
            apart = depth < 2 and ref != whole and len(at.inputs) == 2
            if number is not None:
                scale *= number
            elif apart and at.op == "Mul":
                waiting += [(source, depth + 1) for source in at.inputs]
            elif apart and at.op == "RealDiv" and (divisor := self.scalar(at.inputs[1])):
                scale /= divisor
                waiting.append((at.inputs[0], depth + 1))
            else:
                factors.append(ref)
        return factors, scale
