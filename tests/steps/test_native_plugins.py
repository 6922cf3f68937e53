"""The step ``native-plugins``: what it makes computes what TensorFlow does, and is written as UFF."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import surgeon
from surgeon.catalog import load_catalog
from surgeon.diagnostics import Diagnostic, SurgeonError
from surgeon.formats.graphdef import save_graph
from surgeon.formats.uff import read_uff
from surgeon.graph import DType, Graph, Ref, TensorValue, apply_edits, parse_graph
from surgeon.runners.references import ReferenceRunner
from surgeon.runners.tensorflow import TensorFlowRunner
from surgeon.steps.native_plugins import NativePlugins
from surgeon.steps.step import StepContext

CATALOG = load_catalog()
EXACT = 1e-6
"""A few roundings of float32, relative to the largest number."""


def turned(graph: Graph, outputs: tuple[str, ...] = (), **options: Any) -> tuple[Graph, list[Diagnostic]]:
    """Return the graph that the step makes, and its notes."""
    notes: list[Diagnostic] = []
    context = StepContext(graph, catalog=CATALOG, diagnostics=notes, outputs=outputs)
    return apply_edits(
        graph, NativePlugins.model_validate({"step": "native-plugins", **options}).plan(context)
    ), notes


def graph_of(shape: str, body: str, outputs: str = "y") -> Graph:
    return parse_graph(
        f"graph v1\noutputs: {outputs}\nx = Placeholder() {{dtype: float32, shape: shape[{shape}]}}\n{body}"
    )


def const(name: str, *values: int, scalar: bool = False) -> str:
    kind = "" if scalar else len(values)
    return f"{name} = Const() {{dtype: int32, value: tensor<int32[{kind}]: {', '.join(map(str, values))}>}}\n"


def number(name: str, value: float) -> str:
    return f"{name} = Const() {{dtype: float32, value: tensor<float32[]: {value!r}>}}\n"


def picture(batch: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(7).normal(0, 3, (batch, *shape)).astype(np.float32)


def differences(original: Graph, rewritten: Graph, x: np.ndarray) -> list[float]:
    """Return the largest difference of each output, relative to the largest number."""
    pytest.importorskip("tensorflow", reason="TensorFlow is the referee")
    feeds = {Ref("x"): x}
    wanted = TensorFlowRunner(original, original.outputs).fetch(original.outputs, feeds)
    found = ReferenceRunner(rewritten, CATALOG).execute(feeds)
    pairs = [(wanted[a], found[b]) for a, b in zip(original.outputs, rewritten.outputs, strict=True)]
    assert all(a.shape == b.shape for a, b in pairs)
    return [float(np.abs(a - b).max() / max(1.0, float(np.abs(a).max()))) for a, b in pairs]


def plugins(graph: Graph) -> list[tuple[str, dict[str, Any]]]:
    return [(node.op, dict(node.attrs)) for node in graph if node.op in CATALOG]


def changed(graph: Graph, key: str, value: Any) -> Graph:
    """Return the graph with a field of every plugin node that has it changed."""
    return graph.replace(
        [
            replace(node, attrs={**node.attrs, key: value})
            if node.op in CATALOG and key in node.attrs
            else node
            for node in graph
        ]
    )


# ResizeBilinear

MODES = [(False, False), (True, False), (False, True)]


def resizing(corners: bool, half: bool, *size: int) -> str:
    modes = f"align_corners: {str(corners).lower()}, half_pixel_centers: {str(half).lower()}"
    return const("size", *size) + f"y = ResizeBilinear(x, size) {{T: float32, {modes}}}\n"


@pytest.mark.parametrize(("corners", "half"), MODES)
@pytest.mark.parametrize(
    ("before", "after"),
    [((4, 6), (8, 12)), ((5, 7), (9, 4)), ((8, 3), (3, 8)), ((7, 7), (1, 15)), ((1, 4), (6, 2))],
)
def test_resize(corners: bool, half: bool, before: tuple[int, int], after: tuple[int, int]) -> None:
    graph = graph_of(f"2,{before[0]},{before[1]},3", resizing(corners, half, *after))
    made, remarks = turned(graph)
    assert not remarks and [op for op, _ in plugins(made)] == ["SurgeonResizeBilinear"]
    assert max(differences(graph, made, picture(2, *before, 3))) < EXACT


@pytest.mark.parametrize(("corners", "half"), MODES)
def test_another_mode_is_another_picture(corners: bool, half: bool) -> None:
    graph = graph_of("1,5,7,3", resizing(corners, half, 9, 12))
    made, _ = turned(graph)
    others = [mode for mode in MODES if mode != (corners, half)]
    for other in others:
        wrong = changed(changed(made, "alignCorners", int(other[0])), "halfPixelCenters", int(other[1]))
        assert max(differences(graph, wrong, picture(1, 5, 7, 3))) > 0.01


# Split, SplitV, Slice, StridedSlice

CUTS = {
    "split": (
        "2,4,6,8",
        const("axis", 3, scalar=True) + "s = Split(axis, x) {num_split: 2, T: float32}\n",
        "s,s:1",
        2,
    ),
    "split of rows": (
        "2,4,6,3",
        const("axis", 1, scalar=True) + "s = Split(axis, x) {num_split: 4, T: float32}\n",
        "s,s:1,s:2,s:3",
        4,
    ),
    "split from behind": (
        "2,9,4",
        const("axis", -2, scalar=True) + "s = Split(axis, x) {num_split: 3, T: float32}\n",
        "s:1,s:2",
        3,
    ),
    "split by sizes": (
        "2,4,6,8",
        const("n", 1, -1, 2)
        + const("axis", 3, scalar=True)
        + "s = SplitV(x, n, axis) {num_split: 3, T: float32, Tlen: int32}\n",
        "s,s:1,s:2",
        3,
    ),
    "slice": (
        "2,5,7,3",
        const("b", 0, 0, 2, 0) + const("n", -1, 5, 4, -1) + "s = Slice(x, b, n) {T: float32, Index: int32}\n",
        "s",
        1,
    ),
    "slice to the end": (
        "2,7",
        const("b", 0, 3) + const("n", 2, -1) + "s = Slice(x, b, n) {T: float32, Index: int32}\n",
        "s",
        1,
    ),
    "strided": (
        "2,5,7,3",
        const("b", 0, 0, 0, 1)
        + const("e", 0, 0, 0, 3)
        + const("t", 1, 1, 1, 1)
        + "s = StridedSlice(x, b, e, t) {T: float32, Index: int32, begin_mask: 7, end_mask: 7}\n",
        "s",
        1,
    ),
    "strided, few entries": (
        "2,6,3",
        const("b", 0, 1)
        + const("e", 0, -2)
        + const("t", 1, 1)
        + "s = StridedSlice(x, b, e, t) {T: float32, Index: int32, end_mask: 1}\n",
        "s",
        1,
    ),
}


@pytest.mark.parametrize("case", CUTS)
def test_cuts(case: str) -> None:
    shape, body, outputs, count = CUTS[case]
    graph = graph_of(shape, body, outputs)
    made, remarks = turned(graph)
    x = picture(*map(int, shape.split(",")))
    assert not remarks and {op for op, _ in plugins(made)} == {"SurgeonSlice"} and len(plugins(made)) == count
    assert max(differences(graph, made, x)) == 0
    shifted = changed(made, "begin", 0 if case != "split" else 1)
    assert max(differences(graph, shifted, x)) > 0.01


def test_readers_of_higher_outputs_follow() -> None:
    body = (
        const("axis", 3, scalar=True)
        + """s = Split(axis, x) {num_split: 3, T: float32}
