"""What UFF cannot express is refused, with the code and what to do."""

from __future__ import annotations

import types

import pytest

from surgeon.diagnostics import SurgeonError, code_page
from surgeon.discovery import by_key
from surgeon.formats.uff import export_uff, print_uff
from surgeon.formats.uff.conversion import converters_in, converts
from surgeon.graph import DType, Graph, Node, Ref, Shape, TensorDigest, parse_graph
from surgeon.targets import load_target

X = "x = Placeholder() {dtype: float32, shape: shape[1,8,8,2]}\n"
W = "w = Const() {dtype: float32, value: tensor<float32[3,3,2,4]: 0.5>}\n"
K = "k = Const() {dtype: int32, value: tensor<int32[]: 1>}\n"
AX = "ax = Const() {dtype: int32, value: tensor<int32[]: 2>}\n"
SUMS = "".join(f"{n} = Const() {{dtype: float32, value: tensor<float32[2]: 1.0>}}\n" for n in "gbmv")
GRID = "G = GridAnchor_TRT() {numLayers: 3}\n"


def ints(name: str, shape: str, *values: int) -> str:
    return (
        f"{name} = Const() {{dtype: int32, value: tensor<int32[{shape}]: {', '.join(map(str, values))}>}}\n"
    )


REFUSED = {
    "X101 cast": (
        "outputs: y\n" + X + "y = Cast(x) {SrcT: float32, DstT: float32}",
        "X101",
        "map its namespace to the input node",
    ),
    "X101 assert": ("outputs: y\n" + X + "y = Assert(x)", "X101", "remove-asserts"),
    "X101 loop": ("outputs: y\n" + X + "y = Enter(x)", "X101", "control flow is left"),
    "X101 branch": ("outputs: y\n" + X + "y = Switch(x, x)", "X101", "for-inference"),
    "X101 dropout": ("outputs: y\n" + X + "y = RandomUniform(x)", "X101", "for-inference"),
    "X101 rounding": ("outputs: y\n" + X + "y = FakeQuantWithMinMaxArgs(x)", "X101", "'forward'"),
    "X101 pipeline": ("outputs: y\n" + X + "i = DecodeJpeg(x)\ny = Relu(i)", "X101", "cut-at"),
    "X101 native": ("outputs: y\n" + X + "y = Tile(x, k)\n" + K, "X101", "native-plugins"),
    "X101 split": ("outputs: y\n" + X + "s = Split(k, x)\ny = Relu(s:1)\n" + K, "X101", "native-plugins"),
    "X101 resize": (
        "outputs: y\n" + X + "y = ResizeNearestNeighbor(x, k)\n" + K,
        "X101",
        "ResizeNearest_TRT",
    ),
    "X101 nms": ("outputs: y\n" + X + "y = NonMaxSuppressionV3(x)", "X101", "Postprocessor: NMS"),
    "X101 postprocessor": (
        "outputs: Postprocessor/y\n" + X + "Postprocessor/y = Tile(x, k)\n" + K,
        "X101",
        "Postprocessor: NMS",
    ),
    "X101 plugin unknown": ("outputs: y\n" + X + "y = Nonesuch_TRT(x)", "X101", "list plugins"),
    "X101 space to batch": ("outputs: y\n" + X + "y = SpaceToBatchND(x, k, k)\n" + K, "X101", "chain"),
    "X102 axis": ("outputs: y\n" + X + "s = Shape(x)\ny = ConcatV2(x, x, s)", "X102", "fold-constants"),
    "X102 float axis": ("outputs: y\n" + X + "y = ExpandDims(x, x)", "X102", "fold-constants"),
    "X102 bias": (
        "outputs: y\n" + X.replace("1,8,8,2", "1,2,8,8") + 'y = BiasAdd(x, x) {data_format: "NCHW"}',
        "X102",
        "fold",
    ),
    "X102 depthwise": (
        "outputs: y\n" + X + 'y = DepthwiseConv2dNative(x, x) {padding: "SAME"}',
        "X102",
        "fold-constants",
    ),
    "X104 ellipsis": (
        "outputs: y\n" + X + "y = StridedSlice(x, k, k, k) {ellipsis_mask: 1}\n" + K,
        "X104",
        "every axis",
    ),
    "X104 new axis": (
        "outputs: y\n" + X + "y = StridedSlice(x, k, k, k) {new_axis_mask: 2}\n" + K,
        "X104",
        "every axis",
    ),
    "X104 constant left": (
        "outputs: y\n" + X + "c = Const() {dtype: float32, value: tensor<float32[]: 1.0>}\ny = RealDiv(c, x)",
        "X104",
        "on the right",
    ),
    "X104 softmax": (
        "outputs: y\ny = Softmax(x)\nx = Placeholder() {dtype: float32, shape: shape[1,2,2,2,2]}",
        "X104",
        "matrix",
    ),
    "X104 squeeze": ("outputs: y\n" + X + "y = Squeeze(x)", "X104", "squeeze_dims"),
    "X104 layout": (
        "outputs: y\n" + X + W + 'y = Conv2D(x, w) {padding: "SAME", data_format: "NCHW_VECT_C"}',
        "X104",
        "",
    ),
    "X104 padding": ("outputs: y\n" + X + W + 'y = Conv2D(x, w) {padding: "ODD"}', "X104", ""),
    "X104 strides": (
        "outputs: y\n" + X + W + 'y = Conv2D(x, w) {padding: "SAME", strides: [2,1,1,1]}',
        "X104",
        "",
    ),
    "X104 strides short": (
        "outputs: y\n" + X + W + 'y = Conv2D(x, w) {padding: "SAME", strides: [2,1]}',
        "X104",
        "",
    ),
    "X104 explicit": (
        "outputs: y\n" + X + W + 'y = Conv2D(x, w) {padding: "EXPLICIT", explicit_paddings: [1]}',
        "X104",
        "",
    ),
    "X104 explicit batch": (
        "outputs: y\n"
        + X
        + W
        + 'y = Conv2D(x, w) {padding: "EXPLICIT", explicit_paddings: [1,1,0,0,0,0,0,0]}',
        "X104",
        "",
    ),
    "X104 pool": (
        "outputs: y\n" + X + "y = MaxPool(x) {ksize: [1,2,2,1], strides: [1,2,2,1], "
        'padding: "EXPLICIT", explicit_paddings: [0,0,0,1,0,1,0,0]}',
        "X104",
        "",
    ),
    "X104 pool kernel": (
        "outputs: y\n" + X + "y = MaxPool(x) {ksize: [1,2,2,2], strides: [1,2,2,1]}",
        "X104",
        "",
    ),
    "X104 pad value": (
        "outputs: y\n" + X + ints("p", "4,2", *[0] * 8) + "y = PadV2(x, p, z)\n"
        "z = Const() {dtype: float32, value: tensor<float32[]: 1.0>}",
        "X104",
        "",
    ),
    "X104 no input": ("outputs: y\n" + X + "y = Relu()", "X104", ""),
    "X104 attribute": ("outputs: y\n" + X + "y = Pack(x, x) {axis: 0.5}", "X104", ""),
    "X104 number": ("outputs: y\n" + X + 'y = LRN(x) {alpha: "a"}', "X104", ""),
    "X104 batch reduced": ("outputs: y\n" + X + ints("a", "1", 0) + "y = Mean(x, a)", "X104", ""),
    "X104 batch moved": ("outputs: y\n" + X + ints("a", "4", 3, 0, 1, 2) + "y = Transpose(x, a)", "X104", ""),
    "X104 axis from the end": (
        "outputs: y\n" + X + ints("a", "", -1) + "y = ConcatV2(p, p, a)\np = FlattenConcat_TRT(x) {axis: 1}",
        "X104",
        "from 0",
    ),
    "X104 two axes": ("outputs: y\n" + X + ints("a", "2", 1, 2) + "y = ConcatV2(x, x, a)", "X104", ""),
    "X104 gather": ("outputs: y\n" + X + K + "y = GatherV2(x, k, k) {batch_dims: 1}", "X104", ""),
    "X104 deconvolution": (
        "outputs: y\n"
        + X
        + W
        + ints("s", "4", 1, 8, 8, 4)
        + 'y = Conv2DBackpropInput(s, w, x) {padding: "SAME", dilations: [1,2,2,1]}',
        "X104",
        "",
    ),
    "X104 batch to space": ("outputs: y\n" + X + K + "y = BatchToSpaceND(x, k, k)", "X104", "dilations"),
    "X105 split output": ("outputs: y:1\n" + X + "y = Relu(x)", "X105", "declare 'y'"),
    "X105 edge": ("outputs: y\n" + X + "r = Relu(x)\ny = Relu(r:1)", "X105", "cut the graph"),
    "X105 first of several": (
        "outputs: y\n" + GRID + AX + "y = ConcatV2(G, ax)",
        "X105",
        "'G:*', which is 0 to 2",
    ),
    "X105 a part": ("outputs: y\n" + GRID + AX + "y = ConcatV2(G, G:1, ax)", "X105", "'G:*'"),
    "X105 out of order": ("outputs: y\n" + GRID + AX + "y = ConcatV2(G:1, G, G:2, ax)", "X105", "'G:*'"),
    "X105 one edge for one input": (
        "outputs: y\n" + X + 'N = NMS_TRT(x, x, x) {mode: "a"}\ny = Relu(N)',
        "X105",
        "'N:*'",
    ),
    "X105 no outputs": ("outputs: y\nG = GridAnchor_TRT() {numLayers: 0}\ny = Relu(G)", "X105", ""),
    "X105 output beyond": ("outputs: N:2\n" + X + 'N = NMS_TRT(x, x, x) {mode: "a"}', "X105", "declare 'N'"),
    "X106 dimension": (
        "outputs: y\nx = Placeholder() {dtype: float32, shape: shape[1,?,8,2]}\ny = Relu(x)",
        "X106",
        "shape:",
    ),
    "X106 rank": (
        "outputs: y\nx = Placeholder() {dtype: float32, shape: shape[...]}\ny = Relu(x)",
        "X106",
        "--input x=SIZES",
    ),
    "X106 none": ("outputs: y\nx = Placeholder() {dtype: float32}\ny = Relu(x)", "X106", "--input x=SIZES"),
    "X107": (
        "outputs: y\n" + X + SUMS + "n = FusedBatchNormV3(x, g, b, m, v) {is_training: false}\ny = Relu(n:1)",
        "X107",
        "inference",
    ),
    "X108": (
        "outputs: y\n" + X + SUMS + "y = FusedBatchNormV3(x, g, b, m, v) {is_training: true}",
        "X108",
        "inference",
    ),
    "X108 default": ("outputs: y\n" + X + SUMS + "y = FusedBatchNorm(x, g, b, m, v)", "X108", "inference"),
    "X109 input": (
        "outputs: y\nx = Placeholder() {dtype: uint8, shape: shape[1,2]}\ny = Relu(x)",
        "X109",
        "Preprocessor",
    ),
    "X109 double": (
        "outputs: y\n" + X + "c = Const() {dtype: float64, value: tensor<float64[]: 0.1>}\ny = Add(x, c)",
        "X109",
        "float32",
    ),
    "X109 overflow": (
        "outputs: y\n" + X + "c = Const() {dtype: float64, value: tensor<float64[]: 1e300>}\ny = Add(x, c)",
        "X109",
        "float32",
    ),
    "X109 string": (
        "outputs: y\n" + X + 'c = Const() {dtype: string, value: tensor<string[]: "a">}\ny = Add(x, c)',
        "X109",
        "namespace",
    ),
    "X109 gather": ("outputs: y\n" + X + K + "y = GatherV2(x, k, k) {Tparams: float64}", "X109", "float32"),
    "X112": (
        "outputs: z\n"
        + X
        + W
        + ints("t", "4", 0, 3, 1, 2)
        + 'a = Conv2D(x, w) {padding: "SAME"}\nb = Transpose(x, t)\n'
        "z = ConcatV2(a, b, k)\n" + K,
        "X112",
        "input of its own",
    ),
    "X112 layouts": (
        "outputs: a, b\n"
        + X
        + W
        + 'a = MaxPool(x) {ksize: [1,1,1,1], strides: [1,1,1,1], data_format: "NHWC"}\n'
        'b = MaxPool(x) {ksize: [1,1,1,1], strides: [1,1,1,1], data_format: "NCHW"}',
        "X112",
        "input of its own",
    ),
    "X114 field": ("outputs: y\n" + X + "y = FlattenConcat_TRT(x) {axsi: 1}", "X114", "take it out"),
    "X114 type": ("outputs: y\n" + X + "y = FlattenConcat_TRT(x) {axis: 1.5}", "X114", "correct"),
    "X114 list for one": ("outputs: y\n" + X + "y = FlattenConcat_TRT(x) {axis: [1, 2]}", "X114", "correct"),
    "X114 too large": ("outputs: y\n" + X + "y = FlattenConcat_TRT(x) {axis: 4294967296}", "X114", "correct"),
    "X114 text": ("outputs: y\n" + X + 'y = NMS_TRT(x) {confidenceThreshold: "a"}', "X114", "correct"),
    "X114 not utf-8": ("outputs: y\n" + X + 'y = NMS_TRT(x) {mode: "\\xff"}', "X114", "correct"),
}


