"""The step collapse: what is taken out, what reads what afterwards, and every refusal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest

from surgeon.diagnostics import SurgeonError
from surgeon.graph import Drop, Graph, Ref, apply_edits, parse_graph, print_graph
from surgeon.language import NamespaceRule
from surgeon.steps.collapse import Collapse
from surgeon.steps.step import NodeSpec, StepContext

BASE = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[1,4]}
pre/a = Neg(x) {T: float32}
pre/b = Abs(pre/a) {T: float32}
net/y = Exp(pre/b) {T: float32}
post/p = Neg(net/y) {T: float32}
post/q = Abs(post/p) {T: float32}
out = Identity(post/q) {T: float32}
"""


def new(name: str, op: str = "Relu", **options: Any) -> NodeSpec:
    return NodeSpec(name, op, is_plugin=True, **options)


def collapse(
    text: str,
    nodes: list[NodeSpec],
    namespaces: Mapping[str, str] | None = None,
    wanted: tuple[str, ...] = (),
    **options: Any,
) -> tuple[Graph, list[Any]]:
    graph = parse_graph(text)
    rules = {
        k.removesuffix("?"): NamespaceRule(node=v, optional=k.endswith("?"))
        for k, v in (namespaces or {}).items()
    }
    context = StepContext(graph, nodes={n.name: n for n in nodes}, namespaces=rules, outputs=wanted)
    edits = Collapse(**options).plan(context)
    return apply_edits(graph, edits), edits


def refused(code: str, *args: Any, **options: Any) -> str:
    with pytest.raises(SurgeonError) as caught:
        collapse(*args, **options)
    assert caught.value.diagnostics[0].code == code, str(caught.value)
    return str(caught.value)


def test_namespaces_become_nodes_and_readers_follow() -> None:
    graph, edits = collapse(
        BASE,
        [new("In", "Placeholder", like=Ref("pre/b")), new("Post")],
        {"x": "In", "pre": "In", "post": "Post"},
        ("out",),
    )
    assert [n.name for n in graph] == ["In", "net/y", "Post", "out"]
    assert graph["net/y"].inputs == (Ref("In"),) and graph["Post"].inputs == (Ref("net/y"),)
    assert graph["out"].inputs == (Ref("Post"),) and graph.outputs == (Ref("out"),)
    assert {e.name: e.into for e in edits if isinstance(e, Drop)}["post/q"] == "Post"


def test_the_longest_prefix_wins_by_whole_components() -> None:
    text = BASE.replace("net/y", "post_1/y")
    graph, _ = collapse(text, [new("A"), new("B", inputs=("A",))], {"post": "A", "post/q": "B"}, ("B",))
    assert "post_1/y" in graph
    assert graph["A"].inputs == (Ref("post_1/y"),) and graph["B"].inputs == (Ref("A"),)


def test_an_unmatched_key_is_an_error_unless_optional() -> None:
    assert "nearest: 'post'" in refused("R201", BASE, [new("A")], {"posst": "A"}, ("out",))
    graph, _ = collapse(BASE, [new("A")], {"posst?": "A", "post": "A"}, ("A",))
    assert "A" in graph


def test_another_tensor_than_like_is_refused_for_a_live_reader() -> None:
    text = BASE + "side = Neg(pre/a) {T: float32}\nboth = Add(out, side) {T: float32}\n"
    message = refused(
        "S305", text, [new("In", "Placeholder", like=Ref("pre/b"))], {"x": "In", "pre": "In"}, ("both",)
    )
    assert "'side' reads 'pre/a'" in message


def test_a_dead_reader_of_another_tensor_goes_with_its_readers() -> None:
    text = BASE + "side = Neg(pre/a) {T: float32}\nrest = Abs(side) {T: float32}\n"
    graph, edits = collapse(
        text, [new("In", "Placeholder", like=Ref("pre/b"))], {"x": "In", "pre": "In"}, ("out",)
    )
    assert "side" not in graph and "rest" not in graph
    assert any(isinstance(e, Drop) and e.name == "rest" and "side" in e.fate for e in edits)


def test_several_tensors_read_from_one_group_need_outputs() -> None:
    text = BASE + "also = Neg(post/p) {T: float32}\nboth = Add(out, also) {T: float32}\n"
    refused("S305", text, [new("Post")], {"post": "Post"}, ("both",))
    graph, _ = collapse(
        text,
        [new("Post", ports=("first", "second"))],
        {"post": "Post"},
        ("both",),
        outputs={"post/p": "Post:first", "post/q": "Post:second"},
    )
    assert graph["also"].inputs == (Ref("Post"),) and graph["out"].inputs == (Ref("Post", 1),)


def test_a_replacement_that_is_several_tensors_is_refused() -> None:
    nodes = [new("Post", ports=("first", "second"))]
    refused("S304", BASE, nodes, {"post": "Post"}, ("out",), outputs={"post/q": "Post:*"})


def test_declared_inputs_may_leave_out_reshapes_but_no_arithmetic() -> None:
    text = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[1,4]}
