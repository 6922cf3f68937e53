"""UFF, the file format of TensorRT up to 8.6: exporting a graph, writing and reading files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgeon.formats.uff.format import FORMAT
from surgeon.lazy_names import lazy_names

if TYPE_CHECKING:
    from surgeon.formats.uff.conversion import converters
    from surgeon.formats.uff.exporting import export_uff
    from surgeon.formats.uff.model import Blob, UffDescriptor, UffModel, UffNode, UffValue
    from surgeon.formats.uff.printing import describe, print_uff
    from surgeon.formats.uff.reader import read_uff
    from surgeon.formats.uff.text import message_text
    from surgeon.formats.uff.writer import uff_to_bytes, write_uff

__all__ = [
    "FORMAT",
    "Blob",
    "UffDescriptor",
    "UffModel",
    "UffNode",
    "UffValue",
    "converters",
    "describe",
    "export_uff",
    "message_text",
    "print_uff",
    "read_uff",
    "uff_to_bytes",
    "write_uff",
]

_HOMES = {
    "surgeon.formats.uff.conversion": ("converters",),
    "surgeon.formats.uff.exporting": ("export_uff",),
    "surgeon.formats.uff.model": ("Blob", "UffDescriptor", "UffModel", "UffNode", "UffValue"),
    "surgeon.formats.uff.printing": ("describe", "print_uff"),
    "surgeon.formats.uff.reader": ("read_uff",),
    "surgeon.formats.uff.text": ("message_text",),
    "surgeon.formats.uff.writer": ("uff_to_bytes", "write_uff"),
}

__getattr__, __dir__ = lazy_names(__name__, globals(), _HOMES)
