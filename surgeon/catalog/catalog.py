"""The catalog: every plugin definition by op, read when asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from surgeon.catalog.definition import load_definition
from surgeon.catalog.discovery import plugin_folders
from surgeon.catalog.plugin import PluginSpec
from surgeon.diagnostics import Span, error, nearest_note
from surgeon.display import Displayed
from surgeon.graph import Ref

if TYPE_CHECKING:
    from surgeon.catalog.cases import Cases
    from surgeon.catalog.reference import Reference
    from surgeon.infer import Rule


class Catalog(Displayed, Mapping[str, PluginSpec]):
    """Plugins by op, sorted. ``catalog[op]`` reads one definition; going through ``values()`` reads all."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = folders
        self._read: dict[str, PluginSpec] = {}

    def __getitem__(self, op: str) -> PluginSpec:
        if op not in self._read:
            self._read[op] = load_definition(self._folders[op], self._folders)
        return self._read[op]

    def __repr__(self) -> str:
        return f"<Catalog of {len(self)} plugins>"

    def __iter__(self) -> Iterator[str]:
        return iter(self._folders)

    def __len__(self) -> int:
        return len(self._folders)

    def __contains__(self, op: object) -> bool:
        return op in self._folders

    def folder(self, op: str) -> Path:
        """Return the folder of a plugin; raise KeyError for an op that is none."""
        return self._folders[op]

    def get_plugin(self, op: str, where: Span | str | None = None) -> PluginSpec:
        """Return a plugin.

        Raise SurgeonError C101 for an op that is none, C110 for a definition that is wrong.
        """
        if op not in self._folders:
            raise error(
                "C101",
                f"'{op:.80}' is not a known plugin; expected one of the catalog",
                where,
                nearest_note(op, self._folders) or ("plugins: " + ", ".join(self._folders),),
                ["correct the name, or give the folder that defines it with --plugin-path"],
            )
        return self[op]

    def module(self, op: str, stem: str) -> ModuleType | None:
        """Return a Python file of a plugin, such as ``onnx``, its own or its kernel's.

        None where it has none, or is not a plugin. Raise SurgeonError as :meth:`PluginSpec.code`.
        """
        return self[op].code(stem) if op in self._folders else None

    def shape_rule(self, op: str) -> Rule:
        """Return the plugin's rule for :class:`surgeon.infer.Inference`.

        Its definition is read when the rule is used.
        """
        # Listing plugins needs no numpy, which inference imports.
        from surgeon.catalog.inference import shape_rule

        return shape_rule(self, op)

    def reference(self, op: str) -> Reference | None:
        """Return what the plugin computes, in numpy; None where no file says so, or it is not a plugin.

        Raise SurgeonError C111 where the file fails, C116 where it defines no reference.
        """
        module = self.module(op, "reference")
        if module is None:
            return None
        from surgeon.catalog.reference import make_reference

        return make_reference(self[op], module)

    def detections(self, op: str, node: str, fields: Mapping[str, object]) -> dict[str, Ref]:
        """Return the outputs of a node that hold detections, by part; none for an op that gives none."""
        parts = self[op].detections if op in self else {}
        ports = self[op].output_ports(fields) if parts else ()
        return {part: Ref(node, ports.index(port)) for part, port in parts.items()}

    def cases(self, op: str) -> Cases | None:
        """Return the cases of ``cases.yaml``; None where the folder has none, or it is not a plugin.

        Raise SurgeonError C115 for a file that is wrong.
        """
        path = self._folders[op] / "cases.yaml" if op in self._folders else None
        if path is None or not os.path.isfile(path):
            return None
        from surgeon.catalog.cases import load_cases

        return load_cases(path, self[op])

    def rules(self) -> Mapping[str, Rule]:
        """Return :meth:`shape_rule` of every plugin."""
        return {op: self.shape_rule(op) for op in self._folders}


def load_catalog(plugin_paths: Sequence[Path] = ()) -> Catalog:
    """Return the plugins of the package, of entry points ``surgeon.plugins``, and of folders of plugin
    folders.

    No definition is read yet. Raise SurgeonError C112, C113 or C114 as :func:`plugin_folders` does.
    """
    return Catalog(plugin_folders(plugin_paths))
