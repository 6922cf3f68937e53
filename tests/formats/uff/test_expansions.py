"""Operations that UFF lacks, expanded: the same numbers as TensorFlow's in every target, and nothing left to refuse."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

import surgeon
from surgeon.catalog import load_catalog
from surgeon.formats import FileFacts, format_of
from surgeon.formats.onnx import export_onnx
from surgeon.formats.uff import read_uff
from surgeon.formats.uff.as_graph import uff_graph
from surgeon.formats.uff.expansion import expand, expansions
from surgeon.graph import Graph, Ref, parse_graph
from surgeon.lints import find_problems
from surgeon.runners.references import ReferenceRunner
from surgeon.targets import load_target

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("tf2onnx")
tf = pytest.importorskip("tensorflow")

raw, v1 = tf.raw_ops, tf.compat.v1
UFF, ONNX, OLD = map(load_target, ("uff@tensorrt-8.5", "onnx@onnxruntime", "uff@tensorrt-5.0"))
TOLERANCE = 1e-5
"""Of the largest number of a result, 1 at least."""

Build = Callable[[Any], Any]


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


PICTURE = numbers(1, 6, 8, 4)
CHANNELS = numbers(4, seed=1)


def other(x: Any) -> Any:
    return tf.nn.conv2d(x, numbers(1, 1, 4, 4, seed=2), 1, "SAME")


def convolved(x: Any) -> Any:
    """Return what a convolution makes of it, which tells the layout of what it reads."""
    return tf.nn.conv2d(x, numbers(1, 1, x.shape[-1], 2, seed=3), 1, "SAME")


def sequence(x: Any) -> Any:
    return tf.reshape(x, [1, 48, 4])


def by_rows(x: Any, build: Build) -> Any:
    """Return what is made of the rows of a sequence, of which none is told to be of a picture."""
    return tf.reshape(build(tf.reshape(x, [48, 4])), [1, 48, 4])


def heads(x: Any) -> Any:
    return tf.transpose(tf.reshape(x, [1, 48, 2, 2]), [0, 2, 1, 3])


def normalized(x: Any, axes: list[int]) -> Any:
    mean, variance = tf.nn.moments(x, axes, keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, CHANNELS, CHANNELS, 1e-5)


def fused(kind: str, x: Any, weights: np.ndarray, *activation: str, **attrs: Any) -> Any:
    """Return a layer as TensorFlow's optimizer writes it, with a bias."""
    graph = v1.get_default_graph()
    value = tf.compat.v1.AttrValue
    named = {"T": value(type=tf.float32.as_datatype_enum), "num_args": value(i=1)}
    if kind == "_FusedConv2D":
        named |= {"TArgs": value(list=value.ListValue(type=[1])), "num_host_args": value(i=0)}
    listed = {"fused_ops": ["BiasAdd", *activation], **attrs}
    for key, given in listed.items():
        if isinstance(given, str):
            named[key] = value(s=given.encode())
        elif isinstance(given, float):
            named[key] = value(f=given)
        elif isinstance(given[0], str):
            named[key] = value(list=value.ListValue(s=[text.encode() for text in given]))
        else:
            named[key] = value(list=value.ListValue(i=given))
    inputs = [x, tf.constant(weights), tf.constant(CHANNELS)]
    name = graph.unique_name(kind.lstrip("_"))
    return graph.create_op(kind, inputs, [tf.float32], attrs=named, name=name).outputs[0]


def grouped(x: Any) -> Any:
    apart = tf.reshape(x, [1, 6, 8, 2, 2])
    mean, variance = tf.nn.moments(apart, [1, 2, 4], keepdims=True)
    return tf.reshape((apart - mean) * tf.math.rsqrt(variance + 1e-5), [1, 6, 8, 4])


def nearest(x: Any, *size: int, **options: bool) -> Any:
    return convolved(raw.ResizeNearestNeighbor(images=x, size=size, **options))


def padded(x: Any, *amounts: tuple[int, int], mode: str = "CONSTANT") -> Any:
    return tf.pad(x, [(0, 0), *amounts], mode)


