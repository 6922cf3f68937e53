"""Steps that take nodes out: remove, remove-asserts, forward, forward-identities, prune, cut-at."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from step_calls import make, refused, text

from surgeon.diagnostics import Span, SurgeonError
from surgeon.graph import Drop, DType, Edit, Graph, Node, Ref, Rewire, apply_edits, print_graph
from surgeon.steps.example import run_step
from surgeon.steps.removal import unneeded
from surgeon.steps.step import StepContext


def names(graph: Graph) -> list[str]:
    return [n.name for n in graph]


READ = text("""
x = Placeholder() {dtype: float32, shape: shape[1,4]}
a = Neg(x) {T: float32}
b = Relu(a) {T: float32}
""")


def test_remove_refuses_where_a_reader_stays() -> None:
    shown = refused("S103", "remove", READ, nodes=["a"])
    assert "'a'" in shown and "'b' (Relu) reads it" in shown


def test_remove_disconnects_on_demand_and_counts_inputs() -> None:
    graph = text("a = Const()\nb = Const()\nc = AddN(a, b, a) {N: 3}")
    made = run_step(make("remove", nodes=["a"], disconnect=True), graph)
    assert made["c"].inputs == (Ref("b"),) and made["c"].attrs["N"] == 1


def test_remove_drops_control_edges_and_keeps_the_others() -> None:
    graph = text("a = Const()\nb = Const()\nc = Relu(b, ^a, ^b)")
    assert run_step(make("remove", nodes=["a"]), graph)["c"].control == ("b",)


def test_remove_of_an_output_is_refused() -> None:
    graph = text("outputs: b\nx = Const()\nb = Neg(x)")
    assert "it is an output" in refused("S103", "remove", graph, nodes=["b"])


def test_unmatched_entries_are_refused_with_the_nearest_name() -> None:
    graph = text("Preprocessor/sub = Const()\ny = Neg(Preprocessor/sub)")
    assert "nearest: 'Preprocessor'" in refused("R201", "remove", graph, nodes=["Preprocesor"])
    refused("R201", "remove", graph, nodes=[{"op": "Assert"}])
    assert (
        run_step(make("remove", nodes=["Preprocesor?", {"op": "Assert", "optional": True}]), graph) == graph
    )


def test_exclusive_spares_placeholders_outputs_and_what_others_read() -> None:
    graph = text("""
outputs: y, kept
x = Placeholder()
shared = Const()
own = Const()
kept = Neg(x)
mid = Pack(own, shared, kept)
gone = Assert(mid, x)
y = Relu(shared)
""")
    made = run_step(make("remove", nodes=["gone"], exclusive=True), graph)
    assert names(made) == ["x", "shared", "kept", "y"]


def test_exclusive_takes_a_loop_that_feeds_only_the_removed() -> None:
    graph = text("""
x = Placeholder()
one = Const()
w/enter = Enter(one)
w/merge = Merge(w/enter, w/next)
w/less = Less(w/merge, w/merge)
w/switch = Switch(w/merge, w/less)
w/add = Neg(w/switch:1)
w/next = NextIteration(w/add)
w/exit = Exit(w/switch)
gone = Relu(w/exit)
y = Relu(x)
""")
    assert names(run_step(make("remove", nodes=["gone"], exclusive=True), graph)) == ["x", "y"]


def test_exclusive_needs_the_flag() -> None:
    graph = text("x = Placeholder()\nown = Const()\ngone = Neg(own)\ny = Relu(x)")
    assert "own" in run_step(make("remove", nodes=["gone"]), graph)


def test_unneeded_keeps_what_an_exclusive_node_shares_by_control() -> None:
    graph = text("a = Const()\nb = Neg(a)\nc = Relu(b)\nd = NoOp(^a)")
    assert unneeded(graph, ["c"], {}) == ["b"]


def test_remove_asserts_without_asserts_changes_nothing() -> None:
    assert make("remove-asserts").plan(StepContext(READ)) == []


def test_remove_asserts_leaves_a_graph_without_references_to_them() -> None:
    graph = text("""
