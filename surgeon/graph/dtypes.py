"""Element types of tensors, by TensorFlow's names."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_ITEM_SIZE = {
    "float32": 4,
    "float64": 8,
    "int32": 4,
    "uint8": 1,
    "int16": 2,
    "int8": 1,
    "complex64": 8,
    "int64": 8,
    "bool": 1,
    "qint8": 1,
    "quint8": 1,
    "qint32": 4,
    "bfloat16": 2,
    "qint16": 2,
    "quint16": 2,
    "uint16": 2,
    "complex128": 16,
    "float16": 2,
    "uint32": 4,
    "uint64": 8,
}

_NUMPY = {
    "qint8": "int8",
    "quint8": "uint8",
    "qint32": "int32",
    "qint16": "int16",
    "quint16": "uint16",
    "bfloat16": "uint16",
}


class DType(str, Enum):
    """An element type; the value is TensorFlow's lower-case name."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"
    INT32 = "int32"
    UINT8 = "uint8"
    INT16 = "int16"
    INT8 = "int8"
    STRING = "string"
    COMPLEX64 = "complex64"
    INT64 = "int64"
    BOOL = "bool"
    QINT8 = "qint8"
    QUINT8 = "quint8"
    QINT32 = "qint32"
    BFLOAT16 = "bfloat16"
    QINT16 = "qint16"
    QUINT16 = "quint16"
    UINT16 = "uint16"
    COMPLEX128 = "complex128"
    FLOAT16 = "float16"
    RESOURCE = "resource"
    VARIANT = "variant"
    UINT32 = "uint32"
    UINT64 = "uint64"

    def __str__(self) -> str:
        return self.value

    @property
    def itemsize(self) -> int | None:
        """Bytes of one element; None where elements have no fixed size (string, resource, variant)."""
        return _ITEM_SIZE.get(self.value)

    def numpy(self) -> np.dtype:
        """Return the little-endian numpy type.

        Quantized types map to their storage, bfloat16 to its bits (uint16).
        """
        import numpy as np

        if self is DType.STRING:
            return np.dtype(object)
        if self.itemsize is None:
            raise TypeError(f"{self.value} has no numpy type")
        kind: np.dtype = np.dtype(_NUMPY.get(self.value, self.value)).newbyteorder("<")
        return kind

    @staticmethod
    def of(dtype: object) -> DType:
        """Return the type of a numpy dtype (object and bytes are strings); raise ValueError for others."""
        import numpy as np

        kind = np.dtype(dtype)  # type: ignore[call-overload]
        return DType.STRING if kind.kind in "OSU" else DType(kind.name)
