"""Where plugin folders are: in the package, in entry points, and where the user says."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.resources
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from surgeon.diagnostics import error
from surgeon.discovery import entry_points

GROUP = "surgeon.plugins"
"""Entry points of this group name packages whose folders are plugin folders."""


def plugin_folders(plugin_paths: Sequence[Path] = ()) -> Mapping[str, Path]:
    """Return every plugin's folder by op: shipped ones, those of entry points, those under ``plugin_paths``.

    Raise SurgeonError C112 for an op that has two folders, C113 for a path that holds no plugin folders, C114
    for an entry point that cannot be loaded.
    """
    found: dict[str, Path] = {}
    for root in (_shipped(), *_from_entry_points(), *_from_user(plugin_paths)):
        for folder in _folders(root):
            other = found.setdefault(folder.name, folder)
            if other is not folder and other.resolve() != folder.resolve():
                raise error(
                    "C112",
                    f"the plugin '{folder.name}' is defined twice; expected one definition of each",
                    folder / "plugin.yaml",
                    [f"the other is {other / 'plugin.yaml'}"],
                    ["rename one of the folders, or leave one out of the plugin path"],
                )
    return dict(sorted(found.items()))


def _folders(root: Path) -> Iterator[Path]:
    return (path for path in sorted(root.iterdir()) if os.path.isfile(path / "plugin.yaml"))


def _shipped() -> Path:
    return Path(str(importlib.resources.files("surgeon.plugins")))


def _from_entry_points() -> Iterator[Path]:
    for point in entry_points(GROUP):
        try:
            module = importlib.import_module(point.module)
            paths = [Path(path) for path in module.__path__]
        except Exception as exc:
            raise error(
                "C114",
                f"the entry point '{point.name}' ({point.value}) of the group '{GROUP}' cannot be loaded: "
                f"{type(exc).__name__}: {' '.join(str(exc).split()):.200}; expected a package of plugin "
                "folders",
                help=["repair or uninstall the package that declares it"],
            ) from exc
        yield from paths


def _from_user(plugin_paths: Sequence[Path]) -> Iterator[Path]:
    for given in plugin_paths:
        path = Path(given)
        if os.path.isfile(path / "plugin.yaml"):
            raise error(
                "C113",
                f"the plugin path '{path}' is a plugin's folder itself; expected the folder that holds it",
                help=[f"give '{path.resolve().parent}'"],
            )
        try:
            empty = next(_folders(path), None) is None
        except OSError as exc:
            raise error(
                "C113",
                f"the plugin path '{path}' cannot be read: {exc.strerror or exc}; expected a folder of "
                "plugin folders",
                help=["correct the path"],
            ) from None
        if empty:
            raise error(
                "C113",
                f"the plugin path '{path}' holds no plugin; expected folders with a 'plugin.yaml' each",
                help=["correct the path, or add '<Op>/plugin.yaml'"],
            )
        yield path
