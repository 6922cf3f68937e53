"""Detections that are made up and changed."""

from __future__ import annotations

import numpy as np

from surgeon.runners.detections import Detections


def rows(detections: Detections, *indices: int) -> Detections:
    """Return some of the detections, in the order given."""
    picked = list(indices)
    return Detections(detections.boxes[picked], detections.scores[picked], detections.classes[picked])


def moved(detections: Detections, row: int, by: float) -> Detections:
    """Return the detections with one box moved along both axes."""
    boxes = detections.boxes.copy()
    boxes[row] += np.float32(by)
    return Detections(boxes, detections.scores, detections.classes)
