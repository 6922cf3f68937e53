"""Fields derived through recipes: what 'ssd' makes of whole graphs, and what it refuses with the recipe's line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import surgeon
from surgeon.catalog import load_catalog
from surgeon.diagnostics import Diagnostic, Span, SurgeonError
from surgeon.families.parts.detection_output_fields import TOP_K_LIMIT
from surgeon.graph import DType, Graph, Node, Ref, Shape
from surgeon.language import parse_recipe
from surgeon.rewrite import Plan, plan

NMS = "Postprocessor/BatchMultiClassNonMaxSuppression/map/while/MultiClassNonMaxSuppression"
SCORED = f"{NMS}/non_max_suppression_with_scores"


def planned(graph: Graph, base: str = "ssd", more: str = "") -> Plan:
    return plan(parse_recipe(f"recipe: 1\nname: r\nextends: [{base}]\n{more}", "r.yaml"), graph)


def fields(found: Plan, node: str = "NMS") -> Mapping[str, Any]:
    """Return the fields that a plugin node has, at the precision at which a plugin takes them."""
    assert found.result is not None
    attrs = found.result[node].attrs
    return {key: float32(value) if isinstance(value, float) else value for key, value in attrs.items()}


def float32(value: float) -> float:
    return float(f"{np.float32(value):.7g}")


def refused(code: str, graph: Graph, base: str = "ssd", more: str = "") -> Diagnostic:
    with pytest.raises(SurgeonError) as caught:
        planned(graph, base, more)
    assert caught.value.diagnostics[0].code == code, str(caught.value)
    return caught.value.diagnostics[0]


@pytest.mark.parametrize("date", ["2017", "2018", "2019"])
def test_every_field_is_the_graphs_own(zoo_graph, date):
    options = {
        "classes": 2,
        "score_threshold": 0.2,
        "iou_threshold": 0.45,
        "max_detections": 30,
        "min_scale": 0.15,
        "max_scale": 0.9,
    }
    found = planned(zoo_graph(date, **options), more="decode: plugin\n")
    assert dict(fields(found)) | {"scoreBits": 0, "isBatchAgnostic": 0} == {
        "shareLocation": 1,
        "varianceEncodedInTarget": 0,
        "backgroundLabelId": 0,
        "numClasses": 3,
        "topK": 204,
        "keepTopK": 30,
        "confidenceThreshold": 0.2,
        "nmsThreshold": 0.45,
        "inputOrder": (0, 2, 1),
        "confSigmoid": 1,
        "isNormalized": 1,
        "codeType": 3,
        "scoreBits": 0,
        "isBatchAgnostic": 0,
    }
    grid = fields(found, "GridAnchor")
    assert (grid["minSize"], grid["maxSize"]) == (0.15, 0.9) and grid["variance"] == pytest.approx(
        (0.1, 0.1, 0.2, 0.2)
    )
    open_fields = {(d.node, d.field) for d in found.derivations}
    assert {("NMS", key) for key in fields(found)} - open_fields == {
        ("NMS", "scoreBits"),
        ("NMS", "isBatchAgnostic"),
    }
    assert all(d.evidence for d in found.derivations if d.node != "image")


def test_a_value_that_the_recipe_writes_stands(zoo_graph):
    found = planned(zoo_graph(), more="parameters: {top_k: 177, score_threshold: 0.5}\n")
    assert fields(found)["topK"] == 177 and fields(found)["confidenceThreshold"] == 0.5
    assert not {("NMS", "topK"), ("NMS", "confidenceThreshold")} & {
        (d.node, d.field) for d in found.derivations
    }


def test_top_k_ends_at_the_plugins_limit(zoo_graph):
    found = planned(zoo_graph(height=500, width=500))
    derived = next(d for d in found.derivations if d.field == "topK")
    assert derived.value == fields(found)["topK"] == TOP_K_LIMIT == 4096
    assert any("4096 at most" in line for line in derived.evidence)


def test_top_k_is_no_smaller_than_what_is_kept(zoo_graph):
    found = fields(planned(zoo_graph(height=33, width=33, aspect_ratios=(1.0, 2.0, 0.5), max_detections=300)))
    assert found["topK"] == found["keepTopK"] == 300


def test_a_bound_for_each_class_is_told(zoo_graph, edit):
    graph = edit.graph(
        zoo_graph(), dict.fromkeys([f"{NMS}/Minimum{end}/x" for end in ("", "_1", "_2")], edit.value(7))
    )
    derived = next(d for d in planned(graph).derivations if d.field == "topK")
    assert any("keeps 7 boxes of a class, which NMS_TRT cannot bound" in line for line in derived.evidence)


def test_a_contradiction_is_placed_in_the_recipe(zoo_graph, edit):
    graph = edit.graph(zoo_graph(), {f"{NMS}/non_max_suppression_1/iou_threshold": edit.value(0.5)})
    found = refused("D114", graph)
    assert (
        isinstance(found.where, Span)
        and found.where.file.endswith("ssd.yaml")
        and "nmsThreshold" in found.where.text
    )
    assert any("0.5" in note for note in found.notes) and any("0.6" in note for note in found.notes)
    assert fields(planned(graph, more="parameters: {iou_threshold: 0.55}\n"))["nmsThreshold"] == 0.55


def test_what_the_plugin_cannot_do_is_refused(zoo_graph, edit):
    graph = zoo_graph("2019", classes=1)
    soft = edit.graph(graph, {f"{SCORED}/soft_nms_sigma": edit.value(0.5)})
    assert "soft suppression" in refused("D119", soft).message
    best = Node(
        "best", "Max", (Ref(f"{NMS}/Slice"), Ref("axis")), attrs={"T": DType.FLOAT32, "keep_dims": False}
    )
    over_all = edit.graph(
        graph,
        {
            f"{NMS}/Reshape": lambda node: [
                edit.const("axis", [1], DType.INT32),
                best,
                node.with_inputs((Ref("best"), node.inputs[1])),
            ]
        },
    )
    assert "different classes" in refused("D119", over_all).message
    scaled = edit.graph(graph, {"Postprocessor/scale_logits/y": edit.value(2.0)})
    assert "by 0.5" in refused("D119", scaled).message


def test_a_softmax_is_kept_or_refused(zoo_graph, edit):
    graph = edit.graph(zoo_graph("2018"), {"Postprocessor/convert_scores": edit.op("Softmax")})
    found = refused("D119", graph)
    assert "takes that away" in found.message and "ssd_softmax" in found.help[0]
    kept = planned(graph, "ssd_softmax")
    assert fields(kept)["confSigmoid"] == 0 and kept.result is not None
    scores = kept.result["class_probabilities"]
    assert scores.op == "Softmax" and [ref.node for ref in kept.result["concat_box_conf"].inputs] == [
        "class_probabilities"
    ]
    assert len(kept.result[scores.inputs[0].node].inputs) == 7
    assert "has none" in refused("D119", zoo_graph("2018"), "ssd_softmax").message


def test_probabilities_need_no_conversion(zoo_graph, edit):
    graph = edit.graph(zoo_graph("2018"), {"Postprocessor/convert_scores": edit.op("Identity")})
    assert fields(planned(graph))["confSigmoid"] == 0


def test_another_order_of_variances(zoo_graph, edit):
    graph = edit.graph(
        zoo_graph("2019"),
        {
            "Postprocessor/Decode/truediv/y": edit.value(8.0),
            "Postprocessor/Decode/truediv_3/y": edit.value(4.0),
        },
    )
    assert fields(planned(graph), "GridAnchor")["variance"] == pytest.approx((0.1, 0.125, 0.25, 0.2))


def test_preprocessing_is_part_of_the_plan(zoo_graph, edit):
    graph = zoo_graph("2018", height=96, width=128)
    found = planned(graph)
    assert found.image is not None and found.image.size == (96, 128)
    shown = {d.field: d for d in found.derivations if d.node == "image"}
    assert (
        shown["size"].value == [96, 128]
        and shown["size"].evidence
        and shown["interpolation"].value == "tf1-bilinear"
    )
    assert planned(graph, more="image: null\n").image is None
    written = planned(graph, more="image: {size: [5, 6]}\n").image
    assert written is not None and written.size == (5, 6)
    corners = edit.graph(
        graph,
        {
            "Preprocessor/map/while/ResizeImage/resize_images/ResizeBilinear": edit.op(
                "ResizeBilinear", align_corners=True
            )
        },
    )
    where = refused("D115", corners).where
    assert isinstance(where, Span) and where.text.startswith("image: auto")
    assert planned(corners, more="image: null\n").result is not None


def test_the_preprocessing_is_that_of_the_recipes_input(zoo_graph):
    cut = "nodes: {Input: {like: Preprocessor/mul}}\nnamespaces: {Preprocessor: null, Preprocessor/map: Input, Preprocessor/mul: Input}\n"
    image = planned(zoo_graph("2018"), more=cut).image
    assert image is not None and len(image.steps) == 1


def test_a_size_that_depends_on_the_picture_is_refused_with_the_reason(zoo_graph, edit):
    resize, gather = (
        "Preprocessor/map/while/ResizeImage/stack",
        "Preprocessor/map/TensorArrayStack/TensorArrayGatherV3",
    )
    graph = edit.graph(
        zoo_graph("2018"),
        {
            resize: lambda node: Node(
                node.name,
                "KeepAspect",
                (Ref("Preprocessor/map/while/TensorArrayReadV3"),),
                attrs={"dtype": DType.INT32},
            ),
            gather: lambda node: node.with_attr("element_shape", Shape.of(None, None, 3)),
        },
    )
    assert any("keep_aspect_ratio_resizer" in note for note in refused("D102", graph).notes)


def test_all_that_cannot_be_derived_is_told_at_once(zoo_graph, edit):
    graph = edit.graph(
        zoo_graph("2018"),
        {
            f"{NMS}/non_max_suppression_1/iou_threshold": edit.value(0.5),
            "Preprocessor/map/while/ResizeImage/resize_images/ResizeBilinear": edit.op("ResizeBicubic"),
        },
    )
    with pytest.raises(SurgeonError) as caught:
        planned(graph)
    assert [d.code for d in caught.value.diagnostics] == ["D114", "D115"]


def test_a_classifier_is_refused_with_what_is_missing(edit):
    from surgeon.formats.graphdef import from_bytes
    from surgeon.zoo import build_lenet

    recipe = """\
