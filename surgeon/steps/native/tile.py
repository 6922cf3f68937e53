"""Tile becomes SurgeonTile."""

from __future__ import annotations

from surgeon.graph import Node
from surgeon.steps.native.native_op import NativeOp, NativeReader, PluginOutput
from surgeon.steps.patterns import Miss
from surgeon.steps.picture_layout import FIRST


def _tiled(reader: NativeReader, node: Node) -> tuple[PluginOutput, ...]:
    source = node.inputs[0]
    dims, times = reader.dims(source), reader.ints(node, 1, "list of multiples")
    if len(times) != len(dims) or times[0] != 1 or min(times) < 1:
        raise Miss(f"its multiples are {times}; expected {len(dims)} of 1 at least, and 1 for the batch")
    picture = reader.is_channels_last(source)
    repeats = tuple(times[axis] for axis in (FIRST if picture else range(len(dims))))[1:]
    return (PluginOutput("SurgeonTile", {"repeats": repeats}, source, picture),)


TILE = NativeOp("Tile", _tiled)
