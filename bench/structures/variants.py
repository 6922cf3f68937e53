"""Spellings that differ from the usual: ports as outputs, states as inputs, tails of other types."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from structures.net import Net, Tensor, control_flow, structure, v1
from structures.sequences import Gru, Lstm, attention, embedded, gelu


@structure("Outputs that are ports: the parts of a Split, out of order")
def ports(net: Net) -> list[Tensor]:
    x = net.placeholder("x", [1, 8, 8, 3], [1, 8, 8, 3], low=-1)
    parts = tf.split(net.conv(x, 6, name="conv"), 3, 3, name="parts")
    return [parts[2], parts[0], tf.nn.relu(parts[1], name="middle")]


@structure("Outputs of other types: ArgMax, a comparison, a number of elements")
def typed_outputs(net: Net) -> list[Tensor]:
    x = net.placeholder("x", [None, 8], [2, 8], low=-1)
    logits = net.dense(x, 4, name="logits")
    return [
        tf.argmax(logits, 1, name="classes"),
        tf.greater(logits, 0.0, name="above"),
        tf.reduce_sum(tf.cast(logits > 0.0, tf.int32), 1, name="count"),
    ]


@structure("Classes as texts: the tail looks names up")
def text_labels(net: Net) -> Tensor:
    x = net.placeholder("x", [1, 12, 12, 3], [1, 12, 12, 3])
    x = net.conv(x, 6, stride=2, activation=tf.nn.relu, name="conv")
    probabilities = tf.nn.softmax(net.dense(net.flat(x), 3, name="logits"), name="probabilities")
    return tf.gather(tf.constant(["cat", "dog", "bird"]), tf.argmax(probabilities, 1), name="label")


@structure("SQuAD's ends: start and end logits are the ports of an Unpack")
def question_answering(net: Net) -> list[Tensor]:
    ids = net.placeholder("input_ids", [1, 6], [1, 6], tf.int32, high=19)
    mask = net.placeholder("input_mask", [1, 6], [1, 6], tf.int32, low=1)
    x = net.layer_norm(embedded(net, ids))
    flat = tf.reshape(x, [-1, 8])
    kept = tf.cast(tf.reshape(mask, [1, 1, 6]), tf.float32)
    flat = net.layer_norm(flat + net.dense(attention(net, flat, kept, 6), 8, activation=gelu))
    logits = tf.matmul(flat, net.weights((2, 8), "cls/squad/output_weights"), transpose_b=True)
    logits = tf.transpose(tf.reshape(tf.nn.bias_add(logits, net.bias(2)), [1, 6, 2]), [2, 0, 1])
    return list(tf.unstack(logits, axis=0, name="unstack"))


@structure("LSTM whose state comes in and goes out")
def stateful_lstm(net: Net) -> list[Tensor]:
    x = net.placeholder("x", [1, 3, 4], [1, 3, 4], low=-1)
    cell = net.placeholder("c_in", [1, 6], [1, 6], low=-1)
    hidden = net.placeholder("h_in", [1, 6], [1, 6], low=-1)
    states, (last, final) = v1.nn.dynamic_rnn(Lstm(net, 4, 6), x, initial_state=(cell, hidden))
    return [tf.identity(states, "y"), tf.identity(last, "c_out"), tf.identity(final, "h_out")]


@structure("Bidirectional GRU with lengths and dropout by keep_prob")
def bigru(net: Net) -> Tensor:
    x = net.placeholder("x", [None, 6, 4], [2, 6, 4], low=-1)
    lengths = net.placeholder("lengths", [None], [2], tf.int32, low=1, high=6)
    keep = net.fixed("keep_prob", 1.0, tf.float32)
    cells = Gru(net, 4, 5, "fw"), Gru(net, 4, 5, "bw")
    both, _ = v1.nn.bidirectional_dynamic_rnn(
        *cells, net.dropout_by_floor(x, keep), lengths, dtype=tf.float32
    )
    return tf.concat(both, 2, name="out")


@structure("A simple recurrent cell in a loop of TensorArrays")
def simple_rnn(net: Net) -> Tensor:
    x = net.placeholder("x", [1, 5, 4], [1, 5, 4], low=-1)
    kernel, recurrent = net.weights((4, 6), "kernel"), net.weights((6, 6), "recurrent", 0.3)
    steps = tf.TensorArray(tf.float32, 5).unstack(tf.transpose(x, [1, 0, 2]))

    def step(i: Tensor, state: Tensor, made: Any) -> tuple[Any, ...]:
        state = tf.tanh(tf.matmul(steps.read(i), kernel) + tf.matmul(state, recurrent))
        return i + 1, state, made.write(i, state)

    start = (tf.constant(0), tf.zeros([1, 6]), tf.TensorArray(tf.float32, 5))
    _, _, made = v1.while_loop(lambda i, *_: i < 5, step, start)
    return tf.transpose(made.stack(), [1, 0, 2], name="states")


@structure("Each picture by itself: map_fn")
def mapped(net: Net) -> Tensor:
    x = net.placeholder("x", [2, 6, 6, 3], [2, 6, 6, 3], high=255)
    return net.conv(tf.map_fn(lambda y: (y - tf.reduce_mean(y)) * 0.01, x), 4, name="conv")


@structure("While of TensorFlow 2: a body that multiplies")
def while_v2(net: Net) -> Tensor:
    x = net.placeholder("x", [1, 6], [1, 6], low=0.1)
    kernel = net.weights((6, 6), "kernel", 0.3)
    with control_flow(2):
        last = tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, tf.tanh(tf.matmul(y, kernel))), [0, x])
    return tf.identity(last[1], "out")


@structure("A branch within a function, decided by an input with a default")
def branch_in_function(net: Net) -> Tensor:
    x = net.placeholder("x", [1, 6], [1, 6], low=-1)
    training = net.fixed("training", False, tf.bool, default=False)
    kernel = net.weights((6, 6))

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def layer(y: Tensor, weights: Tensor, is_training: Tensor) -> Any:
        y = tf.nn.relu(tf.matmul(y, weights))
        return tf.cond(is_training, lambda: tf.nn.dropout(y, 0.4), lambda: y)

    return tf.identity(layer(x, kernel, training), "Identity")


@structure("Dropout of one mask for each channel, by a placeholder with a default")
def spatial_dropout(net: Net) -> Tensor:
    x = net.placeholder("x", [1, 8, 8, 3], [1, 8, 8, 3])
    keep = net.fixed("keep_prob", 1.0, tf.float32, default=1.0)
    x = net.conv(x, 4, activation=tf.nn.relu, name="conv")
    x = v1.nn.dropout(x, keep_prob=keep, noise_shape=[1, 1, 1, 4])
    return net.conv(x, 2, name="out")


@structure("Resizes of every kind: half pixels, aligned corners, 129 to 513")
def resizes(net: Net) -> list[Tensor]:
    x = net.placeholder("x", [1, 9, 9, 3], [1, 9, 9, 3])
    x = net.conv(x, 2, name="conv")
    half = tf.raw_ops.ResizeBilinear(images=x, size=[13, 21], half_pixel_centers=True)
    aligned = tf.raw_ops.ResizeNearestNeighbor(images=x, size=[17, 17], align_corners=True)
    large = tf.raw_ops.ResizeBilinear(
        images=tf.tile(x, [1, 15, 15, 1])[:, :129, :129], size=[513, 513], align_corners=True
    )
    smaller = tf.raw_ops.ResizeBilinear(images=x, size=[4, 5])
    return [
        tf.identity(y, name)
        for y, name in ((half, "half"), (aligned, "aligned"), (large, "large"), (smaller, "small"))
    ]


@structure("Convolutions with valid transposes, two outputs a channel, dilated depthwise by SpaceToBatchND")
def convolutions(net: Net) -> Tensor:
    x = net.placeholder("x", [1, 12, 12, 3], [1, 12, 12, 3], low=-1)
    x = tf.nn.depthwise_conv2d(x, net.weights((3, 3, 3, 2), scale=0.4), [1, 1, 1, 1], "SAME")
    x = tf.nn.depthwise_conv2d(
        x, net.weights((3, 3, 6, 1), scale=0.4), [1, 1, 1, 1], "SAME", dilations=[2, 2]
    )
    kernel = net.weights((3, 3, 4, 6), scale=0.3)
    x = tf.nn.conv2d_transpose(x, kernel, [1, 25, 25, 4], 2, "VALID")
    return tf.nn.separable_conv2d(
        x, net.weights((3, 3, 4, 1)), net.weights((1, 1, 4, 5)), [1, 2, 2, 1], "VALID", name="out"
    )


@structure("SegNet: pooling keeps where the maxima were, ScatterNd puts them back")
def segnet(net: Net) -> Tensor:
    x = net.placeholder("x", [1, 8, 8, 3], [1, 8, 8, 3])
    x = net.conv(x, 4, name="conv")
    pooled, where = tf.nn.max_pool_with_argmax(x, 2, 2, "SAME")
    flat = tf.scatter_nd(tf.reshape(where, [-1, 1]), tf.reshape(pooled, [-1]), tf.constant([256], tf.int64))
    return net.conv(tf.reshape(flat, [1, 8, 8, 4]), 2, name="out")


@structure("Gathers and masks: GatherNd, Where, Cumsum, Reverse, PadV2")
def selections(net: Net) -> Tensor:
    x = net.placeholder("x", [2, 6], [2, 6], low=-1)
    chosen = tf.gather_nd(x, [[0, 1], [1, 3], [1, 5]])
    masked = tf.where(x > 0.0, x, 0.1 * x)
    rest = tf.reverse(tf.cumsum(masked, 1), [1])
    padded = tf.pad(rest, [[0, 0], [1, 2]], constant_values=-1.0)
    return tf.concat([tf.reshape(padded, [1, 18]), tf.expand_dims(chosen, 0)], 1, name="out")


@structure("Crops of a map by boxes: CropAndResize")
def crops(net: Net) -> Tensor:
    x = net.placeholder("image", [1, 16, 16, 3], [1, 16, 16, 3])
    boxes = net.placeholder("boxes", [3, 4], [3, 4])
    x = net.conv(x, 4, name="conv")
    crop = tf.image.crop_and_resize(x, tf.sort(boxes, axis=1), [0, 0, 0], [7, 7])
    return net.dense(tf.reshape(crop, [3, 7 * 7 * 4]), 2, name="out")


@structure("Raw bytes as input: DecodeRaw, reshaped and scaled")
def raw_bytes(net: Net) -> Tensor:
    data = v1.placeholder(tf.string, [], "bytes")
    x = tf.io.decode_raw(data, tf.uint8, name="DecodeRaw")
    x = tf.reshape(tf.cast(x, tf.float32), [1, 12, 12, 1], name="picture")
    net.drawn(x, [1, 12, 12, 1], high=255)
    return net.dense(net.flat(net.conv(x / 255.0, 4, stride=2, name="conv")), 3, name="logits")


@structure("Web-safe texts as input: base64, PNG, resized for each picture (TensorFlow Serving)")
def served_pictures(net: Net) -> Tensor:
    data = v1.placeholder(tf.string, [None], "b64_input")

    def decoded(text: Tensor) -> Tensor:
        picture = tf.io.decode_png(tf.io.decode_base64(text), 3)
        picture.set_shape([None, None, 3])
        return tf.image.convert_image_dtype(v1.image.resize_images(picture, [16, 16]), tf.float32)

    x = tf.map_fn(decoded, data, tf.float32, name="decoded")
    x = tf.reshape(x, [-1, 16, 16, 3], name="pictures")
    net.drawn(x, [1, 16, 16, 3], high=255)
    x = net.conv(x * 0.01, 4, stride=4, activation=tf.nn.relu, name="conv")
    return tf.nn.softmax(net.dense(net.flat(x), 3), name="scores")


@structure("One input of a default: PlaceholderWithDefault in front of the network")
def default_input(net: Net) -> Tensor:
    default = tf.zeros([1, 8])
    x = v1.placeholder_with_default(default, [None, 8], "x")
    net.drawn(x, [2, 8], low=-1)
    return net.dense(x, 3, activation=tf.nn.relu, name="out")


@structure("Group norm of any size, computed by Shape and Reshape")
def group_norm(net: Net) -> Tensor:
    x = net.placeholder("x", [None, None, None, 3], [1, 10, 14, 3])
    x = net.conv(x, 8, name="conv")
    shape = tf.shape(x)
    grouped = tf.reshape(x, tf.stack([shape[0], shape[1], shape[2], 4, 2]))
    mean, variance = tf.nn.moments(grouped, [1, 2, 4], keepdims=True)
    x = tf.reshape((grouped - mean) * tf.math.rsqrt(variance + 1e-5), shape)
    return x * tf.reshape(net.positive(8, "gamma"), [1, 1, 1, 8]) + net.bias(8, "beta")


@structure("Non-local block: attention over the pixels of a map by BatchMatMul")
def non_local(net: Net) -> Tensor:
    x = net.placeholder("x", [1, 6, 8, 3], [1, 6, 8, 3], low=-1)
    x = net.conv(x, 8, name="conv")
    query, key, value = (tf.reshape(net.conv(x, 4, kernel=1, name=name), [1, 48, 4]) for name in "fgh")
    mixed = tf.matmul(tf.nn.softmax(tf.matmul(query, key, transpose_b=True)), value)
    return x + 0.5 * net.conv(tf.reshape(mixed, [1, 6, 8, 4]), 8, kernel=1, name="o")


@structure("Efficient channel attention and a swish whose factor is learnt")
def channel_attention(net: Net) -> Tensor:
    x = net.placeholder("x", [1, 8, 8, 3], [1, 8, 8, 3], low=-1)
    x = net.conv(x, 8, name="conv")
    means = tf.reduce_mean(x, [1, 2])
    gates = tf.sigmoid(tf.nn.conv1d(tf.expand_dims(means, 2), net.weights((3, 1, 1)), 1, "SAME"))
    x = x * tf.reshape(gates, [-1, 1, 1, 8])
    return tf.multiply(x, tf.sigmoid(net.positive(8, "beta") * x), name="out")


@structure("A mixture density: exponentials, several sizes split off one vector")
def mixture(net: Net) -> list[Tensor]:
    x = net.placeholder("x", [None, 6], [2, 6], low=-1)
    flat = net.dense(x, 9, name="params")
    weights, means, deviations = tf.split(flat, [3, 3, 3], 1)
    weights = tf.exp(weights - tf.reduce_max(weights, 1, keepdims=True))
    weights = tf.divide(weights, tf.reduce_sum(weights, 1, keepdims=True), name="weights")
    return [weights, tf.identity(means, "means"), tf.exp(deviations, name="deviations")]


@structure("Kernels computed from another input: hyper-networks, BatchMatMul with a broadcast")
def hyper_network(net: Net) -> Tensor:
    x = net.placeholder("x", [1, 5, 4], [1, 5, 4], low=-1)
    style = net.placeholder("style", [1, 3], [1, 3], low=-1)
    kernel = tf.reshape(net.dense(style, 24, name="kernel"), [1, 4, 6])
    y = tf.nn.leaky_relu(tf.matmul(x, kernel), 0.3)
    return tf.matmul(y, net.weights((6, 2), "last"), name="out")


@structure("Squeezed, expanded, packed and repeated: PointPillars' bookkeeping")
def rearranged(net: Net) -> Tensor:
    x = net.placeholder("x", [1, 6, 4], [1, 6, 4], low=-1)
    rows = tf.unstack(x, axis=1)
    x = tf.stack([rows[0] + rows[1], rows[2] * rows[3], rows[4] - rows[5]], 2)
    x = tf.tile(tf.expand_dims(x, 3), [1, 1, 1, 2])
    x = tf.transpose(x, [0, 3, 1, 2])[:, ::-1, 1:, :]
    return tf.reshape(tf.strided_slice(x, [0, 0, 0, 0], [1, 2, 3, 3], [1, 1, 2, 1]), [1, -1], name="out")


@structure("Layers as TensorFlow Hub leaves them, with an Identity for each output and a signature's names")
def hub_module(net: Net) -> Tensor:
    x = net.placeholder("module/hub_input/images", [None, 16, 16, 3], [1, 16, 16, 3])
    with v1.name_scope("module_apply_default"):
        x = tf.multiply(x, 2.0, name="hub_input/Mul") - 1.0
        x = net.conv(x, 6, stride=2, norm=net.batch_norm, activation=tf.nn.relu6, name="MobilenetV2/Conv")
        x = tf.reduce_mean(x, [1, 2], keepdims=True)
        x = tf.squeeze(tf.identity(x), [1, 2])
        return tf.identity(x, "hub_output/feature_vector/SpatialSqueeze")


@structure("Random crop and flip left in from training, chosen by is_training")
def augmented(net: Net) -> Tensor:
    x = net.placeholder("x", [1, 12, 12, 3], [1, 12, 12, 3])
    training = net.fixed("is_training", False, tf.bool)
    x = v1.cond(training, lambda: tf.image.random_flip_left_right(x), lambda: tf.identity(x))
    x = v1.cond(training, lambda: x + v1.random_normal([1, 12, 12, 3], stddev=0.1), lambda: tf.identity(x))
    return net.conv(x, 4, activation=tf.nn.relu, name="conv")


@structure("A mean of several nets, each under a scope of its own, one of them named 'gradients'")
def ensemble(net: Net) -> Tensor:
    x = net.placeholder("x", [None, 6], [2, 6], low=-1)
    heads = []
    for name in ("model_a", "gradients", "save", "train"):
        with v1.name_scope(name):
            heads.append(net.dense(net.dense(x, 5, activation=tf.tanh), 3))
    return tf.divide(tf.add_n(heads), 4.0, name="mean")


@structure("Dot products of normalized vectors: cosine similarity against stored prototypes")
def prototypes(net: Net) -> list[Tensor]:
    x = net.placeholder("x", [None, 8], [2, 8], low=-1)
    stored = tf.nn.l2_normalize(net.weights((5, 8), "prototypes"), 1)
    scores = tf.matmul(tf.nn.l2_normalize(x, 1), stored, transpose_b=True, name="scores")
    return [scores, tf.reduce_max(scores, 1, name="best")]


@structure("Weights that are computed from weights: weight norm and spectral norm, folded at best")
def weight_norm(net: Net) -> Tensor:
    x = net.placeholder("x", [1, 8, 8, 3], [1, 8, 8, 3], low=-1)
    direction, length = net.weights((3, 3, 3, 6), "v"), net.positive(6, "g")
    kernel = length * tf.nn.l2_normalize(direction, [0, 1, 2])
    return tf.nn.conv2d(x, kernel, 1, "SAME", name="out")
