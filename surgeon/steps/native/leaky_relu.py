"""LeakyRelu becomes SurgeonActivation."""

from __future__ import annotations

import math

from surgeon.graph import Node
from surgeon.steps.native.native_op import NativeOp, NativeReader, PluginOutput
from surgeon.steps.patterns import Miss

_LEAKY_RELU = 0
"""Value of SurgeonActivation's 'type'."""


def _leaky(reader: NativeReader, node: Node) -> tuple[PluginOutput, ...]:
    alpha = node.attrs.get("alpha", 0.2)
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise Miss("its 'alpha' is not a finite number; expected one")
    return (PluginOutput("SurgeonActivation", {"type": _LEAKY_RELU, "alpha": float(alpha)}, node.inputs[0]),)


LEAKY_RELU = NativeOp("LeakyRelu", _leaky)
