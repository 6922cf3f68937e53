"""Steps that change nodes and edges, and those that put nodes in."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from step_calls import make, refused, text

from surgeon.diagnostics import Severity, Span, SurgeonError
from surgeon.graph import (
    Add,
    DType,
    Edit,
    Graph,
    Node,
    Ref,
    Shape,
    TensorSpec,
    TensorValue,
    apply_edits,
    parse_graph,
)
from surgeon.steps.example import run_step
from surgeon.steps.placing import free_name, place, resolve
from surgeon.steps.step import NodeSpec, StepContext

BASE = text("""
x = Placeholder() {dtype: float32, shape: shape[1,4]}
i = Placeholder() {dtype: int32, shape: shape[1,4]}
a = Relu(x) {T: float32}
b = AddN(a, x, ^i) {N: 2, T: float32}
""")
ANCHORS = NodeSpec(
    "GridAnchor", "GridAnchor_TRT", {"numLayers": 3}, (), ports=("first", "second", "third"), is_plugin=True
)
PRIORS = NodeSpec("priors", "ConcatV2", inputs=("GridAnchor:*",), operands=(("axis", 2),))


# placing


@pytest.mark.parametrize(
    ("written", "slots"),
    [("GridAnchor", [0]), ("GridAnchor:1", [1]), ("GridAnchor:third", [2]), ("GridAnchor:*", [0, 1, 2])],
)
def test_resolve_ports(written: str, slots: list[int]) -> None:
    context = StepContext(BASE, nodes={"GridAnchor": ANCHORS})
    assert resolve(context, written) == tuple(Ref("GridAnchor", s) for s in slots)
    assert resolve(context, "x:7") == (Ref("x", 7),)


@pytest.mark.parametrize(
    ("written", "code", "part"),
    [
        ("GridAncor", "S202", "nearest: 'GridAnchor'"),
        ("GridAnchor:3", "S203", "'first', 'second', 'third'"),
        ("GridAnchor:secnd", "S203", "nearest: 'second'"),
        ("a:out", "S203", "no names"),
        ("a:*", "S203", "no names"),
        ("^a", "S202", "^a"),
        ("", "S202", "''"),
        (":0", "S202", "':0'"),
        ("a:99999999999", "S203", "a:99999999999"),
    ],
)
def test_resolve_refuses(written: str, code: str, part: str) -> None:
    with pytest.raises(SurgeonError) as caught:
        resolve(StepContext(BASE, nodes={"GridAnchor": ANCHORS}), written)
    assert caught.value.diagnostics[0].code == code and part in str(caught.value)


def test_place_adds_operands_and_types() -> None:
    context = StepContext(BASE, nodes={"GridAnchor": ANCHORS, "priors": PRIORS})
    axis, concat = (add.node for add in place(context, PRIORS, before="a", control=("x",)))
    assert axis == Node(
        "priors/axis", "Const", attrs={"dtype": DType.INT32, "value": TensorValue.of(2, DType.INT32)}
    )
    assert concat.inputs == (
        *(Ref("GridAnchor", s) for s in range(3)),
        Ref("priors/axis"),
    ) and concat.control == ("x",)
    assert concat.attrs == {"N": 3, "T": DType.FLOAT32, "Tidx": DType.INT32}


def test_place_keeps_written_attributes_and_free_names() -> None:
    new = NodeSpec("y", "Transpose", {"T": DType.FLOAT16}, ("x",), (("perm", [1, 0]),))
    perm, node = place(StepContext(BASE), new, taken={"y/perm"})
    assert perm.node.name == "y/perm_1" and node.node.attrs == {"T": DType.FLOAT16, "Tperm": DType.INT32}
    assert free_name(StepContext(BASE), "x", {"x_1"}) == "x_2"


def test_place_gives_plugins_nothing() -> None:
    (add,) = place(StepContext(BASE), NodeSpec("n", "Clip_TRT", {"k": 1}, is_plugin=True), [Ref("x")])
    assert add == Add(Node("n", "Clip_TRT", (Ref("x"),), (), {"k": 1}), None, None)


def test_place_takes_the_spec_of_like_for_a_placeholder() -> None:
    (add,) = place(StepContext(BASE), NodeSpec("Input", "Placeholder", like=Ref("i")))
    assert add.node.attrs == {"dtype": DType.INT32, "shape": Shape.of(1, 4)}
    (add,) = place(StepContext(BASE), NodeSpec("Input", "Placeholder", spec=TensorSpec.of("uint8", 2)))
    assert add.node.attrs == {"dtype": DType.UINT8, "shape": Shape.of(2)}


@pytest.mark.parametrize(
    ("new", "code"),
    [
        (NodeSpec("p", "Placeholder"), "S219"),
        (NodeSpec("p", "Neg"), "S209"),
        (NodeSpec("p", "Neg", inputs=("q",)), "S202"),
        (NodeSpec("p", "Neg", inputs=("n",)), "S219"),
        (NodeSpec("p", "Tile", inputs=("x",), operands=(("m", [[1], [1, 2]]),)), "S208"),
        (NodeSpec("p", "Tile", inputs=("x",), operands=(("m", 1 << 40),)), "S208"),
    ],
)
def test_place_refuses(new: NodeSpec, code: str) -> None:
    with pytest.raises(SurgeonError) as caught:
        place(StepContext(BASE.replace([*BASE, Node("n", "Foo")])), new)
    assert caught.value.diagnostics[0].code == code


# add-node


def test_add_node_of_the_recipe() -> None:
    made = run_step(make("add-node", node="GridAnchor"), BASE, {"GridAnchor": ANCHORS})
    assert made["GridAnchor"].op == "GridAnchor_TRT"
    made = run_step(make("add-node", node="priors"), made, {"GridAnchor": ANCHORS, "priors": PRIORS})
    assert made["priors"].attrs["N"] == 3


def test_add_node_brings_what_the_node_reads() -> None:
    head = {
        "GridAnchor": ANCHORS,
        "priors": PRIORS,
        "twice": NodeSpec("twice", "ConcatV2", inputs=("priors", "priors"), operands=(("axis", 2),)),
        "unread": NodeSpec("unread", "Neg", inputs=("x",)),
    }
    made = run_step(make("add-node", node="twice"), BASE, head)
    assert [node.name for node in made if node.name in head] == ["GridAnchor", "priors", "twice"]
    assert made["twice"].inputs[:2] == (Ref("priors"), Ref("priors"))
    assert (made["twice"].attrs["N"], made["twice"].attrs["T"]) == (2, DType.FLOAT32)
    assert "'q' names no node" in refused(
        "S202", "add-node", BASE, {"nodes": {"P": NodeSpec("P", "Neg", inputs=("q",))}}, node="P"
    )


def test_add_node_written_in_place() -> None:
    options = {"name": "AnchorInput", "op": "Const", "attrs": {"value": [[1.0]], "_tag": "x", "T": "float32"}}
    node = run_step(make("add-node", **options), BASE)["AnchorInput"]
    value = TensorValue.of([[1.0]], DType.FLOAT32)
    assert node.attrs == {"value": value, "_tag": b"x", "T": DType.FLOAT32, "dtype": DType.FLOAT32}


def test_add_node_refuses() -> None:
    around = {"nodes": {"GridAnchor": ANCHORS, "priors": PRIORS, "P": NodeSpec("P", "P_TRT", is_plugin=True)}}
    assert "nearest: 'GridAnchor'" in refused("S202", "add-node", BASE, around, node="GridAncor")
    refused("S209", "add-node", BASE, around, node="P")
    refused("S102", "add-node", BASE, name="a", op="Neg", inputs=["x"])
    refused("S208", "add-node", BASE, name="c", op="Neg", inputs=["x"], attrs={"k": {"floot": 1}})
    for wrong in ({}, {"node": "P", "name": "q", "op": "Neg"}, {"name": "q"}, {"node": "P", "op": "Neg"}):
        with pytest.raises(ValidationError):
            make("add-node", **wrong)


# edges


def test_connect_appends_inserts_and_adds_control() -> None:
    made = run_step(make("connect", **{"from": "x"}, to="b"), BASE)
    assert made["b"].inputs == (Ref("a"), Ref("x"), Ref("x")) and made["b"].attrs["N"] == 3
    assert made["b"].control == ("i",)
    made = run_step(make("connect", **{"from": "a:1"}, to="b", at=1), BASE)
    assert made["b"].inputs == (Ref("a"), Ref("a", 1), Ref("x"))
    made = run_step(make("connect", **{"from": "x"}, to="b", control=True), BASE)
    assert made["b"].control == ("i", "x") and made["b"].attrs["N"] == 2
    graph = BASE.replace([*BASE, Node("GridAnchor", "GridAnchor_TRT")])
    made = run_step(make("connect", **{"from": "GridAnchor:*"}, to="b"), graph, {"GridAnchor": ANCHORS})
    assert made["b"].attrs["N"] == 5


def test_connect_refuses() -> None:
    refused("S202", "connect", BASE, **{"from": "x"}, to="bb")
    refused("S202", "connect", BASE, **{"from": "xx"}, to="b")
    assert "not in the graph at this step" in refused(
        "S202", "connect", BASE, {"nodes": {"GridAnchor": ANCHORS}}, **{"from": "GridAnchor"}, to="b"
    )
    assert "between 0 and 2" in refused("S210", "connect", BASE, **{"from": "x"}, to="b", at=3)
    refused("S210", "connect", BASE, **{"from": "x"}, to="b", at=-1)
    refused("G107", "connect", BASE, **{"from": "b"}, to="a")


def test_disconnect() -> None:
    made = run_step(make("disconnect", **{"from": "x"}, to="b"), BASE)
    assert made["b"].inputs == (Ref("a"),) and made["b"].attrs["N"] == 1 and made["b"].control == ("i",)
    made = run_step(make("disconnect", **{"from": "i"}, to="b", control=True), BASE)
    assert made["b"].control == () and made["b"].inputs == BASE["b"].inputs
    ports = text("s = Split()\ny = Pack(s, s:1) {N: 2}")
    assert run_step(make("disconnect", **{"from": "s:1"}, to="y"), ports)["y"].inputs == (Ref("s"),)
    assert run_step(make("disconnect", **{"from": "s:*"}, to="y"), ports)["y"].inputs == ()


def test_disconnect_refuses_unless_optional() -> None:
    assert "it reads 'a', 'x', '^i'" in refused("S211", "disconnect", BASE, **{"from": "a:1"}, to="b")
    assert "control: true" in refused("S211", "disconnect", BASE, **{"from": "i"}, to="b")
    assert "control: false" in refused("S211", "disconnect", BASE, **{"from": "x"}, to="b", control=True)
    refused("S202", "disconnect", BASE, **{"from": "image_tensor"}, to="b")
    refused("S202", "disconnect", BASE, **{"from": "x"}, to="NMS")
    for gone in (
        {"from": "image_tensor", "to": "b"},
        {"from": "x", "to": "NMS"},
        {"from": "x", "to": "b", "control": True},
    ):
        assert run_step(make("disconnect", **gone, optional=True), BASE) == BASE


def test_reorder_inputs() -> None:
    graph = text("a = Const()\nb = Const()\ny = Foo(a, b, a, b:1, ^a)")
    made = run_step(make("reorder-inputs", node="y", order=["b:1", "a"]), graph)
    assert made["y"].inputs == (Ref("b", 1), Ref("a"), Ref("b"), Ref("a")) and made["y"].control == ("a",)
    assert "not read" in refused("S212", "reorder-inputs", graph, node="y", order=["a:3"])
    assert "more often" in refused("S212", "reorder-inputs", graph, node="y", order=["b", "b"])
    refused("S202", "reorder-inputs", graph, node="z", order=["a"])


# rename


def test_rename_swaps_and_takes_the_longest_key() -> None:
    graph = text("""
