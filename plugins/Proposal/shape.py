"""Shape of Proposal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.regions.shapes import proposal


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, post_nms_top_n, 4, 1].

    Raise SurgeonError C109 where the inputs do not fit the anchors or one another.
    """
    return proposal("Proposal", fields, inputs)
