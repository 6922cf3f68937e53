"""CenterNet detectors: peaks of heat maps, without suppression."""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgeon.lazy_names import lazy_names

if TYPE_CHECKING:
    from surgeon.families.centernet.detector import FAMILY as FAMILY
    from surgeon.families.centernet.detector import CenterNetDetector as CenterNetDetector

OPERATION = "TopKV2"
"""What every member holds; for a graph without it the rest of this package is not loaded."""

__getattr__, __dir__ = lazy_names(
    __name__, globals(), {"surgeon.families.centernet.detector": ["FAMILY", "CenterNetDetector"]}
)
