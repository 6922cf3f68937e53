"""BatchTilePlugin_TRT in standard operators: Expand."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.formats.onnx.lowering import PluginNode
from surgeon.formats.onnx.pictures import for_each_picture


def standard(at: PluginNode) -> Sequence[str]:
    """Return float32[N, C, H, W].

    The second input's one picture, as often as the first input has pictures.
    """
    return [for_each_picture(at, 0, at.inputs[1], 4)]
