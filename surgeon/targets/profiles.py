"""Profiles of targets, one YAML file each beside this module; the file's name is the target's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict

from surgeon.diagnostics import error, nearest_note
from surgeon.targets.data_file import Truth, Version, read_data
from surgeon.targets.target import Format, Runtime, Target

FOLDER = Path(__file__).parent

_BY_SUFFIX = {
    ".uff": "uff@tensorrt-8.5",
    ".onnx": "onnx@onnxruntime",
    ".pb": "graphdef",
    ".pbtxt": "graphdef",
}


class _Profile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Format
    runtime: Runtime
    title: str
    version: Version | None = None
    notes: tuple[str, ...] = ()
    runs_plugins: Truth = True
    plugin_needs_input: Truth = False
    uff_version: str | None = None
    leaky_relu: Truth = False
    deprecated: str | None = None


def target_names(folder: Path = FOLDER) -> tuple[str, ...]:
    """Return the names of all targets, by format and version; no file is read."""
    return tuple(sorted((path.stem for path in folder.iterdir() if path.suffix == ".yaml"), key=_sort_key))


def load_target(name: str, folder: Path = FOLDER) -> Target:
    """Return one target, reading its file only; raise SurgeonError T101 for a name that is no target's, T104
    for a profile that is wrong."""
    names = target_names(folder)
    if name not in names:
        raise error(
            "T101",
            f"'{name:.80}' is no target; expected a format and a runtime, such as 'uff@tensorrt-8.5'",
            notes=nearest_note(name, names) or ("targets: " + ", ".join(names),),
            help=["'surgeon list targets' shows all"],
        )
    return _load(folder, name)


def all_targets(folder: Path = FOLDER) -> Mapping[str, Target]:
    """Return every target by name.

    Raise SurgeonError T104 where two files describe the same format, runtime and version.
    """
    found: dict[str, Target] = {}
    owners: dict[object, str] = {}
    for name in target_names(folder):
        target = _load(folder, name)
        other = owners.setdefault((target.format, target.runtime, target.version), name)
        if other != name:
            raise error(
                "T104",
                f"the targets '{other}' and '{name}' are the same: {target.format}, {target.runtime}; "
                "expected one profile for each",
                folder / f"{name}.yaml",
                [f"the other is {folder / other}.yaml"],
                ["remove one of the files"],
            )
        found[name] = target
    return MappingProxyType(found)


def target_for_output(path: str | os.PathLike[str]) -> Target:
    """Return the target that an output file's suffix stands for.

    Raise SurgeonError T102 for another suffix.
    """
    name = os.fspath(path)
    suffix = Path(name).suffix.lower()
    if suffix not in _BY_SUFFIX:
        raise error(
            "T102",
            f"the output '{name}' has the suffix '{suffix}'; expected {', '.join(_BY_SUFFIX)}",
            help=["name the output accordingly"],
        )
    return load_target(_BY_SUFFIX[suffix])


@cache
def _load(folder: Path, name: str) -> Target:
    profile = read_data(folder / f"{name}.yaml", _Profile, "T104", "target profile")
    return Target(name=name, **profile.model_dump())


def _sort_key(name: str) -> tuple[object, ...]:
    head, _, version = name.partition("-")
    return head, tuple(int(p) if p.isdigit() else 0 for p in version.split("."))
