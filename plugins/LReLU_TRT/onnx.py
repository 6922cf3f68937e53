"""LReLU_TRT in standard operators: LeakyRelu."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.formats.onnx.lowering import PluginNode


def standard(at: PluginNode) -> Sequence[str]:
    """Return the input, float32 of any shape, with what is below 0 multiplied by the slope."""
    return [at.emit.op("LeakyRelu", at.inputs[0], alpha=float(at.fields["negSlope"]))]
