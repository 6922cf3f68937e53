"""Arithmetic on constants, and normalizations folded into the convolutions before them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from surgeon.formats.onnx.network import Names, OnnxNetwork, Weight, attributes, reads
from surgeon.graph import DType, Shape, TensorSpec
from surgeon.optional import require

FLOAT = 1
"""ONNX's number of float32."""

_SMALL = 1 << 16
"""Elements of a constant whose element type is converted."""


def fold_constants(network: OnnxNetwork) -> OnnxNetwork:
    """Return the sorted network with the operations done that rearrange constants.

    These are Reshape, Squeeze, Unsqueeze, Concat, and Cast of small constants.

    Transpositions are :func:`surgeon.formats.onnx.layout.settle_layout`'s, which knows that two of the same
    constant are one.
    """
    weights = dict(network.weights)
    nodes: list[Any] = []
    for node in network.nodes:
        made = None
        if node.input and all(name in weights for name in node.input if name) and not node.domain:
            made = _folded(node, weights)
        if made is None:
            nodes.append(node)
        else:
            weights[node.output[0]] = made
    return replace(network, nodes=tuple(nodes), weights=weights).sorted()


_SIZED_BY_VALUES = frozenset({"Compress", "NonMaxSuppression", "NonZero", "Unique"})
"""Operations whose numbers decide how large the result is."""

_RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
_LIMIT = 16 << 20
"""Elements that are computed at most, all results together."""


def compute_constants(network: OnnxNetwork, opset: int) -> OnnxNetwork:
    """Return the sorted network with what has sizes that depend on constants' values computed.

    TensorRT takes the result of a NonZero for half of what it could be, whatever it reads, and builds no
    engine where something of the true size is combined with it. Networks without such sizes stay as they
    are. The onnx package computes.
    """
    known: set[str] = set(network.weights)
    sized: set[str] = set()
    members: list[Any] = []
    for node in network.nodes:
        inputs = [name for name in reads(node) if name]
        if not known.issuperset(inputs) or not inputs or node.domain or node.op_type in _RANDOM:
            continue
        members.append(node)
        known.update(node.output)
        if node.op_type in _SIZED_BY_VALUES or not sized.isdisjoint(inputs):
            sized.update(node.output)
    needed = {name for node in network.nodes if sized.isdisjoint(node.output) for name in reads(node)} & sized
    replaced = [
        node
        for node in members
        if not needed.isdisjoint(node.output) and network.outputs.keys().isdisjoint(node.output)
    ]
    if not replaced:
        return network
    results = dict.fromkeys(
        (name for node in replaced for name in node.output if name), TensorSpec(DType.FLOAT32, Shape())
    )
    part = OnnxNetwork(tuple(members), network.weights, {}, results).sorted()
    evaluator = require("onnx.reference", "writing ONNX").ReferenceEvaluator(part.model(opset))
    values = [np.asarray(value) for value in evaluator.run(None, {})]
    if sum(value.size for value in values) > _LIMIT:
        return network
    weights = {name: Weight.of(value, value.dtype) for name, value in zip(results, values, strict=True)}
    gone = {id(node) for node in replaced}
    nodes = tuple(node for node in network.nodes if id(node) not in gone)
    return replace(network, nodes=nodes, weights={**network.weights, **weights}).sorted()


def _folded(node: Any, weights: Mapping[str, Weight]) -> Weight | None:
    data, attrs = weights[node.input[0]], attributes(node)
    given = (
        [int(v) for v in weights[node.input[1]].array().reshape(-1)]
        if len(node.input) > 1 and node.op_type in _SHAPING
        else []
    )
    match node.op_type:
        case "Reshape" if not attrs.get("allowzero") and data.count:
            return data.reshaped(_target(data.shape, given))
        case "Squeeze":
            axes = {axis % len(data.shape) for axis in given} or {
                i for i, size in enumerate(data.shape) if size == 1
            }
            return data.reshaped([size for i, size in enumerate(data.shape) if i not in axes])
        case "Unsqueeze":
            rank = len(data.shape) + len(given)
            left = iter(data.shape)
            axes = {axis % rank for axis in given}
            return data.reshaped([1 if i in axes else next(left) for i in range(rank)])
        case "Concat":
            parts = [weights[name] for name in node.input]
            axis = attrs["axis"] % len(data.shape)
            sizes = [*data.shape]
            sizes[axis] = sum(part.shape[axis] for part in parts)
            return Weight(
                data.kind, tuple(sizes), lambda: np.concatenate([part.array() for part in parts], axis)
            )
        case "Cast" if data.count <= _SMALL:
            dtype = require("onnx.helper", "writing ONNX").tensor_dtype_to_np_dtype(attrs["to"])
            value = data.array()
            if dtype.kind == "O" or value.dtype.kind == "O":
                return None
            cast = value.astype(dtype)
            return Weight(attrs["to"], data.shape, lambda: cast)
    return None


_SHAPING = ("Reshape", "Squeeze", "Unsqueeze")


