"""Damaged graphs: reading, printing and writing them either works or is refused."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from surgeon.diagnostics import SurgeonError
from surgeon.formats.graphdef import load_graph, save_graph, to_bytes
from surgeon.graph import TensorValue, diff_graphs, parse_graph, print_graph

TEXT = """graph v1
versions: 24 12 3
library: 0a130a060a04626f647912090a01791208
x = Placeholder() {dtype: float32, shape: shape[?,300,300,3]} @"/device:GPU:0"
w = Const() {dtype: float32, value: tensor<float32[2,2]: 1.0, 2.0>}
names = Const() {dtype: string, value: tensor<string[2]: "a", "\\xff">}
half = Const() {value: tensor<float16[2]: 1.5, nan>}
c = Const() {value: tensor<complex64[1] base64 "AACAPwAAAEA=">}
y = Conv2D(x, w, ^names) {strides: [1, 2, 2, 1], T: float32, f: 0.5, fs: [1.0, nan], b: true, s: "VALID", shapes: [shape[1], shape[...]]}
z = Switch(y, y:1) {fn: func(body) {T: float32}, p: placeholder("T"), tensors: [tensor<int32[]: 5>], _class: ["loc:@x"]}
"""
COPY = "\n".join([*TEXT.splitlines()[:2], *TEXT.splitlines()[3:]])


@pytest.fixture(scope="module")
def base() -> bytes:
    # The library's bytes above need not parse: a plain copy without them is what is damaged.
    graph = parse_graph(COPY)
    large = graph["w"].with_attr("value", TensorValue.of(np.arange(300, dtype=np.float32)))
    return to_bytes(graph.replace([*(n for n in graph if n.name != "w"), large]))


def damaged(rng: random.Random, base: bytes) -> bytes:
    """Return the bytes with one to four changes: a byte, a bit, a cut, a piece doubled, moved or put in."""
    data = bytearray(base)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at, size = rng.randrange(len(data)), rng.choice((1, 1, 2, 4, 30))
        kind = rng.randrange(7)
        if kind == 0:
            data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind == 1:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del data[at : at + size]
        elif kind == 3:
            data[at:at] = data[at : at + size]
        elif kind == 4:
            data[at:at] = rng.choice(
                (b"\xff" * 9 + b"\x01", b"\x80\x80\x80\x80\x10", b"\x0a\x00", rng.randbytes(size))
            )
        elif kind == 5:
            other = rng.randrange(len(data))
            data[at : at + size] = data[other : other + size]
        else:
            del data[at:]
        if not data:
            return b"\x0a"
    return bytes(data)


def attempt(data: bytes, folder: Path) -> str:
    """Return ``read``, or the code of the refusal; whatever else is raised escapes."""
    path, out = folder / "in.pb", folder / "out.pb"
    path.write_bytes(data)
    out.unlink(missing_ok=True)
    try:
        graph = load_graph(path)
        text = print_graph(graph, limit=64)
        graph.digest()
        save_graph(graph, out)
    except SurgeonError as exc:
        str(exc).encode()
        assert not out.exists()
        return exc.diagnostics[0].code
    assert not diff_graphs(graph, load_graph(out))
    assert not diff_graphs(graph, parse_graph(text))
    return "read"


def fuzz(base: bytes, folder: Path, count: int, seed: int) -> dict[str, int]:
    rng = random.Random(seed)
    outcomes: dict[str, int] = {}
    for _ in range(count):
        data = damaged(rng, base)
        try:
            outcome = attempt(data, folder)
        except Exception as exc:
            raise AssertionError(f"escaped for {data.hex()}") from exc
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    return outcomes


def test_damaged_graphs_are_read_or_refused(base: bytes, tmp_path: Path, tries: Callable[[int], int]) -> None:
    assert attempt(base, tmp_path) == "read"
    outcomes = fuzz(base, tmp_path, tries(3000), seed=1)
    assert {"read", "G101", "G106", "G111", "G112"} <= set(outcomes), outcomes


def test_damaged_text_graphs_are_read_or_refused(base: bytes, tmp_path: Path) -> None:
    save_graph(load_graph(_written(tmp_path / "base.pb", base)), tmp_path / "base.pbtxt")
    text = (tmp_path / "base.pbtxt").read_bytes()
    rng = random.Random(2)
    outcomes: dict[str, int] = {}
    for _ in range(300):
        (tmp_path / "in.pbtxt").write_bytes(damaged(rng, text))
        try:
            save_graph(load_graph(tmp_path / "in.pbtxt"), tmp_path / "out.pb")
            outcome = "read"
        except SurgeonError as exc:
            outcome = exc.diagnostics[0].code
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert {"read", "G101"} <= set(outcomes), outcomes


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
