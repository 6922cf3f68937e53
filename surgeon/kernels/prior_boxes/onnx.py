"""Prior boxes as a constant: they depend on fields and sizes alone."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.formats.onnx.lowering import PluginNode
from surgeon.formats.onnx.shapes import sample_dims


def prior_boxes(at: PluginNode) -> Sequence[str]:
    """Return the anchors and their variances, float32[1, 2, 4P, 1].

    Raise SurgeonError X160 where a size is unknown.
    """
    for index in range(len(at.inputs)):
        sample_dims(at, index)
    return [at.emit.constant(priors) for priors in at.computed()]
