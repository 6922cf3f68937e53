"""EfficientNMS_TRT in standard operators."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.formats.onnx.lowering import PluginNode
from surgeon.kernels.efficient_nms.numbers import Rules
from surgeon.kernels.efficient_nms.onnx import chosen, corners, detections, sizes_of


def standard(at: PluginNode) -> Sequence[str]:
    """Return the number of detections, int32[N, 1], boxes, float32[N, K, 4], scores, float32[N, K], classes,
    int32[N, K].

    Which of equal scores comes first is left to chance in the plugin; here the lower box does. Raise
    SurgeonError X160 where a size is unknown, X162 for more rows than TensorRT takes.
    """
    fields, sizes = at.fields, sizes_of(at)
    rules = Rules(
        score_threshold=fields["score_threshold"],
        iou_threshold=fields["iou_threshold"],
        most=fields["max_output_boxes"],
        background=fields["background_class"],
        sigmoid=bool(fields["score_activation"]),
        agnostic=bool(fields["class_agnostic"]),
    )
    return detections(at, chosen(at, corners(at, sizes, fields["box_coding"]), sizes, rules), rules)
