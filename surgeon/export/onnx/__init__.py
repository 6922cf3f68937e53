"""Rewritten graphs as ONNX: exporting, writing, and what a file tells of itself."""

from surgeon.export.onnx.exporting import Exported, Watch, check_export, export, export_onnx
from surgeon.export.onnx.metadata import OnnxInfo, info_of, metadata_for, read_onnx_metadata
from surgeon.export.onnx.plugins import RENDERING_NAMES, Rendered, Rendering
from surgeon.export.onnx.seams import Batch
from surgeon.export.onnx.writer import write_onnx

__all__ = [
    "RENDERING_NAMES",
    "Batch",
    "Exported",
    "OnnxInfo",
    "Rendered",
    "Rendering",
    "Watch",
    "check_export",
    "export",
    "export_onnx",
    "info_of",
    "metadata_for",
    "read_onnx_metadata",
    "write_onnx",
]