ROWS: dict[str, Build] = {
    "SquaredDifference": lambda x: tf.math.squared_difference(x, other(x)),
    "SquaredDifference of a constant": lambda x: tf.math.squared_difference(CHANNELS, x),
    "AddN of one": lambda x: tf.add_n([x]),
    "AddN of three": lambda x: tf.add_n([x, other(x), tf.sin(x)]),
    "AddN with constants": lambda x: tf.add_n([tf.constant(PICTURE), x, tf.constant(PICTURE)]),
    "Log1p": lambda x: tf.math.log1p(tf.abs(x)),
    "Expm1": lambda x: tf.math.expm1(x),
    "Maximum with a constant": lambda x: tf.maximum(x, 0.3),
    "Minimum with a constant": lambda x: tf.minimum(0.3, x),
    "Maximum with channels": lambda x: tf.maximum(x, CHANNELS),
    "Maximum with 0": lambda x: tf.maximum(x, 0.0),
    "Minimum with 0": lambda x: tf.minimum(x, 0.0),
    "clip_by_value": lambda x: tf.clip_by_value(x, -0.5, 0.7),
    "ClipByValue": lambda x: raw.ClipByValue(t=x, clip_value_min=-0.5, clip_value_max=0.7),
    "l2_normalize of channels": lambda x: tf.nn.l2_normalize(x, -1),
    "l2_normalize of an embedding": lambda x: tf.nn.l2_normalize(tf.reshape(x, [1, 192]), 1),
    "EuclideanNorm": lambda x: raw.EuclideanNorm(input=x, axis=[3], keep_dims=True),
    "moments": lambda x: tf.nn.moments(x, [1, 2])[1],
    "instance norm": lambda x: normalized(x, [1, 2]),
    "layer norm": lambda x: normalized(x, [-1]),
    "group norm": grouped,
    "means joined": lambda x: tf.concat([tf.reduce_mean(x, [1, 2]), tf.reduce_max(x, [1, 2])], 1),
    "Unpack of channels": lambda x: tf.unstack(x, axis=3)[2] - tf.unstack(x, axis=3)[0],
    "Unpack of rows": lambda x: tf.unstack(x, axis=1)[2],
    "Unpack of moved channels": lambda x: tf.unstack(tf.transpose(sequence(x), [2, 0, 1]))[3],
    "Unpack of moved rows": lambda x: tf.unstack(tf.transpose(x, [1, 0, 3, 2]))[1],
    "Pack": lambda x: tf.stack([x, other(x), tf.sin(x)], 2),
    "Pack at the end": lambda x: tf.stack([x, other(x)], -1),
    "Pack with a constant": lambda x: tf.stack([x, tf.constant(PICTURE)], 1),
    "Split": lambda x: convolved(tf.concat(tf.split(other(x), 2, 3)[::-1], 3)),
    "SplitV": lambda x: tf.concat(tf.split(x, [1, 2, -1], -1)[::-1], 3),
    "Slice": lambda x: tf.slice(x, [0, 1, 2, 1], [-1, 3, -1, 2]),
    "StridedSlice of one row": lambda x: x[:, -2],
    "StridedSlice of some axes": lambda x: x[:, 1:5],
    "StridedSlice with an ellipsis": lambda x: x[..., 1],
    "StridedSlice with a new axis": lambda x: x[:, ::2, None, 1:, 0],
    "Tile": lambda x: tf.tile(tf.reduce_mean(x, [1, 2], keepdims=True), [1, 6, 8, 1]),
    "dilated convolution": lambda x: tf.nn.atrous_conv2d(x, numbers(3, 3, 4, 5), 2, "SAME"),
    "dilated convolution of an odd size": lambda x: tf.nn.atrous_conv2d(x, numbers(3, 3, 4, 5), 4, "SAME"),
    "dilated convolution, VALID": lambda x: tf.nn.atrous_conv2d(x, numbers(3, 3, 4, 5), 2, "VALID"),
    "dilated convolution of a sequence": lambda x: tf.nn.convolution(
        sequence(x), numbers(2, 4, 5), padding="SAME", dilations=[4]
    ),
    "Pad of a sequence": lambda x: padded(sequence(x), (3, 1), (0, 0)),
    "Pad of all axes": lambda x: convolved(padded(x, (1, 1), (0, 2), (1, 2))),
    "Pad of an embedding": lambda x: padded(tf.reshape(x, [1, 192]), (2, 3)),
    "Pad by a number": lambda x: tf.pad(x, [(0, 0), (1, 2), (0, 1), (0, 0)], constant_values=-2.0),
    "Pad of a picture": lambda x: convolved(padded(x, (1, 2), (0, 1), (0, 0))),
    "ResizeNearestNeighbor": lambda x: nearest(x, 12, 16),
    "ResizeNearestNeighbor, half pixels": lambda x: nearest(x, 18, 24, half_pixel_centers=True),
    "ResizeNearestNeighbor, oblong": lambda x: nearest(x, 12, 24),
    "DepthToSpace": lambda x: convolved(tf.nn.depth_to_space(x, 2)),
    "SpaceToDepth": lambda x: convolved(tf.nn.space_to_depth(x, 2)),
    "MirrorPad, REFLECT": lambda x: convolved(padded(x, (2, 1), (3, 3), (0, 0), mode="REFLECT")),
    "MirrorPad, SYMMETRIC": lambda x: padded(x, (2, 1), (0, 3), (0, 0), mode="SYMMETRIC"),
    "MirrorPad of a sequence": lambda x: padded(sequence(x), (3, 2), (0, 0), mode="REFLECT"),
    **{f"Softmax of axis {axis}": lambda x, axis=axis: tf.nn.softmax(x, axis) for axis in (1, 2, 3)},
    "Softmax of a matrix": lambda x: tf.nn.softmax(tf.reshape(x, [1, 192])),
    "Softmax of three axes": lambda x: tf.nn.softmax(sequence(x)),
    "Softmax of three axes, the second": lambda x: tf.nn.softmax(sequence(x), 1),
    "Softmax of five axes": lambda x: tf.nn.softmax(tf.reshape(x, [1, 6, 8, 2, 2])),
    "LogSoftmax": lambda x: tf.nn.log_softmax(x * 30),
    "LogSoftmax of rows": lambda x: tf.nn.log_softmax(x, 1),
    "LogSoftmax of a matrix": lambda x: tf.nn.log_softmax(tf.reshape(x, [1, 192])),
    "a fused MatMul": lambda x: fused("_FusedMatMul", tf.reshape(x, [1, 192]), numbers(192, 4) / 9, "Relu"),
    "a fused MatMul, LeakyRelu": lambda x: fused(
        "_FusedMatMul", tf.reshape(x, [1, 192]), numbers(192, 4) / 9, "LeakyRelu", leakyrelu_alpha=0.1
    ),
    "a fused Conv2D": lambda x: fused(
        "_FusedConv2D", x, numbers(3, 3, 4, 4), "Relu6", strides=[1, 2, 1, 1], padding="SAME"
    ),
    "swish": lambda x: x * tf.sigmoid(x),
    "hard swish": lambda x: x * tf.nn.relu6(x + 3) / 6,
    "hard sigmoid": lambda x: tf.clip_by_value(x * 0.2 + 0.5, 0, 1),
    "mish": lambda x: x * tf.tanh(tf.nn.softplus(x)),
    "PReLU by a half": lambda x: tf.nn.relu(x) + CHANNELS * (x - tf.abs(x)) * 0.5,
    "PReLU by the negative": lambda x: tf.nn.relu(x) - CHANNELS * tf.nn.relu(-x),
    "PReLU by extremes": lambda x: tf.maximum(x, 0.0) + CHANNELS * tf.minimum(x, 0.0),
    "Erf": lambda x: tf.math.erf(x * 3),
    "GELU": lambda x: 0.5 * x * (1 + tf.math.erf(x / np.sqrt(2))),
    "GELU by Erfc": lambda x: tf.nn.gelu(x),
    "GELU by tanh": lambda x: tf.nn.gelu(x, approximate=True),
    "Selu": tf.nn.selu,
    "Elu": tf.nn.elu,
    "Softplus": tf.nn.softplus,
    "Softsign": tf.nn.softsign,
    "Rsqrt of a Square": lambda x: tf.math.rsqrt(tf.square(x) + 1),
    "a number divided": lambda x: 2.0 / (tf.abs(x) + 1),
    "Reciprocal": lambda x: tf.math.reciprocal(tf.abs(x) + 1),
    "a power of a number": lambda x: tf.pow(2.0, x),
    **{f"Pow of {p:g}": lambda x, p=p: tf.pow(x, p) for p in (1.0, 2.0, 3.0, 4.0)},
    **{f"Pow of {p:g}": lambda x, p=p: tf.pow(tf.abs(x) + 1, p) for p in (-1.0, 0.5)},
    "FloorDiv": lambda x: x // 0.37,
    "rows of a constant": lambda x: x * tf.constant(numbers(8, 1)),
    "positions": lambda x: x + tf.constant(numbers(6, 1, 4)),
    "tensors of other rank": lambda x: x * tf.sigmoid(tf.matmul(tf.reduce_mean(x, [1, 2]), numbers(4, 4))),
    "attention": lambda x: tf.matmul(
        tf.nn.softmax(tf.matmul(heads(x), heads(other(x)), transpose_b=True)), heads(x)
    ),
    "BatchMatMul, turned": lambda x: tf.matmul(sequence(x), sequence(other(x)), transpose_a=True),
    "BatchMatMul by weights": lambda x: tf.matmul(sequence(x), tf.constant(numbers(1, 4, 7))),
    "Einsum by weights": lambda x: tf.einsum("abc,cde->adbe", sequence(x), tf.constant(numbers(4, 2, 5))),
    "Einsum of heads by weights": lambda x: tf.einsum(
        "abcd,bde->ace", heads(x), tf.constant(numbers(2, 2, 5))
    ),
    "Einsum of two": lambda x: tf.einsum("abcd,abed->acbe", heads(x), heads(other(x))),
    "a dense layer on a sequence": lambda x: tf.tensordot(sequence(x), tf.constant(numbers(4, 6)), 1),
    "layers on rows": lambda x: by_rows(
        x, lambda rows: tf.nn.relu(tf.matmul(rows, numbers(4, 4)) + CHANNELS) + rows
    ),
    "norms on rows": lambda x: by_rows(x, lambda rows: normalized(rows, [1])),
    "rows reshaped twice": lambda x: by_rows(x, lambda rows: tf.nn.relu(tf.reshape(tf.sin(rows), [96, 2]))),
    "constants of unequal shapes": lambda x: x * (tf.constant(numbers(1, 4)) * tf.constant(numbers(8, 4))),
    "BatchMatMul, both turned": lambda x: tf.matmul(
        sequence(x), tf.reshape(x, [1, 4, 48]), transpose_a=True, transpose_b=True
    ),
    "squeeze and excite": lambda x: x * tf.sigmoid(other(tf.reduce_mean(x, [1, 2], keepdims=True))),
    "BiasAdd of a sequence": lambda x: tf.nn.bias_add(sequence(x), CHANNELS),
    "channels of a sequence": lambda x: sequence(x) * CHANNELS,
    "Transpose of a sequence": lambda x: tf.transpose(sequence(x), [0, 2, 1]),
    "part of a sequence": lambda x: sequence(x)[:, 5:40:2] - sequence(x)[:, 1, None],
    "part of an embedding": lambda x: tf.reshape(x, [1, 192])[:, 20:50],
    "Focus": lambda x: convolved(tf.concat([x[:, ::2, ::2], x[:, 1::2, ::2], x[:, ::2, 1::2]], -1)),
    "a picture and a reshaped one": lambda x: other(x) + tf.reshape(sequence(x), [1, 6, 8, 4]),
    "a picture and its softmax": lambda x: other(x) * tf.nn.softmax(x),
    "Pad of a reshaped picture": lambda x: convolved(
        padded(tf.reshape(sequence(x), [1, 6, 8, 4]), (1, 2), (0, 1), (0, 0))
    ),
    "channels of a reshaped picture": lambda x: convolved(tf.reshape(sequence(x), [1, 6, 8, 4]) * CHANNELS),
    "BatchMatMul by turned weights": lambda x: raw.BatchMatMulV2(x=heads(x), y=numbers(7, 2), adj_y=True),
    "Pad of what was convolved": lambda x: convolved(padded(convolved(x), (0, 1), (2, 0), (0, 0))),
    "Pad of what was convolved, symmetric": lambda x: padded(convolved(x), (1, 1), (2, 2), (0, 0)),
    "Pad as SAME would": lambda x: tf.nn.conv2d(
        padded(convolved(x), (0, 1), (0, 1), (0, 0)), numbers(3, 3, 2, 5), 2, "VALID"
    ),
    "Pad as SAME would, depthwise": lambda x: tf.nn.depthwise_conv2d(
        padded(convolved(x), (0, 1), (0, 1), (0, 0)), numbers(3, 3, 2, 1), [1, 2, 2, 1], "VALID"
    ),
}
TOGETHER = 30
NAMES = list(ROWS)


