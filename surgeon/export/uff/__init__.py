"""UFF, the file format of TensorRT up to 8.6: exporting a graph, writing and reading files."""

from surgeon.export.uff.conversion import converters
from surgeon.export.uff.exporting import export_uff
from surgeon.export.uff.model import Blob, UffDescriptor, UffModel, UffNode, UffValue
from surgeon.export.uff.printing import describe, print_uff
from surgeon.export.uff.reader import read_uff
from surgeon.export.uff.writer import write_uff

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