def test_an_input_that_decides_a_branch_is_named(exported):
    flag = "flag = Placeholder() {dtype: bool, shape: shape[]}\np = Identity(flag) {T: bool}\n"
    rate = "rate = Placeholder() {dtype: float32, shape: shape[]}\nz = Greater(rate, rate) {T: float32}\n"
    branch = "s = Switch(x, {0}) {{T: float32}}\nr = RandomUniform(s:1)\ny = Merge(s, r)\n"
    for text, help in (
        (flag + branch.format("p"), "'constants: {flag: false}'"),
        (rate + branch.format("z"), "'--constant rate=VALUE'"),
    ):
        with pytest.raises(SurgeonError) as caught:
            exported("outputs: y\n" + X + text)
        helps = {d.message.partition("(")[2].partition(")")[0]: d.help[0] for d in caught.value.diagnostics}
        assert all(help in helps[op] for op in ("Switch", "Merge", "RandomUniform"))


def test_a_branch_inside_a_loop_is_no_constant_one(exported):
    with pytest.raises(SurgeonError) as caught:
        exported("outputs: y\n" + X + "e = Enter(x)\ny = Switch(e, x)")
    assert len(caught.value.diagnostics) == 2
    assert all("UFF has no loops" in each.help[0] for each in caught.value.diagnostics)


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case, exported):
    text, code, help = REFUSED[case]
    with pytest.raises(SurgeonError) as caught:
        exported(text)
    assert [d.code for d in caught.value.diagnostics] == [code]
    assert help in " ".join(caught.value.diagnostics[0].help)


