"""Specs, values and partial values of graphs, without TensorFlow."""

from __future__ import annotations

import time

import numpy as np
import pytest

from surgeon.diagnostics import SurgeonError, code_page
from surgeon.graph import DType, Graph, Node, Ref, Shape, TensorSpec, parse_graph
from surgeon.graph.values import TensorValue
from surgeon.infer import Inference, Mismatch, Rule, evaluate, known_ops
from surgeon.infer.registry import combine


def const(name: str, value: object, dtype: str = "int32") -> Node:
    tensor = TensorValue.of(value, DType(dtype))
    return Node(name, "Const", (), (), {"dtype": DType(dtype), "value": tensor})


def node(name: str, op: str, *inputs: str, **attrs: object) -> Node:
    return Node(name, op, tuple(Ref.parse(i) for i in inputs), (), attrs)


def placeholder(name: str, *dims: int | None, dtype: str = "float32") -> Node:
    return node(name, "Placeholder", dtype=DType(dtype), shape=Shape(dims))


def code_of(caught: pytest.ExceptionInfo[SurgeonError]) -> str:
    return caught.value.diagnostics[0].code


FLATTEN = [
    placeholder("x", None, 7, 7, 12),
    node("shape", "Shape", "x", T=DType.FLOAT32, out_type=DType.INT32),
    const("zero", [0]),
    const("one", [1]),
    const("minus", -1),
    const("four", 4),
    node("batch", "StridedSlice", "shape", "zero", "one", "one", T=DType.INT32, shrink_axis_mask=1),
    node("height", "StridedSlice", "shape", "one", "two", "one", T=DType.INT32, shrink_axis_mask=1),
    const("two", [2]),
    node("cells", "Mul", "height", "height", T=DType.INT32),
    node("pairs", "Mul", "cells", "three", T=DType.INT32),
    const("three", 3),
    node("target", "Pack", "batch", "pairs", "four", T=DType.INT32, axis=0),
    node("flat", "Reshape", "x", "target", T=DType.FLOAT32),
    node("more", "Add", "batch", "four", T=DType.INT32),
]


def test_a_reshape_target_is_known_in_part() -> None:
    inference = Inference(Graph(FLATTEN))
    assert inference.shape_value(Ref("shape")) == (None, 7, 7, 12)
    assert inference.shape_value(Ref("target")) == (None, 147, 4)
    assert inference.shape_value(Ref("batch")) == (None,)
    assert inference.shape_value(Ref("more")) == (None,)
    assert inference.shape_value(Ref("x")) is None
    assert inference.value(Ref("pairs")) == 147
    assert inference.value(Ref("target")) is None
    assert str(inference.spec(Ref("flat"))) == "float32[?,147,4]"
    assert inference.contradictions == []


def test_feeding_an_inner_tensor_overrides_its_rule() -> None:
    graph = Graph([*FLATTEN, node("y", "Relu", "flat", T=DType.FLOAT32)])
    inference = Inference(graph, {"x": TensorSpec.of("float32", 2, 7, 7, 12)})
    assert inference.value(Ref("target")).tolist() == [2, 147, 4]
    inference = Inference(graph, {"flat:0": TensorSpec.of("float32", 5, 1)})
    assert str(inference.spec(Ref("y"))) == "float32[5,1]"
    fed_constant = Inference(graph, {"four": TensorSpec.of("int32")})
    assert fed_constant.value(Ref("four")) is None
    assert fed_constant.shape_value(Ref("target")) == (None, 147, None)


def test_feeding_what_is_not_there_is_g110() -> None:
    with pytest.raises(SurgeonError) as caught:
        Inference(Graph(FLATTEN), {"nothing": TensorSpec()})
    assert code_of(caught) == "G110"


def test_one_output_of_several_can_be_fed() -> None:
    graph = Graph(
        [
            placeholder("x", 4, 6),
            const("axis", 1),
            node("s", "Split", "axis", "x", num_split=2, T=DType.FLOAT32),
        ]
    )
    inference = Inference(graph, {"s:1": TensorSpec.of("float32", 9)})
    assert str(inference.spec(Ref("s"))) == "float32[4,3]"
    assert str(inference.spec(Ref("s", 1))) == "float32[9]"
    assert inference.spec(Ref("s", 2)) == TensorSpec()
    assert inference.outputs("s") == 2


