"""Structural derivations: boxes or scores, classes, feature maps, order of inputs; with evidence, and refusals."""

from __future__ import annotations

import pytest

from surgeon.diagnostics import SurgeonError
from surgeon.families.ssd.detector import SingleShotDetector
from surgeon.graph import Ref, TensorSpec, parse_graph
from surgeon.infer import Inference
from surgeon.language import parse_recipe
from surgeon.rewrite import Plan, plan

CLASSES = 5


def detector(
    swapped: bool = False,
    names: tuple[str, str] = ("BoxEncodingPredictor", "ClassPredictor"),
    width: int = 4,
    last_classes: int = CLASSES,
) -> str:
    """Two feature maps of 8 x width and 4 x width / 2, three and six boxes a location; only what derivations look at."""
    lines = [
        "graph v1",
        "image_tensor = Placeholder() {dtype: uint8, shape: shape[?,?,?,3]}",
        "ToFloat = Cast(image_tensor) {SrcT: uint8, DstT: float32}",
        f"Preprocessor/size = Const() {{dtype: int32, value: tensor<int32[2]: 8, {2 * width}>}}",
        "Preprocessor/map = ResizeBilinear(ToFloat, Preprocessor/size) {T: float32, align_corners: false}",
        "Preprocessor/one = Const() {dtype: float32, value: tensor<float32[]: 1.0>}",
        "Preprocessor/sub = Sub(Preprocessor/map, Preprocessor/one) {T: float32}",
    ]
    source = "Preprocessor/sub"
    for layer in range(2):
        pool = f"FeatureExtractor/pool_{layer}"
        lines.append(
            f'{pool} = MaxPool({source}) {{T: float32, data_format: "NHWC", ksize: [1, 2, 2, 1], padding: "SAME", strides: [1, 2, 2, 1]}}'
        )
        source, boxes = pool, (3, 6)[layer]
        for kind, name, channels in (
            ("loc", names[0], 4 * boxes),
            ("conf", names[1], (CLASSES, last_classes)[layer] * boxes),
        ):
            head = f"BoxPredictor_{layer}/{name}"
            shape = "-1, 1, 4" if kind == "loc" else f"-1, {channels // boxes}"
            rank = 4 if kind == "loc" else 3
            reshape = f"BoxPredictor_{layer}/Reshape" + ("" if kind == "loc" else "_1")
            lines += [
                f"{head}/weights = Const() {{dtype: float32, value: tensor<float32[1,1,3,{channels}]: 0.5>}}",
                f'{head}/Conv2D = Conv2D({pool}, {head}/weights) {{T: float32, data_format: "NHWC", padding: "SAME", strides: [1, 1, 1, 1]}}',
                f"{reshape}/shape = Const() {{dtype: int32, value: tensor<int32[{rank}]: 1, {shape}>}}",
                f"{reshape} = Reshape({head}/Conv2D, {reshape}/shape) {{T: float32, Tshape: int32}}",
            ]
    first, second = ("Reshape_1", "Reshape") if swapped else ("Reshape", "Reshape_1")
    for concat, what in (("concat", first), ("concat_1", second)):
        lines += [
            f"{concat}/axis = Const() {{dtype: int32, value: tensor<int32[]: 1>}}",
            f"{concat} = ConcatV2(BoxPredictor_0/{what}, BoxPredictor_1/{what}, {concat}/axis) {{N: 2, T: float32, Tidx: int32}}",
        ]
    loc, conf = ("concat_1", "concat") if swapped else ("concat", "concat_1")
    lines += [
        "MultipleGridAnchorGenerator/anchors = Const() {dtype: float32, value: tensor<float32[4]: 0.0>}",
        f"Postprocessor/Exp = Exp({loc}) {{T: float32}}",
        f"Postprocessor/Sigmoid = Sigmoid({conf}) {{T: float32}}",
        "Postprocessor/boxes = Add(Postprocessor/Exp, MultipleGridAnchorGenerator/anchors) {T: float32}",
        "Postprocessor/nms = NonMaxSuppressionV2(Postprocessor/boxes, Postprocessor/Sigmoid) {}",
        "detection_boxes = Identity(Postprocessor/nms) {T: float32}",
    ]
    return "\n".join(lines) + "\n"


