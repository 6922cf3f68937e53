"""Single-shot detectors of the TensorFlow Object Detection API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgeon.lazy_names import lazy_names

if TYPE_CHECKING:
    from surgeon.families.ssd.cut import FAMILY as FAMILY
    from surgeon.families.ssd.cut import SingleShotFamily as SingleShotFamily

__getattr__, __dir__ = lazy_names(
    __name__, globals(), {"surgeon.families.ssd.cut": ["FAMILY", "SingleShotFamily"]}
)
