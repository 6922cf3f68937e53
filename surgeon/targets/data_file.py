"""YAML files that ship definitions: read with bounds, checked by a pydantic model, every fault shown at its
place.

Scalars stay text; the model converts them. So a version written ``10.10`` is not taken for the number 10.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ValidationError

from surgeon.diagnostics import Diagnostic, Span, SurgeonError, error

Plain: TypeAlias = "str | list[Plain] | dict[str, Plain]"
Loc: TypeAlias = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)
_Marks: TypeAlias = tuple[Any, Any]
"""Where an event of the parser starts and ends."""

SIZE_LIMIT = 256 * 1024
DEPTH_LIMIT = 16
FAULT_LIMIT = 20
_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def parse_version(text: object) -> tuple[int, ...]:
    """Return ``(8, 5, 1)`` for ``"8.5.1"``.

    Raise ValueError for anything but one to four numbers with dots.
    """
    parts = text.split(".") if isinstance(text, str) else []
    if not 1 <= len(parts) <= 4 or not all(p.isascii() and p.isdigit() and len(p) <= 5 for p in parts):
        raise ValueError(f"'{text!s:.40}' is not a version; expected numbers with dots, such as 8.5.1")
    return tuple(map(int, parts))


def print_version(version: tuple[int, ...]) -> str:
    """Return ``"8.5.1"`` for ``(8, 5, 1)``."""
    return ".".join(map(str, version))


def _truth(text: object) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"'{text!s:.40}' is not a truth value; expected true or false")
    return text == "true"


Version = Annotated[tuple[int, ...], BeforeValidator(parse_version)]
Truth = Annotated[bool, BeforeValidator(_truth)]


def read_data(
    path: Path,
    model: type[Model],
    code: str,
    thing: str,
    extend: Callable[[dict[str, Plain]], dict[str, Plain]] = lambda plain: plain,
) -> Model:
    """Return the content of one YAML file as ``model``, after ``extend`` added what stands elsewhere.

    Raise SurgeonError with ``code`` and line and column: for a file that cannot be read, is over 256 KiB, is
    no YAML or holds tags, anchors or duplicate keys, and for each value that the model refuses. ``extend``
    returns a new dict: a text is parsed once, and what it says is shared.
    """
    document, plain = _read_document(path, code, thing)
    plain = extend(plain)
    try:
        return model.model_validate(plain)
    except ValidationError as exc:
        faults = exc.errors(include_url=False, include_context=False)[:FAULT_LIMIT]
        raise SurgeonError(*(_fault(code, thing, dict(f), document) for f in faults)) from None


def read_plain(path: Path, code: str, thing: str) -> dict[str, Plain]:
    """Return the content of one YAML file, scalars as text; raise SurgeonError as :func:`read_data`."""
    return _read_document(path, code, thing)[1]


def _read_document(path: Path, code: str, thing: str) -> tuple[_Document, dict[str, Plain]]:
    return _parsed(str(path), _read_text(path, code, thing), code)


@lru_cache(maxsize=128)
def _parsed(file: str, text: str, code: str) -> tuple[_Document, dict[str, Plain]]:
    document = _Document(file, text.split("\n"), code)
    return document, document.parse(text)


def _read_text(path: Path, code: str, thing: str) -> str:
    try:
        with path.open("rb") as handle:
            data = handle.read(SIZE_LIMIT + 1)
    except OSError as exc:
        raise error(
            code,
            f"the {thing} cannot be read: {exc.strerror or exc}; expected a YAML file",
            path,
            help=["check the path and its permissions"],
        ) from None
    if len(data) > SIZE_LIMIT:
        raise error(
            code,
            f"the {thing} is over {SIZE_LIMIT} bytes; expected a small YAML file",
            path,
            help=["shorten the file"],
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise error(
            code,
            f"the {thing} is not UTF-8 at byte {exc.start}; expected a text file",
            path,
            help=["save the file as UTF-8"],
        ) from None


def _fault(code: str, thing: str, fault: Mapping[str, Any], document: _Document) -> Diagnostic:
    loc: Loc = tuple(fault["loc"])
    known = loc
    while known and known not in document.values:
        known = known[:-1]
    name = ".".join(map(str, loc)) or "the file"
    kind = fault["type"]
    value_mark = document.values.get(known)
    key_mark = document.keys.get(known)
    at_value = document.file if value_mark is None else document.span(*value_mark)
    at_key = at_value if key_mark is None else document.span(*key_mark)
    message = str(fault["msg"]).removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return Diagnostic(
            code, f"the {thing} has an unknown key '{name}'", at_key, (), ("correct or remove the key",)
        )
    if kind == "missing":
        return Diagnostic(code, f"the {thing} lacks the key '{name}'", at_key, (), (f"add '{loc[-1]}'",))
    shown = fault.get("input")
    notes = (f"it is '{shown:.60}'",) if isinstance(shown, str) else ()
    return Diagnostic(
        code, f"'{name}' of the {thing} is wrong: {message}", at_value, notes, ("correct the value",)
    )


@dataclass
class _Document:
    """The values of one YAML document and their places, built from parser events without recursion."""

    file: str
    lines: list[str]
    code: str
    keys: dict[Loc, _Marks] = field(default_factory=dict)
    values: dict[Loc, _Marks] = field(default_factory=dict)

    def parse(self, text: str) -> dict[str, Plain]:
        root: list[Plain] = []
        stack: list[_Open] = [_Open((), root)]
        try:
            loader = _LOADER(text)
            try:
                while not loader.check_event(yaml.StreamEndEvent):
                    self._take(loader.get_event(), stack)
            finally:
                loader.dispose()
        except yaml.YAMLError as exc:
            mark = getattr(exc, "problem_mark", None) or getattr(exc, "context_mark", None)
            problem = getattr(exc, "problem", None) or " ".join(str(exc).split())
            where = self.span(mark, mark) if mark is not None else self.file
            raise error(
                self.code, f"this is not YAML: {problem}", where, help=["correct the syntax"]
            ) from None
        if len(root) != 1 or not isinstance(root[0], dict):
            raise error(
                self.code,
                "the file does not hold exactly one mapping; expected 'key: value' lines",
                self.file,
                help=["write one YAML document"],
            )
        return root[0]

    def _take(self, event: Any, stack: list[_Open]) -> None:
        if isinstance(event, yaml.NodeEvent):
            self._refuse_magic(event)
            here = stack[-1]
            marks = (event.start_mark, event.end_mark)
            if isinstance(here.value, dict) and here.key is None:
                self._take_key(event, here, marks)
                return
            path = here.path_of_next()
            if path:
                self.values[path] = marks
            value: Plain = (
                event.value
                if isinstance(event, yaml.ScalarEvent)
                else ({} if isinstance(event, yaml.MappingStartEvent) else [])
            )
            here.put(value)
            if not isinstance(event, yaml.ScalarEvent):
                if len(stack) > DEPTH_LIMIT:
                    raise error(
                        self.code,
                        f"the file nests over {DEPTH_LIMIT} levels deep",
                        self.span(*marks),
                        help=["flatten the value"],
                    )
                stack.append(_Open(path, value))
        elif isinstance(event, yaml.CollectionEndEvent):
            stack.pop()

    def _take_key(self, event: Any, here: _Open, marks: _Marks) -> None:
        if not isinstance(event, yaml.ScalarEvent):
            raise error(
                self.code,
                "a key is a list or a mapping; expected a name",
                self.span(*marks),
                help=["write a plain key"],
            )
        if event.value in here.value:
            raise error(
                self.code,
                f"the key '{event.value}' stands here twice; expected each key once",
                self.span(*marks),
                [f"the first is at line {self.span(*self.keys[(*here.path, event.value)]).line}"],
                ["keep one of them"],
            )
        here.key = event.value
        self.keys[(*here.path, event.value)] = marks

    def _refuse_magic(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise error(
                self.code,
                "the file uses an anchor or alias; expected plain values",
                self.span(event.start_mark, event.end_mark),
                help=["write the value out"],
            )
        if event.tag is not None:
            raise error(
                self.code,
                f"the file uses the tag '{event.tag:.40}'; expected plain values",
                self.span(event.start_mark, event.end_mark),
                help=["remove the tag"],
            )

    def span(self, start: Any, end: Any) -> Span:
        """Return the place between two marks of the parser."""
        text = self.lines[start.line] if start.line < len(self.lines) else ""
        length = end.column - start.column if end.line == start.line else 1
        return Span(
            self.file, start.line + 1, start.column + 1, max(1, length), text if len(text) <= 200 else ""
        )


@dataclass
class _Open:
    """A list or mapping that is still being filled."""

    path: Loc
    value: Any
    key: str | None = None

    def path_of_next(self) -> Loc:
        if isinstance(self.value, dict):
            return (*self.path, self.key or "")
        return (*self.path, len(self.value)) if self.path else ()

    def put(self, value: Plain) -> None:
        if isinstance(self.value, dict):
            self.value[self.key] = value
            self.key = None
        else:
            self.value.append(value)