outputs: n/a:1
n/a = Const()
n/b = Neg(n/a:1, ^n/c)
n/c = Const() {_class: ["loc:@n/a", "loc:@z"]}
z = Neg(n/b) {_class: ["loc:@n/b"]}
""")
    made = run_step(make("rename", nodes={"n": "m", "n/a": "n/b", "n/b": "n/a"}), graph)
    assert [n.name for n in made] == ["n/b", "n/a", "m/c", "z"] and made.outputs == (Ref("n/b", 1),)
    assert made["n/a"] == Node("n/a", "Neg", (Ref("n/b", 1),), ("m/c",))
    assert made["m/c"].attrs["_class"] == (b"loc:@n/b", b"loc:@z") and made["z"].attrs["_class"] == (
        b"loc:@n/a",
    )
    assert made["z"].inputs == (Ref("n/a"),)


def test_rename_refuses() -> None:
    assert "the graph has a node of that name (AddN)" in refused("S207", "rename", BASE, nodes={"a": "b"})
    assert "'x' gets it, too" in refused("S207", "rename", BASE, nodes={"x": "q", "a": "q"})
    assert "is not a name" in refused("S207", "rename", BASE, nodes={"x": "a b"})
    refused("R201", "rename", BASE, nodes={"nope": "q"})
    assert run_step(make("rename", nodes={"nope?": "q", "x": "x"}), BASE) == BASE


# attributes


def test_set_attr_keeps_each_kind() -> None:
    graph = text(
        'y = Foo() {i: 1, f: 1.0, b: true, s: "t", d: float32, sh: shape[1], t: tensor<int64[1]: 1>, l: [1, 2], '
        "fl: [1.0], dl: [float32], e: [], fn: func(g) {}}"
    )
    attrs = {
        "i": 2.0,
        "f": 2,
        "b": False,
        "s": "u",
        "d": "int8",
        "sh": [None, 3],
        "t": [1, 2],
        "l": [5],
        "fl": [1, 0.5],
        "dl": ["int32", "bool"],
        "e": [1.5, 2],
        "fn": None,
        "new": 3,
        "newl": [1, 2.5],
        "T": "half",
        "Tout": "uint8",
        "k": {"shape": [None]},
        "dts": {"dtype": ["int8"]},
        "ten": {"tensor": [1.5]},
        "empty": [],
        "absent": None,
    }
    made = run_step(make("set-attr", nodes=["y"], attrs=attrs), graph)["y"].attrs
    kinds = {k: type(v) for k, v in made.items()}
    assert made == {
        "i": 2,
        "f": 2.0,
        "b": False,
        "s": b"u",
        "d": DType.INT8,
        "sh": Shape.of(None, 3),
        "l": (5,),
        "fl": (1.0, 0.5),
        "t": TensorValue.of([1, 2], DType.INT64),
        "dl": (DType.INT32, DType.BOOL),
        "e": (1.5, 2.0),
        "new": 3,
        "empty": (),
        "newl": (1.0, 2.5),
        "T": b"half",
        "Tout": DType.UINT8,
        "k": Shape.of(None),
        "dts": (DType.INT8,),
        "ten": TensorValue.of([1.5], DType.FLOAT32),
    }
    assert kinds["i"] is int and kinds["f"] is float and kinds["b"] is bool


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("i", 1.5),
        ("i", True),
        ("i", "1"),
        ("i", 1 << 63),
        ("i", float("nan")),
        ("i", float("inf")),
        ("f", "1"),
        ("f", True),
        ("b", 1),
        ("s", 1),
        ("d", "float"),
        ("d", 1),
        ("sh", [-1]),
        ("sh", 1),
        ("sh", [1.0]),
        ("t", "x"),
        ("t", [1.5]),
        ("t", True),
        ("t", [[1], [2, 3]]),
        ("l", 1),
        ("l", ["a"]),
        ("fn", 1),
        ("new", {"a": 1}),
        ("new", {"int": 1, "float": 2}),
        ("new", [[1]]),
        ("new", {"int": None}),
        ("f", 10**400),
        ("t", 1 << 64),
        ("new", {"tensor": 1e300}),
        ("new", {"tensor": None}),
        ("h", 1),
    ],
)
def test_set_attr_refuses_another_kind(key: str, value: Any) -> None:
    graph = text(
        'y = Foo() {i: 1, f: 1.0, b: true, s: "t", d: float32, sh: shape[1], t: tensor<int64[1]: 1>, l: [1], '
        "fn: func(g) {}, h: tensor<bfloat16[0]>}"
    )
    assert f"the attribute '{key}'" in refused("S208", "set-attr", graph, nodes=["y"], attrs={key: value})


def test_set_shape() -> None:
    graph = text(
        "x = Placeholder() {dtype: uint8, shape: shape[?,?], _output_shapes: [shape[?,?]]}\ny = Neg(x)"
    )
    made = run_step(make("set-shape", nodes={"x": [1, None]}), graph)
    assert made["x"].attrs == {"dtype": DType.UINT8, "shape": Shape.of(1, None)}
    assert "is not a placeholder, but Neg" in refused("S213", "set-shape", graph, nodes={"y": [1]})
    assert "nearest" in refused("S213", "set-shape", text("image = Placeholder()"), nodes={"imag": [1]})
    for wrong in ([-1], ["a"], [True], [1.5], {"dtype": "float"}, {"size": [1]}):
        with pytest.raises(ValidationError):
            make("set-shape", nodes={"x": wrong})


def test_set_outputs() -> None:
    made = run_step(make("set-outputs", outputs=["a:1", "b", "a:1"]), BASE)
    assert made.outputs == (Ref("a", 1), Ref("b"))
    refused("S202", "set-outputs", BASE, outputs=["c"])
    refused("S202", "set-outputs", BASE, {"nodes": {"GridAnchor": ANCHORS}}, outputs=["GridAnchor"])
    with pytest.raises(ValidationError):
        make("set-outputs", outputs=[])


# replace-op

NORM = text("""
x = Placeholder() {dtype: float32, shape: shape[1,4]}
y = FusedBatchNormV3(x, x, x, x, x) {T: float32, U: float32, exponential_avg_factor: 1.0}
z = Relu(y:1)
a = AddV2(z, z) {T: float32}
""")


def test_replace_op_changes_only_what_is_meant() -> None:
    graph = text("a = AddV2() {T: float32}\nn/b = AddV2() {T: float32}\nc = Sub()")
    made = run_step(make("replace-op", **{"from": "AddV2"}, to="Add", nodes=["n"]), graph)
    assert [n.op for n in made] == ["AddV2", "Add", "Sub"]
    assert run_step(make("replace-op", from_="AddV2", to="Add"), graph)["a"].op == "Add"


def test_replace_op_refuses_a_reader_of_a_higher_output() -> None:
    shown = refused("S206", "replace-op", NORM, **{"from": "FusedBatchNormV3"}, to="FusedBatchNorm")
    assert "'z' (Relu) reads its output 1" in shown
    declared = NORM.replace([n for n in NORM if n.name in "xy"], [Ref("y", 2)])
    assert "declares its output 2" in refused(
        "S206", "replace-op", declared, **{"from": "FusedBatchNormV3"}, to="FusedBatchNorm"
    )


def test_replace_op_refuses_a_type_that_the_other_lacks() -> None:
    half = text("y = FusedBatchNormV3() {T: float16, U: float32}")
    assert "float16" in refused(
        "S206", "replace-op", half, **{"from": "FusedBatchNormV3"}, to="FusedBatchNorm"
    )
    assert (
        run_step(make("replace-op", **{"from": "FusedBatchNormV3"}, to="FusedBatchNormV2"), half)["y"].attrs[
            "U"
        ]
        is DType.FLOAT32
    )


def test_replace_op_remarks_on_an_unknown_pair() -> None:
    context = StepContext(NORM)
    made = apply_edits(NORM, make("replace-op", **{"from": "Relu"}, to="Relu6").plan(context))
    assert made["z"].op == "Relu6" and [(r.code, r.severity) for r in context.diagnostics] == [
        ("S217", Severity.NOTE)
    ]


def test_replace_op_may_demand_a_match() -> None:
    assert run_step(make("replace-op", **{"from": "Nope"}, to="Add"), NORM) == NORM
    refused("R201", "replace-op", NORM, **{"from": "Nope"}, to="Add", optional=False)


# edits as such


def test_apply_edits_refusals() -> None:
    from surgeon.graph import Drop, SetOp

    for code, edit in (
        ("S101", SetOp("nope", "Add")),
        ("S102", Add(Node("a", "Neg"))),
        ("S103", Drop("x", "removed")),
    ):
        with pytest.raises(SurgeonError) as caught:
            apply_edits(BASE, [edit])
        assert caught.value.diagnostics[0].code == code


SPAN = Span("r.yaml", 3, 5)


@pytest.mark.parametrize(
    ("keyword", "options"),
    [
        ("connect", {"from": "x", "to": "b"}),
        ("disconnect", {"from": "x", "to": "b"}),
        ("set-outputs", {"outputs": ["b"]}),
        ("reorder-inputs", {"node": "b", "order": ["x"]}),
        ("rename", {"nodes": {"x": "y"}}),
        ("add-node", {"name": "q", "op": "NoOp"}),
        ("set-attr", {"nodes": ["b"], "attrs": {"N": 2}}),
        ("set-shape", {"nodes": {"x": [1]}}),
        ("replace-op", {"from": "Relu", "to": "Relu6"}),
        ("pin-batch", {}),
        ("fold-constants", {}),
    ],
)
@pytest.mark.determinism
def test_every_edit_has_its_place(keyword: str, options: dict[str, Any]) -> None:
    more = text(
        "p = Placeholder() {dtype: float32, shape: shape[?]}\nk = Const() {dtype: int32, value: tensor<int32[]: 1>}\n"
        "l = Neg(k) {T: int32}\nm = Foo(l)"
    )
    graph = BASE.replace([*BASE, *more], [Ref("a")])
    edits: list[Edit] = make(keyword, **options).plan(
        StepContext(graph, lambda path: SPAN if not path else None)
    )
    assert edits and all(edit.span == SPAN for edit in edits)


# fold-constants


def constant(name: str, value: Any, dtype: DType = DType.FLOAT32, control: tuple[str, ...] = ()) -> Node:
    tensor = TensorValue.of(value, dtype)
    return Node(name, "Const", (), control, {"dtype": dtype, "value": tensor})


def test_fold_keeps_control_inputs_names_and_outputs() -> None:
    graph = text(
        "outputs: s, t\nx = Placeholder() {dtype: float32, shape: shape[2]}\nguard = NoOp(^x)"
    ).replace(
        [
            *text("x = Placeholder() {dtype: float32, shape: shape[2]}\nguard = NoOp(^x)"),
            constant("a", 1.0, control=("guard",)),
            constant("b", 2.0),
            *text(
                "i = Identity(a) {T: float32}\ns = Add(i, b, ^b) {T: float32}\nt = Mul(s, s) {T: float32}\nu = Add(t, x) {T: float32}"
            ),
        ]
    )
    made = run_step(make("fold-constants"), graph)
    assert [n.name for n in made] == ["x", "guard", "s", "t", "u"] and made.outputs == graph.outputs
    assert made["s"] == constant("s", 3.0, control=("guard",)) and made["t"] == constant(
        "t", 9.0, control=("guard",)
    )


def test_fold_respects_the_limit_and_the_selection() -> None:
    graph = Graph(
        [
            constant("a", [1.0] * 8),
            constant("n", 2.0),
            *text("s = Mul(a, n) {T: float32}\nt = Mul(a, a) {T: float32}\nu = Foo(s, t)"),
        ]
    )
    assert [n.op for n in run_step(make("fold-constants"), graph)] == ["Const", "Const", "Foo"]
    assert run_step(make("fold-constants", limit=31), graph) == graph
    assert [n.name for n in run_step(make("fold-constants", limit=59), graph)] == ["a", "s", "t", "u"], (
        "room for one only"
    )
    assert [n.name for n in run_step(make("fold-constants", nodes=["t"]), graph)] == ["a", "n", "s", "t", "u"]


def test_fold_leaves_loops_and_branches_alone() -> None:
    graph = Graph(
        [
            constant("a", 1.0),
            *text("""