@cache
def graph_of(part: int) -> tuple[Graph, list[np.ndarray]]:
    """Return a graph of some rows, each of which gives one output, and what TensorFlow computes."""
    names = NAMES[part * TOGETHER : (part + 1) * TOGETHER]
    with v1.Graph().as_default() as graph, TemporaryDirectory() as folder:
        x = v1.placeholder(tf.float32, PICTURE.shape, name="x")
        start = tf.nn.conv2d(x, np.eye(4, dtype=np.float32)[None, None], 1, "SAME")
        outputs = [tf.identity(ROWS[name](start), name=f"out_{i}") for i, name in enumerate(names)]
        config = v1.ConfigProto()
        config.graph_options.rewrite_options.disable_meta_optimizer = True  # it ends the process at some
        with v1.Session(graph=graph, config=config) as session:
            wanted = session.run(outputs, {"x:0": PICTURE})
        path = Path(folder) / "rows.pb"
        path.write_bytes(graph.as_graph_def().SerializeToString())
        read = surgeon.load_graph(path)
    return read.replace(outputs=tuple(Ref(f"out_{i}") for i in range(len(names)))), wanted


@cache
def by_references(part: int, target: Any) -> list[np.ndarray]:
    """Return what the references compute of the expanded graph."""
    graph, _ = graph_of(part)
    with ReferenceRunner(expand(graph, load_catalog(), target), load_catalog()) as runner:
        return list(runner.run({"x": PICTURE}).values())


