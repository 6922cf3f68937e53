"""The frozen digit classifier of the custom-plugin samples."""

from __future__ import annotations

from surgeon.zoo.nodes import FLOAT, NodeWriter, Ref, ShapeAttr, Type
from surgeon.zoo.weights import SeededWeights


def build_lenet(seed: int = 0) -> bytes:
    """Return a serialized frozen GraphDef of a Keras classifier of digits.

    Its input is InputLayer, [N, 1, 28, 28], its output OutputLayer/Softmax, [N, 10], its Relu6 ReLU6/Relu6.
    """
    g = NodeWriter("2019")
    weights = SeededWeights(seed)
    picture = g.emit("Placeholder", name="InputLayer", dtype=Type(FLOAT), shape=ShapeAttr((-1, 1, 28, 28)))
    with g.scope("flatten"):
        batch = g.element(g.shape(picture), 0)
        full = g.unique("Reshape")
        rest = g.const(-1, f"{full}/shape/1")
        flat = g.node("Reshape", full, [picture, g.node("Pack", f"{full}/shape", [batch, rest], N=2, axis=0)])
    hidden = _dense(g, weights, "dense", flat, (784, 512))
    with g.scope("ReLU6"):
        hidden = g.emit("Relu6", hidden)
    logits = _dense(g, weights, "OutputLayer", hidden, (512, 10))
    g.node("Softmax", "OutputLayer/Softmax", [logits])
    return g.graph()


def _dense(g: NodeWriter, weights: SeededWeights, name: str, source: Ref, shape: tuple[int, int]) -> Ref:
    with g.scope(name) as prefix:
        kernel = g.const(weights(f"{prefix}kernel", shape), g.unique("kernel"))
        bias = g.const(weights(f"{prefix}bias", shape[1:]), g.unique("bias"))
        product = g.emit("MatMul", source, kernel, transpose_a=False, transpose_b=False)
        return g.emit("BiasAdd", product, bias, data_format="NHWC")
