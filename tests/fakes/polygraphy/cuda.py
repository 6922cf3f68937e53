"""The CUDA runtime over the host's memory."""

import ctypes
import os
import time


def _text(status):
    return b"out of memory"


class _Handle:
    cudaGetErrorString = staticmethod(_text)

    def __init__(self):
        self.kept = []

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


class Stream:
    ptr = 1

    def synchronize(self):
        pass
