"""TensorRT looked at from outside.

A process of its own imports it, since libraries that do not fit end a process.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from surgeon.engine.child.creators import IMPORT, MARK
from surgeon.engine.children import command, environment, signal_name
from surgeon.optional import unusable

TIMEOUT = 90.0
"""Seconds that the import and the libraries may take."""


@dataclass(frozen=True)
class CreatorField:
    """One field that a plugin creator declares.

    ``type`` is int, float or string as in the catalog, with ``[]`` where ``length`` is above one; another
    item type is in lower case (int64), an empty one is not told. A creator says the length 1 of lists of any
    length, too.
    """

    name: str
    type: str = ""
    length: int = 1

    @property
    def item(self) -> str:
        """The type of a single item."""
        return self.type.partition("[")[0]


@dataclass(frozen=True)
class RegisteredCreator:
    """One plugin creator: name, plugin version and namespace, and its fields.

    No ``fields`` are those of a plugin without any, or of a creator that does not tell them. ``library`` is
    the path of the library that added it, empty for TensorRT's own.
    """

    name: str
    version: str = ""
    namespace: str = ""
    fields: tuple[CreatorField, ...] = ()
    library: str = ""


@dataclass(frozen=True)
class LoadedLibrary:
    """A plugin library of one's own, and why it could not be loaded, empty where it could."""

    path: str
    problem: str = ""


@dataclass(frozen=True)
class Device:
    """A GPU: name, compute capability such as ``9.0``, and memory in bytes."""

    name: str
    compute_capability: str
    memory: int


@dataclass(frozen=True)
class Registry:
    """What importing TensorRT gave.

    ``parsers`` are those it has of uff, onnx and caffe; ``initialised`` says whether init_libnvinfer_plugins
    succeeded. ``driver_cuda`` is the CUDA version that the driver serves, empty without one, and
    ``cuda_runtimes`` those of the runtime libraries found. ``problem`` is why there is nothing of all this,
    with what the process wrote in ``log``.
    """

    version: str = ""
    parsers: tuple[str, ...] = ()
    initialised: bool = False
    creators: tuple[RegisteredCreator, ...] = ()
    libraries: tuple[LoadedLibrary, ...] = ()
    devices: tuple[Device, ...] = ()
    driver_cuda: str = ""
    cuda_runtimes: tuple[str, ...] = ()
    problem: str = ""
    log: str = ""

    def named(self, name: str) -> tuple[RegisteredCreator, ...]:
        """Return the creators of that name: one for each of its plugin versions and namespaces."""
        return tuple(creator for creator in self.creators if creator.name == name)

    def added_by(self, library: str) -> tuple[RegisteredCreator, ...]:
        """Return the creators that the library of this path added."""
        return tuple(creator for creator in self.creators if creator.library == library)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values, without the log."""
        found = asdict(self)
        del found["log"]
        return found


def read_registry(libraries: Sequence[Path] = (), timeout: float = TIMEOUT) -> Registry | None:
    """Import TensorRT in another process, load plugin libraries, and return what is registered.

    Return None where TensorRT is not installed. ``problem`` tells of a crash, a time-out or a failed import.
    """
    if find_spec("tensorrt") is None:
        return None
    order = command("creators", *(os.path.abspath(path) for path in libraries))
    try:
        done = subprocess.run(
            order,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            env=environment(),
        )
    except subprocess.TimeoutExpired as exc:
        return Registry(
            problem=f"{_last_step(_text(exc.stdout))} took more than {timeout:g} s", log=_text(exc.stderr)
        )
    except OSError as exc:
        return Registry(problem=f"no process could be started: {exc.strerror or exc}")
    written, log = _text(done.stdout), _text(done.stderr)
    if done.returncode < 0:
        return Registry(problem=f"{_last_step(written)} ends with {signal_name(-done.returncode)}", log=log)
    answers = [line for line in _marked(written) if line.startswith("{")]
    if done.returncode or not answers:
        last = log.strip().splitlines()[-1:] or ["no reason was given"]
        return Registry(problem=f"{_last_step(written)} fails: {last[0].strip()}", log=log)
    return _registry(json.loads(answers[-1]), log)


def _registry(found: Mapping[str, Any], log: str) -> Registry:
    if "missing" in found:
        return Registry(problem=unusable(*found["missing"]).diagnostics[0].message, log=log)
    creators = tuple(
        RegisteredCreator(**{**one, "fields": tuple(CreatorField(*field) for field in one["fields"])})
        for one in found["creators"]
    )
    return Registry(
        found["version"],
        tuple(found["parsers"]),
        found["initialised"],
        creators,
        tuple(LoadedLibrary(*one) for one in found["libraries"]),
        tuple(Device(*one) for one in found["devices"]),
        found["driver_cuda"],
        tuple(found["cuda_runtimes"]),
        log=log,
    )


def _text(data: bytes | str | None) -> str:
    return data.decode("utf-8", "replace") if isinstance(data, bytes) else data or ""


def _marked(written: str) -> list[str]:
    return [line[len(MARK) :] for line in written.splitlines() if line.startswith(MARK)]


def _last_step(written: str) -> str:
    steps = [line for line in _marked(written) if not line.startswith("{")]
    return steps[-1] if steps else IMPORT
