"""Batches of edits: what each does, and what is refused."""

from __future__ import annotations

import pytest

from surgeon.diagnostics import Span, SurgeonError
from surgeon.graph import (
    Add,
    Drop,
    Edit,
    Graph,
    Node,
    Ref,
    Rewire,
    SetAttr,
    SetOp,
    SetOutputs,
    apply_edits,
    parse_graph,
    parse_node,
    print_graph,
)

BASE = "graph v1\noutputs: c\na = P()\nb = Q(a, a:1, ^a) {k: 1}\nc = R(b)\n"
SPAN = Span("r.yaml", 3, 5, 4, "  - drop: b")


def edited(*edits: Edit, base: str = BASE) -> str:
    graph = parse_graph(base)
    before = print_graph(graph)
    result = apply_edits(graph, edits)
    assert print_graph(graph) == before
    return print_graph(result).removeprefix("graph v1\n")


def refused(*edits: Edit, base: str = BASE) -> tuple[str, str]:
    with pytest.raises(SurgeonError) as caught:
        apply_edits(parse_graph(base), edits)
    return caught.value.diagnostics[0].code, str(caught.value)


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ([], BASE.removeprefix("graph v1\n")),
        (
            [Add(parse_node("d = S(c)"))],
            "outputs: c\na = P()\nb = Q(a, a:1, ^a) {k: 1}\nc = R(b)\nd = S(c)\n",
        ),
        (
            [Add(parse_node("d = S()"), before="b")],
            "outputs: c\na = P()\nd = S()\nb = Q(a, a:1, ^a) {k: 1}\nc = R(b)\n",
        ),
        (
            [Add(parse_node("d = S()"), before="nowhere")],
            "outputs: c\na = P()\nb = Q(a, a:1, ^a) {k: 1}\nc = R(b)\nd = S()\n",
        ),
        ([Drop("b", "cut"), Rewire("c", (Ref("a"),))], "outputs: c\na = P()\nc = R(a)\n"),
        (
            [Drop("b", "replaced"), Add(parse_node("b = S(a)"), before="b")],
            "outputs: c\na = P()\nb = S(a)\nc = R(b)\n",
        ),
        ([Rewire("b", (Ref("a", 3),))], "outputs: c\na = P()\nb = Q(a:3, ^a) {k: 1}\nc = R(b)\n"),
        ([Rewire("b", control=())], "outputs: c\na = P()\nb = Q(a, a:1) {k: 1}\nc = R(b)\n"),
        ([Rewire("b", (), ("a",))], "outputs: c\na = P()\nb = Q(^a) {k: 1}\nc = R(b)\n"),
        (
            [SetAttr("b", "k", 2.0), SetAttr("a", "d", b"x")],
            'outputs: c\na = P() {d: "x"}\nb = Q(a, a:1, ^a) {k: 2.0}\nc = R(b)\n',
        ),
        (
            [SetAttr("b", "k", None), SetAttr("b", "none", None)],
            "outputs: c\na = P()\nb = Q(a, a:1, ^a)\nc = R(b)\n",
        ),
        (
            [SetOp("c", "T"), SetAttr("c", "k", True)],
            "outputs: c\na = P()\nb = Q(a, a:1, ^a) {k: 1}\nc = T(b) {k: true}\n",
        ),
        (
            [SetOutputs((Ref("b", 1), Ref("a")))],
            "outputs: b:1, a\na = P()\nb = Q(a, a:1, ^a) {k: 1}\nc = R(b)\n",
        ),
        ([SetOutputs(()), Drop("c", "cut")], "a = P()\nb = Q(a, a:1, ^a) {k: 1}\n"),
    ],
)
def test_each_kind_of_edit(edits: list[Edit], expected: str) -> None:
    assert edited(*edits) == expected


@pytest.mark.parametrize("edit", [Drop("x", "cut"), Rewire("x"), SetAttr("x", "k", 1), SetOp("x", "T")])
def test_an_edit_of_a_node_that_is_not_there_is_refused(edit: Edit) -> None:
    code, text = refused(edit)
    assert code == "S101" and "'x'" in text


def test_a_name_is_taken_once() -> None:
    assert refused(Add(Node("a", "S")))[0] == "S102"
    assert refused(Add(Node("d", "S")), Add(Node("d", "S")))[0] == "S102"
    assert "nothing" not in refused(Add(Node("a", "S")))[1]


@pytest.mark.parametrize(
    ("edits", "text"),
    [
        ([Drop("b", "cut", span=SPAN)], "'c' (R) reads it"),
        ([Drop("a", "cut", span=SPAN), Rewire("b", ())], "'b' (Q) after it"),
        ([Drop("c", "cut", span=SPAN)], "it is an output"),
        ([Drop("c", "cut", span=SPAN), SetOutputs((Ref("c"),))], "it is an output"),
    ],
)
def test_a_node_that_is_still_read_stays(edits: list[Edit], text: str) -> None:
    code, shown = refused(*edits)
    assert code == "S103" and text in shown and "(cut)" in shown
    assert shown.startswith("r.yaml:3:5: ") or "SetOutputs" in repr(edits)


@pytest.mark.parametrize(
    ("edits", "code"),
    [
        ([Add(Node("d", "S", (Ref("gone"),)))], "G106"),
        ([Rewire("a", (Ref("c"),))], "G107"),
        ([SetOutputs((Ref("gone"),))], "G109"),
    ],
)
def test_the_result_is_a_valid_graph(edits: list[Edit], code: str) -> None:
    assert refused(*edits)[0] == code


def test_colocation_with_what_is_gone_is_dropped() -> None:
    base = 'graph v1\na = P()\nb = Q() {_class: ["loc:@a", "loc:@c"]}\nc = Q() {_class: ["loc:@a"]}\nd = Q() {_class: ["loc:@b"]}\n'
    assert (
        edited(Drop("a", "cut"), base=base)
        == 'b = Q() {_class: ["loc:@c"]}\nc = Q()\nd = Q() {_class: ["loc:@b"]}\n'
    )
    replaced = edited(Drop("a", "cut"), Add(Node("a", "S")), base=base)
    assert replaced.count("loc:@a") == 2


def test_a_large_batch_is_applied_in_linear_time() -> None:
    count = 20_000
    graph = Graph(Node(f"n{i}", "P", (Ref(f"n{i - 1}"),) if i else ()) for i in range(count))
    edits: list[Edit] = [Drop(f"n{i}", "cut") for i in range(1, count, 2)]
    edits += [Rewire(f"n{i}", (Ref(f"n{i - 2}"),)) for i in range(2, count, 2)]
    edits += [Add(Node(f"m{i}", "S"), before=f"n{i}") for i in range(1, count, 2)]
    result = apply_edits(graph, edits)
    assert [n.name for n in result][:4] == ["n0", "m1", "n2", "m3"] and len(result) == count


def test_no_edits_leave_a_sound_graph_and_refuse_another() -> None:
    sound = parse_graph("graph v1\nx = P()\ny = Q(x)\n")
    assert apply_edits(sound, []) == sound
    with pytest.raises(SurgeonError, match="G106"):
        apply_edits(parse_graph("graph v1\ny = Q(x)\n"), [])