@pytest.mark.parametrize("code", sorted({code for _, code, _ in REFUSED.values()} | {"X103", "X110", "X120"}))
def test_every_code_has_a_page(code):
    assert code_page(code) is not None


def test_leaky_relu_is_X103_before_its_parser(exported):
    text = "outputs: y\n" + X + "y = LeakyRelu(x) {alpha: 0.1}\n"
    with pytest.raises(SurgeonError, match="X103") as caught:
        exported(text, load_target("uff@tensorrt-5.0"))
    assert "LReLU_TRT" in str(caught.value)
    assert "LeakyRelu" in print_uff(exported(text, load_target("uff@tensorrt-8.5")))


def test_a_plugin_without_inputs_reads_a_constant_where_the_parser_wants_one(exported):
    text = "outputs: G\nG = GridAnchor_TRT() {numLayers: 2}\nG/unused_input = NoOp()\n"
    old, new = (load_target(f"uff@tensorrt-{v}") for v in ("5.0", "8.5"))
    assert (old.plugin_needs_input, new.plugin_needs_input) == (True, False)
    lines = print_uff(exported(text, old)).splitlines()
    assert (
        "G/unused_input_0 = Const() {dtype: float32, shape: [1, 1], values: @weights_G/unused_input_0}"
        in lines
    )
    assert "G = _GridAnchor_TRT(G/unused_input_0) {numLayers_u_int: 2}" in lines
    assert "G = _GridAnchor_TRT() {numLayers_u_int: 2}" in print_uff(exported(text, new)).splitlines()