recipe: 1
name: r
outputs: [NMS]
nodes:
  Input: {op: Placeholder, dtype: float32, shape: [1, 1, 28, 28]}
  NMS: {plugin: NMS_TRT, inputs: {loc: Input, prior: Input, conf: Input}, fields: {nmsThreshold: auto}}
"""
    with pytest.raises(SurgeonError, match="D112"):
        plan(parse_recipe(recipe), from_bytes(build_lenet()))


def test_check_warns_of_what_typed_fields_cannot_say(zoo_graph, edit):
    scaled = edit.graph(zoo_graph("2019", classes=1), {"Postprocessor/scale_logits/y": edit.value(2.0)})
    typed = parse_recipe(
        "recipe: 1\nname: r\nextends: [ssd]\nnodes: {NMS: {fields: {confSigmoid: 1, topK: 50}}}\n"
        "parameters: {keep_top_k: 50}\n",
        "r.yaml",
    )
    found = surgeon.check(typed, scaled)
    assert [each.code for each in found.warnings] == ["D160", "D160", "D119"]
    assert [each.message for each in found.warnings[:2]] == [
        "NMS.topK is 50; the graph says 204",
        "NMS.keepTopK is 50; the graph says 100",
    ]
    assert "by 0.5" in found.warnings[2].message and all(isinstance(w.where, Span) for w in found.warnings)
    assert not surgeon.check("ssd", zoo_graph("2019")).warnings
    above = parse_recipe("recipe: 1\nname: r\nextends: [ssd]\nparameters: {score_threshold: 1.0}\n", "r.yaml")
    assert [w.code for w in surgeon.check(above, zoo_graph("2019", score_threshold=1.0)).warnings] == []


def test_check_warns_of_a_bound_of_a_class_alone(zoo_graph, edit):
    graph = zoo_graph("2019", classes=1)
    fewer = edit.graph(graph, {f"{NMS}/Minimum/x": edit.value(20)})
    (found,) = surgeon.check("ssd", fewer).warnings
    assert found.code == "D161" and "20 detections of a class and 100 in all" in found.message


def test_no_number_that_is_typed_hides_what_the_plugin_cannot_do(zoo_graph, edit):
    soft = edit.graph(zoo_graph("2019", classes=1), {f"{SCORED}/soft_nms_sigma": edit.value(0.5)})
    for recipe in ("ssd_nvidia_numbers", "ssd"):
        found = refused("D119", soft, recipe)
        assert "soft suppression" in found.message and isinstance(found.where, Span)
    native = fields(planned(soft, more="suppression: native\n"))
    assert (native["softSigma"], native["iouThreshold"]) == (0.5, 1.0)
    # EfficientNMS_TRT suppresses over all classes where its field says so; it has no soft suppression either.
    catalog = load_catalog()
    assert catalog["EfficientNMS_TRT"].lacks == ("soft_sigma",)
    detecting = [op for op in catalog if catalog[op].detections]
    assert [op for op in detecting if not catalog[op].lacks] == [
        "SurgeonDetection",
        "SurgeonDetectionDynamic",
    ]