x = Placeholder()
ok = Less(x, x)
a1 = Assert(ok)
a2 = Assert(ok, ^a1)
group = NoOp(^a1, ^a2)
log = PrintV2(x)
y = Relu(x, ^group, ^log)
""")
    made = run_step(make("remove-asserts"), graph)
    assert (
        names(made) == ["x", "group", "y"] and made["y"].control == ("group",) and made["group"].control == ()
    )


LOOPED = text("""
x = Placeholder()
e = Enter(x)
m = Merge(e, n)
l = Less(m, m)
s = Switch(m, l)
pivot = Identity(s:1)
sum = Neg(pivot)
ok = Less(sum, sum)
check = Assert(ok)
c = Const(^check)
z = Add(sum, c)
n = NextIteration(z)
exit = Exit(s, ^check)
""")


def test_remove_asserts_leaves_constants_in_their_loop() -> None:
    made = run_step(make("remove-asserts"), LOOPED)
    assert [n.name for n in LOOPED if n.name not in made] == ["ok", "check"] and made["c"].control == ("sum",)


def test_remove_refuses_what_alone_ties_a_constant_to_its_branch() -> None:
    graph = text(
        "p = Const()\nx = Const()\ns = Switch(x, p)\ncheck = Assert(s:1)\nc = Const(^check)\nm = Merge(c, s)"
    )
    assert "'c' (Const) after" in refused("S103", "remove", graph, nodes=["check"])


def test_forward_joins_readers_to_the_chosen_input() -> None:
    graph = text("a = Const()\nb = Const()\nc = Foo(a, b:3, ^a)\nd = Relu(c, ^b)\ne = NoOp(^c)")
    made = run_step(make("forward", nodes=["c"], input=1), graph)
    assert (
        made["d"].inputs == (Ref("b", 3),)
        and made["d"].control == ("a", "b")
        and made["e"].control == ("b", "a")
    )


def test_forward_refuses_a_missing_input() -> None:
    assert "has 1 data inputs" in refused("S205", "forward", READ, nodes=["a"], input=1)


def test_forward_refuses_a_reader_of_a_higher_output() -> None:
    graph = text("a = Const()\nb = Split(a, a)\nc = Relu(b:1)")
    assert "'c' reads its output 1" in refused("S205", "forward", graph, nodes=["b"])


def test_forward_refuses_another_type_or_shape() -> None:
    graph = text("""
x = Placeholder() {dtype: uint8, shape: shape[1,4]}
y = Placeholder() {dtype: float32, shape: shape[1,4]}
z = Cast(x) {SrcT: uint8, DstT: float32}
w = Relu(z)
""")
    shown = refused("S204", "forward", graph, nodes=["z"])
    assert "uint8[1,4]" in shown and "float32[1,4]" in shown


SWITCHED = text("""
p = Placeholder() {dtype: bool, shape: shape[]}
x = Placeholder() {dtype: float32, shape: shape[1]}
s = Switch(x, p)
t = Identity(s:1)
u = Identity(t)
c = Const(^u) {dtype: float32, value: tensor<float32[]: 1.0>}
y = Add(u, c)
""")


def test_forward_identities_keeps_the_branch_that_a_control_edge_names() -> None:
    made = run_step(make("forward-identities"), SWITCHED)
    assert names(made) == ["p", "x", "s", "u", "c", "y"]
    assert made["u"].inputs == (Ref("s", 1),) and made["c"].control == ("u",)


def test_forward_refuses_behind_a_switch() -> None:
    assert "behind the Switch 's'" in refused("S205", "forward", SWITCHED, nodes=["t", "u"])


def test_forward_identities_keeps_a_control_input_away_from_a_merge() -> None:
    graph = text(
        "a = Const()\nb = Const()\nc = Const()\ni = Identity(a, ^c)\nj = Identity(i)\nm = Merge(j, b)\nn = Neg(m)"
    )
    made = run_step(make("forward-identities"), graph)
    assert "j" in made and made["j"].control == ("c",) and made["m"].control == ()


def test_forward_identities_moves_control_inputs_along_a_chain() -> None:
    graph = text(
        "a = Const()\nc = Const()\nd = Const()\ni = Identity(a, ^c)\nj = Identity(i, ^d)\ny = Neg(j, ^j)"
    )
    made = run_step(make("forward-identities"), graph)
    assert made["y"] == Node("y", "Neg", (Ref("a"),), ("d", "c", "a"))


def test_forward_identities_keeps_outputs_and_ends() -> None:
    graph = text("outputs: i\na = Split()\ni = Identity(a:1)\ny = Neg(i)\nz = Identity(y)")
    assert names(run_step(make("forward-identities"), graph)) == ["a", "i", "y", "z"]
    plain = text("a = Split()\ni = Identity(a:1)\ny = Neg(i)")
    assert names(run_step(make("forward-identities"), plain, outputs=("i:0",))) == ["a", "i", "y"]
    assert run_step(make("forward-identities"), plain)["y"].inputs == (Ref("a", 1),)


def test_prune_prefers_the_outputs_of_the_recipe() -> None:
    graph = text("a = Const()\nb = Neg(a)\nc = Relu(b)\nd = Relu(a, ^c)\ne = NoOp(^a)")
    prune = make("prune")
    assert names(run_step(prune, graph)) == ["a", "b", "c", "d"]
    assert names(run_step(prune, graph, outputs=("b",))) == ["a", "b"]
    assert names(run_step(prune, graph, outputs=("NMS",))) == ["a", "b", "c", "d"], "not in the graph yet"
    declared = graph.replace(outputs=[Ref("c")])
    assert names(run_step(prune, declared, outputs=("b",))) == ["a", "b", "c"]


def test_prune_says_unused() -> None:
    edits = make("prune").plan(StepContext(text("a = Const()\nb = Neg(a)\nc = Const()")))
    assert edits == [Drop("c", "unused")]


def test_prune_refuses_a_graph_without_outputs() -> None:
    refused("S216", "prune", text("a = Const()\nb = NoOp(^a)"))


def test_cut_at_a_loop_takes_all_before_it() -> None:
    graph = text("""
