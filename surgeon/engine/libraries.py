"""Plugin libraries of one's own, and plugin nodes against what is registered, before TensorRT's parser meets
them.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surgeon.catalog import FieldSpec, PluginSpec
from surgeon.catalog.fields import FieldValue, Unfit
from surgeon.diagnostics import Diagnostic, Span, SurgeonError, error
from surgeon.graph import Graph
from surgeon.optional import require

if TYPE_CHECKING:
    from surgeon.formats.uff import UffModel

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

_SUFFIXES = ("_u_int", "_u_float", "_u_str", "_u_flist", "_u_ilist")
_UFF_VERSION = "1"
"""The plugin version that the UFF parser asks for; the file does not say one."""


@dataclass(frozen=True)
class PluginUse:
    """A plugin node: its name, the plugin's op (the catalog's, or the creator's name where it is none of
    that), its fields.

    Ints, floats, texts and tuples of them are the values. ``version`` and ``namespace`` are those that the
    parser will ask for, None where that is open. ``where`` is the place in the recipe that made the node.
    """

    node: str
    op: str
    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    where: Span | None = None
    version: str | None = None
    namespace: str | None = None

    @property
    def place(self) -> Span | str:
        """The place for a diagnostic: that of the recipe, else the node."""
        return self.where or self.node


def plugin_uses(
    graph: Graph, catalog: Mapping[str, PluginSpec], places: Mapping[str, Span] | None = None
) -> tuple[PluginUse, ...]:
    """Return the plugin nodes of a rewritten graph, in its order; ``places`` gives the places of nodes by
    name.

    Values are what the plugin will hold: floats of 32 bits, by the types of the catalog.
    """
    uses = []
    for node in graph:
        if node.op in catalog:
            spec = catalog[node.op]
            fields = {
                name: _held(spec.fields[name], value)
                for name, value in node.attrs.items()
                if name in spec.fields
            }
            uses.append(PluginUse(node.name, node.op, fields, (places or {}).get(node.name)))
    return tuple(uses)


def plugin_uses_of_uff(model: UffModel, catalog: Mapping[str, PluginSpec]) -> tuple[PluginUse, ...]:
    """Return the plugin nodes of a UFF file: those whose operation begins with an underscore."""
    nodes = [node for node in model.nodes if node.operation.startswith("_")]
    ops = _by_creator(catalog) if nodes else {}
    uses = []
    for node in nodes:
        creator = node.operation[1:]
        fields = {_bare(key): value.value for key, value in node.fields.items() if key.endswith(_SUFFIXES)}
        uses.append(PluginUse(node.id, ops.get(creator, creator), fields, version=_UFF_VERSION))
    return tuple(uses)


def plugin_uses_of_onnx(model: Any, catalog: Mapping[str, PluginSpec]) -> tuple[PluginUse, ...]:
    """Return the plugin nodes of an ONNX model (a ModelProto), subgraphs left aside: those that surgeon wrote
    as such, and those whose operator the standard does not have. The parser looks for a plugin of that name,
    whatever the domain.
    """
    from surgeon.formats.onnx.native import DOMAIN

    onnx = require("onnx", "reading ONNX")
    nodes = [node for node in model.graph.node if node.domain == DOMAIN or not onnx.defs.has(node.op_type)]
    ops = _by_creator(catalog) if nodes else {}
    uses = []
    for node in nodes:
        fields = {
            attribute.name: _of_attribute(onnx.helper.get_attribute_value(attribute))
            for attribute in node.attribute
        }
        version, namespace = (
            str(fields.pop(f"plugin_{key}", default))
            for key, default in (("version", "1"), ("namespace", ""))
        )
        uses.append(
            PluginUse(
                node.name or node.op_type,
                ops.get(node.op_type, node.op_type),
                fields,
                None,
                version,
                namespace,
            )
        )
    return tuple(uses)


def _of_attribute(value: Any) -> FieldValue:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _by_creator(catalog: Mapping[str, PluginSpec]) -> dict[str, str]:
    return {spec.creator: op for op, spec in catalog.items()}


def _bare(key: str) -> str:
    return key.removesuffix(next(suffix for suffix in _SUFFIXES if key.endswith(suffix)))


def _held(spec: FieldSpec, value: object) -> FieldValue:
    try:
        return spec.convert(value)
    except Unfit:
        return value  # type: ignore[return-value]  # what is wrong with it is said where it is compared


# Libraries


def check_libraries(libraries: Sequence[Path]) -> tuple[Path, ...]:
    """Return the absolute paths of plugin libraries, each file once.

    Raise SurgeonError, with every library that is at fault: B120 for a file that is not there or cannot be
    read, B121 for one that is no shared library, B122 for one of another architecture.
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
            f"'{path}' is no shared library but {kind}; expected one of Linux (.so)",
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
