"""CUDA as engines need it: device arrays, a stream and events, through Polygraphy's binding of the runtime
library.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from surgeon.optional import require


class CudaError(Exception):
    """A call of the CUDA runtime failed; the message holds what it says."""


def runtime() -> Any:
    """Return Polygraphy's wrapper of the CUDA runtime.

    Raise SurgeonError E108 where Polygraphy is missing.
    """
    return require("polygraphy.cuda", "running engines").wrapper()


def call(name: str, *arguments: Any) -> None:
    """Call a function of the CUDA runtime; raise CudaError where it fails."""
    handle = runtime().handle
    status = getattr(handle, name)(*arguments)
    if status:
        handle.cudaGetErrorString.restype = ctypes.c_char_p
        text = (handle.cudaGetErrorString(status) or b"").decode("utf-8", "replace")
        raise CudaError(f"{name} failed: {text or 'unknown error'} (CUDA error {status})")


class Event:
    """A point of time on a stream."""

    def __init__(self) -> None:
        self.pointer = ctypes.c_void_p()
        call("cudaEventCreate", ctypes.byref(self.pointer))

    def record(self, stream: int) -> None:
        """Put the event behind what the stream has to do."""
        call("cudaEventRecord", self.pointer, ctypes.c_void_p(stream))

    def since(self, earlier: Event) -> float:
        """Return the milliseconds from ``earlier`` to this event; both must have happened."""
        elapsed = ctypes.c_float()
        call("cudaEventElapsedTime", ctypes.byref(elapsed), earlier.pointer, self.pointer)
        return elapsed.value


class Buffer:
    """Memory on the GPU for one array of a fixed type, with a copy of it on the host."""

    def __init__(self, size: int, dtype: np.dtype[Any]) -> None:
        self.host = np.zeros(size, dtype)
        self.pointer = ctypes.c_void_p()
        call("cudaMalloc", ctypes.byref(self.pointer), ctypes.c_size_t(max(self.host.nbytes, 1)))

    @property
    def address(self) -> int:
        """The address on the GPU."""
        return self.pointer.value or 0

    def upload(self, count: int, stream: int) -> None:
        """Copy the first ``count`` elements to the GPU."""
        self._copy(self.pointer, self.host.ctypes.data, count, 1, stream)

    def download(self, count: int, stream: int) -> None:
        """Copy the first ``count`` elements from the GPU."""
        self._copy(self.host.ctypes.data, self.pointer, count, 2, stream)

    def _copy(self, to: Any, source: Any, count: int, kind: int, stream: int) -> None:
        call(
            "cudaMemcpyAsync",
            ctypes.c_void_p(to) if isinstance(to, int) else to,
            ctypes.c_void_p(source) if isinstance(source, int) else source,
            ctypes.c_size_t(count * self.host.itemsize),
            ctypes.c_int(kind),
            ctypes.c_void_p(stream),
        )
