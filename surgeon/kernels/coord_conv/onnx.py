"""Channels of coordinates in standard operators: Concat with a constant."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.formats.onnx.lowering import PluginNode
from surgeon.formats.onnx.pictures import for_each_picture
from surgeon.formats.onnx.shapes import sample_dims


def coord_conv(at: PluginNode) -> Sequence[str]:
    """Return float32[N, C + 2, H, W]: the input, and two channels of coordinates, which its sizes decide.

    Raise SurgeonError X160 where a size is unknown.
    """
    channels = sample_dims(at, 0)[0]
    coordinates = at.emit.constant(at.computed()[0][:1, channels:])
    return [at.emit.op("Concat", at.inputs[0], for_each_picture(at, 0, coordinates, 4), axis=1)]
