"""SSD of Keras with a layer that decodes and suppresses (DecodeDetections)."""

from surgeon.families.keras_ssd.detector import KerasSSD

FAMILY = KerasSSD
