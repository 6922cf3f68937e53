"""Layout and folding: small graphs in NHWC, their ONNX files, and what both compute."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from surgeon.catalog import load_catalog
from surgeon.formats.onnx import export_onnx
from surgeon.graph import Graph, parse_graph
from surgeon.targets import load_target

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("tf2onnx")
pytest.importorskip("tensorflow")

TOLERANCE = 1e-5
"""Relative to the largest value: float32 sums in another order."""

CONV = 'strides: [1, 1, 1, 1], dilations: [1, 1, 1, 1], padding: "SAME", data_format: "NHWC", T: float32'


def numbers(*shape: int, seed: int = 0) -> str:
    values = np.random.default_rng((seed, *shape)).uniform(-1, 1, shape).astype(np.float32)
    return (
        f"tensor<float32[{','.join(map(str, shape))}]: {', '.join(map(repr, values.reshape(-1).tolist()))}>"
    )


def const(name: str, *shape: int, seed: int = 0) -> str:
    return f"{name} = Const() {{dtype: float32, value: {numbers(*shape, seed=seed)}}}"


def ints(name: str, *values: int) -> str:
    return f"{name} = Const() {{dtype: int32, value: tensor<int32[{len(values)}]: {', '.join(map(str, values))}>}}"


def scalar(name: str, value: int) -> str:
    return f"{name} = Const() {{dtype: int32, value: tensor<int32[]: {value}>}}"


def conv(name: str, source: str, kernel: str) -> str:
    return f"{name} = Conv2D({source}, {kernel}) {{{CONV}}}"


INPUT = "x = Placeholder() {dtype: float32, shape: shape[1,5,6,3]}"
FIRST = (INPUT, const("k", 3, 3, 3, 4), conv("a", "x", "k"), const("k2", 1, 1, 4, 2, seed=2))
NORM = '{T: float32, epsilon: 0.001, is_training: false, data_format: "NHWC"}'
MOMENTS = (
    const("gamma", 4, seed=3),
    const("beta", 4, seed=4),
    const("mean", 4, seed=5),
    "variance = Const() {dtype: float32, value: tensor<float32[4]: 0.5, 1.0, 1.5, 2.0>}",
)

# By name: the lines after the first convolution; the output is 'out'. Then the transpositions that the file may have.
GRAPHS: dict[str, tuple[Sequence[str], int]] = {
    "a chain of convolutions": ([conv("out", "a", "k2")], 1),
    "an activation": (["r = Relu6(a) {T: float32}", conv("out", "r", "k2")], 1),
    "a residual": (["r = Relu(a) {T: float32}", "s = AddV2(r, a) {T: float32}", conv("out", "s", "k2")], 1),
    "a constant a channel": ([const("c", 4), "s = Maximum(a, c) {T: float32}", conv("out", "s", "k2")], 1),
    "a constant of a place": (
        [const("c", 5, 6, 4), "s = AddV2(a, c) {T: float32}", conv("out", "s", "k2")],
        1,
    ),
    "a number": (
        [const("c"), "s = Mul(c, a) {T: float32}", "t = Relu(s) {T: float32}", conv("out", "t", "k2")],
        1,
    ),
    "a join of channels": (
        [
            scalar("axis", 3),
            "r = Relu(a) {T: float32}",
            const("d", 1, 1, 8, 2),
            "j = ConcatV2(a, r, axis) {T: float32, N: 2, Tidx: int32}",
            conv("out", "j", "d"),
        ],
        1,
    ),
    "a padding": (
        [
            "p = Const() {dtype: int32, value: tensor<int32[4,2]: 0, 0, 1, 2, 3, 4, 0, 0>}",
            "q = Pad(a, p) {T: float32, Tpaddings: int32}",
            conv("out", "q", "k2"),
        ],
        1,
    ),
    "a mean that keeps its axes": (
        [
            ints("axes", 1, 2),
            "m = Mean(a, axes) {T: float32, Tidx: int32, keep_dims: true}",
            "s = Mul(m, a) {T: float32}",
            conv("out", "s", "k2"),
        ],
        1,
    ),
    "a mean that drops its axes": (
        [ints("axes", 1, 2), "out = Mean(a, axes) {T: float32, Tidx: int32, keep_dims: false}"],
        0,
    ),
    "a mean over channels": (
        [ints("axes", 3), "out = Mean(a, axes) {T: float32, Tidx: int32, keep_dims: false}"],
        0,
    ),
    "a mean over rows": (
        [ints("axes", 1), "out = Mean(a, axes) {T: float32, Tidx: int32, keep_dims: false}"],
        1,
    ),
    "a slice": (
        [
            ints("begin", 0, 1, 2, 1),
            ints("size", 1, 3, 3, 3),
            const("d", 1, 1, 3, 2),
            "s = Slice(a, begin, size) {T: float32, Index: int32}",
            conv("out", "s", "d"),
        ],
        1,
    ),
    "a pooling": (
        [
            's = MaxPool(a) {T: float32, ksize: [1, 2, 2, 1], strides: [1, 2, 2, 1], padding: "SAME", data_format: "NHWC"}',
            conv("out", "s", "k2"),
        ],
        1,
    ),
    "a squeeze": (
        [
            ints("axes", 1, 2),
            "m = Mean(a, axes) {T: float32, Tidx: int32, keep_dims: true}",
            "out = Squeeze(m) {T: float32, squeeze_dims: [1, 2]}",
        ],
        0,
    ),
    "a split of channels": (
        [
            scalar("axis", 3),
            const("d", 1, 1, 2, 2),
            "s = Split(axis, a) {T: float32, num_split: 2}",
            conv("out", "s:1", "d"),
        ],
        1,
    ),
    "a softmax over channels of places": (["out = Softmax(a) {T: float32}"], 1),
    "a join with what is in NHWC": (
        [
            ints("flat", 1, 30, 4),
            ints("back", 1, 5, 6, 4),
            "f = Reshape(a, flat) {T: float32, Tshape: int32}",
            const("c", 30, 1),
            "g = Mul(f, c) {T: float32}",
            "h = Reshape(g, back) {T: float32, Tshape: int32}",
            "s = AddV2(a, h) {T: float32}",
            conv("out", "s", "k2"),
        ],
        3,
    ),
    "a normalization": (
        [*MOMENTS, f"n = FusedBatchNorm(a, gamma, beta, mean, variance) {NORM}", conv("out", "n", "k2")],
        1,
    ),
    "a normalization after a bias": (
        [
            *MOMENTS,
            const("b", 4),
            'c = BiasAdd(a, b) {T: float32, data_format: "NHWC"}',
            f"n = FusedBatchNorm(c, gamma, beta, mean, variance) {NORM}",
            conv("out", "n", "k2"),
        ],
        1,
    ),
    "a normalization in parts": (
        [
            *MOMENTS,
            const("u", 4, seed=9),
            "m = Mul(a, gamma) {T: float32}",
            "s = Sub(m, u) {T: float32}",
            "n = AddV2(beta, s) {T: float32}",
            conv("out", "n", "k2"),
        ],
        1,
    ),
    "a depthwise convolution": (
        [
            const("d", 3, 3, 4, 2),
            f"e = DepthwiseConv2dNative(a, d) {{{CONV}}}",
            const("g", 8),
            const("h", 8, seed=1),
            const("i", 8, seed=2),
            "v = Const() {dtype: float32, value: tensor<float32[8]: 1, 2, 3, 4, 5, 6, 7, 8>}",
            f"out = FusedBatchNorm(e, g, h, i, v) {NORM}",
        ],
        1,
    ),
    "the convolution read twice": (
        [
            *MOMENTS,
            f"n = FusedBatchNorm(a, gamma, beta, mean, variance) {NORM}",
            "s = AddV2(n, a) {T: float32}",
            conv("out", "s", "k2"),
        ],
        1,
    ),
}

FOLDED = [name for name in GRAPHS if "normalization" in name or "depthwise" in name]


def graph_of(lines: Sequence[str], first: Sequence[str] = FIRST, outputs: str = "out") -> Graph:
    return parse_graph("\n".join(["graph v1", f"outputs: {outputs}", *first, *lines]) + "\n")


def exported(graph: Graph, **choices: Any) -> Any:
    return export_onnx(graph, plugins=load_catalog(), target=load_target("onnx@onnxruntime"), **choices).model


def operations(model: Any) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def runs(model: Any, value: np.ndarray) -> list[np.ndarray]:
    """Return what ONNX Runtime computes without optimisations of its own."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (fed,) = session.get_inputs()
    if list(fed.shape[2:]) != list(value.shape[2:]):
        value = value.transpose(0, 3, 1, 2)
    found: list[np.ndarray] = session.run(None, {fed.name: value})
    return found


