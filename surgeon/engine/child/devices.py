"""GPUs as CUDA's driver shows them."""

import ctypes
import json
import os
from typing import Any, Iterator, List

VARIABLE = "SURGEON_DEVICES"
"""Environment variable that stands in for the driver: a list of devices in JSON."""

RUNTIMES = ("libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0", "libcudart.so.10.2", "libcudart.so")
"""Names of CUDA's runtime library, the newest first."""

_MAJOR, _MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""

_MOST = 64


def devices() -> List[List[Any]]:
    """Return name, compute capability such as '9.0' and memory in bytes of each GPU."""
    if VARIABLE in os.environ:
        return list(json.loads(os.environ[VARIABLE]))
    driver = shared_library("libcuda.so.1")
    return list(_answering(driver)) if driver is not None and driver.cuInit(0) == 0 else []


def driver_version() -> str:
    """Return the CUDA version that the driver serves, such as '12.4'; '' without a driver."""
    driver, version = shared_library("libcuda.so.1"), ctypes.c_int()
    if driver is None or driver.cuDriverGetVersion(ctypes.byref(version)):
        return ""
    return version_text(version.value)


def version_text(number: int) -> str:
    """Return CUDA's number of a version as people write it: 12040 is '12.4'."""
    return f"{number // 1000}.{number % 1000 // 10}"


def shared_library(name: str) -> Any:
    """Return a shared library, None where the linker finds none of the name."""
    try:
        return ctypes.CDLL(name)
    except OSError:
        return None


def _answering(driver: Any) -> Iterator[List[Any]]:
    count = ctypes.c_int()
    driver.cuDeviceGetCount(ctypes.byref(count))
    for index in range(min(count.value, _MOST)):
        device, name, memory = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_size_t()
        major, minor = ctypes.c_int(), ctypes.c_int()
        failed = (
            driver.cuDeviceGet(ctypes.byref(device), index)
            or driver.cuDeviceGetName(name, len(name), device)
            or driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
            or driver.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
            or driver.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
        )
        if not failed:
            yield [name.value.decode("utf-8", "replace"), f"{major.value}.{minor.value}", memory.value]