@cache
def by_onnxruntime(part: int) -> list[np.ndarray]:
    graph, _ = graph_of(part)
    model = export_onnx(graph, plugins=load_catalog(), target=ONNX).model
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (fed,) = session.get_inputs()
    found: list[np.ndarray] = session.run(None, {fed.name: PICTURE.transpose(0, 3, 1, 2)})
    return found


def same(found: np.ndarray, wanted: np.ndarray) -> bool:
    largest = max(1.0, float(np.abs(wanted).max()))
    return found.shape == wanted.shape and np.allclose(found, wanted, 0, TOLERANCE * largest)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.xdist_group(f"expansions {index // TOGETHER}"))
        for index, name in enumerate(NAMES)
    ],
)
def test_the_numbers_are_tensorflows(name: str) -> None:
    part, index = divmod(NAMES.index(name), TOGETHER)
    wanted = graph_of(part)[1][index]
    assert same(by_references(part, UFF)[index], wanted)
    assert same(by_references(part, OLD)[index], wanted)
    assert same(by_onnxruntime(part)[index], wanted)
    assert not same(wanted * np.float32(1.001), wanted)


@pytest.mark.parametrize("part", range(-(-len(NAMES) // TOGETHER)))
def test_what_is_expanded_is_written_and_not_objected_to(part: int, tmp_path: Path) -> None:
    graph, _ = graph_of(part)
    assert find_problems(graph, UFF, load_catalog()) == ()
    format_of("rows.uff").write(graph, tmp_path / "rows.uff", UFF, load_catalog(), FileFacts())
    written, shapes = uff_graph(read_uff(tmp_path / "rows.uff"), load_catalog())
    assert len(written.outputs) == len(graph.outputs) and shapes.inference.contradictions == []


def test_each_expansion_has_a_row() -> None:
    graphs = (graph_of(part)[0] for part in range(-(-len(NAMES) // TOGETHER)))
    seen = {node.op for graph in graphs for node in graph}
    spelled_otherwise = {"AccumulateNV2", "BatchMatMul", "Div", "Inv", "LeakyRelu", "Prod"}
    rest = set(expansions()) - seen - spelled_otherwise
    assert rest <= {"Add", "BiasAddV1", "Min"}


X = "x = Placeholder() {dtype: float32, shape: shape[1,4,4,2]}\n"


def test_what_is_not_expanded_is_the_same_graph() -> None:
    graph = parse_graph("graph v1\noutputs: y\n" + X + "y = Relu(x) {T: float32}\n")
    assert expand(graph, load_catalog(), UFF) is graph


def test_nodes_keep_their_names_and_readers_their_outputs() -> None:
    axis = "axis = Const() {dtype: int32, value: tensor<int32[]: 3>}\n"
    graph = parse_graph(
        "graph v1\noutputs: sum, parts:1\n"
        + X
        + axis
        + "parts = Split(axis, x) {T: float32, num_split: 2}\n"
        + "sum = AddN(parts, parts:1, parts:1) {N: 3, T: float32}\n"
    )
    found = expand(graph, load_catalog(), UFF)
    found.check()
    assert found["sum"].op == "AddV2" and "parts" not in found
    assert {found[ref.node].op for ref in found.output_refs} == {"AddV2", "StridedSlice"}


BATCH = X.replace("1,4,4,2", "2,4,4,2")
STAY = {
    "the batch unpacked": (BATCH + "y = Unpack(x) {T: float32, num: 2, axis: 0}\n", "Unpack"),
    "the batch stacked": (X + "y = Pack(x, x) {T: float32, N: 2, axis: 0}\n", "Pack"),
    "whole numbers": (
        "x = Placeholder() {dtype: int32, shape: shape[1,4]}\ny = SquaredDifference(x, x) {T: int32}\n",
        "SquaredDifference",
    ),
    "an unknown size": (
        X.replace("4,4", "?,4") + "y = DepthToSpace(x) {T: float32, block_size: 2}\n",
        "DepthToSpace",
    ),
    "corners that are aligned": (
        X
        + "s = Const() {dtype: int32, value: tensor<int32[2]: 8, 8>}\n"
        + "y = ResizeNearestNeighbor(x, s) {T: float32, align_corners: true}\n",
        "ResizeNearestNeighbor",
    ),
    "a factor that is not whole": (
        X
        + "s = Const() {dtype: int32, value: tensor<int32[2]: 6, 8>}\n"
        + "y = ResizeNearestNeighbor(x, s) {T: float32}\n",
        "ResizeNearestNeighbor",
    ),
}


@pytest.mark.parametrize("case", STAY)
def test_what_would_not_be_exact_stays(case: str) -> None:
    text, op = STAY[case]
    graph = parse_graph("graph v1\noutputs: y\n" + text)
    assert expand(graph, load_catalog(), UFF)["y"].op == op


def test_a_file_names_the_plugins_that_its_operations_became(tmp_path: Path) -> None:
    size = "s = Const() {dtype: int32, value: tensor<int32[2]: 8, 8>}\n"
    graph = parse_graph(
        "graph v1\noutputs: y\n" + X + size + "y = ResizeNearestNeighbor(x, s) {T: float32}\n"
    )
    form = format_of("larger.uff")
    form.write(graph, tmp_path / "larger.uff", UFF, load_catalog(), FileFacts())
    (use,) = form.open(tmp_path / "larger.uff").plugin_uses(load_catalog(), graph)
    assert (use.op, use.fields) == ("ResizeNearest_TRT", {"scale": 2.0})


def test_rows_that_are_counted_stay_without_a_batch() -> None:
    lines = (
        "to = Const() {dtype: int32, value: tensor<int32[2]: 16, 2>}\n"
        "back = Const() {dtype: int32, value: tensor<int32[2]: 1, 32>}\n"
        "turn = Const() {dtype: int32, value: tensor<int32[2]: 1, 0>}\n"
        "rows = Reshape(x, to) {T: float32, Tshape: int32}\n"
        "active = Relu(rows) {T: float32}\n"
        "turned = Transpose(active, turn) {T: float32, Tperm: int32}\n"
        "y = Reshape(turned, back) {T: float32, Tshape: int32}\n"
    )
    graph = parse_graph("graph v1\noutputs: y\n" + X + lines)
    assert expand(graph, load_catalog(), UFF) is graph
    assert [found.code for found in find_problems(graph, UFF, load_catalog())] == ["L102"]


def run(lines: str, x: np.ndarray) -> np.ndarray:
    """Return what the references compute of the expanded graph whose output is y."""
    dims = ",".join(map(str, x.shape))
    given = f"x = Placeholder() {{dtype: float32, shape: shape[{dims}]}}\n"
    graph = expand(parse_graph("graph v1\noutputs: y\n" + given + lines), load_catalog(), UFF)
    graph.check()
    with ReferenceRunner(graph, load_catalog()) as runner:
        (found,) = runner.run({"x": x}).values()
    return found


def a_number(name: str, value: str, shape: str = "") -> str:
    return f"{name} = Const() {{dtype: float32, value: tensor<float32[{shape}]: {value}>}}\n"


EXTREME = np.float32([[[[-np.inf, -100], [-1, 0]], [[1, 100], [np.inf, 8]]]])
INFINITE: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "a sigmoid by hand": (
        "less = Neg(x) {T: float32}\n"
        "exp = Exp(less) {T: float32}\n" + a_number("one", "1.0") + "sum = AddV2(exp, one) {T: float32}\n"
        "y = RealDiv(one, sum) {T: float32}\n",
        lambda x: 1 / (1 + np.exp(-x)),
    ),
    "Maximum": (a_number("c", "-10.0") + "y = Maximum(x, c) {T: float32}\n", lambda x: np.maximum(x, -10)),
    "Minimum": (a_number("c", "7.0") + "y = Minimum(x, c) {T: float32}\n", lambda x: np.minimum(x, 7)),
    "Minimum with 0": (
        a_number("c", "0.0") + "y = Minimum(x, c) {T: float32}\n",
        lambda x: np.minimum(x, 0),
    ),
    "Reciprocal": ("y = Reciprocal(x) {T: float32}\n", lambda x: 1 / x),
    "PadV2": (
        "by = Const() {dtype: int32, value: tensor<int32[4,2]: 0, 0, 1, 1, 0, 0, 0, 0>}\n"
        + a_number("c", "5.0")
        + "y = PadV2(x, by, c) {T: float32, Tpaddings: int32}\n",
        lambda x: np.pad(x, [(0, 0), (1, 1), (0, 0), (0, 0)], constant_values=5),
    ),
    "Pack with a constant": (
        a_number("c", "1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0", "1,2,2,2")
        + "y = Pack(x, c) {T: float32, N: 2, axis: 1}\n",
        lambda x: np.stack([x, np.arange(1, 9, dtype=np.float32).reshape(x.shape)], 1),
    ),
    "Erf": ("y = Erf(x) {T: float32}\n", lambda x: np.float32(tf.math.erf(x))),
    "Expm1": ("y = Expm1(x) {T: float32}\n", np.expm1),
}


@pytest.mark.parametrize("name", INFINITE)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_infinity_is_computed_as_before(name: str) -> None:
    lines, wanted = INFINITE[name]
    np.testing.assert_allclose(run(lines, EXTREME), wanted(EXTREME), 1e-5, 1e-6)


def test_what_is_no_number_stays_none() -> None:
    lines = a_number("c", "-10.0") + "y = Maximum(x, c) {T: float32}\n"
    np.testing.assert_array_equal(run(lines, np.float32([[np.nan, 3, -20]])), [[np.nan, 3, -10]])


@pytest.mark.parametrize(
    "call", ["Maximum(x, c)", "Minimum(c, x)", "Pow(x, c)", "SquaredDifference(x, c)", "RealDiv(c, x)"]
)
@pytest.mark.parametrize("value", ["0.0", "1.0", "2.0", "-1.0"])
def test_axes_of_a_constant_of_one_element_stay(call: str, value: str) -> None:
    x = np.abs(numbers(1, 8)) + 1
    assert run(f"{a_number('c', value, '1,1,1')}y = {call} {{T: float32}}\n", x).shape == (1, 1, 8)
    assert run(f"{a_number('c', value, '1,1')}y = {call} {{T: float32}}\n", x).shape == (1, 8)


@pytest.mark.parametrize("kind", ["Maximum", "Minimum", "Pow"])
def test_a_number_needs_no_known_sizes(kind: str) -> None:
    value = "2.0" if kind == "Pow" else "0.0"
    lines = X.replace("4,4", "?,?") + a_number("c", value) + f"y = {kind}(x, c) {{T: float32}}\n"
    assert kind not in {
        n.op for n in expand(parse_graph("graph v1\noutputs: y\n" + lines), load_catalog(), UFF)
    }


@pytest.mark.parametrize(
    "call",
    [
        "Split(a, x, ^u) {T: float32, num_split: 2}",
        "SplitV(x, s, a, ^u) {T: float32, Tlen: int32, num_split: 2}",
        "Unpack(x, ^u) {T: float32, num: 2, axis: 3}",
    ],
)
def test_control_inputs_follow_the_parts(call: str) -> None:
    lines = (
        "u = Neg(x) {T: float32}\n"
        "a = Const() {dtype: int32, value: tensor<int32[]: 3>}\n"
        "s = Const() {dtype: int32, value: tensor<int32[2]: 1, 1>}\n"
        f"p = {call}\n"
        "sum = AddV2(p, p:1, ^p) {T: float32}\n"
        "y = Relu(sum, ^u, ^p) {T: float32}\n"
    )
    graph = expand(parse_graph("graph v1\noutputs: y\n" + X + lines), load_catalog(), UFF)
    graph.check()
    parts = tuple(ref.node for ref in graph["sum"].inputs)
    assert graph["y"].control == ("u", *parts) and graph["sum"].control == parts
    assert all(graph[part].control == ("u",) for part in parts)


def test_many_rows_that_stay_take_no_time_of_their_square() -> None:
    count = 2000
    chain = "".join(f"r{i + 1} = Relu(r{i}) {{T: float32}}\n" for i in range(count))
    lines = "to = Const() {dtype: int32, value: tensor<int32[2]: 16, 2>}\nr0 = Reshape(x, to) {T: float32, Tshape: int32}\n"
    graph = parse_graph(f"graph v1\noutputs: r{count}\n" + X + lines + chain)
    start = time.process_time()
    assert expand(graph, load_catalog(), UFF) is graph
    assert time.process_time() - start < 10


def test_attributes_of_another_type_are_left_to_the_converter() -> None:
    graph = parse_graph("graph v1\noutputs: y\n" + X + 'y = Unpack(x) {T: float32, num: 4, axis: "one"}\n')
    assert expand(graph, load_catalog(), UFF) is graph


def test_an_old_parser_gets_leaky_relu_by_relu() -> None:
    graph = parse_graph("graph v1\noutputs: y\n" + X + "y = LeakyRelu(x) {T: float32, alpha: 0.1}\n")
    assert expand(graph, load_catalog(), UFF) is graph
    old = expand(graph, load_catalog(), OLD)
    assert old["y"].op == "Sub" and "LeakyRelu" not in {node.op for node in old}
    picture = numbers(1, 4, 4, 2)
    with ReferenceRunner(old, load_catalog()) as runner:
        (found,) = runner.run({"x": picture}).values()
    assert same(found, np.where(picture > 0, picture, np.float32(0.1) * picture))


def whole(name: str, value: str, shape: str) -> str:
    return f"{name} = Const() {{dtype: int32, value: tensor<int32[{shape}]: {value}>}}\n"


LARGE = "x = Placeholder() {dtype: float32, shape: shape[1,400,400]}\n"
REASONS: dict[str, tuple[str, str, str]] = {
    "channels first": (
        X + 'y = DepthToSpace(x) {T: float32, block_size: 2, data_format: "NCHW"}\n',
        "channels are not the last axis",
        "in the model",
    ),
    "blocks of channels that are too few": (
        X + "y = DepthToSpace(x) {T: float32, block_size: 2}\n",
        "block_size 2 does not divide a tensor of 1x4x4x2",
        "in the model",
    ),
    "large matrices": (
        LARGE + "z = Tanh(x) {T: float32}\ny = BatchMatMulV2(x, z) {T: float32}\n",
        "64,000,000 products of two numbers, more than",
        "in the model",
    ),
    "many rows mirrored": (
        LARGE
        + whole("by", "0, 0, 200, 200, 0, 0", "3,2")
        + 'y = MirrorPad(x, by) {T: float32, Tpaddings: int32, mode: "REFLECT"}\n',
        "400 rows and columns, more than 256",
        "in the model",
    ),
    "many repetitions": (
        X + whole("by", "1, 200, 1, 1", "4") + "y = Tile(x, by) {T: float32, Tmultiples: int32}\n",
        "1 + 200 + 1 + 1 times, more than 128",
        "in the model",
    ),
    "the batch": (
        BATCH + "y = Unpack(x) {T: float32, num: 2, axis: 0}\n",
        "it takes the batch apart",
        "in the model",
    ),
    "whole numbers": (
        X.replace("float32", "int32") + "y = SquaredDifference(x, x) {T: int32}\n",
        "its numbers are not float32",
        "in the model",
    ),
    "corners that are aligned": (STAY["corners that are aligned"][0], "aligns corners", "in the model"),
    "a factor that is not whole": (
        STAY["a factor that is not whole"][0],
        "not whole: 4x4 becomes 6x8",
        "in the model",
    ),
    "an unknown size": (STAY["an unknown size"][0], "not all known", "fix the input's size"),
    "an unknown size resized": (
        X.replace("4,4", "?,4") + whole("s", "8, 8", "2") + "y = ResizeNearestNeighbor(x, s) {T: float32}\n",
        "not all known",
        "ResizeNearest_TRT",
    ),
}


@pytest.mark.parametrize("name", REASONS)
def test_what_is_refused_says_why_it_is_not_expanded(name: str) -> None:
    text, reason, remedy = REASONS[name]
    graph = parse_graph("graph v1\noutputs: y\n" + text)
    found = format_of("y.uff").check(graph, UFF, load_catalog())[0]
    assert found.code == "X101" and reason in " ".join(found.notes) and remedy in found.help[0]
    if remedy == "in the model":
        assert "fix the input" not in found.help[0] and "_TRT" not in found.help[0]