boxes/c = Neg(x) {T: float32}
Squeeze = Squeeze(boxes/c) {T: float32}
post/p = Abs(Squeeze) {T: float32}
"""
    nodes = [new("Boxes"), new("Post", inputs=("Boxes",))]
    graph, _ = collapse(text, nodes, {"boxes": "Boxes", "post": "Post"}, ("Post",))
    assert graph["Post"].inputs == (Ref("Boxes"),)
    scaled = text.replace("Squeeze = Squeeze(boxes/c)", "Squeeze = Square(boxes/c)")
    assert "'Squeeze' (Square)" in refused(
        "S307", scaled, nodes, {"boxes": "Boxes", "post": "Post"}, ("Post",)
    )


def test_a_group_that_is_left_and_entered_again_is_refused() -> None:
    text = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[1,4]}
g/a = Neg(x) {T: float32}
between = Abs(g/a) {T: float32}
g/b = Add(between, g/a) {T: float32}
out = Neg(g/b) {T: float32}
"""
    message = refused(
        "S306", text, [new("G", ports=("a", "b"))], {"g": "G"}, ("out",), outputs={"g/a": "G:a", "g/b": "G:b"}
    )
    assert "'between'" in message


def test_control_edges_follow() -> None:
    text = BASE.replace("post/p = Neg(net/y)", "guard = NoOp(^pre/a)\npost/p = Neg(net/y, ^guard)").replace(
        "out = Identity(post/q)", "out = Identity(post/q, ^post/p)"
    )
    graph, _ = collapse(text, [new("Post")], {"post": "Post"}, ("out",))
    assert graph["out"].control == ("Post",)
    assert graph["Post"].control == ()
    kept, _ = collapse(
        text.replace("net/y = Exp(pre/b)", "net/y = Exp(pre/b, ^guard)")
        .replace("guard = NoOp(^pre/a)\n", "")
        .replace("net/y =", "guard = NoOp(^pre/a)\nnet/y ="),
        [new("Post")],
        {"post": "Post"},
        ("out",),
    )
    assert kept["Post"].control == ("guard",)


def test_a_list_goes_into_one_node_and_keep_stays() -> None:
    graph, _ = collapse(BASE, [new("Post")], take=("post",), into="Post", outputs={}, keep=("post/p",))
    assert graph["Post"].inputs == (Ref("post/p"),)
    refused("S303", BASE, [new("Post")], take=("post",))
    refused("S302", BASE, [new("Post")], take=("post",), into="Nothing")


def test_a_node_that_ignores_its_inputs_reads_nothing() -> None:
    graph, _ = collapse(BASE, [new("Post", ignores_inputs=True)], {"post": "Post"}, ("out",))
    assert graph["Post"].inputs == ()


def test_a_declared_input_without_a_namespace_is_put_in_too() -> None:
    nodes = [new("Post", inputs=("Joined",)), new("Joined", "Neg", inputs=("net/y",))]
    graph, _ = collapse(BASE, nodes, {"post": "Post"}, ("Post",))
    assert graph["Joined"].inputs == (Ref("net/y"),) and graph["Post"].inputs == (Ref("Joined"),)


def test_a_node_in_front_reads_what_the_namespace_read() -> None:
    nodes = [new("Post", inputs=("Middle",)), new("Middle", "Neg", inputs=("Front",)), new("Front", "Abs")]
    graph, _ = collapse(BASE, nodes, {"post": "Post"}, ("Post",))
    direct, _ = collapse(BASE, [new("Post")], {"post": "Post"}, ("Post",))
    assert graph["Front"].inputs == direct["Post"].inputs and graph["Front"].inputs
    assert graph["Middle"].inputs == (Ref("Front"),) and graph["Post"].inputs == (Ref("Middle"),)


def test_of_two_nodes_in_front_none_reads_for_the_namespace() -> None:
    nodes = [new("Post", inputs=("Front", "net/y")), new("Front", "Abs")]
    graph, _ = collapse(BASE, nodes, {"post": "Post"}, ("Post",))
    assert graph["Front"].inputs == ()


def test_outputs_that_a_later_step_puts_in_are_left_to_it() -> None:
    graph, _ = collapse(BASE, [new("Post"), new("Later")], {"post": "Post"}, ("Later",))
    assert "Post" in graph and "Later" not in graph and "out" in graph


def test_a_node_in_front_that_reads_nothing_stays_so() -> None:
    nodes = [new("Post", inputs=("Front",)), new("Front", "Const", inputs=())]
    graph, _ = collapse(BASE, nodes, {"post": "Post"}, ("Post",))
    assert graph["Front"].inputs == ()


@pytest.mark.determinism
def test_the_result_does_not_depend_on_the_map_order() -> None:
    nodes = [new("In", "Placeholder", like=Ref("pre/b")), new("Post")]
    one, _ = collapse(BASE, nodes, {"x": "In", "pre": "In", "post": "Post"}, ("Post",))
    two, _ = collapse(BASE, nodes, {"post": "Post", "pre": "In", "x": "In"}, ("Post",))
    assert print_graph(one) == print_graph(two)


def test_cost_is_linear_in_the_nodes() -> None:
    lines = ["graph v1", "x = Placeholder() {dtype: float32, shape: shape[1]}", "pre/0 = Neg(x)"]
    lines += [f"pre/{i} = Neg(pre/{i - 1})" for i in range(1, 10_000)]
    lines += ["net/0 = Neg(pre/9999)"] + [f"net/{i} = Neg(net/{i - 1})" for i in range(1, 10_000)]
    start = time.perf_counter()
    graph, _ = collapse("\n".join(lines), [new("Pre")], {"pre": "Pre"}, ("net/9999",))
    assert len(graph) == 10_002 and time.perf_counter() - start < 10
