"""Checks of plugin libraries, and of plugin nodes against the registry, before TensorRT parses."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from surgeon.diagnostics import Diagnostic, SurgeonError, error

if TYPE_CHECKING:
    pass

_MACHINES = {"x86_64": 62, "amd64": 62, "aarch64": 183, "arm64": 183, "ppc64le": 21}
"""ELF's number of each architecture that TensorRT is made for."""

_ARCHITECTURES = {
    3: "32-bit x86",
    21: "ppc64le",
    40: "32-bit ARM",
    62: "x86_64",
    183: "aarch64",
    243: "RISC-V",
}
_ELF_64 = 2
_SHARED_OBJECT = 3
_ELF_TYPES = {1: "an object file (.o)", 2: "a program", 4: "a core dump"}
_OTHERS = (
    (b"MZ", "a library of Windows"),
    (b"!<arch>", "a static library (.a)"),
    (b"\xcf\xfa\xed\xfe", "a library of macOS"),
    (b"version https://git-lfs", "the pointer that Git LFS left in the place of a file"),
    (b"#include", "source text"),
)


def check_libraries(libraries: Sequence[Path]) -> tuple[Path, ...]:
    """Return the absolute paths of plugin libraries, each file once.

    Raise SurgeonError, with every library that is at fault: B120 for a file that is not there or cannot be
    read, B121 for one that is not a shared library, B122 for one of another architecture.
    """
    found: dict[Path, Path] = {}
    problems: list[Diagnostic] = []
    for path in libraries:
        try:
            _check_library(path)
            found.setdefault(path.resolve(), Path(os.path.abspath(path)))
        except SurgeonError as exc:
            problems += exc.diagnostics
    if problems:
        raise SurgeonError(*problems)
    return tuple(found.values())


def _check_library(path: Path) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as exc:
        raise error(
            "B120",
            f"the plugin library '{path}' cannot be read: {exc.strerror or exc}; expected a shared library",
            path,
            help=["check the path; the linker's folders are not searched for it"],
        ) from None
    if not sys.platform.startswith("linux"):
        return
    if not head.startswith(b"\x7fELF") or len(head) < 20:
        kind = next(
            (name for magic, name in _OTHERS if head.startswith(magic)),
            "empty" if not head else "something else",
        )
        raise error(
            "B121",
            f"'{path}' is not a shared library but {kind}; expected one of Linux (.so)",
            path,
            help=["give the library that the plugin's build made"],
        )
    order = "little" if head[5] == 1 else "big"
    kind_number, machine = (int.from_bytes(head[i : i + 2], order) for i in (16, 18))  # type: ignore[arg-type]
    if kind_number != _SHARED_OBJECT:
        raise error(
            "B121",
            f"'{path}' is {_ELF_TYPES.get(kind_number, f'an ELF file of type {kind_number}')}; expected a "
            "shared library",
            path,
            help=["link it with -shared"],
        )
    here = _MACHINES.get(platform.machine().lower())
    if head[4] != _ELF_64 or (here is not None and machine != here):
        raise error(
            "B122",
            f"'{path}' is for {_ARCHITECTURES.get(machine, f'machine {machine}')}; expected "
            f"{platform.machine()}, 64 bits",
            path,
            help=["build it on this machine, or for its architecture"],
        )
