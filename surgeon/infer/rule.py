"""What a rule is: the shape rule of one TensorFlow op, its numpy kernel, and how partial values pass through
it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from surgeon.graph import DType, Graph, Node, Shape, TensorSpec

Array: TypeAlias = "np.ndarray[Any, Any]"
Dim: TypeAlias = "int | None"
Dims: TypeAlias = "tuple[int | None, ...] | None"
Specs: TypeAlias = "Sequence[TensorSpec]"
ShapeRule: TypeAlias = "Callable[[Context], Specs]"
Kernel: TypeAlias = "Callable[[Node, list[Array]], Sequence[Array]]"
PartialRule: TypeAlias = "Callable[[Rule, Context], Sequence[Partial | None]]"


class Mismatch(ValueError):
    """A rule's inputs contradict one another.

    The message says `<thing> <what is wrong>; <what was expected>`.
    """


class NoKernel(Exception):
    """A kernel does not cover this variant of its op; the message names the variant."""


@dataclass(frozen=True, slots=True, eq=False)
class Partial:
    """A small integer tensor of which some elements are known.

    ``data`` is int32 or int64 of the tensor's shape; ``known`` is bool of the same shape. Elements of
    ``data`` that are not known are 0.
    """

    data: Array
    known: Array

    @staticmethod
    def of(dims: Sequence[int | None], dtype: DType) -> Partial:
        """Return the 1-D partial value with these elements; those that ``dtype`` cannot hold are unknown."""
        bound = np.iinfo(dtype.numpy()).max
        held = [d if d is not None and -bound <= d <= bound else None for d in dims]
        return Partial(
            np.array([d or 0 for d in held], dtype.numpy()), np.array([d is not None for d in held], bool)
        )

    def items(self) -> tuple[int | None, ...]:
        """Return the elements in C order, None where unknown."""
        pairs = zip(self.data.ravel().tolist(), self.known.ravel().tolist(), strict=True)
        return tuple(value if known else None for value, known in pairs)


@dataclass(slots=True)
class Context:
    """What a shape rule sees: the node, and per data input the spec, the value and the partially known value.

    ``values`` and ``partials`` hold None where nothing is known. Reading past the inputs gives what is
    unknown, so that a malformed node needs no care in a rule. ``graph`` is what the node is in, and
    ``producer`` its version where it has one. A rule that finds inputs contradicting one another calls
    :meth:`contradict` and goes on, or raises :class:`Mismatch`.
    """

    node: Node
    inputs: tuple[TensorSpec, ...]
    values: tuple[Array | None, ...] = ()
    partials: tuple[Partial | None, ...] = ()
    contradictions: list[str] = field(default_factory=list)
    producer: int | None = None
    graph: Graph | None = None

    def contradict(self, message: str) -> None:
        """Record that the inputs contradict one another."""
        self.contradictions.append(message)

    def source(self, index: int) -> Node | None:
        """Return the node whose output one input is; None where it is not known."""
        inputs = self.node.inputs
        return self.graph.get(inputs[index].node) if self.graph and 0 <= index < len(inputs) else None

    def spec(self, index: int) -> TensorSpec:
        """Return the spec of one input."""
        return self.inputs[index] if 0 <= index < len(self.inputs) else TensorSpec()

    def dims(self, index: int) -> tuple[int | None, ...] | None:
        """Return the dimensions of one input, None for unknown rank."""
        return self.spec(index).shape.dims

    def dtype(self, attr: str = "T", index: int = 0) -> DType | None:
        """Return the element type that ``attr`` names, else that of input ``index``."""
        value = self.node.attrs.get(attr)
        return value if isinstance(value, DType) else self.spec(index).dtype

    def value(self, index: int) -> Array | None:
        """Return the constant value of one input, None where it is unknown or large."""
        return self.values[index] if 0 <= index < len(self.values) else None

    def partial(self, index: int) -> Partial | None:
        """Return the partially known value of one input.

        Where only its small shape is known, no element is.
        """
        found = self.partials[index] if 0 <= index < len(self.partials) else None
        spec = self.spec(index)
        size = spec.shape.size
        if (
            found is not None
            or spec.dtype not in (DType.INT32, DType.INT64)
            or size is None
            or not 0 <= size <= MAX_RANK
        ):
            return found
        dims = spec.shape.static()
        return Partial(np.zeros(dims, spec.dtype.numpy()), np.zeros(dims, bool))

    def ints(self, index: int) -> tuple[int | None, ...] | None:
        """Return the elements of an integer input, None for each that is unknown.

        None when nothing is known.
        """
        value = self.value(index)
        if value is not None:
            return tuple(value.ravel().tolist()) if value.dtype.kind in "iu" else None
        partial = self.partials[index] if 0 <= index < len(self.partials) else None
        if partial is not None:
            return partial.items()
        dims = self.dims(index)
        if dims is not None and len(dims) == 1 and dims[0] is not None and 0 <= dims[0] <= MAX_RANK:
            return (None,) * dims[0]
        return None

    def scalar(self, index: int) -> Dim:
        """Return the value of an integer scalar input, None if unknown."""
        items = self.ints(index)
        return items[0] if items is not None and len(items) == 1 else None

    @property
    def shape_values(self) -> tuple[tuple[int | None, ...] | None, ...]:
        """:meth:`ints` of every input."""
        return tuple(self.ints(i) for i in range(len(self.inputs)))


MAX_RANK = 254
"""TensorFlow's bound on the number of axes."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule of one op.

    ``shape`` returns the specs of all outputs. ``kernel`` computes their values in numpy; None where that is
    not done here. ``outputs`` is their number, by node where it depends on attributes. ``partial`` passes on
    partially known integer values. ``foldable`` is False where the value, although computable, may be given
    from outside. ``owner`` is the module or plugin that the rule came from.
    """

    op: str
    shape: ShapeRule
    kernel: Kernel | None = None
    outputs: int | Callable[[Node], int] = 1
    partial: PartialRule | None = None
    foldable: bool = True
    owner: str = ""

    def count(self, node: Node) -> int:
        """Return the number of outputs of ``node``, at most :data:`MAX_OUTPUTS`."""
        number = self.outputs if isinstance(self.outputs, int) else self.outputs(node)
        return max(0, min(number, MAX_OUTPUTS))

    def owned(self, owner: str) -> Rule:
        """Return this rule with its owner set."""
        return replace(self, owner=self.owner or owner)


MAX_OUTPUTS = 1 << 16
"""Bound on the outputs of one node."""


def attr_int(node: Node, key: str, default: int = 0) -> int:
    """Return an integer attribute, ``default`` where it is missing or of another kind."""
    value = node.attrs.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def attr_float(node: Node, key: str, default: float = 0.0) -> float:
    """Return a float attribute, ``default`` where it is missing or of another kind."""
    value = node.attrs.get(key)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else default


def attr_bool(node: Node, key: str, default: bool = False) -> bool:
    """Return a boolean attribute, ``default`` where it is missing or of another kind."""
    value = node.attrs.get(key)
    return value if isinstance(value, bool) else default


def attr_text(node: Node, key: str, default: str = "") -> str:
    """Return a string attribute, ``default`` where it is missing or of another kind."""
    value = node.attrs.get(key)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else default


def attr_ints(node: Node, key: str) -> tuple[int, ...] | None:
    """Return an attribute that lists integers, None where it is missing or of another kind."""
    value = node.attrs.get(key)
    if not isinstance(value, tuple):
        return None
    items = tuple(v for v in value if isinstance(v, int) and not isinstance(v, bool))
    return items if len(items) == len(value) else None


def attr_dtypes(node: Node, key: str) -> tuple[DType, ...] | None:
    """Return an attribute that lists element types, None where it is missing or of another kind."""
    value = node.attrs.get(key)
    return tuple(v for v in value if isinstance(v, DType)) if isinstance(value, tuple) else None


def attr_shape(node: Node, key: str) -> Shape:
    """Return a shape attribute, the unknown shape where it is missing or of another kind."""
    value = node.attrs.get(key)
    return value if isinstance(value, Shape) else Shape()


def attr_dtype(node: Node, key: str, default: DType | None = None) -> DType | None:
    """Return an element type attribute, ``default`` where it is missing or of another kind."""
    value = node.attrs.get(key)
    return value if isinstance(value, DType) else default


def moves(*positions: int, last: int | None = None) -> PartialRule:
    """Return the partial rule of an op that moves elements of some inputs around and never combines them.

    ``positions`` are the inputs whose elements are moved; none given means all of them, except the one at
    index ``last`` counted from the end (-1). The kernel runs once on the elements and once on what is known
    of them.
    """

    def partial(rule: Rule, ctx: Context) -> Sequence[Partial | None]:
        count = len(ctx.inputs)
        skipped = count + last if last is not None else -1
        moved = positions or tuple(i for i in range(count) if i != skipped)
        data: list[Array] = []
        known: list[Array] = []
        for i in range(count):
            value = ctx.value(i)
            part = ctx.partial(i) if i in moved else None
            if value is not None:
                data.append(value)
                known.append(np.ones(value.shape, value.dtype) if i in moved else value)
            elif part is not None:
                data.append(part.data)
                known.append(part.known.astype(part.data.dtype))
            else:
                return ()
        if rule.kernel is None:
            return ()
        values = rule.kernel(ctx.node, data)
        masks = rule.kernel(ctx.node, known)
        return [Partial(v, np.asarray(m) != 0) for v, m in zip(values, masks, strict=True)]

    return partial


def elementwise(rule: Rule, ctx: Context) -> Sequence[Partial | None]:
    """Pass partial values through an op whose element i depends on the elements i of its (broadcast) inputs
    only.
    """
    data: list[Array] = []
    known: list[Array] = []
    for i in range(len(ctx.inputs)):
        value = ctx.value(i)
        part = ctx.partial(i)
        if value is not None:
            data.append(value)
            known.append(np.ones(value.shape, bool))
        elif part is not None:
            data.append(np.where(part.known, part.data, 1).astype(part.data.dtype))
            known.append(part.known)
        else:
            return ()
    if rule.kernel is None:
        return ()
    result = np.asarray(rule.kernel(ctx.node, data)[0])
    mask = np.ones((), bool)
    for item in known:
        mask = mask & item
    mask = np.broadcast_to(mask, result.shape)
    return [Partial(np.where(mask, result, 0).astype(result.dtype), mask)]
