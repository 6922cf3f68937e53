"""Clip_TRT in standard operators: Clip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from surgeon.formats.onnx.lowering import PluginNode


def standard(at: PluginNode) -> Sequence[str]:
    """Return the input, float32 of any shape, with each element clipped to the range."""
    low, high = (at.emit.constant(at.fields[name], np.float32) for name in ("clipMin", "clipMax"))
    return [at.emit.op("Clip", at.inputs[0], low, high)]
