"""Fields of NMS_TRT that the graph tells."""

from __future__ import annotations

from surgeon.families.ssd.suppression_fields import DERIVATIONS

__all__ = ["DERIVATIONS"]