def planned(text: str, recipe: str = "") -> Plan:
    # These graphs hold what structure alone tells: their anchors, thresholds and decoding are none.
    base = parse_recipe("recipe: 1\nname: r\nextends: [ssd_nvidia_numbers]\n" + recipe, "r.yaml")
    return plan(base, parse_graph(text))


def derived(found: Plan) -> dict[tuple[str, str], object]:
    return {(d.node, d.field): d.value for d in found.derivations}


def refused(code: str, text: str, recipe: str = "") -> str:
    with pytest.raises(SurgeonError) as caught:
        planned(text, recipe)
    assert code in [d.code for d in caught.value.diagnostics], str(caught.value)
    return str(caught.value)


def test_everything_structural_is_derived_with_evidence() -> None:
    found = planned(detector())
    assert derived(found) == {
        ("concat_box_loc", "namespace"): "concat",
        ("concat_box_conf", "namespace"): "concat_1",
        ("Input", "shape"): "float32[1,8,8,3]",
        ("GridAnchor", "numLayers"): 2,
        ("GridAnchor", "featureMapShapes"): [4, 2],
        ("NMS", "numClasses"): CLASSES,
        ("NMS", "inputOrder"): [0, 2, 1],
        ("NMS", "suppression"): "plugin",
    }
    assert all(d.evidence for d in found.derivations)
    classes = next(d for d in found.derivations if d.field == "numClasses")
    assert "BoxPredictor_0" in classes.evidence[0]


def test_swapped_concats_are_recognised() -> None:
    found = derived(planned(detector(swapped=True)))
    assert found["concat_box_loc", "namespace"] == "concat_1" and found["NMS", "numClasses"] == CLASSES


def test_a_recipe_that_swaps_them_is_refused() -> None:
    recipe = "namespaces: {concat: concat_box_conf, concat_1: concat_box_loc}\n"
    assert "joins boxes" in refused("D109", detector(), recipe)
    assert planned(detector(swapped=True), recipe).result is not None


LITERAL = """nodes:
  GridAnchor: {fields: {numLayers: 2, minSize: 0.2, maxSize: 0.95, aspectRatios: [1.0, 2.0, 0.5, 3.0, 0.33],
    variance: [0.1, 0.1, 0.2, 0.2], featureMapShapes: [4, 2]}}
  NMS: {fields: {numClasses: 5, inputOrder: [0, 2, 1]}}
"""
UNFOLLOWED = detector().replace("Postprocessor/Sigmoid = Sigmoid(", "Postprocessor/Sigmoid = Square(")
UNKNOWN = UNFOLLOWED.replace("NonMaxSuppressionV2(", "Mystery(")
RIGHT = "namespaces: {concat: concat_box_loc, concat_1: concat_box_conf}\n"
SWAPPED = "namespaces: {concat: concat_box_conf, concat_1: concat_box_loc}\n"


def test_boxes_alone_tell_that_a_recipe_swaps_them() -> None:
    assert "'concat' becomes 'concat_box_conf'" in refused("D109", UNFOLLOWED, LITERAL + SWAPPED)
    assert planned(UNFOLLOWED, LITERAL + RIGHT).result is not None
    silent = UNFOLLOWED.replace("/ClassPredictor/", "/b/").replace("/BoxEncodingPredictor/", "/a/")
    assert "joins boxes" in refused("D109", silent, LITERAL + SWAPPED)


class _NoSizes(Inference):
    """Knows nothing, and fails where it is asked."""

    def spec(self, ref: Ref) -> TensorSpec:
        raise AssertionError(f"the size of '{ref}' was asked for")

    def known(self, ref: Ref) -> None:
        raise AssertionError(f"the value of '{ref}' was asked for")


