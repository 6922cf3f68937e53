"""TensorRT as rewritten graphs meet it: building and running engines, its plugin libraries, and what it says
when something is wrong."""

from surgeon.engine.builds import Built, Calibrating, Output, Source, build
from surgeon.engine.engine import Bench, Engine, load_engine
from surgeon.engine.known_messages import Explained, Message, Reading, known_messages, read_log
from surgeon.engine.libraries import (
    PluginUse,
    check_libraries,
    check_loaded,
    check_plugins,
    plugin_uses,
    plugin_uses_of_onnx,
    plugin_uses_of_uff,
    version_of,
)
from surgeon.engine.manifest import FileInfo, Manifest, TensorInfo, manifest_path, read_manifest
from surgeon.engine.options import BuildOptions
from surgeon.engine.registry import (
    CreatorField,
    Device,
    LoadedLibrary,
    RegisteredCreator,
    Registry,
    read_registry,
)
from surgeon.engine.worker_client import Platform

__all__ = [
    "Bench",
    "BuildOptions",
    "Built",
    "Calibrating",
    "CreatorField",
    "Device",
    "Engine",
    "Explained",
    "FileInfo",
    "LoadedLibrary",
    "Manifest",
    "Message",
    "Output",
    "Platform",
    "PluginUse",
    "Reading",
    "RegisteredCreator",
    "Registry",
    "Source",
    "TensorInfo",
    "build",
    "check_libraries",
    "check_loaded",
    "check_plugins",
    "known_messages",
    "load_engine",
    "manifest_path",
    "plugin_uses",
    "plugin_uses_of_onnx",
    "plugin_uses_of_uff",
    "read_log",
    "read_manifest",
    "read_registry",
    "version_of",
]
