"""Small networks that detect nothing, frozen as TensorFlow 1 left them, with weights from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from surgeon.formats.graphdef import to_bytes
from surgeon.graph import DType, Graph, Node, Ref, Shape, TensorValue
from surgeon.zoo.weights import SeededWeights

_SAME = {"padding": b"SAME", "data_format": b"NHWC"}


class NetworkWriter:
    """Collects nodes by name; what an operation reads are tensors' names."""

    def __init__(self, seed: int) -> None:
        self.nodes: list[Node] = []
        self.weights = SeededWeights(seed)

    def placeholder(self, name: str, dtype: DType, *dims: int | None) -> str:
        return self.node(name, "Placeholder", dtype=dtype, shape=Shape(dims))

    def node(self, name: str, op: str, *inputs: str, control: Sequence[str] = (), **attrs: Any) -> str:
        """Write a node and return its name; other than here, types are attributes."""
        self.nodes.append(Node(name, op, tuple(map(Ref.parse, inputs)), tuple(control), attrs))
        return name

    def op(self, name: str, op: str, *inputs: str, **attrs: Any) -> str:
        """Write an operation on float32."""
        return self.node(name, op, *inputs, **{"T": DType.FLOAT32, **attrs})

    def const(self, name: str, value: Any, *, control: Sequence[str] = ()) -> str:
        """Write a constant; Python's floats are float32, its integers int32."""
        array = np.asarray(value)
        dtype = {"f": DType.FLOAT32, "i": DType.INT32}[array.dtype.kind]
        value = TensorValue.of(array.astype(dtype.numpy()), dtype)
        return self.node(name, "Const", control=control, dtype=dtype, value=value)

    def variable(self, name: str, *shape: int) -> str:
        """Write a frozen variable, which an Identity reads."""
        self.const(name, self.weights(name, shape))
        return self.op(f"{name}/read", "Identity", name)

    def conv(self, scope: str, source: str, kernel: Sequence[int], stride: int = 1) -> str:
        weights = self.variable(f"{scope}/weights", *kernel)
        return self.op(f"{scope}/Conv2D", "Conv2D", source, weights, strides=(1, stride, stride, 1), **_SAME)

    def biased_conv(self, scope: str, source: str, kernel: Sequence[int], activation: str = "Relu") -> str:
        convolved = self.conv(scope, source, kernel)
        biases = self.variable(f"{scope}/biases", kernel[3])
        biased = self.op(f"{scope}/BiasAdd", "BiasAdd", convolved, biases, data_format=b"NHWC")
        return self.op(f"{scope}/{activation}", activation, biased) if activation else biased

    def dense(self, scope: str, source: str, rows: int, columns: int) -> str:
        weights = self.variable(f"{scope}/weights", rows, columns)
        product = self.op(f"{scope}/MatMul", "MatMul", source, weights, transpose_a=False, transpose_b=False)
        biases = self.variable(f"{scope}/biases", columns)
        return self.op(f"{scope}/BiasAdd", "BiasAdd", product, biases, data_format=b"NHWC")

    def pool(self, name: str, op: str, source: str, size: int, padding: bytes = b"VALID") -> str:
        square = (1, size, size, 1)
        attrs = {"ksize": square, "strides": square, "padding": padding, "data_format": b"NHWC"}
        return self.op(name, op, source, **attrs)

    def shape(self, name: str, source: str, dtype: DType = DType.FLOAT32) -> str:
        return self.node(name, "Shape", source, T=dtype, out_type=DType.INT32)

    def size(self, name: str, shape: str, index: int) -> str:
        """Write the slice of one size out of a shape."""
        bounds = [
            self.const(f"{name}/{part}", [value])
            for part, value in (("stack", index), ("stack_1", index + 1), ("stack_2", 1))
        ]
        masks: dict[str, Any] = dict.fromkeys(("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask"), 0)
        types = {"T": DType.INT32, "Index": DType.INT32}
        return self.node(name, "StridedSlice", shape, *bounds, **types, **masks, shrink_axis_mask=1)

    def serialized(self) -> bytes:
        return to_bytes(Graph(self.nodes))


