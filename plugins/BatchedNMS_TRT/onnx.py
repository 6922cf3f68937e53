"""BatchedNMS_TRT in standard operators."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.formats.onnx.lowering import PluginNode
from surgeon.kernels.batched_nms.onnx import batched_nms


def standard(at: PluginNode) -> Sequence[str]:
    """Return the number of detections, int32[N], boxes, float32[N, K, 4], scores and classes, float32[N, K]
    each.

    Raise SurgeonError X160 where a size is unknown, X161 where isNormalized is 0 and caffeSemantics is too,
    or clipBoxes is 1, X162 for more rows than TensorRT takes.
    """
    number, *rest = batched_nms(at)
    return [at.emit.op("Squeeze", number, at.emit.ints(1)), *rest]
