"""ResizeBilinear becomes SurgeonResizeBilinear."""

from __future__ import annotations

from surgeon.graph import DType, Node
from surgeon.steps.native.native_op import NativeOp, NativeReader, PluginOutput
from surgeon.steps.patterns import Miss


def _resized(reader: NativeReader, node: Node) -> tuple[PluginOutput, ...]:
    source = node.inputs[0]
    if reader.inference.spec(source).dtype is not DType.FLOAT32:
        raise Miss(f"its input is {reader.inference.spec(source)}; expected float32")
    size = reader.ints(node, 1, "size")
    if len(size) != 2 or not all(0 < length <= 1 << 24 for length in size):
        raise Miss(f"its size is {size}; expected a height and a width of 1 at least")
    modes = {"alignCorners": "align_corners", "halfPixelCenters": "half_pixel_centers"}
    fields = {field: int(node.attrs.get(key) is True) for field, key in modes.items()}
    if all(fields.values()):
        raise Miss("both 'align_corners' and 'half_pixel_centers' are set; expected one of them at most")
    fields = {"height": size[0], "width": size[1], **fields}
    return (PluginOutput("SurgeonResizeBilinear", fields, source, True),)


RESIZE_BILINEAR = NativeOp("ResizeBilinear", _resized)