def build_mobilenet(seed: int = 0) -> bytes:
    """Return a serialized frozen GraphDef of a MobileNet v1 of a few layers: a classifier of 5 classes.

    Its input is ``input``, float32[N, 32, 32, 3], its output ``MobilenetV1/Predictions/Reshape_1``,
    float32[N, 5].
    """
    g = NetworkWriter(seed)
    root = "MobilenetV1"
    node = g.placeholder("input", DType.FLOAT32, None, 32, 32, 3)
    scope = f"{root}/Conv2d_0"
    node = _batch_norm_relu6(g, scope, g.conv(scope, node, (3, 3, 3, 8), 2), 8)
    channels = 8
    for number, (depth, stride) in enumerate(((16, 1), (24, 2), (32, 2)), 1):
        scope = f"{root}/Conv2d_{number}_depthwise"
        weights = g.variable(f"{scope}/depthwise_weights", 3, 3, channels, 1)
        strides = (1, stride, stride, 1)
        node = g.op(f"{scope}/depthwise", "DepthwiseConv2dNative", node, weights, strides=strides, **_SAME)
        node = _batch_norm_relu6(g, scope, node, channels)
        scope = f"{root}/Conv2d_{number}_pointwise"
        node = _batch_norm_relu6(g, scope, g.conv(scope, node, (1, 1, channels, depth)), depth)
        channels = depth
    node = g.pool(f"{root}/Logits/AvgPool_1a", "AvgPool", node, 4)
    node = g.op(f"{root}/Logits/Dropout_1b/Identity", "Identity", node)
    node = g.biased_conv(f"{root}/Logits/Conv2d_1c_1x1", node, (1, 1, channels, 5), "")
    node = g.op(f"{root}/Logits/SpatialSqueeze", "Squeeze", node, squeeze_dims=(1, 2))
    classes = g.const(f"{root}/Predictions/Reshape/shape", [-1, 5])
    node = g.op(f"{root}/Predictions/Reshape", "Reshape", node, classes, Tshape=DType.INT32)
    node = g.op(f"{root}/Predictions/Softmax", "Softmax", node)
    sizes = g.shape(f"{root}/Predictions/Shape", f"{root}/Logits/SpatialSqueeze")
    g.op(f"{root}/Predictions/Reshape_1", "Reshape", node, sizes, Tshape=DType.INT32)
    return g.serialized()


def _batch_norm_relu6(g: NetworkWriter, scope: str, source: str, channels: int) -> str:
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    statistics = [g.variable(f"{scope}/BatchNorm/{name}", channels) for name in names]
    node = g.op(
        f"{scope}/BatchNorm/FusedBatchNorm",
        "FusedBatchNorm",
        source,
        *statistics,
        epsilon=0.001,
        is_training=False,
        data_format=b"NHWC",
    )
    return g.op(f"{scope}/Relu6", "Relu6", node)