p = Placeholder() {dtype: bool, shape: shape[]}
s = Switch(a, p) {T: float32}
pivot = Identity(s:1) {T: float32}
"""),
            constant("b", 2.0, control=("pivot",)),
            *text("c = Neg(b) {T: float32}\nm = Merge(c, s) {T: float32}\nd = Neg(a) {T: float32}"),
        ]
    )
    made = run_step(make("fold-constants"), graph)
    assert made["c"].op == "Neg" and made["d"].op == "Const" and made["b"].control == ("pivot",)


SPLIT_WEIGHTS = """
x = Placeholder() {dtype: float32, shape: shape[1,2]}
w = Const() {dtype: float32, value: tensor<float32[2,4]: 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0>}
axis = Const() {dtype: int32, value: tensor<int32[]: 1>}
parts = Split(axis, w) {T: float32, num_split: 2}
y = MatMul(x, parts) {T: float32, transpose_a: false, transpose_b: false}
z = MatMul(y, parts:1) {T: float32, transpose_a: false, transpose_b: false}
n = Neg(parts:1) {T: float32}
u = MatMul(z, n) {T: float32, transpose_a: false, transpose_b: false}
"""


def test_fold_gives_each_output_of_a_split_a_constant() -> None:
    made = run_step(make("fold-constants"), text(SPLIT_WEIGHTS))
    assert [node.name for node in made] == ["x", "parts/1", "parts", "y", "z", "n", "u"]
    assert made["parts"] == constant("parts", [[1.0, 2.0], [5.0, 6.0]])
    assert made["parts/1"] == constant("parts/1", [[3.0, 4.0], [7.0, 8.0]])
    assert made["z"].inputs == (Ref("y"), Ref("parts/1")) and made["n"].inputs == ()
    assert run_step(make("fold-constants"), made) == made


def test_fold_leaves_a_split_whose_higher_output_is_an_output_of_the_graph() -> None:
    made = run_step(make("fold-constants"), text("outputs: u, parts:1\n" + SPLIT_WEIGHTS))
    assert made["parts"].op == "Split"


# pin-batch


def shaped(size: str, target: str) -> Graph:
    return text(f"""