a = Relu(s:2) {T: float32}
y = Mul(s, a) {T: float32}
"""
    )
    graph = graph_of("1,2,2,6", body)
    made, _ = turned(graph)
    assert [attrs for _, attrs in plugins(made)] == [
        {"axis": 1, "begin": 0, "size": 2},
        {"axis": 1, "begin": 4, "size": 2},
    ]
    assert (
        made["a"].inputs == (Ref("s/2"),)
        and "axis" not in made
        and max(differences(graph, made, picture(1, 2, 2, 6))) == 0
    )


def test_a_name_that_is_taken_gets_a_number() -> None:
    body = (
        const("axis", 3, scalar=True)
        + "s = Split(axis, x) {num_split: 2, T: float32}\ns/1 = Relu(s) {T: float32}\n"
    )
    graph = graph_of("1,2,2,6", body, "s:1,s/1")
    made, _ = turned(graph)
    assert (
        made.outputs == (Ref("s/1_1"), Ref("s/1")) and max(differences(graph, made, picture(1, 2, 2, 6))) == 0
    )


def test_rows_of_boxes_are_no_picture() -> None:
    """After a Reshape four axes are as the graph has them, for TensorRT, too."""
    body = (
        const("to", 2, 12, 1, 4)
        + const("b", 0, 2, 0, 0)
        + const("n", -1, 5, -1, -1)
        + """boxes = Reshape(x, to) {T: float32, Tshape: int32}
