"""Text format of protocol buffers, read without the descriptors of its messages.

Read are nested messages in ``{}`` or ``<>``, lists, strings with escapes, adjacent strings, numbers, names
(of enums and truth values), names of extensions in brackets, and comments. What kind a field should be is
said by whoever asks for it. Source of the grammar: https://protobuf.dev/reference/protobuf/textformat-spec/.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

from surgeon.diagnostics import Span, SurgeonError, error, nearest_note

T = TypeVar("T")

TEXT_LIMIT = 4 * 1024 * 1024
DEPTH_LIMIT = 100
"""As deep as protobuf's own reader goes."""

_TOKEN = re.compile(
    r"""(?P<space>(?:[ \t\r\n\f\v]|\#[^\n]*)+)
      | (?P<string>"(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*')
      | (?P<number>(?:0[xX][0-9a-fA-F]+|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?[fF]?)
          (?![A-Za-z0-9_.]))
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<mark>[{}<>\[\]:,;./-])""",
    re.VERBOSE,
)
_WORD = re.compile(r"[\w.]+|.", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")
_LETTERS = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "?": 63, "\\": 92, "'": 39, '"': 34}
_CLOSERS = {"{": "}", "<": ">"}
_TRUE, _FALSE = ("true", "True", "t"), ("false", "False", "f")


class Name(str):
    """A bare word: an enum's value, or a truth value."""

    __slots__ = ()


Scalar: TypeAlias = "int | float | str | Name"


@dataclass(frozen=True)
class Entry:
    """One field as it is written: its name, its value, and the place of the value."""

    name: str
    value: Scalar | Message
    span: Span


@dataclass(frozen=True)
class Stated(Generic[T]):
    """A value and where it is written.

    ``where`` is None where it is the default of a field that is not written.
    """

    value: T
    where: Span | None = None


@dataclass(frozen=True)
class Message:
    """The fields of a message, in the order written.

    The methods return what a field says, or the default where it is not written. They raise SurgeonError D141
    for a value of another kind, and for a field written more than once where one value is asked for.
    """

    entries: tuple[Entry, ...] = ()

    def __contains__(self, name: object) -> bool:
        return any(entry.name == name for entry in self.entries)

    def all(self, name: str) -> list[Entry]:
        """Return every entry of a repeated field."""
        return [entry for entry in self.entries if entry.name == name]

    def message(self, name: str) -> Message:
        """Return a nested message; an empty one where it is not written."""
        entry = self._one(name)
        return Message() if entry is None else nested(entry)

    def whole(self, name: str, default: int) -> Stated[int]:
        """Return a whole number."""
        entry = self._one(name)
        return Stated(default) if entry is None else Stated(_whole(entry), entry.span)

    def number(self, name: str, default: float) -> Stated[float]:
        """Return a number."""
        entry = self._one(name)
        return Stated(default) if entry is None else Stated(_number(entry), entry.span)

    def numbers(self, name: str) -> Stated[tuple[float, ...]]:
        """Return the numbers of a repeated field, placed at the first."""
        found = self.all(name)
        return Stated(tuple(map(_number, found)), found[0].span if found else None)

    def truth(self, name: str, default: bool) -> Stated[bool]:
        """Return a truth value."""
        entry = self._one(name)
        if entry is None:
            return Stated(default)
        if entry.value in (*_TRUE, *_FALSE) and isinstance(entry.value, Name):
            return Stated(entry.value in _TRUE, entry.span)
        if entry.value in (0, 1) and not isinstance(entry.value, float):
            return Stated(bool(entry.value), entry.span)
        raise _refused(entry, "true or false")

    def text(self, name: str, default: str) -> Stated[str]:
        """Return a string."""
        entry = self._one(name)
        if entry is None:
            return Stated(default)
        if not isinstance(entry.value, str) or isinstance(entry.value, Name):
            raise _refused(entry, "a text in quotes")
        return Stated(entry.value, entry.span)

    def choice(self, name: str, default: str, choices: Sequence[str]) -> Stated[str]:
        """Return an enum's value by its name; ``choices`` are the names in the order of their numbers."""
        entry = self._one(name)
        if entry is None:
            return Stated(default)
        if isinstance(entry.value, int) and 0 <= entry.value < len(choices):
            return Stated(choices[entry.value], entry.span)
        if not isinstance(entry.value, Name) or entry.value not in choices:
            raise _refused(entry, "one of " + ", ".join(choices), nearest_note(str(entry.value), choices))
        return Stated(str(entry.value), entry.span)

    def _one(self, name: str) -> Entry | None:
        found = self.all(name)
        if len(found) > 1:
            raise error(
                "D141",
                f"the field '{name}' stands here twice; the first is at line {found[0].span.line}",
                found[1].span,
                help=["keep one of them"],
            )
        return found[0] if found else None


