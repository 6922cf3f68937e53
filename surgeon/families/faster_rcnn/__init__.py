"""Detectors of two stages of the TensorFlow Object Detection API: Faster R-CNN and R-FCN."""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgeon.lazy_names import lazy_names

if TYPE_CHECKING:
    from surgeon.families.faster_rcnn.detector import FAMILY as FAMILY

OPERATION = "CropAndResize"
"""What every member holds; for a graph without it the rest of this package is not loaded."""

__getattr__, __dir__ = lazy_names(__name__, globals(), {"surgeon.families.faster_rcnn.detector": ["FAMILY"]})
