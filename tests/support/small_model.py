"""A small graph with a clip, and a recipe that puts a plugin in its place, as texts."""

GRAPH = """\
graph v1
picture = Placeholder() {dtype: uint8, shape: shape[?,4,4,3]}
pre/float = Cast(picture) {SrcT: uint8, DstT: float32}
pre/scale = Const() {dtype: float32, value: tensor<float32[]: 0.5>}
pre/scaled = Mul(pre/float, pre/scale) {T: float32}
body/weights = Const() {dtype: float32, value: tensor<float32[1,1,3,2]: 1.0, 2.0, 3.0, 4.0, 5.0, 6.0>}
body/conv = Conv2D(pre/scaled, body/weights) {T: float32, data_format: "NHWC", dilations: [1, 1, 1, 1], padding: "SAME", strides: [1, 1, 1, 1]}
body/clipped = Relu6(body/conv) {T: float32}
body/checked = Identity(body/clipped) {T: float32}
result = Identity(body/checked) {T: float32}
"""

RECIPE = """\
recipe: 1
name: small
summary: A small network with a clip.
parameters: {top: 6.0}
outputs: [clip]
nodes:
  Input: {op: Placeholder, like: pre/scaled}
  clip:
    plugin: CustomClipPlugin
    fields: {clipMin: 0.0, clipMax: $top}
namespaces:
  picture: Input
  pre: Input
  body/clipped: clip
"""