relu = Relu(boxes) {T: float32}
y = Slice(relu, b, n) {T: float32, Index: int32}
"""
    )
    graph = graph_of("2,4,4,3", body)
    made, _ = turned(graph)
    assert plugins(made) == [("SurgeonSlice", {"axis": 1, "begin": 2, "size": 5})] and made["y"].inputs == (
        Ref("relu"),
    )
    assert max(differences(graph, made, picture(2, 4, 4, 3))) == 0


def test_channels_first_needs_no_transpose() -> None:
    body = (
        const("b", 0, 1, 0, 0)
        + const("n", -1, 2, -1, -1)
        + """relu = Relu(x) {T: float32}
pool = MaxPool(y) {T: float32, ksize: [1,1,2,2], strides: [1,1,2,2], padding: "VALID", data_format: "NCHW"}
y = Slice(relu, b, n) {T: float32, Index: int32}
"""
    )
    made, _ = turned(graph_of("2,3,4,4", body, "pool"))
    assert plugins(made) == [("SurgeonSlice", {"axis": 1, "begin": 1, "size": 2})] and "y/plugin" not in made


# Tile

TILES = {"picture": ("2,2,3,4", (1, 2, 1, 3)), "rows": ("2,3,4", (1, 2, 1)), "numbers": ("2,5", (1, 3))}


@pytest.mark.parametrize("case", TILES)
def test_tile(case: str) -> None:
    shape, times = TILES[case]
    graph = graph_of(shape, const("n", *times) + "y = Tile(x, n) {T: float32, Tmultiples: int32}\n")
    made, _ = turned(graph)
    x = picture(*map(int, shape.split(",")))
    assert [op for op, _ in plugins(made)] == ["SurgeonTile"] and max(differences(graph, made, x)) == 0
    if case == "picture":
        assert plugins(made)[0][1] == {"repeats": (3, 2, 1)}
        with pytest.raises(AssertionError):
            differences(graph, changed(made, "repeats", (2, 1, 3)), x)


@pytest.mark.parametrize(
    ("plugin", "kept"),
    [
        ("LReLU_TRT(x) {negSlope: 0.125}", True),
        ("CustomClipPlugin(x) {clipMin: 0.0, clipMax: 1.0}", True),
        ("ResizeNearest_TRT(x) {scale: 2.0}", False),
    ],
)
def test_behind_a_plugin_a_picture_is_known_where_the_layout_is_kept(plugin: str, kept: bool) -> None:
    graph = graph_of(
        "2,2,3,4", f"{const('n', 1, 2, 1, 3)}a = {plugin}\ny = Tile(a, n) {{T: float32, Tmultiples: int32}}\n"
    )
    made, _ = turned(graph)
    assert plugins(made)[1:] == ([("SurgeonTile", {"repeats": (3, 2, 1)})] if kept else [])


# Activations


def test_leaky_relu() -> None:
    graph = graph_of("2,4,4,3", "y = LeakyRelu(x) {T: float32, alpha: 0.125}\n")
    made, _ = turned(graph)
    x = picture(2, 4, 4, 3)
    assert (
        plugins(made) == [("SurgeonActivation", {"type": 0, "alpha": 0.125})]
        and max(differences(graph, made, x)) < EXACT
    )
    assert max(differences(graph, changed(made, "alpha", 0.25), x)) > 0.01


def bounded(added: str, offset: float = 3.0) -> str:
    return number("three", offset) + f"more = AddV2({added}) {{T: float32}}\nr = Relu6(more) {{T: float32}}\n"


SWISHES = {
    "x r, then c": "p = Mul(x, r) {T: float32}\ny = Mul(p, c) {T: float32}\n",
    "r x, then c": "p = Mul(r, x) {T: float32}\ny = Mul(c, p) {T: float32}\n",
    "r c, then x": "p = Mul(r, c) {T: float32}\ny = Mul(x, p) {T: float32}\n",
    "x c, then r": "p = Mul(c, x) {T: float32}\ny = Mul(p, r) {T: float32}\n",
    "divided by 6": "p = RealDiv(r, six) {T: float32}\ny = Mul(p, x) {T: float32}\n",
    "divided at last": "p = Mul(r, x) {T: float32}\ny = RealDiv(p, six) {T: float32}\n",
}


@pytest.mark.parametrize("order", ["x, three", "three, x"])
@pytest.mark.parametrize("case", SWISHES)
def test_hard_swish(case: str, order: str) -> None:
    body = number("c", 1 / 6) + number("six", 6.0) + bounded(order) + SWISHES[case]
    graph = graph_of("2,4,4,3", body)
    made, _ = turned(graph)
    x = picture(2, 4, 4, 3)
    assert plugins(made) == [("SurgeonActivation", {"type": 1})] and max(differences(graph, made, x)) < EXACT
    assert (
        "r" not in made and "more" not in made and max(differences(graph, changed(made, "type", 2), x)) > 0.01
    )


def test_hard_swish_of_a_product() -> None:
    body = (
        number("c", 1 / 6)
        + "w = Mul(x, x) {T: float32}\n"
        + bounded("w, three")
        + """p = Mul(r, c) {T: float32}
