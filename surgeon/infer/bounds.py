"""Bounds of tensors that depend on random numbers and constants, whatever numbers are drawn."""

from __future__ import annotations

from collections.abc import Collection
from itertools import product
from typing import NamedTuple

import numpy as np

from surgeon.graph import DType, Graph, Node, Ref
from surgeon.graph.op_sets import LOOP_ENTRIES, NORMAL, PASSED_OVER, RANDOM, SELECTIONS, SWITCHES, UNIFORM
from surgeon.infer.evaluation import KERNEL_ERRORS
from surgeon.infer.inference import Inference
from surgeon.infer.rule import Array, Kernel, NoKernel, attr_dtype

MAX_DEPTH = 64
"""Operations behind a random one that are followed."""

_KEEP_NUMBERS = frozenset({"BroadcastTo", "ExpandDims", "Reshape", "Squeeze", "Tile", "Transpose"})
"""Operations that move or repeat the elements of input 0."""

_PASSES = PASSED_OVER | SWITCHES | LOOP_ENTRIES
"""Operations that pass input 0 on, also into a branch or loop."""

_MONOTONE = frozenset({"Cast", "Ceil", "Floor", "LogicalNot", "Neg", "Relu", "Rint", "Round", "Sign", "Sqrt"})
"""Operations of one input that rise, or fall, everywhere, so that bounds go through them."""

_IN_EACH_INPUT = frozenset(
    {
        "Add",
        "AddV2",
        "Greater",
        "GreaterEqual",
        "Less",
        "LessEqual",
        "LogicalAnd",
        "LogicalOr",
        "Maximum",
        "Minimum",
        "Mul",
        "Sub",
    }
)
"""Operations of two inputs that rise or fall in each, whatever the other is."""

_DIVISIONS = frozenset({"Div", "RealDiv"})


class Bounds(NamedTuple):
    """The least and the greatest element that a tensor can have, both of its own type."""

    least: Array
    most: Array

    def always(self, value: float) -> bool:
        """Return whether every element is ``value``."""
        return bool(self.least == value) and bool(self.most == value)


class RandomBounds:
    """Bounds of a graph's tensors, computed when asked for.

    A rounded operation that rises with its input still does after rounding, so bounds that are computed in
    the tensors' own type hold for what TensorFlow computes. ``varying`` names nodes that depend on an input;
    of them nothing is known.
    """

    def __init__(self, graph: Graph, inference: Inference, varying: Collection[str]) -> None:
        self.graph, self.inference, self.varying = graph, inference, varying
        self._bounds: dict[str, Bounds | None] = {}

    def of(self, ref: Ref, depth: int = MAX_DEPTH) -> Bounds | None:
        """Return the bounds of a tensor wherever it is computed; None where they are unknown, or where it
        depends on an input.
        """
        slots = 2 if self.graph[ref.node].op in SWITCHES else 1
        if ref.slot >= slots or depth == 0 or ref.node in self.varying:
            return None
        if ref.node not in self._bounds:
            self._bounds[ref.node] = self._compute(self.graph[ref.node], depth)
        return self._bounds[ref.node]

    def _compute(self, node: Node, depth: int) -> Bounds | None:
        if node.op in RANDOM:
            return _drawn(node)
        if not node.inputs:
            return self._constant(node)
        if node.op in _PASSES or node.op in _KEEP_NUMBERS:
            return self.of(node.inputs[0], depth - 1)
        if node.op in SELECTIONS and len(node.inputs) == 3:
            return self._selected(node, depth)
        inputs = 1 if node.op in _MONOTONE else 2
        if inputs == 2 and node.op not in _IN_EACH_INPUT and node.op not in _DIVISIONS:
            return self._constant(node)
        if len(node.inputs) != inputs:
            return None
        bounds = [self.of(source, depth - 1) for source in node.inputs]
        known = [bound for bound in bounds if bound is not None]
        if len(known) < inputs or (node.op in _DIVISIONS and known[1].least <= 0 <= known[1].most):
            return None
        rule = self.inference.rules.get(node.op)
        return None if rule is None or rule.kernel is None else _extremes(node, rule.kernel, known)

    def _selected(self, node: Node, depth: int) -> Bounds | None:
        condition, a, b = (self.of(source, depth - 1) for source in node.inputs)
        if condition is None:
            return None
        if condition.always(True):
            return a
        if condition.always(False):
            return b
        return None if a is None or b is None else _ordered([*a, *b])

    def _constant(self, node: Node) -> Bounds | None:
        value = self.inference.value(Ref(node.name))
        if value is None or not value.size or value.dtype.kind not in "fiub":
            return None
        return _ordered([value.min(), value.max()])


def _drawn(node: Node) -> Bounds | None:
    """Return the bounds of what a random operation draws.

    A uniform number is a multiple of 2^-n below 1, where n is the number of bits of a fraction that the type
    keeps: TensorFlow's RandomUniform draws these bits of a number from 1 to 2, and takes 1 away.
    """
    dtype = attr_dtype(node, "dtype")
    if node.op not in UNIFORM | NORMAL or dtype not in (DType.FLOAT16, DType.FLOAT32, DType.FLOAT64):
        return None
    kind = np.finfo(dtype.numpy())
    if node.op in UNIFORM:
        return Bounds(np.asarray(0, kind.dtype), np.asarray(1 - kind.eps, kind.dtype))
    return Bounds(np.asarray(kind.min, kind.dtype), np.asarray(kind.max, kind.dtype))


def _extremes(node: Node, kernel: Kernel, bounds: list[Bounds]) -> Bounds | None:
    results: list[Array] = []
    for corner in product(*bounds):
        try:
            with np.errstate(all="ignore"):
                results += kernel(node, [np.asarray(value) for value in corner])
        except (NoKernel, *KERNEL_ERRORS):
            return None
    return _ordered(results)


def _ordered(values: list[Array]) -> Bounds | None:
    array = np.stack([np.asarray(value) for value in values])
    if array.dtype.kind == "f" and not bool(np.isfinite(array).all()):
        return None
    return Bounds(np.asarray(array.min()), np.asarray(array.max()))
