"""Regions of interest as Proposal and ProposalDynamic compute them.

Source: proposalKernel.cu of TensorRT 8.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgeon.kernels.suppression.numbers import descending, greedy_nms

F32 = np.float32


def proposals(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the regions y1, x1, y2, x2, float32[N, post_nms_top_n, 4, 1].

    They are divided by height and width of the picture less a pixel. The inputs are scores, float32[N, A, H,
    W], and deltas, float32[N, 4 A, H, W]; the regions come best first, and rows without one are 0. Boxes too
    small come last, and stand in for better ones that are lacking. Where there are fewer than pre_nms_top_n
    boxes the plugin reads past them; here they end.
    """
    scores, deltas = inputs
    most = np.array([fields["input_width"] - 1, fields["input_height"] - 1], F32)
    boxes = np.clip(_decode(fields, deltas), F32(0), np.tile(most, 2))
    small = ((boxes[..., 2:] - boxes[..., :2]) <= F32(fields["roi_min_size"])).any(axis=-1)
    ranked = np.where(small, F32(-np.inf), scores.reshape(small.shape))
    rois = np.zeros((len(scores), fields["post_nms_top_n"], 4, 1), F32)
    for n, found in enumerate(boxes):
        best = found[descending(ranked[n])[: fields["pre_nms_top_n"]]]
        # Widths and heights count a pixel more, as if the far corners were a pixel further.
        kept = greedy_nms(
            best + np.array([0, 0, 1, 1], F32), fields["nms_iou_threshold"], limit=fields["post_nms_top_n"]
        )
        rois[n, : len(kept), :, 0] = (best[kept] / np.tile(most, 2))[:, [1, 0, 3, 2]]
    return [rois]


def _decode(fields: Mapping[str, Any], deltas: np.ndarray) -> np.ndarray:
    """Return x1, y1, x2, y2 of each anchor's box in pixels, float32[N, A H W, 4].

    The boxes come in the order anchor, row, column.
    """
    pictures, channels, height, width = deltas.shape
    tx, ty, tw, th = np.moveaxis(deltas.reshape(pictures, channels // 4, 4, height, width), 2, 0)
    root = np.sqrt(np.asarray(fields["anchor_ratios"], F32))
    sizes = np.asarray(fields["anchor_sizes"], F32)[:, None]
    anchor_width, anchor_height = ((sizes * root).reshape(-1, 1, 1), (sizes / root).reshape(-1, 1, 1))
    stride = F32(fields["rpn_stride"])
    x = (np.arange(width, dtype=F32) + F32(0.5)) * stride + anchor_width * tx
    y = (np.arange(height, dtype=F32)[:, None] + F32(0.5)) * stride + anchor_height * ty
    wide, high = np.exp(tw) * anchor_width, np.exp(th) * anchor_height
    left, top = x - wide / F32(2), y - high / F32(2)
    return np.stack([left, top, left + wide, top + high], axis=-1).reshape(
        pictures, channels // 4 * height * width, 4
    )