def build_facenet(seed: int = 0) -> bytes:
    """Return a serialized frozen GraphDef of a face embedding that still has its switch for training.

    Its inputs are ``input``, float32[N, 40, 40, 3], and ``phase_train``, bool[], which chooses the statistics
    of batch normalization, and dropout. Its output is ``embeddings``, float32[N, 16], of length 1.
    """
    g = NetworkWriter(seed)
    root = "InceptionResnetV1"
    node = g.placeholder("input", DType.FLOAT32, None, 40, 40, 3)
    phase = g.placeholder("phase_train", DType.BOOL)
    for number, (inner, outer) in enumerate(((3, 8), (8, 16)), 1):
        scope = f"{root}/Conv2d_{number}a_3x3"
        node = _switched_batch_norm(g, scope, g.conv(scope, node, (3, 3, inner, outer), 2), phase, outer)
        node = g.op(f"{scope}/Relu", "Relu", node)
    node = g.pool(f"{root}/Logits/AvgPool_1a_8x8", "AvgPool", node, 10)
    batch = g.size(f"{root}/Logits/Flatten/size", g.shape(f"{root}/Logits/Flatten/Shape", node), 0)
    rest = g.const(f"{root}/Logits/Flatten/Reshape/shape/1", -1)
    target = g.node(f"{root}/Logits/Flatten/Reshape/shape", "Pack", batch, rest, T=DType.INT32, N=2, axis=0)
    node = g.op(f"{root}/Logits/Flatten/Reshape", "Reshape", node, target, Tshape=DType.INT32)
    node = _dropout_in_training(g, f"{root}/Logits/Dropout", node, phase)
    node = g.dense(f"{root}/Bottleneck", node, 16, 16)
    square = g.op("embeddings/Square", "Square", node)
    axis = g.const("embeddings/Sum/reduction_indices", [1])
    total = g.op("embeddings/Sum", "Sum", square, axis, Tidx=DType.INT32, keep_dims=True)
    bounded = g.op("embeddings/Maximum", "Maximum", total, g.const("embeddings/Maximum/y", 1e-10))
    g.op("embeddings", "Mul", node, g.op("embeddings/Rsqrt", "Rsqrt", bounded))
    return g.serialized()


def _switched_batch_norm(g: NetworkWriter, scope: str, source: str, phase: str, channels: int) -> str:
    """Write batch normalization with the statistics of the batch in training, and the moving ones after."""
    scope = f"{scope}/BatchNorm"
    axes = g.const(f"{scope}/moments/mean/reduction_indices", [0, 1, 2])
    reduced = {"Tidx": DType.INT32, "keep_dims": False}
    mean = g.op(f"{scope}/moments/mean", "Mean", source, axes, **reduced)
    squared = g.op(f"{scope}/moments/SquaredDifference", "SquaredDifference", source, mean)
    variance = g.op(f"{scope}/moments/variance", "Mean", squared, axes, **reduced)
    chosen = []
    for name, moments in (("moving_mean", mean), ("moving_variance", variance)):
        moving = g.variable(f"{scope}/{name}", channels)
        after = g.op(f"{scope}/cond/{name}/Switch", "Switch", moving, phase)
        during = g.op(f"{scope}/cond/{name}/Switch_1", "Switch", moments, phase)
        chosen.append(g.op(f"{scope}/cond/{name}/Merge", "Merge", after, f"{during}:1", N=2))
    epsilon = g.const(f"{scope}/batchnorm/add/y", 0.001)
    root = g.op(
        f"{scope}/batchnorm/Rsqrt", "Rsqrt", g.op(f"{scope}/batchnorm/add", "Add", chosen[1], epsilon)
    )
    scaled = g.op(f"{scope}/batchnorm/mul", "Mul", source, root)
    shift = g.op(f"{scope}/batchnorm/mul_1", "Mul", chosen[0], root)
    offset = g.op(f"{scope}/batchnorm/sub", "Sub", g.variable(f"{scope}/beta", channels), shift)
    return g.op(f"{scope}/batchnorm/add_1", "Add", scaled, offset)


def _dropout_in_training(g: NetworkWriter, scope: str, source: str, phase: str) -> str:
    """Write a dropout that only training takes."""
    switch = g.op(f"{scope}/cond/Switch", "Switch", source, phase)
    on = g.node(f"{scope}/cond/switch_t", "Identity", f"{switch}:1", T=DType.FLOAT32)
    keep = g.const(f"{scope}/cond/dropout/keep_prob", 0.8, control=[on])
    shape = g.shape(f"{scope}/cond/dropout/Shape", on)
    seeds: dict[str, Any] = {"seed": 0, "seed2": 0}
    noise = g.node(
        f"{scope}/cond/dropout/random_uniform/RandomUniform",
        "RandomUniform",
        shape,
        T=DType.INT32,
        dtype=DType.FLOAT32,
        **seeds,
    )
    kept = g.op(f"{scope}/cond/dropout/Floor", "Floor", g.op(f"{scope}/cond/dropout/add", "Add", keep, noise))
    scaled = g.op(f"{scope}/cond/dropout/div", "RealDiv", on, keep)
    dropped = g.op(f"{scope}/cond/dropout/mul", "Mul", scaled, kept)
    off = g.op(f"{scope}/cond/Identity", "Identity", switch)
    return g.op(f"{scope}/cond/Merge", "Merge", off, dropped, N=2)


