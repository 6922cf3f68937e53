"""Proposal in standard operators."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.formats.onnx.lowering import PluginNode
from surgeon.kernels.faster_rcnn.onnx import proposals


def standard(at: PluginNode) -> Sequence[str]:
    """Return float32[N, post_nms_top_n, 4, 1], the regions best first; rows without one are 0.

    Raise SurgeonError X160 where a size is unknown, X162 for more rows than TensorRT takes.
    """
    return [proposals(at)]