y = Mul(w, p) {T: float32}
"""
    )
    graph = graph_of("2,4,4,3", body)
    made, _ = turned(graph)
    assert plugins(made) == [("SurgeonActivation", {"type": 1})] and made["y"].inputs == (Ref("w"),)
    assert max(differences(graph, made, picture(2, 4, 4, 3))) < EXACT


def test_what_others_read_of_the_pattern_stays() -> None:
    body = number("c", 1 / 6) + bounded("x, three") + SWISHES["x r, then c"]
    graph = graph_of("2,4,4,3", body, "y,r")
    made, _ = turned(graph)
    assert "r" in made and "p" not in made and max(differences(graph, made, picture(2, 4, 4, 3))) < EXACT


@pytest.mark.parametrize(
    ("scale", "offset", "other"),
    [(0.2, 3.0, "x"), (1 / 6, 2.0, "x"), (1 / 6, 3.0, "n")],
    ids=["scale", "offset", "tensor"],
)
def test_what_only_looks_like_hard_swish_stays(scale: float, offset: float, other: str) -> None:
    body = (
        "n = Neg(x) {T: float32}\n"
        + number("c", scale)
        + bounded(f"{other}, three", offset)
        + SWISHES["x r, then c"]
    )
    graph = graph_of("2,4,4,3", body)
    assert turned(graph) == (graph, [])


# What stays, and what is refused

STAYING = {
    "fed size": (
        "1,4,4,3",
        "size = Placeholder() {dtype: int32, shape: shape[2]}\ny = ResizeBilinear(x, size) {T: float32}\n",
        "size is not constant",
    ),
    "both modes": ("1,4,4,3", resizing(True, True, 8, 8), "both 'align_corners'"),
    "batch": (
        "4,6",
        const("axis", 0, scalar=True) + "y = Split(axis, x) {num_split: 2, T: float32}\n",
        "cuts axis 0",
    ),
    "unknown length": (
        "1,?",
        const("axis", 1, scalar=True) + "y = Split(axis, x) {num_split: 2, T: float32}\n",
        "is not known",
    ),
    "no multiple": (
        "1,7",
        const("axis", 1, scalar=True) + "y = Split(axis, x) {num_split: 2, T: float32}\n",
        "multiple of",
    ),
    "sizes": (
        "1,7",
        const("n", 3, 3)
        + const("axis", 1, scalar=True)
        + "y = SplitV(x, n, axis) {num_split: 2, T: float32, Tlen: int32}\n",
        "do not divide",
    ),
    "two axes": (
        "1,4,6",
        const("b", 0, 1, 1) + const("n", 1, 2, 2) + "y = Slice(x, b, n) {T: float32, Index: int32}\n",
        "axes 1, 2",
    ),
    "nothing": (
        "1,4,6",
        const("b", 0, 0, 0) + const("n", -1, 4, 6) + "y = Slice(x, b, n) {T: float32, Index: int32}\n",
        "cuts nothing",
    ),
    "first picture": (
        "4,6",
        const("b", 0, 0) + const("n", 1, -1) + "y = Slice(x, b, n) {T: float32, Index: int32}\n",
        "the batch",
    ),
    "too long": (
        "4,6",
        const("b", 0, 3) + const("n", -1, 4) + "y = Slice(x, b, n) {T: float32, Index: int32}\n",
        "4 places from 3",
    ),
    "steps": (
        "1,6",
        const("b", 0, 0)
        + const("e", 1, 6)
        + const("t", 1, 2)
        + "y = StridedSlice(x, b, e, t) {T: float32, Index: int32}\n",
        "strides are [1, 2]",
    ),
    "axis taken out": (
        "1,6,3",
        const("b", 0, 0)
        + const("e", 1, 1)
        + const("t", 1, 1)
        + "y = StridedSlice(x, b, e, t) {T: float32, Index: int32, shrink_axis_mask: 2}\n",
        "takes an axis out",
    ),
    "batch tiled": (
        "1,6",
        const("n", 2, 1) + "y = Tile(x, n) {T: float32, Tmultiples: int32}\n",
        "multiples are [2, 1]",
    ),
    "five axes": (
        "1,2,2,2,2",
        const("n", 1, 1, 1, 1, 2) + "y = Tile(x, n) {T: float32, Tmultiples: int32}\n",
        "5 axes",
    ),
    "no layout": (
        "1,2,2,2",
        const("n", 1, 1, 1, 2)
        + "odd = Unheard(x) {T: float32}\nmany = Cast(odd) {SrcT: float32, DstT: float32}\n"
        "y = Tile(many, n) {T: float32, Tmultiples: int32}\n",
        "axes",
    ),
}


@pytest.mark.parametrize("case", STAYING)
def test_a_node_that_cannot_be_turned_stays(case: str) -> None:
    shape, body, part = STAYING[case]
    graph = graph_of(shape, body)
    made, remarks = turned(graph)
    assert made == graph and [remark.code for remark in remarks] == ["S413"] and part in remarks[0].message
    with pytest.raises(SurgeonError, match="S412") as caught:
        turned(graph, nodes=["y"])
    assert part in str(caught.value)


def test_one_remark_for_many() -> None:
    body = const("n", 2, 1) + "".join(
        f"y{i} = Tile(x, n) {{T: float32, Tmultiples: int32}}\n" for i in range(5)
    )
    _, remarks = turned(graph_of("1,6", body, "y0"))
    assert len(remarks) == 1 and "5 nodes, the first 'y0'" in remarks[0].message


def test_a_node_without_a_plugin_is_refused() -> None:
    graph = graph_of("1,6", "y = Relu(x) {T: float32}\n")
    for options in ({"nodes": ["y"]}, {"nodes": ["y"], "ops": ["Tile"]}):
        with pytest.raises(SurgeonError, match="S411"):
            turned(graph, **options)
    with pytest.raises(SurgeonError, match="R201"):
        turned(graph, optional=False)
    assert turned(graph) == (graph, [])


def test_only_the_operations_and_nodes_asked_for() -> None:
    body = (
        const("n", 1, 2)
        + """a/t = Tile(x, n) {T: float32, Tmultiples: int32}