def _target(shape: tuple[int, ...], wanted: list[int]) -> list[int]:
    """Return the shape that Reshape gives: 0 keeps a dimension, -1 is what is left."""
    sizes = [shape[i] if size == 0 else size for i, size in enumerate(wanted)]
    if -1 in sizes:
        rest = int(np.prod([size for size in sizes if size != -1], dtype=np.int64))
        sizes[sizes.index(-1)] = int(np.prod(shape, dtype=np.int64)) // rest
    return sizes


def fold_normalizations(network: OnnxNetwork) -> OnnxNetwork:
    """Return the sorted network with scales and shifts of channels put into a convolution's weights.

    That is BatchNormalization, and Mul, Add and Sub with a constant for each channel, where nothing else
    reads what lies between. A kernel that several convolutions share is not scaled: each would then have its
    own copy.
    """
    return _Folding(network).network()


class _Folding:
    def __init__(self, network: OnnxNetwork) -> None:
        self._network = network
        self._weights: dict[str, Weight] = dict(network.weights)
        self._readers: dict[str, list[int]] = {}
        for index, node in enumerate(network.nodes):
            for name in reads(node):
                self._readers.setdefault(name, []).append(index)
        self._nodes: list[Any] = list(network.nodes)
        self._fresh = Names(network).fresh

    def network(self) -> OnnxNetwork:
        for index, node in enumerate(self._network.nodes):
            constant = all(name in self._weights for name in node.input[1:] if name)
            if (
                node.op_type == "Conv"
                and not node.domain
                and constant
                and self._weights[node.input[1]].kind == FLOAT
            ):
                self._absorb(index)
        nodes = tuple(node for node in self._nodes if node is not None)
        return replace(self._network, nodes=nodes, weights=self._weights).sorted()

    def _absorb(self, index: int) -> None:
        """Put what follows a convolution into it, one node after the other."""
        for _ in range(len(self._nodes)):
            conv = self._nodes[index]
            following = self._only_reader(conv.output[0])
            change = None if following is None else self._change(self._nodes[following], conv)
            if following is None or change is None:
                return
            if change[0] is not None and len(self._readers[conv.input[1]]) > 1:
                return
            self._nodes[index] = self._changed(conv, self._nodes[following], *change)
            self._nodes[following] = None

    def _only_reader(self, name: str) -> int | None:
        found = self._readers.get(name, [])
        return found[0] if len(found) == 1 and name not in self._network.outputs else None

    def _change(self, node: Any, conv: Any) -> tuple[np.ndarray | None, np.ndarray] | None:
        """Return by what a node multiplies each channel (None: nothing) and what it then adds.

        Return None for a node that does anything else.
        """
        channels = self._weights[conv.input[1]].shape[0]
        if node.op_type == "BatchNormalization":
            attrs = attributes(node)
            if attrs.get("training_mode") or any(name not in self._weights for name in node.input[1:]):
                return None
            scale, shift, mean, variance = (
                self._weights[name].array().astype(np.float64) for name in node.input[1:]
            )
            factor = scale / np.sqrt(variance + attrs.get("epsilon", 1e-5))
            return factor, shift - mean * factor
        if node.op_type not in ("Mul", "Add", "Sub"):
            return None
        own, other = (0, 1) if node.input[0] == conv.output[0] else (1, 0)
        value = self._per_channel(node.input[other], channels)
        if value is None or (node.op_type == "Sub" and own == 1):
            return None
        if node.op_type == "Mul":
            return value, np.zeros(channels)
        return None, -value if node.op_type == "Sub" else value

    def _per_channel(self, name: str, channels: int) -> np.ndarray | None:
        weight = self._weights.get(name)
        if weight is None or len(weight.shape) > 4 or weight.kind != FLOAT:
            return None
        shape = (1,) * (4 - len(weight.shape)) + weight.shape
        if shape not in ((1, channels, 1, 1), (1, 1, 1, 1)):
            return None
        return np.broadcast_to(weight.array().reshape(-1).astype(np.float64), channels)

    def _changed(self, conv: Any, node: Any, factor: np.ndarray | None, shift: np.ndarray) -> Any:
        """Return the convolution that computes what ``node`` makes of it."""
        kernel, base = conv.input[1], node.output[0].removesuffix(":0")
        has_bias = len(conv.input) > 2 and conv.input[2]
        bias = self._weights[conv.input[2]].array().astype(np.float64) if has_bias else np.zeros(len(shift))
        if factor is not None:
            scale = factor.astype(np.float32)
            kernel = self._fresh(f"{base}/kernel")
            self._weights[kernel] = self._weights[conv.input[1]].mapped(
                lambda value: value * scale.reshape((-1,) + (1,) * (value.ndim - 1))
            )
            self._readers[kernel] = self._readers[conv.input[1]]
            bias = bias * factor
        name = self._fresh(f"{base}/bias")
        self._weights[name] = Weight.of((bias + shift).astype(np.float32), np.float32)
        made = type(conv)()
        made.CopyFrom(conv)
        made.input[:] = [conv.input[0], kernel, name]
        made.output[:] = node.output[:1]
        return made
