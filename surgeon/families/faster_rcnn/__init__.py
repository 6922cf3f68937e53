"""Detectors of two stages of the TensorFlow Object Detection API: Faster R-CNN and R-FCN."""

from surgeon.families.faster_rcnn.detector import TwoStageDetector as FAMILY

__all__ = ["FAMILY"]
