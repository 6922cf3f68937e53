"""InstanceNormalization_TRT in standard operators: InstanceNormalization, and LeakyRelu."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from surgeon.formats.onnx.lowering import PluginNode


def standard(at: PluginNode) -> Sequence[str]:
    """Return float32[N, C, ...]: each channel of each picture with mean 0 and variance 1, then scaled and
    shifted.

    With relu 1, what is below 0 is multiplied by alpha afterwards.
    """
    emit, fields = at.emit, at.fields
    scale, bias = (emit.constant(fields[name], np.float32) for name in ("scales", "bias"))
    normalized = emit.op("InstanceNormalization", at.inputs[0], scale, bias, epsilon=float(fields["epsilon"]))
    return [emit.op("LeakyRelu", normalized, alpha=float(fields["alpha"])) if fields["relu"] else normalized]
