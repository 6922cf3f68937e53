"""The immutable graph: lookups, derived views, order, invariants."""

from __future__ import annotations

import dataclasses
import random
import sys
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from surgeon.diagnostics import SurgeonError
from surgeon.graph import DType, Graph, Node, Ref, Shape, TensorSpec, TensorValue, attr_list, parse_graph
from surgeon.graph.values import misfit

LOOP = """graph v1
start = Const()
enter = Enter(start)
merge = Merge(enter, next)
switch = Switch(merge, merge)
body = Add(switch:1, switch:1)
next = NextIteration(body)
exit = Exit(switch)
"""


def codes(caught: pytest.ExceptionInfo[SurgeonError]) -> list[str]:
    return [found.code for found in caught.value.diagnostics]


def chain(count: int) -> Iterable[Node]:
    yield Node("n0", "Placeholder")
    for i in range(1, count):
        yield Node(f"n{i}", "Relu", (Ref(f"n{i - 1}"),))


@pytest.mark.determinism
def test_a_graph_is_a_mapping_in_order() -> None:
    graph = parse_graph("graph v1\nb = P()\na = Q(b:2, ^b)\n")
    assert [n.name for n in graph] == list(graph.nodes) == ["b", "a"]
    assert len(graph) == 2 and "a" in graph and "c" not in graph
    assert (
        graph["a"].inputs == (Ref("b", 2),)
        and graph["a"].control == ("b",)
        and graph["a"].sources == ("b", "b")
    )
    assert graph.get("c") is None


def test_a_node_that_is_not_there_names_the_nearest() -> None:
    graph = parse_graph("graph v1\nPostprocessor = P()\n")
    with pytest.raises(SurgeonError, match="nearest: 'Postprocessor'") as caught:
        graph["Postprocesor"]
    assert codes(caught) == ["G110"]


def test_nothing_in_a_graph_can_be_changed() -> None:
    graph = parse_graph("graph v1\na = P() {k: 1}\n")
    with pytest.raises(TypeError):
        graph.nodes["b"] = Node("b", "P")  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph["a"].name = "b"  # type: ignore[misc]
    changed = graph["a"].with_attr("k", 2)
    assert (graph["a"].attrs["k"], changed.attrs["k"]) == (1, 2)
    assert graph["a"].with_attr("k", None).attrs == {}


@pytest.mark.parametrize("again", [Node("a", "Q"), Node("a", "P")])
def test_two_nodes_of_one_name_are_refused(again: Node) -> None:
    with pytest.raises(SurgeonError, match="'a'") as caught:
        Graph([Node("a", "P"), again])
    assert codes(caught) == ["G105"]
    with pytest.raises(SurgeonError, match="G105"):
        Graph([again, again])


@pytest.mark.parametrize(
    ("text", "ref"),
    [("a", Ref("a")), ("a:0", Ref("a")), ("a:12", Ref("a", 12)), ("a:b:1", Ref("a:b", 1)), ("", Ref(""))],
)
def test_references_parse(text: str, ref: Ref) -> None:
    assert Ref.parse(text) == ref


@pytest.mark.parametrize("text", ["^a", "a:", "a:x", ":1", "a:-1", "a:²", "a:" + "9" * 5000])
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"control edge|not a tensor name|digits"):
        Ref.parse(text)


def test_readers_terminals_and_data_readers() -> None:
    graph = parse_graph(
        "graph v1\na = P()\nb = Q(a, a:1, ^a)\nc = R(^b)\nd = Assert(a)\ne = NoOp(^a)\nf = Q(gone)\n"
    )
    assert graph.readers["a"] == ("b", "d", "e")
    assert graph.readers["b"] == ("c",)
    assert graph.terminals == ("c", "f")
    assert graph.output_refs == (Ref("c"), Ref("f"))
    assert graph.replace(outputs=[Ref("b", 1)]).output_refs == (Ref("b", 1),)
    assert graph.data_readers(Ref("a")) == [("b", 0), ("d", 0)]
    assert graph.data_readers(Ref("a", 1)) == [("b", 1)]
    assert graph.data_readers(Ref("nowhere")) == []


def test_ancestors_go_through_data_and_control_and_loops() -> None:
    graph = parse_graph(LOOP + "side = P()\nlast = Q(exit, ^side)\nother = P()\n")
    assert graph.ancestors(["last"]) == set(graph.nodes) - {"other"}
    assert graph.ancestors(["other", "not there"]) == {"other"}
    assert graph.ancestors([]) == set()


