"""Faces: MTCNN's cascade, FaceNet's embeddings and their kin."""

from __future__ import annotations

import tensorflow as tf

from structures.net import Net, Tensor, structure, v1


def softmax_by_parts(x: Tensor, axis: int) -> Tensor:
    """Return a softmax as facenet's MTCNN spells it."""
    highest = tf.reduce_max(x, axis, keepdims=True)
    raised = tf.exp(x - highest)
    return tf.divide(raised, tf.reduce_sum(raised, axis, keepdims=True), "prob1")


@structure("MTCNN P-Net: PReLU by Relu and Abs, pictures of any size", old=True)
def mtcnn_pnet(net: Net) -> list[Tensor]:
    x = net.placeholder("pnet/input", [None, None, None, 3], [1, 24, 32, 3], low=-1)
    with v1.name_scope("pnet"):
        x = net.prelu(net.conv(x, 10, padding="VALID", name="conv1"))
        x = tf.nn.max_pool2d(x, 2, 2, "SAME", name="pool1")
        x = net.prelu(net.conv(x, 16, padding="VALID", name="conv2"))
        x = net.prelu(net.conv(x, 32, padding="VALID", name="conv3"))
        faces = softmax_by_parts(net.conv(x, 2, kernel=1, name="conv4-1"), 3)
        return [net.conv(x, 4, kernel=1, name="conv4-2"), faces]


@structure("MTCNN R-Net: a softmax and boxes from one flattened map", old=True)
def mtcnn_rnet(net: Net) -> list[Tensor]:
    x = net.placeholder("rnet/input", [None, 24, 24, 3], [2, 24, 24, 3], low=-1)
    with v1.name_scope("rnet"):
        x = net.prelu(net.conv(x, 8, padding="VALID", name="conv1"))
        x = tf.nn.max_pool2d(x, 3, 2, "SAME", name="pool1")
        x = net.prelu(net.conv(x, 12, padding="VALID", name="conv2"))
        x = tf.nn.max_pool2d(x, 3, 2, "VALID", name="pool2")
        x = net.prelu(net.conv(x, 16, kernel=2, padding="VALID", name="conv3"))
        x = net.prelu(net.dense(tf.reshape(x, [-1, 3 * 3 * 16]), 32, name="conv4"))
        return [net.dense(x, 4, name="conv5-2"), tf.nn.softmax(net.dense(x, 2, name="conv5-1"), name="prob1")]


@structure("MTCNN O-Net in Keras' spelling: PReLU by Neg, a Permute before the Flatten")
def mtcnn_onet(net: Net) -> list[Tensor]:
    x = net.placeholder("input_1", [None, 48, 48, 3], [1, 48, 48, 3], low=-1)
    for index, size in enumerate((8, 16, 16)):
        x = net.prelu_by_neg(net.conv(x, size, padding="VALID", name=f"conv{index + 1}"))
        x = tf.nn.max_pool2d(x, 3 if index < 2 else 2, 2, "SAME" if index != 1 else "VALID")
    x = net.prelu_by_neg(net.conv(x, 16, kernel=2, padding="VALID", name="conv4"))
    x = tf.transpose(x, [0, 3, 2, 1], name="permute_1/transpose")
    x = net.prelu_by_neg(net.dense(net.flat(x), 32, name="conv5"))
    return [
        tf.nn.softmax(net.dense(x, 2, name="conv6-1"), name="conv6-1/Softmax"),
        net.dense(x, 4, name="conv6-2"),
        net.dense(x, 10, name="conv6-3"),
    ]


def inception_resnet(net: Net, x: Tensor, training: Tensor) -> Tensor:
    """Return embeddings of pictures by a small Inception-ResNet as slim writes it."""
    norm = net.batch_norm_chosen(training)
    with v1.name_scope("InceptionResnetV1"):
        x = net.conv(x, 8, stride=2, padding="VALID", norm=norm, activation=tf.nn.relu, name="Conv2d_1a_3x3")
        x = tf.nn.max_pool2d(x, 3, 2, "VALID", name="MaxPool_3a_3x3")
        with v1.name_scope("Repeat/block35_1"):
            one = net.conv(x, 4, kernel=1, norm=norm, activation=tf.nn.relu, name="Branch_0/Conv2d_1x1")
            two = net.conv(x, 4, kernel=1, norm=norm, activation=tf.nn.relu, name="Branch_1/Conv2d_0a_1x1")
            two = net.conv(two, 4, norm=norm, activation=tf.nn.relu, name="Branch_1/Conv2d_0b_3x3")
            up = net.conv(tf.concat([one, two], 3, name="concat"), 8, kernel=1, name="Conv2d_1x1")
            x = tf.nn.relu(x + 0.17 * up)
        with v1.name_scope("Logits"):
            x = tf.nn.avg_pool2d(x, x.shape[1:3], 1, "VALID", name="AvgPool_1a_8x8")
            x = net.dropout_under(net.flat(x), training)
        x = tf.matmul(x, net.weights((8, 16), "Bottleneck/weights"))
        return norm(x)