@pytest.mark.parametrize(
    ("op", "attrs"),
    [
        ("Dequantize", {"T": DType.QUINT8, "dtype": DType.FLOAT32}),
        ("ComplexAbs", {"T": DType.COMPLEX64, "Tout": DType.FLOAT32}),
        ("Real", {"T": DType.COMPLEX64, "Tout": DType.FLOAT32}),
        ("Nameless", {"T": DType.INT32}),
        ("Nameless", {"dtype": DType.INT32}),
    ],
)
def test_of_an_op_without_a_rule_nothing_is_known(op: str, attrs: dict[str, DType]) -> None:
    floats = {"T": DType.FLOAT32}
    nodes = [placeholder("x", 4), node("p", op, "x", **attrs), node("r", "Mul", "x", "p", **floats)]
    inference = Inference(Graph(nodes))
    assert inference.spec(Ref("p")) == inference.spec(Ref("p", 1)) == TensorSpec()
    assert inference.spec(Ref("r")).dtype is DType.FLOAT32
    assert inference.contradictions == [] and inference.outputs("p") == 1


def test_of_inputs_that_contradict_one_another_no_type_follows() -> None:
    nodes = [placeholder("a", 2, 3), placeholder("b", 4), placeholder("flag", 1)]
    nodes += [node("e", "Equal", "a", "b", T=DType.FLOAT32), node("n", "LogicalNot", "e")]
    inference = Inference(Graph(nodes))
    assert inference.spec(Ref("n")).dtype in (DType.BOOL, None)
    assert [name for name, _ in inference.contradictions] == ["e"]


def test_rules_of_plugins_come_in_by_op() -> None:
    def shape(ctx: object) -> list[TensorSpec]:
        dims = ctx.dims(0)
        if dims is not None and len(dims) != 4:
            raise Mismatch(f"the input has {len(dims)} axes; expected 4")
        return [
            TensorSpec(ctx.dtype(), Shape((None if dims is None else dims[0], 1))),
            TensorSpec.of("int32", 3),
        ]

    rules = {"Flatten_TRT": Rule("Flatten_TRT", shape, outputs=2)}
    graph = Graph(
        [
            placeholder("x", 2, 3, 4, 5),
            node("p", "Flatten_TRT", "x"),
            placeholder("y", 2),
            node("q", "Flatten_TRT", "y"),
        ]
    )
    inference = Inference(graph, rules=rules)
    assert str(inference.spec(Ref("p"))) == "float32[2,1]"
    assert str(inference.spec(Ref("p", 1))) == "int32[3]"
    assert inference.spec(Ref("q")) == TensorSpec()
    assert inference.contradictions == [("q", "the input has 1 axes; expected 4")]


def test_a_second_rule_for_an_op_is_i105() -> None:
    with pytest.raises(SurgeonError) as caught:
        Inference(Graph(FLATTEN), rules={"Relu": Rule("Relu", lambda ctx: [], owner="plugin 'mine'")})
    assert code_of(caught) == "I105"
    assert "surgeon.infer.ops.elementwise" in str(caught.value)
    assert "plugin 'mine'" in str(caught.value)
    assert list(combine([Rule("A", lambda ctx: []), Rule("B", lambda ctx: [])])) == ["A", "B"]


CONTRADICTIONS = {
    "Conv2D": (((1, 8, 8, 3), (3, 3, 16, 8)), {"strides": (1, 1, 1, 1), "padding": b"SAME"}, "3 channels"),
    "DepthwiseConv2dNative": (
        ((1, 8, 8, 3), (3, 3, 4, 1)),
        {"strides": (1, 1, 1, 1), "padding": b"SAME"},
        "3 channels",
    ),
    "BiasAdd": (((1, 8, 8, 3), (4,)), {}, "bias expected 4"),
    "Add": (((2, 3), (4,)), {}, "do not broadcast"),
    "MatMul": (((2, 3), (4, 5)), {}, "not 3 and 4"),
    "Pack": (((2, 3), (2, 4)), {}, "expected equal"),
    "AddN": (((2, 3), (2, 4)), {}, "expected equal"),
    "FusedBatchNorm": (((1, 8, 8, 3), (4,), (4,), (4,), (4,)), {"is_training": False}, "expected [3]"),
}


@pytest.mark.parametrize("op", CONTRADICTIONS)
def test_inputs_that_cannot_go_together_are_contradictions(op: str) -> None:
    shapes, attrs, text = CONTRADICTIONS[op]
    inputs = [placeholder(f"i{k}", *dims) for k, dims in enumerate(shapes)]
    graph = Graph([*inputs, node("n", op, *(i.name for i in inputs), T=DType.FLOAT32, **attrs)])
    inference = Inference(graph)
    assert inference.spec(Ref("n")).dtype in (DType.FLOAT32, None)
    assert [name for name, _ in inference.contradictions] == ["n"]
    assert text in inference.contradictions[0][1]
    assert "expected" in inference.contradictions[0][1]
    inference.spec(Ref("n"))
    assert len(inference.contradictions) == 1


