"""ONNX files: writing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from surgeon.atomic import writing
from surgeon.diagnostics import error
from surgeon.formats.graphdef.wire import framed
from surgeon.optional import require

LIMIT = 2**31 - 1
"""Bytes that no ONNX file may exceed: protobuf's own bound."""

_OUTSIDE = 1 << 10
"""Bytes of a constant above which it goes to the file beside, where there is one."""

_ALIGNED = 1 << 12

_FRAME = 256
"""Bytes that a constant takes beside its values and its name, at most."""


def write_onnx(model: Any, path: str | os.PathLike[str], limit: int = LIMIT) -> int:
    """Write a ModelProto, whole or not at all; return the bytes written.

    Where it would pass ``limit`` bytes, constants of over 1 KiB go to ``<name>.data`` beside it. Raise
    SurgeonError E105 where a file cannot be written, X149 where the rest still passes the limit.
    """
    target = Path(path)
    stored = sum(len(proto.raw_data) for proto in model.graph.initializer)
    light, tensors = _without_initializers(model)
    size: int = light.ByteSize() + stored + sum(_FRAME + len(proto.name) for proto in tensors)
    if size <= limit:
        return _write_whole(light, tensors, target)
    beside = target.with_name(target.name + ".data")
    outside = _place_outside(light, tensors, beside.name)
    if light.ByteSize() > limit:
        raise error(
            "X149",
            f"'{target}' would take {light.ByteSize()} bytes without its weights; the format holds at most "
            f"{limit}",
            help=["cut the graph"],
        )
    data = light.SerializeToString(deterministic=True)
    with writing(target) as handle, writing(beside, follow_links=False) as weights:
        handle.write(data)
        handle.flush()  # what can fail must have failed before the first of the two takes its name
        at = 0
        for proto, offset in outside:
            weights.write(bytes(offset - at))
            weights.write(proto.raw_data)
            at = offset + len(proto.raw_data)
    return len(data) + at


def _write_whole(light: Any, tensors: list[Any], target: Path) -> int:
    """Write one message, constants one after the other, so that no second copy of all of them is made."""
    number = light.DESCRIPTOR.fields_by_name["graph"].number
    graph = light.graph.SerializeToString(deterministic=True)
    row = light.graph.DESCRIPTOR.fields_by_name["initializer"].number
    frames = [framed(row, proto.ByteSize()) for proto in tensors]
    length = len(graph) + sum(
        len(frame) + proto.ByteSize() for frame, proto in zip(frames, tensors, strict=True)
    )
    head = type(light)()
    head.CopyFrom(light)
    head.ClearField("graph")
    start = head.SerializeToString(deterministic=True) + framed(number, length) + graph
    with writing(target) as handle:
        handle.write(start)
        for frame, proto in zip(frames, tensors, strict=True):
            handle.write(frame + proto.SerializeToString(deterministic=True))
    return len(start) - len(graph) + int(length)


def _without_initializers(model: Any) -> tuple[Any, list[Any]]:
    light = type(model)()
    for field, value in model.ListFields():
        if field.name != "graph":
            _copy(light, field, value)
    for field, value in model.graph.ListFields():
        if field.name != "initializer":
            _copy(light.graph, field, value)
    return light, list(model.graph.initializer)


def _place_outside(light: Any, tensors: list[Any], name: str) -> list[tuple[Any, int]]:
    """Put constants into a model, large ones by their places in the file ``name``.

    Return the large ones and their offsets.
    """
    external = require("onnx", "writing ONNX").TensorProto.EXTERNAL
    outside: list[tuple[Any, int]] = []
    at = 0
    for proto in tensors:
        if len(proto.raw_data) <= _OUTSIDE:
            light.graph.initializer.append(proto)
            continue
        at = -(-at // _ALIGNED) * _ALIGNED
        outside.append((proto, at))
        named = light.graph.initializer.add(
            name=proto.name, data_type=proto.data_type, dims=proto.dims, data_location=external
        )
        for key, value in (("location", name), ("offset", at), ("length", len(proto.raw_data))):
            named.external_data.add(key=key, value=str(value))
        at += len(proto.raw_data)
    return outside


def _copy(message: Any, field: Any, value: Any) -> None:
    if hasattr(value, "extend") or hasattr(value, "append"):
        getattr(message, field.name).extend(value)
    elif hasattr(value, "CopyFrom"):
        getattr(message, field.name).CopyFrom(value)
    else:
        setattr(message, field.name, value)
