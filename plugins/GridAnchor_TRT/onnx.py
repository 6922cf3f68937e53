"""GridAnchor_TRT in standard operators: constants, for the anchors depend on the fields alone."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.formats.onnx.lowering import PluginNode


def standard(at: PluginNode) -> Sequence[str]:
    """Return float32[1, 2, 4P, 1] for each feature map; the inputs are ignored."""
    return [at.emit.constant(layer) for layer in at.computed()]
