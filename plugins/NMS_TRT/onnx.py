"""NMS_TRT in standard operators."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.formats.onnx.lowering import PluginNode
from surgeon.kernels.detection_output.onnx import detection_output
from surgeon.kernels.detection_output.onnx_efficient_nms import by_efficient_nms


def standard(at: PluginNode) -> Sequence[str]:
    """Return the detections, float32[N, 1, keepTopK, 7], and their number, int32[N, 1, 1, 1].

    The number is an int32, where the plugin has the bits of an int32 in a float32. Raise SurgeonError X160
    where a size is unknown, X161 where isNormalized is 0, X162 for more rows than TensorRT takes.
    """
    return detection_output(at)


def efficient_nms(at: PluginNode) -> Sequence[str]:
    """Return the same, decoded in standard operators and suppressed by EfficientNMS_TRT.

    Raise SurgeonError as `standard`.
    """
    return by_efficient_nms(at)