def build_unet(seed: int = 0) -> bytes:
    """Return a serialized frozen GraphDef of a U-Net of two levels, with a class for each pixel at its end.

    Its input is ``input_1``, float32[N, 32, 32, 3]. ``probabilities``, float32[N, 32, 32, 3], are those of 3
    classes; its output ``classes``, int64[N, 32, 32], is the likeliest.
    """
    g = NetworkWriter(seed)
    node = g.placeholder("input_1", DType.FLOAT32, None, 32, 32, 3)
    fine = g.biased_conv("conv2d_1", node, (3, 3, 3, 8))
    coarse = g.pool("max_pooling2d/MaxPool", "MaxPool", fine, 2)
    coarse = g.biased_conv("conv2d_2", coarse, (3, 3, 8, 16))
    scope = "conv2d_transpose"
    batch = g.size(f"{scope}/strided_slice", g.shape(f"{scope}/Shape", coarse), 0)
    sizes = [g.const(f"{scope}/stack/{i}", size) for i, size in enumerate((32, 32, 8), 1)]
    shape = g.node(f"{scope}/stack", "Pack", batch, *sizes, T=DType.INT32, N=4, axis=0)
    kernel = g.variable(f"{scope}/weights", 2, 2, 8, 16)
    larger = g.op(
        f"{scope}/conv2d_transpose",
        "Conv2DBackpropInput",
        shape,
        kernel,
        coarse,
        strides=(1, 2, 2, 1),
        **_SAME,
    )
    axis = g.const("concatenate/concat/axis", 3)
    joined = g.op("concatenate/concat", "ConcatV2", larger, fine, axis, N=2, Tidx=DType.INT32)
    node = g.biased_conv("conv2d_3", joined, (3, 3, 16, 8))
    node = g.biased_conv("conv2d_4", node, (1, 1, 8, 3), "")
    probabilities = g.op("probabilities", "Softmax", node)
    axis = g.const("classes/dimension", -1)
    g.op("classes", "ArgMax", probabilities, axis, Tidx=DType.INT32, output_type=DType.INT64)
    return g.serialized()


def build_lstm_tagger(seed: int = 0) -> bytes:
    """Return a serialized frozen GraphDef of a tagger of words, with the loop of ``tf.nn.dynamic_rnn``.

    Its input is ``word_ids``, int32[1, 8], of 20 words, its output ``tags``, float32[1, 8, 4]: the
    probabilities of 4 tags of each word.
    """
    words, length, width, units, tags = 20, 8, 6, 5, 4
    g = NetworkWriter(seed)
    ids = g.placeholder("word_ids", DType.INT32, 1, length)
    table = g.variable("embeddings/kernel", words, width)
    axis = g.const("embedding_lookup/axis", 0)
    types = {"Tparams": DType.FLOAT32, "Tindices": DType.INT32, "Taxis": DType.INT32}
    vectors = g.node("embedding_lookup", "GatherV2", table, ids, axis, **types, batch_dims=0)
    order = g.const("rnn/concat", [1, 0, 2])
    vectors = g.op("rnn/transpose", "Transpose", vectors, order, Tperm=DType.INT32)
    states = _lstm(g, vectors, length, width, units)
    node = g.op("rnn/transpose_1", "Transpose", states, order, Tperm=DType.INT32)
    flat = g.const("Reshape/shape", [-1, units])
    node = g.op("Reshape", "Reshape", node, flat, Tshape=DType.INT32)
    node = g.op("scores", "Softmax", g.dense("proj", node, units, tags))
    g.op("tags", "Reshape", node, g.const("tags/shape", [-1, length, tags]), Tshape=DType.INT32)
    return g.serialized()


