"""Configuration files: what a project's and the user's own set where the command line gives no option.

A project's file comes with files that others wrote, so it may name data only. Plugin folders and libraries
are code; they stand in the user's own file.
"""

from __future__ import annotations

import argparse
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any

from surgeon.diagnostics import Diagnostic, Severity, Span, SurgeonError, error, nearest_note

PROJECT_FILE = "surgeon.toml"
LARGEST = 1 << 18
"""Bytes of the largest configuration file that is read."""

COLORS = ("auto", "always", "never")
CODE = ("plugin-path", "plugin-library")
"""The keys whose values are run."""

_PATHS = ("recipe-path", *CODE)


class Kind(Enum):
    """Whose file it is."""

    PROJECT = "the project's file"
    USER = "your own file"


@dataclass(frozen=True)
class Value:
    """A setting and where it comes from: an option, the environment, a file with its line, or the default."""

    key: str
    value: Any
    source: str
    place: Span | None = None


@dataclass(frozen=True)
class Settings:
    """What the configuration files say, a project's first, and what was passed over."""

    values: tuple[Value, ...] = ()
    files: tuple[Path, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()

    def first(self, key: str) -> Value | None:
        """Return the setting of a key that counts: the project's, else the user's."""
        return next((value for value in self.values if value.key == key), None)

    def paths(self, key: str) -> list[Value]:
        """Return the folders or libraries of a key; those of both files count."""
        return [value for value in self.values if value.key == key]


def read_settings() -> Settings:
    """Return what the project's file and the user's own say.

    Raise SurgeonError E131 for a file that cannot be read, and E132 to E134 for what it holds.
    """
    found = Settings()
    for path, kind in (*_project_files(), *_user_files()):
        warning = _distrusted(path, kind)
        if warning is not None:
            found = replace(found, warnings=(*found.warnings, warning))
            continue
        read = _File.read(path, kind)
        if read is not None:
            found = replace(found, values=(*found.values, *read.values()), files=(*found.files, path))
    return found


def user_file() -> Path | None:
    """Return where the user's own file is looked for; None where there is no home folder."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(base):  # the specification of these folders: a relative path is to be ignored
        home = os.path.expanduser("~")
        if not os.path.isabs(home):
            return None
        base = os.path.join(home, ".config")
    return Path(base, "surgeon", "config.toml")


def _user_files() -> Iterator[tuple[Path, Kind]]:
    path = user_file()
    if path is not None and os.path.lexists(path):
        yield path, Kind.USER


def _project_files() -> Iterator[tuple[Path, Kind]]:
    """Yield the nearest project file, from the working folder upward.

    Raise SurgeonError E131 where one folder has two.
    """
    try:
        here = Path.cwd()
    except OSError:  # the working folder was removed
        return
    for folder in (here, *here.parents):
        own, shared = folder / PROJECT_FILE, folder / "pyproject.toml"
        has_own = os.path.lexists(own) and not os.path.isdir(own)
        has_table = os.path.isfile(shared) and _mentions_us(shared)
        if has_own and has_table:
            raise error(
                "E131",
                f"'{own}' and '[tool.surgeon]' in '{shared.name}' both configure this project; expected one",
                help=["put everything into one of them"],
            )
        if has_own or has_table:
            yield (own if has_own else shared), Kind.PROJECT
            return


def _mentions_us(path: Path) -> bool:
    """Return whether a pyproject.toml has the table ``tool.surgeon``.

    One that is damaged is another tool's concern, unless it seems to have the table.
    """
    try:
        with open(path, "rb") as handle:
            data = handle.read(LARGEST)
    except OSError:
        return False
    if b"surgeon" not in data:
        return False
    try:
        tool = _toml(data.decode("utf-8")).get("tool")
    except (ValueError, RecursionError):
        return re.search(rb"^\s*\[\s*tool\s*\.\s*surgeon\b", data, re.MULTILINE) is not None
    return isinstance(tool, dict) and "surgeon" in tool


def _distrusted(path: Path, kind: Kind) -> Diagnostic | None:
    """Return a warning where a file is not read because somebody else could have put it there."""
    if not hasattr(os, "getuid"):
        return None
    try:
        owner, mode = os.stat(path).st_uid, os.stat(path).st_mode
        trusted = {os.getuid(), 0}
        if kind is Kind.PROJECT:
            trusted.add(os.stat(Path.cwd()).st_uid)
    except OSError:
        return None  # told when it is read
    reason = ""
    if owner not in trusted:
        reason = "it belongs to another user"
    elif kind is Kind.USER and mode & stat.S_IWOTH:
        reason = "everybody may write to it"
    if not reason:
        return None
    return Diagnostic(
        "E134",
        f"the configuration file is not read: {reason}",
        str(path),
        help=(f"if you trust it, make it yours: chown, or chmod o-w {path.name}",),
        severity=Severity.WARNING,
    )


def _toml(text: str) -> dict[str, Any]:
    """Return what a text of TOML says; raise ValueError for anything else, RecursionError where it nests."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)


@dataclass(frozen=True)
class _File:
    """A configuration file as it was read."""

    path: Path
    kind: Kind
    lines: tuple[str, ...]
    table: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, kind: Kind) -> _File:
        """Read a file; raise SurgeonError E131 where it is none, is too large or is damaged."""
        try:
            number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
            with os.fdopen(number, "rb") as handle:
                if not stat.S_ISREG(os.fstat(number).st_mode):
                    raise _unreadable(path, "it is no ordinary file")
                data = handle.read(LARGEST + 1)
        except OSError as exc:
            raise _unreadable(path, exc.strerror or str(exc)) from None
        if len(data) > LARGEST:
            raise _unreadable(path, f"it is larger than {LARGEST >> 10} KiB")
        try:
            text = data.decode("utf-8")
            table: Any = _toml(text)
        except UnicodeDecodeError:
            raise _unreadable(path, "it is no UTF-8 text") from None
        except RecursionError:
            raise _unreadable(path, "it nests too deeply") from None
        except ValueError as exc:
            raise _damaged(path, text.splitlines(), str(exc)) from None
        read = cls(path, kind, tuple(text.splitlines()))
        if path.name != "pyproject.toml" or kind is Kind.USER:
            return replace(read, table=table)
        own = table["tool"]["surgeon"]
        if not isinstance(own, dict):
            raise read.wrong("surgeon", own, "a table")
        return replace(read, table=own)

    def values(self) -> Iterator[Value]:
        """Yield the settings; raise SurgeonError E132 to E134 for what must not stand here."""
        problems: list[Diagnostic] = []
        found: list[Value] = []
        for key, value in self.table.items():
            try:
                found += self._setting(key, value)
            except SurgeonError as exc:
                problems += exc.diagnostics
        if problems:
            raise SurgeonError(*problems)
        yield from found

    def _setting(self, key: str, value: Any) -> Iterable[Value]:
        if key in CODE and self.kind is Kind.PROJECT:
            raise self._code_of_a_project(key)
        if key == "target":
            return [self._target(value)]
        if key in _PATHS:
            return self._paths(key, value)
        if key == "display":
            return self._display(value)
        raise self._unknown(key, ("target", *_PATHS, "display"))

    def _target(self, value: Any) -> Value:
        from surgeon.targets import load_target

        if not isinstance(value, str):
            raise self.wrong("target", value, "a text such as 'uff@tensorrt-8.5'")
        try:
            load_target(value)
        except SurgeonError as exc:
            first = exc.diagnostics[0]
            raise SurgeonError(replace(first, where=self.place("target"))) from None
        return Value("target", value, self.kind.value, self.place("target"))

    def _paths(self, key: str, value: Any) -> Iterable[Value]:
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
            raise self.wrong(key, value, "a list of paths")
        return [Value(key, self._path(key, text), self.kind.value, self.place(key)) for text in texts]

    def _path(self, key: str, text: str) -> Path:
        """Return a path, which is relative to the file; a project's stays inside the project."""
        if "\0" in text:
            raise self.wrong(key, text, "a path")
        base = self.path.parent
        path = base / (os.path.expanduser(text) if self.kind is Kind.USER else text)
        fits = os.path.isfile(path) if key == "plugin-library" else os.path.isdir(path)
        if self.kind is Kind.PROJECT:
            real, root = os.path.realpath(path), os.path.realpath(base)
            if os.path.commonpath((real, root)) != root:
                raise error(
                    "E133",
                    f"'{key}' names '{text}', which is outside the project; expected a folder below '{base}'",
                    self.place(key),
                    help=["give it as an option, or put it into your own file", _own_file()],
                )
        if not fits:
            kind = "file" if key == "plugin-library" else "folder"
            raise error(
                "E131",
                f"'{key}' names '{text}', and there is no such {kind}",
                self.place(key),
                help=["correct the path, which is relative to this file"],
            )
        return path

    def _display(self, value: Any) -> Iterable[Value]:
        if not isinstance(value, dict):
            raise self.wrong("display", value, "a table")
        found = []
        for key, item in value.items():
            if key == "color":
                if item not in COLORS:
                    raise self.wrong(key, item, "'auto', 'always' or 'never'", "display")
            elif key == "progress":
                if not isinstance(item, bool):
                    raise self.wrong(key, item, "true or false", "display")
            else:
                raise self._unknown(key, ("color", "progress"), "display")
            found.append(Value(f"display.{key}", item, self.kind.value, self.place(key, "display")))
        return found

    def wrong(self, key: str, value: Any, expected: str, table: str = "") -> SurgeonError:
        """Return the error of a value that has another type, or is none of the choices."""
        name = f"{table}.{key}" if table else key
        return error(
            "E132",
            f"'{name}' is {_shown(value)}; expected {expected}",
            self.place(key, table),
            help=["correct the value"],
        )

    def _unknown(self, key: str, known: tuple[str, ...], table: str = "") -> SurgeonError:
        name = f"{table}.{key}" if table else key
        allowed = [each for each in known if self.kind is Kind.USER or each not in CODE]
        return error(
            "E132",
            f"there is no setting '{name:.80}'; expected {', '.join(allowed)}",
            self.place(key, table),
            nearest_note(key, known),
            ["correct the spelling, or take the line out"],
        )

    def _code_of_a_project(self, key: str) -> SurgeonError:
        return error(
            "E133",
            f"'{key}' names code, which a project's file must not; nothing of it was loaded",
            self.place(key),
            help=[f"if you trust it, give --{key}, or put the line into your own file", _own_file()],
        )

    def place(self, key: str, table: str = "") -> Span:
        """Return the line of a key; the file's first where it is written in some unusual way."""
        wanted = rf"""\s*(?:{re.escape(table)}\s*\.\s*)?["']?{re.escape(key)}["']?\s*[.=]"""
        header = rf"""\s*\[+\s*(?:[\w."'-]+\.)?["']?{re.escape(key)}["']?\s*\]"""
        inline = rf"""\s*["']?{re.escape(table)}["']?\s*=\s*\{{.*\b{re.escape(key)}\b"""
        for pattern in (wanted, header, *([inline] if table else [])):
            for number, line in enumerate(self.lines, 1):
                if re.match(pattern, line):
                    column = line.find(key) + 1 or 1
                    return Span(str(self.path), number, column, len(key), line[:200])
        return Span(str(self.path), 1, 1)


