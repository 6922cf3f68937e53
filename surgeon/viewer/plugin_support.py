"""Which plugins exist in which target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from surgeon.catalog import Catalog, PluginSpec
from surgeon.targets import Target, all_targets


@dataclass(frozen=True)
class PluginSupport:
    """What a target has of a plugin: its newest plugin version, or nothing.

    ``standard`` says that an exporter writes the plugin as ordinary operations for a runtime without plugins.
    """

    plugin_version: str = ""
    deprecated: bool = False
    standard: bool = False

    @property
    def available(self) -> bool:
        """True where a graph with the plugin can run on the target."""
        return bool(self.plugin_version) or self.standard


@dataclass(frozen=True)
class SupportTable:
    """Plugins by targets; ``used`` are the plugins that a graph has."""

    targets: tuple[Target, ...]
    plugins: Mapping[str, PluginSpec]
    used: tuple[str, ...]

    def support(self, op: str, target: Target) -> PluginSupport:
        """Return what a target has of a plugin."""
        spec = self.plugins[op]
        if not target.runs_plugins:
            return PluginSupport(standard=spec.code("onnx") is not None)
        registration = spec.registration_for(target.version)
        if registration is None or target.version is None:
            return PluginSupport()
        deprecated = registration.deprecated
        return PluginSupport(
            registration.plugin_version, deprecated is not None and target.version >= deprecated
        )


def support_table(catalog: Catalog, ops: Iterable[str] = ()) -> SupportTable:
    """Return the catalog against every target with a runtime; ``ops`` are those of a graph."""
    targets = tuple(target for target in all_targets().values() if target.runtime != "any")
    used = tuple(sorted(op for op in dict.fromkeys(ops) if op in catalog))
    plugins = {op: catalog[op] for op in (*used, *(op for op in catalog if op not in used))}
    return SupportTable(targets, plugins, used)
