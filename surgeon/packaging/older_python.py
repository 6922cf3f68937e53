"""Source text of this package made fit for Python 3.6."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from surgeon.packaging.source import Edit

_NEWER = (ast.Match, ast.NamedExpr)
_NEWER_METHODS = ("removeprefix", "removesuffix", "is_relative_to")


class CannotTravel(ValueError):
    """A statement has no form in Python 3.6; the message says where."""


def edits_for_older_python(statements: Iterable[ast.stmt]) -> list[Edit]:
    """Return edits after which Python 3.6 reads statements that Python 3.10 reads.

    Annotations become texts, as ``from __future__ import annotations`` makes them. Unions of types in
    ``isinstance`` become tuples, and bases lose their type arguments. ``strict`` of ``zip`` and ``slots`` of
    ``dataclass`` are left out, ``capture_output`` of ``subprocess.run`` is written at length. Raise
    CannotTravel for other syntax that is newer.
    """
    return [edit for statement in statements for node in ast.walk(statement) for edit in _edits(node)]


def _edits(node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, _NEWER) or (isinstance(node, ast.Attribute) and node.attr in _NEWER_METHODS):
        what = node.attr if isinstance(node, ast.Attribute) else type(node).__name__
        raise CannotTravel(f"line {node.lineno} has {what}, which Python 3.6 does not know")
    if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
        yield replacing(node.annotation, repr(ast.unparse(node.annotation)))
    if isinstance(node, ast.FunctionDef) and node.returns is not None:
        yield replacing(node.returns, repr(ast.unparse(node.returns)))
    if isinstance(node, ast.ClassDef):
        yield from (
            replacing(base, ast.unparse(base.value)) for base in node.bases if isinstance(base, ast.Subscript)
        )
    if isinstance(node, ast.Call):
        yield from _edits_of_call(node)


def _edits_of_call(node: ast.Call) -> Iterator[Edit]:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name == "isinstance" and isinstance(node.args[1], ast.BinOp):
        yield replacing(node.args[1], f"({', '.join(_alternatives(node.args[1]))})")
    for keyword in node.keywords:
        if keyword.arg == "initial" or ast.unparse(keyword) == "kind='stable'":
            raise CannotTravel(
                f"line {node.lineno} has '{ast.unparse(keyword)}', which NumPy 1.13 does not know"
            )
        if keyword.arg == "capture_output":
            yield replacing(keyword, "stdout=subprocess.PIPE, stderr=subprocess.PIPE")
    dropped = {"zip": "strict", "dataclass": "slots"}.get(name)
    kept = [ast.unparse(each) for each in node.keywords if each.arg != dropped]
    if dropped and len(kept) < len(node.keywords):
        yield replacing(node, f"{name}({', '.join([*map(ast.unparse, node.args), *kept])})")


def _alternatives(node: ast.expr) -> list[str]:
    if isinstance(node, ast.BinOp):
        return [*_alternatives(node.left), *_alternatives(node.right)]
    return [ast.unparse(node)]


def replacing(node: ast.expr | ast.stmt | ast.keyword, text: str) -> Edit:
    """Return the edit that puts a text in the place of a node."""
    assert node.end_lineno is not None and node.end_col_offset is not None
    return Edit(node.lineno, node.col_offset, node.end_lineno, node.end_col_offset, text)