def test_contradicting_constants_are_found() -> None:
    graph = Graph(
        [
            placeholder("x", 2, 6),
            const("target", [5, 5]),
            node("reshape", "Reshape", "x", "target", T=DType.FLOAT32),
            const("axis", 7),
            node("concat", "ConcatV2", "x", "x", "axis", T=DType.FLOAT32, N=2),
            const("i", [3]),
            const("p", [1, 2]),
            node("gather", "Gather", "p", "i", Tparams=DType.INT32),
            const("no", False, "bool"),
            node("assert", "Assert", "no", "x"),
            node("go", "Identity", "assert"),
        ]
    )
    inference = Inference(graph)
    for name in ("reshape", "concat", "gather", "go"):
        inference.spec(Ref(name))
    assert [name for name, _ in inference.contradictions] == ["reshape", "concat", "gather", "assert"]


def test_a_missing_input_or_attribute_is_no_failure() -> None:
    for op in known_ops():
        inference = Inference(Graph([node("n", op)]))
        inference.spec(Ref("n"))
        inference.value(Ref("n"))
        inference.shape_value(Ref("n"))
        assert 0 <= inference.outputs("n") <= 6


WRONG = (b"?", -1, 1 << 70, 1.5, True, (), (-1, 1 << 70, 0), DType.STRING, Shape((-5, None)), Shape(()))


@pytest.mark.parametrize("op", list(known_ops()))
def test_any_attribute_may_be_wrong(op: str) -> None:
    names = (
        "T",
        "dtype",
        "shape",
        "axis",
        "num",
        "num_split",
        "N",
        "strides",
        "padding",
        "ksize",
        "dilations",
        "data_format",
        "block_size",
        "squeeze_dims",
        "keep_dims",
        "batch_dims",
        "value",
        "DstT",
        "out_type",
        "element_shape",
        "k",
        "mode",
        "explicit_paddings",
        "begin_mask",
        "is_training",
        "depth_radius",
        "alpha",
        "channels",
        "output_type",
    )
    inputs = [
        placeholder("a", 2, 3),
        placeholder("b", None),
        const("c", [1, 2]),
        const("d", 1),
        const("e", np.ones((2, 3)), "float32"),
        const("m", [-1]),
        const("h", [1 << 30, 1 << 30]),
    ]
    pools = (
        ("a", "b", "c"),
        ("c", "c", "c"),
        ("d", "d", "d"),
        ("e", "d", "m"),
        ("e", "h", "h"),
        ("h", "e"),
        ("h", "d", "d", "d"),
        ("e",) * 6,
    )
    nodes = []
    for wrong in WRONG:
        for k, pool in enumerate(pools):
            nodes.append(
                Node(f"n{len(nodes)}_{k}", op, tuple(Ref(p) for p in pool), (), dict.fromkeys(names, wrong))
            )
    for k, pool in enumerate(pools):
        nodes.append(node(f"plain{k}", op, *pool))
    graph = Graph([*inputs, *nodes])
    inference = Inference(graph, max_elements=1_000_000)
    for item in nodes:
        inference.spec(Ref(item.name))
        inference.value(Ref(item.name))
        inference.shape_value(Ref(item.name))
        try:
            evaluate(
                graph,
                [Ref(item.name)],
                {Ref("a"): np.ones((2, 3), np.float32), Ref("b"): np.ones(3, np.float32)},
                max_elements=1_000_000,
            )
        except SurgeonError as exc:
            assert code_of_error(exc) in ("I101", "I102", "I103", "I104")


def code_of_error(exc: SurgeonError) -> str:
    return exc.diagnostics[0].code


HUGE = """graph v1
one = Const() {dtype: float32, value: tensor<float32[]: 1.0>}
dims = Const() {dtype: int64, value: tensor<int64[2]: 1099511627776, 4>}
over = Const() {dtype: int64, value: tensor<int64[3]: 4611686018427387904, 4611686018427387904, 4>}
minus = Const() {dtype: int64, value: tensor<int64[1]: -5>}
zero = Const() {dtype: int64, value: tensor<int64[]: 0>}
step = Const() {dtype: int64, value: tensor<int64[]: 1>}
last = Const() {dtype: int64, value: tensor<int64[]: 1099511627776>}
vector = Const() {dtype: float32, value: tensor<float32[2]: 1.0, 2.0>}
twice = Const() {dtype: int64, value: tensor<int64[1]: 549755813888>}
fill = Fill(dims, one) {T: float32, index_type: int64}
wide = Fill(over, one) {T: float32, index_type: int64}
bad = Fill(minus, one) {T: float32, index_type: int64}
range = Range(zero, last, step) {Tidx: int64}
tile = Tile(vector, twice) {T: float32, Tmultiples: int64}
neg = Neg(big) {T: float32}
sum = Sum(big, zero) {T: float32, Tidx: int64}
oneHot = OneHot(zero, last, one, one) {T: float32, TI: int64, axis: -1}
cast = BroadcastTo(one, dims) {T: float32, Tidx: int64}
line = LinSpace(one, one, last) {T: float32, Tidx: int64}
shape = Shape(fill) {T: float32, out_type: int32}
"""

