"""What a node reaches by data, the sets of operations, and names that are free."""

from __future__ import annotations

import re

import pytest

from surgeon.diagnostics import SurgeonError
from surgeon.graph import Graph, Node, Ref, Shape, op_sets, parse_graph
from surgeon.graph.op_sets import is_data_default
from surgeon.graph.reach import before_identities, downstream, needed_by_data, upstream, varying

GRAPH = parse_graph(
    """graph v1
picture = Placeholder()
scaled = Mul(picture, factor, ^check)
factor = Const(^picture)
check = Assert(ok)
ok = Const()
size = Shape(scaled)
grid = Range(size)
boxes = Add(scaled, grid)
aside = Relu(picture)
outputs: boxes
"""
)
LOOP = parse_graph(
    """graph v1
start = Const()
enter = Enter(start)
merge = Merge(enter, next)
switch = Switch(merge, merge)
body = Add(switch:1, switch:1)
next = NextIteration(body)
exit = Exit(switch)
"""
)


def test_upstream_follows_data_and_not_control() -> None:
    assert upstream(GRAPH, ["boxes"]) == {"boxes", "scaled", "picture", "factor", "grid", "size"}
    assert upstream(GRAPH, ["boxes"], stop="scaled") == {"boxes", "grid", "size"}
    assert upstream(GRAPH, ["check", "not there"]) == {"check", "ok"}
    assert upstream(LOOP, ["exit"]) == set(LOOP.nodes)


def test_what_the_outputs_need_by_data() -> None:
    assert needed_by_data(GRAPH) == {"boxes", "scaled", "picture", "factor", "grid", "size"}
    assert needed_by_data(GRAPH.replace(outputs=())) == set(GRAPH.nodes) - {"check", "ok"}


def test_downstream_follows_data_and_not_control() -> None:
    assert downstream(GRAPH, ["picture"]) == {"picture", "scaled", "size", "grid", "boxes", "aside"}
    assert downstream(GRAPH, ["factor"], until=lambda node: node.op == "Add") == {
        "factor",
        "scaled",
        "size",
        "grid",
    }
    assert downstream(GRAPH, ["factor"], until=lambda node: node.op == "Const") == set()
    assert downstream(LOOP, ["body"]) == set(LOOP.nodes) - {"start", "enter"}
    with pytest.raises(SurgeonError, match="no node 'not there'"):
        downstream(GRAPH, ["not there"])


def test_what_varies_does_not_depend_on_sizes_alone() -> None:
    assert varying(GRAPH, ["picture"]) == {"picture", "scaled", "boxes", "aside"}


def test_a_walk_is_linear_in_the_edges_of_a_wide_node() -> None:
    wide = [Node(f"part{i}", "Relu", (Ref("x"),)) for i in range(20_000)]
    graph = Graph([Node("x", "Placeholder"), *wide, Node("all", "Pack", tuple(Ref(n.name) for n in wide))])
    assert len(downstream(graph, ["x"])) == len(upstream(graph, ["all"])) == len(graph)


def test_identities_are_passed_over_by_slot() -> None:
    graph = parse_graph(
        "graph v1\na = P()\nb = Q()\nboth = IdentityN(a, b:2)\nkept = EnsureShape(both:1)\nc = Identity(kept)\n"
        "d = Identity(c:3)\nround = Identity(round)\n"
    )
    assert before_identities(graph, Ref("c")) == Ref("b", 2)
    assert before_identities(graph, Ref("both")) == Ref("a")
    assert before_identities(graph, Ref("d")) == Ref("c", 3)
    assert before_identities(graph, Ref("both", 2)) == Ref("both", 2)
    assert before_identities(graph, Ref("round")) == Ref("round")


def test_a_default_of_rank_2_is_data() -> None:
    node = Node("x", "PlaceholderWithDefault", (Ref("y"),))
    assert not is_data_default(node)
    assert not is_data_default(node.with_attr("shape", Shape(None)))
    assert not is_data_default(node.with_attr("shape", Shape((1,))))
    assert is_data_default(node.with_attr("shape", Shape((4,))))
    assert is_data_default(node.with_attr("shape", Shape((None, 4))))


def test_operations_without_an_output_are_no_terminals() -> None:
    graph = parse_graph("graph v1\na = P()\nb = Q(a)\nc = Assert(a)\nd = PrintV2(a)\ne = NoOp(^a)\n")
    assert graph.terminals == ("b",)


def test_every_set_holds_operations() -> None:
    named = {name: value for name, value in vars(op_sets).items() if name.isupper()}
    sets = {name: value for name, value in named.items() if not isinstance(value, re.Pattern)}
    assert len(sets) >= 12
    assert all(isinstance(ops, frozenset) and all(op[0].isupper() for op in ops) for ops in sets.values())


def test_a_free_name_is_counted_up() -> None:
    graph = parse_graph("graph v1\na = P()\na_1 = P()\n")
    assert graph.free_name("b") == "b"
    assert graph.free_name("a") == "a_2"
    assert graph.free_name("a", {"a_2"}, ["a_3"]) == "a_4"
    assert graph.free_name("b", {"b"}) == "b_1"
    assert graph.free_name("a", first=0) == "a_0"
