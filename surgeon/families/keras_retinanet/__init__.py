"""RetinaNet of Keras (keras-retinanet)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgeon.lazy_names import lazy_names

if TYPE_CHECKING:
    from surgeon.families.keras_retinanet.detector import FAMILY as FAMILY
    from surgeon.families.keras_retinanet.detector import KerasRetinaNet as KerasRetinaNet

__getattr__, __dir__ = lazy_names(
    __name__, globals(), {"surgeon.families.keras_retinanet.detector": ["FAMILY", "KerasRetinaNet"]}
)
