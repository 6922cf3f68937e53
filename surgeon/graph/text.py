"""The text form of a graph, one line a node, parsed. :mod:`surgeon.graph.printing` prints it.

::

    graph v1
    outputs: NMS, NMS:1
    a = Placeholder() {dtype: float32, shape: shape[?,300,300,3]}
    w = Const() {dtype: float32, value: tensor<float32[2]: 1.0, 2.5>}
    b = Relu6(a, ^w) {T: float32} @"/device:CPU:0"

Attributes: ``3``, ``1.0``, ``true``, ``"bytes"``, ``float32``, ``shape[...]`` (unknown rank), ``[1, 2]``,
``func(name) {...}``, ``placeholder("name")``, ``raw(hex)``. A tensor with more bytes than the limit is
abridged to its SHA-256. A tensor may list fewer values than its shape has: the last one stands for the rest.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping

from surgeon.diagnostics import Span, SurgeonError, error
from surgeon.graph.dtypes import DType
from surgeon.graph.graph import Graph, Versions
from surgeon.graph.node import Node, Ref
from surgeon.graph.printing import BARE
from surgeon.graph.values import (
    AttrScalar,
    AttrValue,
    Func,
    Placeholder,
    RawAttr,
    Shape,
    Tensor,
    TensorDigest,
    TensorValue,
    attr_list,
    misfit,
)

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<word>[A-Za-z0-9_./\\+-]+)|(?P<punct>[=(){}\[\]<>,:^@?]))"""
)
_BOOLS = {"true": True, "false": False}
_SPACE = re.compile(r"\s*")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_DTYPES = {d.value: d for d in DType}
_DEEPEST = 32


def parse_graph(text: str, source: str = "<text>") -> Graph:
    """Parse the text form; raise SurgeonError G108 with the place for anything it does not allow."""
    lines = text.split("\n")
    nodes: list[Node] = []
    outputs: tuple[Ref, ...] = ()
    versions: Versions | None = None
    blobs = {"library": b"", "extra": b""}
    started = False
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parser = _Parser(line, source, number)
        if not started:
            if line.strip() != "graph v1":
                raise parser.fail("expected 'graph v1'")
            started = True
        elif line.startswith("outputs:"):
            parser.skip(len("outputs:"))
            outputs = parser.refs()
        elif line.startswith("versions:"):
            parser.skip(len("versions:"))
            versions = parser.versions()
        elif line.startswith(("library:", "extra:")):
            key, _, value = line.partition(":")
            blobs[key] = parser.hex(value.strip())
        else:
            nodes.append(parser.node())
    if not started:
        raise error("G108", "the text holds no graph; expected 'graph v1'", source)
    return Graph(
        nodes, outputs, versions=versions, library=blobs["library"], extra=blobs["extra"], source=source
    )


def parse_node(text: str, source: str = "<text>") -> Node:
    """Parse one node's line; raise SurgeonError G108 with the place."""
    return _Parser(text, source, 1).node()


def _after_space(line: str, at: int) -> int:
    match = _SPACE.match(line, at)
    return match.end() if match else at


def _integer(token: str) -> int | None:
    if not token.lstrip("+-").isdigit() or len(token) > 20:
        return None
    try:
        value = int(token)
    except ValueError:
        return None
    return value if -(1 << 63) <= value < 1 << 63 else None