SPECS = {
    "big": "float32[1099511627776]",
    "fill": "float32[1099511627776,4]",
    "range": "int64[1099511627776]",
    "tile": "float32[1099511627776]",
    "neg": "float32[1099511627776]",
    "sum": "float32[]",
    "bad": "?[...]",
    "wide": "float32[4611686018427387904,4611686018427387904,4]",
    "oneHot": "float32[1099511627776]",
    "cast": "float32[1099511627776,4]",
    "line": "float32[1099511627776]",
    "shape": "int32[2]",
}


@pytest.mark.parametrize("name", SPECS)
def test_hostile_shapes_have_specs_and_no_values(name: str) -> None:
    # No file may hold such a constant, so it is not in the text form either.
    one = TensorValue.of(1.0, DType.FLOAT32).data
    big = Node(
        "big", "Const", (), (), {"dtype": DType.FLOAT32, "value": TensorValue(DType.FLOAT32, (1 << 40,), one)}
    )
    graph = Graph([big, *parse_graph(HUGE)])
    inference = Inference(graph)
    began = time.process_time()
    assert str(inference.spec(Ref(name))) == SPECS[name]
    assert inference.value(Ref(name)) is None
    with pytest.raises(SurgeonError) as caught:
        evaluate(graph, [Ref(name)])
    assert code_of(caught) == ("I104" if name == "bad" else "I103")
    assert time.process_time() - began < 2
    if name == "shape":
        assert inference.shape_value(Ref("shape")) == (None, 4)


def test_large_values_are_folded_when_asked_for() -> None:
    rows = const("rows", np.arange(30_000).reshape(10_000, 3), "float32")
    graph = Graph([rows, node("n", "Neg", "rows", T=DType.FLOAT32), node("m", "Neg", "n", T=DType.FLOAT32)])
    inference = Inference(graph)
    assert np.array_equal(inference.value(Ref("m")), np.arange(30_000).reshape(10_000, 3))
    assert not inference.value(Ref("m")).flags.writeable
    assert inference.value(Ref("rows")).shape == (10_000, 3)
    assert Inference(graph, max_elements=20_000).value(Ref("m")) is None
    assert Inference(graph, max_nodes=2).value(Ref("m")) is None


CHAIN = 40_000


