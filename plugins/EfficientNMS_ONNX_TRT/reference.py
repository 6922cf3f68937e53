"""Numbers of EfficientNMS_ONNX_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgeon.kernels.efficient_nms.numbers import Rules, corners, each


def run(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return picture, class and box of each detection, int32[N K, 3], K max_output_boxes_per_class.

    That many rows are kept of a picture, whatever the number of classes. Rows that are left repeat the last
    one; without any detection they are -1. The plugin leaves the order of pictures to chance.
    """
    boxes, scores = corners(inputs[0], fields["center_point_box"]), inputs[1]
    most, (count, anchors, own) = fields["max_output_boxes_per_class"], boxes.shape[:3]
    rules = Rules(fields["score_threshold"], fields["iou_threshold"], most, most)
    rows = []
    for n, found in enumerate(each(boxes, scores, rules)):
        # With boxes of its own for each class the plugin takes a place in their array for the box.
        box = found.box if own == 1 else (n * anchors * own + found.box * own + found.label) % anchors
        rows.append(np.column_stack([np.full(len(box), n), found.label, box]))
    chosen = np.concatenate(rows).astype(np.int32) if rows else np.empty((0, 3), np.int32)
    indices = np.full((count * most, 3), -1, np.int32)
    indices[: len(chosen)] = chosen
    if len(chosen):
        indices[len(chosen) :] = chosen[-1]
    return [indices]