def test_what_cannot_be_expressed_is_counted_by_namespace_and_op(exported):
    lines = ["outputs: r", "x = Placeholder() {dtype: float32, shape: shape[1,2]}"]
    previous = "x"
    for i in range(5):
        lines += [f"Preprocessor/a{i} = Cast({previous})", f"Post/b{i} = Fill(Preprocessor/a{i})"]
        previous = f"Post/b{i}"
    lines.append(f"r = Where({previous}, ^x)")
    with pytest.raises(SurgeonError) as caught:
        exported("\n".join(lines))
    found = caught.value.diagnostics
    assert [d.code for d in found] == ["X101"] * 3
    assert [d.message.split(" cannot")[0] for d in found] == [
        "'Post/b4' (Fill) and 4 more under 'Post'",
        "'Preprocessor/a4' (Cast) and 4 more under 'Preprocessor'",
        "'r' (Where)",
    ]
    assert found[0].where == "<text>"
    assert found[1].help == ("map the namespace 'Preprocessor' to the input node",)


def test_every_namespace_is_named_before_the_second_kind_of_one(exported):
    lines = [
        "outputs: b/z",
        "x = Placeholder() {dtype: float32, shape: shape[1,2]}",
        "a/p = Fill(x)",
        "a/q = Fill(a/p)",
        "a/r = Tile(a/q)",
        "b/z = Cast(a/r)",
    ]
    with pytest.raises(SurgeonError) as caught:
        exported("\n".join(lines))
    assert [d.message.split(" ")[0] for d in caught.value.diagnostics] == ["'a/q'", "'b/z'", "'a/r'"]