b/t = Tile(x, n) {T: float32, Tmultiples: int32}
y = LeakyRelu(a/t) {T: float32, alpha: 0.1}
z = Add(b/t, y) {T: float32}
"""
    )
    graph = graph_of("1,6", body, "z")
    assert [op for op, _ in plugins(turned(graph, ops=["LeakyRelu"])[0])] == ["SurgeonActivation"]
    made, _ = turned(graph, nodes=["b"])
    assert made["a/t"].op == "Tile" and made["b/t"].op == "SurgeonTile" and "n" in made


def test_computations_of_shapes_stay_without_a_remark() -> None:
    body = (
        """shape = Shape(x) {T: float32, out_type: int32}
"""
        + const("b", 1)
        + const("e", 3)
        + const("t", 1)
        + """hw = StridedSlice(shape, b, e, t) {T: int32, Index: int32}
y = Identity(hw) {T: int32}
"""
    )
    graph = graph_of("1,4,4,3", body)
    assert turned(graph) == (graph, [])


def test_an_output_that_the_recipe_counts_stays() -> None:
    graph = graph_of(
        "1,6", const("axis", 1, scalar=True) + "s = Split(axis, x) {num_split: 2, T: float32}\n", "s:1"
    )
    made, remarks = turned(graph, outputs=("s:1",))
    assert made == graph and "'s:1'" in remarks[0].message


def test_control_edges_stay() -> None:
    body = (
        const("n", 1, 1, 1, 2)
        + "before = Neg(x) {T: float32}\nt = Tile(x, n, ^before) {T: float32, Tmultiples: int32}\ny = Relu(x, ^t) {T: float32}\n"
    )
    made, _ = turned(graph_of("1,2,2,2", body))
    assert made["t"].control == ("before",) and made["y"].control == ("t",)


def test_a_branch_stays() -> None:
    body = (
        const("n", 1, 2)
        + """p = Placeholder() {dtype: bool, shape: shape[]}
