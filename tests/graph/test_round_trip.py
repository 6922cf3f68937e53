"""Any graph comes back from its text form, and from a GraphDef, as it was."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from surgeon.diagnostics import SurgeonError
from surgeon.formats.graphdef import from_bytes, to_bytes
from surgeon.graph import (
    DType,
    Func,
    Graph,
    Node,
    Placeholder,
    RawAttr,
    Ref,
    Shape,
    TensorDigest,
    TensorValue,
    Versions,
    parse_graph,
    parse_node,
    print_attr,
    print_graph,
    print_node,
)

NAMES = st.one_of(
    st.sampled_from(
        [
            "a",
            "outputs",
            "graph v1",
            "# x",
            "true",
            "float32",
            "raw",
            "func",
            "a b",
            'q"uote',
            "back\\slash",
            "",
            "é/ü",
            "\U0001f600",
            "line\nbreak",
            "tab\t",
            "^x",
            "a:1",
            "extra",
            "shape",
            "1",
            "-",
            "nan",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
PLAIN = st.text("abcXYZ019_./-", min_size=1, max_size=12)
INTS = st.integers(-(1 << 63), (1 << 63) - 1)
FLOATS = st.one_of(st.floats(width=32, allow_nan=False), st.just(math.nan))
SHAPES = st.one_of(
    st.just(Shape(None)),
    st.lists(st.one_of(st.none(), st.integers(0, 1 << 40)), max_size=4).map(lambda d: Shape(tuple(d))),
)
FIXED = [d for d in DType if d.itemsize]


@st.composite
def tensors(draw: Any) -> TensorValue:
    dtype = draw(st.sampled_from([*FIXED, DType.STRING]))
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=3)))
    count = math.prod(shape)
    stored = draw(st.sampled_from(sorted({0, min(1, count), count})))
    if dtype is DType.STRING:
        return TensorValue(
            dtype, shape, tuple(draw(st.lists(st.binary(max_size=6), min_size=stored, max_size=stored)))
        )
    size = stored * (dtype.itemsize or 0)
    raw = draw(st.binary(min_size=size, max_size=size))
    if dtype is DType.BOOL:
        raw = bytes(b & 1 for b in raw)
    return TensorValue(dtype, shape, raw)


def sorted_by_key(attrs: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(attrs.items()))


def scalars(inner: Any) -> list[Any]:
    functions = st.builds(
        Func, st.one_of(PLAIN, NAMES), st.dictionaries(PLAIN, inner, max_size=2).map(sorted_by_key)
    )
    return [
        st.booleans(),
        INTS,
        FLOATS,
        st.binary(max_size=8),
        st.sampled_from(list(DType)),
        SHAPES,
        tensors(),
        functions,
    ]


def attributes() -> Any:
    def extended(inner: Any) -> Any:
        kinds = scalars(inner)
        return st.one_of(*kinds, *(st.lists(kind, max_size=3).map(tuple) for kind in kinds))

    raw = st.just(RawAttr(b"\x08\x07"))  # an AttrValue whose only field is of a later version
    return st.recursive(
        st.one_of(*scalars(st.booleans()), NAMES.map(Placeholder), raw), extended, max_leaves=4
    )


ATTRIBUTES = attributes()


@st.composite
def graphs(draw: Any, names: Any = NAMES) -> Graph:
    chosen = draw(st.lists(names, min_size=1, max_size=5, unique=True))
    refs = st.builds(Ref, st.sampled_from(chosen), st.integers(0, 4))
    nodes = []
    for name in chosen:
        inputs = tuple(draw(st.lists(refs, max_size=3)))
        control = tuple(draw(st.lists(st.sampled_from(chosen), max_size=2)))
        attrs = draw(st.dictionaries(st.one_of(PLAIN, NAMES), ATTRIBUTES, max_size=3).map(sorted_by_key))
        nodes.append(
            Node(
                name,
                draw(st.one_of(PLAIN, names)) or "Op",
                inputs,
                control,
                attrs,
                draw(st.sampled_from(["", "/device:GPU:0", "ü"])),
            )
        )
    versions = draw(
        st.one_of(st.none(), st.builds(Versions, st.integers(0, 1 << 30), st.integers(0, 9), st.just((3, 5))))
    )
    return Graph(nodes, draw(st.lists(refs, max_size=2)), versions=versions)


@given(graphs())
def test_text_form_comes_back(graph: Graph) -> None:
    text = print_graph(graph, limit=-1)
    again = parse_graph(text)
    assert again == graph
    assert print_graph(again, limit=-1) == text
    assert again.digest() == graph.digest()


@given(graphs())
def test_abridged_text_form_parses_to_equal_tensors(graph: Graph) -> None:
    again = parse_graph(print_graph(graph, limit=4))
    assert again == graph


@given(graphs(names=PLAIN))
def test_graphdef_comes_back(graph: Graph) -> None:
    bare = graph.replace(outputs=())
    again = from_bytes(to_bytes(bare))
    assert print_graph(again, limit=-1) == print_graph(bare, limit=-1)
    assert again == bare
    assert to_bytes(again) == to_bytes(bare)


@given(ATTRIBUTES)
def test_attributes_of_other_kinds_have_other_texts(value: Any) -> None:
    node = Node("n", "Op", attrs={"a": value})
    assert print_attr(parse_node(print_node(node, limit=-1)).attrs["a"], limit=-1) == print_attr(
        value, limit=-1
    )


@pytest.mark.parametrize(
    "value",
    [True, 1, 1.0, b"1", "1.5e+20", -0.0, math.inf, -math.inf, math.nan, 1e-45, (), (1, 2), (1.0,), (True,)],
)
def test_equal_values_of_other_types_print_differently(value: Any) -> None:
    value = float(value) if isinstance(value, str) else value
    text = print_attr(value)
    again = parse_node(f"n = Op() {{a: {text}}}").attrs["a"]
    assert repr(again) == repr(value)
    others = {print_attr(v) for v in (True, 1, 1.0, b"1") if type(v) is not type(value)}
    assert text not in others


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16", "complex64"])
def test_signed_zeros_and_nan_payloads_survive_text(dtype: str) -> None:
    kind = DType(dtype)
    size = kind.itemsize or 0
    payload = (b"\x01" + bytes(size) + b"\xf8\x7f")[-size:]
    for data in (bytes(size - 1) + b"\x80", payload, b"\xff" * size, bytes(size)):
        value = TensorValue(kind, (1,), data)
        again = parse_node(print_node(Node("n", "Const", attrs={"value": value}))).attrs["value"]
        assert isinstance(again, TensorValue) and again.data == data


def test_every_float32_prints_its_shortest_text() -> None:
    patterns = [struct.pack("<I", n) for n in range(1, 1 << 32, 9_999_991)]
    value = TensorValue(DType.FLOAT32, (len(patterns),), b"".join(patterns))
    again = parse_node(print_node(Node("n", "Const", attrs={"value": value}), limit=-1)).attrs["value"]
    assert isinstance(again, TensorValue) and again.data == value.data


def test_bool_bytes_above_one_survive() -> None:
    value = TensorValue(DType.BOOL, (2,), b"\x02\x01")
    node = Node("n", "Const", attrs={"value": value})
    for again in (parse_node(print_node(node)), next(iter(from_bytes(to_bytes(Graph([node])))))):
        kept = again.attrs["value"]
        assert isinstance(kept, TensorValue) and kept.data == value.data


@example("n = Op() {a: tensor<float32[-1]>}")
@example("n = Op() {a: tensor<float32[1099511627776,1099511627776]: 1.0>}")
@example("n = Op() {a: tensor<float32[2]: 1.0, 2.0, 3.0>}")
@example('n = Op() {a: tensor<float32[1] base64 "AAA=">}')
@example('n = Op() {a: tensor<string[1] base64 "AAAA">}')
@example('n = Op() {a: tensor<resource[1] base64 "AAAA">}')
@example("n = Op() {a: tensor<int8[1]: 300>}")
@example("n = Op() {a: tensor<bool[1]: maybe>}")
@example("n = Op() {a: tensor<string[1]: word>}")
@example("n = Op() {a: tensor<float32[1] sha256 abc>}")
@example("n = Op() {a: 99999999999999999999}")
@example("n = Op() {a: shape[99999999999999999999]}")
@example("n = Op() {a: [1, 1.0]}")
@example("n = Op(a:-1)")
@example("n = Op() @3")
@example('n = Op() @"\\ud800"')
@example("n = Op() {a: " + "func(f) {a: " * 5000)
@example("n = Op() extra(zz)")
@example("n = Op() trailing")
@given(st.one_of(st.text(max_size=40), st.text('=(){}[]<>,:^@?"\\ anfush018.-', max_size=40)))
def test_no_line_makes_the_parser_fail_otherwise(line: str) -> None:
    try:
        graph = parse_graph("graph v1\n" + line)
    except SurgeonError as exc:
        assert {d.code for d in exc.diagnostics} <= {"G108", "G105"}
        return
    assert parse_graph(print_graph(graph, limit=-1)) == graph


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("", "", "expected 'graph v1'"),
        ("graph v2\n", "1:1", "expected 'graph v1'"),
        ("graph v1\na = Op(\n", "2:8", "expected a name or a value"),
        ("graph v1\na = Op() {k: }\n", "2:14", "'}' is not an attribute value"),
        ("graph v1\nversions: x\n", "2:11", "expected an integer"),
        ("graph v1\nlibrary: zz\n", "2:1", "expected hexadecimal digits"),
    ],
)
def test_a_mistake_in_the_text_form_has_its_place(text: str, place: str, expected: str) -> None:
    with pytest.raises(SurgeonError) as caught:
        parse_graph(text, "g.txt")
    shown = str(caught.value)
    assert "G108" in shown and expected in shown
    assert shown.startswith(f"g.txt:{place}") if place else shown.startswith("g.txt")


def test_a_tensor_known_by_its_digest_cannot_be_written() -> None:
    node = Node("w", "Const", attrs={"value": TensorDigest(DType.FLOAT32, (2,), "0" * 64)})
    with pytest.raises(SurgeonError, match="G113"):
        to_bytes(Graph([node]))


@pytest.mark.parametrize(
    "node",
    [
        Node("a\ud800", "Op"),
        Node("a", "Op", attrs={"i": 1 << 70}),
        Node("a", "Op", attrs={"r": RawAttr(b"\xff")}),
        Node("a", "Op", extra=b"\xff"),
        Node("a", "Op", attrs={"l": (1, 1 << 70)}),
    ],
)
def test_what_a_nodedef_cannot_hold_is_refused(node: Node) -> None:
    with pytest.raises(SurgeonError, match="G111") as caught:
        to_bytes(Graph([node]))
    str(caught.value).encode()
