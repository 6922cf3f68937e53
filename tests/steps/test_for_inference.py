"""The step ``for-inference``: the same numbers in TensorFlow, and nothing left that only training needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import surgeon
from surgeon.diagnostics import Diagnostic, SurgeonError
from surgeon.formats.graphdef import from_bytes, to_bytes
from surgeon.graph import Graph, Node, Ref, TensorValue, apply_edits, parse_graph, print_graph
from surgeon.steps.for_inference import ForInference
from surgeon.steps.step import StepContext

tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1

X = np.linspace(-2, 3, 24, dtype=np.float32).reshape(2, 3, 4)


@pytest.fixture(autouse=True, scope="module")
def _control_flow_as_nodes() -> Iterator[None]:
    v1.disable_control_flow_v2()
    yield
    v1.enable_control_flow_v2()


def step(constants: dict[str, Any] | None = None) -> ForInference:
    return ForInference.model_validate({"step": "for-inference", "constants": constants or {}})


def reduced(
    graph: Graph, constants: dict[str, Any] | None = None, *, notes: list[Diagnostic] | None = None
) -> Graph:
    context = StepContext(graph, diagnostics=[] if notes is None else notes)
    return apply_edits(graph, step(constants).plan(context))


def graph_of(build: Callable[[Any], Any], outputs: tuple[str, ...] = ("out",)) -> Graph:
    """Return the graph that ``build`` makes of the input 'x', with the output 'out'."""
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, 3, 4], name="x")
        tf.identity(build(x), name="out")
    made = from_bytes(graph.as_graph_def().SerializeToString())
    return made.replace(outputs=[Ref(name) for name in outputs])


def compute(graph: Graph, feeds: dict[str, Any]) -> Any:
    definition = v1.GraphDef.FromString(to_bytes(graph))
    with tf.Graph().as_default() as target:
        tf.import_graph_def(definition, name="")
        with v1.Session(graph=target) as session:
            given = {f"{name}:0": value for name, value in feeds.items() if name in graph}
            return session.run([str(ref) if ref.slot else f"{ref}:0" for ref in graph.outputs], given)


def dropout_of_2016(x: Any, keep: Any) -> Any:
    """Write dropout as TensorFlow did until 1.12."""
    noise = keep + v1.random_uniform(tf.shape(x), dtype=x.dtype)
    return tf.divide(x, keep) * tf.floor(noise)


def dropout_of_2018(x: Any, rate: Any) -> Any:
    """Write dropout as TensorFlow did from 1.13 to 2.3."""
    mask = v1.random_uniform(tf.shape(x)) >= rate
    return x * (1 / (1 - rate)) * tf.cast(mask, tf.float32)


def alpha_dropout(x: Any, rate: Any) -> Any:
    """Write Keras' AlphaDropout."""
    low = -1.7580993408473766
    kept = tf.cast(v1.random_uniform(tf.shape(x)) >= rate, tf.float32)
    a = ((1 - rate) * (1 + rate * low**2)) ** -0.5
    b = -a * low * rate
    return a * (x * kept + low * (1 - kept)) + b


def spatial_dropout(x: Any, rate: Any) -> Any:
    return tf.nn.dropout(x, rate, noise_shape=tf.stack([tf.shape(x)[0], 1, tf.shape(x)[2]]))


def scalar(name: str, dtype: Any = None) -> Any:
    return v1.placeholder(dtype or tf.float32, [], name=name)


@dataclass(frozen=True)
class Case:
    """A way to write what only training needs; ``left`` are the operations that remain, in any order."""

    name: str
    build: Callable[[Any], Any]
    left: tuple[str, ...]
    constants: dict[str, Any] = field(default_factory=dict)