@structure("FaceNet: phase_train decides batch norm and dropout, embeddings by l2_normalize", old=True)
def facenet(net: Net) -> Tensor:
    x = net.placeholder("input", [None, 40, 40, 3], [1, 40, 40, 3], low=-1)
    embeddings = inception_resnet(net, x, net.fixed("phase_train", False, tf.bool))
    return tf.nn.l2_normalize(embeddings, 1, 1e-10, name="embeddings")


@structure("FaceNet as it is released: pictures come from a queue, labels beside them", old=True, whole=True)
def facenet_queue(net: Net) -> Tensor:
    training = net.fixed("phase_train", False, tf.bool)
    batch = v1.placeholder(tf.int32, [], "batch_size")
    queue = v1.FIFOQueue(8, [tf.float32, tf.int64], [[40, 40, 3], []], name="batch_join/fifo_queue")
    pictures, labels = queue.dequeue_up_to(batch, name="batch_join")
    x = tf.identity(pictures, "image_batch")
    tf.identity(labels, "label_batch")
    net.drawn(x, [1, 40, 40, 3], low=-1)
    x = tf.identity(x, "input")
    return tf.nn.l2_normalize(inception_resnet(net, x, training), 1, 1e-10, name="embeddings")


@structure("ArcFace-like: PReLU, batch norm of a vector, dropout by keep_prob")
def arcface(net: Net) -> Tensor:
    x = net.placeholder("img_inputs", [None, 28, 28, 3], [1, 28, 28, 3], low=-1)
    keep = net.fixed("dropout_rate", 1.0, tf.float32)
    x = net.prelu(net.conv(x, 8, stride=2, norm=net.batch_norm, name="resnet_v1_50/conv1"))
    x = x + net.conv(
        net.prelu(net.conv(net.batch_norm(x), 8, norm=net.batch_norm, name="unit_1/conv1")),
        8,
        norm=net.batch_norm,
        name="unit_1/conv2",
    )
    x = net.dropout_by_floor(net.batch_norm(x), keep)
    x = net.dense(net.flat(x), 16, name="E_DenseLayer")
    return net.batch_norm_by_parts(x)


@structure("Siamese network: two pictures through the same weights, the distance of their embeddings")
def siamese(net: Net) -> Tensor:
    pictures = [net.placeholder(name, [None, 28, 28, 1], [2, 28, 28, 1]) for name in ("left", "right")]
    kernel, bias = net.weights((3, 3, 1, 8)), net.bias(8)
    last = net.weights((14 * 14 * 8, 8), "dense")
    ends = []
    for name, x in zip(("siamese", "siamese_1"), pictures, strict=True):
        with v1.name_scope(name):
            x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, kernel, 2, "SAME"), bias))
            ends.append(tf.matmul(net.flat(x), last))
    apart = tf.reduce_sum(tf.square(ends[0] - ends[1]), 1, keepdims=True)
    return tf.sqrt(tf.maximum(apart, 1e-7), name="distance")


@structure("Siamese network of L1 distances, squared differences and a sigmoid")
def siamese_difference(net: Net) -> Tensor:
    left = net.placeholder("input_1", [None, 32], [1, 32])
    right = net.placeholder("input_2", [None, 32], [1, 32])
    kernel = net.weights((32, 16), "dense/kernel")
    one, two = tf.nn.relu(tf.matmul(left, kernel)), tf.nn.relu(tf.matmul(right, kernel))
    both = tf.concat([tf.abs(one - two), tf.math.squared_difference(one, two)], 1)
    return tf.sigmoid(net.dense(both, 1, name="score"), name="score/Sigmoid")
