"""The shipped plugins: fields, versions, ports and shapes, by numbers computed by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from surgeon.catalog import Catalog, load_catalog
from surgeon.diagnostics import Diagnostic, Span, SurgeonError
from surgeon.graph import Node, Ref, TensorSpec, parse_graph
from surgeon.infer import Inference
from surgeon.targets import load_target

GRID: Mapping[str, Any] = {
    "numLayers": 6,
    "minSize": 0.2,
    "maxSize": 0.95,
    "aspectRatios": [1.0, 2.0, 0.5, 3.0, 0.33],
    "variance": [0.1, 0.1, 0.2, 0.2],
    "featureMapShapes": [19, 10, 5, 3, 2, 1],
}
NMS: Mapping[str, Any] = {
    "shareLocation": 1,
    "varianceEncodedInTarget": 0,
    "backgroundLabelId": 0,
    "numClasses": 91,
    "topK": 100,
    "keepTopK": 100,
    "confidenceThreshold": 1e-8,
    "nmsThreshold": 0.6,
    "inputOrder": [0, 2, 1],
    "confSigmoid": 1,
    "isNormalized": 1,
}
FLATTEN = {"axis": 1, "ignoreBatch": 0}
f32 = lambda *dims: TensorSpec.of("float32", *dims)  # noqa: E731

PRIORS = 3 * 361 + 6 * (100 + 25 + 9 + 4 + 1)
"""Boxes of a 300 x 300 SSD: three a cell on the first map, six on the five others."""


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


def problems(action: Callable[[], object]) -> tuple[Diagnostic, ...]:
    with pytest.raises(SurgeonError) as caught:
        action()
    return caught.value.diagnostics


def codes(action: Callable[[], object]) -> list[str]:
    return [d.code for d in problems(action)]


def test_numbers_of_a_300_by_300_ssd() -> None:
    assert (PRIORS, PRIORS * 4, PRIORS * 91) == (1917, 7668, 174447)


# Fields


@pytest.mark.determinism
def test_defaults_become_explicit_in_the_order_of_declaration(catalog: Catalog) -> None:
    fields = catalog["NMS_TRT"].complete(NMS, version=(8, 5, 1))
    assert list(fields) == [*NMS, "codeType", "scoreBits", "isBatchAgnostic"]
    assert (fields["codeType"], fields["scoreBits"], fields["isBatchAgnostic"]) == (3, 16, 1)
    shuffled = dict(reversed(NMS.items()))
    assert list(catalog["NMS_TRT"].complete(shuffled)) == list(fields)


def test_floats_are_rounded_to_float32_and_ints_stay(catalog: Catalog) -> None:
    fields = catalog["GridAnchor_TRT"].complete({**GRID, "maxSize": 1})
    assert fields["aspectRatios"] == (1.0, 2.0, 0.5, 3.0, 0.33000001311302185)
    assert fields["maxSize"] == 1.0 and isinstance(fields["maxSize"], float)
    assert fields["featureMapShapes"] == (19, 10, 5, 3, 2, 1) and isinstance(fields["numLayers"], int)
    assert fields["aspectRatios"] != tuple(GRID["aspectRatios"])


def test_completing_twice_changes_nothing(catalog: Catalog) -> None:
    once = catalog["NMS_TRT"].complete(NMS)
    assert catalog["NMS_TRT"].complete(once) == once


def test_a_truth_value_becomes_0_or_1(catalog: Catalog) -> None:
    fields = catalog["NMS_TRT"].complete({**NMS, "shareLocation": True, "isNormalized": False})
    assert (
        fields["shareLocation"] == 1 and type(fields["shareLocation"]) is int and fields["isNormalized"] == 0
    )


def test_an_unknown_field_is_c102_with_the_nearest_and_its_place(catalog: Catalog) -> None:
    span = Span("r.yaml", 3, 5)
    (diagnostic,) = problems(
        lambda: catalog["NMS_TRT"].complete(NMS | {"keepTopk": 1}, where={"keepTopk": span}.get)
    )
    assert diagnostic.code == "C102" and diagnostic.where is span and "'keepTopK'" in diagnostic.notes[0]


@pytest.mark.parametrize("name", NMS)
def test_a_missing_field_is_c103_unless_it_has_a_default(catalog: Catalog, name: str) -> None:
    fields = {k: v for k, v in NMS.items() if k != name}
    if name == "inputOrder":
        assert catalog["NMS_TRT"].complete(fields)[name] == (0, 2, 1)
    else:
        assert codes(lambda: catalog["NMS_TRT"].complete(fields)) == ["C103"]


def test_every_field_of_every_plugin_that_has_no_default_is_asked_for(catalog: Catalog) -> None:
    asked = {
        op: sum(f.required for f in catalog[op].fields.values())
        for op in catalog
        if op.endswith(("_TRT", "Plugin"))
    }
    assert asked["GridAnchor_TRT"] == asked["GridAnchorRect_TRT"] == 3 and asked["NMS_TRT"] == 10
    for op, count in asked.items():
        if count:
            assert codes(lambda op=op: catalog[op].complete({})) == ["C103"] * count


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("numClasses", 91.0),
        ("numClasses", "91"),
        ("numClasses", None),
        ("numClasses", [91]),
        ("numClasses", {}),
        ("inputOrder", 0),
        ("inputOrder", "021"),
        ("inputOrder", [0, 2, 1.0]),
        ("nmsThreshold", "0.6"),
        ("nmsThreshold", True),
        ("nmsThreshold", 1j),
        ("inputOrder", "auto"),
    ],
)
def test_a_wrong_type_is_c104(catalog: Catalog, name: str, value: object) -> None:
    assert codes(lambda: catalog["NMS_TRT"].complete({**NMS, name: value})) == ["C104"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("numClasses", 0),
        ("numClasses", -1),
        ("topK", 4097),
        ("shareLocation", 2),
        ("codeType", 9),
        ("confidenceThreshold", 1.5),
        ("nmsThreshold", -0.1),
        ("inputOrder", [0, 1, 3]),
        ("numClasses", 1 << 31),
        pytest.param("numClasses", 1 << 20_000, id="huge"),
        ("backgroundLabelId", -2),
        ("nmsThreshold", float("nan")),
        ("nmsThreshold", float("inf")),
        ("nmsThreshold", 1e300),
        ("nmsThreshold", 10**400),
    ],
)
def test_a_value_out_of_range_is_c105(catalog: Catalog, name: str, value: object) -> None:
    (diagnostic,) = problems(lambda: catalog["NMS_TRT"].complete({**NMS, name: value}))
    assert diagnostic.code == "C105" and len(diagnostic.message) < 300


@pytest.mark.parametrize(
    ("op", "name", "value"),
    [
        ("NMS_TRT", "inputOrder", [0, 1]),
        ("NMS_TRT", "inputOrder", []),
        ("GridAnchor_TRT", "variance", [0.1] * 3),
        ("GridAnchor_TRT", "aspectRatios", [1.0, 2.0]),
        ("GridAnchor_TRT", "featureMapShapes", []),
        ("GridAnchorRect_TRT", "featureMapShapes", [19, 19, 10]),
        ("GridAnchor_TRT", "aspectRatios", [1.0] * 70_000),
    ],
)
def test_a_wrong_length_is_c106(catalog: Catalog, op: str, name: str, value: object) -> None:
    base = (
        NMS
        if op == "NMS_TRT"
        else GRID
        if op == "GridAnchor_TRT"
        else GRID | {"featureMapShapes": [3, 4] * 6}
    )
    assert codes(lambda: catalog[op].complete({**base, name: value})) == ["C106"]


@pytest.mark.parametrize(
    ("op", "change", "named"),
    [
        ("NMS_TRT", {"keepTopK": 101}, "'keepTopK' is 101"),
        ("NMS_TRT", {"backgroundLabelId": 91}, "'backgroundLabelId' is 91"),
        ("NMS_TRT", {"inputOrder": [0, 2, 2]}, "'inputOrder' is [0, 2, 2]"),
        ("GridAnchor_TRT", {"numLayers": 5}, "6 sides"),
        ("GridAnchor_TRT", {"featureMapShapes": [19, 10]}, "2 sides"),
        ("GridAnchor_TRT", {"numLayers": 1, "featureMapShapes": [19]}, "not numbers"),
        ("GridAnchor_TRT", {"minSize": 0.96}, "'minSize'"),
        ("GridAnchorRect_TRT", {}, "6 numbers"),
        ("GridAnchorRect_TRT", {"numLayers": 1, "featureMapShapes": [3, 4]}, "not numbers"),
        ("GridAnchorRect_TRT", {"minSize": 0.96, "featureMapShapes": [1] * 12}, "'minSize'"),
        ("CustomClipPlugin", {"clipMin": 7.0, "clipMax": 6.0}, "'clipMin' 7"),
    ],
)
def test_fields_that_contradict_each_other_are_c108(
    catalog: Catalog, op: str, change: dict[str, Any], named: str
) -> None:
    base = {"NMS_TRT": NMS, "GridAnchor_TRT": GRID, "GridAnchorRect_TRT": GRID}.get(op, {})
    (diagnostic,) = problems(
        lambda: catalog[op].complete({**base, **change}, where=lambda key: Span("r", 1, 1, text=key))
    )
    assert diagnostic.code == "C108" and named in diagnostic.message and isinstance(diagnostic.where, Span)


def test_fields_at_the_edge_are_taken(catalog: Catalog) -> None:
    catalog["NMS_TRT"].complete(NMS | {"keepTopK": 4096, "topK": 4096, "backgroundLabelId": 90})
    catalog["NMS_TRT"].complete(
        NMS | {"backgroundLabelId": -1, "confidenceThreshold": 0, "inputOrder": (2, 1, 0)}
    )
    catalog["GridAnchor_TRT"].complete(GRID | {"aspectRatios": [1, 2, 3], "minSize": 0.95})
    catalog["CustomClipPlugin"].complete({"clipMin": 6.0, "clipMax": 6.0})


def test_all_that_is_wrong_is_said_at_once(catalog: Catalog) -> None:
    wrong = NMS | {"topk": 1, "numClasses": "x", "codeType": 9, "inputOrder": [1], "scoreBits": 16}
    assert codes(lambda: catalog["NMS_TRT"].complete(wrong, version=(7, 2, 1))) == [
        "C102",
        "C107",
        "C104",
        "C106",
        "C105",
    ]


@pytest.mark.parametrize("axis", [0, 2, 3])
def test_flatten_concat_on_another_axis_is_refused(catalog: Catalog, axis: int) -> None:
    assert codes(lambda: catalog["FlattenConcat_TRT"].complete({"axis": axis, "ignoreBatch": 0})) == ["C105"]


# Versions


@pytest.mark.parametrize("name", ["scoreBits", "isBatchAgnostic"])
@pytest.mark.parametrize(("target", "there"), [("7.2", False), ("8.0", True), ("8.6", True)])
def test_fields_since_8_0_1(catalog: Catalog, name: str, target: str, there: bool) -> None:
    version = load_target(f"uff@tensorrt-{target}").version
    assert (name in catalog["NMS_TRT"].complete(NMS, version=version)) is there
    if there:
        assert catalog["NMS_TRT"].complete(NMS | {name: 1}, version=version)[name] == 1
    else:
        (diagnostic,) = problems(lambda: catalog["NMS_TRT"].complete(NMS | {name: 1}, version=version))
        assert diagnostic.code == "C107" and "from 8.0.1" in diagnostic.message


@pytest.mark.parametrize(
    ("op", "first", "last"),
    [
        ("NMS_TRT", "uff@tensorrt-5.0", "onnx@tensorrt-10"),
        ("GridAnchor_TRT", "uff@tensorrt-5.0", "onnx@tensorrt-11"),
        ("GridAnchorRect_TRT", "uff@tensorrt-7.2", "onnx@tensorrt-11"),
        ("FlattenConcat_TRT", "uff@tensorrt-5.0", "onnx@tensorrt-11"),
    ],
)
def test_from_when_to_when_a_plugin_exists(catalog: Catalog, op: str, first: str, last: str) -> None:
    from surgeon.targets import all_targets

    having = {
        t.version: n
        for n, t in all_targets().items()
        if t.runtime == "tensorrt" and catalog[op].exists_in(t.version)
    }
    low, high = load_target(first).version, load_target(last).version
    assert (min(having), max(having)) == (low, high)
    assert catalog[op].exists_in(None)


def test_remarks_and_replacements_follow_the_version(catalog: Catalog) -> None:
    rect, nms = catalog["GridAnchorRect_TRT"], catalog["NMS_TRT"]
    assert any("x centres" in text for text in rect.remarks_for((8, 4, 1)))
    assert not any("x centres" in text for text in rect.remarks_for((8, 5, 1)))
    assert nms.replacement_in((8, 6, 1)) is None
    assert "NMSDynamic" in str(nms.replacement_in((10, 0, 1))) and "NonMaxSuppression" in str(
        nms.replacement_in((11, 0))
    )


# Ports and shapes


def test_a_grid_anchor_has_a_port_for_each_layer(catalog: Catalog) -> None:
    plugin = catalog["GridAnchor_TRT"]
    assert plugin.output_ports(GRID) == ("layer0", "layer1", "layer2", "layer3", "layer4", "layer5")
    assert plugin.output_ports({}) == plugin.output_ports(GRID)
    assert catalog["NMS_TRT"].output_ports({}) == ("detections", "count")


@pytest.mark.parametrize(("value", "code"), [(10**9, "C105"), (-1, "C105"), ("6", "C104"), (None, "C104")])
def test_a_number_of_ports_that_is_absurd_is_refused(catalog: Catalog, value: object, code: str) -> None:
    assert codes(
        lambda: catalog["GridAnchor_TRT"].output_ports({"numLayers": value} if value else {"numLayers": b""})
    ) == [code]


def test_ports_by_the_length_of_a_list(make_plugin: Callable[..., Any]) -> None:
    text = (
        "title: T\nsummary: S\noutputs: [{name: y, summary: out, repeat: sizes}]\n"
        'fields: {sizes: {type: "int[]", summary: F}}\nsources: [x]\n'
    )
    plugin = load_catalog([make_plugin(text=text, shape=None)])["Double"]
    assert plugin.output_ports({"sizes": [5, 5, 5]}) == ("y0", "y1", "y2")
    assert plugin.output_specs({"sizes": (5, 5)}, []) == (TensorSpec(), TensorSpec())
    assert codes(lambda: plugin.output_ports({})) == ["C103"]
    assert codes(lambda: plugin.output_ports({"sizes": [1] * 5000})) == ["C105"]


def test_shapes_of_grid_anchor(catalog: Catalog) -> None:
    specs = catalog["GridAnchor_TRT"].output_specs(GRID, [])
    assert [s.shape.dims for s in specs] == [(1, 2, n, 1) for n in (4332, 2400, 600, 216, 96, 24)]
    assert sum(s.shape.static()[2] for s in specs) == 7668
    fewer = catalog["GridAnchor_TRT"].output_specs(GRID | {"aspectRatios": [1, 2, 3]}, [])
    assert [s.shape.static()[2] for s in fewer] == [4332, 1600, 400, 144, 64, 16]


def test_inputs_of_grid_anchor_make_no_difference(catalog: Catalog) -> None:
    plugin = catalog["GridAnchor_TRT"]
    assert plugin.output_specs(GRID, [TensorSpec.of("int64", 3)] * 7) == plugin.output_specs(GRID, [])


def test_shapes_of_grid_anchor_rect(catalog: Catalog) -> None:
    sizes = [19, 34, 10, 17, 5, 9, 3, 5, 2, 3, 1, 2]
    specs = catalog["GridAnchorRect_TRT"].output_specs(GRID | {"featureMapShapes": sizes}, [])
    assert [s.shape.static()[2] for s in specs] == [7752, 4080, 1080, 360, 144, 48]
    square = catalog["GridAnchorRect_TRT"].output_specs(
        GRID | {"featureMapShapes": [n for n in GRID["featureMapShapes"] for _ in "hw"]}, []
    )
    assert square == catalog["GridAnchor_TRT"].output_specs(GRID, []) != specs


def test_shapes_of_flatten_concat(catalog: Catalog) -> None:
    rule = catalog["FlattenConcat_TRT"].output_specs
    heads = [f32(1, n, 1, 4) for n in (1083, 600, 150, 54, 24, 6)]
    assert rule(FLATTEN, heads) == (f32(1, 7668, 1, 1),)
    scores = [f32(1, n, 91) for n in (1083, 600, 150, 54, 24, 6)]
    assert rule(FLATTEN, scores) == (f32(1, 174447, 1, 1),)
    assert rule(FLATTEN, scores[:-1]) != rule(FLATTEN, scores)
    assert rule(FLATTEN, [f32(None, 3, 1, 4), f32(2, 3, 1, 4)]) == (f32(2, 24, 1, 1),)
    assert rule(FLATTEN, [f32(None, 3, 1, 4), f32(None, None, 1, 4)]) == (f32(None, None, 1, 1),)
    assert rule(FLATTEN, [TensorSpec()]) == (f32(None, None, 1, 1),)
    assert rule(FLATTEN, [f32(2)]) == (f32(2, 1, 1, 1),)


def test_flatten_concat_refuses_inputs_that_differ_after_the_second_axis(catalog: Catalog) -> None:
    inputs = [f32(1, 3, 1, 4), f32(1, 3, 1, 5)]
    (diagnostic,) = problems(lambda: catalog["FlattenConcat_TRT"].output_specs(FLATTEN, inputs))
    assert (
        diagnostic.code == "C109" and "[1,3,1,5]" in diagnostic.message and "[1,3,1,4]" in diagnostic.message
    )


LOC, CONF, PRIOR = f32(1, 7668, 1, 1), f32(1, 174447, 1, 1), f32(1, 2, 7668, 1)


def test_shapes_of_nms(catalog: Catalog) -> None:
    rule = catalog["NMS_TRT"].output_specs
    assert rule(NMS, [LOC, PRIOR, CONF]) == (f32(1, 1, 100, 7), f32(1, 1, 1, 1))
    assert rule(NMS | {"inputOrder": [1, 0, 2]}, [CONF, LOC, PRIOR]) == rule(NMS, [LOC, PRIOR, CONF])
    assert rule(NMS | {"keepTopK": 7}, [TensorSpec()] * 3) == (f32(None, 1, 7, 7), f32(None, 1, 1, 1))
    assert rule(NMS, [f32(None, None, 1, 1), f32(1, 2, None, 1), f32(4, None, 1, 1)])[0] == f32(4, 1, 100, 7)
    apart = NMS | {"shareLocation": 0, "numClasses": 2}
    assert rule(apart, [f32(1, 80, 1, 1), f32(1, 2, 40, 1), f32(1, 20, 1, 1)])[0] == f32(1, 1, 100, 7)


@pytest.mark.parametrize(
    ("change", "inputs", "texts"),
    [
        (
            {},
            [CONF, PRIOR, LOC],
            ["input 0", "has 174447 numbers", "expected 7668", "1917 anchors x 4 = 7668", "interchanged"],
        ),
        (
            {"numClasses": 90},
            [LOC, PRIOR, CONF],
            [
                "input 2",
                "expected 172530",
                "1917 anchors x 90 classes = 172530",
                "174447 / 1917 anchors = 91 classes",
            ],
        ),
        ({}, [LOC, f32(1, 2, 7664, 1), CONF], ["input 0", "has 7668 numbers", "7664 / 4 = 1916 anchors"]),
        ({"shareLocation": 0}, [LOC, PRIOR, CONF], ["1917 anchors x 91 classes x 4 = 697788"]),
        ({"inputOrder": [0, 1, 2]}, [LOC, PRIOR, CONF], ["input 2", "taken as prior", "expected [1,2,4P,1]"]),
        ({}, [LOC, f32(1, 2, 7666, 1), CONF], ["input 1", "expected [1,2,4P,1]"]),
        ({}, [LOC, PRIOR, LOC], ["input 2", "size of loc"]),
        ({}, [LOC, PRIOR, TensorSpec.of("int32", 1, 174447, 1, 1)], ["input 2", "int32", "expected float32"]),
        ({}, [f32(1, 7668), PRIOR, CONF], ["input 0", "expected 4 axes"]),
        ({}, [LOC, PRIOR], ["has 2 inputs; expected 3"]),
        ({}, [LOC, PRIOR, CONF, LOC], ["has 4 inputs; expected 3"]),
    ],
)
def test_inputs_of_nms_that_do_not_go_together_are_c109(
    catalog: Catalog, change: dict[str, Any], inputs: list[TensorSpec], texts: list[str]
) -> None:
    (diagnostic,) = problems(lambda: catalog["NMS_TRT"].output_specs({**NMS, **change}, inputs))
    shown = diagnostic.render()
    assert diagnostic.code == "C109" and [text for text in texts if text not in shown] == []


def test_the_order_of_the_ports_of_nms(catalog: Catalog) -> None:
    plugin = catalog["NMS_TRT"]
    assert plugin.order_field == "inputOrder" and plugin.order_ports == ("loc", "conf", "prior")
    assert [port.name for port in plugin.inputs] == ["loc", "conf", "prior"]


def test_shape_of_custom_clip(catalog: Catalog) -> None:
    fields = {"clipMin": 0.0, "clipMax": 6.0}
    assert catalog["CustomClipPlugin"].output_specs(fields, [f32(None, 3)]) == (f32(None, 3),)
    assert codes(lambda: catalog["CustomClipPlugin"].output_specs(fields, [TensorSpec.of("int32", 1)])) == [
        "C109"
    ]
    assert codes(lambda: catalog["CustomClipPlugin"].output_specs(fields, [])) == ["C109"]


# In a graph

GRAPH = """\
graph v1
anchors = GridAnchor_TRT() {aspectRatios: [1.0, 2.0, 0.5, 3.0, 0.33], featureMapShapes: [19, 10, 5, 3, 2, 1], numLayers: 6, variance: [0.1, 0.1, 0.2, 0.2]}
x = Placeholder() {dtype: float32, shape: shape[1,7668,1,4]}
flat = FlattenConcat_TRT(x) {T: float32, axis: 1, ignoreBatch: 0}
clip = CustomClipPlugin(flat) {clipMax: 6.0, clipMin: 0.0}
wrong = FlattenConcat_TRT(x) {axis: 2, ignoreBatch: 0}
"""


def test_plugin_nodes_have_shapes_in_inference(catalog: Catalog) -> None:
    inference = Inference(parse_graph(GRAPH), rules=catalog.rules())
    assert inference.outputs("anchors") == 6
    assert inference.spec(Ref("anchors", 0)) == f32(1, 2, 4332, 1) and inference.spec(
        Ref("anchors", 5)
    ) == f32(1, 2, 24, 1)
    assert inference.spec(Ref("clip", 0)) == f32(1, 30672, 1, 1)
    assert inference.contradictions == []


def test_a_plugin_node_with_wrong_fields_is_unknown_and_a_contradiction(catalog: Catalog) -> None:
    inference = Inference(parse_graph(GRAPH), rules=catalog.rules())
    assert inference.spec(Ref("wrong", 0)).shape.dims is None
    ((name, message),) = inference.contradictions
    assert name == "wrong" and "'axis'" in message


@pytest.mark.determinism
def test_inputs_by_port_follow_the_order_field_or_the_definition() -> None:
    catalog = load_catalog()
    refs = Ref("a"), Ref("b", 1), Ref("c")
    nms = Node("nms", "NMS_TRT", refs, (), {"inputOrder": (2, 0, 1)})
    assert catalog["NMS_TRT"].inputs_by_port(nms) == {"loc": refs[2], "conf": refs[0], "prior": refs[1]}
    short = replace(nms, inputs=refs[:2])
    assert catalog["NMS_TRT"].inputs_by_port(short) == {"conf": refs[0], "prior": refs[1]}
    boxes = Node("nms", "BatchedNMS_TRT", refs[:2])
    assert catalog["BatchedNMS_TRT"].inputs_by_port(boxes) == {"boxes": refs[0], "scores": refs[1]}
    joined = Node("joined", "FlattenConcat_TRT", refs)
    assert catalog["FlattenConcat_TRT"].inputs_by_port(joined) == {"parts": refs[0]}
