"""RoiAlign in standard operators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from surgeon.formats.onnx.lowering import PluginNode
from surgeon.formats.onnx.shapes import onnx_type
from surgeon.kernels.boxes.onnx import halves
from surgeon.kernels.regions.onnx import RoiRule, emit_roi_align


def roi_align(at: PluginNode) -> Sequence[str]:
    """Return float32[R, C, output_height, output_width].

    A mean of no samples is 0 in ONNX Runtime, where the plugin has no number. Raise SurgeonError X171 where
    coordinate_transformation_mode is 1 and the opset is below 16.
    """
    fields = at.fields
    features, rois, pictures = at.inputs
    rule = RoiRule(
        fields["output_height"],
        fields["output_width"],
        fields["sampling_ratio"],
        fields["coordinate_transformation_mode"] == 1,
        average=bool(fields["mode"]),
        scale=fields["spatial_scale"],
    )
    if rule.half_pixel and not rule.ratio:
        # ONNX Runtime fails where a region's corners are in the wrong order; the plugin takes no sample,
        # which is 0.
        low, high = halves(at.emit, rois)
        rois = at.emit.op("Concat", low, at.emit.op("Max", low, high), axis=1)
    return [emit_roi_align(at, features, rois, at.emit.op("Cast", pictures, to=onnx_type(np.int64)), rule)]
