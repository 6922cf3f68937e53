"""TensorRT looked at from outside: a process of its own imports it, since libraries that do not fit end a
process.

Read with TensorRT 8.5.3.1. The attributes of 7, 8.6 and 10 to 11 are taken from the sources of its Python
bindings at these versions, and were not run.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from surgeon.diagnostics import SurgeonError
from surgeon.engine.children import command, environment, signal_name
from surgeon.optional import require

TIMEOUT = 90.0
"""Seconds that the import and the libraries may take."""

_MARK = "surgeon:"

_IMPORT = "importing it"
_GPU = "asking for the GPU"

_PARSERS = (("uff", "UffParser"), ("onnx", "OnnxParser"), ("caffe", "CaffeParser"))
_TYPES = {"INT32": "int", "FLOAT32": "float", "CHAR": "string", "UNKNOWN": ""}
_CUDART = ("libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0", "libcudart.so.10.2", "libcudart.so")
_MAJOR, _MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""

MOST_GPUS = 64


@dataclass(frozen=True)
class CreatorField:
    """One field that a plugin creator declares.

    ``type`` is int, float or string as in the catalog, with ``[]`` where ``length`` is above one; another
    item type is in lower case (int64), an empty one is not told. A creator says the length 1 of lists of any
    length, too.
    """

    name: str
    type: str = ""
    length: int = 1

    @property
    def item(self) -> str:
        """The type of a single item."""
        return self.type.removesuffix("[]")


@dataclass(frozen=True)
class RegisteredCreator:
    """One plugin creator: name, plugin version and namespace, and its fields.

    No ``fields`` are those of a plugin without any, or of a creator that does not tell them. ``library`` is
    the path of the library that added it, empty for TensorRT's own.
    """

    name: str
    version: str = ""
    namespace: str = ""
    fields: tuple[CreatorField, ...] = ()
    library: str = ""


@dataclass(frozen=True)
class LoadedLibrary:
    """A plugin library of one's own, and why it could not be loaded, empty where it could."""

    path: str
    problem: str = ""


@dataclass(frozen=True)
class Device:
    """A GPU: name, compute capability such as ``9.0``, and memory in bytes."""

    name: str
    compute_capability: str
    memory: int


