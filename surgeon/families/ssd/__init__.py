"""Single-shot detectors of the TensorFlow Object Detection API."""

from surgeon.families.ssd.detector import SingleShotDetector

FAMILY = SingleShotDetector