s = Switch(x, p) {T: float32}
t = Tile(s:1, n) {T: float32, Tmultiples: int32}
u = Tile(s, n) {T: float32, Tmultiples: int32}
y = Merge(u, t) {N: 2, T: float32}
"""
    )
    graph = graph_of("1,6", body)
    made, remarks = turned(graph)
    assert made == graph and "loop or in a branch" in remarks[0].message


# Recipes and files

RECIPE = """\
recipe: 1
name: native
summary: Operations that UFF lacks become nodes of the native library.
outputs: [y]
steps:
  - step: native-plugins
"""


def network() -> Graph:
    weights = TensorValue.of(
        np.random.default_rng(3).normal(0, 0.5, (3, 3, 3, 8)).astype(np.float32), DType.FLOAT32
    )
    body = (
        """w = Const() {dtype: float32, value: tensor<float32[3,3,3,8]: 0.0>}
c = Conv2D(x, w) {T: float32, strides: [1,1,1,1], padding: "SAME", data_format: "NHWC"}
l = LeakyRelu(c) {T: float32, alpha: 0.1}
"""
        + const("size", 9, 12)
        + "r = ResizeBilinear(l, size) {T: float32, align_corners: false, half_pixel_centers: true}\n"
        + const("axis", 3, scalar=True)
        + """s = Split(axis, r) {num_split: 2, T: float32}
a = Relu(s) {T: float32}
b = Sigmoid(s:1) {T: float32}
y = Mul(a, b) {T: float32}
"""
    )
    graph = graph_of("1,5,7,3", body)
    return graph.replace(
        [
            replace(node, attrs={**node.attrs, "value": weights}) if node.name == "w" else node
            for node in graph
        ]
    )


def test_a_recipe_writes_uff(tmp_path: Path) -> None:
    """The file has the plugins' nodes and none of the Transposes: the parser holds a picture channels first by itself."""
    model, recipe, output = tmp_path / "network.pb", tmp_path / "native.yaml", tmp_path / "network.uff"
    save_graph(network(), model)
    recipe.write_text(RECIPE)
    made = surgeon.convert(recipe, model, output).plan.result
    nodes = {node.id: node for node in read_uff(output).nodes}
    ops = [node.operation for node in nodes.values()]
    assert {"_SurgeonActivation", "_SurgeonResizeBilinear", "_SurgeonSlice"} <= set(
        ops
    ) and "Transpose" not in ops
    assert ops.count("_SurgeonSlice") == 2 and not {"ResizeBilinear", "Split", "LeakyRelu"} & set(ops)
    assert made is not None and max(differences(network(), made, picture(1, 5, 7, 3))) < 10 * EXACT