def test_at_most_ten_kinds_are_listed(exported):
    ops = [f"Odd{i:02d}" for i in range(14)]
    lines = ["outputs: n13", X] + [f"n{i} = {op}({f'n{i - 1}' if i else 'x'})" for i, op in enumerate(ops)]
    with pytest.raises(SurgeonError) as caught:
        exported("\n".join(lines))
    assert len(caught.value.diagnostics) == 10
    assert "and 4 more nodes of 4 other kinds" in caught.value.diagnostics[-1].notes[-1]


def test_several_nodes_are_refused_at_once(exported):
    with pytest.raises(SurgeonError) as caught:
        exported(
            "outputs: a, b\n" + X + "a = Squeeze(x)\nb = StridedSlice(x, k, k, k) {ellipsis_mask: 1}\n" + K
        )
    assert [d.code for d in caught.value.diagnostics] == ["X104", "X104"]


def test_what_is_refused_does_not_hide_what_else_is(exported):
    chain = ints("b", "2", 2, 2) + ints("p", "2,2", 0, 0, 0, 0) + ints("c", "2,2", 1, 1, 0, 0)
    chain += 's = SpaceToBatchND(x, b, p)\nv = Conv2D(s, w) {padding: "VALID"}\ny = BatchToSpaceND(v, b, c)\n'
    with pytest.raises(SurgeonError) as caught:
        exported("outputs: y\n" + X + W + chain)
    assert [d.code for d in caught.value.diagnostics] == ["X101", "X104"]
    assert "would be padded by [[-1, -1], [0, 0]]" in caught.value.diagnostics[1].message


def test_a_loop_that_is_left_ends_in_X101(exported):
    text = "outputs: e\nx = Placeholder() {dtype: float32, shape: shape[1]}\nm = Merge(x, n)\ns = Switch(m, m)\nn = NextIteration(s:1)\ne = Exit(s)\n"
    with pytest.raises(SurgeonError) as caught:
        exported(text)
    assert {d.code for d in caught.value.diagnostics} == {"X101"}


