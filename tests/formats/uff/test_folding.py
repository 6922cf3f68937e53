"""What depends on no input is computed where UFF cannot express it, and only there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import surgeon
from surgeon.catalog import load_catalog
from surgeon.formats import FileFacts, format_of
from surgeon.formats.uff import read_uff
from surgeon.graph import DType, Graph, Node, Ref, TensorValue, parse_graph
from surgeon.targets import load_target

TARGET = load_target("uff@tensorrt-8.5")
NETWORK = """graph v1
x = Placeholder() {{dtype: float32, shape: shape[1,4,4,2]}}
{weights}
conv = Conv2D(x, w) {{T: float32, data_format: "NHWC", padding: "SAME", strides: [1, 1, 1, 1]}}
out = Relu(conv) {{T: float32}}
"""
NUMBERS = "1.0, 2.0, 3.0, 4.0"

WEIGHTS = {
    "cast from float16": f"""
half = Const() {{dtype: float16, value: tensor<float16[1,1,2,2]: {NUMBERS}>}}
w = Cast(half) {{SrcT: float16, DstT: float32, Truncate: false}}""",
    "cast behind an Identity": f"""
half = Const() {{dtype: float16, value: tensor<float16[1,1,2,2]: {NUMBERS}>}}
full = Cast(half) {{SrcT: float16, DstT: float32, Truncate: false}}
w = Identity(full) {{T: float32}}""",
    "filled": """
shape = Const() {dtype: int32, value: tensor<int32[4]: 1, 1, 2, 2>}
one = Const() {dtype: float32, value: tensor<float32[]: 2.5>}
w = Fill(shape, one) {T: float32, index_type: int32}""",
    "scaled": f"""
raw = Const() {{dtype: float32, value: tensor<float32[1,1,2,2]: {NUMBERS}>}}
gain = Const() {{dtype: float32, value: tensor<float32[2]: 0.5, 2.0>}}
w = Mul(raw, gain) {{T: float32}}""",
    "tiled": """
raw = Const() {dtype: float32, value: tensor<float32[1,1,2,1]: 1.0, 2.0>}
times = Const() {dtype: int32, value: tensor<int32[4]: 1, 1, 1, 2>}
w = Tile(raw, times) {T: float32, Tmultiples: int32}""",
    "transposed": f"""
raw = Const() {{dtype: float32, value: tensor<float32[2,2,1,1]: {NUMBERS}>}}
order = Const() {{dtype: int32, value: tensor<int32[4]: 2, 3, 0, 1>}}
w = Transpose(raw, order) {{T: float32, Tperm: int32}}""",
}
VALUES = {
    "cast from float16": [1, 2, 3, 4],
    "cast behind an Identity": [1, 2, 3, 4],
    "filled": [2.5] * 4,
    "scaled": [0.5, 4, 1.5, 8],
    "tiled": [1, 1, 2, 2],
    "transposed": [1, 2, 3, 4],
}


def network(weights: str) -> Graph:
    return parse_graph(NETWORK.format(weights=weights.strip()))


def refused(graph: Graph) -> list[str]:
    return [d.code for d in format_of(Path("x.uff")).check(graph, TARGET, load_catalog())]


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_that_are_computed_are_written_as_constants(kind: str, tmp_path: Path) -> None:
    graph, path = network(WEIGHTS[kind]), tmp_path / "x.uff"
    assert refused(graph) == []
    format_of(path).write(graph, path, TARGET, load_catalog(), FileFacts())
    model = read_uff(path)
    (data,) = (value for name, value in model.data.items() if name.startswith("weights"))
    assert np.array_equal(np.frombuffer(data.value.buffer(), np.float32), np.float32(VALUES[kind]))


def test_what_depends_on_an_input_stays_refused() -> None:
    cast = """
low = Cast(x) {SrcT: float32, DstT: float16, Truncate: false}
w = Cast(low) {SrcT: float16, DstT: float32, Truncate: false}"""
    assert refused(network(cast)) == ["X101", "X102"]


def test_what_uff_can_express_is_written_as_it_is(tmp_path: Path) -> None:
    sums = """
raw = Const() {dtype: float32, value: tensor<float32[1,1,2,2]: 1.0, 2.0, 3.0, 4.0>}
w = Identity(raw) {T: float32}"""
    graph, path = network(sums), tmp_path / "x.uff"
    format_of(path).write(graph, path, TARGET, load_catalog(), FileFacts())
    assert "raw" in {node.id for node in read_uff(path).nodes}


def test_more_than_the_graph_holds_is_not_computed() -> None:
    huge = f"""
shape = Const() {{dtype: int32, value: tensor<int32[4]: 1, 1, 2, {1 << 22}>}}
one = Const() {{dtype: float32, value: tensor<float32[]: 2.5>}}
w = Fill(shape, one) {{T: float32, index_type: int32}}"""
    assert refused(network(huge)) == ["X101", "X102"]


def test_a_recipe_for_halved_weights_converts_and_verifies(zoo_graph, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="ordinary operations run in TensorFlow")
    graph = zoo_graph("2018")
    nodes: list[Node] = []
    for node in graph:
        if node.name.endswith("/weights") and node.op == "Const":
            half = TensorValue.of(node.attrs["value"].array().astype(np.float16), DType.FLOAT16)
            nodes.append(Node(f"{node.name}/half", "Const", attrs={"dtype": DType.FLOAT16, "value": half}))
            types = {"SrcT": DType.FLOAT16, "DstT": DType.FLOAT32, "Truncate": False}
            node = Node(node.name, "Cast", (Ref(f"{node.name}/half"),), attrs=types)
        nodes.append(node)
    halved = graph.replace(nodes).check()
    made = surgeon.init(halved)
    assert not made.diagnostics
    surgeon.convert(made.recipe, halved, tmp_path / "x.uff")
    surgeon.convert("ssd", halved, tmp_path / "y.uff")
    assert surgeon.verify(made.recipe, halved).passed
