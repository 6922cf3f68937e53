"""Single-shot detectors of the TensorFlow Object Detection API."""

from surgeon.families.ssd.cut import SingleShotFamily

FAMILY = SingleShotFamily
