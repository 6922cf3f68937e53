"""The part of this package that some of its functions need, as source text for Python 3.6.

A device gets the very functions that run here, and not a second version of them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from surgeon.packaging.older_python import CannotTravel, edits_for_older_python, replacing
from surgeon.packaging.records import record_text
from surgeon.packaging.source import OWN, Import, Module, applied, defined_by, imports_of, read_module


@dataclass
class Closure:
    """Collects the definitions that others need.

    ``replaced`` has source text for names of modules, which stands in the place of the definition there. What
    it uses is what the module defines and imports, or what it imports itself. For the name '' the text is
    that of a whole module.
    """

    replaced: Mapping[tuple[str, str], str] = field(default_factory=dict)
    _names: dict[str, dict[str, None]] = field(default_factory=dict)
    _modules: dict[str, Module] = field(default_factory=dict)

    def add(self, module: str, name: str) -> str:
        """Add a name of a module and what it needs; return the module that defines it.

        Raise LookupError where there is none.
        """
        source = self._module(module)
        if (module, "") in self.replaced:
            self._take(source, "", source.tree.body)
            return module
        if name in source.definitions or (module, name) in self.replaced:
            self._take(source, name, self._statements(source, name))
            return module
        target = source.imports.get(name)
        if target is None or not target.name:
            raise LookupError(f"'{module}' has no '{name}'")
        return self.add(target.module, target.name)

    def texts(self) -> dict[str, str]:
        """Return the source text of each module, for Python 3.6; raise CannotTravel for what has none."""
        return {name: self._text(name) for name in sorted(self._names)}

    def _module(self, name: str) -> Module:
        if name not in self._modules:
            whole = self.replaced.get((name, ""))
            self._modules[name] = read_module(name) if whole is None else Module(name, whole, False)
        return self._modules[name]

    def _replacement(self, source: Module, name: str) -> str | None:
        """Return the text that stands in the place of a definition; None where it travels as it is."""
        text = self.replaced.get((source.name, name))
        statement = source.definitions.get(name)
        if text is None and isinstance(statement, ast.ClassDef):
            return record_text(source, statement)
        return text

    def _statements(self, source: Module, name: str) -> list[ast.stmt]:
        text = self._replacement(source, name)
        return [source.definitions[name]] if text is None else ast.parse(text).body

    def _take(self, source: Module, name: str, statements: Sequence[ast.stmt]) -> None:
        needed = self._names.setdefault(source.name, {})
        if name in needed:
            return
        needed[name] = None
        for used in _used(source, statements):
            self._take_used(source, used)
        for target in inner_imports(source, statements):
            if target.module.partition(".")[0] == OWN:
                self.add(target.module, target.name)

    def _take_used(self, source: Module, used: str) -> None:
        """Add what a name stands for that is used in a module; ``module.name`` is a name in a module."""
        head, _, attribute = used.partition(".")
        if not attribute and (head in source.definitions or (source.name, head) in self.replaced):
            self.add(source.name, head)
            return
        target = source.imports.get(head)
        if target is not None and target.module.partition(".")[0] == OWN:
            self.add(target.module, target.name or attribute)

    # Text

    def _text(self, name: str) -> str:
        source, needed = self._module(name), self._names[name]
        if "" in needed:
            return self._part(source, source.tree.body, 0, len(source.text.encode()))
        parts: list[str] = []
        used: dict[str, None] = {}
        for statement, following in zip(source.tree.body, [*source.tree.body[1:], None], strict=True):
            names = [each for each in defined_by(statement) if each in needed]
            if not names:
                continue
            text = self._replacement(source, names[0])
            if text is None:
                statements = [statement]
                last = following if _is_text(following) and not _is_block(statement) else statement
                assert last is not None and last.end_lineno is not None and last.end_col_offset is not None
                end = source.offset(last.end_lineno, last.end_col_offset)
                parts.append(
                    self._part(source, statements, source.offset(_first_line(source, statement), 0), end)
                )
            else:
                other = Module(name, text, False)
                statements = other.tree.body
                parts.append(self._part(other, statements, 0, len(text.encode())))
            used.update((each.partition(".")[0], None) for each in _used(source, statements))
        docstring = (ast.get_docstring(source.tree) or "").partition("\n")[0]
        imports = "\n".join(self._imports(source, used))
        return f'"""{docstring}"""\n\n{imports}\n\n\n' + "\n\n".join(parts)

    def _part(self, source: Module, statements: Sequence[ast.stmt], start: int, end: int) -> str:
        try:
            edits = edits_for_older_python(statements)
        except CannotTravel as exc:
            raise CannotTravel(f"{source.name}: {exc}") from None
        for statement in statements:
            for node in running(statement):
                if isinstance(node, ast.ImportFrom) and imports_own(node, source):
                    found = imports_of(node, source)
                    lines = [self._import_line(local, target) for local, target in found.items()]
                    edits.append(replacing(node, "; ".join(lines)))
        return applied(source, start, end, edits)

    def _imports(self, source: Module, used: Mapping[str, None]) -> list[str]:
        """Return the import lines for names that the needed definitions of a module use."""
        return [
            self._import_line(local, target)
            for local, target in source.imports.items()
            if local.partition(".")[0] in used and local not in source.definitions
        ]

    def _import_line(self, local: str, target: Import) -> str:
        """Return the line that imports a name from where it is defined."""
        module, name = target.module, target.name
        if name and module.partition(".")[0] == OWN:
            module = self.add(module, name)
        if not name and module == local:
            return f"import {module}"
        if not name:
            module, _, name = module.rpartition(".")
        line = f"from {module} import {name}" if module else f"import {name}"
        return line if local == name else f"{line} as {local}"


def _is_text(statement: ast.stmt | None) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _is_block(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.FunctionDef | ast.ClassDef)


def _first_line(source: Module, statement: ast.stmt) -> int:
    """Return where a statement begins with its decorators and the comment above it."""
    decorators: Sequence[ast.expr] = getattr(statement, "decorator_list", ())
    line = min([statement.lineno, *(each.lineno for each in decorators)])
    lines = source.text.splitlines()
    while line > 1 and lines[line - 2].startswith("#"):
        line -= 1
    return line


def _used(source: Module, statements: Sequence[ast.stmt]) -> Iterator[str]:
    """Yield the names that statements use when they run, ``module.name`` for a name in an imported module."""
    modules = {local.partition(".")[0] for local, target in source.imports.items() if not target.name}
    for statement in statements:
        for node in running(statement):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id in modules
            ):
                yield f"{node.value.id}.{node.attr}"
            elif (
                isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store) and node.id not in modules
            ):
                yield node.id


def inner_imports(source: Module, statements: Sequence[ast.stmt]) -> Iterator[Import]:
    """Yield what functions import by themselves."""
    for statement in statements:
        for node in running(statement):
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield from imports_of(node, source).values()


def imports_own(node: ast.ImportFrom, source: Module) -> bool:
    """Return whether an import is of this package."""
    return any(target.module.partition(".")[0] == OWN for target in imports_of(node, source).values())


def running(statement: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a statement that run: annotations do not, nor does what only type checkers read."""
    stack: list[ast.AST] = [statement]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            continue
        yield node
        for name, value in ast.iter_fields(node):
            if name not in ("annotation", "returns"):
                children = value if isinstance(value, list) else [value]
                stack += [child for child in children if isinstance(child, ast.AST)]
