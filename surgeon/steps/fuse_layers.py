"""The step ``fuse-layers``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from surgeon.graph import AttrValue, Edit, Node, Ref, Rewire, SetAttr, SetOp
from surgeon.steps.patterns import NodeReader
from surgeon.steps.step import Step, StepContext


class FuseLayers(Step):
    """Turn operations that spell a layer out into that layer: LeakyRelu, SpaceToDepth.

    Maximum(alpha x, x) with an alpha from 0 to 1 is LeakyRelu. ExtractImagePatches of square patches that
    cover the picture, each pixel once, is SpaceToDepth. Both compute the same numbers, and TensorRT has or
    fuses them. A node keeps its name; 'prune' takes out what no output needs any more.

    Before::

        graph v1
        x = Placeholder() {dtype: float32, shape: shape[1,4,4,2]}
        alpha = Const() {dtype: float32, value: tensor<float32[]: 0.1>}
        scaled = Mul(alpha, x) {T: float32}
        y = Maximum(scaled, x) {T: float32}
        z = ExtractImagePatches(y) {T: float32, ksizes: [1, 2, 2, 1], strides: [1, 2, 2, 1], rates: [1, 1, 1, 1], padding: "VALID"}

    Step::

        step: fuse-layers

    After::

        graph v1
        x = Placeholder() {dtype: float32, shape: shape[1,4,4,2]}
        alpha = Const() {dtype: float32, value: tensor<float32[]: 0.1>}
        scaled = Mul(alpha, x) {T: float32}
        y = LeakyRelu(x) {T: float32, alpha: 0.1}
        z = SpaceToDepth(y) {T: float32, block_size: 2, data_format: "NHWC"}
    """  # noqa: E501

    keyword: ClassVar[str] = "fuse-layers"
    step: Literal["fuse-layers"] = "fuse-layers"
    layers: tuple[Literal["LeakyRelu", "SpaceToDepth"], ...] = Field(
        ("LeakyRelu", "SpaceToDepth"), description="Only these layers.", min_length=1
    )
    optional: bool = Field(True, description="No error when nothing is turned.")

    def plan(self, context: StepContext) -> list[Edit]:
        reader = NodeReader(context)
        edits: list[Edit] = []
        for node in context.graph:
            if node.op == "Maximum" and "LeakyRelu" in self.layers:
                edits += _leaky(reader, node)
            elif node.op == "ExtractImagePatches" and "SpaceToDepth" in self.layers:
                edits += _folded(reader, node)
        if not edits and not self.optional:
            raise context.fail(
                "R201",
                f"no node can be turned into {' or '.join(self.layers)}",
                "layers",
                help=["correct them, or take 'optional: false' away"],
            )
        return edits


def _leaky(reader: NodeReader, node: Node) -> Iterator[Edit]:
    """Yield what turns a Maximum of a tensor and the same times a number from 0 to 1."""
    sources = [reader.source(ref) for ref in node.inputs]
    for x, scaled in (sources, sources[::-1]) if len(sources) == 2 else ():
        product = reader.graph[scaled.node]
        if product.op != "Mul":
            continue
        factors, alpha = reader.factors(product, x)
        if factors == [x] and 0 < alpha < 1:
            yield from _become(reader, node, "LeakyRelu", (x,), {"alpha": float(str(np.float32(alpha)))})
            return


def _folded(reader: NodeReader, node: Node) -> Iterator[Edit]:
    """Yield what turns ExtractImagePatches whose patches lie side by side and cover all."""
    sizes, strides = node.attrs.get("ksizes"), node.attrs.get("strides")
    dims = reader.inference.spec(node.inputs[0]).shape.dims
    if sizes != strides or not isinstance(sizes, tuple) or len(sizes) != 4 or dims is None or len(dims) != 4:
        return
    block = sizes[1]
    whole = isinstance(block, int) and block > 1 and all(side and side % block == 0 for side in dims[1:3])
    if whole and sizes == (1, block, block, 1) and node.attrs.get("rates") == (1, 1, 1, 1):
        yield from _become(
            reader, node, "SpaceToDepth", node.inputs, {"block_size": block, "data_format": b"NHWC"}
        )


def _become(
    reader: NodeReader, node: Node, op: str, inputs: tuple[Ref, ...], attrs: dict[str, AttrValue]
) -> Iterator[Edit]:
    span = reader.context.span
    yield SetOp(node.name, op, span)
    yield Rewire(node.name, inputs, node.control, span)
    for key in node.attrs:
        if key != "T" and not key.startswith("_"):
            yield SetAttr(node.name, key, None, span)
    for key, value in attrs.items():
        yield SetAttr(node.name, key, value, span)
