"""Layers with channels first, which TensorFlow computes on a GPU alone, run on a CPU with the same numbers."""

from __future__ import annotations

import numpy as np
import pytest

from surgeon.graph import DType, Graph, Node, Ref, Shape, TensorValue
from surgeon.runners.channels_last import with_channels_last
from surgeon.runners.tensorflow import TensorFlowRunner

FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)


def _graph(layout: str) -> Graph:
    """Return a network whose layers have this layout, of float32[1, 3, 9, 12] or [1, 9, 12, 3]."""
    random = np.random.default_rng(5)
    first = layout == "NCHW"
    nodes: list[Node] = []

    def axes(height: int, width: int) -> tuple[int, ...]:
        return (1, 1, height, width) if first else (1, height, width, 1)

    def const(name: str, value: object, dtype: DType = DType.FLOAT32) -> Ref:
        attrs = {"dtype": dtype, "value": TensorValue.of(np.asarray(value, dtype.numpy()), dtype)}
        nodes.append(Node(name, "Const", attrs=attrs))
        return Ref(name)

    def layer(name: str, op: str, *inputs: Ref, **attrs: object) -> Ref:
        own = {"T": DType.FLOAT32, "data_format": layout.encode(), **attrs}
        nodes.append(Node(name, op, inputs, attrs=own))  # type: ignore[arg-type]
        return Ref(name)

    shape = (1, 3, 9, 12) if first else (1, 9, 12, 3)
    nodes.append(Node("x", "Placeholder", attrs={"dtype": DType.FLOAT32, "shape": Shape(shape)}))
    pads = (0, 0, 0, 0, 1, 2, 0, 1) if first else (0, 0, 1, 2, 0, 1, 0, 0)
    at = layer(
        "conv",
        "Conv2D",
        Ref("x"),
        const("kernel", random.normal(size=(3, 2, 3, 4))),
        strides=axes(1, 2),
        dilations=axes(2, 1),
        padding=b"EXPLICIT",
        explicit_paddings=pads,
    )
    ones = [const(f"norm/{part}", random.uniform(0.5, 1.5, 4)) for part in "abcd"]
    at = layer("norm", "FusedBatchNormV3", at, *ones, U=DType.FLOAT32, epsilon=0.01, is_training=False)
    at = layer("max", "MaxPool", at, ksize=axes(3, 1), strides=axes(1, 2), padding=b"SAME")
    at = layer("mean", "AvgPool", at, ksize=axes(1, 2), strides=axes(1, 1), padding=b"VALID")
    deep = const("deep/kernel", random.normal(size=(2, 2, 4, 1)))
    at = layer("deep", "DepthwiseConv2dNative", at, deep, strides=axes(1, 1), padding=b"SAME")
    size = (1, 2, 16, 4) if first else (1, 16, 4, 2)
    back = (const("size", size, DType.INT32), const("back/kernel", random.normal(size=(2, 2, 2, 4))))
    layer("back", "Conv2DBackpropInput", *back, at, strides=axes(2, 2), padding=b"VALID")
    return Graph(nodes)


def test_layers_with_channels_first_give_the_same() -> None:
    pytest.importorskip("tensorflow", reason="it computes both")
    picture = np.random.default_rng(6).normal(size=(1, 9, 12, 3)).astype(np.float32)
    names = ("conv", "norm", "max", "mean", "deep", "back")
    last = TensorFlowRunner(_graph("NHWC"), list(map(Ref, names))).run({"x": picture})
    first = TensorFlowRunner(_graph("NCHW"), list(map(Ref, names))).run({"x": picture.transpose(FIRST)})
    for name in names:
        np.testing.assert_allclose(first[name].transpose(LAST), last[name], rtol=1e-5, atol=1e-5)


def test_graphs_with_channels_last_stay_as_they_are() -> None:
    graph = _graph("NHWC")
    assert with_channels_last(graph) is graph


def test_a_layer_of_which_several_outputs_are_read_stays_as_it_is() -> None:
    graph = _graph("NCHW")
    reader = Node("mean_of_norm", "Identity", (Ref("norm", 1),), attrs={"T": DType.FLOAT32})
    changed = with_channels_last(graph.replace([*graph, reader]))
    assert changed["norm"] == graph["norm"]
    assert changed["conv"].op == "Transpose"