def nested(entry: Entry) -> Message:
    """Return the message that a field holds; raise SurgeonError D141 where it holds none."""
    if not isinstance(entry.value, Message):
        raise _refused(entry, "a message in braces")
    return entry.value


def _whole(entry: Entry) -> int:
    if not isinstance(entry.value, int):
        raise _refused(entry, "a whole number")
    return entry.value


def _number(entry: Entry) -> float:
    if isinstance(entry.value, Name) and entry.value.lower() in ("inf", "infinity", "nan"):
        return float(entry.value)
    if not isinstance(entry.value, int | float):
        raise _refused(entry, "a number")
    return float(entry.value)


def _refused(entry: Entry, wanted: str, notes: Sequence[str] = ()) -> SurgeonError:
    given = "a message" if isinstance(entry.value, Message) else f"{entry.value!r:.60}"
    return error("D141", f"the field '{entry.name}' is {given}; expected {wanted}", entry.span, notes)


def read_text(path: str | Path) -> str:
    """Return a text file's content.

    Raise SurgeonError E101 where it cannot be read, D140 where it is not text.
    """
    file = Path(path)
    try:
        size = file.stat().st_size
        if size > TEXT_LIMIT:
            raise error(
                "D140",
                f"the file has {size} bytes; at most {TEXT_LIMIT} are read",
                str(file),
                help=["check that it is a text file"],
            )
        data = file.read_bytes()
    except OSError as exc:
        raise error(
            "E101", f"'{file}' cannot be read: {exc.strerror or exc}", help=["check the path"]
        ) from None
    except ValueError as exc:  # a zero byte in the path
        raise error("E101", f"'{file}' cannot be read: {exc}", help=["check the path"]) from None
    if data.startswith(b"version https://git-lfs"):
        raise error("E104", f"'{file}' is a Git LFS pointer, not the file itself", help=["run: git lfs pull"])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise error(
            "D140", f"the file is not UTF-8 text: byte 0x{data[exc.start]:02x} at {exc.start}", str(file)
        ) from None
    if "\0" in text:
        raise error(
            "D140",
            f"the file is not text: it holds a zero byte at {text.index(chr(0))}",
            str(file),
            help=["give the text form of the message, not the binary one"],
        )
    return text


def parse_text(text: str, file: str) -> Message:
    """Return the message that a text holds.

    Raise SurgeonError D140, with line and column, where it is none.
    """
    return _Parser(text, file).message()


@dataclass
class _Open:
    """A message that is being read: where it began, what closes it, and how it will be kept."""

    name: str
    span: Span
    closer: str
    entries: list[Entry] = field(default_factory=list)
    listed: bool = False


