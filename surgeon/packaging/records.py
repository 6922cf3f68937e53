"""Classes of pydantic as classes of ``packaging/detector/models.py``, which need nothing but Python."""

from __future__ import annotations

import ast
import importlib
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from surgeon.packaging.source import Module

_PLAIN = {int: "int", float: "float", str: "str", bool: "bool", type(None): "none"}


def record_text(source: Module, statement: ast.ClassDef) -> str | None:
    """Return a class of pydantic as a record with the same fields, defaults and methods.

    None for a class of another kind. Validators are left out; types are kept.
    """
    found = getattr(importlib.import_module(source.name), statement.name, None)
    if not (isinstance(found, type) and issubclass(found, BaseModel)):
        return None
    kinds = {name: (kind_of(info.annotation), *_default(info)) for name, info in found.model_fields.items()}
    models = {name for kind, *_ in kinds.values() for name in _models(kind)}
    lines = [f"class {statement.name}(BaseModel):"]
    docstring = ast.get_docstring(statement)
    if docstring:
        lines.append(f"    {docstring.splitlines()[0]!r}\n")
    lines += ["    FIELDS = {", *(f"        {name!r}: {value!r}," for name, value in kinds.items()), "    }"]
    lines.append(f"    MODELS = {{{', '.join(f'{name!r}: {name}' for name in sorted(models))}}}")
    for each in statement.body:
        if isinstance(each, ast.FunctionDef) and not any(map(_is_validator, each.decorator_list)):
            decorators = "".join(f"    @{ast.unparse(one)}\n" for one in each.decorator_list)
            segment = ast.get_source_segment(source.text, each) or ""
            lines.append(f"\n{decorators}    {segment}")
    return "\n".join(lines) + "\n"


def _is_validator(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("_validator")


def _default(info: Any) -> tuple[bool, Any]:
    """Return whether a field must be given, and what it is otherwise."""
    if info.default_factory is not None:
        return False, info.default_factory()
    if info.default is PydanticUndefined:
        return True, None
    return False, info.default


def kind_of(annotation: Any) -> tuple[Any, ...]:
    """Return a type as plain values, as ``packaging/detector/models.py`` reads them."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return ("any",)
    if annotation in _PLAIN:
        return (_PLAIN[annotation],)
    if origin is Annotated:
        return kind_of(arguments[0])
    if origin is Literal:
        return ("literal", *arguments)
    if origin in (Union, types.UnionType):
        return ("union", *map(kind_of, arguments))
    if origin is tuple and arguments[-1] is Ellipsis:
        return ("tuple of", kind_of(arguments[0]))
    if origin is tuple:
        return ("tuple", *map(kind_of, arguments))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return ("mapping", kind_of(arguments[0]), kind_of(arguments[1]))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return ("model", annotation.__name__)
    if isinstance(annotation, type) and is_dataclass(annotation):
        hints = get_type_hints(annotation)
        return (
            "values",
            annotation.__name__,
            {each.name: kind_of(hints[each.name]) for each in fields(annotation)},
        )
    raise TypeError(f"{annotation} has no form on a device")


def _models(kind: tuple[Any, ...]) -> set[str]:
    if kind[0] in ("model", "values"):
        return {kind[1]}
    return {name for part in kind[1:] if isinstance(part, tuple) for name in _models(part)}
