"""Fields of NMSDynamic_TRT that the graph tells."""

from __future__ import annotations

from surgeon.families.parts.detection_output_fields import DERIVATIONS

__all__ = ["DERIVATIONS"]
