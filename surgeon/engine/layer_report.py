"""What TensorRT's inspector tells of an engine's layers, read: which layer computes in which precision."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from pydantic_core import from_json

from surgeon.engine.manifest import EngineLayer

REFORMAT = "Reformat"
"""The inspector's type of layers that turn a tensor into another format or precision and compute nothing."""

PRECISIONS = ("INT8", "FP8", "FP16", "BF16", "FP32")
"""Precisions of layers, the least first."""

_SUPPRESSION = ("nms", "nonmaxsuppression")
"""The inspector's types of TensorRT's own layer for suppression, in lower case."""

_DTYPES = (
    ("INT8", r"u?int8"),
    ("FP8", r"fp8|float8"),
    ("BF16", r"bf16|bfloat16"),
    ("FP16", r"fp16|half|float16"),
    ("FP32", r"fp32|float|float32"),
    ("INT32", r"int32"),
    ("INT64", r"int64"),
    ("BOOL", r"bool"),
)
"""Names of element types, and how versions of TensorRT spell them."""


def read_layers(report: str) -> tuple[EngineLayer, ...]:
    """Return the layers of an inspector's JSON, in the order of execution.

    A layer's precision is that of its weights, else of its first input, else of its first output. Without
    details, as engines have that were built without them, type and precision are empty.
    """
    try:
        content = from_json(report)
    except ValueError:
        return ()
    layers = content.get("Layers") if isinstance(content, dict) else None
    entries = layers if isinstance(layers, list) else ()
    return tuple(_layer(entry) for entry in entries if isinstance(entry, str | dict))


def _layer(entry: str | Mapping[str, Any]) -> EngineLayer:
    if isinstance(entry, str):
        return EngineLayer(name=entry)
    outputs = _tensors(entry, "Outputs")
    return EngineLayer(
        name=str(entry.get("Name", "")),
        type=str(entry.get("LayerType", "")),
        precision=_precision(entry),
        outputs=tuple(str(tensor.get("Name", "")) for tensor in outputs),
    )


def _precision(entry: Mapping[str, Any]) -> str:
    weights = entry.get("Weights")
    if isinstance(weights, dict) and weights.get("Count") and _dtype(weights.get("Type")):
        return _dtype(weights.get("Type"))
    tensors = [*_tensors(entry, "Inputs"), *_tensors(entry, "Outputs")]
    formats = (tensor.get("Format/Datatype", tensor.get("Datatype")) for tensor in tensors)
    return next(filter(None, map(_dtype, formats)), "")


def _tensors(entry: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    listed = entry.get(key)
    return [tensor for tensor in listed if isinstance(tensor, dict)] if isinstance(listed, list) else []


def _dtype(text: object) -> str:
    for name, spelling in _DTYPES:
        if isinstance(text, str) and re.search(rf"\b({spelling})\b", text, re.IGNORECASE):
            return name
    return ""


def suppressing(layers: Iterable[EngineLayer], detections: Collection[str]) -> tuple[str, ...]:
    """Return the names of layers that suppress boxes.

    ``detections`` are the bindings that hold detections. A layer is one where it is a plugin that gives them,
    by its outputs or its name, or TensorRT's own layer for suppression.
    """
    return tuple(layer.name for layer in layers if _suppresses(layer, detections))


def _suppresses(layer: EngineLayer, detections: Collection[str]) -> bool:
    if layer.type.lower() in _SUPPRESSION or "NonMaxSuppression" in layer.name:
        return True
    named = layer.name in detections and layer.type != REFORMAT
    return named or (layer.type.startswith("Plugin") and not set(detections).isdisjoint(layer.outputs))


def by_precision(layers: Iterable[EngineLayer]) -> dict[str, list[str]]:
    """Return names of layers by precision, the least precise first; reformatting layers are left out."""
    found: dict[str, list[str]] = {precision: [] for precision in PRECISIONS}
    for layer in layers:
        if layer.precision and layer.type != REFORMAT:
            found.setdefault(layer.precision, []).append(layer.name)
    return {precision: names for precision, names in found.items() if names}
