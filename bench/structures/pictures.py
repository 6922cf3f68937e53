"""Pictures out of pictures: segmentation, super-resolution, style transfer, generators, autoencoders."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from structures.net import Net, Tensor, structure, v1


def enlarged(x: Tensor, times: int = 2) -> Any:
    """Return the shape of a transposed convolution's result, read from its input as Keras does."""
    shape = tf.shape(x)
    return tf.stack([shape[0], shape[1] * times, shape[2] * times, x.shape[-1]])


@structure("U-Net: Conv2DTranspose with an output shape computed from the input, skips joined")
def unet(net: Net) -> Tensor:
    x = net.placeholder("input_1", [None, 32, 32, 3], [1, 32, 32, 3])
    first = net.conv(x, 8, activation=tf.nn.relu, name="conv2d")
    second = net.conv(tf.nn.max_pool2d(first, 2, 2, "VALID"), 16, activation=tf.nn.relu, name="conv2d_1")
    bottom = net.conv(tf.nn.max_pool2d(second, 2, 2, "VALID"), 16, activation=tf.nn.relu, name="conv2d_2")
    up = net.transposed(bottom, 16, enlarged(bottom), name="conv2d_transpose")
    up = net.conv(tf.concat([second, up], 3), 8, activation=tf.nn.relu, name="conv2d_3")
    up = net.transposed(up, 8, enlarged(up), kernel=3, name="conv2d_transpose_1")
    up = net.conv(tf.concat([up, first], -1), 8, activation=tf.nn.relu, name="conv2d_4")
    return tf.sigmoid(net.conv(up, 1, kernel=1, name="conv2d_5"), name="conv2d_5/Sigmoid")


@structure("U-Net of pictures of any size: bilinear enlargement to a skip's size, a crop, a softmax")
def unet_resize(net: Net) -> Tensor:
    x = net.placeholder("x", [None, None, None, 3], [1, 31, 45, 3])
    first = net.conv(x, 8, activation=tf.nn.relu, norm=net.batch_norm, name="down_0")
    second = net.conv(tf.nn.max_pool2d(first, 2, 2, "SAME"), 8, activation=tf.nn.relu, name="down_1")
    up = v1.image.resize_bilinear(second, tf.shape(first)[1:3])
    up = net.conv(tf.concat([first, up], 3), 8, activation=tf.nn.elu, name="up_0")
    return tf.nn.softmax(net.conv(up, 3, kernel=1, name="out"), name="pixelwise_softmax")


@structure("U-Net in Keras 2: nearest enlargement with half pixel centres")
def unet_nearest(net: Net) -> Tensor:
    x = net.placeholder("input_1", [None, 32, 32, 3], [1, 32, 32, 3])
    down = net.conv(x, 8, stride=2, activation=tf.nn.relu, norm=net.batch_norm, name="conv2d")
    size = tf.shape(down)[1:3] * tf.constant([2, 2])
    up = tf.raw_ops.ResizeNearestNeighbor(images=down, size=size, half_pixel_centers=True)
    up = tf.concat([net.conv(up, 4, activation=tf.nn.relu, name="conv2d_1"), x], 3)
    return net.conv(up, 2, name="conv2d_2")


@structure("U-Net with valid convolutions: the skip is cropped and the picture mirrored")
def unet_valid(net: Net) -> Tensor:
    x = net.placeholder("x", [1, 36, 36, 1], [1, 36, 36, 1])
    x = tf.pad(x, [[0, 0], [4, 4], [4, 4], [0, 0]], "SYMMETRIC")
    first = net.conv(x, 8, padding="VALID", activation=tf.nn.relu, name="conv0")
    low = net.conv(tf.nn.max_pool2d(first, 2, 2, "VALID"), 8, padding="VALID", activation=tf.nn.relu)
    up = net.transposed(low, 8, [1, 38, 38, 8])
    skip = tf.slice(first, [0, 2, 2, 0], [-1, 38, 38, -1], name="crop")
    return net.conv(tf.concat([skip, up], 3), 2, kernel=1, name="logits")


def atrous(net: Net, x: Tensor, size: int, rate: int, name: str) -> Tensor:
    """Return a dilated convolution as tf.nn.atrous_conv2d writes it."""
    with v1.name_scope(name):
        return tf.nn.relu(tf.nn.atrous_conv2d(x, net.weights((3, 3, x.shape[-1], size)), rate, "SAME"))


