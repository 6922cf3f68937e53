"""The CUDA runtime over the host's memory.

A stream that is captured keeps what TensorRT's stand-in would compute; FAKE_FAULT names what fails: "capture" and "pinned".
"""

import ctypes
import os
import time

capturing = []
"""The calls of the capture that goes on, in a list; empty where none does."""


def _text(status):
    return b"operation failed due to a previous error during capture" if status == 901 else b"out of memory"


class _Handle:
    cudaGetErrorString = staticmethod(_text)

    def __init__(self):
        self.kept, self.graphs = [], []

    def cudaMalloc(self, pointer, size):
        if os.environ.get("FAKE_FAULT") == "memory":
            return 2
        self.kept.append(ctypes.create_string_buffer(size.value))
        pointer._obj.value = ctypes.addressof(self.kept[-1])
        return 0

    def cudaFree(self, pointer):
        return 2 if os.environ.get("FAKE_FAULT") == "context" else 0

    def cudaMemcpyAsync(self, to, source, size, kind, stream):
        ctypes.memmove(to, source, size.value)
        return 0

    def cudaMemsetAsync(self, pointer, byte, size, stream):
        ctypes.memset(pointer, byte.value, size.value)
        return 0

    def cudaHostAlloc(self, pointer, size, flags):
        if os.environ.get("FAKE_FAULT") == "pinned":
            return 2
        return self.cudaMalloc(pointer, size)

    def cudaGetLastError(self):
        return 0

    def cudaStreamCreate(self, pointer):
        pointer._obj.value = 1
        return 0

    def cudaStreamSynchronize(self, stream):
        return 0

    def cudaStreamBeginCapture(self, stream, mode):
        capturing.append([])
        return 0

    def cudaStreamEndCapture(self, stream, graph):
        self.graphs.append(capturing.pop())
        graph._obj.value = len(self.graphs)
        return 901 if os.environ.get("FAKE_FAULT") == "capture" else 0

    def cudaGraphInstantiate(self, handle, graph, node, text, size):
        handle._obj.value = graph.value
        return 0

    def cudaGraphLaunch(self, handle, stream):
        for call in self.graphs[handle.value - 1]:
            call()
        return 0

    def cudaEventSynchronize(self, event):
        return 0

    def cudaStreamWaitEvent(self, stream, event, flags):
        return 0

    def cudaEventCreate(self, pointer):
        self.kept.append(ctypes.c_double())
        pointer._obj.value = ctypes.addressof(self.kept[-1])
        return 0

    def cudaEventRecord(self, event, stream):
        ctypes.c_double.from_address(event.value).value = time.perf_counter()
        return 0

    def cudaEventElapsedTime(self, elapsed, before, after):
        elapsed._obj.value = 1000 * (
            ctypes.c_double.from_address(after.value).value - ctypes.c_double.from_address(before.value).value
        )
        return 0


class _Wrapper:
    handle = _Handle()


def wrapper():
    return _Wrapper
