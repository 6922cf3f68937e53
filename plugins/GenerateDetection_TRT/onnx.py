"""GenerateDetection_TRT in standard operators."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.formats.onnx.lowering import PluginNode
from surgeon.kernels.mask_rcnn.onnx import generate_detection


def standard(at: PluginNode) -> Sequence[str]:
    """Return float32[N, keep_topk, 6], the detections best first; rows without one are 0 and have the class
    -1.

    Raise SurgeonError X160 where a size is unknown, X162 for more rows than TensorRT takes.
    """
    return [generate_detection(at)]