@structure("DeepLab v3 as released: uint8 picture, atrous convolutions, pooled features, an ArgMax tail")
def deeplab(net: Net) -> Tensor:
    x = net.placeholder("ImageTensor", [1, None, None, 3], [1, 33, 33, 3], tf.uint8, high=255)
    size = tf.shape(x)[1:3]
    x = tf.cast(x, tf.float32) * (2.0 / 255.0) - 1.0
    x = v1.image.resize_bilinear(x, [33, 33], align_corners=True, name="ResizeBilinear")
    x = net.conv(x, 8, stride=2, norm=net.batch_norm, activation=tf.nn.relu6, name="MobilenetV2/Conv")
    x = net.depthwise(x, rate=2, name="MobilenetV2/expanded_conv/depthwise")
    pool = tf.reduce_mean(x, [1, 2], keepdims=True, name="AvgPool")
    pool = net.conv(pool, 8, kernel=1, norm=net.batch_norm, activation=tf.nn.relu, name="image_pooling")
    pool = v1.image.resize_bilinear(pool, [17, 17], align_corners=True)
    branches = [atrous(net, x, 8, rate, f"aspp{rate}") for rate in (2, 4)]
    x = net.conv(
        tf.concat([pool, *branches], 3), 8, kernel=1, activation=tf.nn.relu, name="concat_projection"
    )
    x = net.conv(x, 5, kernel=1, name="logits/semantic")
    x = v1.image.resize_bilinear(x, [33, 33], align_corners=True, name="ResizeBilinear_2")
    classes = tf.argmax(v1.image.resize_bilinear(x, size, align_corners=True, name="ResizeBilinear_3"), 3)
    return tf.cast(classes, tf.int32, name="SemanticPredictions")


@structure("DeepLab from a float picture, 17 to 33 and 33 to 129 with aligned corners")
def deeplab_logits(net: Net) -> Tensor:
    x = net.placeholder("sub_7", [1, 33, 33, 3], [1, 33, 33, 3], low=-1)
    x = net.conv(x, 8, stride=2, activation=tf.nn.relu, name="conv1")
    x = net.conv(x, 8, dilation=2, activation=tf.nn.relu, name="conv2")
    x = v1.image.resize_bilinear(x, [33, 33], align_corners=True)
    x = net.conv(x, 4, kernel=1, name="logits")
    return v1.image.resize_bilinear(x, [129, 129], align_corners=True, name="out")


@structure("PSPNet: pools of several sizes, enlarged again")
def pspnet(net: Net) -> Tensor:
    x = net.placeholder("input", [1, 24, 24, 3], [1, 24, 24, 3])
    x = net.conv(x, 8, stride=2, norm=net.batch_norm, activation=tf.nn.relu, name="conv1")
    levels = [x]
    for size in (12, 6, 4, 2):
        level = tf.nn.avg_pool2d(x, size, size, "VALID")
        level = net.conv(level, 4, kernel=1, activation=tf.nn.relu, name=f"pool{size}")
        levels.append(v1.image.resize_bilinear(level, [12, 12], align_corners=True))
    x = net.conv(tf.concat(levels, 3), 3, name="conv6")
    return tf.nn.softmax(v1.image.resize_bilinear(x, [24, 24], align_corners=True), name="predictions")


@structure("ENet: max pooling beside a convolution, PReLU, a spatial dropout, asymmetric kernels")
def enet(net: Net) -> Tensor:
    x = net.placeholder("input", [1, 32, 32, 3], [1, 32, 32, 3])
    x = tf.concat([net.conv(x, 13, stride=2, name="initial"), tf.nn.max_pool2d(x, 2, 2, "SAME")], 3)
    main = net.prelu(net.batch_norm(x))
    side = net.conv(main, 4, kernel=(5, 1), norm=net.batch_norm, activation=net.prelu, name="asym_1")
    side = net.conv(side, 16, kernel=(1, 5), norm=net.batch_norm, activation=net.prelu, name="asym_2")
    x = net.prelu(main + side)
    return net.transposed(x, 4, [1, 32, 32, 4], kernel=3, name="fullconv")


@structure("ESPCN: leaky ReLU, DepthToSpace, tanh, pictures of any size")
def espcn(net: Net) -> Tensor:
    x = net.placeholder("lr", [None, None, None, 1], [1, 12, 16, 1])
    x = net.conv(x, 8, kernel=5, activation=lambda y: tf.nn.leaky_relu(y, 0.1), name="conv1")
    x = net.conv(x, 9, activation=tf.nn.tanh, name="conv2")
    return tf.nn.depth_to_space(x, 3, name="sr")


