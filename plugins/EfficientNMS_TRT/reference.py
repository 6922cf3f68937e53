"""Numbers of EfficientNMS_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgeon.kernels.efficient_nms.numbers import Rules, corners, detections


def run(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the number of detections, int32[N, 1], boxes, float32[N, K, 4], scores, float32[N, K], classes,
    int32[N, K].

    K is max_output_boxes. Boxes come out as corners, in the order of coordinates in which they went in.
    """
    boxes = corners(inputs[0], fields["box_coding"], *inputs[2:3])
    rules = Rules(
        score_threshold=fields["score_threshold"],
        iou_threshold=fields["iou_threshold"],
        most=fields["max_output_boxes"],
        background=fields["background_class"],
        sigmoid=bool(fields["score_activation"]),
        agnostic=bool(fields["class_agnostic"]),
    )
    numbers, *rest = detections(boxes, inputs[1], rules)
    return [numbers[:, None], *rest]
