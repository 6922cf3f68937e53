"""CUDA as engines need it: device arrays, streams, events and graphs, by the runtime library."""

import ctypes
import ctypes.util
from typing import Any, Callable, Iterator, List

from .devices import RUNTIMES, shared_library
from .failures import MissingPackage, require

_RELAXED = 2
"""cudaStreamCaptureModeRelaxed: what other streams do meanwhile does not matter."""


_PLACES = ("/usr/local/cuda/lib64/libcudart.so",)
"""Where toolkits put the library that the linker does not find."""


class CudaError(Exception):
    """A call of the CUDA runtime failed; the message holds what it says."""


def call(name: str, *arguments: Any) -> None:
    """Call a function of the CUDA runtime; raise CudaError where it fails or there is no such library."""
    status = _status(name, *arguments)
    if status:
        raise _error(name, status)


_found: List[Any] = []
"""The runtime library, once it was looked for."""


def _handle() -> Any:
    if not _found:
        _found.append(_runtime())
    return _found[0]


def _runtime() -> Any:
    """Return Polygraphy's binding of the library, else the first library that the driver serves."""
    try:
        return require("polygraphy.cuda", "running engines").wrapper().handle
    except MissingPackage:
        libraries = list(_runtimes())
    if not libraries:
        raise CudaError(
            "the CUDA runtime library (libcudart) is not found; its folder belongs into LD_LIBRARY_PATH"
        )
    # A library that is newer than the driver refuses every call.
    return next((library for library in libraries if library.cudaFree(None) == 0), libraries[0])


def _runtimes() -> Iterator[Any]:
    for name in (*RUNTIMES, *_PLACES, ctypes.util.find_library("cudart")):
        library = shared_library(name) if name else None
        if library is not None:
            yield library


def _status(name: str, *arguments: Any) -> int:
    return int(getattr(_handle(), name)(*arguments))


def _error(name: str, status: int) -> CudaError:
    handle = _handle()
    handle.cudaGetErrorString.restype = ctypes.c_char_p
    text = (handle.cudaGetErrorString(status) or b"").decode("utf-8", "replace")
    return CudaError(f"{name} failed: {text or 'unknown error'} (CUDA error {status})")


class Stream:
    """A row of things for the GPU to do, one after the other; ``ptr`` is its address."""

    def __init__(self) -> None:
        pointer = ctypes.c_void_p()
        call("cudaStreamCreate", ctypes.byref(pointer))
        self.ptr = pointer.value or 0

    def synchronize(self) -> None:
        """Wait until all of it is done."""
        call("cudaStreamSynchronize", ctypes.c_void_p(self.ptr))


class Event:
    """A point of time on a stream."""

    def __init__(self) -> None:
        self.pointer = ctypes.c_void_p()
        call("cudaEventCreate", ctypes.byref(self.pointer))

    def record(self, stream: int) -> None:
        """Put the event behind what the stream has to do."""
        call("cudaEventRecord", self.pointer, ctypes.c_void_p(stream))

    def wait(self) -> None:
        """Wait until the event has happened."""
        call("cudaEventSynchronize", self.pointer)

    def hold(self, stream: int) -> None:
        """Let what a stream is given from now on wait for the event."""
        call("cudaStreamWaitEvent", ctypes.c_void_p(stream), self.pointer, ctypes.c_uint(0))

    def since(self, earlier: "Event") -> float:
        """Return the milliseconds from ``earlier`` to this event; both must have happened."""
        elapsed = ctypes.c_float()
        call("cudaEventElapsedTime", ctypes.byref(elapsed), earlier.pointer, self.pointer)
        return elapsed.value


class Graph:
    """What a stream was given while it was captured, to be given again at once."""

    def __init__(self, handle: ctypes.c_void_p) -> None:
        self._handle = handle

    def launch(self, stream: int) -> None:
        """Put the graph behind what the stream has to do."""
        call("cudaGraphLaunch", self._handle, ctypes.c_void_p(stream))


def capture(stream: int, enqueue: Callable[[], None]) -> Graph:
    """Return what ``enqueue`` gives to a stream as a graph; nothing of it is done.

    Raise what ``enqueue`` raises, and CudaError where something of it cannot be captured.
    """
    graph, handle = ctypes.c_void_p(), ctypes.c_void_p()
    call("cudaStreamBeginCapture", ctypes.c_void_p(stream), ctypes.c_int(_RELAXED))
    try:
        enqueue()
    finally:
        ended = _status("cudaStreamEndCapture", ctypes.c_void_p(stream), ctypes.byref(graph))
        _status("cudaGetLastError")  # a capture that failed must not count for later calls
        if ended:
            raise _error("cudaStreamEndCapture", ended)
    # From CUDA 12 on the third argument is a number of flags, and there are no more.
    call("cudaGraphInstantiate", ctypes.byref(handle), graph, None, None, ctypes.c_size_t(0))
    return Graph(handle)


def pinned(size: int) -> int:
    """Return the address of host memory that the GPU copies without a detour; 0 where there is no room."""
    pointer = ctypes.c_void_p()
    if _status("cudaHostAlloc", ctypes.byref(pointer), ctypes.c_size_t(size), ctypes.c_uint(0)):
        _status("cudaGetLastError")
        return 0
    return pointer.value or 0


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

    def fill(self, byte: int, stream: int) -> None:
        """Fill the memory on the GPU with a byte."""
        call(
            "cudaMemsetAsync",
            self.pointer,
            ctypes.c_int(byte),
            ctypes.c_size_t(self.host.nbytes),
            ctypes.c_void_p(stream),
        )

    def _copy(self, to: int, source: int, count: int, kind: int, stream: int) -> None:
        call(
            "cudaMemcpyAsync",
            ctypes.c_void_p(to),
            ctypes.c_void_p(source),
            ctypes.c_size_t(count * self.host.itemsize),
            ctypes.c_int(kind),
            ctypes.c_void_p(stream),
        )