@structure("EDSR: the mean picture is subtracted, residuals are scaled, DepthToSpace twice")
def edsr(net: Net) -> Tensor:
    x = net.placeholder("input_placeholder", [None, 12, 12, 3], [1, 12, 12, 3], high=255)
    mean = tf.constant([114.4, 111.5, 103.0], name="mean")
    first = x = net.conv(x - mean, 8, name="head")
    for index in range(2):
        side = net.conv(net.conv(x, 8, activation=tf.nn.relu, name=f"b{index}/1"), 8, name=f"b{index}/2")
        x = x + side * 0.1
    x = first + net.conv(x, 8, name="body")
    for index in range(2):
        x = tf.nn.depth_to_space(net.conv(x, 32, name=f"up{index}"), 2)
    x = net.conv(x, 3, name="tail") + mean
    return tf.clip_by_value(x, 0.0, 255.0, name="output")


@structure("SRGAN's generator: PReLU, batch norm, DepthToSpace, long skip")
def srgan(net: Net) -> Tensor:
    x = net.placeholder("input_lowres", [None, 10, 14, 3], [1, 10, 14, 3])
    first = x = net.prelu_by_neg(net.conv(x, 8, kernel=9, name="conv2d"))
    side = net.prelu_by_neg(net.conv(x, 8, norm=net.batch_norm, name="res/conv1"))
    x = x + net.conv(side, 8, norm=net.batch_norm, name="res/conv2")
    x = tf.add(net.conv(x, 8, norm=net.batch_norm, name="conv2d_1"), first)
    x = net.prelu_by_neg(tf.nn.depth_to_space(net.conv(x, 32, name="conv2d_2"), 2))
    return tf.tanh(net.conv(x, 3, kernel=9, name="conv2d_3"), name="out")


@structure("FSRCNN: PReLU and a transposed convolution of any size")
def fsrcnn(net: Net) -> Tensor:
    x = net.placeholder("IteratorGetNext", [None, None, None, 1], [1, 12, 10, 1])
    x = net.prelu(net.conv(x, 12, kernel=5, name="f1"))
    x = net.prelu(net.conv(x, 6, kernel=1, name="f2"))
    return net.transposed(x, 1, tf.stack([*tf.unstack(enlarged(x, 3))[:3], 1]), kernel=9, stride=3, name="d")


@structure("A residual over a bicubic enlargement")
def vdsr(net: Net) -> Tensor:
    x = net.placeholder("input", [1, 10, 10, 1], [1, 10, 10, 1])
    big = v1.image.resize_bicubic(x, [20, 20])
    return tf.add(big, net.conv(net.conv(big, 8, activation=tf.nn.relu, name="c1"), 1, name="c2"), name="out")


@structure("SpaceToDepth, as networks for raw pictures and YOLO's passthrough have it")
def space_to_depth(net: Net) -> Tensor:
    x = net.placeholder("bayer", [1, 16, 16, 1], [1, 16, 16, 1])
    x = net.conv(tf.nn.space_to_depth(x, 2), 12, activation=tf.nn.leaky_relu, name="conv")
    return tf.nn.depth_to_space(x, 2, name="rgb")


def reflected(x: Tensor, by: int) -> Tensor:
    """Return a picture whose border is mirrored."""
    return tf.pad(x, [[0, 0], [by, by], [by, by], [0, 0]], "REFLECT")


@structure("Style transfer: mirrored borders, instance norm by moments, nearest enlargement, any size")
def style_transfer(net: Net) -> Tensor:
    x = net.placeholder("X_content", [None, None, None, 3], [1, 24, 32, 3], high=255)
    shape = tf.shape(x)
    x = net.conv(reflected(x / 127.5 - 1.0, 2), 8, kernel=5, padding="VALID", name="conv1")
    x = tf.nn.relu(net.instance_norm(x))
    x = tf.nn.relu(net.instance_norm(net.conv(x, 16, stride=2, name="conv2")))
    side = net.conv(reflected(x, 1), 16, padding="VALID", name="res/conv1")
    side = net.conv(reflected(tf.nn.relu(net.instance_norm(side)), 1), 16, padding="VALID", name="res/conv2")
    x = x + net.instance_norm(side)
    x = v1.image.resize_nearest_neighbor(x, shape[1:3])
    x = net.conv(reflected(x, 1), 3, padding="VALID", name="conv3")
    return tf.add(tf.tanh(x) * 150.0, 127.5, name="output")


