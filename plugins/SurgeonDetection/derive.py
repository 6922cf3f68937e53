"""Fields of SurgeonDetection that the graph tells."""

from __future__ import annotations

from surgeon.families.parts.native_detection_fields import DERIVATIONS

__all__ = ["DERIVATIONS"]
