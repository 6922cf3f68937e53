"""Where ``from_tensorflow`` stands in the incumbent."""

from __future__ import annotations

from surgeon.compat.uff.converting import from_tensorflow, from_tensorflow_frozen_model

__all__ = ["from_tensorflow", "from_tensorflow_frozen_model"]