TRAINING = {"training": False}
CASES = [
    Case(
        "dropout of 2016",
        lambda x: tf.nn.relu(dropout_of_2016(x, scalar("keep"))),
        ("Placeholder", "Relu", "Identity"),
        {"keep": 1.0},
    ),
    Case(
        "dropout of 2018",
        lambda x: tf.nn.relu(dropout_of_2018(x, scalar("rate"))),
        ("Placeholder", "Relu", "Identity"),
        {"rate": 0.0},
    ),
    Case(
        "dropout by its keep probability",
        lambda x: tf.nn.relu(v1.nn.dropout(x, keep_prob=scalar("keep"))),
        ("Placeholder", "Relu", "Identity"),
        {"keep": 1.0},
    ),
    Case(
        "dropout as an output",
        lambda x: tf.nn.dropout(tf.nn.relu(x), scalar("rate")),
        ("Placeholder", "Relu", "Identity"),
        {"rate": 0.0},
    ),
    Case(
        "dropout without state",
        lambda x: tf.nn.relu(tf.nn.experimental.stateless_dropout(x, scalar("rate"), seed=[1, 2])),
        ("Placeholder", "Relu", "Identity"),
        {"rate": 0.0},
    ),
    Case(
        "dropout of whole maps",
        lambda x: tf.nn.relu(spatial_dropout(x, scalar("rate"))),
        ("Placeholder", "Relu", "Identity"),
        {"rate": 0.0},
    ),
    Case(
        "dropout of float64",
        lambda x: tf.cast(dropout_of_2016(tf.cast(x, tf.float64), scalar("keep", tf.float64)), tf.float32),
        ("Placeholder", "Cast", "Cast", "Identity"),
        {"keep": 1.0},
    ),
    Case(
        "alpha dropout",
        lambda x: tf.nn.selu(alpha_dropout(x, scalar("rate"))),
        ("Placeholder", "Selu", "Identity"),
        {"rate": 0.0},
    ),
    Case(
        "noise to multiply by",
        lambda x: tf.nn.relu(x * (1.0 + scalar("spread") * v1.random_normal(tf.shape(x)))),
        ("Placeholder", "Relu", "Identity"),
        {"spread": 0.0},
    ),
    Case(
        "noise to add",
        lambda x: tf.nn.relu(x + scalar("spread") * v1.truncated_normal(tf.shape(x))),
        ("Placeholder", "Relu", "Identity"),
        {"spread": 0.0},
    ),
    Case(
        "two dropouts in a row",
        lambda x: tf.nn.relu(v1.nn.dropout(v1.nn.dropout(x, keep_prob=(k := scalar("keep"))), keep_prob=k)),
        ("Placeholder", "Relu", "Identity"),
        {"keep": 1.0},
    ),
    Case(
        "dropout in a branch",
        lambda x: v1.cond(scalar("training", tf.bool), lambda: tf.nn.dropout(x, 0.5), lambda: tf.identity(x)),
        ("Placeholder", "Identity"),
        TRAINING,
    ),
    Case(
        "data through a conditional",
        lambda x: (
            y := tf.nn.relu(x),
            v1.cond(scalar("training", tf.bool), lambda: y * 2.0, lambda: y + 3.0),
        )[1],
        ("Placeholder", "Relu", "Const", "AddV2", "Identity"),
        TRAINING,
    ),
    Case(
        "the branch for true",
        lambda x: v1.cond(tf.logical_not(scalar("training", tf.bool)), lambda: x * 2.0, lambda: x + 3.0),
        ("Placeholder", "Const", "Mul", "Identity"),
        TRAINING,
    ),
    Case(
        "a conditional in a conditional",
        lambda x: v1.cond(
            (t := scalar("training", tf.bool)),
            lambda: x * 2.0,
            lambda: v1.cond(
                t, lambda: x * 3.0, lambda: v1.cond(tf.logical_not(t), lambda: x + 5.0, lambda: x)
            ),
        ),
        ("Placeholder", "Const", "AddV2", "Identity"),
        TRAINING,
    ),
    Case(
        "a predicate that needs both",
        lambda x: v1.cond(
            tf.logical_and(scalar("training", tf.bool), tf.reduce_max(x) > 1.0),
            lambda: x * 2.0,
            lambda: x + 3.0,
        ),
        ("Placeholder", "Const", "AddV2", "Identity"),
        TRAINING,
    ),
    Case(
        "a switch with a default",
        lambda x: v1.cond(
            v1.placeholder_with_default(False, [], "training"), lambda: x * 2.0, lambda: x + 3.0
        ),
        ("Placeholder", "Const", "AddV2", "Identity"),
    ),
    Case(
        "a selection by a constant",
        lambda x: tf.where(scalar("training", tf.bool), x * 2.0, x + 3.0),
        ("Placeholder", "Const", "AddV2", "Identity"),
        TRAINING,
    ),
    Case(
        "normalization with data",
        lambda x: v1.cond(
            scalar("training", tf.bool),
            lambda: v1.nn.fused_batch_norm(x[..., None, :], [1.0] * 4, [0.5] * 4)[0],
            lambda: v1.nn.fused_batch_norm(
                x[..., None, :], [1.0] * 4, [0.5] * 4, [0.1] * 4, [2.0] * 4, is_training=False
            )[0],
        ),
        ("Placeholder", "FusedBatchNormV3", "StridedSlice", *["Const"] * 7, "Identity"),
        TRAINING,
    ),
    Case(
        "a probability that a conditional gives",
        lambda x: v1.nn.dropout(
            tf.nn.relu(x),
            keep_prob=v1.cond(
                scalar("training", tf.bool), lambda: tf.constant(0.5), lambda: tf.constant(1.0)
            ),
        ),
        ("Placeholder", "Relu", "Identity"),
        TRAINING,
    ),
    Case(
        "one of three cases",
        lambda x: v1.case(
            [
                ((t := scalar("training", tf.bool)), lambda: x * 2.0),
                (tf.logical_not(t), lambda: x + 3.0),
            ],
            default=lambda: x * 5.0,
        ),
        ("Placeholder", "Const", "AddV2", "Identity"),
        TRAINING,
    ),
    Case(
        "several at once",
        lambda x: tf.multiply(*tf.identity_n([tf.nn.relu(x), tf.nn.elu(x)])),
        ("Placeholder", "Relu", "Elu", "Mul", "Identity"),
    ),
    Case(
        "a check behind a conditional",
        lambda x: tf.ensure_shape(checked(x), [None, 3, 4]),
        ("Placeholder", "Relu", "EnsureShape", "Identity"),
    ),
]


