"""SSD of Keras with a layer that decodes and suppresses (DecodeDetections)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgeon.lazy_names import lazy_names

if TYPE_CHECKING:
    from surgeon.families.keras_ssd.detector import FAMILY as FAMILY
    from surgeon.families.keras_ssd.detector import KerasSSD as KerasSSD

__getattr__, __dir__ = lazy_names(
    __name__, globals(), {"surgeon.families.keras_ssd.detector": ["FAMILY", "KerasSSD"]}
)