def _lstm(g: NetworkWriter, vectors: str, length: int, width: int, units: int) -> str:
    """Write the loop over float32[T, 1, width], and return the states, float32[T, 1, units]."""
    count = g.const("rnn/strided_slice", length)
    array: dict[str, Any] = {"dtype": DType.FLOAT32, "dynamic_size": False, "clear_after_read": True}
    array["identical_element_shapes"] = True
    written = g.node(
        "rnn/TensorArray",
        "TensorArrayV3",
        count,
        **array,
        element_shape=Shape((1, units)),
        tensor_array_name=b"rnn/dynamic_rnn/output_0",
    )
    read = g.node(
        "rnn/TensorArray_1",
        "TensorArrayV3",
        count,
        **array,
        element_shape=Shape((1, width)),
        tensor_array_name=b"rnn/dynamic_rnn/input_0",
    )
    steps = _range(g, "rnn/TensorArrayUnstack/range", count)
    filled = g.op(
        "rnn/TensorArrayUnstack/TensorArrayScatter/TensorArrayScatterV3",
        "TensorArrayScatterV3",
        read,
        steps,
        vectors,
        f"{read}:1",
    )
    zeros = [g.const(f"rnn/LSTMCellZeroState/zeros{end}", np.zeros((1, units))) for end in ("", "_1")]
    kernel = g.variable("rnn/lstm_cell/kernel", width + units, 4 * units)
    bias = g.variable("rnn/lstm_cell/bias", 4 * units)
    counters = [g.const("rnn/while/iteration_counter", 0), g.const("rnn/time", 0)]
    values = [*counters, f"{written}:1", *zeros]
    kinds = [DType.INT32] * 2 + [DType.FLOAT32] * 3
    ends = ["", "_1", "_2", "_3", "_4"]
    for end, value, kind in zip(ends, values, kinds, strict=True):
        _enter(g, f"rnn/while/Enter{end}", value, kind, is_constant=False)
    for end, kind in zip(ends, kinds, strict=True):
        g.node(
            f"rnn/while/Merge{end}",
            "Merge",
            f"rnn/while/Enter{end}",
            f"rnn/while/NextIteration{end}",
            T=kind,
            N=2,
        )
    for end in ends[:2]:
        limit = _enter(g, f"rnn/while/Less{end}/Enter", count, DType.INT32)
        g.node(f"rnn/while/Less{end}", "Less", f"rnn/while/Merge{end}", limit, T=DType.INT32)
    both = g.node("rnn/while/LogicalAnd", "LogicalAnd", "rnn/while/Less", "rnn/while/Less_1")
    goes_on = g.node("rnn/while/LoopCond", "LoopCond", both)
    for end, kind in zip(ends, kinds, strict=True):
        g.node(f"rnn/while/Switch{end}", "Switch", f"rnn/while/Merge{end}", goes_on, T=kind)
        g.node(f"rnn/while/Identity{end}", "Identity", f"rnn/while/Switch{end}:1", T=kind)
    inside = ["rnn/while/Identity"]
    one = g.const("rnn/while/add/y", 1, control=inside)
    following = [g.node("rnn/while/add", "Add", "rnn/while/Identity", one, T=DType.INT32)]
    handle = _enter(g, "rnn/while/TensorArrayReadV3/Enter", read, DType.RESOURCE)
    flow = _enter(g, "rnn/while/TensorArrayReadV3/Enter_1", filled, DType.FLOAT32)
    vector = g.node(
        "rnn/while/TensorArrayReadV3",
        "TensorArrayReadV3",
        handle,
        "rnn/while/Identity_1",
        flow,
        dtype=DType.FLOAT32,
    )
    cell, state = _lstm_cell(g, vector, kernel, bias)
    handle = _enter(g, "rnn/while/TensorArrayWrite/TensorArrayWriteV3/Enter", written, DType.RESOURCE)
    stored = g.op(
        "rnn/while/TensorArrayWrite/TensorArrayWriteV3",
        "TensorArrayWriteV3",
        handle,
        "rnn/while/Identity_1",
        state,
        "rnn/while/Identity_2",
    )
    one = g.const("rnn/while/add_1/y", 1, control=inside)
    following.append(g.node("rnn/while/add_1", "Add", "rnn/while/Identity_1", one, T=DType.INT32))
    following += [stored, cell, state]
    for end, value, kind in zip(ends, following, kinds, strict=True):
        g.node(f"rnn/while/NextIteration{end}", "NextIteration", value, T=kind)
    done = g.op("rnn/while/Exit_2", "Exit", "rnn/while/Switch_2")
    steps = _range(g, "rnn/TensorArrayStack/range", count)
    return g.node(
        "rnn/TensorArrayStack/TensorArrayGatherV3",
        "TensorArrayGatherV3",
        written,
        steps,
        done,
        dtype=DType.FLOAT32,
        element_shape=Shape((1, units)),
    )


