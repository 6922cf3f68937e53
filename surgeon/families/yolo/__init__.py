"""YOLO detectors: maps of cells, whose boxes are decoded against anchors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgeon.lazy_names import lazy_names

if TYPE_CHECKING:
    from surgeon.families.yolo.detector import FAMILY as FAMILY
    from surgeon.families.yolo.detector import YoloDetector as YoloDetector

__getattr__, __dir__ = lazy_names(
    __name__, globals(), {"surgeon.families.yolo.detector": ["FAMILY", "YoloDetector"]}
)