def chain(op: str = "Identity") -> Graph:
    nodes = [placeholder("n0", 2, 3), const("c0", np.ones(3), "float32")]
    nodes += [node(f"n{i}", op, f"n{i - 1}", T=DType.FLOAT32) for i in range(1, CHAIN)]
    nodes += [node(f"c{i}", op, f"c{i - 1}", T=DType.FLOAT32) for i in range(1, CHAIN // 4)]
    return Graph(nodes)


def test_a_long_chain_needs_no_recursion() -> None:
    graph = chain("Neg")
    inference = Inference(graph)
    began = time.process_time()
    assert str(inference.spec(Ref(f"n{CHAIN - 1}"))) == "float32[2,3]"
    assert inference.value(Ref(f"c{CHAIN // 4 - 1}")).tolist() == [-1.0] * 3
    assert evaluate(graph, [Ref(f"c{CHAIN // 4 - 1}")])[0].tolist() == [-1.0] * 3
    assert time.process_time() - began < 20
    with pytest.raises(SurgeonError) as caught:
        evaluate(graph, [Ref(f"c{CHAIN // 4 - 1}")], max_nodes=1000)
    assert code_of(caught) == "I103"


def test_asking_for_every_value_of_a_chain_is_linear() -> None:
    count = 3000
    nodes = [const("c0", np.ones(5000), "float32"), placeholder("n0", 5000)]
    nodes += [node(f"{p}{i}", "Neg", f"{p}{i - 1}", T=DType.FLOAT32) for p in "cn" for i in range(1, count)]
    inference = Inference(Graph(nodes), max_elements=1 << 40)
    began = time.process_time()
    for p in "cn":
        for i in reversed(range(count)):
            assert (inference.value(Ref(f"{p}{i}")) is None) == (p == "n")
    assert time.process_time() - began < 10


def test_cycles_end() -> None:
    graph = parse_graph("""graph v1
a = Add(b, c) {T: float32}
b = Neg(a) {T: float32}
c = Const() {dtype: float32, value: tensor<float32[]: 1.0>}
s = Neg(s) {T: float32}
""")
    inference = Inference(graph)
    assert inference.spec(Ref("a")).dtype is DType.FLOAT32
    assert inference.value(Ref("b")) is None
    for name in ("a", "s"):
        with pytest.raises(SurgeonError) as caught:
            evaluate(graph, [Ref(name)])
        assert code_of(caught) == "I104"


def test_a_dangling_input_is_unknown() -> None:
    graph = Graph([node("a", "Neg", "gone", T=DType.FLOAT32)])
    assert Inference(graph).spec(Ref("a")) == TensorSpec(DType.FLOAT32)
    with pytest.raises(SurgeonError) as caught:
        evaluate(graph, [Ref("a")])
    assert code_of(caught) == "G110"


EVALUATED = """graph v1
x = Placeholder() {dtype: float32, shape: shape[1,300,300,3]}
w = Const() {dtype: float32, value: tensor<float32[]: 2.0>}
zero = Const() {dtype: int32, value: tensor<int32[4]: 0>}
ns/conv = Conv2D(x, w) {T: float32}
ns/custom = MyOp(w) {T: float32}
y = Mul(x, w) {T: float32}
shape = Shape(x) {T: float32}
div = FloorDiv(shape, zero) {T: int32}
half = Const() {dtype: bfloat16, value: tensor<bfloat16[]: 1>}
lost = Const() {dtype: float32}
sum = Neg(half) {T: bfloat16}
slot = Neg(w:3) {T: float32}
"""


def test_each_failure_names_the_node_its_op_and_its_namespace() -> None:
    graph = parse_graph(
        EVALUATED.replace(": 0, 0>", ": 0>").replace("tensor<bfloat16[]: 1>", "tensor<bfloat16[]: 1>")
    )
    for name, code, text in (
        ("ns/custom", "I101", "'ns/custom' (MyOp)"),
        ("y", "I102", "'x' (Placeholder)"),
        ("shape", "I102", "'x'"),
        ("lost", "I104", "'lost'"),
        ("slot", "I104", "no output 3"),
        ("sum", "I101", "bfloat16"),
    ):
        with pytest.raises(SurgeonError) as caught:
            evaluate(graph, [Ref(name)])
        assert code_of(caught) == code, name
        assert text in str(caught.value)
        assert ("namespace: 'ns'" in str(caught.value)) == name.startswith("ns/")
    with pytest.raises(SurgeonError) as caught:
        evaluate(graph, [Ref("div")], inference=Inference(graph))
    assert code_of(caught) == "I104"
    assert "divided by zero" in str(caught.value)
    with pytest.raises(SurgeonError) as caught:
        evaluate(graph, [Ref("y")], max_elements=3, feeds={Ref("x"): np.ones(4, np.float32)})
    assert code_of(caught) == "I103"


def test_feeds_and_static_shapes_take_the_place_of_data() -> None:
    graph = parse_graph(EVALUATED)
    assert evaluate(graph, [Ref("y")], {Ref("x"): np.float32([1, 2])})[0].tolist() == [2.0, 4.0]
    assert evaluate(graph, [Ref("shape")], inference=Inference(graph))[0].tolist() == [1, 300, 300, 3]
    other = Inference(graph, {"x": TensorSpec.of("float32", 1, 640, 640, 3)})
    assert evaluate(graph, [Ref("shape")], inference=other)[0].tolist() == [1, 640, 640, 3]
    with pytest.raises(SurgeonError) as caught:
        evaluate(
            graph,
            [Ref("y")],
            inference=Inference(graph, {"w": TensorSpec.of("float32")}),
            feeds={Ref("x"): np.ones(1)},
        )
    assert code_of(caught) == "I102"


@pytest.mark.determinism
def test_the_order_of_questions_does_not_matter() -> None:
    graph = Graph(FLATTEN)
    forward, backward = Inference(graph), Inference(graph)
    names = list(graph.nodes)
    first = [forward.spec(Ref(n)) for n in names]
    second = [backward.spec(Ref(n)) for n in reversed(names)]
    assert first == second[::-1]


@pytest.mark.parametrize("code", ["I101", "I102", "I103", "I104", "I105"])
def test_every_code_has_a_page(code: str) -> None:
    page = code_page(code)
    assert page is not None
    assert all(page)
