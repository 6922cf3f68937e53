"""How two graphs differ, as text and JSON."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from surgeon.graph import DType, Graph, Node, Ref, TensorValue, diff_graphs, parse_graph
from surgeon.graph.diff import render

BEFORE = parse_graph("""graph v1
versions: 24 0
outputs: Postprocessor/scores
image_tensor = Placeholder() {dtype: uint8, shape: shape[?,?,?,3]}
Preprocessor/sub = Sub(image_tensor, image_tensor:1)
Preprocessor/mul = Mul(Preprocessor/sub)
Conv/weights = Const() {dtype: float32, value: tensor<float32[2]: 1.0, 2.0>}
Conv/Conv2D = Conv2D(Preprocessor/mul, Conv/weights) {strides: [1, 2, 2, 1], use: 1}
concat = ConcatV2(Conv/Conv2D, ^image_tensor) {N: 1} @"/cpu"
concat_1 = ConcatV2(concat)
Postprocessor/scores = Identity(concat_1)
""")

AFTER = parse_graph("""graph v1
versions: 24 0
outputs: NMS, NMS:1
Input = Placeholder() {dtype: float32, shape: shape[1,300,300,3]}
concat_1 = ConcatV2(concat)
Conv/weights = Const() {dtype: float32, value: tensor<float32[2]: 1.0, 2.5>}
Conv/Conv2D = Conv2D(Input, Conv/weights) {strides: [1, 1, 1, 1], use: 1.0, new: true}
concat = Concat(Conv/Conv2D) {N: 1}
NMS = NMS_TRT(concat_1, concat)
""")

GOLDEN = """\
4 removed, 2 added, 3 changed, 1 moved
outputs: Postprocessor/scores -> NMS, NMS:1
- image_tensor = Placeholder() {dtype: uint8, shape: shape[?,?,?,3]}
- Preprocessor/sub = Sub(image_tensor, image_tensor:1)
- Preprocessor/mul = Mul(Preprocessor/sub)
- Postprocessor/scores = Identity(concat_1)
+ Input = Placeholder() {dtype: float32, shape: shape[1,300,300,3]}
+ NMS = NMS_TRT(concat_1, concat)
~ Conv/weights (Const)
    attr value: tensor<float32[2]: 1.0, 2.0> -> tensor<float32[2]: 1.0, 2.5>
~ Conv/Conv2D (Conv2D)
    inputs: (Preprocessor/mul, Conv/weights) -> (Input, Conv/weights)
    attr strides: [1, 2, 2, 1] -> [1, 1, 1, 1]
    attr use: 1 -> 1.0
    attr new: (none) -> true
~ concat (Concat)
    op: ConcatV2 -> Concat
    control: (^image_tensor) -> ()
    device: "/cpu" -> ""
> concat_1 moved
"""

SHORT = """\
4 removed, 2 added, 3 changed, 1 moved
outputs: Postprocessor/scores -> NMS, NMS:1
- image_tensor = Placeholder() {dtype: uint8, shape: shape[?,?,?,3]}
- ... 2 more namespaces (3 nodes)
+ outside namespaces (2 nodes: 1 NMS_TRT, 1 Placeholder)
~ Conv/ (2 nodes: 1 attr new, 1 attr strides, 1 attr use, 1 attr value, 1 inputs)
~ ... 1 more namespace (1 node)
> concat_1 moved
"""


def test_golden_text() -> None:
    diff = diff_graphs(BEFORE, AFTER)
    assert render(diff) == GOLDEN
    assert render(diff, limit=None) == render(diff)


def test_golden_text_with_namespaces_counted() -> None:
    assert render(diff_graphs(BEFORE, AFTER), limit=1) == SHORT


def test_json_says_the_same() -> None:
    found = json.loads(json.dumps(diff_graphs(BEFORE, AFTER).to_json()))
    assert not found["equal"]
    assert [n["name"] for n in found["added"]] == ["Input", "NMS"]
    assert [n["name"] for n in found["removed"]] == [
        "image_tensor",
        "Preprocessor/sub",
        "Preprocessor/mul",
        "Postprocessor/scores",
    ]
    conv = found["changed"][1]
    assert conv["name"] == "Conv/Conv2D" and conv["changes"][2] == {
        "what": "attr",
        "key": "use",
        "before": "1",
        "after": "1.0",
    }
    assert conv["changes"][3]["before"] is None
    assert found["outputs"] == {"before": ["Postprocessor/scores"], "after": ["NMS", "NMS:1"]}
    assert found["moved"] == ["concat_1"]


def test_equal_graphs() -> None:
    diff = diff_graphs(BEFORE, BEFORE.replace())
    assert not diff and render(diff) == "the graphs are equal\n" and diff.to_json()["equal"] is True


@pytest.mark.parametrize(
    ("field", "value"),
    [("versions", "versions: 25 0"), ("library", "library: 0a00"), ("extra", "extra: 1801")],
)
def test_other_fields_are_named(field: str, value: str) -> None:
    other = parse_graph(f"graph v1\n{value}\na = P()\n")
    diff = diff_graphs(parse_graph("graph v1\na = P()\n"), other)
    assert diff.rest == (field,) and f"other fields that differ: {field}" in render(diff)


def test_tensors_are_compared_by_value() -> None:
    def graph(value: TensorValue) -> Graph:
        return Graph([Node("w", "Const", attrs={"value": value})])

    full = TensorValue.of(np.ones(3, np.float32))
    assert not diff_graphs(graph(full), graph(TensorValue(DType.FLOAT32, (3,), np.float32(1).tobytes())))
    assert diff_graphs(graph(full), graph(TensorValue.of(np.full(3, 1 + 1e-7, np.float32))))
    assert diff_graphs(graph(full), graph(TensorValue.of(np.ones(3, np.float64))))
    big = np.arange(1000, dtype=np.float32)
    (change,) = diff_graphs(graph(TensorValue.of(big)), graph(TensorValue.of(-big))).changed
    assert "sha256" in str(change.changes[0].before) and change.changes[0].before != change.changes[0].after


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [
        ("abcdef", "abcdef", ""),
        ("abcdef", "fabcde", "f"),
        ("abcdef", "bcdefa", "a"),
        ("abcdef", "fedcba", "fedcb"),
        ("abcdef", "xadceby", "dcb"),
    ],
)
def test_the_fewest_nodes_have_moved(before: str, after: str, moved: str) -> None:
    a, b = (Graph(Node(name, "P") for name in names) for names in (before, after))
    found = diff_graphs(a, b).moved
    assert len(found) <= len(moved)
    kept = [name for name in after if name in before and name not in found]
    assert kept == sorted(kept)
    assert bool(found) == bool(moved)


def test_long_lines_are_cut() -> None:
    a = Graph([Node("x", "P"), Node("c", "Concat", (Ref("x"),) * 500)])
    b = Graph([Node("x", "P"), Node("c", "Concat", (Ref("x"),) * 499)])
    text = render(diff_graphs(a, b))
    assert all(len(line) < 400 for line in text.splitlines()) and "characters)" in text


def test_large_graphs_are_compared_in_good_time_and_few_lines() -> None:
    rng = random.Random(1)
    nodes = [Node(f"ns{i % 40}/n{i}", "P", attrs={"k": i}) for i in range(40_000)]
    other = [n.with_attr("k", -1) if i % 3 == 0 else n for i, n in enumerate(nodes)]
    rng.shuffle(other)
    diff = diff_graphs(Graph(nodes), Graph(other))
    assert len(diff.changed) > 13_000
    text = render(diff)
    assert len(text.splitlines()) < 60 and "~ ... 20 more namespaces" in text
