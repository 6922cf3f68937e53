"""YAML text to values that remember where they stand.

Scalars follow the YAML 1.2 core schema: ``1e-8`` is a number, ``no`` and ``on`` are strings, ``0x1F`` and
``0o17`` are integers. Duplicate keys, tags, documents after the first, cycles and very large documents are
refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from surgeon.diagnostics import Span, error

Value: TypeAlias = "Scalar | Sequence | Mapped"
PathItem: TypeAlias = str | int

TEXT_LIMIT = 4 * 1024 * 1024
_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
VALUE_LIMIT = 200_000
DEPTH_LIMIT = 64

_LEADING_MARKS = re.compile(r"(?m)^[-?:\s]{128,}")
_INT = re.compile(r"[-+]?[0-9]+\Z")
_OCTAL = re.compile(r"0o[0-7]+\Z")
_HEX = re.compile(r"0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_INF = re.compile(r"([-+]?)\.(inf|Inf|INF)\Z")
_CONSTANTS: Mapping[str, Any] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    ".nan": float("nan"),
    ".NaN": float("nan"),
    ".NAN": float("nan"),
}


@dataclass(frozen=True)
class Scalar:
    """One plain value: None, bool, int, float or str."""

    value: Any
    span: Span


@dataclass(frozen=True)
class Sequence:
    """A list."""

    items: tuple[Value, ...]
    span: Span


@dataclass(frozen=True)
class Mapped:
    """A mapping; ``keys`` has the place of each key."""

    entries: Mapping[str, Value]
    keys: Mapping[str, Span]
    span: Span


def plain_scalar(text: str) -> Any:
    """Return the value of an unquoted scalar by the YAML 1.2 core schema."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if len(text) > 64:
        return text
    if _INT.match(text):
        return int(text)
    if _OCTAL.match(text):
        return int(text[2:], 8)
    if _HEX.match(text):
        return int(text[2:], 16)
    if _FLOAT.match(text):
        return float(text)
    if match := _INF.match(text):
        return float(match[1] + "inf")
    return text


