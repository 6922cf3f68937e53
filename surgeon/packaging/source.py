"""Source text of this package's modules: what they define and import, and edits of it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

OWN = "surgeon"
"""The package whose modules are read."""


@dataclass(frozen=True)
class Edit:
    """A part of a text, from a line (from 1) and column (in bytes, from 0) to another, and what takes its
    place.
    """

    line: int
    column: int
    end_line: int
    end_column: int
    text: str


@dataclass(frozen=True)
class Import:
    """What a name of a module stands for: a module, or the name ``name`` in it."""

    module: str
    name: str = ""


@dataclass(eq=False)
class Module:
    """A module's source, with what its top-level statements define and import."""

    name: str
    text: str
    is_package: bool

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def definitions(self) -> dict[str, ast.stmt]:
        """The statement that defines each name."""
        found: dict[str, ast.stmt] = {}
        for statement in self.tree.body:
            found.update(dict.fromkeys(defined_by(statement), statement))
        return found

    @cached_property
    def imports(self) -> dict[str, Import]:
        """What each imported name stands for; imports that only type checkers read count, too."""
        found: dict[str, Import] = {}
        for statement in self.tree.body:
            for node in [statement, *(statement.body if isinstance(statement, ast.If) else ())]:
                if isinstance(node, ast.Import | ast.ImportFrom):
                    found.update(imports_of(node, self))
        return found

    @cached_property
    def line_starts(self) -> list[int]:
        starts = [0]
        for line in self.text.encode().splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        return starts

    def offset(self, line: int, column: int) -> int:
        """Return the place in the encoded text of a line from 1 and a column from 0."""
        return self.line_starts[line - 1] + column


def defined_by(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a top-level statement defines."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        yield statement.name
    targets = statement.targets if isinstance(statement, ast.Assign) else ()
    if isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    for target in targets:
        yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name))


def imports_of(node: ast.Import | ast.ImportFrom, module: Module) -> dict[str, Import]:
    """Return what the names of an import stand for; ``import a.b`` has the name 'a.b'."""
    if isinstance(node, ast.Import):
        return {alias.asname or alias.name: Import(alias.name) for alias in node.names}
    source = node.module or ""
    if node.level:
        parts = module.name.split(".")
        above = parts[: len(parts) - node.level + module.is_package]
        source = ".".join([*above, *([node.module] if node.module else [])])
    found = {}
    for alias in node.names:
        inner = f"{source}.{alias.name}"
        is_module = source.partition(".")[0] == OWN and _is_module(inner)
        found[alias.asname or alias.name] = Import(inner) if is_module else Import(source, alias.name)
    return found


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ImportError:  # what should hold it is no package
        return False


def read_module(name: str) -> Module:
    """Return the source of a module of this package."""
    spec = find_spec(name)
    assert spec is not None and spec.origin is not None, name
    path = Path(spec.origin)
    return Module(name, path.read_text(encoding="utf-8"), path.name == "__init__.py")


def applied(source: Module, start: int, end: int, edits: Iterable[Edit]) -> str:
    """Return a part of a module's text with the edits that lie in it made, and an end of line."""
    data = source.text.encode()
    parts, place = [], start
    for edit in sorted(edits, key=lambda each: (each.line, each.column)):
        begin = source.offset(edit.line, edit.column)
        parts += [data[place:begin], edit.text.encode()]
        place = source.offset(edit.end_line, edit.end_column)
    return b"".join([*parts, data[place:end]]).decode().rstrip() + "\n"
