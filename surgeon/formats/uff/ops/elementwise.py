"""Arithmetic on one or two tensors, and activations."""

from __future__ import annotations

from surgeon.diagnostics import error
from surgeon.formats.uff.conversion import ConverterContext, converts
from surgeon.formats.uff.model import UffNode, UffValue
from surgeon.graph import TensorValue

BINARY = {
    "Add": "add",
    "AddV2": "add",
    "Sub": "sub",
    "Mul": "mul",
    "Div": "div",
    "RealDiv": "div",
    "Minimum": "min",
    "Maximum": "max",
    "Pow": "pow",
}
UNARY = {
    "Neg": "neg",
    "Abs": "abs",
    "Sin": "sin",
    "Cos": "cos",
    "Tan": "tan",
    "Sinh": "sinh",
    "Cosh": "cosh",
    "Asin": "asin",
    "Acos": "acos",
    "Atan": "atan",
    "Asinh": "asinh",
    "Acosh": "acosh",
    "Atanh": "atanh",
    "Ceil": "ceil",
    "Floor": "floor",
    "Sqrt": "sqrt",
    "Rsqrt": "rsqrt",
    "Square": "square",
    "Exp": "exp",
    "Log": "log",
}
ACTIVATION = {
    "Relu": "relu",
    "Relu6": "relu6",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Elu": "elu",
    "Selu": "selu",
    "Softsign": "softsign",
    "Softplus": "softplus",
}


@converts(*BINARY)
def binary(at: ConverterContext) -> list[UffNode]:
    """Binary, with TensorFlow's broadcasting.

    The parser takes no constant on the left of what does not commute: ``c - x`` is written ``-x + c``, and
    another such op raises X104.
    """
    func = BINARY[at.node.op]
    if func in ("sub", "div", "pow") and not at.export.varies(at.ref(0)) and at.export.varies(at.ref(1)):
        if func != "sub":
            raise at.refused(
                f"has a constant on the left; TensorRT's parser takes '{func}' with a constant on the right "
                "alone",
                "rewrite the graph, so that the constant stands on the right",
            )
        minus = UffNode(
            at.export.fresh(f"{at.node.name}/minus"), "Unary", (at.edge(1),), {"func": UffValue("s", "neg")}
        )
        return [minus, at.uff("Binary", (minus.id, at.edge(0)), {"func": UffValue("s", "add")})]
    return [at.uff("Binary", (at.edge(0), at.edge(1)), {"func": UffValue("s", func)})]


@converts(*UNARY)
def unary(at: ConverterContext) -> list[UffNode]:
    """Unary."""
    return [at.uff("Unary", (at.edge(0),), {"func": UffValue("s", UNARY[at.node.op])})]


@converts(*ACTIVATION)
def activation(at: ConverterContext) -> list[UffNode]:
    """Activation."""
    return [at.uff("Activation", (at.edge(0),), {"func": UffValue("s", ACTIVATION[at.node.op])})]


@converts("LeakyRelu")
def leaky_relu(at: ConverterContext) -> list[UffNode]:
    """LeakyRelu; raise X103 for a target whose parser lacks it."""
    target = at.export.target
    if target is not None and not target.leaky_relu:
        raise error(
            "X103",
            f"'{at.node.name}' (LeakyRelu) cannot be read by the parser of '{target.name}'; it has no such "
            "operation",
            at.node.name,
            help=[
                "replace it by the plugin LReLU_TRT, its field negSlope being LeakyRelu's alpha",
                "or take a later target",
            ],
        )
    return [at.uff("LeakyRelu", (at.edge(0),), {"alpha": UffValue("d", at.number("alpha", 0.2))})]


@converts("BiasAdd", "BiasAddV1")
def bias_add(at: ConverterContext) -> list[UffNode]:
    """Binary add; in an NCHW graph the bias is stated as [C, 1, 1], so that it meets the channels."""
    add = {"func": UffValue("s", "add")}
    if at.data_format == "NHWC":
        return [at.uff("Binary", (at.edge(0), at.edge(1)), add)]
    bias = at.constant(1)
    if bias is None:
        raise at.not_constant(1, "bias")
    reshaped = at.extra_const("bias", TensorValue.of(bias.reshape(-1, 1, 1)))
    return [reshaped, at.uff("Binary", (at.edge(0), reshaped.id), add)]
