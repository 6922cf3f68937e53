"""Numbers of GridAnchor_TRT, as gridAnchorPlugin.cpp and gridAnchorLayer.cu compute them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgeon.kernels.anchors.numbers import COUNTERFACTUALS, grid_anchors

__all__ = ["COUNTERFACTUALS", "run"]


def run(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return float32[1, 2, 4P, 1] for each feature map; the inputs are ignored."""
    return grid_anchors(
        fields, [(side, side) for side in fields["featureMapShapes"]], "exact-ratios" in changes
    )
