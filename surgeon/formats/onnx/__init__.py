"""Rewritten graphs as ONNX: exporting, writing, and what a file tells of itself."""

from surgeon.formats.onnx.exporting import Exported, Watch, check_export, export_onnx
from surgeon.formats.onnx.metadata import OnnxInfo, info_of, metadata_for, read_onnx_metadata
from surgeon.formats.onnx.partition import Batch
from surgeon.formats.onnx.plugins import RENDERING_NAMES, Lowered, Rendering
from surgeon.formats.onnx.writer import write_onnx

__all__ = [
    "RENDERING_NAMES",
    "Batch",
    "Exported",
    "Lowered",
    "OnnxInfo",
    "Rendering",
    "Watch",
    "check_export",
    "export_onnx",
    "info_of",
    "metadata_for",
    "read_onnx_metadata",
    "write_onnx",
]