def test_a_constant_known_by_its_digest_is_refused():
    digest = TensorDigest(DType.FLOAT32, (2,), "0" * 64)
    graph = Graph(
        [
            Node("c", "Const", (), (), {"dtype": DType.FLOAT32, "value": digest}),
            Node("y", "Relu", (Ref("c"),)),
        ],
        [Ref("y")],
    )
    with pytest.raises(SurgeonError, match="G113"):
        export_uff(graph, plugins={})


def test_two_converters_of_one_op_are_named():
    one, two = types.ModuleType("one"), types.ModuleType("two")
    for module in (one, two):

        def convert(at):
            return []

        convert.__module__ = module.__name__
        module.convert = converts("Relu")(convert)
    members = [(*member, module.__name__) for module in (one, two) for member in converters_in(module)]
    with pytest.raises(SurgeonError, match=r"E112.* 'Relu', of 'one' and 'two'"):
        by_key("UFF converters for", members)
    assert [op for op, _ in converters_in(one)] == ["Relu"]


def test_only_what_the_outputs_need_is_exported(exported):
    model = exported("outputs: y\n" + X + "z = Nonesuch(x)\ny = Relu(x, ^z)\nq = Cast(y)\n")
    assert [node.id for node in model.nodes] == ["x", "y", "MarkOutput_0"]


def test_names_that_clash_get_a_number(exported):
    model = exported("outputs: MarkOutput_0\n" + X + "MarkOutput_0 = Relu(x)\n")
    assert [(n.id, n.operation) for n in model.nodes] == [
        ("x", "Input"),
        ("MarkOutput_0", "Activation"),
        ("MarkOutput_0_0", "MarkOutput"),
    ]


def test_nodes_stand_after_what_they_read(exported):
    model = exported("outputs: a, y\n" + "y = Add(b, a)\nb = Relu(a)\na = Relu(x)\n" + X)
    seen: set[str] = set()
    for node in model.nodes:
        assert set(node.inputs) <= seen
        seen.add(node.id)


def test_a_long_chain_of_identities_needs_no_recursion():
    nodes = [Node("x", "Placeholder", (), (), {"dtype": DType.FLOAT32, "shape": Shape.of(1, 2)})]
    for i in range(20_000):
        nodes.append(Node(f"i{i}", "Identity", (Ref(nodes[-1].name),)))
    nodes += [Node(f"r{i}", "Relu", (Ref("i19999"),)) for i in range(100)]
    model = export_uff(Graph(nodes, [Ref(f"r{i}") for i in range(100)]), plugins={})
    assert all(node.inputs == ("x",) for node in model.nodes if node.operation == "Activation")


@pytest.mark.parametrize(
    ("shape", "format", "stated"),
    [
        ("?,300,200,3", "NHWC", (1, 3, 300, 200)),
        ("2,300,200,3", "NHWC", (2, 3, 300, 200)),
        ("?,3,300,200", "NCHW", (1, 3, 300, 200)),
    ],
)
def test_layout_of_the_input(exported, shape, format, stated):
    weights = W.replace("3,3,2,4", "3,3,3,4")
    text = (
        f"outputs: y\nx = Placeholder() {{dtype: float32, shape: shape[{shape}]}}\nr = Mul(x, x)\n" + weights
    )
    model = exported(text + f'y = Conv2D(r, w) {{padding: "SAME", data_format: "{format}"}}\n')
    assert model.nodes[0].fields["shape"].value == stated


def test_an_input_before_a_reshape_is_stated_as_it_is(exported):
    bias = "b = Const() {dtype: float32, value: tensor<float32[128]: 1.0>}\n"
    text = "outputs: y\n" + X + bias + ints("t", "2", 1, -1) + "f = Reshape(x, t)\ny = BiasAdd(f, b)\n"
    assert exported(text).nodes[0].fields["shape"].value == (1, 8, 8, 2)


def test_the_graph_is_not_changed(exported, plugins):
    graph = parse_graph("graph v1\noutputs: y\n" + X + "y = Relu(x)\n")
    before = graph.digest()
    export_uff(graph, plugins=plugins)
    assert graph.digest() == before
