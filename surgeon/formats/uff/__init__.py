"""UFF, the file format of TensorRT up to 8.6: exporting a graph, writing and reading files."""

from surgeon.formats.uff.conversion import converters
from surgeon.formats.uff.exporting import export_uff
from surgeon.formats.uff.model import Blob, UffDescriptor, UffModel, UffNode, UffValue
from surgeon.formats.uff.printing import describe, print_uff
from surgeon.formats.uff.reader import read_uff
from surgeon.formats.uff.writer import write_uff

__all__ = [
    "Blob",
    "UffDescriptor",
    "UffModel",
    "UffNode",
    "UffValue",
    "converters",
    "describe",
    "export_uff",
    "print_uff",
    "read_uff",
    "write_uff",
]