def assert_in_order(graph: Graph) -> None:
    order = graph.topological()
    place = {name: i for i, name in enumerate(order)}
    assert len(order) == len(place) == len(graph)
    for node in graph:
        for source in node.sources:
            assert graph[source].op == "NextIteration" or place[source] < place[node.name]


@pytest.mark.determinism
def test_topological_order_follows_the_graph_where_it_can() -> None:
    graph = parse_graph("graph v1\nc = P(b)\na = P()\nb = P(a)\nd = P()\n")
    assert graph.topological() == ["a", "b", "c", "d"]
    assert_in_order(graph)


def test_loops_of_tensorflow_are_no_cycles() -> None:
    graph = parse_graph(LOOP).check()
    assert_in_order(graph)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a = P(a)", "'a' reads 'a'"),
        ("a = P(b)\nb = P(a)", "'a' reads 'b' reads 'a'"),
        ("a = P(^b)\nb = P(^a)", "'a' reads 'b' reads 'a'"),
        (LOOP.partition("\n")[2].replace("NextIteration", "Identity"), "merge"),
        (
            "\n".join(f"n{i} = P(n{(i + 1) % 50})" for i in range(50)),
            "'n0' reads 'n1' reads 'n2' reads 'n3' reads ... reads 'n48' reads 'n49' reads 'n0'",
        ),
    ],
)
def test_any_other_cycle_is_refused_and_shown(text: str, path: str) -> None:
    with pytest.raises(SurgeonError) as caught:
        parse_graph("graph v1\n" + text).check()
    assert codes(caught) == ["G107"]
    assert path in str(caught.value)


@pytest.mark.determinism
def test_random_graphs_are_ordered() -> None:
    rng = random.Random(5)
    for _ in range(30):
        names = [f"n{i}" for i in range(rng.randrange(1, 60))]
        nodes = [
            Node(n, "P", tuple(Ref(s) for s in rng.sample(names[:i], min(i, rng.randrange(4)))))
            for i, n in enumerate(names)
        ]
        rng.shuffle(nodes)
        assert_in_order(Graph(nodes).check())


@pytest.mark.slow
@pytest.mark.parametrize("shuffled", [list, lambda nodes: list(nodes)[::-1]])
def test_a_chain_of_120_000_nodes_needs_no_recursion(
    shuffled: Callable[[Iterable[Node]], list[Node]],
) -> None:
    graph = Graph(shuffled(chain(120_000)))
    assert len(graph) > 100 * sys.getrecursionlimit()
    assert graph.check().topological() == [f"n{i}" for i in range(120_000)]
    assert len(graph.ancestors(["n119999"])) == 120_000


def test_a_wide_graph_with_side_branches_is_ordered_in_linear_time() -> None:
    # Each link of the chain reads a constant as well: what was pushed and popped must not be looked at again.
    count = 20_000
    nodes = [Node(f"w{i}", "Const") for i in range(count)]
    links = [Node(f"n{i}", "Add", (Ref(f"w{i}"), Ref(f"n{i - 1}") if i else Ref("w0"))) for i in range(count)]
    assert_in_order(Graph([*links[::-1], *nodes]))


def test_dangling_inputs_are_all_named_up_to_five() -> None:
    graph = parse_graph(
        "graph v1\nImage = P()\na = Q(image)\nb = Q(^gone)\n" + "".join(f"x{i} = Q(y{i})\n" for i in range(9))
    )
    with pytest.raises(SurgeonError) as caught:
        graph.check()
    assert codes(caught) == ["G106"] * 5
    assert "node 'a' (Q) reads 'image'" in str(caught.value) and "nearest: 'Image'" in str(caught.value)
    assert "'b' (Q) reads 'gone'" in str(caught.value)


def test_an_output_that_is_not_there_is_refused() -> None:
    with pytest.raises(SurgeonError) as caught:
        parse_graph("graph v1\noutputs: scores\nscore = P()\n").check()
    assert codes(caught) == ["G109"]


def test_equality_and_digest_see_every_part() -> None:
    base = "graph v1\noutputs: b\na = P() {k: 1}\nb = Q(a)\n"
    graph = parse_graph(base)
    assert graph == parse_graph(base, "elsewhere") and graph.digest() == parse_graph(base).digest()
    for old, new in [
        ("k: 1", "k: 2"),
        ("k: 1", "k: 1.0"),
        ("(a)", "(a:1)"),
        ("(a)", "(^a)"),
        ("P()", "R()"),
        ("outputs: b", "outputs: a"),
        ("v1", "v1\nversions: 1 2"),
        ("v1", "v1\nlibrary: 00"),
        ("v1", "v1\nextra: 00"),
        ("= P() {k: 1}", '= P() {k: 1} @"/gpu"'),
    ]:
        other = parse_graph(base.replace(old, new))
        assert other.digest() != graph.digest()
        assert other != graph or new == "k: 1.0"
    assert graph != "graph" and repr(graph) == "<Graph of 2 nodes from <text>>"


