"""Shape of EfficientNMS_ONNX_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.boxes.shapes import candidates


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return int32[N K, 3], K being max_output_boxes_per_class; None while the number of pictures is unknown.

    Raise SurgeonError C109 where the sizes of the inputs are known and do not go together.
    """
    pictures = candidates("EfficientNMS_ONNX_TRT", inputs).pictures
    most = fields["max_output_boxes_per_class"]
    return [TensorSpec.of("int32", None if pictures is None else pictures * most, 3)]
