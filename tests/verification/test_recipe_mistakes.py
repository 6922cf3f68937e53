"""Mistakes planted in recipes of networks that detect nothing: each is noticed, or listed as not exercised."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

import surgeon
from surgeon.graph import Graph, parse_graph

pytest.importorskip("tensorflow", reason="ordinary operations run in TensorFlow")


def constant(name: str, shape: list[int], step: float) -> str:
    count = 1
    for size in shape:
        count *= size
    numbers = ", ".join(f"{((i * 7919) % 31 - 15) * step:.4f}" for i in range(count))
    return f"{name} = Const() {{dtype: float32, value: tensor<float32[{','.join(map(str, shape))}]: {numbers}>}}\n"


CONVOLUTION = (
    "graph v1\nx = Placeholder() {dtype: float32, shape: shape[1,8,8,3]}\n"
    + constant("w", [3, 3, 3, 4], 0.05)
    + constant("b", [4], 0.02)
    + constant("gamma", [4], 0.1)
    + constant("beta", [4], 0.03)
    + constant("mean", [4], 0.01)
    + "variance = Const() {dtype: float32, value: tensor<float32[4]: 0.5, 0.9, 0.0, 1.2>}\n"
    + "conv = Conv2D(x, w) {T: float32, strides: [1, 1, 1, 1], padding: 'SAME', data_format: 'NHWC', "
    "dilations: [1, 1, 1, 1]}\n"
    "bias = BiasAdd(conv, b) {T: float32, data_format: 'NHWC'}\n"
    "norm = FusedBatchNormV3(bias, gamma, beta, mean, variance) {T: float32, U: float32, epsilon: 0.001, "
    "data_format: 'NHWC', is_training: false}\n"
    "relu = Relu6(norm) {T: float32}\n"
    "leaky = LeakyRelu(norm) {T: float32, alpha: 0.2}\n"
    "size = Const() {dtype: int32, value: tensor<int32[2]: 12, 12>}\n"
    "larger = ResizeBilinear(relu, size) {T: float32, align_corners: false, half_pixel_centers: true}\n"
    "pool = MaxPool(larger) {T: float32, ksize: [1, 3, 3, 1], strides: [1, 1, 1, 1], padding: 'VALID', "
    "data_format: 'NHWC'}\n"
    "axes = Const() {dtype: int32, value: tensor<int32[2]: 1, 2>}\n"
    "one = Mean(pool, axes) {T: float32, Tidx: int32, keep_dims: false}\n"
    "two = Mean(leaky, axes) {T: float32, Tidx: int32, keep_dims: false}\n"
    "axis = Const() {dtype: int32, value: tensor<int32[]: 1>}\n"
    "out = ConcatV2(one, two, axis) {N: 2, T: float32, Tidx: int32}\n"
).replace("'", '"')

ATTENTION = (
    "graph v1\nx = Placeholder() {dtype: float32, shape: shape[1,4,4]}\n"
    "mask = Placeholder() {dtype: float32, shape: shape[1,1,4]}\n"
    + constant("query", [1, 4, 4], 0.1)
    + "one = Const() {dtype: float32, value: tensor<float32[]: 1>}\n"
    "far = Const() {dtype: float32, value: tensor<float32[]: -10000>}\n"
    "q = BatchMatMulV2(x, query) {T: float32, adj_x: false, adj_y: false}\n"
    "scores = BatchMatMulV2(q, x) {T: float32, adj_x: false, adj_y: true}\n"
    "left = Sub(one, mask) {T: float32}\n"
    "hidden = Mul(left, far) {T: float32}\n"
    "masked = AddV2(scores, hidden) {T: float32}\n"
    "soft = Softmax(masked) {T: float32}\n"
    "out = BatchMatMulV2(soft, x) {T: float32, adj_x: false, adj_y: false}\n"
)

TRAINED = (
    "graph v1\nx = Placeholder() {dtype: float32, shape: shape[2,4]}\n"
    "phase_train = Placeholder() {dtype: bool, shape: shape[]}\n"
    "keep_prob = Placeholder() {dtype: float32, shape: shape[]}\n"
    "axes = Const() {dtype: int32, value: tensor<int32[1]: 0>}\n"
    "mean = Mean(x, axes) {T: float32, Tidx: int32, keep_dims: true}\n"
    + constant("kept", [1, 4], 0.1)
    + constant("weights", [4, 4], 0.1)
    + constant("table", [9, 4], 0.1)
    + "ids = Placeholder() {dtype: int32, shape: shape[2]}\n"
    "zero = Const() {dtype: int32, value: tensor<int32[]: 0>}\n"
    "words = GatherV2(table, ids, zero) {Tparams: float32, Tindices: int32, Taxis: int32, batch_dims: 0}\n"
    "center = SelectV2(phase_train, mean, kept) {T: float32}\n"
    "shifted = Sub(x, center) {T: float32}\n"
    "sizes = Shape(shifted) {T: float32, out_type: int32}\n"
    "random = RandomUniform(sizes) {T: int32, dtype: float32, seed: 1, seed2: 2}\n"
    "sum = AddV2(random, keep_prob) {T: float32}\n"
    "kept_ones = Floor(sum) {T: float32}\n"
    "scaled = RealDiv(shifted, keep_prob) {T: float32}\n"
    "dropped = Mul(scaled, kept_ones) {T: float32}\n"
    "both = AddV2(dropped, words) {T: float32}\n"
    "logits = MatMul(both, weights) {T: float32, transpose_a: false, transpose_b: false}\n"
    "order = Const() {dtype: int32, value: tensor<int32[2]: 1, 0>}\n"
    "out = Transpose(logits, order) {T: float32, Tperm: int32}\n"
)

BOUNDED = (
    "graph v1\nx = Placeholder() {dtype: float32, shape: shape[1,4,4,3]}\n"
    + constant("w", [1, 1, 3, 3], 0.1)
    + 'conv = Conv2D(x, w) {T: float32, strides: [1, 1, 1, 1], padding: "SAME", data_format: "NHWC"}\n'
    "soft = Sigmoid(conv) {T: float32}\n"
    "relu = Relu6(soft) {T: float32}\n"
    "out = Neg(relu) {T: float32}\n"
)

NETWORKS = {"convolution": CONVOLUTION, "attention": ATTENTION, "trained": TRAINED, "bounded": BOUNDED}


@cache
def network(name: str) -> Graph:
    """Return a network, the same graph each time, which TensorFlow loads once."""
    return parse_graph(NETWORKS[name])


def verified(name: str, recipe: str) -> surgeon.Verification:
    text = f"recipe: 1\nname: {name}\noutputs: [out]\n{recipe}"
    return surgeon.verify(surgeon.parse_recipe(text), network(name))


def steps(*each: str) -> str:
    return f"steps: [{', '.join(each)}, prune]\n"


def attr(node: str, **attrs: Any) -> str:
    shown = ", ".join(f"{key}: {value}" for key, value in attrs.items())
    return f"{{step: set-attr, nodes: [{node}], attrs: {{{shown}}}}}"


def put(name: str, node: str, *others: str) -> str:
    """Return a recipe that puts a constant in the place of a node, and takes other steps."""
    return f"nodes: {{new: {node}}}\nnamespaces: {{{name}: new}}\n" + steps("collapse", *others)


BIAS = "{op: Const, value: [-0.3, -0.02, 0.26, -0.08], dtype: float32}"


def clip(top: float) -> str:
    """Return a recipe with the clip of Relu6 in two operations."""
    return (
        f"nodes: {{top: {{op: Const, value: {top}, dtype: float32}}, zero: {{op: Const, value: 0.0, dtype: float32}},\n"
        "  low: {op: Maximum, inputs: [norm, zero]}, clip: {op: Minimum, inputs: [low, top]}}\n"
        "namespaces: {relu: clip}\n"
        + steps(*(f"{{step: add-node, node: {name}}}" for name in ("top", "zero", "low")), "collapse")
    )


RIGHT = [
    ("convolution", steps("forward-identities")),
    ("convolution", steps("{step: replace-op, from: FusedBatchNormV3, to: FusedBatchNorm}")),
    ("convolution", clip(6.0)),
    ("convolution", put("b", BIAS)),
    ("attention", steps("{step: replace-op, from: BatchMatMulV2, to: BatchMatMul}")),
    ("trained", steps("forward-identities")),
    ("trained", steps("for-inference")),
    ("trained", steps("{step: fix-inputs, values: {phase_train: false, keep_prob: 1.0}}")),
]

WRONG = {
    "Relu6 as Relu": ("convolution", steps("{step: replace-op, from: Relu6, to: Relu}"), ""),
    "other padding": ("convolution", steps(attr("conv", padding="VALID")), ""),
    "other strides": ("convolution", steps(attr("conv", strides="[1, 2, 2, 1]")), ""),
    "other dilations": ("convolution", steps(attr("conv", dilations="[1, 2, 2, 1]")), ""),
    "other epsilon": ("convolution", steps(attr("norm", epsilon=1e-5)), ""),
    "other slope": ("convolution", steps(attr("leaky", alpha=0.21)), ""),
    "corners aligned": (
        "convolution",
        steps(attr("larger", align_corners="true", half_pixel_centers="false")),
        "",
    ),
    "pixels not at their centers": ("convolution", steps(attr("larger", half_pixel_centers="false")), ""),
    "smaller window": ("convolution", steps(attr("pool", ksize="[1, 2, 2, 1]", padding="SAME")), ""),
    "no activation": ("convolution", steps("{step: forward, nodes: [relu]}"), ""),
    "no bias": ("convolution", steps("{step: forward, nodes: [bias]}"), ""),
    "clip at another number": ("convolution", clip(6.02), ""),
    "one number of the bias": (
        "convolution",
        put("b", BIAS.replace("0.26", "0.261")),
        "",
    ),
    "largest in place of the mean": (
        "convolution",
        "nodes: {new: {op: Max, inputs: [leaky], axis: [1, 2], attrs: {keep_dims: false}}}\n"
        "namespaces: {two: new}\n" + steps("collapse"),
        "",
    ),
    "concatenated in another order": (
        "convolution",
        steps("{step: reorder-inputs, node: out, order: [two, one]}"),
        "",
    ),
    "scores not transposed": ("attention", steps(attr("scores", adj_y="false")), ""),
    "query transposed": ("attention", steps(attr("q", adj_y="true")), ""),
    "mask of another size": (
        "attention",
        put("far", "{op: Const, value: -9000.0, dtype: float32}"),
        "new.value",
    ),
    "no mask": (
        "attention",
        steps("{step: disconnect, from: masked, to: soft}", "{step: connect, from: scores, to: soft}"),
        "",
    ),
    "probabilities of another operation": (
        "attention",
        steps("{step: replace-op, from: Softmax, to: Sigmoid}"),
        "",
    ),
    "a clamp that is never reached": (
        "bounded",
        steps("{step: replace-op, from: Relu6, to: Relu}"),
        "relu.op",
    ),
    "a clamp that is taken out": ("bounded", steps("{step: forward, nodes: [relu]}"), "relu.removal"),
    "padding of one pixel": ("bounded", steps(attr("conv", padding="VALID")), "conv.padding"),
    "statistics of the batch": ("trained", steps("{step: fix-inputs, values: {phase_train: true}}"), ""),
    "dropout switched on": ("trained", steps("{step: fix-inputs, values: {keep_prob: 0.5}}"), ""),
    "weights transposed": ("trained", steps(attr("logits", transpose_b="true")), ""),
    "not transposed": ("trained", put("order", "{op: Const, value: [0, 1], dtype: int32}"), ""),
    "no word": (
        "trained",
        steps("{step: disconnect, from: words, to: both}", "{step: connect, from: dropped, to: both}"),
        "",
    ),
}


@pytest.mark.parametrize(("name", "recipe"), RIGHT)
def test_a_right_recipe_passes(name: str, recipe: str) -> None:
    found = verified(name, recipe)
    assert found.outcome == "passed", found.to_json()


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_noticed_or_listed(mistake: str) -> None:
    name, recipe, listed = WRONG[mistake]
    found = verified(name, recipe)
    if not listed:
        assert found.outcome == "failed", found.power_lines
    else:
        assert found.outcome == "passed" and listed in found.not_exercised
