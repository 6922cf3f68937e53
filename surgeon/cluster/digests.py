"""What a result depends on, as digests: files and folders, recipes, this program and the tools it uses."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from surgeon.diagnostics import error
from surgeon.version import __version__

_CHUNK = 1 << 20
_ROOT = Path(__file__).resolve().parents[1]
_CODE = (".py", ".yaml", ".txt", ".cpp", ".cu", ".cuh", ".h", ".js", ".css")


def digest_of(value: Any) -> str:
    """Return the SHA-256 of JSON values; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def content_digest(path: Path) -> str:
    """Return a digest of a file's content, or of the names and contents of all files of a folder.

    Raise SurgeonError E101 for what cannot be read.
    """
    try:
        if not os.path.isdir(path):
            return file_digest(path)
        files = {each.as_posix(): file_digest(path / each) for each in files_below(path)}
        return digest_of({"folder": files})
    except OSError as exc:
        raise error(
            "E101", f"'{exc.filename or path}' cannot be read: {exc.strerror or exc}", help=["check the path"]
        ) from None


def files_below(folder: Path) -> tuple[Path, ...]:
    """Return the files of a folder and of those in it, relative to it, by name; not what Python compiled.

    Links to folders are followed, but those that lead back to a folder that they are in.
    """
    found = []
    for place, folders, names in os.walk(folder, followlinks=True):
        above = {os.path.realpath(each) for each in (Path(place), *Path(place).parents)}
        folders[:] = sorted(
            name
            for name in folders
            if name != "__pycache__" and os.path.realpath(os.path.join(place, name)) not in above
        )
        found += [Path(place, name).relative_to(folder) for name in names]
    return tuple(sorted(found))


@cache
def program_digest() -> str:
    """Return the version of this package, and in a checkout the digest of its code, recipes and plugins."""
    if not os.path.isfile(_ROOT.parent / "setup.cfg"):
        return __version__
    digest = hashlib.sha256()
    for top in (_ROOT, _ROOT.parent / "plugins", _ROOT.parent / "recipes"):
        for path in files_below(top):
            if path.suffix in _CODE:
                digest.update(path.as_posix().encode() + b"\0" + (top / path).read_bytes())
    return f"{__version__}+{digest.hexdigest()[:12]}"


@cache
def _version_of(distribution: str) -> str:
    names = {
        "tensorflow": ("tensorflow", "tensorflow-cpu"),
        "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    }
    for name in names.get(distribution, (distribution,)):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""


def tool_versions(distributions: Iterable[str]) -> Mapping[str, str]:
    """Return the installed versions of distributions by name; '' for what is not installed."""
    return {name: _version_of(name) for name in distributions}
