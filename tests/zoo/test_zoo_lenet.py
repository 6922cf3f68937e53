"""The generated digit classifier."""

from __future__ import annotations

import numpy as np
import pytest

from surgeon.formats.graphdef.protos import GraphDef
from surgeon.zoo import build_lenet

NODES = [
    "InputLayer",
    "flatten/Shape",
    "flatten/strided_slice/stack",
    "flatten/strided_slice/stack_1",
    "flatten/strided_slice/stack_2",
    "flatten/strided_slice",
    "flatten/Reshape/shape/1",
    "flatten/Reshape/shape",
    "flatten/Reshape",
    "dense/kernel",
    "dense/bias",
    "dense/MatMul",
    "dense/BiasAdd",
    "ReLU6/Relu6",
    "OutputLayer/kernel",
    "OutputLayer/bias",
    "OutputLayer/MatMul",
    "OutputLayer/BiasAdd",
    "OutputLayer/Softmax",
]


def test_nodes() -> None:
    graph = GraphDef()
    graph.ParseFromString(build_lenet())
    assert [node.name for node in graph.node] == NODES


def test_seed() -> None:
    assert build_lenet(2) == build_lenet(2)
    assert build_lenet(2) != build_lenet(3)


def test_runs() -> None:
    tf = pytest.importorskip("tensorflow", reason="the graph runs in TensorFlow").compat.v1
    graph_def = tf.GraphDef()
    graph_def.ParseFromString(build_lenet())
    pictures = np.random.default_rng(5).random((8, 1, 28, 28), np.float32)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        with tf.Session(graph=graph) as session:
            fetches = ["OutputLayer/Softmax:0", "ReLU6/Relu6:0"]
            scores, hidden = session.run(fetches, {"InputLayer:0": pictures})
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
    assert len(np.unique(scores)) > 40
    assert hidden.min() == 0 and 0.5 < hidden.max() <= 6
