"""Layers as TensorFlow 1 leaves them in frozen graphs, with small weights from a seed."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2

v1 = tf.compat.v1

Tensor: TypeAlias = Any
Build: TypeAlias = "Callable[[Net], Tensor | Sequence[Tensor] | None]"

STRUCTURES: dict[str, Structure] = {}
"""All structures by name, in the order in which they are defined."""

WORDS = ("the", "cat", "sat", "on", "a", "mat", "and", "slept")
"""What inputs of texts are drawn from."""


@dataclass(frozen=True)
class Drawn:
    """An input that numbers are drawn for: floats from ``low`` to ``high``, or whole numbers, both included.

    ``tensor`` may be any tensor of the graph: where a pipeline feeds the network, it is what the pipeline
    yields.
    """

    tensor: str
    shape: tuple[int, ...]
    dtype: str
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True)
class Structure:
    """A structure: what it stands for and the function that builds it."""

    name: str
    summary: str
    build: Build
    old: bool
    whole: bool


@dataclass
class Net:
    """What a structure is built with: weights, layers, and the inputs declared on the way.

    ``tolerance`` is how far a right result may be from the original, relative to its largest number.
    """

    random: np.random.RandomState
    inputs: list[Drawn] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)
    tolerance: float = 1e-4

    def placeholder(
        self,
        name: str,
        declared: Sequence[int | None] | None,
        shape: Sequence[int],
        dtype: Any = tf.float32,
        low: float = 0.0,
        high: float = 1.0,
    ) -> Tensor:
        """Return a placeholder of the ``declared`` shape, for which numbers of ``shape`` are drawn."""
        tensor = v1.placeholder(dtype, declared, name)
        self.drawn(tensor, shape, low, high)
        return tensor

    def drawn(self, tensor: Tensor, shape: Sequence[int], low: float = 0.0, high: float = 1.0) -> None:
        """Declare that numbers of a shape are drawn for a tensor."""
        self.inputs.append(Drawn(tensor.name, tuple(shape), tensor.dtype.name, low, high))

    def fixed(self, name: str, value: Any, dtype: Any, default: Any = None) -> Tensor:
        """Return a scalar placeholder that has ``value`` at inference, with a ``default`` if there is one."""
        self.constants[name] = value
        if default is None:
            return v1.placeholder(dtype, [], name)
        return v1.placeholder_with_default(tf.constant(default, dtype), [], name)

    def weights(self, shape: Sequence[int], name: str = "weights", scale: float | None = None) -> Tensor:
        """Return a frozen variable: a constant and the Identity that reads it."""
        fan = int(np.prod(shape[:-1])) or 1
        values = self.random.randn(*shape) * (np.sqrt(2.0 / fan) if scale is None else scale)
        return self.variable(values.astype(np.float32), name)

    def variable(self, values: Any, name: str) -> Tensor:
        """Return given values as a frozen variable."""
        constant = tf.constant(values, name=name)
        return tf.identity(constant, name=f"{constant.op.name.rpartition('/')[2]}/read")

    def bias(self, size: int, name: str = "biases", around: float = 0.0) -> Tensor:
        """Return a frozen vector around a number."""
        return self.variable((around + 0.1 * self.random.randn(size)).astype(np.float32), name)

    def positive(self, size: int, name: str) -> Tensor:
        """Return a frozen vector of numbers from 0.5 to 1.5."""
        return self.variable(self.random.uniform(0.5, 1.5, size).astype(np.float32), name)

    def conv(
        self,
        x: Tensor,
        size: int,
        *,
        kernel: int | tuple[int, int] = 3,
        stride: int = 1,
        padding: str = "SAME",
        activation: Callable[[Tensor], Tensor] | None = None,
        norm: Callable[[Tensor], Tensor] | None = None,
        dilation: int = 1,
        name: str = "Conv",
    ) -> Tensor:
        """Return a convolution with its norm, else its bias, and its activation."""
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        with v1.variable_scope(name), v1.name_scope(name):
            weights = self.weights((*sides, x.shape[-1], size))
            x = tf.nn.conv2d(x, weights, stride, padding, dilations=dilation, name="Conv2D")
            x = norm(x) if norm else tf.nn.bias_add(x, self.bias(size), name="BiasAdd")
            return activation(x) if activation else x

    def depthwise(
        self,
        x: Tensor,
        *,
        kernel: int = 3,
        stride: int = 1,
        activation: Callable[[Tensor], Tensor] | None = tf.nn.relu6,
        norm: Callable[[Tensor], Tensor] | None = None,
        rate: int = 1,
        name: str = "depthwise",
    ) -> Tensor:
        """Return a depthwise convolution with its batch norm and activation."""
        with v1.name_scope(name):
            weights = self.weights((kernel, kernel, x.shape[-1], 1), "depthwise_weights", 0.3)
            strides = [1, stride, stride, 1]
            x = tf.nn.depthwise_conv2d(x, weights, strides, "SAME", dilations=[rate, rate], name="depthwise")
            x = (norm or self.batch_norm)(x)
            return activation(x) if activation else x

    def transposed(
        self, x: Tensor, size: int, shape: Any, *, kernel: int = 2, stride: int = 2, name: str = "up"
    ) -> Tensor:
        """Return a transposed convolution to ``shape``, numbers or a tensor, with its bias."""
        with v1.name_scope(name):
            weights = self.weights((kernel, kernel, size, x.shape[-1]), "kernel", 0.3)
            x = tf.nn.conv2d_transpose(x, weights, shape, stride, "SAME", name="conv2d_transpose")
            return tf.nn.bias_add(x, self.bias(size, "bias"), name="BiasAdd")

    def dense(
        self,
        x: Tensor,
        size: int,
        *,
        activation: Callable[[Tensor], Tensor] | None = None,
        name: str = "fully_connected",
    ) -> Tensor:
        """Return a fully connected layer of a matrix."""
        with v1.name_scope(name):
            x = tf.matmul(x, self.weights((x.shape[-1], size)), name="MatMul")
            x = tf.nn.bias_add(x, self.bias(size), name="BiasAdd")
            return activation(x) if activation else x

    def dense_3d(self, x: Tensor, size: int, name: str = "dense") -> Tensor:
        """Return a fully connected layer of the last axis, as Keras spells it: Tensordot by Reshape."""
        with v1.name_scope(name):
            x = tf.tensordot(x, self.weights((x.shape[-1], size), "kernel"), [[len(x.shape) - 1], [0]])
            return tf.nn.bias_add(x, self.bias(size, "bias"), name="BiasAdd")

    def batch_norm(self, x: Tensor, epsilon: float = 1e-3) -> Tensor:
        """Return a fused batch norm of inference."""
        size = x.shape[-1]
        with v1.name_scope("BatchNorm"):
            return v1.nn.fused_batch_norm(
                x,
                self.positive(size, "gamma"),
                self.bias(size, "beta"),
                self.bias(size, "moving_mean"),
                self.positive(size, "moving_variance"),
                epsilon,
                is_training=False,
            )[0]

    def batch_norm_by_parts(self, x: Tensor, epsilon: float = 1e-3) -> Tensor:
        """Return a batch norm of inference that is not fused."""
        size = x.shape[-1]
        with v1.name_scope("BatchNorm"):
            mean, variance = self.bias(size, "moving_mean"), self.positive(size, "moving_variance")
            gamma, beta = self.positive(size, "gamma"), self.bias(size, "beta")
            return tf.nn.batch_normalization(x, mean, variance, beta, gamma, epsilon)

    def batch_norm_under(self, training: Tensor) -> Callable[[Tensor], Tensor]:
        """Return a batch norm as tf.layers writes it where training is a tensor: one branch for each."""

        def norm(x: Tensor) -> Tensor:
            size = x.shape[-1]
            with v1.name_scope("batch_normalization"):
                gamma, beta = self.positive(size, "gamma"), self.bias(size, "beta")
                mean, variance = self.bias(size, "moving_mean"), self.positive(size, "moving_variance")

                def branch(is_training: bool) -> Callable[[], Any]:
                    known = {} if is_training else {"mean": mean, "variance": variance}
                    return lambda: v1.nn.fused_batch_norm(
                        x, gamma, beta, epsilon=1e-3, is_training=is_training, **known
                    )

                return v1.cond(training, branch(True), branch(False))[0]

        return norm

    def batch_norm_chosen(self, training: Tensor) -> Callable[[Tensor], Tensor]:
        """Return a batch norm as slim writes it: moments and moving averages, and a choice between them."""

        def norm(x: Tensor) -> Tensor:
            size = x.shape[-1]
            with v1.name_scope("BatchNorm"):
                moments = tf.nn.moments(x, list(range(len(x.shape) - 1)))
                moving = self.bias(size, "moving_mean"), self.positive(size, "moving_variance")
                mean, variance = v1.cond(
                    training,
                    lambda: [tf.identity(each) for each in moments],
                    lambda: [tf.identity(each) for each in moving],
                )
                return tf.nn.batch_normalization(x, mean, variance, self.bias(size, "beta"), None, 1e-3)

        return norm

    def dropout_under(self, x: Tensor, training: Tensor, rate: float = 0.2) -> Tensor:
        """Return dropout as tf.layers and slim write it: in one branch of a cond."""
        with v1.name_scope("Dropout"):
            return v1.cond(
                training, lambda: self.dropout_by_floor(x, 1.0 - rate), lambda: tf.identity(x, "Identity")
            )

    def dropout_by_floor(self, x: Tensor, keep: Any) -> Tensor:
        """Return dropout as TensorFlow 1 wrote it up to 1.12."""
        with v1.name_scope("dropout"):
            noise = v1.random_uniform(tf.shape(x), name="random_uniform") + keep
            return tf.multiply(tf.realdiv(x, keep, name="div"), tf.floor(noise, name="Floor"), name="mul")

    def dropout_by_cast(self, x: Tensor, rate: Any) -> Tensor:
        """Return dropout as TensorFlow wrote it from 1.13 on: compared, cast and multiplied."""
        with v1.name_scope("dropout"):
            kept = v1.random_uniform(tf.shape(x), name="random_uniform") >= rate
            return tf.multiply(x * (1.0 / (1.0 - rate)), tf.cast(kept, tf.float32), name="mul_1")

    def instance_norm(self, x: Tensor, epsilon: float = 1e-3) -> Tensor:
        """Return an instance norm by moments, as style transfer spells it."""
        size = x.shape[-1]
        with v1.name_scope("InstanceNorm"):
            mean, variance = tf.nn.moments(x, [1, 2], keepdims=True)
            normalized = (x - mean) / (variance + epsilon) ** 0.5
            return self.positive(size, "scale") * normalized + self.bias(size, "shift")

    def layer_norm(self, x: Tensor) -> Tensor:
        """Return a layer norm of the last axis, as tf.contrib.layers spells it."""
        size = x.shape[-1]
        with v1.name_scope("LayerNorm"):
            mean, variance = tf.nn.moments(x, [-1], keepdims=True)
            gamma, beta = self.positive(size, "gamma"), self.bias(size, "beta")
            return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-12)

    def prelu(self, x: Tensor) -> Tensor:
        """Return a PReLU spelled by Relu and Abs."""
        with v1.name_scope("PReLU"):
            alpha = self.variable(self.random.uniform(0.1, 0.4, x.shape[-1]).astype(np.float32), "alpha")
            return tf.nn.relu(x) + alpha * (x - tf.abs(x)) * 0.5

    def prelu_by_neg(self, x: Tensor) -> Tensor:
        """Return a PReLU spelled by Neg, as Keras does."""
        with v1.name_scope("p_re_lu"):
            alpha = self.variable(self.random.uniform(0.1, 0.4, x.shape[-1]).astype(np.float32), "alpha")
            return tf.nn.relu(x) + -alpha * tf.nn.relu(-x)

    def flat(self, x: Tensor) -> Tensor:
        """Return a matrix with a row for each picture, as tf.layers.flatten writes it."""
        with v1.name_scope("flatten"):
            batch = tf.shape(x)[0]
            return tf.reshape(x, tf.stack([batch, int(np.prod(x.shape[1:]))]), name="Reshape")


def structure(
    summary: str, *, name: str = "", old: bool = False, whole: bool = False
) -> Callable[[Build], Build]:
    """Register a function that builds a structure; it returns the outputs.

    ``old`` graphs have the operations of TensorFlow 1.8; ``whole`` ones keep what no output needs.
    """

    def register(build: Build) -> Build:
        key = name or build.__name__
        if key in STRUCTURES:
            raise ValueError(f"structure '{key}' is defined twice")
        STRUCTURES[key] = Structure(key, summary, build, old, whole)
        return build

    return register


@contextmanager
def control_flow(version: int) -> Iterator[None]:
    """Write branches and loops as Switch and Merge (1) or as If and While (2) meanwhile."""
    before = v1.control_flow_v2_enabled()
    (v1.enable_control_flow_v2 if version == 2 else v1.disable_control_flow_v2)()
    try:
        yield
    finally:
        (v1.enable_control_flow_v2 if before else v1.disable_control_flow_v2)()


def built(each: Structure) -> tuple[Any, dict[str, Any]]:
    """Return a structure's GraphDef, and its inputs, constants and outputs as JSON has them."""
    net = Net(np.random.RandomState(zlib.crc32(each.name.encode()) % 2**31))
    with tf.Graph().as_default() as graph, control_flow(1):
        v1.set_random_seed(1)
        outputs = each.build(net)
        outputs = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
        graph_def = graph.as_graph_def()
    names = [tensor.op.name if tensor.name.endswith(":0") else tensor.name for tensor in outputs]
    if not each.whole:
        needed = [tensor.op.name for tensor in outputs]
        graph_def = v1.graph_util.extract_sub_graph(graph_def, needed)
    if each.old:
        age(graph_def)
    kept = {node.name for node in graph_def.node}
    facts = {
        "summary": each.summary,
        "inputs": [vars(each) for each in net.inputs],
        "constants": {name: value for name, value in net.constants.items() if name in kept},
        "outputs": names,
        "tolerance": net.tolerance,
    }
    return graph_def, facts


def age(graph_def: graph_pb2.GraphDef) -> None:
    """Give a graph the operations that TensorFlow 1.8 wrote."""
    older = {
        "AddV2": ("Add", ()),
        "FusedBatchNormV3": ("FusedBatchNorm", ("U", "exponential_avg_factor")),
        "BatchMatMulV2": ("BatchMatMul", ("grad_x", "grad_y")),
    }
    for node in graph_def.node:
        for attr in ("half_pixel_centers", "explicit_paddings", "grad_a", "grad_b"):
            node.attr.pop(attr, None)
        if node.op in older:
            node.op, attrs = older[node.op]
            for attr in attrs:
                node.attr.pop(attr, None)