@lru_cache(maxsize=32)
def parse_document(text: str, file: str) -> Value:
    """Return the one document in ``text``; raise SurgeonError R101 where YAML refuses it, R102 for a
    duplicate key, R103 for tags, cycles, aliases that explode, and documents that are too large or too deep.
    """
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise error(
            "R101", f"the text is not UTF-8: it has {text[exc.start]!r} at {exc.start}", file
        ) from None
    lines = text.split("\n")
    if len(text) > TEXT_LIMIT:
        raise error("R103", f"the document has {len(text)} characters; at most {TEXT_LIMIT} are read", file)
    deep = _nesting(text)
    if deep > DEPTH_LIMIT * 4:
        raise error("R103", f"the document nests {deep} levels deep; at most {DEPTH_LIMIT} are read", file)
    try:
        # The base loader resolves no scalar by itself, so any other tag was written by the author.
        loader = _LOADER(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        where: Span | str = file
        if mark is not None:
            where = Span(file, mark.line + 1, mark.column + 1, 1, _line(lines, mark.line))
        raise error("R101", f"this is not YAML: {exc.problem or exc.context or exc}", where) from None
    except yaml.YAMLError as exc:
        raise error("R101", f"this is not YAML: {' '.join(str(exc).split())}", file) from None
    except RecursionError:
        raise error("R103", "the document nests too deep", file) from None
    if root is None:
        raise error("R101", "the document is empty; expected a recipe", file)
    return _Builder(file, lines).build(root, 0)


def read_document(path: str | Path) -> Value:
    """Read one YAML file; raise SurgeonError E101 where it cannot be read, and as :func:`parse_document`."""
    file = Path(path)
    try:
        if file.stat().st_size > TEXT_LIMIT:
            raise error(
                "R103",
                f"the document has {file.stat().st_size} bytes; at most {TEXT_LIMIT} are read",
                str(file),
            )
        data = file.read_bytes()
    except OSError as exc:
        raise error(
            "E101", f"'{file}' cannot be read: {exc.strerror or exc}", help=["check the path"]
        ) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise error(
            "R101", f"the document is not UTF-8: byte 0x{data[exc.start]:02x} at {exc.start}", str(file)
        ) from None
    return parse_document(text, str(path))


@dataclass
class _Builder:
    file: str
    lines: list[str]
    count: int = 0
    open: set[int] = field(default_factory=set)

    def build(self, node: yaml.Node, depth: int) -> Value:
        span = self.span(node)
        self.count += 1
        if self.count > VALUE_LIMIT:
            raise error(
                "R103", f"the document holds over {VALUE_LIMIT} values (aliases count each time)", span
            )
        if depth > DEPTH_LIMIT:
            raise error("R103", f"the document nests over {DEPTH_LIMIT} levels deep", span)
        if isinstance(node, yaml.ScalarNode):
            return Scalar(self.scalar(node, span), span)
        if id(node) in self.open:
            raise error("R103", "an alias stands inside what it names", span)
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                self.no_tag(node, "tag:yaml.org,2002:seq", span)
                return Sequence(tuple(self.build(item, depth + 1) for item in node.value), span)
            return self.mapping(node, span, depth)
        finally:
            self.open.discard(id(node))

    def mapping(self, node: yaml.Node, span: Span, depth: int) -> Mapped:
        self.no_tag(node, "tag:yaml.org,2002:map", span)
        entries: dict[str, Value] = {}
        keys: dict[str, Span] = {}
        for key_node, value_node in node.value:
            place = self.span(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                raise error("R101", "a key is a list or a mapping; expected a name", place)
            key = str(key_node.value)
            if key in entries:
                raise error(
                    "R102",
                    f"the key '{key}' stands here twice; the first is at line {keys[key].line}",
                    place,
                    help=["keep one of them"],
                )
            entries[key] = self.build(value_node, depth + 1)
            keys[key] = place
        return Mapped(entries, keys, span)

    def scalar(self, node: yaml.ScalarNode, span: Span) -> Any:
        self.no_tag(node, "tag:yaml.org,2002:str", span)
        # The C parser says '' for a plain scalar, the Python one None.
        return node.value if node.style else self.checked(plain_scalar(node.value), span)

    def checked(self, value: Any, span: Span) -> Any:
        if isinstance(value, int) and abs(value) >= 1 << 63:
            raise error("R103", f"the number has over 64 bits: {str(value)[:24]}...", span)
        return value

    def no_tag(self, node: yaml.Node, usual: str, span: Span) -> None:
        if node.tag != usual:
            raise error(
                "R103",
                f"the tag '{node.tag}' is not allowed; expected plain values, lists and mappings",
                span,
            )

    def span(self, node: yaml.Node) -> Span:
        start, end = node.start_mark, node.end_mark
        length = end.column - start.column if end.line == start.line else 1
        return Span(
            self.file, start.line + 1, start.column + 1, max(1, length), _line(self.lines, start.line)
        )


def _line(lines: list[str], index: int) -> str:
    text = lines[index] if 0 <= index < len(lines) else ""
    return text if len(text) <= 200 else ""


def _nesting(text: str) -> int:
    """Return an upper bound of how deep flow brackets and marks at a line's start nest, before any parser
    recurses.
    """
    depth = deepest = 0
    for char in text:
        if char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth = max(0, depth - 1)
    marks = max((sum(not c.isspace() for c in m.group()) for m in _LEADING_MARKS.finditer(text)), default=0)
    return max(deepest, marks)


def to_plain(value: Value) -> Any:
    """Return the value as dicts, lists and scalars."""
    match value:
        case Scalar():
            return value.value
        case Sequence():
            return [to_plain(item) for item in value.items]
        case Mapped():
            return {key: to_plain(item) for key, item in value.entries.items()}


def spans_of(value: Value, path: tuple[PathItem, ...] = ()) -> Iterator[tuple[tuple[PathItem, ...], Span]]:
    """Yield (path, place) of every value; a mapping's entry is placed at its key."""
    if not path:
        yield path, value.span
    match value:
        case Sequence():
            for i, item in enumerate(value.items):
                yield (*path, i), item.span
                yield from spans_of(item, (*path, i))
        case Mapped():
            for key, item in value.entries.items():
                yield (*path, key), value.keys[key]
                yield from spans_of(item, (*path, key))