def in_tensorflow(graph: Graph, value: np.ndarray) -> list[np.ndarray]:
    from surgeon.runners.tensorflow import TensorFlowRunner

    return list(TensorFlowRunner(graph, graph.output_refs).run({"x": value}).values())


def value_of(shape: Sequence[int]) -> np.ndarray:
    return np.random.default_rng(7).uniform(-2, 2, shape).astype(np.float32)


def difference(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape
    return float(np.abs(a - b).max() / max(1.0, np.abs(b).max()))


@pytest.mark.parametrize("opset", [13, 17])
@pytest.mark.parametrize("name", GRAPHS)
def test_computes_what_tensorflow_does(name: str, opset: int) -> None:
    lines, transposes = GRAPHS[name]
    graph = graph_of(lines)
    model = exported(graph, opset=opset)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    value = value_of((1, 5, 6, 3))
    (found,), (wanted,) = runs(model, value), in_tensorflow(graph, value)
    assert difference(found, wanted) < TOLERANCE
    assert difference(runs(model, 2 * value)[0], wanted) > 100 * TOLERANCE
    assert operations(model)["Transpose"] == transposes
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [1, 3, 5, 6]
    assert [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim] == list(wanted.shape)
    assert (model.graph.input[0].name, model.graph.output[0].name) == ("x", "out")


@pytest.mark.parametrize("name", FOLDED)
def test_normalizations_are_in_the_weights(name: str) -> None:
    model = exported(graph_of(GRAPHS[name][0]))
    assert set(operations(model)) <= {"Conv", "Transpose"}
    kernel = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4)
    values = np.frombuffer(kernel.raw_data, np.float32) * 1.01
    kernel.raw_data = values.astype(np.float32).tobytes()
    value = value_of((1, 5, 6, 3))
    assert (
        difference(runs(model, value)[0], in_tensorflow(graph_of(GRAPHS[name][0]), value)[0]) > 10 * TOLERANCE
    )