def unrolled(x: Any) -> Any:
    """Write a recurrent network with dropout on what it reads, in a loop."""
    keep = scalar("keep")

    def body(i: Any, state: Any, outputs: Any) -> Any:
        state = tf.tanh(v1.nn.dropout(x[:, i, :], keep_prob=keep) + state * 0.5)
        return i + 1, state, outputs.write(i, state)

    start = [tf.constant(0), tf.zeros_like(x[:, 0]), tf.TensorArray(tf.float32, 3)]
    return v1.while_loop(lambda i, state, outputs: i < 3, body, start)[2].stack()


def checked(x: Any) -> Any:
    with tf.control_dependencies([v1.assert_less(x, 100.0), tf.no_op()]):
        return tf.nn.relu(v1.Print(x, [tf.reduce_mean(x)], "mean"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_only_training_needs_goes(case: Case) -> None:
    graph = graph_of(case.build)
    after = reduced(graph, case.constants)
    assert sorted(node.op for node in after) == sorted(case.left), print_graph(after)
    feeds = {"x": X, **case.constants}
    np.testing.assert_array_equal(compute(after, feeds), compute(graph, feeds))
    assert step().plan(StepContext(after)) == []


STAYING = {
    "a rate above 0": (lambda x: tf.nn.dropout(x, scalar("rate")), {"rate": 0.25}),
    "a probability below 1": (lambda x: dropout_of_2016(x, scalar("keep")), {"keep": 0.999}),
    "a mask that may be 0": (
        lambda x: x * tf.cast(v1.random_uniform(tf.shape(x)) > scalar("rate"), tf.float32),
        {"rate": 0.0},
    ),
    "a mask that is larger": (
        lambda x: x[:, :1] * tf.floor(scalar("keep") + v1.random_uniform([5, 4])),
        {"keep": 1.0},
    ),
    "a mask from an input": (
        lambda x: x * tf.floor(scalar("keep") + v1.placeholder(tf.float32, [None, 3, 4], "mask")),
        {"keep": 1.0},
    ),
    "noise to add": (lambda x: x + 0.1 * v1.random_normal(tf.shape(x)), {}),
}


@pytest.mark.parametrize("name", STAYING)
def test_dropout_that_is_not_proven_to_change_nothing_stays(name: str) -> None:
    build, constants = STAYING[name]
    graph = graph_of(build)
    notes: list[Diagnostic] = []
    after = reduced(graph, constants, notes=notes)
    assert ("S421" in [note.code for note in notes]) == (name != "a mask from an input")
    joins = ("Mul", "AddV2", "SelectV2")
    assert [n.op for n in after if n.op in joins][-1:] == [n.op for n in graph if n.op in joins][-1:]
    assert any(n.op in ("RandomUniform", "RandomStandardNormal") or n.name == "mask" for n in after)


def test_a_conditional_on_data_stays_and_what_is_constant_in_it_goes() -> None:
    def build(x: Any) -> Any:
        training = scalar("training", tf.bool)
        return v1.cond(
            tf.reduce_max(x) > 1.0,
            lambda: v1.cond(training, lambda: x * 2.0, lambda: x + 3.0),
            lambda: x * tf.constant(5.0),
        )

    graph = graph_of(build)
    after = reduced(graph, TRAINING)
    assert sum(n.op == "Merge" for n in after) == 1 and sum(n.op == "Mul" for n in after) == 1
    for x in (X, X - 5):
        feeds = {"x": x, "training": False}
        np.testing.assert_array_equal(compute(after, feeds), compute(graph, feeds))
    assert step().plan(StepContext(after)) == []


def test_a_constant_conditional_in_a_loop_goes() -> None:
    def build(x: Any) -> Any:
        training = scalar("training", tf.bool)

        def body(i: Any, y: Any) -> Any:
            return i + 1, v1.cond(training, lambda: y * 2.0, lambda: v1.nn.dropout(y + 1.0, keep_prob=1.0))

        return v1.while_loop(lambda i, y: i < 3, body, [tf.constant(0), x])[1]

    graph = graph_of(build)
    after = reduced(graph, TRAINING)
    assert [n.op for n in after].count("Switch") == 2, "those of the loop"
    feeds = {"x": X, "training": False}
    np.testing.assert_array_equal(compute(after, feeds), compute(graph, feeds))


def test_dropout_in_a_loop_goes() -> None:
    graph = graph_of(unrolled)
    after = reduced(graph, {"keep": 1.0})
    assert not any(n.op in ("RandomUniform", "SelectV2", "RealDiv") for n in after)
    feeds = {"x": X, "keep": 1.0}
    np.testing.assert_array_equal(compute(after, feeds), compute(graph, feeds))


def test_dropout_in_a_branch_on_data_goes() -> None:
    def build(x: Any) -> Any:
        keep = scalar("keep")
        return v1.cond(tf.reduce_max(x) > 1.0, lambda: v1.nn.dropout(x + 1.0, keep_prob=keep), lambda: x)

    graph = graph_of(build)
    after = reduced(graph, {"keep": 1.0})
    assert not any(n.op in ("RandomUniform", "SelectV2", "RealDiv") for n in after)
    for x in (X, X - 5):
        feeds = {"x": x, "keep": 1.0}
        np.testing.assert_array_equal(compute(after, feeds), compute(graph, feeds))


MASK_IN_A_BRANCH = """\
graph v1
outputs: out
x = Placeholder() {dtype: float32, shape: shape[4]}
flag = Placeholder() {dtype: bool, shape: shape[]}
keep = Const() {dtype: float32, value: tensor<float32[]: 1.0>}
kept = Switch(keep, flag) {T: float32}
size = Const() {dtype: int32, value: tensor<int32[1]: 4>}
random = RandomUniform(size) {T: int32, dtype: float32}
sum = Add(random, kept:1) {T: float32}
mask = Floor(sum) {T: float32}
dropped = Mul(x, mask) {T: float32}
other = Switch(x, flag) {T: float32}
out = Merge(dropped, other) {T: float32, N: 2}
"""


def test_what_only_the_mask_puts_into_a_branch_stays_in_it() -> None:
    after = reduced(parse_graph(MASK_IN_A_BRANCH), {})
    assert "dropped" in after and after["dropped"].op == "Mul"


def test_a_loop_on_a_branch_that_is_never_taken_goes() -> None:
    def build(x: Any) -> Any:
        def loop() -> Any:
            return v1.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * 2), [tf.constant(0), x])[1]

        return v1.cond(scalar("training", tf.bool), loop, lambda: x + 3.0)

    graph = graph_of(build)
    after = reduced(graph, TRAINING)
    assert sorted(n.op for n in after) == ["AddV2", "Const", "Identity", "Placeholder"]
    feeds = {"x": X, "training": False}
    np.testing.assert_array_equal(compute(after, feeds), compute(graph, feeds))


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("channels", [False, True])
def test_the_rounding_of_weights_of_any_size_is_computed(narrow: bool, channels: bool) -> None:
    weights = np.random.default_rng(0).normal(size=(4, 4000)).astype(np.float32)

    def build(x: Any) -> Any:
        if channels:
            least, most = -np.linspace(0.1, 2, 4000), np.linspace(0.2, 3, 4000)
            rounded = tf.quantization.fake_quant_with_min_max_vars_per_channel(
                weights, least.astype(np.float32), most.astype(np.float32), narrow_range=narrow
            )
        else:
            rounded = tf.quantization.fake_quant_with_min_max_vars(weights, -0.9, 1.1, narrow_range=narrow)
        return tf.tensordot(x, rounded, 1)

    graph = graph_of(build)
    after = reduced(graph)
    assert not any(n.op.startswith("FakeQuant") for n in after)
    np.testing.assert_array_equal(compute(after, {"x": X}), compute(graph, {"x": X}))