def _lstm_cell(g: NetworkWriter, vector: str, kernel: str, bias: str) -> tuple[str, str]:
    """Write one round of the loop's body, and return what the cell and the state become."""
    scope, inside = "rnn/while/lstm_cell", ["rnn/while/Identity"]
    axis = g.const(f"{scope}/concat/axis", 1, control=inside)
    joined = g.op(f"{scope}/concat", "ConcatV2", vector, "rnn/while/Identity_4", axis, N=2, Tidx=DType.INT32)
    kernel = _enter(g, f"{scope}/MatMul/Enter", kernel, DType.FLOAT32)
    product = g.op(f"{scope}/MatMul", "MatMul", joined, kernel, transpose_a=False, transpose_b=False)
    bias = _enter(g, f"{scope}/BiasAdd/Enter", bias, DType.FLOAT32)
    biased = g.op(f"{scope}/BiasAdd", "BiasAdd", product, bias, data_format=b"NHWC")
    axis = g.const(f"{scope}/split/split_dim", 1, control=inside)
    parts = g.op(f"{scope}/split", "Split", axis, biased, num_split=4)
    forget = g.const(f"{scope}/add/y", 1.0, control=inside)
    kept = g.op(f"{scope}/Sigmoid", "Sigmoid", g.op(f"{scope}/add", "Add", f"{parts}:2", forget))
    old = g.op(f"{scope}/mul", "Mul", kept, "rnn/while/Identity_3")
    opened = g.op(f"{scope}/Sigmoid_1", "Sigmoid", parts)
    new = g.op(f"{scope}/mul_1", "Mul", opened, g.op(f"{scope}/Tanh", "Tanh", f"{parts}:1"))
    cell = g.op(f"{scope}/add_1", "Add", old, new)
    shown = g.op(f"{scope}/Sigmoid_2", "Sigmoid", f"{parts}:3")
    state = g.op(f"{scope}/mul_2", "Mul", shown, g.op(f"{scope}/Tanh_1", "Tanh", cell))
    return cell, state


def _enter(g: NetworkWriter, name: str, source: str, kind: DType, *, is_constant: bool = True) -> str:
    frame: dict[str, Any] = {"frame_name": b"rnn/while/while_context", "parallel_iterations": 32}
    return g.node(name, "Enter", source, T=kind, is_constant=is_constant, **frame)


def _range(g: NetworkWriter, name: str, limit: str) -> str:
    start, delta = g.const(f"{name}/start", 0), g.const(f"{name}/delta", 1)
    return g.node(name, "Range", start, limit, delta, Tidx=DType.INT32)
