"""The code of plugins, their own or a kernel's, loaded when first needed."""

from __future__ import annotations

import hashlib
import importlib
import importlib.machinery
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from types import CodeType, ModuleType
from typing import TypeVar

from surgeon.diagnostics import SurgeonError, error

Result = TypeVar("Result")

_KERNEL_FILES = {
    "reference": ("numbers", "run"),
    "shape": ("shapes", "outputs"),
    "onnx": ("onnx", "standard"),
    "probes": ("probes", "inputs"),
}
"""For each file of a plugin and its main function: the file of a kernel that may stand for it."""

_SHARED = ("__file__", "COUNTERFACTUALS", "check")
"""What counts for every kernel of a file."""


class UnfitInput(Exception):
    """Raised by a plugin's code for an input that does not fit; the catalog makes C109 of it.

    ``problem`` follows "input 1 of NMS_TRT" in the message.
    """

    def __init__(self, index: int, problem: str, notes: Sequence[str], help: str) -> None:
        super().__init__(index, problem)
        self.index, self.problem, self.notes, self.help = index, problem, notes, help


def load_code(folder: Path, kernel: str, stem: str) -> ModuleType | None:
    """Return a plugin's own file ``<folder>/<stem>.py``, or what its kernel has in its stead.

    ``kernel`` is ``FOLDER.NAME``, the folder beside the plugin's own or in ``surgeon.kernels``. Of
    ``numbers.py``, ``shapes.py``, ``onnx.py`` or ``probes.py`` of it, the function ``NAME`` is the file's
    main one, ``<other>_NAME`` stands for ``<other>``, and ``COUNTERFACTUALS`` and ``check`` count for every
    ``NAME``.
    Return None where there is neither. ``probes.py`` says what a plugin that suppresses boxes reads for boxes
    and scores that are made up. Raise SurgeonError C110 for a kernel that does not exist, C111 where a
    file fails.
    """
    own = load_module(folder, stem)
    if own is not None or not kernel or stem not in _KERNEL_FILES:
        return own
    code = _kernel_code(folder, kernel, stem)
    if code is None and not any(_kernel_code(folder, kernel, other) for other in _KERNEL_FILES):
        raise error(
            "C110",
            f"there is no kernel '{kernel}'; expected functions of this name in a folder beside the "
            "plugin's or in surgeon.kernels",
            folder / "plugin.yaml",
            help=["correct 'kernel'"],
        )
    return code


@cache
def _kernel_code(folder: Path, kernel: str, stem: str) -> ModuleType | None:
    package, _, name = kernel.rpartition(".")
    file, main = _KERNEL_FILES[stem]
    module = load_module(folder.parent / package, file) or _shipped_module(
        f"surgeon.kernels.{package}.{file}"
    )
    if module is None or not hasattr(module, name):
        return None
    code = ModuleType(module.__name__)
    shared = {key: value for key, value in vars(module).items() if key in _SHARED}
    others = {
        key.removesuffix(f"_{name}"): value for key, value in vars(module).items() if key.endswith(f"_{name}")
    }
    vars(code).update(shared | others | {main: getattr(module, name)})
    return code


def _shipped_module(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is None or not name.startswith(exc.name):
            raise
        return None


class _FromSource(importlib.machinery.SourceFileLoader):
    """Compile the file each time.

    Python takes stored bytecode for current if the source's length and its time in whole seconds are the
    same, so a figure that is corrected within a second would not count.
    """

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


@cache
def load_module(folder: Path, stem: str) -> ModuleType | None:
    """Return the module ``<folder>/<stem>.py``, None where there is no such file.

    Raise SurgeonError C111 where it fails.
    """
    path = folder / f"{stem}.py"
    if not os.path.isfile(path):
        return None
    # Two folders may hold plugins of the same name, so the name alone is not unique.
    digest = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    name = f"surgeon_plugin_{digest}_{folder.name}_{stem}"
    loader = _FromSource(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        guarded(path, partial(loader.exec_module, module))
    except SurgeonError:
        del sys.modules[name]
        raise
    return module


def guarded(path: Path, function: Callable[[], Result]) -> Result:
    """Call a plugin's own function; raise SurgeonError C111 with its file and line where it fails."""
    try:
        return function()
    except (SurgeonError, UnfitInput):
        raise
    except (Exception, SystemExit) as exc:
        frames = [f for f in traceback.extract_tb(exc.__traceback__) if f.filename == str(path)]
        line = frames[-1].lineno if frames else getattr(exc, "lineno", None)
        where = f"{path}:{line}" if line else str(path)
        text = " ".join(str(exc).split())
        raise error(
            "C111",
            f"the plugin's file '{path.name}' fails: {type(exc).__name__}: {text:.200}; "
            "expected it to run and to raise SurgeonError alone",
            where,
            help=[f"correct '{path}', or leave its folder out of the plugin path"],
        ) from exc