image = Placeholder() {dtype: float32, shape: shape[1,4]}
w/enter = Enter(image)
w/merge = Merge(w/enter, w/next)
w/next = NextIteration(w/merge)
w/exit = Exit(w/merge)
sub = PlaceholderWithDefault(w/exit) {dtype: float32, shape: shape[1,4]}
y = Relu(sub, ^w/exit)
z = NoOp(^sub)
""")
    made = run_step(
        make("cut-at", tensors=["sub", "w/exit"], **{"as": ["Input", "raw"]}),
        graph.replace(
            [
                n
                if n.name != "w/exit"
                else Node("w/exit", "PlaceholderWithDefault", n.inputs, attrs={"dtype": DType.FLOAT32})
                for n in graph
            ]
        ),
    )
    assert names(made) == ["raw", "Input", "y", "z"]
    assert made["y"] == Node("y", "Relu", (Ref("Input"),), ("raw",)) and made["z"].control == ("Input",)


def test_cut_at_keeps_the_name_by_default_and_ports() -> None:
    graph = text("""
x = Placeholder() {dtype: float32, shape: shape[1,4]}
a = PlaceholderWithDefault(x) {dtype: float32, shape: shape[1,4]}
y = Neg(a)
""")
    made = run_step(make("cut-at", tensors=["a"]), graph)
    assert names(made) == ["a", "y"] and made["a"].op == "Placeholder" and made["a"].inputs == ()


def test_cut_at_refuses() -> None:
    graph = text("""