def test_what_joins_heads_is_told_without_sizes() -> None:
    graph = parse_graph(detector())
    found = SingleShotDetector.match(graph, _NoSizes(graph))
    assert isinstance(found, SingleShotDetector)
    assert (found.joining_node("loc"), found.joining_node("conf")) == ("concat", "concat_1")
    with pytest.raises(AssertionError, match="size"):
        found.join("loc")
    sized = SingleShotDetector(graph)
    assert all(sized.join(port).value == sized.joining_node(port) for port in sized.joined)


@pytest.mark.parametrize("written", ["", "namespaces: {concat: concat_box_loc}\n"])
def test_the_namespace_left_gets_the_other_port(written: str) -> None:
    found = planned(UNFOLLOWED, LITERAL + written)
    assert derived(found)["concat_box_conf", "namespace"] == "concat_1"
    evidence = next(d.evidence for d in found.derivations if d.value == "concat_1")
    assert evidence[0] == "joins class scores" and "boxes are joined by 'concat'" in evidence


def test_the_namespace_left_needs_names_and_a_free_port() -> None:
    refused("D106", UNFOLLOWED.replace("/ClassPredictor/", "/b/"), LITERAL)
    refused("D106", UNFOLLOWED, LITERAL + "namespaces: {concat: concat_box_conf}\n")


def test_names_alone_refuse_and_never_assign() -> None:
    message = refused("D109", UNKNOWN, LITERAL + SWAPPED)
    assert (
        "in the graph it joins boxes" in message and "BoxPredictor_0/BoxEncodingPredictor/Conv2D" in message
    )
    assert planned(UNKNOWN, LITERAL + RIGHT).result is not None
    refused("D106", UNKNOWN, LITERAL)
    silent = UNKNOWN.replace("/ClassPredictor/", "/b/").replace("/BoxEncodingPredictor/", "/a/")
    refused("C109", silent, LITERAL + SWAPPED)  # nothing tells the roles; the numbers of the plugin do


def test_the_readers_tell_where_names_do_not() -> None:
    names = ("head_a", "head_b")
    assert derived(planned(detector(names=names)))["concat_box_loc", "namespace"] == "concat"
    assert derived(planned(detector(True, names)))["concat_box_loc", "namespace"] == "concat_1"
    silent = detector(names=names).replace("Exp(", "Abs(").replace("Sigmoid(", "Abs(")
    refused("D106", silent)
    one_kind = (
        detector(names=("BoxEncodingPredictor", "BoxEncodingPredictor_1"))
        .replace(f"float32[1,1,3,{3 * CLASSES}]", "float32[1,1,3,12]")
        .replace(f"float32[1,1,3,{6 * CLASSES}]", "float32[1,1,3,24]")
        .replace(f"-1, {CLASSES}>", "-1, 4>")
    )
    assert derived(planned(one_kind))["concat_box_loc", "namespace"] == "concat"
    contrary = refused("D106", detector(names=("ClassPredictor", "BoxEncodingPredictor")))
    assert "has the name of the other kind" in contrary


def test_contradicting_numbers_of_classes_are_refused() -> None:
    message = refused("D114", detector(last_classes=CLASSES + 1))
    assert str(CLASSES) in message and str(CLASSES + 1) in message


def test_oblong_feature_maps_need_the_other_plugin() -> None:
    assert "GridAnchorRect_TRT" in refused("D111", detector(width=8))
    rect = "nodes: {GridAnchor: {plugin: GridAnchorRect_TRT}}\n"
    assert derived(planned(detector(width=8), rect))["GridAnchor", "featureMapShapes"] == [4, 8, 2, 4]


def test_what_cannot_be_derived_says_so() -> None:
    assert "derivable for this plugin" in refused(
        "D107", detector(), "nodes: {NMS: {fields: {scoreBits: auto}}}\n"
    )
    assert "come from 0 joins of convolutions" in refused("D106", detector().replace("Reshape(", "Abs("))
    refused("D104", detector(), "nodes: {NMS: {inputs: null}}\n")
    refused("D102", detector().replace("Preprocessor/sub = Sub", "Preprocessor/sub = Mystery"))
