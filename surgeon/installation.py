"""How this package is installed here, and the commands that install what is missing."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

DISTRIBUTION = "trt-surgeon"
"""The name under which pip knows this package. The 'surgeon' of a package index is another project."""

EXTRAS = {
    "tensorflow": ("tensorflow", "pictures"),
    "PIL": ("pictures",),
    "pycocotools": ("evaluate",),
    "onnx": ("onnx", "pictures"),
    "tf2onnx": ("onnx", "pictures"),
    "onnxruntime": ("onnx", "pictures"),
    "tensorrt": ("tensorrt", "pictures"),
    "polygraphy": ("tensorrt", "pictures"),
    "model_explorer": ("view",),
    "netron": ("view",),
    "argcomplete": ("completion",),
    "ray": ("fleet",),
    "fsspec": ("fleet",),
}
"""The extras for what a package is used for; all of them, so that one installation is enough."""

TENSORRT, TENSORRT_PYTHON = "8.5.3.1", (3, 10)
"""The release of TensorRT that the extra 'tensorrt' installs, and the last Python that it has wheels for."""


def help_for(package: str) -> list[str]:
    """Return the help for a package that is missing: the command that installs it and what goes with it."""
    extras = EXTRAS.get(package, ("dev",))
    if "tensorrt" not in extras or sys.version_info[:2] <= TENSORRT_PYTHON:
        return [install_command(*extras)]
    running, last = (".".join(map(str, version[:2])) for version in (sys.version_info, TENSORRT_PYTHON))
    return [
        f"TensorRT {TENSORRT}, which reads UFF and ONNX, has no wheel for Python {running}; "
        f"make an environment with Python {last}: python{last} -m venv .venv-tensorrt && "
        f".venv-tensorrt/bin/pip install {_requirement(extras)}",
        f"or install TensorRT 10 here, which reads ONNX only: {pip()} install 'tensorrt<11' polygraphy",
    ]


def install_command(*extras: str, upgrade: bool = False) -> str:
    """Return the command that installs this package with extras for the interpreter that runs.

    The package is taken from where it was installed from: a checkout, a file, a repository or an index.
    """
    return f"{pip()} install {'-U ' if upgrade else ''}{_requirement(extras)}"


def pip() -> str:
    """Return 'pip' where the shell finds the one of this interpreter, and the interpreter's own otherwise."""
    found = shutil.which("pip")
    if found is not None and os.path.dirname(found) == os.path.dirname(sys.executable):
        return "pip"
    return f"{shlex.quote(sys.executable or 'python3')} -m pip"


def _requirement(extras: tuple[str, ...]) -> str:
    bracket = f"[{','.join(extras)}]" if extras else ""
    checkout = Path(__file__).resolve().parents[1]
    if _is_checkout(checkout):
        return f"--editable {shlex.quote(f'{checkout}{bracket}')}"
    source = _source()
    if source is None:
        return shlex.quote(f"{DISTRIBUTION}{bracket}")
    if "://" in source:
        return shlex.quote(f"{DISTRIBUTION}{bracket} @ {source}")
    return shlex.quote(f"{source}{bracket}")


def _is_checkout(folder: Path) -> bool:
    try:
        return f"name = {DISTRIBUTION}\n" in (folder / "setup.cfg").read_text(encoding="utf-8")
    except OSError:
        return False


def _source() -> str | None:
    """Return the path or address that pip recorded for this package; None where it came from an index.

    A path that is no longer there counts as none.
    """
    try:
        text = metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return None
    if text is None:
        return None
    record = json.loads(text)
    address = urlsplit(record["url"])
    if address.scheme == "file":
        path = unquote(address.path)
        return path if os.path.exists(path) else None
    repository = record.get("vcs_info")
    if repository is None:
        return str(record["url"])
    return f"{repository['vcs']}+{record['url']}@{repository['commit_id']}"
