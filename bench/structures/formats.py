"""What graphs are stored and fed as: number formats, quantization, pipelines, functions of TensorFlow 2."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from structures.net import Net, Tensor, control_flow, structure, v1


def fake(x: Tensor, low: float, high: float, narrow: bool = False) -> Tensor:
    """Return FakeQuantWithMinMaxVars with frozen bounds, as tf.contrib.quantize writes it."""
    low, high = (tf.identity(tf.constant(value), "read") for value in (low, high))
    return tf.quantization.fake_quant_with_min_max_vars(x, low, high, narrow_range=narrow)


def narrow(kernel: Tensor) -> Tensor:
    """Return weights quantized over a narrow range."""
    with v1.name_scope("weights_quant"):
        return fake(kernel, -0.9, 0.9, narrow=True)


def quantized_block(net: Net, x: Tensor, size: int, name: str) -> Tensor:
    """Return a convolution of quantized weights whose result is quantized."""
    with v1.name_scope(name):
        kernel = narrow(net.weights((3, 3, x.shape[-1], size)))
        x = tf.nn.relu6(tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), net.bias(size)))
        with v1.name_scope("act_quant"):
            return fake(x, 0.0, 6.0)


@structure("Trained for quantization: FakeQuant of weights (narrow range) and of activations")
def fake_quantized(net: Net) -> Tensor:
    x = net.placeholder("input", [1, 16, 16, 3], [1, 16, 16, 3], low=-1)
    with v1.name_scope("input_quant"):
        x = fake(x, -1.0, 1.0)
    x = quantized_block(net, quantized_block(net, x, 8, "conv1"), 8, "conv2")
    return net.dense(tf.reduce_mean(x, [1, 2]), 5, name="logits")


@structure("FakeQuant of large weights (above 16 KiB) and per channel")
def fake_quantized_weights(net: Net) -> Tensor:
    x = net.placeholder("input", [1, 72], [1, 72])
    x = tf.nn.relu(tf.matmul(x, narrow(net.weights((72, 80)))))
    low, high = -net.positive(16, "min"), net.positive(16, "max")
    kernel = tf.quantization.fake_quant_with_min_max_vars_per_channel(net.weights((80, 16)), low, high)
    return tf.matmul(x, kernel, name="out")


@structure("Weights stored in eight bits: Dequantize of constants")
def dequantized(net: Net) -> Tensor:
    x = net.placeholder("input", [1, 12, 12, 3], [1, 12, 12, 3])
    stored = tf.constant(net.random.randint(0, 256, (3, 3, 3, 8)).astype(np.uint8))
    kernel = tf.quantization.dequantize(tf.bitcast(stored, tf.quint8), -0.5, 0.5, mode="MIN_FIRST")
    return tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME"), name="out")


@structure("Weights of quantize_weights: constants of the type quint8 and their Dequantize")
def quantized_weights(net: Net) -> Tensor:
    x = net.placeholder("input", [1, 72], [1, 72])
    for index, size in enumerate((32, 8)):
        levels = net.random.randint(0, 256, (x.shape[-1], size)).astype(np.uint8)
        stored = tf.constant(levels.astype(tf.quint8.as_numpy_dtype), name=f"w{index}/read_quint8_const")
        kernel = tf.quantization.dequantize(stored, -0.4, 0.4, mode="MIN_FIRST", name=f"w{index}/read")
        x = tf.nn.relu(tf.matmul(x, kernel))
    return x


@structure("Weights stored as half floats and cast")
def half_weights(net: Net) -> Tensor:
    x = net.placeholder("input", [None, 16, 16, 3], [1, 16, 16, 3])
    for index, size in enumerate((8, 4)):
        stored = tf.constant((net.random.randn(3, 3, x.shape[-1], size) * 0.2).astype(np.float16))
        kernel = tf.cast(stored, tf.float32, name=f"conv{index}/weights/cast")
        x = tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME", name=f"conv{index}"))
    return tf.reduce_mean(x, [1, 2], name="out")


@structure("Computed in half floats between float32 ends")
def half_inside(net: Net) -> Tensor:
    net.tolerance = 2e-3  # half floats have eleven bits
    x = tf.cast(net.placeholder("input", [1, 8, 8, 3], [1, 8, 8, 3]), tf.float16)
    kernel = tf.constant((net.random.randn(3, 3, 3, 4) * 0.2).astype(np.float16))
    x = tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME"))
    return tf.cast(x, tf.float32, name="out")


@structure("A part in double precision")
def double_inside(net: Net) -> Tensor:
    x = net.placeholder("x", [1, 6], [1, 6])
    wide = tf.cast(x, tf.float64)
    wide = wide / tf.sqrt(tf.reduce_sum(tf.square(wide), 1, keepdims=True) + 1e-12)
    return net.dense(tf.cast(wide, tf.float32), 4, name="out")


@structure("An iterator as input: IteratorGetNext")
def iterator(net: Net) -> Tensor:
    data = tf.data.Dataset.from_tensors((np.zeros([1, 16, 16, 3], np.float32), np.zeros([1], np.int64)))
    handle = v1.placeholder(tf.string, [], "iterator_handle")
    types, shapes = v1.data.get_output_types(data), v1.data.get_output_shapes(data)
    pictures, _ = v1.data.Iterator.from_string_handle(handle, types, shapes).get_next()
    net.drawn(pictures, [1, 16, 16, 3])
    x = net.conv(pictures, 8, stride=2, norm=net.batch_norm, activation=tf.nn.relu, name="conv1")
    return tf.nn.softmax(net.dense(tf.reduce_mean(x, [1, 2]), 4), name="prob")


@structure("A queue as input: slim's batches")
def queue(net: Net) -> Tensor:
    waiting = v1.FIFOQueue(4, [tf.float32], [[12, 12, 3]], name="batch/fifo_queue")
    pictures = waiting.dequeue_many(2, name="batch")
    net.drawn(pictures, [2, 12, 12, 3])
    x = net.conv(pictures, 8, stride=2, activation=tf.nn.relu, name="conv1")
    return net.dense(net.flat(x), 4, name="logits")


@structure("A JPEG file as input: decoded, enlarged, standardized (retrained Inception)")
def jpeg(net: Net) -> Tensor:
    contents = v1.placeholder(tf.string, [], "DecodeJpeg/contents")
    picture = tf.cast(tf.io.decode_jpeg(contents, 3, name="DecodeJpeg"), tf.float32, name="Cast")
    net.drawn(picture, [20, 24, 3], high=255)
    x = v1.image.resize_bilinear(tf.expand_dims(picture, 0), [16, 16], name="ResizeBilinear")
    x = (x - 128.0) * 0.0078125
    x = net.conv(x, 8, stride=2, activation=tf.nn.relu, name="conv")
    return tf.nn.softmax(net.dense(tf.reduce_mean(x, [1, 2]), 4), name="final_result")


@structure("Serialized examples as input: ParseExample")
def examples(net: Net) -> Tensor:
    serialized = v1.placeholder(tf.string, [None], "input_example_tensor")
    features = {"x": tf.io.FixedLenFeature([6], tf.float32)}
    x = tf.io.parse_example(serialized, features)["x"]
    net.drawn(x, [2, 6])
    return tf.nn.softmax(net.dense(net.dense(x, 8, activation=tf.nn.relu), 3, name="logits"), name="scores")


@structure("A picture of unknown rank")
def unknown_rank(net: Net) -> Tensor:
    x = net.placeholder("input", None, [1, 12, 12, 3])
    kernel = net.weights((3, 3, 3, 4))
    x = tf.nn.relu(tf.nn.conv2d(x, kernel, 2, "SAME"))
    return tf.reduce_mean(x, [1, 2], name="out")


@structure("Assertions and a batch size as an input")
def asserted(net: Net) -> Tensor:
    x = net.placeholder("x", [None, 8], [2, 8])
    batch = net.fixed("batch_size", 2, tf.int32)
    with tf.control_dependencies([v1.Assert(tf.equal(tf.shape(x)[0], batch), [batch])]):
        x = tf.identity(x)
    state = tf.zeros(tf.stack([batch, 4]))
    return net.dense(tf.concat([x, state], 1), 3, name="out")


@structure("Functions of TensorFlow 2: PartitionedCall")
def partitioned_call(net: Net) -> Tensor:
    x = net.placeholder("x", [1, 12, 12, 3], [1, 12, 12, 3])
    kernel, bias = net.weights((3, 3, 3, 4)), net.bias(4)

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def layer(y: Tensor, weights: Tensor, shift: Tensor) -> Any:
        return tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(y, weights, 1, "SAME"), shift))

    return tf.identity(layer(x, kernel, bias), "Identity")


@structure("A branch of TensorFlow 2: If decided by training")
def branch_if(net: Net) -> Tensor:
    x = net.placeholder("x", [2, 6], [2, 6], low=-1)
    training = net.fixed("training", False, tf.bool)
    x = net.dense(x, 6, name="dense")
    with control_flow(2):
        x = tf.cond(training, lambda: tf.nn.dropout(x, 0.5), lambda: tf.identity(x))
    return net.dense(tf.nn.relu(x), 3, name="out")


@structure("A branch that data decides: Switch and Merge stay")
def branch_on_data(net: Net) -> Tensor:
    x = net.placeholder("x", [1, 6], [1, 6], low=-1)
    positive = tf.reduce_sum(x) > 0.0
    return tf.identity(v1.cond(positive, lambda: x * 2.0, lambda: x - 1.0), "out")


@structure("Keras layers of TensorFlow 2 under functions within functions, names Identity")
def nested_functions(net: Net) -> list[Tensor]:
    x = net.placeholder("inputs", [None, 8], [2, 8], low=-1)
    kernels = [net.weights((8, 8)) for _ in range(2)]

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def inner(y: Tensor, kernel: Tensor) -> Any:
        return tf.tanh(tf.matmul(y, kernel))

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def outer(y: Tensor, one: Tensor, two: Tensor) -> Any:
        y = inner(y, one)
        return y, inner(y, two)

    first, second = outer(x, *kernels)
    return [tf.identity(first, "Identity"), tf.identity(second, "Identity_1")]
