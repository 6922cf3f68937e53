"""UFF and ONNX files as graphs: their nodes, edges, fields and weights, and shapes that agree with the graph's they were made from."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import surgeon
from surgeon.catalog import load_catalog
from surgeon.formats import open_model
from surgeon.formats.uff import Blob, UffModel, UffNode, UffValue, export_uff, read_uff
from surgeon.formats.uff.as_graph import UffShapes, uff_graph
from surgeon.graph import DType, Graph, Ref, Tensor, TensorDigest, parse_graph
from surgeon.infer import Inference
from surgeon.viewer import Page, render_page, report_file, report_graph
from surgeon.zoo import demo

pytestmark = pytest.mark.xdist_group("as graph")

CASES = sorted((Path(__file__).parent / "uff" / "ops").glob("*.txt"))
LOST = {
    "bias_add": "UFF writes BiasAdd as an addition, which does not say that its input is an image",
    "constants": "element types that UFF lacks are written as others",
    "const_of_plugin": "its plugins have no fields",
    "plugins": "its plugins have no fields",
    "shape_and_stack": "its reshape has two open sizes",
}
"""Cases in which the file does not say what the shapes follow from."""


def as_held(spec: str, image: bool) -> str:
    """Return a spec as TensorRT holds it: images channels first."""
    found = re.fullmatch(r"(\w+)\[(\d+),(\d+),(\d+),(\d+)\]", spec)
    return f"{found[1]}[{found[2]},{found[5]},{found[3]},{found[4]}]" if found and image else spec


def specs(graph: Graph, known: Any) -> dict[str, str]:
    """Return the type and shape of every node's first output; an open batch counts as one, which UFF states for it."""
    return {node.name: str(known.spec(Ref(node.name))).replace("[?", "[1") for node in graph}


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.stem not in LOST], ids=lambda path: path.stem
)
def test_every_operation_has_the_shape_that_it_had(case: Path, exported: Callable[[str], UffModel]) -> None:
    text = case.read_text(encoding="utf-8").partition("----\n")[0]
    source = parse_graph(text)
    before = specs(source, Inference(source, rules=load_catalog().rules()))
    graph, known = uff_graph(exported(text), load_catalog())
    after = specs(graph, known)
    common = [
        name for name in after if name in before and "?" not in before[name] and "..." not in before[name]
    ]
    assert common and known.inference.contradictions == []
    assert {name: after[name] for name in common} == {
        name: as_held(before[name], name in known.images) for name in common
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the demo detector, rewritten, as a graph, as UFF and as ONNX in both renderings."""
    folder = tmp_path_factory.mktemp("made")
    for name in ("ssd.uff", "ssd.pb", "native.onnx", "standard.onnx"):
        rendering = (
            {"rendering": name.partition(".")[0], "target": "onnx@tensorrt-8.5"}
            if name.endswith("onnx")
            else {}
        )
        surgeon.convert("ssd", demo.model_path(), folder / name, decode="plugin", **rendering)
    return folder


def test_a_detector_in_uff_has_the_shapes_of_its_graph(made: Path) -> None:
    source = surgeon.load_graph(made / "ssd.pb")
    before = specs(source, Inference(source, rules=load_catalog().rules()))
    graph, known = open_model(made / "ssd.uff").graph()
    assert isinstance(known, UffShapes)
    graph.check()
    after = specs(graph, known)
    assert {name: spec for name, spec in after.items() if "?" in spec or "..." in spec} == {}
    common = [name for name in after if name in before and graph[name].op != "Const"]
    assert len(common) > 100 and {n: after[n] for n in common} == {
        n: as_held(before[n], n in known.images) for n in common
    }
    assert after["Input"] == "float32[1,3,300,300]" and after["MarkOutput_0"] == "float32[1,1,100,7]"
    assert dict(report_file(made / "ssd.uff").after.inputs)["Input"].shape.static() == (1, 3, 300, 300)


PYRAMID = """\
graph v1
outputs: y
x = Placeholder() {dtype: float32, shape: shape[1,16,24,3]}
w = Const() {dtype: float32, value: tensor<float32[3,3,3,4]: 0.5>}
v = Const() {dtype: float32, value: tensor<float32[1,1,4,4]: 0.5>}
first = Const() {dtype: int32, value: tensor<int32[4]: 0, 3, 1, 2>}
last = Const() {dtype: int32, value: tensor<int32[4]: 0, 2, 3, 1>}
fine = Conv2D(x, w) {strides: [1,1,1,1], padding: "SAME"}
coarse = Conv2D(fine, v) {strides: [1,2,2,1], padding: "SAME"}
there = Transpose(coarse, first)
enlarged = ResizeNearest_TRT(there) {scale: 2.0}
back = Transpose(enlarged, last)
sum = Add(back, fine)
y = Conv2D(sum, v) {strides: [1,1,1,1], padding: "SAME"}
"""


def test_images_pass_through_plugins_channels_first() -> None:
    source, catalog = parse_graph(PYRAMID), load_catalog()
    before = specs(source, Inference(source, rules=catalog.rules()))
    model = export_uff(source, plugins=catalog)
    assert "there" not in {node.id for node in model.nodes}
    graph, known = uff_graph(model, catalog)
    after = specs(graph, known)
    assert (
        known.inference.contradictions == []
        and before["enlarged"] == after["enlarged"] == "float32[1,4,16,24]"
    )
    others = [name for name in after if name in before and name != "enlarged"]
    assert {name: after[name] for name in others} == {
        name: as_held(before[name], name in known.images) for name in others
    }
    assert {"x", "fine", "coarse", "enlarged", "sum", "y"} <= {
        node.name for node in graph if node.name in known.images
    }


def test_a_uff_graph_has_plugins_fields_and_weights(made: Path) -> None:
    graph, _ = open_model(made / "ssd.uff").graph()
    nms = graph["NMS"]
    assert nms.op == "NMS_TRT" and nms.attrs["numClasses"] == 7 and nms.attrs["inputOrder"] == (0, 2, 1)
    assert [str(ref) for ref in graph["concat_priorbox"].inputs] == [
        "GridAnchor",
        *(f"GridAnchor:{i}" for i in range(1, 6)),
    ]
    source = surgeon.load_graph(made / "ssd.pb")
    name = next(
        node.name
        for node in graph
        if node.op == "Const" and node.name in source and len(node.attrs["value"].shape) == 4
    )  # type: ignore[union-attr]
    mine, theirs = graph[name].attrs["value"], source[name].attrs["value"]
    assert (
        isinstance(mine, Tensor)
        and isinstance(theirs, Tensor)
        and np.array_equal(mine.array(), theirs.array())
    )
    assert mine.dtype is DType.FLOAT32 and graph[name].attrs["dtype"] is DType.FLOAT32


def test_weights_that_do_not_fit_their_shape_are_shown_as_bytes(made: Path) -> None:
    from dataclasses import replace

    model = read_uff(made / "ssd.uff")
    name = next(
        node.id for node in model.nodes if node.operation == "Const" and len(node.fields["shape"].value) == 4
    )
    nodes = [
        UffNode(n.id, n.operation, n.inputs, {**n.fields, "shape": UffValue.ints((1, 1))})
        if n.id == name
        else n
        for n in model.nodes
    ]
    graph, _ = uff_graph(replace(model, nodes=tuple(nodes)), load_catalog())
    value = graph[name].attrs["value"]
    assert isinstance(value, Tensor) and value.dtype is DType.UINT8


def test_an_operation_that_is_not_known_is_shown_without_a_shape() -> None:
    nodes = (
        UffNode("a", "Input"),
        UffNode("b", "NoSuchOperation", ("a",)),
        UffNode("c", "_NoSuchPlugin", ("b",)),
        UffNode("MarkOutput_0", "MarkOutput", ("c",)),
    )
    graph, known = uff_graph(UffModel(nodes), load_catalog())
    assert [node.op for node in graph] == ["Input", "NoSuchOperation", "_NoSuchPlugin", "MarkOutput"]
    assert known.spec(Ref("MarkOutput_0")).shape.dims is None


@pytest.mark.parametrize(
    "value",
    [
        UffValue("i", 1 << 40),
        UffValue("s", "x"),
        UffValue("d", float("nan")),
        UffValue("dtype", DType.INT32),
        UffValue("ref", "w"),
    ],
)
def test_a_field_of_the_wrong_kind_costs_the_shape_only(value: UffValue) -> None:
    nodes = (
        UffNode(
            "a", "Input", (), {"shape": UffValue.ints((1, 4)), "dtype": UffValue("dtype", DType.FLOAT32)}
        ),
        UffNode("b", "Concat", ("a", "a"), {"axis": value}),
        UffNode("g", "_GridAnchor_TRT", (), {"numLayers_u_int": value}),
        UffNode("c", "Transpose", ("b",), {"permutation": value}),
        UffNode("m", "MarkOutput", ("c",)),
    )
    graph, known = uff_graph(UffModel(nodes, {"w": UffValue("blob", Blob.of(b"abcd"))}), load_catalog())
    assert [node.name for node in graph] == ["a", "b", "g", "c", "m"] and str(
        known.spec(Ref("a"))
    ) == "float32[1,4]"
    assert not known.spec(Ref("b")).shape.is_static
    report = report_graph(graph, stated=known)
    assert "Concat" in render_page(Page(report))


def test_a_uff_file_that_reads_in_a_ring_does_not_hang() -> None:
    ring = (
        UffNode("a", "Binary", ("b", "b")),
        UffNode("b", "Conv", ("a", "a")),
        UffNode("m", "MarkOutput", ("b",)),
    )
    graph, known = uff_graph(UffModel(ring), load_catalog())
    assert len(graph) == 3 and known.spec(Ref("m")).shape.rank in (None, 4)


@pytest.mark.parametrize("name", ["native.onnx", "standard.onnx"])
def test_an_onnx_file_has_nodes_constants_and_shapes(made: Path, name: str) -> None:
    report = report_file(made / name)
    side = report.after
    side.graph.check()
    assert dict(side.inputs)["Input"].shape.static() == (1, 3, 300, 300) and side.graph["Input"].op == "Input"
    assert [spec.shape.static() for _, spec in side.outputs] == [(1, 1, 100, 7)]
    assert [node.op for node in side.plugins] == (
        []
        if name == "standard.onnx"
        else ["FlattenConcat_TRT", "GridAnchor_TRT", "FlattenConcat_TRT", "NMS_TRT"]
    )
    known = [spec for node in side.graph for spec in side.specs(node.name)]
    assert sum(spec.shape.is_static for spec in known) > 0.9 * len(known)
    assert side.constant_bytes == surgeon.inspect(made / name).constant_bytes


def test_an_onnx_graph_has_plugins_with_their_fields(made: Path) -> None:
    graph, _ = open_model(made / "native.onnx").graph()
    assert (
        graph["NMS"].op == "NMS_TRT"
        and graph["NMS"].attrs["numClasses"] == 7
        and graph["NMS"].attrs["plugin_version"] == b"1"
    )


def test_onnx_nodes_without_names_optional_inputs_and_inner_graphs(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="reading ONNX needs onnx")
    from onnx import TensorProto, helper

    inner = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "then",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
    )
    nodes = [
        helper.make_node("Clip", ["x", "", "top"], ["clipped"]),
        helper.make_node("If", ["flag"], ["chosen"], then_branch=inner, else_branch=inner),
        helper.make_node("Relu", ["clipped"], ["up"], name="/block/relu"),
        helper.make_node("Relu", ["chosen"], ["out"], name="/block/relu"),
        helper.make_node("Odd", ["up"], ["odd"], domain="my.domain", alpha=0.5, words=["a", "b"]),
    ]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2]),
        helper.make_tensor_value_info("flag", TensorProto.BOOL, []),
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("out", "odd")]
    top = helper.make_tensor("top", TensorProto.FLOAT, [], [6.0])
    graph = helper.make_graph(nodes, "g", inputs, outputs, [top])
    path = tmp_path / "odd.onnx"
    onnx.save(
        helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 13), helper.make_opsetid("my.domain", 1)]
        ),
        str(path),
    )
    found, known = open_model(path).graph()
    assert known is not None
    assert [(node.name, node.op, [str(ref) for ref in node.inputs]) for node in found] == [
        ("x", "Input", []),
        ("flag", "Input", []),
        ("top", "Const", []),
        ("clipped", "Clip", ["x", "top"]),
        ("chosen", "If", ["flag", "x"]),
        ("block/relu", "Relu", ["clipped"]),
        ("block/relu_1", "Relu", ["chosen"]),
        ("odd", "my.domain.Odd", ["block/relu"]),
    ]
    assert (
        found["odd"].attrs == {"alpha": 0.5, "words": (b"a", b"b")}
        and found["chosen"].attrs["then_branch"] == b"a graph of 1 node"
    )
    assert known.spec(Ref("clipped")).shape.dims == (None, 2) and [str(ref) for ref in found.outputs] == [
        "block/relu_1",
        "odd",
    ]


def test_weights_beside_an_onnx_file_are_not_read(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="reading ONNX needs onnx")
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.ones((64, 64), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64])],
        [weights],
    )
    onnx.save(
        helper.make_model(graph),
        str(tmp_path / "m.onnx"),
        save_as_external_data=True,
        location="m.weights",
        size_threshold=0,
    )
    (tmp_path / "m.weights").unlink()
    found, known = open_model(tmp_path / "m.onnx").graph()
    value = found["w"].attrs["value"]
    assert (
        known is not None
        and isinstance(value, TensorDigest)
        and value.nbytes == 64 * 64 * 4
        and str(known.spec(Ref("w"))) == "float32[64,64]"
    )


@pytest.mark.parametrize("name", ["x.uff", "x.onnx"])
def test_a_damaged_file_is_a_diagnostic(tmp_path: Path, name: str) -> None:
    for content in (b"", b"\x00\x01garbage" * 9):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(surgeon.SurgeonError):
            surgeon.view(tmp_path / name)
    with pytest.raises(surgeon.SurgeonError):
        surgeon.diff(tmp_path / name, demo.model_path())


def test_files_are_compared_and_shown(made: Path) -> None:
    found = surgeon.diff(made / "native.onnx", made / "standard.onnx", html=made / "diff.html")
    assert {node.op for node in found.removed} >= {"NMS_TRT"} and any(
        node.name.startswith("NMS/") for node in found.added
    )
    page = (made / "diff.html").read_text(encoding="utf-8")
    assert "NMS_TRT" in page and "standard.onnx" in page
    for name in ("ssd.uff", "native.onnx"):
        report = surgeon.view(made / name, html=made / "page.html")
        assert len(report.after.plugins) >= 3 and "NMS_TRT" in (made / "page.html").read_text(
            encoding="utf-8"
        )


def test_onnx_constants_of_every_kind_are_there(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="reading ONNX needs onnx")
    from onnx import TensorProto, helper

    values = helper.make_tensor("sparse", TensorProto.FLOAT, [2], [1.0, 2.0])
    sparse = helper.make_sparse_tensor(
        values, helper.make_tensor("where", TensorProto.INT64, [2], [0, 3]), [4]
    )
    constants = [
        helper.make_tensor("words", TensorProto.STRING, [2], [b"a", b"b"]),
        helper.make_tensor("half", TensorProto.BFLOAT16, [2], [1.0, 2.0]),
        TensorProto(name="tiny", data_type=TensorProto.FLOAT8E4M3FN, dims=[3], raw_data=b"abc"),
        TensorProto(name="odd", data_type=TensorProto.FLOAT, dims=[-4], raw_data=bytes(16)),
    ]
    names = ["sparse", "words", "half", "tiny", "odd"]
    nodes = [helper.make_node("Odd", names, ["y"], domain="my.domain")]
    graph = helper.make_graph(
        nodes,
        "g",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        constants,
        sparse_initializer=[sparse],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("my.domain", 1)]
    )
    (tmp_path / "kinds.onnx").write_bytes(model.SerializeToString())
    found, known = open_model(tmp_path / "kinds.onnx").graph()
    assert known is not None and [str(ref) for ref in found["y"].inputs] == names
    assert [str(known.spec(Ref(name))) for name in names] == [
        "float32[4]",
        "string[2]",
        "bfloat16[2]",
        "?[3]",
        "float32[?]",
    ]
    half, tiny, stored = (
        found["half"].attrs["value"],
        found["tiny"].attrs["stored"],
        found["sparse"].attrs["values"],
    )
    assert isinstance(half, Tensor) and half.array().tolist() == [0x3F80, 0x4000]
    assert isinstance(tiny, Tensor) and tiny.nbytes == 3 and isinstance(stored, Tensor) and stored.nbytes == 8
    assert surgeon.inspect(tmp_path / "kinds.onnx").constant_bytes >= 0


def test_onnx_names_that_begin_with_a_slash(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="reading ONNX needs onnx")
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Relu", ["x"], ["h"], name="/block/a"),
        helper.make_node("Relu", ["h"], ["y"], name="/block/b"),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:])), str(tmp_path / "m.onnx"))
    assert [one.name for one in surgeon.inspect(tmp_path / "m.onnx").namespaces] == ["block"]
    for under in ("block", "/block", "/block/"):
        assert [one.name for one in surgeon.inspect(tmp_path / "m.onnx", under=under).namespaces] == [
            "block/a",
            "block/b",
        ]