def test_shapes_and_specs() -> None:
    shape = Shape.of(2, None, 3)
    assert (str(shape), shape.rank, shape.size, shape.is_static) == ("[2,?,3]", 3, None, False)
    assert (str(Shape()), Shape().rank, Shape().size) == ("[...]", None, None)
    assert Shape.of(2, 3).size == 6 and Shape.of().size == 1 and Shape.of(2, 3).static() == (2, 3)
    with pytest.raises(ValueError, match="not static"):
        shape.static()
    assert (
        shape.compatible(Shape.of(2, 5, 3))
        and shape.compatible(Shape())
        and not shape.compatible(Shape.of(2, 5, 4))
    )
    assert not shape.compatible(Shape.of(2, 5))
    spec = TensorSpec.of("float32", 1, None)
    assert str(spec) == "float32[1,?]" and str(TensorSpec()) == "?[...]"
    assert spec.compatible(TensorSpec()) and not spec.compatible(TensorSpec.of("int32", 1, None))


def test_attribute_lists_hold_one_kind() -> None:
    assert attr_list([1, 2]) == (1, 2)
    for mixed in ([1, 1.0], [True, 1], [b"a", DType.FLOAT32]):
        with pytest.raises(TypeError, match="one kind"):
            attr_list(mixed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (TensorValue(DType.FLOAT32, (3,), np.float32(2).tobytes()), [2, 2, 2]),
        (TensorValue(DType.INT64, (2, 2), b""), [[0, 0], [0, 0]]),
        (TensorValue(DType.INT8, (4,), b"\x01\x02"), [1, 2, 2, 2]),
        (TensorValue(DType.STRING, (3,), (b"a", b"b")), [b"a", b"b", b"b"]),
        (TensorValue(DType.STRING, (2,), ()), [b"", b""]),
        (TensorValue.of([[1.5]], DType.FLOAT16), [[1.5]]),
        (TensorValue.of(["a", b"b"]), [b"a", b"b"]),
        (TensorValue.of(True), True),
    ],
)
def test_tensor_values(value: TensorValue, expected: Any) -> None:
    array = value.array()
    assert array.tolist() == expected and array.shape == value.shape and value.spec.shape.size == array.size
    full = TensorValue.of(array, value.dtype)
    assert value == full and full.digest() == value.digest()
    other = TensorValue.of(
        np.zeros_like(array)
        if array.dtype.kind != "O" and array.any()
        else np.array(["z"] * array.size).reshape(array.shape)
        if array.dtype.kind == "O"
        else array + 1,
        value.dtype,
    )
    assert value != other and value.digest() != other.digest()


def test_a_huge_repeated_value_is_not_expanded() -> None:
    value = TensorValue(DType.FLOAT32, (1 << 15, 1 << 14), np.float32(1).tobytes())
    assert value.nbytes == 1 << 31 and value.array()[5, 5] == 1
    assert value.digest() == TensorValue(DType.FLOAT32, (1 << 15, 1 << 14), np.float32(1).tobytes()).digest()
    assert value != TensorValue(DType.FLOAT32, (1 << 15, 1 << 14), np.float32(2).tobytes())
    with pytest.raises(ValueError, match="would need"):
        TensorValue(DType.FLOAT32, (1 << 20, 1 << 20), b"").buffer()


@pytest.mark.parametrize(
    ("shape", "stored", "reason"),
    [
        ((2, 3), 6, None),
        ((2, 3), 1, None),
        ((0, 3), 0, None),
        ((), 1, None),
        ((2, 3), 7, "it holds 7 values"),
        ((-1,), 0, "no negative dimension"),
        ((1,) * 33, 1, "33 axes"),
        ((1 << 40, 1 << 40), 1, "takes"),
        ((0, 1 << 62, 1 << 62), 0, "takes"),
    ],
)
def test_what_a_constant_can_be(shape: tuple[int, ...], stored: int, reason: str | None) -> None:
    found = misfit(DType.FLOAT32, shape, stored)
    assert found is None if reason is None else found is not None and reason in found
