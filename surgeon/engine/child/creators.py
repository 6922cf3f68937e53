"""What importing TensorRT and loading plugin libraries gives: parsers, plugin creators, libraries and GPUs.

Read with TensorRT 8.5.3.1. The attributes of 7, 8.6 and 10 to 11 are taken from the sources of its Python
bindings at these versions, and were not run.
"""

import ctypes
import json
from typing import Any, Dict, Iterator, List, Sequence, Tuple

from .devices import RUNTIMES, devices, driver_version, shared_library, version_text
from .failures import MissingPackage, require

MARK = "surgeon:"
"""Begins the lines of standard output that are for the parent process."""

IMPORT = "importing it"
"""The first step."""

_GPU = "asking for the GPU"

_PARSERS = (("uff", "UffParser"), ("onnx", "OnnxParser"), ("caffe", "CaffeParser"))
_TYPES = {"INT32": "int", "FLOAT32": "float", "CHAR": "string", "UNKNOWN": ""}

Key = Tuple[str, str, str]
"""A creator's name, plugin version and namespace."""


def main(libraries: Sequence[str]) -> None:
    """Write to standard output what TensorRT, with these libraries, has: a line of JSON with a mark.

    Each step is written before it is done, so that the parent knows what a process died of.
    """
    _write(IMPORT)
    try:
        trt = require("tensorrt", "listing plugins")
    except MissingPackage as exc:
        _write(json.dumps({"missing": exc.args}))
        return
    _write(json.dumps(_look(trt, libraries)))


def _write(text: str) -> None:
    # What a library printed without an end of line must not stand before the mark.
    with open(1, "wb", buffering=0, closefd=False) as out:
        out.write(f"\n{MARK}{text}\n".encode())


def _look(trt: Any, libraries: Sequence[str]) -> Dict[str, Any]:
    """Return what the module ``trt`` has once its plugins and ``libraries`` are loaded, as plain values."""
    logger = trt.Logger(trt.Logger.INTERNAL_ERROR)
    initialised = bool(trt.init_libnvinfer_plugins(logger, ""))
    registry = trt.get_plugin_registry()
    owners = dict.fromkeys(map(_key, _creators(registry)), "")
    loaded = []
    for path in libraries:
        _write(f"loading '{path}'")
        loaded.append([path, _load(path)])
        for creator in _creators(registry):
            owners.setdefault(_key(creator), path)
    creators = [
        {"name": key[0], "version": key[1], "namespace": key[2], "fields": fields, "library": owners[key]}
        for key, fields in _described(registry)
    ]
    _write(_GPU)
    return {
        "version": trt.__version__,
        "parsers": [name for name, kind in _PARSERS if hasattr(trt, kind)],
        "initialised": initialised,
        "creators": creators,
        "libraries": loaded,
        "devices": devices(),
        "driver_cuda": driver_version(),
        "cuda_runtimes": _cuda_runtimes(),
    }


def _load(path: str) -> str:
    try:
        ctypes.CDLL(path, ctypes.RTLD_GLOBAL)
    except OSError as exc:
        return " ".join(str(exc).split())
    return ""


def _creators(registry: Any) -> List[Any]:
    """Return the creators that TensorRT lists.

    From TensorRT 10 on, those of IPluginV3 are in ``all_creators`` only; TensorRT 11 has no other list.
    """
    listed = getattr(registry, "all_creators", None)
    return list(registry.plugin_creator_list if listed is None else listed)


def _key(creator: Any) -> Key:
    name, version, namespace = (
        str(getattr(creator, key, "")) for key in ("name", "plugin_version", "plugin_namespace")
    )
    return name, version, namespace


def _described(registry: Any) -> Iterator[Tuple[Key, List[List[Any]]]]:
    fields: Dict[Key, List[List[Any]]] = {}
    for creator in _creators(registry):
        fields.setdefault(_key(creator), _fields(creator))
    return iter(sorted(fields.items()))


def _fields(creator: Any) -> List[List[Any]]:
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


def _cuda_runtimes() -> List[str]:
    version, texts = ctypes.c_int(), []
    for name in RUNTIMES:
        library = shared_library(name)
        if library is not None and library.cudaRuntimeGetVersion(ctypes.byref(version)) == 0:
            texts.append(version_text(version.value))
    return list(dict.fromkeys(texts))
