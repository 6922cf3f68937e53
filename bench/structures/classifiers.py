"""Classifiers of pictures and of numbers, and what is found in them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from structures.net import Net, Tensor, structure, v1


@structure("MobileNet v1 by slim: depthwise convolutions, AvgPool, a reshaped softmax", old=True)
def mobilenet_v1(net: Net) -> Tensor:
    x = net.placeholder("input", [None, 32, 32, 3], [1, 32, 32, 3], low=-1)
    with v1.name_scope("MobilenetV1"):
        x = net.conv(x, 8, stride=2, norm=net.batch_norm, activation=tf.nn.relu6, name="Conv2d_0")
        for index, size in enumerate((8, 16)):
            x = net.depthwise(x, stride=1 + index, name=f"Conv2d_{index + 1}_depthwise")
            x = net.conv(
                x, size, kernel=1, norm=net.batch_norm, activation=tf.nn.relu6, name=f"Conv2d_{index}"
            )
        x = tf.nn.avg_pool2d(x, [8, 8], 2, "VALID", name="Logits/AvgPool_1a")
        x = tf.squeeze(net.conv(x, 5, kernel=1, name="Logits/Conv2d_1c_1x1"), [1, 2], name="SpatialSqueeze")
        shape = tf.shape(x)
        x = tf.nn.softmax(tf.reshape(x, [-1, 5], name="Predictions/Reshape"))
        return tf.reshape(x, shape, name="Predictions/Reshape_1")


@structure("MobileNet v2: inverted residuals, a mean with its axes kept, dropout by is_training")
def mobilenet_v2(net: Net) -> Tensor:
    x = net.placeholder("input", [None, 32, 32, 3], [1, 32, 32, 3], low=-1)
    training = net.fixed("is_training", False, tf.bool)
    norm = net.batch_norm_under(training)
    x = net.conv(x, 8, stride=2, norm=norm, activation=tf.nn.relu6, name="Conv")
    for index in range(2):
        y = net.conv(x, 16, kernel=1, norm=norm, activation=tf.nn.relu6, name=f"expanded_conv_{index}/expand")
        y = net.depthwise(y, norm=norm, name=f"expanded_conv_{index}/depthwise")
        x = x + net.conv(y, 8, kernel=1, norm=norm, name=f"expanded_conv_{index}/project")
    x = tf.reduce_mean(x, [1, 2], keepdims=True, name="Logits/AvgPool")
    x = net.conv(net.dropout_under(x, training), 5, kernel=1, name="Logits/Conv2d_1c_1x1")
    return tf.nn.softmax(tf.squeeze(x, [1, 2]), name="MobilenetV2/Predictions/Softmax")


def hard_sigmoid(x: Tensor) -> Tensor:
    """Return the hard sigmoid as slim spells it."""
    return tf.nn.relu6(x + 3.0) * 0.16667


def squeeze_excite(net: Net, x: Tensor, gate: Any, activation: Any = tf.nn.relu) -> Tensor:
    """Return a map scaled by gates computed from its mean."""
    with v1.name_scope("squeeze_excite"):
        y = tf.reduce_mean(x, [1, 2], keepdims=True)
        y = net.conv(y, 4, kernel=1, activation=activation, name="Conv")
        return x * net.conv(y, x.shape[-1], kernel=1, activation=gate, name="Conv_1")


@structure("MobileNet v3: hard-swish, squeeze and excite with a hard sigmoid")
def mobilenet_v3(net: Net) -> Tensor:
    def hard_swish(x: Tensor) -> Tensor:
        with v1.name_scope("hard_swish"):
            return x * hard_sigmoid(x)

    x = net.placeholder("input", [1, 32, 32, 3], [1, 32, 32, 3], low=-1)
    x = net.conv(x, 8, stride=2, norm=net.batch_norm, activation=hard_swish, name="Conv")
    y = net.depthwise(x, kernel=5, activation=hard_swish, name="expanded_conv/depthwise")
    x = x + net.conv(squeeze_excite(net, y, hard_sigmoid), 8, kernel=1, norm=net.batch_norm, name="project")
    x = hard_swish(net.conv(tf.reduce_mean(x, [1, 2], keepdims=True), 16, kernel=1, name="Conv_2"))
    return tf.nn.softmax(
        tf.squeeze(net.conv(x, 5, kernel=1, name="Logits"), [1, 2]), name="Predictions/Softmax"
    )


@structure("EfficientNet: swish, squeeze and excite, drop connect under is_training, padding by hand")
def efficientnet(net: Net) -> Tensor:
    def swish(x: Tensor) -> Tensor:
        return x * tf.sigmoid(x)

    x = net.placeholder("images", [None, 32, 32, 3], [1, 32, 32, 3], high=255)
    mean, deviation = tf.constant([123.7, 116.3, 103.5]), tf.constant([58.4, 57.1, 57.4])
    x = tf.pad((x - mean) / deviation, [[0, 0], [0, 1], [0, 1], [0, 0]])
    x = net.conv(x, 8, stride=2, padding="VALID", norm=net.batch_norm, activation=swish, name="stem")
    y = net.depthwise(x, activation=swish, name="blocks_0/depthwise_conv2d")
    y = net.conv(squeeze_excite(net, y, tf.sigmoid, swish), 8, kernel=1, norm=net.batch_norm, name="blocks_0")
    with v1.name_scope("drop_connect"):
        noise = v1.random_uniform(tf.stack([tf.shape(y)[0], 1, 1, 1])) + 0.8
        dropped = tf.realdiv(y, 0.8) * tf.floor(noise)
        training = net.fixed("is_training", False, tf.bool, default=False)
        y = v1.cond(training, lambda: tf.identity(dropped), lambda: tf.identity(y))
    x = tf.reduce_mean(swish(x + y), [1, 2])
    return tf.nn.softmax(net.dense(x, 5, name="head/dense"), name="Softmax")


@structure("Inception v3 by slim: branches joined, an auxiliary head, is_training with a default")
def inception(net: Net) -> Tensor:
    x = net.placeholder("input", [None, 35, 35, 3], [1, 35, 35, 3], low=-1)
    training = net.fixed("is_training", False, tf.bool, default=False)
    norm = net.batch_norm_under(training)
    x = net.conv(x, 8, stride=2, padding="VALID", norm=norm, activation=tf.nn.relu, name="Conv2d_1a_3x3")
    branches = [
        net.conv(x, 4, kernel=1, norm=norm, activation=tf.nn.relu, name="Mixed/Branch_0"),
        net.conv(x, 4, kernel=(1, 7), norm=norm, activation=tf.nn.relu, name="Mixed/Branch_1"),
        net.conv(tf.nn.avg_pool2d(x, 3, 1, "SAME"), 4, kernel=1, norm=norm, name="Mixed/Branch_2"),
        tf.nn.max_pool2d(x, 3, 1, "SAME"),
    ]
    x = tf.concat(branches, 3)
    with v1.name_scope("AuxLogits"):
        net.dense(tf.reduce_mean(x, [1, 2]), 5)
    x = net.dropout_under(tf.reduce_mean(x, [1, 2], keepdims=True, name="GlobalPool"), training)
    x = tf.squeeze(net.conv(x, 5, kernel=1, name="Logits/Conv2d_1c_1x1"), [1, 2], name="SpatialSqueeze")
    return tf.nn.softmax(x, name="InceptionV3/Predictions/Reshape_1")


@structure("ResNet v1 by slim: padding by hand, strides, a mean, training as an input", old=True)
def resnet_v1(net: Net) -> Tensor:
    x = net.placeholder("input_tensor", [None, 32, 32, 3], [1, 32, 32, 3], high=255)
    norm = net.batch_norm_under(net.fixed("phase", False, tf.bool))
    x = tf.pad(x - tf.constant([123.68, 116.78, 103.94]), [[0, 0], [3, 3], [3, 3], [0, 0]])
    x = net.conv(
        x * 0.01, 8, kernel=7, stride=2, padding="VALID", norm=norm, activation=tf.nn.relu, name="conv1"
    )
    x = tf.nn.max_pool2d(x, 3, 2, "SAME", name="pool1")
    side = net.conv(x, 16, kernel=1, stride=2, norm=norm, name="block1/shortcut")
    y = net.conv(x, 4, kernel=1, norm=norm, activation=tf.nn.relu, name="block1/conv1")
    y = net.conv(tf.pad(y, [[0, 0], [1, 1], [1, 1], [0, 0]]), 4, stride=2, padding="VALID", norm=norm)
    x = tf.nn.relu(side + net.conv(y, 16, kernel=1, norm=norm, name="block1/conv3"))
    x = tf.reduce_mean(x, [1, 2], keepdims=True, name="pool5")
    x = tf.squeeze(net.conv(x, 5, kernel=1, name="logits"), [1, 2])
    return tf.nn.softmax(x, name="softmax_tensor")


@structure("ResNet by Keras 2.2: keras_learning_phase has a default and decides batch norm and dropout")
def resnet_keras(net: Net) -> Tensor:
    x = net.placeholder("input_1", [None, 24, 24, 3], [1, 24, 24, 3], low=-1)
    training = net.fixed("keras_learning_phase", False, tf.bool, default=False)
    training = v1.cond(training, lambda: tf.identity(training), lambda: tf.identity(training))
    norm = net.batch_norm_under(training)
    x = net.conv(x, 8, stride=2, norm=norm, activation=tf.nn.relu, name="conv1")
    x = tf.nn.relu(x + net.conv(x, 8, norm=norm, name="res2a_branch2a"))
    x = net.dropout_under(net.flat(tf.nn.avg_pool2d(x, 4, 4, "VALID")), training, 0.5)
    return tf.nn.softmax(net.dense(x, 5, name="fc1000"), name="fc1000/Softmax")


@structure("ResNet v2 with a classifier's tail: top 3, their classes and numbers")
def top_classes(net: Net) -> list[Tensor]:
    x = net.placeholder("input", [1, 16, 16, 3], [1, 16, 16, 3])
    x = net.conv(x, 8, stride=2, name="conv1")
    x = x + net.conv(tf.nn.relu(net.batch_norm(x)), 8, name="unit_1")
    probabilities = tf.nn.softmax(net.dense(tf.reduce_mean(x, [1, 2]), 7, name="logits"))
    values, classes = tf.nn.top_k(probabilities, 3, name="top")
    return [tf.identity(values, "scores"), tf.identity(classes, "classes")]


@structure("DenseNet: batch norm before each convolution, everything joined")
def densenet(net: Net) -> Tensor:
    x = net.placeholder("input_1", [None, 24, 24, 3], [1, 24, 24, 3])
    x = net.conv(x, 8, stride=2, name="conv1")
    for index in range(2):
        y = net.conv(tf.nn.relu(net.batch_norm(x)), 4, name=f"conv2_block{index}")
        x = tf.concat([x, y], 3)
    x = tf.nn.avg_pool2d(
        net.conv(tf.nn.relu(net.batch_norm(x)), 8, kernel=1, name="pool2_conv"), 2, 2, "VALID"
    )
    return tf.nn.softmax(net.dense(tf.reduce_mean(x, [1, 2]), 5), name="fc1000")


@structure("SqueezeNet: fire modules, a convolution as classifier, average pooling", old=True)
def squeezenet(net: Net) -> Tensor:
    x = net.placeholder("image", [1, 32, 32, 3], [1, 32, 32, 3], high=255)
    x = net.conv(x / 255.0, 8, stride=2, padding="VALID", activation=tf.nn.relu, name="conv1")
    x = tf.nn.max_pool2d(x, 3, 2, "VALID", name="maxpool1")
    y = net.conv(x, 4, kernel=1, activation=tf.nn.relu, name="fire2/squeeze1x1")
    sides = [net.conv(y, 8, kernel=k, activation=tf.nn.relu, name=f"fire2/expand{k}x{k}") for k in (1, 3)]
    x = net.conv(tf.concat(sides, 3), 5, kernel=1, activation=tf.nn.relu, name="conv10")
    return tf.nn.softmax(tf.squeeze(tf.nn.avg_pool2d(x, 7, 1, "VALID"), [1, 2]), name="softmax")


@structure("ShuffleNet: channels regrouped by reshape and transpose, channels split in two")
def shufflenet(net: Net) -> Tensor:
    x = net.placeholder("input", [1, 16, 16, 3], [1, 16, 16, 3])
    x = net.conv(x, 8, stride=2, norm=net.batch_norm, activation=tf.nn.relu, name="conv1")
    for index in range(2):
        left, right = tf.split(x, 2, 3)
        right = net.depthwise(right, activation=None, name=f"stage2/{index}/depthwise")
        right = net.conv(
            right, 4, kernel=1, norm=net.batch_norm, activation=tf.nn.relu, name=f"stage2/{index}"
        )
        x = tf.concat([left, right], 3)
        x = tf.reshape(tf.transpose(tf.reshape(x, [1, 8, 8, 2, 4]), [0, 1, 2, 4, 3]), [1, 8, 8, 8])
    return net.dense(tf.reduce_mean(x, [1, 2]), 5, name="fc")


@structure("AlexNet: groups by Split, local response normalization, dropout by keep_prob", old=True)
def alexnet(net: Net) -> Tensor:
    x = net.placeholder("Placeholder", [None, 32, 32, 3], [1, 32, 32, 3], low=-100, high=100)
    keep = net.fixed("keep_prob", 1.0, tf.float32)
    x = net.conv(x * 0.02, 8, kernel=5, stride=2, activation=tf.nn.relu, name="conv1")
    x = tf.nn.local_response_normalization(x, 2, alpha=2e-5, beta=0.75, bias=1.0, name="norm1")
    x = tf.nn.max_pool2d(x, 3, 2, "VALID", name="pool1")
    with v1.name_scope("conv2"):
        parts = zip(tf.split(x, 2, 3), tf.split(net.weights((5, 5, 4, 8)), 2, 3), strict=True)
        x = tf.concat([tf.nn.conv2d(part, kernel, 1, "SAME") for part, kernel in parts], 3)
        x = tf.nn.relu(tf.reshape(tf.nn.bias_add(x, net.bias(8)), tf.shape(x)))
    x = net.dropout_by_floor(net.dense(tf.reshape(x, [-1, 7 * 7 * 8]), 16, activation=tf.nn.relu), keep)
    return net.dense(x, 5, name="fc8")


@structure("VGG: dropout of TensorFlow 1.14, compared, cast and multiplied, by a rate")
def vgg(net: Net) -> Tensor:
    x = net.placeholder("images", [None, 16, 16, 3], [1, 16, 16, 3], high=255)
    rate = net.fixed("dropout_rate", 0.0, tf.float32)
    red, green, blue = tf.split(x, 3, 3)
    x = tf.concat([blue - 103.9, green - 116.8, red - 123.7], 3) * 0.01
    x = tf.nn.max_pool2d(net.conv(x, 8, activation=tf.nn.relu, name="conv1_1"), 2, 2, "SAME")
    x = net.dropout_by_cast(net.dense(net.flat(x), 16, activation=tf.nn.relu, name="fc6"), rate)
    return tf.nn.softmax(net.dense(x, 5, name="fc8"), name="prob")


@structure("MNIST of the tutorial: a reshaped picture, dropout of today's TensorFlow by keep_prob")
def mnist(net: Net) -> Tensor:
    x = net.placeholder("x", [None, 784], [2, 784])
    keep = net.fixed("keep_prob", 1.0, tf.float32)
    picture = tf.reshape(x, [-1, 28, 28, 1])
    x = tf.nn.max_pool2d(net.conv(picture, 4, kernel=5, activation=tf.nn.relu, name="conv1"), 2, 2, "SAME")
    x = tf.nn.relu(tf.matmul(tf.reshape(x, [-1, 14 * 14 * 4]), net.weights((784, 16))) + net.bias(16))
    x = v1.nn.dropout(x, keep_prob=keep)
    return tf.add(tf.matmul(x, net.weights((16, 10))), net.bias(10), name="y_conv")


@structure("Loss, gradients, optimizer, summaries, saver and labels left in the graph", whole=True)
def training_left_in(net: Net) -> Tensor:
    x = net.placeholder("x", [None, 8], [2, 8])
    labels = v1.placeholder(tf.int64, [None], "labels")
    rate = v1.placeholder(tf.float32, [], "learning_rate")
    kernel, bias = net.weights((8, 4)), net.bias(4)
    logits = tf.add(tf.matmul(x, kernel), bias, name="logits")
    probabilities = tf.nn.softmax(logits, name="probabilities")
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    loss = tf.reduce_mean(losses, name="loss") + 1e-4 * tf.nn.l2_loss(kernel)
    for gradient, value in zip(tf.gradients(loss, [kernel, bias]), (kernel, bias), strict=True):
        tf.subtract(value, rate * gradient, name="train/updated")
    v1.summary.scalar("loss", loss)
    v1.summary.histogram("logits", logits)
    right = tf.equal(tf.argmax(logits, 1), labels)
    tf.reduce_mean(tf.cast(right, tf.float32), name="accuracy")
    path = v1.placeholder_with_default("model", [], "save/Const")
    tf.raw_ops.SaveV2(
        prefix=path, tensor_names=["weights"], shape_and_slices=[""], tensors=[kernel], name="save/SaveV2"
    )
    return probabilities


@structure("Several numbers added at once, minima, maxima, powers, quotients")
def arithmetic(net: Net) -> Tensor:
    x = net.placeholder("x", [1, 8, 8, 3], [1, 8, 8, 3], low=-1)
    parts = [net.conv(x, 4, name=name) for name in ("a", "b", "c")]
    total = tf.add_n(parts)
    bounded = tf.maximum(tf.minimum(total, 1.5), parts[0] * 0.5)
    squared = tf.math.squared_difference(bounded, parts[1])
    return tf.realdiv(tf.pow(squared + 1.0, 0.5), 1.0 + tf.abs(parts[2]), name="out")


@structure("Activations: Selu, Softplus, Softsign, Elu, LogSoftmax, Sin, Log1p, Expm1")
def activations(net: Net) -> Tensor:
    x = net.placeholder("x", [2, 8], [2, 8], low=-1)
    x = tf.nn.selu(net.dense(x, 8, name="a"))
    x = tf.nn.softplus(net.dense(x, 8, name="b")) + tf.nn.softsign(x)
    x = tf.nn.elu(net.dense(x, 8, name="c")) + tf.sin(x) + tf.math.log1p(tf.abs(x))
    x = tf.math.expm1(tf.minimum(x, 1.0)) + tf.math.rsqrt(tf.square(x) + 1.0)
    return tf.nn.log_softmax(net.dense(x, 5, name="d"), name="out")


@structure("Norms by moments: groups, layers, unit variance of pictures")
def norms(net: Net) -> Tensor:
    x = net.placeholder("x", [1, 8, 8, 3], [1, 8, 8, 3], high=255)
    x = tf.image.per_image_standardization(x)
    x = net.conv(x, 8, name="conv")
    groups = tf.reshape(x, [1, 8, 8, 2, 4])
    mean, variance = tf.nn.moments(groups, [1, 2, 4], keepdims=True)
    x = tf.reshape((groups - mean) / tf.sqrt(variance + 1e-5), [1, 8, 8, 8]) * net.positive(8, "gamma")
    mean, variance = tf.nn.moments(x, [1, 2, 3], keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, net.bias(8, "beta"), net.positive(8, "g"), 1e-6)


@structure("Deep Q network: frames uint8, values and advantages joined, the best action")
def dueling_dqn(net: Net) -> list[Tensor]:
    x = net.placeholder("frames", [None, 20, 20, 4], [1, 20, 20, 4], tf.uint8, high=255)
    x = tf.cast(x, tf.float32) / 255.0
    x = net.flat(net.conv(x, 8, kernel=4, stride=2, padding="VALID", activation=tf.nn.relu, name="c1"))
    value, advantage = net.dense(x, 1, name="value"), net.dense(x, 4, name="advantage")
    q = value + (advantage - tf.reduce_mean(advantage, 1, keepdims=True))
    return [tf.identity(q, "q"), tf.argmax(q, 1, name="action")]


@structure("Policy of reinforcement learning: a bounded mean, the sampled action left beside it", whole=True)
def policy(net: Net) -> Tensor:
    x = net.placeholder("vector_observation", [None, 6], [1, 6], low=-2, high=2)
    mean, deviation = net.bias(6, "running_mean"), net.positive(6, "running_variance")
    x = tf.clip_by_value((x - mean) / tf.sqrt(deviation), -5.0, 5.0)
    for index in range(2):
        x = net.dense(x, 8, activation=lambda y: y * tf.sigmoid(y), name=f"hidden_{index}")
    mean = tf.clip_by_value(net.dense(x, 2, name="mu"), -3, 3) / 3
    sigma = tf.exp(net.bias(2, "log_sigma"))
    tf.add(mean, sigma * v1.random_normal(tf.shape(mean)), name="sampled")
    return tf.identity(mean, "action")


@structure("PointNet: points as columns, a learnt transform by BatchMatMul, the maximum over all points")
def pointnet(net: Net) -> Tensor:
    x = net.placeholder("points", [1, 16, 3], [1, 16, 3], low=-1)
    y = tf.expand_dims(x, -1)
    y = net.conv(y, 8, kernel=(1, 3), padding="VALID", activation=tf.nn.relu, name="tconv1")
    y = net.dense(tf.reshape(tf.nn.max_pool2d(y, [16, 1], 1, "VALID"), [1, -1]), 9, name="transform")
    x = tf.matmul(x, tf.reshape(y, [1, 3, 3]))
    x = net.conv(tf.expand_dims(x, 2), 8, kernel=1, activation=tf.nn.relu, name="conv2")
    whole = tf.tile(tf.reduce_max(x, 1, keepdims=True), [1, 16, 1, 1])
    return tf.squeeze(net.conv(tf.concat([x, whole], 3), 4, kernel=1, name="seg"), 2)


@structure("Videos: 3-D convolutions and pools")
def c3d(net: Net) -> Tensor:
    x = net.placeholder("clip", [1, 4, 12, 12, 3], [1, 4, 12, 12, 3])
    x = tf.nn.relu(
        tf.nn.bias_add(tf.nn.conv3d(x, net.weights((3, 3, 3, 3, 6)), [1] * 5, "SAME"), net.bias(6))
    )
    x = tf.nn.max_pool3d(x, [1, 2, 2, 2, 1], [1, 2, 2, 2, 1], "SAME")
    return net.dense(tf.reshape(x, [1, -1]), 4, name="out")


@structure("A regression with several heads, boxes clipped to a picture of known size")
def several_heads(net: Net) -> list[Tensor]:
    x = net.placeholder("image", [1, 16, 16, 3], [1, 16, 16, 3])
    x = tf.nn.relu(net.conv(x, 8, stride=2, norm=net.batch_norm, name="c1"))
    flat = net.flat(x)
    age = tf.reduce_sum(tf.nn.softmax(net.dense(flat, 10, name="age")) * tf.range(10.0), 1, name="years")
    angles = tf.stack([tf.squeeze(net.dense(flat, 1, name=name), 1) for name in ("yaw", "pitch")], 1)
    return [age, angles, tf.sigmoid(net.dense(flat, 1, name="smile"), name="smile/Sigmoid")]