QUANTIZED = {
    "MIN_COMBINED": lambda q: tf.quantization.dequantize(q, -0.9, 1.1, "MIN_COMBINED"),
    "MIN_FIRST": lambda q: tf.quantization.dequantize(q, -0.93, 1.17, "MIN_FIRST"),
    "SCALED": lambda q: tf.quantization.dequantize(q, -0.9, 1.1, "SCALED", narrow_range=True),
    "by channel": lambda q: tf.quantization.dequantize(
        q, -np.linspace(0.1, 2, 500, dtype=np.float32), np.linspace(0.2, 3, 500, dtype=np.float32), axis=1
    ),
}


@pytest.mark.parametrize("kind", ["quint8", "qint8", "quint16", "qint32"])
def test_quantized_weights_become_float32(kind: str) -> None:
    dtype = getattr(tf, kind)
    info = np.iinfo(kind[1:])
    numbers = np.random.default_rng(1).integers(info.min, info.max, size=(4, 500), endpoint=True)
    stored = numbers.astype(info.dtype)

    def build(x: Any) -> Any:
        weights = tf.constant(stored, info.dtype)
        quantized = tf.raw_ops.Bitcast(input=weights, type=dtype)
        return tf.concat([tf.tensordot(x, make(quantized), 1) for make in QUANTIZED.values()], 2)

    graph = with_constants_of_bitcasts(graph_of(build))
    after = reduced(graph)
    assert not any(n.op == "Dequantize" for n in after) and not any(
        "q" in str(n.attrs.get("dtype")) for n in after
    )
    np.testing.assert_array_equal(compute(after, {"x": X}), compute(graph, {"x": X}))


