"""Numbers of Reorg_TRT, as reorgForward.cu computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def run(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return float32[N, C s s, H / s, W / s] of float32[N, C, H, W], s the stride.

    As in Darknet, the input's memory is taken for C / (s s) channels of H s x W s, blocks of s x s become
    channels, and the result's memory is taken for the shape of the output. So C must be a multiple of s s.
    """
    x, s = inputs[0], fields["stride"]
    count, channels, height, width = x.shape
    blocks = x.reshape(count, channels // (s * s), height, s, width, s)
    return [blocks.transpose(0, 3, 5, 1, 2, 4).reshape(count, channels * s * s, height // s, width // s)]
