"""EfficientDet as google/automl exports it."""

from surgeon.families.automl_efficientdet.detector import AutomlEfficientDet

FAMILY = AutomlEfficientDet
