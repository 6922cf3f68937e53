"""YOLO detectors: maps of cells, whose boxes are decoded against anchors."""

from surgeon.families.yolo.detector import YoloDetector

FAMILY = YoloDetector