@structure("Style transfer with transposed convolutions and a fused instance norm of a fixed size")
def style_transposed(net: Net) -> Tensor:
    x = net.placeholder("img_placeholder", [1, 20, 20, 3], [1, 20, 20, 3], high=255)
    x = tf.nn.relu(net.instance_norm(net.conv(x, 8, stride=2, name="conv1")))
    x = tf.nn.relu(net.instance_norm(net.transposed(x, 8, [1, 20, 20, 8], kernel=3)))
    return tf.add(tf.tanh(net.conv(x, 3, kernel=9, name="conv_t3")) * 150, 255.0 / 2, name="preds")


@structure("Style of many: scale and shift of the instance norm chosen by a number")
def style_of_many(net: Net) -> Tensor:
    x = net.placeholder("contentImage", [1, 16, 16, 3], [1, 16, 16, 3])
    number = net.placeholder("style_num", [3], [3])
    x = net.conv(x, 8, name="conv1")
    mean, variance = tf.nn.moments(x, [1, 2], keepdims=True)
    scale = tf.reduce_sum(net.weights((3, 8), "gammas") * tf.expand_dims(number, 1), 0)
    shift = tf.reduce_sum(net.weights((3, 8), "betas") * tf.expand_dims(number, 1), 0)
    return tf.nn.relu(tf.nn.batch_normalization(x, mean, variance, shift, scale, 1e-5), name="styled")


@structure("CycleGAN's generator: mirrored borders, instance norm, residuals")
def cyclegan(net: Net) -> Tensor:
    x = net.placeholder("input_image", [1, 20, 20, 3], [1, 20, 20, 3], low=-1)
    x = tf.nn.relu(
        net.instance_norm(net.conv(reflected(x, 3), 8, kernel=7, padding="VALID", name="c7s1"), 1e-5)
    )
    x = tf.nn.relu(net.instance_norm(net.conv(x, 8, stride=2, name="d64"), 1e-5))
    side = net.instance_norm(net.conv(reflected(x, 1), 8, padding="VALID", name="R128/layer1"), 1e-5)
    x = x + side
    x = tf.nn.relu(net.instance_norm(net.transposed(x, 8, [1, 20, 20, 8], kernel=3, name="u32"), 1e-5))
    return tf.tanh(net.conv(reflected(x, 3), 3, kernel=7, padding="VALID", name="out"), name="out/Tanh")


@structure(
    "pix2pix: leaky ReLU by parts, batch norm of the batch's own moments, dropout kept at inference off"
)
def pix2pix(net: Net) -> Tensor:
    x = net.placeholder("input", [1, 16, 16, 3], [1, 16, 16, 3], low=-1)

    def lrelu(y: Tensor, a: float = 0.2) -> Tensor:
        with v1.name_scope("lrelu"):
            y = tf.identity(y)
            return (0.5 * (1 + a)) * y + (0.5 * (1 - a)) * tf.abs(y)

    def norm(y: Tensor) -> Tensor:
        return v1.nn.fused_batch_norm(y, net.positive(8, "scale"), net.bias(8, "offset"), epsilon=1e-5)[0]

    first = net.conv(x, 8, kernel=4, stride=2, name="encoder_1")
    second = net.conv(lrelu(first), 8, kernel=4, stride=2, norm=norm, name="encoder_2")
    up = norm(net.transposed(tf.nn.relu(second), 8, [1, 8, 8, 8], kernel=4, name="decoder_2"))
    up = net.transposed(tf.nn.relu(tf.concat([up, first], 3)), 3, [1, 16, 16, 3], kernel=4, name="decoder_1")
    return tf.tanh(up, name="generator/output")


@structure("DCGAN's generator: a vector to a picture, batch of any size")
def dcgan(net: Net) -> Tensor:
    z = net.placeholder("z", [None, 16], [2, 16], low=-1)
    batch = tf.shape(z)[0]
    x = tf.reshape(net.dense(z, 4 * 4 * 8, name="g_h0_lin"), [-1, 4, 4, 8])
    x = tf.nn.relu(net.batch_norm(x, 1e-5))
    x = net.transposed(x, 8, tf.stack([batch, 8, 8, 8]), kernel=5, name="g_h1")
    x = tf.nn.relu(net.batch_norm(tf.reshape(x, [-1, 8, 8, 8]), 1e-5))
    return tf.tanh(net.transposed(x, 3, tf.stack([batch, 16, 16, 3]), kernel=5, name="g_h2"), name="out")


