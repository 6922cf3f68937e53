"""Ops that pass tensors on: identities, conditionals, loops, checks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from surgeon.graph import DType, Node, Shape, TensorSpec
from surgeon.infer.dims import common
from surgeon.infer.rule import Array, Context, Rule, attr_dtypes, moves


def passes(ctx: Context) -> Sequence[TensorSpec]:
    """Return the spec of the first input."""
    return [TensorSpec(ctx.spec(0).dtype or ctx.dtype(), ctx.spec(0).shape)]


def passes_all(ctx: Context) -> Sequence[TensorSpec]:
    types = attr_dtypes(ctx.node, "T") or ()
    return [
        TensorSpec(s.dtype or (types[i] if i < len(types) else None), s.shape)
        for i, s in enumerate(ctx.inputs)
    ]


def switch(ctx: Context) -> Sequence[TensorSpec]:
    predicate = ctx.dims(1)
    if predicate is not None and predicate:
        ctx.contradict(f"the predicate has shape {Shape(predicate)}; expected a scalar")
    return [passes(ctx)[0]] * 2


def merge(ctx: Context) -> Sequence[TensorSpec]:
    """Return what all inputs have in common.

    A loop's back edge has an unknown spec, which leaves only the type.
    """
    dtype = next((s.dtype for s in ctx.inputs if s.dtype is not None), ctx.dtype())
    shape = Shape(common([s.shape.dims for s in ctx.inputs]))
    return [TensorSpec(dtype, shape), TensorSpec.of(DType.INT32)]


def loop_condition(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec.of(DType.BOOL)]


def nothing(ctx: Context) -> Sequence[TensorSpec]:
    return []


def check(ctx: Context) -> Sequence[TensorSpec]:
    value = ctx.value(0)
    if value is not None and value.size == 1 and not bool(value.reshape(-1)[0]):
        ctx.contradict("the asserted condition is false; expected true")
    return []


def _identity(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return arrays[:1]


def _identities(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return arrays


def _finite(node: Node, arrays: list[Array]) -> Sequence[Array]:
    if not bool(np.isfinite(arrays[0]).all()):
        raise ValueError("the tensor holds an infinity or a NaN; expected finite numbers")
    return [arrays[0]]


def _count(node: Node) -> int:
    types = attr_dtypes(node, "T")
    return len(types) if types is not None else len(node.inputs)


RULES = (
    *(
        Rule(op, passes, _identity, partial=moves(0))
        for op in (
            "Identity",
            "StopGradient",
            "PreventGradient",
            "Snapshot",
            "RefIdentity",
            "Print",
            "Enter",
            "RefEnter",
        )
    ),
    Rule("CheckNumerics", passes, _finite),
    Rule("IdentityN", passes_all, _identities, outputs=_count, partial=moves()),
    Rule("Exit", passes),
    Rule("RefExit", passes),
    Rule("NextIteration", passes),
    Rule("RefNextIteration", passes),
    Rule("LoopCond", loop_condition),
    Rule("Switch", switch, outputs=2),
    Rule("RefSwitch", switch, outputs=2),
    Rule("Merge", merge, outputs=2),
    Rule("RefMerge", merge, outputs=2),
    Rule("NoOp", nothing, outputs=0),
    Rule("ControlTrigger", nothing, outputs=0),
    Rule("Assert", check, outputs=0),
)
