"""CropAndResize_TRT in standard operators: Gather of the four cells around each sample."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.formats.onnx.lowering import PluginNode
from surgeon.kernels.regions.onnx import crop_and_resize


def standard(at: PluginNode) -> Sequence[str]:
    """Return float32[N, R, C, crop_height, crop_width]; 0 where a region lies outside of the feature map.

    Raise SurgeonError X160 where a size is unknown.
    """
    return [crop_and_resize(at)]
