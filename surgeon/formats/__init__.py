"""Formats of files that hold graphs, side by side, each behind one ``Format``."""

from surgeon.formats.format import (
    Description,
    FileFacts,
    Format,
    Lowered,
    ModelFile,
    NetworkInterface,
    NetworkTensor,
    Option,
    Specs,
    Written,
    all_formats,
    format_by_content,
    format_by_suffix,
    format_of,
    open_model,
    target_for_output,
)

__all__ = [
    "Description",
    "FileFacts",
    "Format",
    "Lowered",
    "ModelFile",
    "NetworkInterface",
    "NetworkTensor",
    "Option",
    "Specs",
    "Written",
    "all_formats",
    "format_by_content",
    "format_by_suffix",
    "format_of",
    "open_model",
    "target_for_output",
]