x = Placeholder() {{dtype: float32, shape: shape[{size}]}}
scalar = Placeholder() {{dtype: bool, shape: shape[]}}
any = Placeholder() {{dtype: bool, shape: shape[...]}}
shape = Shape(x) {{T: float32, out_type: int32}}
zero = Const() {{dtype: int32, value: tensor<int32[1]: 0>}}
one = Const() {{dtype: int32, value: tensor<int32[1]: 1>}}
two = Const() {{dtype: int32, value: tensor<int32[1]: 2>}}
rest = Const() {{dtype: int32, value: tensor<int32[]: -1>}}
n = StridedSlice(shape, zero, one, one) {{Index: int32, T: int32, shrink_axis_mask: 1}}
h = StridedSlice(shape, one, two, one) {{Index: int32, T: int32, shrink_axis_mask: 1}}
target = Pack({target}) {{N: 2, T: int32, axis: 0}}
y = Reshape(x, target) {{T: float32, Tshape: int32}}
""")


def test_pin_batch_makes_targets_constant() -> None:
    graph = shaped("?,2,3", "n, rest")
    made = run_step(
        make("pin-batch", batch=4), graph.replace([n for n in graph if n.name not in ("h", "two")])
    )
    assert made["x"].attrs["shape"] == Shape.of(4, 2, 3)
    assert made["scalar"].attrs["shape"] == Shape.of() and made["any"].attrs["shape"] == Shape(None)
    assert [n.name for n in made] == ["x", "scalar", "any", "y/shape", "y"]
    assert made["y/shape"].attrs["value"] == TensorValue.of([4, -1], DType.INT32)


def test_pin_batch_keeps_one_unknown_dimension() -> None:
    made = run_step(make("pin-batch"), shaped("?,?,3", "n, h"))
    assert made["y/shape"].attrs["value"] == TensorValue.of([1, -1], DType.INT32)


def test_pin_batch_leaves_two_unknown_dimensions_with_a_remark() -> None:
    graph = shaped("?,?,3", "h, rest")
    context = StepContext(graph)
    made = apply_edits(graph, make("pin-batch").plan(context))
    assert made["y"].inputs == graph["y"].inputs and [r.code for r in context.diagnostics] == ["S214"]
    assert made["x"].attrs["shape"] == Shape.of(1, None, 3)


def test_pin_batch_keeps_what_others_read() -> None:
    graph = shaped("?,2,3", "n, rest")
    made = run_step(
        make("pin-batch"), graph.replace([*graph, Node("z", "Neg", (Ref("n"),), attrs={"T": DType.INT32})])
    )
    assert "n" in made and "target" not in made


def test_pin_batch_refuses_no_batch() -> None:
    for wrong in (0, -1, True, 1.5):
        with pytest.raises(ValidationError):
            make("pin-batch", batch=wrong)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ({"size": [60000, 60000], "strides": [1]}, "S226", "make 3,600,000,000 anchors for 'anchors'"),
        ({"ratios": [1e-300], "scales": [1e300]}, "S226", "not finite"),
        ({"scales": [1e41]}, "S226", "not finite"),
        ({"node": "anchor", "size": [60000, 60000], "strides": [1]}, "S225", "anchor"),
    ],
)
def test_anchors_that_are_none_are_refused(
    options: dict[str, object], code: str, message: str, recwarn: pytest.WarningsRecorder
) -> None:
    graph = parse_graph(
        "graph v1\nanchors = Placeholder() {dtype: float32, shape: shape[?,?,4]}\n"
        "y = Neg(anchors) {T: float32}\n"
    )
    usual = {"node": "anchors", "size": [33, 33], "strides": [64], "scales": [32], "ratios": [1]}
    with pytest.raises(SurgeonError, match=message) as caught:
        run_step(make("anchor-input", **{**usual, **options}), graph)
    assert [each.code for each in caught.value.diagnostics] == [code] and not recwarn.list


def test_a_picture_of_one_pixel_has_no_anchors() -> None:
    with pytest.raises(ValueError, match="greater than or equal to 2"):
        make("anchor-input", node="a", size=[1, 64], strides=[16], scales=[32], ratios=[1])
