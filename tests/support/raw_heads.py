"""A small graph that gives raw heads, and a recipe that adds decoding and suppression behind them."""

from __future__ import annotations

import numpy as np

from surgeon.graph import Graph, parse_graph

CLASSES = 3
CELLS = 5

_LAST = (
    "perm = Const() {dtype: int32, value: tensor<int32[4]: 0, 2, 3, 1>}",
    "last = Transpose(pixels, perm) {T: float32, Tperm: int32}",
)


def raw_heads(seed: int = 0, *, channels_first: bool = False) -> Graph:
    """Return a graph that computes offsets float32[1, 50, 4] and scores float32[1, 50, 3] of a picture.

    Each cell of a 5 x 5 map has two boxes; the two heads of the scores are joined, and nothing suppresses.
    Pictures are [N, H, W, C], or [N, C, H, W] where ``channels_first``.
    """
    random = np.random.default_rng(seed)

    def weights(*shape: int) -> str:
        values = random.normal(0, 1 / np.sqrt(np.prod(shape[:-1])), shape).astype(np.float32)
        return f"tensor<float32{list(shape)}: {', '.join(map(repr, map(float, values.ravel())))}>"

    conv = '{{T: float32, data_format: "NHWC", dilations: [1, 1, 1, 1], padding: "SAME", strides: {strides}}}'
    one, two = conv.format(strides="[1, 1, 1, 1]"), conv.format(strides="[1, 2, 2, 1]")
    sides = "?,3,10,10" if channels_first else "?,10,10,3"
    lines = [
        "graph v1",
        "outputs: offsets, scores",
        f"pixels = Placeholder() {{dtype: float32, shape: shape[{sides}]}}",
        *(_LAST if channels_first else ()),
        f"body/weights = Const() {{dtype: float32, value: {weights(3, 3, 3, 6)}}}",
        f"body/conv = Conv2D({'last' if channels_first else 'pixels'}, body/weights) {two}",
        "body/relu = Relu(body/conv) {T: float32}",
        f"box/weights = Const() {{dtype: float32, value: {weights(1, 1, 6, 8)}}}",
        f"box/conv = Conv2D(body/relu, box/weights) {one}",
        "box/shape = Const() {dtype: int32, value: tensor<int32[3]: -1, 50, 4>}",
        "offsets = Reshape(box/conv, box/shape) {T: float32, Tshape: int32}",
    ]
    for name in ("near", "far"):
        lines += [
            f"{name}/weights = Const() {{dtype: float32, value: {weights(1, 1, 6, CLASSES)}}}",
            f"{name}/conv = Conv2D(body/relu, {name}/weights) {one}",
            f"{name}/shape = Const() {{dtype: int32, value: tensor<int32[3]: -1, 25, {CLASSES}>}}",
            f"{name}/scores = Reshape({name}/conv, {name}/shape) {{T: float32, Tshape: int32}}",
        ]
    lines += [
        "join/axis = Const() {dtype: int32, value: tensor<int32[]: 1>}",
        "join = ConcatV2(near/scores, far/scores, join/axis) {N: 2, T: float32, Tidx: int32}",
        "scores = Sigmoid(join) {T: float32}",
    ]
    return parse_graph("\n".join(lines) + "\n")


def anchors() -> list[list[float]]:
    """Return the corners (ymin, xmin, ymax, xmax) of a box of 0.3 and one of 0.5 around each cell."""
    found = []
    for row in range(CELLS):
        for column in range(CELLS):
            y, x = (row + 0.5) / CELLS, (column + 0.5) / CELLS
            found += [[round(v, 3) for v in (y - h, x - h, y + h, x + h)] for h in (0.15, 0.25)]
    return found


RECIPE = f"""\
recipe: 1
name: raw_heads
summary: A small graph of raw heads; the recipe adds decoding and suppression.
parameters: {{iou_threshold: 0.5}}
outputs: [NMS, "NMS:1", "NMS:2", "NMS:3"]
nodes:
  Input: {{op: Placeholder, like: pixels, shape: [1, 10, 10, 3]}}
  factor: {{op: Const, value: 0.05, dtype: float32, inputs: []}}
  anchors: {{op: Const, value: [{anchors()}], dtype: float32, inputs: []}}
  moved: {{op: Mul, inputs: [offsets, factor]}}
  boxes: {{op: AddV2, inputs: [moved, anchors]}}
  NMS:
    plugin: EfficientNMS_TRT
    inputs: {{boxes: boxes, scores: scores}}
    fields:
      score_threshold: 0.4
      iou_threshold: $iou_threshold
      max_output_boxes: 20
      background_class: -1
      score_activation: 0
      box_coding: 0
image: {{size: [10, 10], resize: stretch, interpolation: half-pixel-bilinear, color: RGB, steps: [{{scale: 0.0078431}}]}}
namespaces: {{pixels: Input}}
steps:
  - collapse
  - {{step: add-node, node: NMS}}
  - prune
"""
"""Detections above 0.4; boxes are offsets by a twentieth from the corners of anchors."""
