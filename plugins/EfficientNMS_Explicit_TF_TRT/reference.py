"""Numbers of EfficientNMS_Explicit_TF_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgeon.kernels.efficient_nms.numbers import CORNERS, Rules, corners, detections


def run(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the number of detections, int32[N, 1], boxes, float32[N, K, 4], scores, float32[N, K], classes,
    int32[N, K].

    K is max_total_size, or with pad_per_class the rows that all classes together may have, where these are
    fewer.
    """
    boxes, scores = inputs
    most, of_class = fields["max_total_size"], fields["max_output_size_per_class"]
    if fields["pad_per_class"] and of_class > 0:
        most = min(most, of_class * scores.shape[2])
    rules = Rules(fields["score_threshold"], fields["iou_threshold"], most, of_class)
    numbers, *rest = detections(corners(boxes, CORNERS), scores, rules, clipped=bool(fields["clip_boxes"]))
    return [numbers[:, None], *rest]
