"""Operations that declare the types and shapes of what they give, compared with TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from surgeon.formats.graphdef import from_bytes
from surgeon.graph import Node, Ref, Shape, TensorSpec, parse_graph
from surgeon.infer import Inference

tf = pytest.importorskip("tensorflow", reason="TensorFlow is the reference for shapes and types")
v1 = tf.compat.v1


def iterator() -> list[Any]:
    pair = (np.zeros((8, 8, 3), np.float32), np.int64(1))
    return list(v1.data.make_one_shot_iterator(v1.data.Dataset.from_tensors(pair).batch(2)).get_next())


def queue(kind: Callable[..., Any], take: Callable[[Any], Any]) -> list[Any]:
    return list(take(kind(4, dtypes=[tf.float32, tf.int32], shapes=[(8, 3), ()])))


def fifo() -> list[Any]:
    return queue(tf.queue.FIFOQueue, lambda each: each.dequeue())


def many() -> list[Any]:
    return queue(tf.queue.PaddingFIFOQueue, lambda each: each.dequeue_many(5))


def up_to() -> list[Any]:
    return queue(tf.queue.PaddingFIFOQueue, lambda each: each.dequeue_up_to(5))


def examples(count: int | None) -> list[Any]:
    texts = v1.placeholder(tf.string, [count])
    features = {
        "pixels": v1.FixedLenFeature([4, 4], tf.float32),
        "words": v1.VarLenFeature(tf.int64),
        "pieces": tf.io.RaggedFeature(tf.int64),
    }
    parsed = v1.parse_example(texts, features)
    words = parsed["words"]
    return [parsed["pixels"], words.indices, words.values, words.dense_shape, parsed["pieces"].values]


def one_example() -> list[Any]:
    features = {"pixels": v1.FixedLenFeature([4], tf.float32), "words": v1.VarLenFeature(tf.int64)}
    parsed = tf.io.parse_single_example(v1.placeholder(tf.string, ()), features)
    return [parsed["pixels"], parsed["words"].indices, parsed["words"].values, parsed["words"].dense_shape]


def pictures() -> list[Any]:
    text = v1.placeholder(tf.string, ())
    return [
        tf.image.decode_jpeg(text, 3),
        tf.image.decode_png(text, 1, tf.uint16),
        tf.image.decode_bmp(text),
        tf.image.decode_gif(text),
        tf.image.decode_image(text, 3),
        tf.image.decode_image(text, 3, expand_animations=False),
        tf.raw_ops.DecodeImage(contents=text, channels=3, expand_animations=False),
        tf.image.decode_and_crop_jpeg(text, [0, 0, 20, 30], 3),
    ]


def texts() -> list[Any]:
    text = v1.placeholder(tf.string, [None])
    return [
        tf.io.decode_raw(text, tf.int16),
        tf.io.decode_raw(text, tf.int16, fixed_length=8),
        *tf.io.decode_csv(text, [[1.0], [2], ["a"]]),
        tf.strings.to_number(text, tf.int64),
        tf.strings.to_hash_bucket_fast(text, 10),
        tf.strings.to_hash_bucket_strong(text, 10, [1, 2]),
        v1.string_to_hash_bucket(text, 10),
        tf.io.read_file(text[0]),
        *tf.audio.decode_wav(text[0], 1),
        *v1.py_func(lambda x: x, [text], [tf.float32]),
    ]


def table() -> list[Any]:
    keys = tf.lookup.KeyValueTensorInitializer(["a"], tf.constant([1], tf.int64))
    return [tf.lookup.StaticHashTable(keys, 0).lookup(v1.placeholder(tf.string, [None]))]


def functions() -> list[Any]:
    x = v1.placeholder(tf.float32, [2, 3])
    doubled = tf.function(lambda y: (y * 2, tf.shape(y)))(x)
    v1.enable_control_flow_v2()
    chosen = v1.cond(v1.placeholder(tf.bool, ()), lambda: x, lambda: x * 2)
    looped = v1.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * 2), [0, x])
    return [*doubled, chosen, *looped]


@pytest.mark.parametrize(
    "build",
    [
        iterator,
        fifo,
        many,
        up_to,
        lambda: examples(None),
        lambda: examples(3),
        one_example,
        pictures,
        texts,
        table,
        functions,
    ],
)
def test_declared_types_and_shapes_are_tensorflows(build: Callable[[], list[Any]]) -> None:
    before = v1.control_flow_v2_enabled()
    try:
        with tf.Graph().as_default() as graph:
            tensors = build()
    finally:
        (v1.enable_control_flow_v2 if before else v1.disable_control_flow_v2)()
    inference = Inference(from_bytes(graph.as_graph_def().SerializeToString()))
    for tensor in tensors:
        ours, shape = inference.spec(Ref.parse(tensor.name)), tensor.shape
        assert ours.dtype == tensor.dtype.base_dtype.name, tensor
        # A call's shape is that of its body, which is not looked into.
        if "Call" not in tensor.op.type:
            assert ours.shape == Shape(None if shape.rank is None else tuple(shape.as_list())), tensor
    assert not inference.contradictions


def test_attributes_that_do_not_fit_tell_nothing() -> None:
    graph = parse_graph("graph v1\nx = Placeholder() {dtype: resource, shape: shape[]}\n")
    nodes = [
        Node("bare", "IteratorGetNext", (Ref("x"),)),
        Node("one", "IteratorGetNext", (Ref("x"),), attrs={"output_types": 3, "output_shapes": (Shape(()),)}),
        Node("queue", "QueueDequeueV2", (Ref("x"),)),
    ]
    inference = Inference(graph.replace([*graph, *nodes]))
    assert [inference.spec(Ref(each.name)) for each in nodes] == [TensorSpec()] * 3
    assert inference.outputs("bare") == 0
