"""CenterNet detectors: peaks of heat maps, without suppression."""

from surgeon.families.centernet.detector import CenterNetDetector

FAMILY = CenterNetDetector