def with_constants_of_bitcasts(graph: Graph) -> Graph:
    """Return the graph with quantized constants: TensorFlow's Python makes none of them."""
    nodes = []
    for node in graph:
        if node.op == "Bitcast":
            value = graph[node.inputs[0].node].attrs["value"]
            dtype = node.attrs["type"]
            made = TensorValue(dtype, value.shape, bytes(value.buffer()))
            node = Node(node.name, "Const", attrs={"dtype": dtype, "value": made})
        nodes.append(node)
    return graph.replace(nodes)


@pytest.mark.parametrize("mode", ["MIN_COMBINED", "SCALED"])
@pytest.mark.parametrize("kind", ["quint8", "qint8", "qint16"])
def test_weights_that_are_quantized_and_back_are_computed(kind: str, mode: str) -> None:
    weights = np.random.default_rng(2).normal(size=(4, 500)).astype(np.float32)

    def build(x: Any) -> Any:
        quantized = tf.quantization.quantize(weights, -1.3, 1.7, getattr(tf, kind), mode=mode)
        back = tf.quantization.dequantize(*quantized, mode=mode)
        rounded = tf.quantization.quantize_and_dequantize_v2(back, -1.0, 1.5, num_bits=6, range_given=True)
        measured = tf.quantization.quantize_and_dequantize_v2(weights, 0.0, 0.0, range_given=False)
        older = tf.raw_ops.QuantizeAndDequantizeV3(
            input=weights, input_min=-1.0, input_max=1.5, num_bits=7, narrow_range=True
        )
        return tf.tensordot(x, rounded + measured + older, 1)

    graph = graph_of(build)
    after = reduced(graph)
    assert not any("uantize" in n.op for n in after)
    np.testing.assert_array_equal(compute(after, {"x": X}), compute(graph, {"x": X}))
    assert step().plan(StepContext(after)) == []