class _Parser:
    """A recursive-descent parser over one line."""

    def __init__(self, line: str, source: str, number: int) -> None:
        self.line, self.source, self.number = line, source, number
        self.at = 0
        self.token = 0  # where the token starts that was taken or refused last
        self.depth = 0

    def fail(self, expected: str) -> SurgeonError:
        span = Span(self.source, self.number, self.token + 1, 1, self.line)
        return error("G108", f"the text form of a graph cannot be read; {expected}", span)

    def skip(self, count: int) -> None:
        self.at += count

    def peek(self) -> str:
        match = _TOKEN.match(self.line, self.at)
        return match.group().strip() if match else ""

    def take(self, expected: str = "") -> str:
        match = _TOKEN.match(self.line, self.at)
        token = match.group().strip() if match else ""
        self.token = _after_space(self.line, self.at)
        if not match or (expected and token != expected):
            raise self.fail(f"expected '{expected}'" if expected else "expected a name or a value")
        self.at = match.end()
        return token

    def accept(self, token: str) -> bool:
        if self.peek() != token:
            return False
        self.take()
        return True

    def end(self) -> None:
        self.token = _after_space(self.line, self.at)
        if self.token < len(self.line):
            raise self.fail("expected the end of the line")

    def name(self) -> str:
        token = self.take()
        if token.startswith('"'):
            return self.json(token)
        if not BARE.match(token):
            raise self.fail("expected a name")
        return token

    def json(self, token: str) -> str:
        try:
            text = json.loads(token) if token.startswith('"') else None
            if isinstance(text, str) and text.encode() is not None:
                return text
        except ValueError:  # no JSON, or half of a surrogate pair
            pass
        raise self.fail("expected a quoted string")

    def hex(self, text: str) -> bytes:
        try:
            return bytes.fromhex(text)
        except ValueError:
            raise self.fail("expected hexadecimal digits") from None

    def ref(self) -> Ref:
        name = self.name()
        return Ref(name, self.size() if self.accept(":") else 0)

    def integer(self) -> int:
        value = _integer(self.take())
        if value is None:
            raise self.fail("expected an integer of 64 bits")
        return value

    def size(self) -> int:
        value = self.integer()
        if value < 0:
            raise self.fail("expected a number from 0")
        return value

    def versions(self) -> Versions:
        numbers = [self.size(), self.size()]
        while self.peek():
            numbers.append(self.size())
        self.end()
        return Versions(numbers[0], numbers[1], tuple(numbers[2:]))

    def refs(self) -> tuple[Ref, ...]:
        out = [self.ref()]
        while self.accept(","):
            out.append(self.ref())
        self.end()
        return tuple(out)

    def node(self) -> Node:
        name = self.name()
        self.take("=")
        op = self.name()
        self.take("(")
        inputs: list[Ref] = []
        control: list[str] = []
        while not self.accept(")"):
            if inputs or control:
                self.take(",")
            if self.accept("^"):
                control.append(self.name())
            else:
                inputs.append(self.ref())
        attrs = self.attrs() if self.peek() == "{" else {}
        device = self.json(self.take()) if self.accept("@") else ""
        extra = b""
        if self.accept("extra"):
            extra = self.blob()
        self.end()
        return Node(name, op, tuple(inputs), tuple(control), attrs, device, extra)

    def blob(self) -> bytes:
        self.take("(")
        if self.accept(")"):
            return b""
        data = self.hex(self.take())
        self.take(")")
        return data

    def attrs(self) -> Mapping[str, AttrValue]:
        self.take("{")
        out: dict[str, AttrValue] = {}
        while not self.accept("}"):
            if out:
                self.take(",")
            key = self.name()
            self.take(":")
            out[key] = self.value()
        return out

    def value(self) -> AttrValue:
        if self.accept("["):
            items: list[AttrScalar] = []
            while not self.accept("]"):
                if items:
                    self.take(",")
                items.append(self.scalar())
            try:
                return attr_list(items)
            except TypeError:
                raise self.fail("expected values of one kind in a list") from None
        if self.accept("raw"):
            return RawAttr(self.blob())
        if self.accept("placeholder"):
            self.take("(")
            name = self.json(self.take())
            self.take(")")
            return Placeholder(name)
        return self.scalar()

    def scalar(self) -> AttrScalar:
        token = self.take()
        if token.startswith('"'):
            return self.quoted(token)
        if token in ("true", "false"):
            return token == "true"
        if token in _DTYPES:
            return _DTYPES[token]
        if token == "shape":
            return self.shape()
        if token == "tensor":
            return self.tensor()
        if token == "func":
            return self.func()
        if token.lstrip("+-").isdigit():
            whole = _integer(token)
            if whole is None:
                raise self.fail("expected an integer of 64 bits")
            return whole
        try:
            value = float(token)
        except ValueError:
            raise self.fail(f"'{token}' is not an attribute value") from None
        return math.nan if value != value else value

    def func(self) -> Func:
        if self.depth == _DEEPEST:
            raise self.fail(f"expected at most {_DEEPEST} functions inside each other")
        self.depth += 1
        self.take("(")
        name = self.name()
        self.take(")")
        attrs = self.attrs()
        self.depth -= 1
        return Func(name, attrs)

    def quoted(self, token: str) -> bytes:
        if not token.startswith('"'):
            raise self.fail("expected a quoted string")
        text = re.sub(r"\\x([0-9a-f]{2})|\\(.)", lambda m: chr(int(m[1], 16)) if m[1] else m[2], token[1:-1])
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError:
            raise self.fail("expected bytes; write others as \\xNN") from None

    def shape(self) -> Shape:
        self.take("[")
        if self.accept("..."):
            self.take("]")
            return Shape(None)
        dims: list[int | None] = []
        while not self.accept("]"):
            if dims:
                self.take(",")
            dims.append(None if self.accept("?") else self.integer())
        return Shape(tuple(dims))

    def checked(self, dtype: DType, dims: tuple[int, ...], data: bytes | tuple[bytes, ...]) -> TensorValue:
        size = 1 if isinstance(data, tuple) else dtype.itemsize or 1
        if len(data) % size:
            raise self.fail(f"expected a multiple of {size} bytes for {dtype.value}")
        reason = misfit(dtype, dims, len(data) // size)
        if reason is not None:
            raise self.fail(f"the tensor cannot be: {reason}")
        return TensorValue(dtype, dims, data)

    def tensor(self) -> Tensor:
        self.take("<")
        name = self.take()
        if name not in _DTYPES:
            raise self.fail("expected an element type")
        dtype, shape = _DTYPES[name], self.shape()
        if not shape.is_static:
            raise self.fail("expected a known shape")
        dims = shape.static()
        if self.accept("sha256"):
            digest = self.take()
            if not _SHA256.match(digest) or misfit(dtype, dims, 0):
                raise self.fail("expected a possible shape and 64 hexadecimal digits")
            self.close()
            return TensorDigest(dtype, dims, digest)
        if dtype.itemsize is None and dtype is not DType.STRING:
            raise self.fail(f"{dtype.value} tensors have no text form")
        if self.accept("base64"):
            try:
                data = base64.b64decode(self.json(self.take()), validate=True)
            except ValueError:
                raise self.fail("expected base64") from None
            self.close()
            if dtype is DType.STRING:
                raise self.fail("expected quoted strings, not base64")
            return self.checked(dtype, dims, data)
        tokens: list[str] = []
        if self.accept(":"):
            tokens.append(self.take())
            while self.accept(","):
                tokens.append(self.take())
        self.close()
        if dtype is DType.STRING:
            return self.checked(dtype, dims, tuple(self.quoted(t) for t in tokens))
        import numpy as np

        try:
            values = [_BOOLS[t] if dtype is DType.BOOL else t for t in tokens]
            kind = dtype.numpy()
            array = (
                np.array(values, dtype=kind)
                if kind.kind in "bf"
                else np.array([int(str(v)) for v in values], kind)
            )
        except (ValueError, KeyError, OverflowError):
            raise self.fail(f"expected {dtype.value} values") from None
        return self.checked(dtype, dims, array.tobytes())

    def close(self) -> None:
        self.take(">")
