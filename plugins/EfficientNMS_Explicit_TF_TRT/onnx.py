"""EfficientNMS_Explicit_TF_TRT in standard operators."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.formats.onnx.lowering import PluginNode
from surgeon.kernels.efficient_nms.onnx import combined_nms


def standard(at: PluginNode) -> Sequence[str]:
    """Return the number of detections, int32[N, 1], boxes, float32[N, K, 4], scores, float32[N, K], classes,
    int32[N, K].

    Raise SurgeonError X160 where a size is unknown, X162 for more rows than TensorRT takes.
    """
    return combined_nms(at)