def test_weights_of_which_the_rounding_is_not_known_to_the_bit_stay() -> None:
    def build(x: Any) -> Any:
        weights = np.linspace(-1, 1, 16, dtype=np.float32).reshape(4, 4)
        quantized = tf.quantization.quantize(weights, -1.3, 1.7, tf.quint8, mode="MIN_FIRST")
        return tf.tensordot(x, tf.quantization.dequantize(*quantized, mode="MIN_FIRST"), 1)

    graph = graph_of(build)
    after = reduced(graph)
    assert [n.op for n in after if "uantize" in n.op] == ["QuantizeV2", "Dequantize"]
    np.testing.assert_array_equal(compute(after, {"x": X}), compute(graph, {"x": X}))


def test_the_rounding_of_activations_stays() -> None:
    graph = graph_of(lambda x: tf.quantization.fake_quant_with_min_max_vars(x, -1.0, 1.0))
    assert any(n.op == "FakeQuantWithMinMaxVars" for n in reduced(graph))


def test_losses_gradients_summaries_and_labels_go() -> None:
    def build(x: Any) -> Any:
        scale = tf.constant(2.0, name="scale")
        y = x * scale
        label = v1.placeholder(tf.float32, [None, 3, 4], name="label")
        loss = tf.reduce_mean(tf.square(y - label), name="loss")
        tf.gradients(loss, [scale])
        v1.summary.scalar("loss", loss)
        v1.summary.merge_all()
        return y

    graph = graph_of(build)
    kept = reduced(graph)
    assert [n.name for n in kept] == ["x", "scale", "mul", "out"]
    undeclared = reduced(graph.replace(outputs=()))
    assert not any(n.op.endswith("Summary") for n in undeclared) and "out" in undeclared


def test_an_output_on_a_branch_never_taken_is_refused() -> None:
    def build(x: Any) -> Any:
        return v1.cond(scalar("training", tf.bool), lambda: tf.multiply(x, 2.0, name="dead"), lambda: x)

    graph = graph_of(build, ("cond/dead",))
    with pytest.raises(SurgeonError) as caught:
        reduced(graph, TRAINING)
    assert caught.value.diagnostics[0].code == "S418" and "'cond/dead'" in str(caught.value)


def test_the_index_of_the_branch_is_a_constant() -> None:
    graph = graph_of(lambda x: v1.cond(scalar("training", tf.bool), lambda: x * 2.0, lambda: x + 3.0))
    graph = graph.replace(outputs=[Ref("cond/Merge"), Ref("cond/Merge", 1)])
    after = reduced(graph, TRAINING)
    assert [ref.node for ref in after.outputs] == ["cond/Merge", "cond/Merge/value_index"]
    feeds = {"x": X, "training": False}
    for a, b in zip(compute(after, feeds), compute(graph, feeds), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("constants", "code", "text"),
    [
        ({"trainin": False}, "S225", "'trainin' is not in the graph"),
        ({"training": [True, False]}, "S226", "the input 'training' is bool[]; the value has the shape [2]"),
    ],
)
def test_constants_that_no_placeholder_can_have_are_refused(
    constants: dict[str, Any], code: str, text: str
) -> None:
    graph = parse_graph(
        "graph v1\nx = Placeholder() {dtype: float32, shape: shape[1]}\n"
        "training = Placeholder() {dtype: bool, shape: shape[]}\nout = Relu(x) {T: float32}\n"
    )
    with pytest.raises(SurgeonError) as caught:
        reduced(graph, constants)
    assert caught.value.diagnostics[0].code == code and text in str(caught.value)


def test_scalars_of_training_get_their_value_for_inference() -> None:
    def build(x: Any) -> Any:
        y = v1.nn.dropout(x, keep_prob=scalar("keep"))
        z = v1.nn.dropout(y, rate=scalar("rate"))
        pictures = z[..., None, :]
        normal = v1.cond(
            scalar("phase", tf.bool),
            lambda: v1.nn.fused_batch_norm(pictures, [1.0] * 4, [0.5] * 4)[0],
            lambda: v1.nn.fused_batch_norm(
                pictures, [1.0] * 4, [0.5] * 4, [0.1] * 4, [2.0] * 4, is_training=False
            )[0],
        )
        return normal * scalar("factor")

    notes: list[Diagnostic] = []
    graph = graph_of(build)
    after = reduced(graph, notes=notes)
    assert [n.name for n in after if n.op == "Placeholder"] == ["x", "factor"]
    assert not any(n.op in ("Switch", "Merge", "RandomUniform") for n in after)
    assert [note.message.split(" for ")[0] for note in notes] == [
        "the input 'keep' is fixed to 1.0",
        "the input 'rate' is fixed to 0.0",
        "the input 'phase' is fixed to false",
    ]
    feeds = {"x": X, "keep": 1.0, "rate": 0.0, "phase": False, "factor": 3.0}
    np.testing.assert_array_equal(compute(after, feeds), compute(graph, feeds))
    trained = reduced(graph, {"phase": True})
    assert [n.attrs["is_training"] for n in trained if n.op == "FusedBatchNormV3"] == [True]


