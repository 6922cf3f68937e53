"""RetinaNet of Keras (keras-retinanet)."""

from surgeon.families.keras_retinanet.detector import KerasRetinaNet

FAMILY = KerasRetinaNet
