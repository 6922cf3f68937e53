"""The inputs of graphs as TensorFlow builds them: what they are for, and what they are at inference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from surgeon.formats.graphdef import from_bytes
from surgeon.graph import DType, Graph, Ref, TensorSpec, parse_graph
from surgeon.infer.open_inputs import InputRole, OpenInput, open_inputs

tf = pytest.importorskip("tensorflow", reason="graphs are built by TensorFlow")
v1 = tf.compat.v1


@pytest.fixture(autouse=True)
def control_flow_of_tensorflow_1() -> Any:
    """Build Switch and Merge nodes, as frozen graphs have them."""
    before = v1.control_flow_v2_enabled()
    v1.disable_control_flow_v2()
    yield
    if before:
        v1.enable_control_flow_v2()


def built(build: Callable[[], Any]) -> Graph:
    with tf.Graph().as_default() as graph:
        out = tf.identity(build(), "out")
    read = from_bytes(graph.as_graph_def().SerializeToString())
    return read.replace(outputs=[Ref.parse(out.op.name)])


def inputs_of(build: Callable[[], Any]) -> dict[str, OpenInput]:
    return {str(each.ref): each for each in open_inputs(built(build))}


def picture() -> Any:
    return v1.placeholder(tf.float32, [None, 8, 8, 3], "x")


def normalized(training: Any) -> Any:
    """Batch normalization of slim and FaceNet: a conditional chooses the statistics."""
    x = picture()
    mean, variance = v1.cond(
        training, lambda: tf.nn.moments(x, [0, 1, 2]), lambda: (tf.zeros([3]) + 0.1, tf.ones([3]) * 0.9)
    )
    return tf.nn.batch_normalization(x, mean, variance, None, None, 1e-3)


def dropped(keep: Any) -> Any:
    """Dropout as TensorFlow wrote it until 1.12: numbers from keep_prob to 1 + keep_prob, rounded down."""
    x = picture()
    mask = tf.floor(keep + v1.random_uniform(tf.shape(x)))
    return tf.divide(x, keep) * mask


def flag(name: str = "phase_train", shape: Any = ()) -> Any:
    return v1.placeholder(tf.bool, shape, name)


def number(name: str, shape: Any = ()) -> Any:
    return v1.placeholder(tf.float32, shape, name)


def fused(training: Any) -> Any:
    x, one, zero = picture(), tf.ones([3]), tf.zeros([3])

    def norm(is_training: bool) -> Any:
        return v1.nn.fused_batch_norm(x, one, zero, zero, one, is_training=is_training)[0]

    return v1.cond(training, lambda: norm(True), lambda: norm(False))


@pytest.mark.parametrize(
    ("build", "name", "role", "inference"),
    [
        (lambda: normalized(flag()), "phase_train", InputRole.TRAINING, False),
        (lambda: normalized(flag("a", None)), "a", InputRole.TRAINING, False),
        (lambda: normalized(tf.logical_not(flag("train"))), "train", InputRole.TRAINING, True),
        (lambda: normalized(tf.cast(v1.placeholder(tf.int32, (), "k"), tf.bool)), "k", InputRole.TRAINING, 0),
        (lambda: fused(flag("inference")), "inference", InputRole.TRAINING, False),
        (
            lambda: tf.where(flag(), picture() + tf.random.normal([3]), picture()),
            "phase_train",
            "training",
            False,
        ),
        (lambda: dropped(number("keep_prob")), "keep_prob", InputRole.KEEP_PROBABILITY, 1.0),
        (lambda: v1.nn.dropout(picture(), keep_prob=number("p", None)), "p", InputRole.KEEP_PROBABILITY, 1.0),
        (lambda: tf.nn.dropout(picture(), rate=number("p")), "p", InputRole.DROPOUT_RATE, 0.0),
        (lambda: tf.nn.dropout(picture(), 1 - number("rate")), "rate", InputRole.KEEP_PROBABILITY, 1.0),
        (
            lambda: v1.cond(flag(), lambda: v1.nn.dropout(picture(), keep_prob=number("p")), picture),
            "cond/p",
            InputRole.KEEP_PROBABILITY,
            1.0,
        ),
        (
            lambda: v1.cond(flag("on"), lambda: v1.nn.dropout(picture(), keep_prob=number("p")), picture),
            "on",
            InputRole.TRAINING,
            False,
        ),
        (
            lambda: tf.reshape(picture(), tf.stack([v1.placeholder(tf.int32, (), "n"), -1])),
            "n",
            InputRole.BATCH_SIZE,
            1,
        ),
        (
            lambda: tf.zeros([v1.placeholder(tf.int32, (), "n"), 4]) + picture()[:, 0, 0, :1],
            "n",
            InputRole.BATCH_SIZE,
            1,
        ),
        (
            lambda: v1.cond(flag("is_training"), lambda: picture() * 2, picture),
            "is_training",
            "training",
            False,
        ),
        (lambda: v1.cond(flag("is_test"), lambda: picture() * 2, picture), "is_test", "training", True),
    ],
)
def test_scalars_are_recognised_by_how_they_are_read(
    build: Callable[[], Any], name: str, role: str, inference: float
) -> None:
    found = inputs_of(build)[name]
    assert (found.role, found.inference) == (role, inference)
    assert found.reason and found.evidence and found.must_be_fixed and found.is_scalar


@pytest.mark.parametrize(
    "build",
    [
        lambda: picture() * number("keep_prob"),
        lambda: picture() / number("dropout_rate"),
        lambda: v1.cond(flag("big"), lambda: picture() * 2, picture),
        lambda: tf.cast(picture() > number("threshold"), tf.float32),
        lambda: tf.where(picture() > number("training"), picture(), picture() * 2),
        lambda: picture() * tf.cast(flag("is_training"), tf.float32),
        lambda: v1.cond(flag("not_training"), lambda: picture() * 2, picture),
        lambda: v1.cond(flag("use_constraint"), lambda: picture() * 2, picture),
        lambda: v1.cond(flag("eval_augment"), lambda: picture() * 2, picture),
        lambda: v1.cond(flag("is_testimonial"), lambda: picture() * 2, picture),
        lambda: v1.cond(flag("average_frames"), lambda: tf.reduce_mean(picture(), 0, True), picture),
        lambda: picture() + number("mean") + tf.random.uniform([3]),
        lambda: picture() * tf.cast(v1.placeholder(tf.int32, (), "k"), tf.float32),
        lambda: tf.reshape(picture(), tf.stack([1, v1.placeholder(tf.int32, (), "width"), -1])),
    ],
)
def test_a_name_alone_says_nothing(build: Callable[[], Any]) -> None:
    (found,) = [each for each in inputs_of(build).values() if each.is_scalar]
    assert found.role is InputRole.SCALAR and found.inference is None and not found.must_be_fixed


@pytest.mark.parametrize(("default", "fixed"), [(False, False), (True, True)])
def test_a_default_of_training_must_be_fixed(default: bool, fixed: bool) -> None:
    found = inputs_of(lambda: normalized(v1.placeholder_with_default(default, (), "train")))["train"]
    assert (found.default, found.inference, found.must_be_fixed) == (default, False, fixed)


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: tf.floor(noisy(number("x", None))) * 2, "x"),
        (lambda: tf.cast(v1.random_uniform(tf.shape(p := number("p", None))) < p, tf.float32), "p"),
        (lambda: tf.where(flag("predicted_mask", None), picture(), picture() * 2), "predicted_mask"),
        (lambda: tf.nn.relu(v1.placeholder_with_default(tf.ones([4]), [4], "v")), "v"),
    ],
)
def test_tensors_of_data_are_not_taken_for_scalars(build: Callable[[], Any], name: str) -> None:
    found = inputs_of(build)[name]
    assert found.role is InputRole.DATA and found.inference is None and found.default is None


def noisy(x: Any) -> Any:
    return x + v1.random_uniform(tf.shape(x))


def test_data_are_no_scalars() -> None:
    found = inputs_of(
        lambda: (
            v1.placeholder(tf.float32, None, "x") + v1.placeholder_with_default(tf.ones([2, 2]), None, "y")
        )
    )
    assert {name: each.role for name, each in found.items()} == {"x": "data", "y": "data"}
    assert found["x"].spec == TensorSpec(DType.FLOAT32)
    assert inputs_of(picture)["x"].open_sides == ("batch",)


def iterated() -> Any:
    data = v1.data.Dataset.from_tensors((np.zeros((8, 8, 3), np.float32), np.int64(1))).batch(2)
    return tf.nn.relu(v1.data.make_one_shot_iterator(data).get_next()[0])


def queued() -> Any:
    queue = tf.queue.FIFOQueue(4, [tf.string, tf.float32], [(), (8, 8, 3)])
    return tf.nn.relu(queue.dequeue_many(2)[1])


def decoded() -> Any:
    text = v1.placeholder(tf.string, (), "jpeg")
    return tf.image.resize(tf.cast(tf.image.decode_jpeg(text, 3), tf.float32)[None], [8, 8])


def decoded_by_kind() -> Any:
    """A conditional decodes each kind of file: its two branches meet before the picture is cast."""
    text = v1.placeholder(tf.string, (), "file")
    png = tf.equal(v1.substr(text, 0, 1), b"\x89")
    return tf.cast(
        v1.cond(png, lambda: tf.image.decode_png(text, 3), lambda: tf.image.decode_jpeg(text, 3)), tf.float32
    )


def decoded_in_a_loop() -> Any:
    texts = v1.placeholder(tf.string, [None], "files")
    return tf.map_fn(
        lambda text: tf.image.resize(tf.image.decode_jpeg(text, 3), [8, 8]),
        texts,
        fn_output_signature=tf.float32,
    )


def parsed() -> Any:
    features = {"pixels": v1.FixedLenFeature([192], tf.float32)}
    return tf.reshape(
        v1.parse_example(v1.placeholder(tf.string, [None], "examples"), features)["pixels"], [-1, 8, 8, 3]
    )


@pytest.mark.parametrize(
    ("build", "op", "spec", "sides"),
    [
        (iterated, "IteratorGetNext", TensorSpec.of("float32", None, 8, 8, 3), ("batch",)),
        (queued, "QueueDequeueManyV2", TensorSpec.of("float32", 2, 8, 8, 3), ()),
        (decoded, "DecodeJpeg", TensorSpec.of("uint8", None, None, 3), ("height", "width")),
        (decoded_by_kind, "Merge", TensorSpec.of("uint8", None, None, 3), ("batch", "axis 1")),
        (parsed, "ParseExampleV2", TensorSpec.of("float32", None, 192), ("batch",)),
    ],
)
def test_an_input_pipeline_ends_where_its_first_numbers_are(
    build: Callable[[], Any], op: str, spec: TensorSpec, sides: tuple[str, ...]
) -> None:
    (found,) = inputs_of(build).values()
    assert (found.op, found.spec, found.open_sides) == (op, spec, sides)
    assert found.is_pipeline and not found.is_scalar and found.readers


def test_a_pipeline_in_a_loop_ends_behind_the_loop() -> None:
    (found,) = inputs_of(decoded_in_a_loop).values()
    assert found.op == "TensorArrayGatherV3" and found.spec == TensorSpec.of("float32", None, 8, 8, 3)


def test_only_what_the_outputs_need_is_listed() -> None:
    text = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[1,4]}
labels = Placeholder() {dtype: int64, shape: shape[1]}
out = Relu(x) {T: float32}
loss = Cast(labels) {SrcT: int64, DstT: float32}
"""
    graph = parse_graph(text)
    assert [str(each.ref) for each in open_inputs(graph)] == ["x", "labels"]
    needed = graph.replace(outputs=[Ref("out")])
    assert [str(each.ref) for each in open_inputs(needed)] == ["x"]
    assert open_inputs(needed) is open_inputs(needed)
    assert open_inputs(needed)[0].readers == ("out",)
