"""Rewritten graphs as ONNX: exporting, writing, and what a file tells of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgeon.formats.onnx.format import FORMAT
from surgeon.lazy_names import lazy_names

if TYPE_CHECKING:
    from surgeon.formats.onnx.exporting import Exported, check_export, export_onnx
    from surgeon.formats.onnx.metadata import OnnxInfo, info_of, metadata_for, read_onnx_metadata
    from surgeon.formats.onnx.partition import Batch
    from surgeon.formats.onnx.plugins import RENDERING_NAMES, Rendering
    from surgeon.formats.onnx.writer import write_onnx

__all__ = [
    "FORMAT",
    "RENDERING_NAMES",
    "Batch",
    "Exported",
    "OnnxInfo",
    "Rendering",
    "check_export",
    "export_onnx",
    "info_of",
    "metadata_for",
    "read_onnx_metadata",
    "write_onnx",
]

_HOMES = {
    "surgeon.formats.onnx.exporting": ("Exported", "check_export", "export_onnx"),
    "surgeon.formats.onnx.metadata": ("OnnxInfo", "info_of", "metadata_for", "read_onnx_metadata"),
    "surgeon.formats.onnx.partition": ("Batch",),
    "surgeon.formats.onnx.plugins": ("RENDERING_NAMES", "Rendering"),
    "surgeon.formats.onnx.writer": ("write_onnx",),
}

__getattr__, __dir__ = lazy_names(__name__, globals(), _HOMES)
