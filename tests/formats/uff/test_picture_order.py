"""Pictures that TensorRT's parser would confuse: what is written so that it does not.

That the numbers stay TensorFlow's is tested with the expansions; that TensorRT then computes them was seen on a GPU
(docs/hardware.md, "Single operations").
"""

from __future__ import annotations

import numpy as np

from surgeon.catalog import load_catalog
from surgeon.formats.graphdef import from_bytes
from surgeon.formats.uff.expansion import expand
from surgeon.graph import Graph, Node, parse_graph
from surgeon.graph.reach import needed_by_data
from surgeon.targets import load_target
from surgeon.zoo import SsdOptions, build_ssd

UFF = load_target("uff@tensorrt-8.5")
W = "x = Placeholder() {dtype: float32, shape: shape[1,4,4,2]}\n" + (
    "w = Const() {dtype: float32, value: tensor<float32[1,1,2,2]: 1.0, 2.0, 3.0, 4.0>}\n"
    'c = Conv2D(x, w) {T: float32, padding: "SAME", strides: [1,1,1,1], data_format: "NHWC"}\n'
)
SPACE = "space = Const() {dtype: int32, value: tensor<int32[2]: 1, 2>}\n"
SIZES = "sizes = Const() {dtype: int32, value: tensor<int32[4]: 1, 4, 4, 2>}\n"


def written(outputs: str, *lines: str) -> Graph:
    text = "".join(line if line.endswith("\n") else line + "\n" for line in lines)
    graph = expand(parse_graph(f"graph v1\noutputs: {outputs}\n{text}"), load_catalog(), UFF)
    return graph.check()


def sources(graph: Graph, name: str) -> list[Node]:
    return [graph[ref.node] for ref in graph[name].inputs]


def test_what_counts_axes_reads_a_copy_of_what_others_read() -> None:
    graph = written(
        "y",
        W,
        SPACE,
        "m = Mean(c, space) {T: float32, keep_dims: true}",
        'g = Conv2D(m, w) {T: float32, padding: "SAME", strides: [1,1,1,1]}',
        "y = Mul(c, g) {T: float32}",
    )
    copy = sources(graph, "m")[0]
    assert copy.op == "Mul" and sources(graph, copy.name)[0].name == "c"
    assert [each.name for each in sources(graph, "y")] == ["c", "g"]


def test_one_reader_needs_no_copy() -> None:
    graph = written("y", W, SIZES, "y = Reshape(c, sizes) {T: float32}")
    assert [each.name for each in sources(graph, "y")] == ["c", "sizes"]


def test_tensors_of_two_orders_become_channels_first() -> None:
    graph = written("y", W, SIZES, "r = Reshape(c, sizes) {T: float32}", "y = AddV2(c, r) {T: float32}")
    left, right = sources(graph, "y")
    assert left.name == "c" and right.op == "DepthwiseConv2dNative"
    reshape = sources(graph, right.name)[0]
    assert reshape.name == "r" and sources(graph, "r")[0].op == "Mul"


def test_a_constant_as_large_as_a_picture_is_added_channels_first() -> None:
    values = ", ".join(f"{i}.0" for i in range(32))
    graph = written(
        "y",
        W,
        f"k = Const() {{dtype: float32, value: tensor<float32[1,4,4,2]: {values}>}}",
        "y = AddV2(c, k) {T: float32}",
    )
    add = next(node for node in graph if node.op == "AddV2")
    turned, constant = sources(graph, add.name)
    wanted = np.arange(32, dtype=np.float32).reshape(1, 4, 4, 2).transpose(0, 3, 1, 2)
    assert turned.op == "Transpose"
    assert np.array_equal(constant.attrs["value"].array(), wanted)  # type: ignore[union-attr]


def test_rows_are_cut_channels_first_and_every_second_one_is_pooled() -> None:
    masks = "{T: float32, Index: int32, begin_mask: 13, end_mask: 13}"
    bounds = "".join(
        f"{name} = Const() {{dtype: int32, value: tensor<int32[4]: 0, {row}, 0, 0>}}\n"
        for name, row in (("begin", 1), ("end", 4))
    )
    steps = "".join(
        f"step{step} = Const() {{dtype: int32, value: tensor<int32[4]: 1, {step}, 1, 1>}}\n"
        for step in (1, 2)
    )
    graph = written(
        "some, second",
        W,
        bounds,
        steps,
        f"some = StridedSlice(c, begin, end, step1) {masks}",
        f"second = StridedSlice(c, begin, end, step2) {masks}",
    )
    assert graph["some"].op == "DepthwiseConv2dNative"
    assert graph["second"].op == "MaxPool" and graph["second"].attrs["strides"] == (1, 2, 1, 1)
    cuts = [node for node in graph if node.op == "StridedSlice"]
    assert len(cuts) == 2
    for cut in cuts:
        _, begin, end, _ = sources(graph, cut.name)
        rows = [each.attrs["value"].array().tolist() for each in (begin, end)]  # type: ignore[union-attr]
        assert rows == [[0, 0, 1, 0], [1, 2, 4, 4]]


def test_a_plugin_reads_boxes_as_written() -> None:
    graph = written(
        "nms",
        W.replace("1,4,4,2", "1,8,1,2").replace("float32[1,1,2,2]: 1.0, 2.0, 3.0, 4.0", BOXES),
        "scores = Placeholder() {dtype: float32, shape: shape[1,8,3]}",
        "nms = BatchedNMS_TRT(c, scores) {shareLocation: 1, backgroundLabelId: -1, numClasses: 3, topK: 8, "
        "keepTopK: 4, scoreThreshold: 0.1, iouThreshold: 0.5, isNormalized: 1, clipBoxes: 0}",
    )
    boxes = sources(graph, "nms")[0]
    assert boxes.op == "Reshape" and sources(graph, boxes.name)[0].name == "c"


BOXES = "float32[1,1,2,4]: 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0"


def test_a_detector_of_the_object_detection_api_stays_as_it_was() -> None:
    graph = from_bytes(build_ssd(SsdOptions(height=96, width=96)))
    heads = graph.replace(outputs=graph["concat"].inputs[:1])
    ops = [node.op for node in expand(heads, load_catalog(), UFF) if node.name in needed_by_data(heads)]
    assert sorted(ops) == sorted(node.op for node in heads if node.name in needed_by_data(heads))