class _Parser:
    def __init__(self, text: str, file: str) -> None:
        self.text, self.file = text, file
        self.starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self.tokens = self._tokens()
        self.kind, self.word, self.at = next(self.tokens)

    def message(self) -> Message:
        """Read everything; messages that are open stand on a list, so that depth costs no recursion."""
        stack = [_Open("", self._span(0), "")]
        while True:
            top = stack[-1]
            if self.word == top.closer and self.kind in ("mark", "end"):
                if len(stack) == 1:
                    return Message(tuple(top.entries))
                self._next()
                stack.pop()
                stack[-1].entries.append(Entry(top.name, Message(tuple(top.entries)), top.span))
                if top.listed and self._more("]"):
                    self._open(stack, top.name, listed=True)
                    continue
                self._separator()
            elif self.kind == "end":
                raise self._error(
                    f"the message '{top.name}' is not closed; expected '{top.closer}'", top.span
                )
            else:
                self._field(stack)

    def _field(self, stack: list[_Open]) -> None:
        """Read a field's name and its value, or the beginning of its message."""
        name = self._field_name()
        colon = self._take(":")
        if self.word in _CLOSERS and self.kind == "mark":
            return self._open(stack, name)
        if self._take("["):
            if self.word in _CLOSERS and self.kind == "mark":
                return self._open(stack, name, listed=True)
            if not self._take("]"):
                self._scalar(stack[-1].entries, name)
                while self._more("]"):
                    self._scalar(stack[-1].entries, name)
            return self._separator()
        if not colon:
            raise self._error(f"'{name}' has no value; expected ':' and a value, or a message in braces")
        self._scalar(stack[-1].entries, name)
        return self._separator()

    def _open(self, stack: list[_Open], name: str, listed: bool = False) -> None:
        if self.kind != "mark" or self.word not in _CLOSERS:
            raise self._error(f"'{self._shown()}' stands where the next message of '{name}' was expected")
        if len(stack) > DEPTH_LIMIT:
            raise self._error(f"messages nest over {DEPTH_LIMIT} levels deep")
        stack.append(_Open(name, self._span(self.at), _CLOSERS[self.word], listed=listed))
        self._next()

    def _field_name(self) -> str:
        if self.kind == "name":
            return self._next()
        if self.word != "[" or self.kind != "mark":
            raise self._error(f"'{self._shown()}' stands where a field's name was expected")
        start = self.at
        self._next()
        while self.kind == "name":
            self._next()
            if self.kind != "mark" or self.word not in "./-":
                break
            self._next()
        end = self.at
        if not self._take("]"):
            raise self._error(f"'{self._shown()}' stands inside a name in brackets; expected ']'")
        return self.text[start : end + 1]

    def _scalar(self, entries: list[Entry], name: str) -> None:
        start, sign = self.at, 1
        if self._take("-"):
            sign = -1
        value: Scalar
        if self.kind == "string" and sign > 0:
            parts = []
            while self.kind == "string":
                parts.append(self._unquoted())
                self._next()
            value = b"".join(parts).decode("utf-8", "backslashreplace")
        elif self.kind == "number":
            value = sign * self._numeral()
            self._next()
        elif self.kind == "name":
            value = Name(("-" if sign < 0 else "") + self._next())
        else:
            raise self._error(f"'{self._shown()}' stands where a value of '{name}' was expected")
        entries.append(Entry(name, value, self._span(start)))

    def _numeral(self) -> int | float:
        word = self.word
        if re.fullmatch(r"0[xX][0-9a-fA-F]+|[0-9]+", word) and len(word) > 20:
            raise self._error("the number has over 64 bits")
        if word[:2] in ("0x", "0X"):
            return int(word, 16)
        if word.isdigit():
            if word[0] != "0" or len(word) == 1:
                return int(word)
            if not word.strip("01234567"):
                return int(word, 8)
            raise self._error(f"'{word}' begins with a zero, but is not an octal number")
        return float(word.rstrip("fF"))

    def _unquoted(self) -> bytes:
        """Return the bytes that a quoted text stands for."""
        out, last, inner = bytearray(), 0, self.word[1:-1]
        for match in _ESCAPE.finditer(inner):
            out += inner[last : match.start()].encode()
            octal, hexadecimal, short, long, letter = match.groups()
            if letter is not None:
                if letter not in _LETTERS:
                    raise self._error(f"'\\{letter}' is not an escape; expected, say, '\\n' or '\\\\'")
                out.append(_LETTERS[letter])
            elif octal or hexadecimal:
                number = int(octal, 8) if octal else int(hexadecimal, 16)
                if number > 255:
                    raise self._error(f"the escape '\\{octal}' is over 255")
                out.append(number)
            else:
                point = int(short or long, 16)
                if point > 0x10FFFF or 0xD800 <= point < 0xE000:
                    raise self._error(f"the escape U+{point:04X} is not a character")
                out += chr(point).encode()
            last = match.end()
        return bytes(out + inner[last:].encode())

    # --- tokens
    # ---------------------------------------------------------------------------------------------------

    def _tokens(self) -> Iterator[tuple[str, str, int]]:
        at = 0
        while at < len(self.text):
            match = _TOKEN.match(self.text, at)
            if match is None:
                quoted = self.text[at] in "'\""
                what = f"'{_WORD.match(self.text, at, at + 24)[0]}' is not a word of the text format"  # type: ignore[index]
                raise self._error(
                    "the quotes are not closed on their line" if quoted else what, self._span(at)
                )
            if match.lastgroup != "space":
                yield str(match.lastgroup), match[0], at
            at = match.end()
        yield "end", "", len(self.text)

    def _next(self) -> str:
        """Go on to the next token and return the one before it."""
        word = self.word
        self.kind, self.word, self.at = next(self.tokens)
        return word

    def _take(self, mark: str) -> bool:
        if self.kind == "mark" and self.word == mark:
            self._next()
            return True
        return False

    def _more(self, closer: str) -> bool:
        """Return whether a list goes on; take its separator or its end."""
        if self._take(","):
            return True
        if not self._take(closer):
            raise self._error(f"'{self._shown()}' stands inside a list; expected ',' or '{closer}'")
        return False

    def _separator(self) -> None:
        if not self._take(","):
            self._take(";")

    def _shown(self) -> str:
        return self.word[:40] or "the end of the file"

    def _span(self, at: int) -> Span:
        line = bisect_right(self.starts, at)
        begin = self.starts[line - 1]
        end = self.starts[line] - 1 if line < len(self.starts) else len(self.text)
        return Span(
            self.file,
            line,
            at - begin + 1,
            1,
            self.text[begin:end].rstrip("\r") if end - begin <= 200 else "",
        )

    def _error(self, message: str, where: Span | None = None) -> SurgeonError:
        return error(
            "D140",
            message,
            where or self._span(self.at),
            help=["the file is read as text format of protocol buffers"],
        )