def test_a_note_tells_what_is_fixed() -> None:
    notes: list[Diagnostic] = []
    graph = graph_of(
        lambda x: dropout_of_2016(x, scalar("keep")) * v1.placeholder_with_default(2.0, [], "factor")
    )
    reduced(graph, {"keep": 1.0}, notes=notes)
    assert [(note.code, note.message) for note in notes] == [
        ("S420", "the input 'keep' is fixed to 1.0 for inference"),
        ("S420", "the input 'factor' is fixed to its default, 2.0, for inference"),
    ]


NORMALIZED = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[1,3,4,2]}
phase = Placeholder() {dtype: bool, shape: shape[]}
one = Const() {dtype: float32, value: tensor<float32[2]: 1.0, 2.0>}
none = Const() {dtype: float32, value: tensor<float32[0]>}
cond/id = Identity(phase) {T: bool}
cond/Switch = Switch(phase, phase) {T: bool}
cond/switch_f = Identity(cond/Switch) {T: bool}
cond/mean = Const(^cond/switch_f) {dtype: float32, value: tensor<float32[2]: 0.5, -0.25>}
cond/data = Switch(x, cond/id) {T: float32}
cond/train = FusedBatchNormV3(cond/data:1, one, one, none, none) {T: float32, U: float32, is_training: true}
cond/infer = FusedBatchNormV3(cond/data, one, one, cond/mean, one) {T: float32, U: float32, is_training: false}
cond/Merge = Merge(cond/infer, cond/train) {T: float32, N: 2}
out = Relu(cond/Merge) {T: float32}
"""

STEPS = {
    "a namespace, then fold-constants": "[forward-identities, collapse, fold-constants, prune]",
    "for-inference, then a namespace": "[for-inference, collapse, prune]",
}


@pytest.mark.parametrize("steps", STEPS)
def test_a_conditional_normalization_is_written(steps: str, tmp_path: Path) -> None:
    recipe = surgeon.parse_recipe(
        "recipe: 1\nname: normalized\noutputs: [out]\nnodes: {off: {op: Const, value: false, dtype: bool}}\n"
        f"namespaces: {{phase: off}}\nsteps: {STEPS[steps]}\n"
    )
    graph = parse_graph(NORMALIZED)
    surgeon.convert(recipe, graph, tmp_path / "out.uff")
    result = surgeon.plan(recipe, graph).result
    assert result is not None and not any(n.op in ("Switch", "Merge") for n in result)
    x = np.arange(24, dtype=np.float32).reshape(1, 3, 4, 2)
    wanted = compute(graph.replace(outputs=[Ref("out")]), {"x": x, "phase": False})
    np.testing.assert_array_equal(compute(result, {"x": x}), wanted)
    runtime = pytest.importorskip("onnxruntime")
    surgeon.convert(recipe, graph, tmp_path / "out.onnx")
    session = runtime.InferenceSession(str(tmp_path / "out.onnx"))
    (found,) = session.run(None, {"x": x.transpose(0, 3, 1, 2)})
    found = found.transpose(0, 2, 3, 1) if found.shape[1] == 2 else found
    np.testing.assert_allclose(found, wanted[0], rtol=1e-6, atol=1e-6)


def test_a_default_of_several_numbers_is_data() -> None:
    graph = parse_graph(
        "graph v1\n"
        "d = Const() {dtype: float32, value: tensor<float32[4]: 1.0, 2.0, 3.0, 4.0>}\n"
        "v = PlaceholderWithDefault(d) {dtype: float32, shape: shape[4]}\n"
        "w = PlaceholderWithDefault(d) {dtype: float32}\n"
        "out = Add(v, w) {T: float32}\n"
    )
    step = ForInference.model_validate({"step": "for-inference"})
    made = apply_edits(graph, step.plan(StepContext(graph)))
    assert made["v"].op == made["w"].op == "PlaceholderWithDefault"