@structure("A dense autoencoder")
def autoencoder(net: Net) -> Tensor:
    x = net.placeholder("X", [None, 64], [3, 64])
    for index, size in enumerate((32, 8, 32)):
        x = tf.sigmoid(
            tf.add(tf.matmul(x, net.weights((x.shape[-1], size))), net.bias(size)), f"layer_{index}"
        )
    return tf.sigmoid(tf.add(tf.matmul(x, net.weights((32, 64))), net.bias(64)), name="decoded")


@structure("A convolutional autoencoder: pooling and nearest enlargement by Keras")
def conv_autoencoder(net: Net) -> Tensor:
    x = net.placeholder("input_1", [None, 16, 16, 1], [1, 16, 16, 1])
    x = tf.nn.max_pool2d(net.conv(x, 8, activation=tf.nn.relu, name="conv2d_1"), 2, 2, "SAME")
    x = tf.nn.max_pool2d(net.conv(x, 4, activation=tf.nn.relu, name="conv2d_2"), 2, 2, "SAME")
    for index, size in enumerate((4, 8)):
        x = net.conv(x, size, activation=tf.nn.relu, name=f"conv2d_{index + 3}")
        x = v1.image.resize_nearest_neighbor(x, tf.shape(x)[1:3] * np.array([2, 2], np.int32))
    return tf.sigmoid(net.conv(x, 1, name="conv2d_5"), name="conv2d_5/Sigmoid")


@structure("A variational autoencoder: the mean is the output, the sampling is left in", whole=True)
def variational(net: Net) -> Tensor:
    x = net.placeholder("input_1", [None, 32], [1, 32])
    hidden = net.dense(x, 16, activation=tf.nn.relu, name="dense_1")
    mean, deviation = net.dense(hidden, 4, name="z_mean"), net.dense(hidden, 4, name="z_log_var")
    sample = mean + tf.exp(deviation / 2.0) * v1.random_normal(tf.shape(mean))
    net.dense(sample, 32, activation=tf.sigmoid, name="decoder")
    return mean


@structure("Flow of two pictures: joined channels, warped by a grid, leaky ReLU")
def two_frames(net: Net) -> Tensor:
    one = net.placeholder("frame_1", [1, 16, 16, 3], [1, 16, 16, 3])
    two = net.placeholder("frame_2", [1, 16, 16, 3], [1, 16, 16, 3])
    x = net.conv(tf.concat([one, two], 3), 8, stride=2, activation=tf.nn.leaky_relu, name="conv1")
    flow = net.conv(x, 2, name="predict_flow") * 20.0
    return v1.image.resize_bilinear(flow, [16, 16], name="flow")


@structure("Depth of a picture: ELU, nearest enlargement by repetition, sigmoid disparities")
def monodepth(net: Net) -> list[Tensor]:
    x = net.placeholder("left", [1, 16, 32, 3], [1, 16, 32, 3])
    x = net.conv(
        tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 8, stride=2, padding="VALID", activation=tf.nn.elu
    )
    small = 0.3 * tf.sigmoid(net.conv(x, 2, name="disp2"))
    up = tf.reshape(tf.tile(tf.reshape(x, [1, 8, 1, 16, 1, 8]), [1, 1, 2, 1, 2, 1]), [1, 16, 32, 8])
    return [tf.multiply(0.3, tf.sigmoid(net.conv(up, 2, name="disp1")), name="disparity"), small]


@structure("Poses: heat maps and offsets from one backbone, refined in stages (OpenPose, PoseNet)")
def poses(net: Net) -> list[Tensor]:
    x = net.placeholder("image", [None, None, None, 3], [1, 24, 32, 3], high=255)
    x = net.conv(x / 255.0 - 0.5, 8, stride=2, activation=tf.nn.relu, name="conv1")
    x = tf.nn.max_pool2d(x, 2, 2, "VALID")
    fields, heat = net.conv(x, 6, name="Mconv_L1"), net.conv(x, 4, name="Mconv_L2")
    joined = tf.concat([fields, heat, x], 3, name="concat_stage7")
    fields, heat = net.conv(joined, 6, name="M2_L1"), net.conv(joined, 4, name="M2_L2")
    return [tf.sigmoid(heat, name="heatmaps"), fields]
