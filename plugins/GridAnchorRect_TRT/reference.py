"""Numbers of GridAnchorRect_TRT, as TensorRT 8.5.1 and later compute them.

Before, the height stood for the width.
"""

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
    sizes = fields["featureMapShapes"]
    return grid_anchors(fields, list(zip(sizes[::2], sizes[1::2], strict=True)), "exact-ratios" in changes)