def test_a_kernel_that_is_shared_stays_one() -> None:
    lines = [
        *MOMENTS,
        "r = Relu(x) {T: float32}",
        conv("b", "r", "k"),
        f"n = FusedBatchNorm(a, gamma, beta, mean, variance) {NORM}",
        f"m = FusedBatchNorm(b, beta, gamma, mean, variance) {NORM}",
        "out = AddV2(n, m) {T: float32}",
    ]
    graph = graph_of(lines)
    model = exported(graph)
    assert operations(model)["BatchNormalization"] == 2
    assert sum(len(tensor.dims) == 4 for tensor in model.graph.initializer) == 1
    value = value_of((1, 5, 6, 3))
    assert difference(runs(model, value)[0], in_tensorflow(graph, value)[0]) < TOLERANCE


def test_a_graph_in_nchw_keeps_its_input() -> None:
    nchw = CONV.replace("NHWC", "NCHW")
    lines = [const("k", 3, 3, 3, 4), f"out = Conv2D(x, k) {{{nchw}}}"]
    model = exported(graph_of(lines, [INPUT.replace("1,5,6,3", "1,3,5,6")]))
    assert set(operations(model)) == {"Conv"}
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [1, 3, 5, 6]


def test_an_input_that_no_convolution_reads_keeps_its_layout() -> None:
    model = exported(graph_of(["out = Relu(x) {T: float32}"], [INPUT]))
    assert set(operations(model)) == {"Relu"}
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [1, 5, 6, 3]