outputs: y, a
x = Placeholder() {dtype: float32, shape: shape[1,4]}
f = Foo(x)
a = PlaceholderWithDefault(x) {dtype: float32, shape: shape[1,4]}
y = Neg(a)
z = Neg(f)
""")
    assert "type is not known" in refused("S215", "cut-at", graph, tensors=["f"])
    assert "still needs" in refused("S215", "cut-at", graph, tensors=["a"])
    assert "still needs" in refused("S215", "cut-at", graph, tensors=["a"], **{"as": ["x"]})
    assert "listed twice" in refused("S215", "cut-at", graph, tensors=["a", "a"])
    assert "one name" in refused("S215", "cut-at", graph, tensors=["a", "x"], **{"as": ["i", "i"]})
    refused("S202", "cut-at", graph, tensors=["nope"])
    with pytest.raises(ValueError, match="1 name for 2"):
        make("cut-at", tensors=["a", "b"], **{"as": ["i"]})


def big(count: int) -> Graph:
    nodes = [Node("x", "Placeholder", attrs={"dtype": DType.FLOAT32})]
    for i in range(count // 5):
        last = nodes[-1].name if i else "x"
        nodes += [
            Node(f"n{i}/c", "Const"),
            Node(f"n{i}/ok", "Less", (Ref(last), Ref(f"n{i}/c"))),
            Node(f"n{i}/Assert", "Assert", (Ref(f"n{i}/ok"),)),
            Node(f"n{i}/id", "Identity", (Ref(last),), (f"n{i}/Assert",)),
            Node(f"n{i}/out", "AddV2", (Ref(f"n{i}/id"), Ref("x")), attrs={"T": DType.FLOAT32}),
        ]
    return Graph(nodes)


@pytest.mark.parametrize(
    ("keyword", "options", "left"),
    [
        ("prune", {}, 30_001),
        ("remove-asserts", {}, 12_001),
        ("forward-identities", {}, 24_001),
        ("replace-op", {"from": "AddV2", "to": "Add"}, 30_001),
    ],
)
def test_thirty_thousand_nodes_take_a_second(keyword: str, options: dict[str, Any], left: int) -> None:
    """Quadratic cost would take a minute; the bound is loose on purpose."""
    graph = big(30_000)
    start = time.perf_counter()
    assert len(run_step(make(keyword, **options), graph)) == left
    assert time.perf_counter() - start < 10


SPAN = Span("r.yaml", 3, 5)
PLACED: list[tuple[str, dict[str, Any]]] = [
    ("remove", {"nodes": ["l"]}),
    ("remove", {"nodes": ["a"], "disconnect": True, "exclusive": True}),
    ("forward", {"nodes": ["a"]}),
    ("forward-identities", {}),
    ("prune", {}),
    ("cut-at", {"tensors": ["a"], "as": ["Input"]}),
]


@pytest.mark.parametrize(("keyword", "options"), PLACED)
def test_every_edit_has_its_place(keyword: str, options: dict[str, Any]) -> None:
    graph = READ.replace([*READ, *text("i = Identity(x)\nk = Neg(i)\nl = NoOp(^a)\nm = NoOp(^l)")])
    asserted = graph.replace([*graph, Node("g", "Assert", (Ref("k"),))])
    edits: list[Edit] = make(keyword, **options).plan(
        StepContext(asserted, lambda path: SPAN if not path else None)
    )
    assert edits and all(edit.span == SPAN for edit in edits)
    checks = make("remove-asserts").plan(StepContext(asserted, lambda path: SPAN))
    assert checks and all(edit.span == SPAN for edit in checks)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    count = draw(st.integers(1, 14))
    nodes: list[Node] = []
    for i in range(count):
        inputs = draw(st.lists(st.integers(0, i - 1), max_size=3)) if i else []
        control = draw(st.lists(st.integers(0, i - 1), max_size=2, unique=True)) if i else []
        op = draw(st.sampled_from(["Neg", "Identity", "Assert", "Const"]))
        nodes.append(Node(f"n{i}", op, tuple(Ref(f"n{j}") for j in inputs), tuple(f"n{j}" for j in control)))
    outputs = draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=3, unique=True))
    return Graph(draw(st.permutations(nodes)), [Ref(f"n{i}") for i in outputs])


@given(graphs())
def test_prune_keeps_exactly_the_ancestors_of_the_outputs(graph: Graph) -> None:
    made = run_step(make("prune"), graph)
    needed: set[str] = {ref.node for ref in graph.outputs}
    for _ in graph:
        needed |= {source for name in needed for source in graph[name].sources}
    assert names(made) == [n.name for n in graph if n.name in needed]
    assert all(made[n.name] == n for n in graph if n.name in needed)


@given(graphs())
def test_exclusive_removal_takes_nothing_that_another_node_needs(graph: Graph) -> None:
    gone = [n.name for n in graph if n.op == "Assert"]
    more = set(unneeded(graph, gone, {}))
    outputs = {ref.node for ref in graph.outputs}
    for node in graph:
        if node.name in more:
            readers = graph.readers[node.name]
            assert node.name not in outputs and readers and all(r in more or r in gone for r in readers)
        elif node.name not in gone and node.name not in outputs and graph.readers[node.name]:
            assert any(r not in more and r not in gone for r in graph.readers[node.name])


@given(graphs())
def test_forwarding_identities_leaves_every_other_node_its_values(graph: Graph) -> None:
    made = run_step(make("forward-identities"), graph)

    def meaning(g: Graph, name: str) -> Any:
        node = g[name]
        if node.op == "Identity" and len(node.inputs) == 1:
            return meaning(g, node.inputs[0].node)
        return (node.name, tuple(meaning(g, r.node) for r in node.inputs))

    for node in made:
        assert meaning(made, node.name) == meaning(graph, node.name)
        before = {s for s in graph.ancestors([node.name]) if graph[s].op != "Identity"}
        after = {s for s in made.ancestors([node.name]) if made[s].op != "Identity"}
        assert before == after, "what runs before a node, still does"


@given(graphs())
def test_edits_print_and_apply_the_same_twice(graph: Graph) -> None:
    for keyword in ("prune", "remove-asserts", "forward-identities"):
        step = make(keyword)
        try:
            first = step.plan(StepContext(graph))
            assert first == step.plan(StepContext(graph))
            assert print_graph(apply_edits(graph, first)) == print_graph(apply_edits(graph, first))
        except SurgeonError as exc:
            assert exc.diagnostics[0].code == "S103" and keyword == "remove-asserts"
    assert Rewire("a") == Rewire("a")


def test_a_pattern_that_takes_exponential_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = text("\n".join(f"{'a' * 60}{i} = Placeholder()" for i in range(3)))
    monkeypatch.setattr("surgeon.steps.selector.PATIENCE", 0.3)
    start = time.monotonic()
    found = refused("R115", "remove", graph, nodes=[{"path": "(a|aa|.)+[#!]", "optional": True}])
    assert "'(a|aa|.)+[#!]'" in found and "aaa0'" in found
    assert time.monotonic() - start < 20
    assert not run_step(make("remove", nodes=[{"path": "(a|aa|.)+"}]), graph).nodes
    assert not run_step(make("remove", nodes=[{"path": "(?=a)(a+)[0-9]"}]), graph).nodes


CONTROLLED = """
c = Const() {dtype: float32, value: tensor<float32[]: 1.0>}
read = Identity(c, ^first) {T: float32}
x = Placeholder() {dtype: float32}
first = Identity(x) {T: float32}
y = Add(x, read) {T: float32}
o1 = Identity(y, ^read) {T: float32}
o2 = Identity(o1, ^o1, ^z) {T: float32}
z = Neg(first, ^read) {T: float32}
out = Relu(o2) {T: float32}
"""


def test_an_identity_that_a_forwarded_one_waits_for_is_forwarded() -> None:
    after = run_step(make("forward-identities"), text(CONTROLLED))
    assert [node.name for node in after] == ["c", "x", "y", "z", "out"]
    assert (after["out"].inputs, after["out"].control) == ((Ref("y"),), ("y", "c", "x", "z"))
    assert (after["z"].inputs, set(after["z"].control)) == ((Ref("x"),), {"c", "x"})


@given(st.data())
def test_identities_are_forwarded_whatever_waits_for_them(data: st.DataObject) -> None:
    nodes = [Node("n0", "Placeholder", attrs={"dtype": DType.FLOAT32})]
    for index in range(1, 10):
        names = [node.name for node in nodes]
        source = Ref(data.draw(st.sampled_from(names)))
        control = tuple(data.draw(st.lists(st.sampled_from(names), max_size=3, unique=True)))
        op = data.draw(st.sampled_from(["Identity", "Identity", "Neg"]))
        nodes.append(Node(f"n{index}", op, (source,), control, {"T": DType.FLOAT32}))
    nodes.append(Node("out", "Relu", (Ref("n9"),), (), {"T": DType.FLOAT32}))
    graph = Graph(nodes, [Ref("out")])
    after = run_step(make("forward-identities"), graph)
    identities = [node.name for node in after if node.op == "Identity"]
    assert all(not after.readers[name] for name in identities)
    waits = {node.name: graph.ancestors([node.name]) for node in after if node.op == "Neg"}
    for name, before in waits.items():
        kept = {source for source in before if graph[source].op != "Identity"}
        assert kept <= after.ancestors([name])
