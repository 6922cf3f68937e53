"""Normalization in standard operators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from surgeon.formats.onnx.lowering import PluginNode


def normalize(at: PluginNode) -> Sequence[str]:
    """Return the input, float32[N, C, H, W], divided by its length, times the weights.

    Over all of a picture and with a weight for each channel it is divided by the weights, as in the plugin.
    """
    emit, fields, x = at.emit, at.fields, at.inputs[0]
    across = bool(fields["acrossSpatial"])
    squares = emit.op(
        "ReduceSum", emit.op("Mul", x, x), emit.ints(*((1, 2, 3) if across else (1,))), keepdims=1
    )
    length = emit.op("Sqrt", emit.op("Add", squares, emit.constant(fields["eps"], np.float32)))
    shared = bool(fields["channelShared"])
    weights = np.asarray(fields["weights"], np.float32)
    factor = emit.constant(weights[0] if shared else weights[:, None, None], np.float32)
    return [emit.op("Div" if across and not shared else "Mul", emit.op("Div", x, length), factor)]


def instance_normalization(at: PluginNode) -> Sequence[str]:
    """Return the input with mean 0 and variance 1 in each channel of each picture, scaled and shifted.

    It is float32[N, C, ...]. With relu 1, what is below 0 is then multiplied by alpha.
    """
    emit, fields = at.emit, at.fields
    scale, bias = (emit.constant(fields[name], np.float32) for name in ("scales", "bias"))
    normalized = emit.op("InstanceNormalization", at.inputs[0], scale, bias, epsilon=float(fields["epsilon"]))
    return [emit.op("LeakyRelu", normalized, alpha=float(fields["alpha"])) if fields["relu"] else normalized]