def test_outputs_in_the_middle_have_their_names() -> None:
    graph = graph_of(
        ["r = Relu(a) {T: float32}", conv("out", "r", "k2"), "same = Identity(r) {T: float32}"],
        outputs="out, r, same, a",
    )
    model = exported(graph)
    onnx.checker.check_model(model, full_check=True)
    assert [output.name for output in model.graph.output] == ["out", "r", "same", "a"]
    value = value_of((1, 5, 6, 3))
    wanted = in_tensorflow(graph, value)
    assert all(difference(a, b) < TOLERANCE for a, b in zip(runs(model, value), wanted, strict=True))


def test_outputs_that_are_computed_already() -> None:
    lines = [
        const("c", 2, 3),
        "same = Identity(x) {T: float32}",
        "sum = AddV2(c, c) {T: float32}",
        conv("out", "a", "k2"),
    ]
    graph = graph_of(lines, outputs="out, c, same, sum")
    model = exported(graph)
    onnx.checker.check_model(model, full_check=True)
    value = value_of((1, 5, 6, 3))
    found, wanted = runs(model, value), in_tensorflow(graph, value)
    assert [output.name for output in model.graph.output] == ["out", "c", "same", "sum"]
    assert all(difference(a, b) < TOLERANCE for a, b in zip(found, wanted, strict=True))


def test_a_switch_with_a_default_is_its_default() -> None:
    lines = [
        "half = Const() {dtype: float32, value: tensor<float32[]: 0.5>}",
        "switch = PlaceholderWithDefault(half) {dtype: float32, shape: shape[]}",
        "out = Mul(a, switch) {T: float32}",
    ]
    graph = graph_of(lines)
    model = exported(graph)
    assert len(model.graph.input) == 1
    value = value_of((1, 5, 6, 3))
    assert difference(runs(model, value)[0], in_tensorflow(graph, value)[0]) < TOLERANCE


BATCHED = [
    "flat = Const() {dtype: int32, value: tensor<int32[3]: 1, -1, 2>}",
    conv("b", "a", "k2"),
    "r = Reshape(b, flat) {T: float32, Tshape: int32}",
    scalar("axis", 0),
    ints("zero", 0),
    ints("one", 1),
    "shape = Shape(r) {T: float32, out_type: int32}",
    "n = StridedSlice(shape, zero, one, one) {T: int32, Index: int32, begin_mask: 0, end_mask: 0, ellipsis_mask: 0, new_axis_mask: 0, "
    "shrink_axis_mask: 1}",
    scalar("rest", -1),
    "wanted = Pack(n, rest) {T: int32, N: 2, axis: 0}",
    "out = Reshape(r, wanted) {T: float32, Tshape: int32}",
]


@pytest.mark.parametrize("batch", ["dynamic", 2])
def test_a_batch(batch: Any) -> None:
    graph = graph_of(BATCHED)
    model = exported(graph, batch=batch)
    onnx.checker.check_model(model, full_check=True)
    first = model.graph.input[0].type.tensor_type.shape.dim[0]
    assert first.dim_param == "batch" if batch == "dynamic" else first.dim_value == 2
    value = value_of((2, 5, 6, 3))
    wanted = np.concatenate([in_tensorflow(graph, value[i : i + 1])[0] for i in range(2)])
    (found,) = runs(model, value)
    assert difference(found, wanted) < TOLERANCE and difference(found[::-1], wanted) > 100 * TOLERANCE


def test_an_open_batch_is_one_picture_unless_told() -> None:
    graph = graph_of([conv("out", "a", "k2")], [INPUT.replace("1,5", "?,5"), *FIRST[1:]])
    sizes = {
        batch: exported(graph, batch=batch).graph.input[0].type.tensor_type.shape.dim[0]
        for batch in (None, 3, "dynamic")
    }
    assert (sizes[None].dim_value, sizes[3].dim_value, sizes["dynamic"].dim_param) == (1, 3, "batch")
