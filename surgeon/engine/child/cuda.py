"""CUDA as engines need it: device arrays and events, through Polygraphy's binding of the runtime library."""

import ctypes
from typing import Any

from .failures import require


class CudaError(Exception):
    """A call of the CUDA runtime failed; the message holds what it says."""


def call(name: str, *arguments: Any) -> None:
    """Call a function of the CUDA runtime.

    Raise CudaError where it fails, and MissingPackage where Polygraphy cannot be imported.
    """
    handle = require("polygraphy.cuda", "running engines").wrapper().handle
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

    def since(self, earlier: "Event") -> float:
        """Return the milliseconds from ``earlier`` to this event; both must have happened."""
        elapsed = ctypes.c_float()
        call("cudaEventElapsedTime", ctypes.byref(elapsed), earlier.pointer, self.pointer)
        return elapsed.value


class Buffer:
    """Memory on the GPU for one flat array, with ``host``, its copy on the host."""

    def __init__(self, host: Any) -> None:
        self.host = host
        self.pointer = ctypes.c_void_p()
        call("cudaMalloc", ctypes.byref(self.pointer), ctypes.c_size_t(max(host.nbytes, 1)))

    @property
    def address(self) -> int:
        """The address on the GPU."""
        return self.pointer.value or 0

    def upload(self, count: int, stream: int) -> None:
        """Copy the first ``count`` elements to the GPU."""
        self._copy(self.address, self.host.ctypes.data, count, 1, stream)

    def download(self, count: int, stream: int) -> None:
        """Copy the first ``count`` elements from the GPU."""
        self._copy(self.host.ctypes.data, self.address, count, 2, stream)

    def _copy(self, to: int, source: int, count: int, kind: int, stream: int) -> None:
        call(
            "cudaMemcpyAsync",
            ctypes.c_void_p(to),
            ctypes.c_void_p(source),
            ctypes.c_size_t(count * self.host.itemsize),
            ctypes.c_int(kind),
            ctypes.c_void_p(stream),
        )
