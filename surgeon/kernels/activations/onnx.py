"""Activation functions in standard operators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from surgeon.formats.onnx.lowering import PluginNode


def clip(at: PluginNode) -> Sequence[str]:
    """Return the input, float32 of any shape, with each element clipped to the range."""
    low, high = (at.emit.constant(at.fields[name], np.float32) for name in ("clipMin", "clipMax"))
    return [at.emit.op("Clip", at.inputs[0], low, high)]


def leaky_relu(at: PluginNode) -> Sequence[str]:
    """Return the input, float32 of any shape, with what is below 0 multiplied by the slope."""
    return [at.emit.op("LeakyRelu", at.inputs[0], alpha=float(at.fields["negSlope"]))]
