"""Profiles of targets, one YAML file each beside this module; the file's name is the target's."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from math import inf
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from surgeon.diagnostics import error, nearest_note
from surgeon.discovery import by_key, entry_points
from surgeon.targets.data_file import Truth, Version, read_data
from surgeon.targets.target import Runtime, Target, checked_format

FOLDER = Path(__file__).parent

GROUP = "surgeon.targets"
"""Entry points whose packages hold further profiles."""


class _Profile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Annotated[str, AfterValidator(checked_format)]
    runtime: Runtime
    title: str
    version: Version | None = None
    notes: tuple[str, ...] = ()
    runs_plugins: Truth = True
    plugin_needs_input: Truth = False
    uff_version: str | None = None
    leaky_relu: Truth = False
    most_rows: int | None = None
    lacks: tuple[str, ...] = ()
    deprecated: str | None = None


def target_names(folder: Path | None = None) -> tuple[str, ...]:
    """Return the names of all targets, by format and version; no file is read.

    They are those of a folder, else the shipped ones and those of entry points.
    """
    return tuple(_files(folder))


def load_target(name: str, folder: Path | None = None) -> Target:
    """Return one target, reading its file only.

    Raise SurgeonError T101 for an unknown name, T104 for an invalid profile.
    """
    files = _files(folder)
    if name not in files:
        raise error(
            "T101",
            f"'{name:.80}' is not a target; expected a format and a runtime, such as 'uff@tensorrt-8.5'",
            notes=nearest_note(name, files) or ("targets: " + ", ".join(files),),
            help=["'surgeon list targets' shows all"],
        )
    return _load(files[name])


def all_targets(folder: Path | None = None) -> Mapping[str, Target]:
    """Return every target by name.

    Raise SurgeonError T104 where two files describe the same format, runtime and version.
    """
    found: dict[str, Target] = {}
    owners: dict[object, str] = {}
    files = _files(folder)
    for name, path in files.items():
        target = _load(path)
        other = owners.setdefault((target.format, target.runtime, target.version), name)
        if other != name:
            raise error(
                "T104",
                f"the targets '{other}' and '{name}' are the same: {target.format}, {target.runtime}; "
                "expected one profile for each",
                path,
                [f"the other is {files[other]}"],
                ["remove one of the files"],
            )
        found[name] = target
    return MappingProxyType(found)


def _files(folder: Path | None) -> dict[str, Path]:
    """Return the profiles by name; raise SurgeonError T104 for a name that two folders have."""
    folders = _folders() if folder is None else (folder,)
    paths = [path for each in folders for path in each.iterdir() if path.suffix == ".yaml"]
    found = by_key("target profiles named", ((path.stem, path, str(path)) for path in paths), "T104")
    return dict(sorted(found.items(), key=lambda item: _sort_key(item[0])))


@cache
def _folders() -> tuple[Path, ...]:
    return (FOLDER, *map(_folder, entry_points(GROUP)))


def _folder(point: metadata.EntryPoint) -> Path:
    """Return the folder of an entry point's package, which is not imported."""
    spec = find_spec(point.module)
    if spec is None or spec.origin is None:
        raise error(
            "E113",
            f"the entry point '{point.name}' ({point.value}) of the group '{GROUP}' cannot be found; "
            "expected a package that holds target profiles",
            help=["repair or uninstall the package that declares it"],
        )
    return Path(spec.origin).parent


@cache
def _load(path: Path) -> Target:
    profile = read_data(path, _Profile, "T104", "target profile")
    return Target(name=path.stem, **profile.model_dump())


def _sort_key(name: str) -> tuple[object, ...]:
    head, _, version = name.partition("-")
    return head, tuple(int(p) if p.isdigit() else inf for p in version.split("."))
