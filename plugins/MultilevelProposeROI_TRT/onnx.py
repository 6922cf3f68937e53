"""MultilevelProposeROI_TRT in standard operators."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.formats.onnx.lowering import PluginNode
from surgeon.kernels.mask_rcnn.onnx import multilevel_propose


def standard(at: PluginNode) -> Sequence[str]:
    """Return float32[N, keep_topk, 4], the regions best first; rows without one are 0.

    Raise SurgeonError X162 for more rows than TensorRT takes.
    """
    return [multilevel_propose(at)]
