"""Nodes that TensorRT's ONNX parser looks up in its plugin registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from surgeon.catalog import PluginSpec

DOMAIN = "trt.plugins"
"""The domain of plugin nodes. TensorRT's parser goes by the operator's name and by two attributes; a domain
of their own keeps the nodes out of the standard's, where a checker demands operators of the standard."""

OPERATORS = frozenset({"Split", "ScatterND"})
"""Names of plugins that are operators of ONNX too."""

FIXED_SHAPES = ("IPluginV2", "IPluginV2Ext", "IPluginV2IOExt")
"""Interfaces of plugins that are told shapes when they are built, not when they run."""


def native_attributes(
    spec: PluginSpec, fields: Mapping[str, Any], version: tuple[int, ...] | None
) -> dict[str, Any]:
    """Return a plugin node's attributes: its fields, then plugin version and namespace.

    Each field has the type of its definition. Fields that are left out have their defaults. Raise
    SurgeonError C102 to C108 for fields that TensorRT ``version`` does not take.
    """
    registration = spec.registration_for(version)
    assert registration is not None, spec.op
    values = {
        name: _typed(spec.fields[name].type, value)
        for name, value in spec.complete(fields, version=version).items()
    }
    values |= {"plugin_version": registration.plugin_version, "plugin_namespace": spec.plugin_namespace}
    # An empty list has no type of its own, and a creator takes it as it takes none.
    return {name: value for name, value in values.items() if value != []}


def _typed(kind: str, value: Any) -> Any:
    items = list(value) if isinstance(value, tuple | list) else [value]
    if kind.startswith("float"):
        items = [float(item) for item in items]
    elif kind.startswith("int"):
        items = [int(item) for item in items]
    return items if kind.endswith("[]") else items[0]
