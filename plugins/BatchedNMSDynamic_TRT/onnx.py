"""BatchedNMSDynamic_TRT in standard operators."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.export.onnx.batched_nms import batched_nms
from surgeon.export.onnx.rendering import PluginNode


def standard(at: PluginNode) -> Sequence[str]:
    """Return the number of detections, int32[N, 1], boxes, float32[N, K, 4], scores and classes, float32[N, K] each.

    Raise SurgeonError X160 where a size is unknown, X161 where isNormalized is 0 and caffeSemantics is too, or clipBoxes is 1,
    X162 for more rows than TensorRT takes.
    """
    return batched_nms(at)
