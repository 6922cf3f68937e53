"""HardSwish, x * relu6(x + 3) / 6 in whichever order it is multiplied, becomes SurgeonActivation."""

from __future__ import annotations

import math

from surgeon.graph import Node, Ref
from surgeon.steps.native.native_op import NativeOp, NativeReader, PluginOutput

_HARD_SWISH = 1
"""Value of SurgeonActivation's 'type'."""


def _swished(reader: NativeReader, node: Node) -> Ref | None:
    """Return x of a product of x, relu6(x + 3) and 1/6, in any order."""
    if node.op not in ("Mul", "RealDiv"):
        return None
    for bounded in reader.factors(node)[0]:
        relu = reader.graph[bounded.node]
        if relu.op != "Relu6" or not relu.inputs:
            continue
        for x in reader.less(reader.source(relu.inputs[0]), 3):
            factors, scale = reader.factors(node, x)
            if sorted(factors) == sorted((x, bounded)) and math.isclose(scale, 1 / 6, rel_tol=1e-6):
                return x
    return None


def _activated(reader: NativeReader, node: Node) -> tuple[PluginOutput, ...]:
    x = _swished(reader, node)
    assert x is not None
    return (PluginOutput("SurgeonActivation", {"type": _HARD_SWISH}, x),)


def _matches(reader: NativeReader, node: Node) -> bool:
    return _swished(reader, node) is not None


HARD_SWISH = NativeOp("HardSwish", _activated, matches=_matches)