def _own_file() -> str:
    path = user_file()
    return f"your own file is '{path}'" if path is not None else "your own file is in your home folder"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value:.60}'" if isinstance(value, str) else f"{value!s:.60}"


def _unreadable(path: Path, reason: str) -> SurgeonError:
    return error(
        "E131",
        f"the configuration file cannot be read: {reason}",
        str(path),
        help=["correct the file, or take it away"],
    )


def _damaged(path: Path, lines: list[str], reason: str) -> SurgeonError:
    match = re.search(r" \(at line (\d+), column (\d+)\)", reason)
    where: Span | str = str(path)
    if match is not None:
        number = int(match[1])
        text = lines[number - 1][:200] if number <= len(lines) else ""
        where = Span(str(path), number, int(match[2]), 1, text)
        reason = reason.replace(match[0], "")
    return error(
        "E131", f"the configuration file is no TOML: {reason:.200}", where, help=["correct this line"]
    )


def apply_settings(args: argparse.Namespace, settings: Settings) -> None:
    """Fill in what the command line leaves open.

    Options come first. The folders of all sources count; one that was given already is not repeated.
    """
    args.settings = settings
    for key, name in (
        ("recipe-path", "recipe_paths"),
        ("plugin-path", "plugin_paths"),
        ("plugin-library", "plugin_libraries"),
    ):
        given = getattr(args, name, None)
        if given is None or (key == "plugin-library" and not _loads_libraries(args)):
            continue
        real = {os.path.realpath(path) for path in given}
        paths = [value.value for value in settings.paths(key)]
        setattr(args, name, [*given, *(path for path in paths if os.path.realpath(path) not in real)])


def _loads_libraries(args: argparse.Namespace) -> bool:
    """Return whether a command runs an engine: some do so only where they are given a file."""
    if args.verb == "evaluate":
        return bool(args.engines)
    return args.verb != "verify" or args.engine is not None or args.file is not None


def configured_target(args: argparse.Namespace) -> str | None:
    """Return the target that a configuration file sets for a verb with a recipe.

    None where a file that is given or written says more: its suffix is of another format, or what it holds
    was made for a target.
    """
    from surgeon.formats import format_by_suffix
    from surgeon.targets import load_target

    value = args.settings.first("target") if hasattr(args, "settings") else None
    if value is None or getattr(args, "recipe", "") is None:
        return None
    if any(getattr(args, name, None) for name in ("engine", "engines", "onnx", "file", "original")):
        return None
    target: str = value.value
    written = format_by_suffix(args.output) if isinstance(getattr(args, "output", None), Path) else None
    given = format_by_suffix(args.recipe) if isinstance(getattr(args, "recipe", None), str) else None
    if given is not None or (
        written is not None and not written.rewritable and written.name != load_target(target).format
    ):
        return None
    return target
