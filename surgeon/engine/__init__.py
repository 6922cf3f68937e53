"""TensorRT engines: build and run them, check plugin libraries, and diagnose failures."""

from surgeon.catalog.plugin_uses import PluginUse, plugin_uses
from surgeon.deprecation import renamed_names
from surgeon.engine.builds import BuildResult, CalibrationBatches, Output, Source, build
from surgeon.engine.engine import Bench, Engine, load_engine
from surgeon.engine.known_messages import ExplainedMessage, KnownMessage, LogReading, known_messages, read_log
from surgeon.engine.libraries import check_libraries
from surgeon.engine.manifest import (
    Accuracy,
    EngineLayer,
    FileInfo,
    Manifest,
    PrecisionTrial,
    TensorInfo,
    manifest_path,
    read_manifest,
)
from surgeon.engine.options import BuildOptions
from surgeon.engine.plugin_checks import check_loaded, check_plugins, version_of
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
    "Accuracy",
    "Bench",
    "BuildOptions",
    "BuildResult",
    "CalibrationBatches",
    "CreatorField",
    "Device",
    "Engine",
    "EngineLayer",
    "ExplainedMessage",
    "FileInfo",
    "KnownMessage",
    "LoadedLibrary",
    "LogReading",
    "Manifest",
    "Output",
    "Platform",
    "PluginUse",
    "PrecisionTrial",
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
    "read_log",
    "read_manifest",
    "read_registry",
    "version_of",
]

__getattr__ = renamed_names(
    __name__,
    {
        "Built": "BuildResult",
        "Calibrating": "CalibrationBatches",
        "Explained": "ExplainedMessage",
        "Message": "KnownMessage",
        "Reading": "LogReading",
    },
    removal="0.2.0",
)
