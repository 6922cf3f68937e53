"""Mask R-CNN as Matterport's Keras code makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgeon.lazy_names import lazy_names

if TYPE_CHECKING:
    from surgeon.families.matterport.detector import FAMILY as FAMILY
    from surgeon.families.matterport.detector import MatterportMaskRcnn as MatterportMaskRcnn

OPERATION = "CropAndResize"
"""What every member holds; for a graph without it the rest of this package is not loaded."""

__getattr__, __dir__ = lazy_names(
    __name__, globals(), {"surgeon.families.matterport.detector": ["FAMILY", "MatterportMaskRcnn"]}
)
