"""The files for Model Explorer: whole graphs, shapes, fields, fates and colours; what loads them is the genuine package."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

import surgeon
from surgeon.graph import DType, Graph, Node, Ref, Shape, parse_graph
from surgeon.viewer import ChangeReport, report_difference, report_file, report_graph
from surgeon.viewer.explorer import (
    explorer_files,
    explorer_query,
    graph_data,
    label_of,
    mapping,
    node_data,
    write_explorer,
)
from surgeon.viewer.explorer_layers import namespace_of, path_of, whole_layers
from surgeon.viewer.explorer_states import STATES
from surgeon.zoo import demo

pytestmark = pytest.mark.xdist_group("explorer")

FATES = ("collapsed", "forwarded", "dropped", "added", "rewired", "changed", "renamed", "derived")


@pytest.fixture(scope="module")
def demo_report() -> ChangeReport:
    """Give the report of the demo detector, rewritten by the recipe for its kind."""
    from surgeon.zoo import demo

    return surgeon.view(demo.model_path(), "ssd", decode="plugin")


@pytest.fixture
def difference() -> ChangeReport:
    """Give the report of two graphs of which one lacks a node, one has another, and one node reads something else."""
    first = parse_graph(
        "graph v1\na = Placeholder() {dtype: float32, shape: shape[2]}\nb = Neg(a) {T: float32}\nc = Abs(b) {T: float32}\n"
    )
    second = parse_graph(
        "graph v1\na = Placeholder() {dtype: float32, shape: shape[2]}\nd = Exp(a) {T: float32}\nc = Abs(d) {T: float32}\n"
    )
    return report_difference(first, second, title="one and two")


def awkward() -> Graph:
    """Return a graph whose names are what files of others may hold: no tree, empty parts, separators, depth, control edges."""
    names = [
        "plain",
        "a/b",
        "a",
        "/leading//double",
        "trailing/",
        "semi;colon/x",
        "back\\/slash",
        "/",
        "deep/" * 30 + "end",
        "é/漢",
    ]
    nodes = [Node(names[0], "Placeholder", (), (), {"dtype": DType.FLOAT32, "shape": Shape((1, 2))})]
    for name, before in zip(names[1:], names, strict=False):
        nodes.append(Node(name, "Identity", (Ref(before),), (names[0],), {"T": DType.FLOAT32}))
    return Graph(nodes)


def faults(data: dict[str, Any]) -> list[str]:
    """Return what would be wrong with a graph in Model Explorer."""
    nodes = {node["id"]: node for node in data["nodes"]}
    found = (
        [f"{len(data['nodes']) - len(nodes)} ids are taken twice"] if len(nodes) != len(data["nodes"]) else []
    )
    layers = {
        "/".join(node["namespace"].split("/")[: depth + 1])
        for node in nodes.values()
        for depth in range(node["namespace"].count("/") + 1)
    }
    for node in nodes.values():
        slots = [edge["targetNodeInputId"] for edge in node.get("incomingEdges", ())]
        if len(set(slots)) != len(slots):
            found.append(f"{node['id']}: two edges into one input")
        for edge in node.get("incomingEdges", ()):
            source = nodes.get(edge["sourceNodeId"])
            if source is None:
                found.append(f"{node['id']}: no source {edge['sourceNodeId']}")
            elif edge["sourceNodeOutputId"] not in {output["id"] for output in source["outputsMetadata"]}:
                found.append(
                    f"{node['id']}: no output {edge['sourceNodeOutputId']} of {edge['sourceNodeId']}"
                )
        if (any(not part for part in node["namespace"].split("/")) and node["namespace"]) or ";" in node[
            "namespace"
        ]:
            found.append(f"{node['id']}: the namespace {node['namespace']!r}")
        if not node["label"]:
            found.append(f"{node['id']}: no label")
        for attrs in (
            node["attrs"],
            *(item["attrs"] for item in (*node.get("outputsMetadata", ()), *node.get("inputsMetadata", ()))),
        ):
            if len({pair["key"] for pair in attrs}) != len(attrs) or not all(
                isinstance(pair["value"], str) for pair in attrs
            ):
                found.append(f"{node['id']}: attributes")
    if set(data["groupNodeAttributes"]) != layers - {""} | {""}:
        found.append("layers")
    return found


def attributes(data: dict[str, Any], name: str) -> dict[str, str]:
    (node,) = [node for node in data["nodes"] if node["id"] == name]
    return {pair["key"]: pair["value"] for pair in node["attrs"]}


def test_graphs_are_whole(demo_report: ChangeReport, report: ChangeReport, difference: ChangeReport) -> None:
    assert demo_report.before is not None
    data = graph_data(demo_report, "before")
    assert faults(data) == [] and len(data["nodes"]) == len(demo_report.before.nodes) > 2000
    for told, keys in (
        (demo_report, ("after",)),
        (report, ("before", "after")),
        (difference, ("first", "second")),
    ):
        assert [faults(graph_data(told, key)) for key in keys] == [[] for _ in keys]
    edges = sum(len(node.get("incomingEdges", ())) for node in data["nodes"])
    assert edges == sum(
        len(told.node.inputs) + len(told.node.control) for told in demo_report.before.nodes.values()
    )


def test_faults_would_be_seen(report: ChangeReport) -> None:
    data = graph_data(report, "after")

    def changed(change: Callable[[dict[str, Any]], object]) -> list[str]:
        other = copy.deepcopy(data)
        change(other)
        return faults(other)

    last = data["nodes"].index(next(node for node in data["nodes"] if node["id"] == "clip"))
    assert changed(lambda d: d["nodes"][last]["incomingEdges"][0].update(sourceNodeId="none"))
    assert changed(lambda d: d["nodes"][last]["incomingEdges"][0].update(sourceNodeOutputId="7"))
    assert changed(lambda d: d["nodes"].append(d["nodes"][0]))
    assert changed(lambda d: d["nodes"][0].update(namespace="no/such"))
    assert changed(lambda d: d["nodes"][0].update(label=""))
    assert changed(lambda d: d["nodes"][0]["attrs"].append(d["nodes"][0]["attrs"][0]))


def test_names_of_others_make_layers_and_labels() -> None:
    told = report_graph(awkward(), title="awkward")
    data = graph_data(told, "graph")
    assert faults(data) == []
    places = {node["id"]: (node["namespace"], node["label"]) for node in data["nodes"]}
    assert places["a/b"] == ("a", "b") and places["a"] == ("", "a")
    assert (
        places["/leading//double"] == ("leading", "double")
        and places["trailing/"] == ("", "trailing")
        and places["/"] == ("", "/")
    )
    assert places["semi;colon/x"] == ("semi:colon", "x") and places["é/漢"] == ("é", "漢")
    assert namespace_of("deep/" * 30 + "end").count("/") == 11 and path_of("deep/" * 30 + "end")[-1].endswith(
        "/end"
    )
    assert "\\" not in namespace_of("back\\/slash")


def test_control_edges_are_told_from_others() -> None:
    data = graph_data(report_graph(awkward()), "graph")
    node = next(node for node in data["nodes"] if node["id"] == "a")
    assert [edge["sourceNodeOutputId"] for edge in node["incomingEdges"]] == ["0", "control"]
    assert node["inputsMetadata"] == [{"id": "1", "attrs": [{"key": "__tensor_tag", "value": "control"}]}]


def test_edges_have_element_type_and_shape(demo_report: ChangeReport) -> None:
    data = graph_data(demo_report, "after")
    nodes = {node["id"]: node for node in data["nodes"]}

    def shape(name: str, slot: int = 0) -> str:
        return {pair["key"]: pair["value"] for pair in nodes[name]["outputsMetadata"][slot]["attrs"]}[
            "tensor_shape"
        ]

    assert (
        shape("Input") == "float32[1,300,300,3]"
        and shape("NMS") == "float32[1,1,100,7]"
        and shape("NMS", 1) == "float32[1,1,1,1]"
    )
    assert [
        {pair["key"]: pair["value"] for pair in output["attrs"]}["__tensor_tag"]
        for output in nodes["NMS"]["outputsMetadata"]
    ] == ["detections", "count"]
    assert sum(shape(node["id"]).startswith(("float32[", "int32[")) for node in data["nodes"]) > 0.9 * len(
        nodes
    )


def test_a_plugin_node_has_all_fields_and_the_derived_are_marked(demo_report: ChangeReport) -> None:
    shown = attributes(graph_data(demo_report, "after"), "NMS")
    assert set(demo_report.after.catalog["NMS_TRT"].fields) <= set(shown)
    assert shown["numClasses"].startswith("7 (derived: ") and "float32[1,1083,7]" in shown["numClasses"]
    assert (
        shown["Operation"] == "NMS_TRT"
        and shown["Fate"] == "added"
        and shown["Took the place of"].startswith("Postprocessor (")
    )
    assert re.fullmatch(r"recipes/ssd\.yaml:\d+", shown["Recipe line"])
    marked = {key for key, text in shown.items() if "(derived" in text}
    derived = {one.field for one in demo_report.derivations if one.node == "NMS"}
    assert marked == derived - {"decode"} and marked < set(shown)  # who decodes is no field


def test_a_field_that_is_left_out_shows_its_default() -> None:
    catalog = report_graph(parse_graph("graph v1\na = Placeholder() {dtype: float32}\n")).after.catalog
    op, name, default = next(
        (op, name, spec.default)
        for op, plugin in catalog.items()
        for name, spec in plugin.fields.items()
        if spec.default is not None
    )
    told = report_graph(Graph([Node("alone", op, (), (), {})]))
    assert attributes(graph_data(told, "graph"), "alone")[name].endswith(" (default)") and default is not None


def test_what_was_taken_out_says_why_and_what_for(demo_report: ChangeReport) -> None:
    data = graph_data(demo_report, "before")
    gone = attributes(data, "Postprocessor/Decode/truediv")
    assert (
        gone["Fate"] == "collapsed"
        and gone["Became"] == "NMS"
        and gone["Why"]
        and gone["Step"]
        and gone["Recipe line"].startswith("recipes/ssd.yaml:")
    )
    layer = data["groupNodeAttributes"]["Postprocessor"]
    assert (
        layer["Nodes"] == "834"
        and layer["Became"] == "NMS"
        and "collapsed 812" in layer["Fate"]
        and "recipes/ssd.yaml:" in layer["Recipe line"]
    )
    assert data["groupNodeAttributes"]["FeatureExtractor/MobilenetV1/Conv2d_0"]["Constants"].endswith("B")


def test_constants_have_their_bytes_and_are_labelled_so_that_they_can_be_hidden(report: ChangeReport) -> None:
    data = graph_data(report, "before")
    node = next(node for node in data["nodes"] if node["id"] == "body/weights")
    assert node["label"] == "Const" and attributes(data, "body/weights")["Constant"] == "24 B"
    assert {pair["key"]: pair["value"] for pair in node["outputsMetadata"][0]["attrs"]}[
        "tensor_shape"
    ] == "float32[1,1,3,2]"


def test_a_change_shows_both_sides(difference: ChangeReport) -> None:
    shown = attributes(graph_data(difference, "second"), "c")
    assert shown["Fate"] == "rewired" and any(
        key.startswith("Changed ") and text == "(b) → (d)" for key, text in shown.items()
    )


def test_every_fate_is_coloured(
    demo_report: ChangeReport, report: ChangeReport, difference: ChangeReport
) -> None:
    found: dict[str, str] = {}
    other = report_difference(
        parse_graph("graph v1\na = Neg() {T: float32}\n"), parse_graph("graph v1\na = Neg() {T: int32}\n")
    )
    for told in (demo_report, report, difference, renamed(), other):
        for side in node_data(told).values():
            found.update({result["value"]: result["bgColor"] for result in side["results"].values()})
    assert set(FATES) <= set(found) and "removed" in found and "kept" not in found
    assert all(
        colour == STATES["dropped" if state == "removed" else state].colour for state, colour in found.items()
    )


def renamed() -> ChangeReport:
    """Return the report of a recipe that gives a node another name."""
    from surgeon.language import parse_recipe
    from surgeon.viewer import report_plan

    graph = parse_graph(
        "graph v1\na = Placeholder() {dtype: float32, shape: shape[2]}\nb = Neg(a) {T: float32}\nc = Abs(b) {T: float32}\n"
    )
    recipe = parse_recipe(
        "recipe: 1\nname: r\nsummary: Renames.\noutputs: [c]\nsteps:\n  - {step: rename, nodes: {b: middle}}\n",
        "r.yaml",
    )
    return report_plan(surgeon.plan(recipe, graph))


def test_kept_nodes_have_no_colour_and_the_graph_alone_only_its_plugins(demo_report: ChangeReport) -> None:
    data = node_data(demo_report)
    assert "FeatureExtractor/MobilenetV1/Conv2d_0/weights" not in data["after"]["results"]
    assert data["after"]["results"]["NMS"] == {"value": "derived", "bgColor": "#6a35d2"}
    assert data["before"]["results"]["Postprocessor/Decode/truediv"]["value"] == "collapsed"
    alone = node_data(report_graph(demo_report.after.graph))
    assert {result["value"] for result in alone["graph"]["results"].values()} == {"plugin"} and len(
        alone["graph"]["results"]
    ) == 4


def test_the_colours_are_those_of_the_page() -> None:
    sheet = (files("surgeon.viewer.assets") / "page.css").read_text(encoding="utf-8")
    named = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", sheet[: sheet.index("}")]))
    pairs = {
        "collapsed": "blue",
        "dropped": "bad",
        "added": "good",
        "rewired": "warn",
        "changed": "teal",
        "renamed": "teal",
        "derived": "violet",
        "plugin": "violet",
    }
    assert {state: STATES[state].colour.lower() for state in pairs} == {
        state: named[name] for state, name in pairs.items()
    }
    assert STATES["changed"].colour != STATES["renamed"].colour


def test_the_legend_names_the_colours_that_are_used(demo_report: ChangeReport) -> None:
    about = graph_data(demo_report, "after")["groupNodeAttributes"][""]
    used = {result["value"] for result in node_data(demo_report)["after"]["results"].values()}
    assert {key for key in about if key in STATES} == used and about["derived"].startswith("violet: 4 nodes")
    assert (
        about["Nodes"] == "664"
        and about["Recipe"] == "ssd"
        and about["Inputs"] == "Input float32[1,300,300,3]"
    )


def test_the_mapping_leads_from_a_node_to_what_took_its_place(demo_report: ChangeReport) -> None:
    assert demo_report.before is not None
    left: dict[str, list[str]] = {}
    right: dict[str, list[str]] = {}
    for entry in mapping(demo_report)[
        "mappingEntries"
    ]:  # as Model Explorer reads them: the last entry counts
        left.update(dict.fromkeys(entry["leftNodeIds"], entry["rightNodeIds"]))
        right.update(dict.fromkeys(entry["rightNodeIds"], entry["leftNodeIds"]))
    assert left["Postprocessor/Decode/truediv"] == ["NMS"] and left["Postprocessor___group___"] == ["NMS"]
    assert (
        right["NMS"] == ["Postprocessor___group___"]
        and "MultipleGridAnchorGenerator___group___" in right["GridAnchor"]
    )
    assert all(name in demo_report.after.nodes for names in left.values() for name in names)
    assert "FeatureExtractor/MobilenetV1/Conv2d_0/weights" not in left


def test_a_layer_of_which_something_stays_is_not_mapped_as_a_whole() -> None:
    names = ["a/x", "a/y", "b/x", "b/y", "c"]
    gone = {"a/x": "n", "b/x": "n", "b/y": "n", "c": "n"}
    assert whole_layers(gone, names, ["a/y", "n"]) == {"n": ["a/x", "b___group___", "c"]}
    assert whole_layers(gone, names, ["n"]) == {"n": ["a___group___", "b___group___", "c"]}


def test_the_files_are_written_and_always_the_same(demo_report: ChangeReport, tmp_path: Path) -> None:
    from surgeon.zoo import demo

    written = write_explorer(demo_report, tmp_path / "made" / "here")
    assert [path.name for path in written] == ["before.json", "after.json", "colours.json", "sync.json"]
    again = explorer_files(surgeon.view(demo.model_path(), "ssd", decode="plugin"))
    assert {path.name: path.read_text() for path in written} == again
    assert explorer_files(replace(demo_report, recipe="other")) != again
    assert list(explorer_files(report_graph(demo_report.after.graph))) == ["graph.json", "colours.json"]


@pytest.mark.determinism
def test_the_order_of_the_files_is_that_of_the_graph(report: ChangeReport) -> None:
    data = json.loads(explorer_files(report)["before.json"])
    assert report.before is not None
    assert [node["id"] for node in data["graphs"][0]["nodes"]] == list(report.before.nodes)


def test_the_address_opens_both_graphs_side_by_side(report: ChangeReport, tmp_path: Path) -> None:
    start, _, text = explorer_query(report, tmp_path).partition("=")
    data = json.loads(unquote(text))
    assert start == "/?data" and [model["url"] for model in data["models"]] == [
        str(tmp_path / "before.json"),
        str(tmp_path / "after.json"),
    ]
    panes = data["uiState"]["paneStates"]
    assert [(pane["selectedGraphId"], pane["widthFraction"]) for pane in panes] == [
        ("before", 0.5),
        ("after", 0.5),
    ]
    assert (
        [pane["selectedCollectionLabel"] for pane in panes]
        == data["nodeDataTargets"]
        == [label_of(report, "before"), label_of(report, "after")]
    )
    alone = json.loads(unquote(explorer_query(report_graph(report.after.graph), tmp_path).partition("=")[2]))
    assert len(alone["uiState"]["paneStates"]) == 1 and "sync" not in alone


def test_a_generated_detector_is_whole_too(zoo_ssd: Callable[..., Path]) -> None:
    pytest.importorskip("tensorflow", reason="the graph is generated by TensorFlow")
    told = surgeon.view(zoo_ssd("2018"), "ssd")
    assert [faults(graph_data(told, key)) for key in ("before", "after")] == [[], []]
    assert node_data(told)["after"]["results"]["NMS"]["value"] == "derived"


@pytest.mark.parametrize("name", ["ssd.uff", "ssd.onnx"])
def test_files_of_other_formats_are_whole_too(tmp_path: Path, name: str) -> None:
    target = {"ssd.uff": "uff@tensorrt-8.5", "ssd.onnx": "onnx@tensorrt-8.5"}[name]
    surgeon.convert("ssd", demo.model_path(), tmp_path / name, target=target)
    told = report_file(tmp_path / name)
    data = graph_data(told, "graph")
    assert faults(data) == []
    nms = attributes(data, "NMS")
    assert nms["Operation"] == "NMS_TRT" and nms["numClasses"] == "7" and nms["topK"] == "1917"
    shapes = [
        pair["value"]
        for node in data["nodes"]
        for one in node.get("outputsMetadata", [])
        for pair in one["attrs"]
        if pair["key"] == "tensor_shape"
    ]
    assert (
        "float32[1,1,100,7]" in shapes
        and "float32[1,3,300,300]" in shapes
        and not any("?" in shape for shape in shapes)
    )
    assert node_data(told)["graph"]["results"]["NMS"]["value"] == "plugin"


def test_the_genuine_package_takes_the_files(demo_report: ChangeReport) -> None:
    pytest.importorskip("model_explorer", reason="Model Explorer is not installed: pip install '.[view]'")
    from dacite import Config, DaciteError, from_dict
    from model_explorer.graph_builder import GraphCollection
    from model_explorer.node_data_builder import GraphNodeData, NodeDataResult

    read = {name: json.loads(text) for name, text in explorer_files(demo_report).items()}
    for name in ("before.json", "after.json"):
        collection = from_dict(GraphCollection, read[name], Config(strict=True))
        assert collection.graphs[0].nodes[0].id and collection.graphs[0].groupNodeAttributes
        with pytest.raises(DaciteError):
            from_dict(GraphCollection, {**read[name], "more": 1}, Config(strict=True))
    for data in read["colours.json"].values():
        kept = {key: value for key, value in data.items() if key != "results"}
        assert (
            from_dict(GraphNodeData, {**kept, "results": {}}, Config(strict=True)).name == "what became of it"
        )
        assert all(
            set(result) <= set(NodeDataResult.__dataclass_fields__) for result in data["results"].values()
        )