@dataclass(frozen=True)
class Registry:
    """What importing TensorRT gave.

    ``parsers`` are those it has of uff, onnx and caffe; ``initialised`` says whether init_libnvinfer_plugins
    succeeded. ``driver_cuda`` is the CUDA version that the driver serves, empty without one, and
    ``cuda_runtimes`` those of the runtime libraries found. ``problem`` is why there is nothing of all this,
    with what the process wrote in ``log``.
    """

    version: str = ""
    parsers: tuple[str, ...] = ()
    initialised: bool = False
    creators: tuple[RegisteredCreator, ...] = ()
    libraries: tuple[LoadedLibrary, ...] = ()
    devices: tuple[Device, ...] = ()
    driver_cuda: str = ""
    cuda_runtimes: tuple[str, ...] = ()
    problem: str = ""
    log: str = ""

    def named(self, name: str) -> tuple[RegisteredCreator, ...]:
        """Return the creators of that name: one for each of its plugin versions and namespaces."""
        return tuple(creator for creator in self.creators if creator.name == name)

    def added_by(self, library: str) -> tuple[RegisteredCreator, ...]:
        """Return the creators that the library of this path added."""
        return tuple(creator for creator in self.creators if creator.library == library)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values, without the log."""
        found = asdict(self)
        del found["log"]
        return found


def read_registry(libraries: Sequence[Path] = (), timeout: float = TIMEOUT) -> Registry | None:
    """Import TensorRT in another process, load plugin libraries, and return what is registered; None where it
    is not installed.

    A crash, a time-out and an import that fails are told by ``problem``.
    """
    if find_spec("tensorrt") is None:
        return None
    order = command("surgeon.engine.registry", "answer", *(os.path.abspath(path) for path in libraries))
    try:
        done = subprocess.run(
            order, capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout, env=environment()
        )
    except subprocess.TimeoutExpired as exc:
        return Registry(
            problem=f"{_last_step(_text(exc.stdout))} took more than {timeout:g} s", log=_text(exc.stderr)
        )
    except OSError as exc:
        return Registry(problem=f"no process could be started: {exc.strerror or exc}")
    written, log = _text(done.stdout), _text(done.stderr)
    if done.returncode < 0:
        return Registry(problem=f"{_last_step(written)} ends with {signal_name(-done.returncode)}", log=log)
    answers = [line for line in _marked(written) if line.startswith("{")]
    if done.returncode or not answers:
        last = log.strip().splitlines()[-1:] or ["no reason was given"]
        return Registry(problem=f"{_last_step(written)} fails: {last[0].strip()}", log=log)
    return _registry(json.loads(answers[-1]), log)


def _registry(found: Mapping[str, Any], log: str) -> Registry:
    if found.get("problem"):
        return Registry(problem=found["problem"], log=log)
    creators = tuple(
        RegisteredCreator(**{**one, "fields": tuple(CreatorField(*field) for field in one["fields"])})
        for one in found["creators"]
    )
    return Registry(
        found["version"],
        tuple(found["parsers"]),
        found["initialised"],
        creators,
        tuple(LoadedLibrary(*one) for one in found["libraries"]),
        tuple(Device(*one) for one in found["devices"]),
        found["driver_cuda"],
        tuple(found["cuda_runtimes"]),
        log=log,
    )


def _text(data: bytes | str | None) -> str:
    return data.decode("utf-8", "replace") if isinstance(data, bytes) else data or ""


def _marked(written: str) -> list[str]:
    return [line.removeprefix(_MARK) for line in written.splitlines() if line.startswith(_MARK)]


def _last_step(written: str) -> str:
    steps = [line for line in _marked(written) if not line.startswith("{")]
    return steps[-1] if steps else _IMPORT


# The child's side


def answer(libraries: Sequence[str]) -> None:
    """Write to standard output what TensorRT, with these libraries, has: a line of JSON with a mark.

    Each step is written before it is done, so that the parent knows what a process died of.
    """
    _write(_IMPORT)
    try:
        trt = require("tensorrt", "listing plugins")
    except SurgeonError as exc:
        _write(json.dumps({"problem": exc.diagnostics[0].message}))
        return
    _write(json.dumps(look(trt, libraries)))


def _write(text: str) -> None:
    # What a library printed without an end of line must not stand before the mark.
    with open(1, "wb", buffering=0, closefd=False) as out:
        out.write(f"\n{_MARK}{text}\n".encode())


def look(trt: Any, libraries: Sequence[str]) -> dict[str, Any]:
    """Return what the module ``trt`` has once its plugins and ``libraries`` are loaded, as plain values."""
    logger = trt.Logger(trt.Logger.INTERNAL_ERROR)
    initialised = bool(trt.init_libnvinfer_plugins(logger, ""))
    registry = trt.get_plugin_registry()
    owners: dict[tuple[str, str, str], str] = dict.fromkeys(map(_key, _creators(registry)), "")
    loaded = []
    for path in libraries:
        _write(f"loading '{path}'")
        loaded.append([path, _load(path)])
        for creator in _creators(registry):
            owners.setdefault(_key(creator), path)
    creators = [
        {
            "name": name,
            "version": version,
            "namespace": namespace,
            "fields": fields,
            "library": owners[name, version, namespace],
        }
        for (name, version, namespace), fields in _described(registry)
    ]
    _write(_GPU)
    return {
        "version": trt.__version__,
        "parsers": [name for name, kind in _PARSERS if hasattr(trt, kind)],
        "initialised": initialised,
        "creators": creators,
        "libraries": loaded,
        **_cuda(),
    }


def _load(path: str) -> str:
    try:
        ctypes.CDLL(path, ctypes.RTLD_GLOBAL)
    except OSError as exc:
        return " ".join(str(exc).split())
    return ""


def _creators(registry: Any) -> list[Any]:
    """Return the creators: from TensorRT 10 on those of IPluginV3 are in ``all_creators`` only, and 11 has no
    other list.
    """
    listed = getattr(registry, "all_creators", None)
    return list(registry.plugin_creator_list if listed is None else listed)


def _key(creator: Any) -> tuple[str, str, str]:
    name, version, namespace = (
        getattr(creator, key, "") for key in ("name", "plugin_version", "plugin_namespace")
    )
    return str(name), str(version), str(namespace)


def _described(registry: Any) -> Iterator[tuple[tuple[str, str, str], list[list[Any]]]]:
    found: dict[tuple[str, str, str], list[list[Any]]] = {}
    for creator in _creators(registry):
        found.setdefault(_key(creator), _fields(creator))
    return iter(sorted(found.items()))


def _fields(creator: Any) -> list[list[Any]]:
    try:
        listed = list(getattr(creator, "field_names", None) or ())
    except Exception:  # a creator without this function raises what it likes, or prints and gives nothing
        return []
    fields = []
    for field in listed:
        kind = str(field.type).rpartition(".")[2]
        item = _TYPES.get(kind, kind.lower())
        fields.append([field.name, f"{item}[]" if item and field.size > 1 else item, field.size])
    return fields


def _cuda() -> dict[str, Any]:
    found: dict[str, Any] = {"devices": [], "driver_cuda": "", "cuda_runtimes": []}
    version = ctypes.c_int()
    for name in _CUDART:
        library = _library(name)
        if library is not None and library.cudaRuntimeGetVersion(ctypes.byref(version)) == 0:
            text = _version(version.value)
            found["cuda_runtimes"] += [] if text in found["cuda_runtimes"] else [text]
    driver = _library("libcuda.so.1")
    if driver is None:
        return found
    if driver.cuDriverGetVersion(ctypes.byref(version)) == 0:
        found["driver_cuda"] = _version(version.value)
    found["devices"] = list(_devices(driver)) if driver.cuInit(0) == 0 else []
    return found


def devices() -> tuple[Device, ...]:
    """Return the GPUs that the driver shows this process, none where there is no driver."""
    driver = _library("libcuda.so.1")
    return (
        tuple(Device(*one) for one in _devices(driver))
        if driver is not None and driver.cuInit(0) == 0
        else ()
    )


def _library(name: str) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(name)
    except OSError:
        return None


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _devices(driver: ctypes.CDLL) -> Iterator[list[Any]]:
    count = ctypes.c_int()
    driver.cuDeviceGetCount(ctypes.byref(count))
    for index in range(min(count.value, MOST_GPUS)):
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
