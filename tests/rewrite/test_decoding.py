"""Boxes decoded in front of the plugin that suppresses them: when that is chosen, and what is computed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from detector_graphs import load

import surgeon
from surgeon.catalog import load_catalog
from surgeon.diagnostics import Diagnostic, SurgeonError
from surgeon.families.ssd.detector import SingleShotDetector as Detector
from surgeon.formats.uff import read_uff
from surgeon.graph import Graph, Ref, TensorValue
from surgeon.kernels.detection_output.numbers import TF_CENTER, decode
from surgeon.language import parse_recipe
from surgeon.lints import find_problems
from surgeon.request import Request
from surgeon.rewrite import Plan, plan
from surgeon.targets import load_target
from surgeon.zoo import build_lenet

SMALL = {"height": 96, "width": 96, "depth_multiplier": 0.125}
ANCHORS = 204


@pytest.fixture(scope="session")
def graph(zoo_ssd: Callable[..., Path]) -> Callable[..., Graph]:
    return lambda date="2018", **options: load(zoo_ssd(date, **{**SMALL, **options}))


def planned(model: Graph, more: str = "", **options: Any) -> Plan:
    return plan(parse_recipe(f"recipe: 1\nname: r\nextends: [ssd]\n{more}", "r.yaml"), model, **options)


def refused(code: str, model: Graph, more: str = "", **options: Any) -> Diagnostic:
    with pytest.raises(SurgeonError) as caught:
        planned(model, more, **options)
    (found,) = (each for each in caught.value.diagnostics if each.code == code)
    return found


def told(found: Plan) -> Mapping[str, tuple[Any, str]]:
    return {
        d.field: (d.value, " ".join(d.evidence))
        for d in found.derivations
        if d.node == "NMS" and d.field in ("decode", "codeType", "varianceEncodedInTarget")
    }


def constants(found: Plan) -> dict[str, np.ndarray]:
    assert found.result is not None
    values = {n.name: n.attrs.get("value") for n in found.result if n.name.startswith("NMS/decode/")}
    return {name: value.array() for name, value in values.items() if isinstance(value, TensorValue)}


# What is chosen


@pytest.mark.parametrize("date", ["2017", "2018"])
def test_the_graph_decodes_where_it_clips_before_suppression(graph, date: str) -> None:
    found = planned(graph(date))
    assert found.result is not None and found.decoding is not None
    value, evidence = told(found)["decode"]
    assert value == "graph" and "clips boxes before suppression" in evidence and "ClipToWindow" in evidence
    assert "drops boxes without an area" in evidence and "the graph's own" in evidence
    nms = found.result["NMS"]
    assert (nms.attrs["codeType"], nms.attrs["varianceEncodedInTarget"]) == (0, 1)
    assert told(found)["codeType"][0] == 0 and told(found)["varianceEncodedInTarget"][0] == 1
    assert nms.inputs == (Ref("NMS/decode/boxes"), Ref("NMS/decode/anchors"), Ref("NMS/decode/kept_scores"))
    assert not constants(found)["NMS/decode/anchors"].any()
    assert "GridAnchor" not in found.result and "concat_priorbox" not in found.result
    assert not [n for n in found.result if n.name.startswith("MultipleGridAnchorGenerator")]


def test_the_plugin_decodes_where_it_does_as_the_graph(graph) -> None:
    found = planned(graph("2019"))
    assert found.result is not None and found.decoding is None and "GridAnchor" in found.result
    value, evidence = told(found)["decode"]
    assert value == "plugin" and "clips no boxes before suppression" in evidence


def test_the_recipe_and_the_caller_choose(graph) -> None:
    model = graph()
    for found in (planned(model, "decode: plugin\n"), planned(model, "decode: graph\n", decode="plugin")):
        assert found.decoding is None
        value, evidence = told(found)["decode"]
        assert value == "plugin" and "NMS_TRT does not; 'decode: plugin' is asked for" in evidence
        assert found.result is not None and found.result["NMS"].attrs["codeType"] == 3
    assert planned(model, "decode: plugin\n", decode="auto").decoding is not None
    forced = planned(graph("2019"), decode="graph")
    assert forced.decoding is not None and not forced.decoding.clips and not forced.decoding.scores
    assert forced.result is not None and "NMS/decode/kept_scores" not in forced.result
    assert "is asked for" in told(forced)["decode"][1]


@pytest.mark.parametrize("window", [(-0.1, 0.0, 1.0, 1.0), (0.0, 0.0, 1.0, 1.5), (0.5, 0.5, 0.5, 0.6)])
def test_a_window_that_the_plugin_would_clip_again_is_told(zoo_graph, edit, window) -> None:
    cut = edit.graph(zoo_graph("2017"), {"Postprocessor/Const": edit.value(window)})
    found = planned(cut)
    assert found.decoding is None and "expected a window inside the picture" in told(found)["decode"][1]
    assert "a window inside the picture" in refused("S414", cut, decode="graph").message
    (warning,) = surgeon.check("ssd", cut).warnings
    assert warning.code == "D162" and str(list(window)) in warning.message
    assert refused("D119", cut, "suppression: native\n").code == "D119"


def test_names_do_not_change_from_one_conversion_to_the_next(graph) -> None:
    first, second = planned(graph()), planned(graph("2018", classes=5))
    names = [[n.name for n in each.result or () if n.name.startswith("NMS")] for each in (first, second)]
    assert names[0] == names[1] and "NMS/decode/shift_x/by" in names[0]


def test_nodes_of_the_recipe_keep_their_names(graph) -> None:
    own = "nodes: {NMS/decode/boxes: {op: Relu, inputs: [concat_box_loc]}, NMS: {inputs: {loc: NMS/decode/boxes}}}\n"
    found = planned(graph(), own).result
    assert found is not None and found["NMS/decode/boxes"].op == "Relu"
    assert found["NMS/decode/encodings"].inputs[0] == Ref("NMS/decode/boxes")
    assert found["NMS"].inputs[0] == Ref("NMS/decode/boxes_1")


def test_numbers_typed_for_the_plugin_go_on_counting(graph) -> None:
    typed = "nodes: {GridAnchor: {fields: {aspectRatios: [1.0, 2.0, 0.5, 3.0, 0.33]}}}\n"
    same = "nodes: {GridAnchor: {fields: {aspectRatios: [1.0, 2.0, 0.5, 3.0, 0.33333334]}}}\n"
    own, literal, near = (planned(graph(), text) for text in ("", typed, same))
    assert own.decoding is not None and literal.decoding is not None and near.decoding is not None
    assert literal.decoding.makers == ("concat_priorbox", "GridAnchor") and near.decoding.makers == ()
    assert "'GridAnchor'" in told(literal)["decode"][1]
    half = "NMS/decode/half_w/by"
    assert np.array_equal(constants(own)[half], constants(near)[half])
    assert np.abs(constants(own)[half] - constants(literal)[half]).max() > 1e-3
    checked = surgeon.check(parse_recipe(f"recipe: 1\nname: r\nextends: [ssd]\n{typed}"), graph())
    assert "D160" in {each.code for each in checked.warnings}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("nodes: {NMS: {fields: {codeType: 1}}}\n", "codeType is 1"),
        ("nodes: {NMS: {fields: {shareLocation: 0}}}\n", "shareLocation is 0"),
        (
            "nodes: {more: {op: Neg, inputs: [concat_priorbox]}, NMS: {inputs: {prior: more}}}\n",
            "neither a constant nor made by plugins",
        ),
    ],
)
def test_what_cannot_be_decoded_is_told(graph, more: str, reason: str) -> None:
    if "shareLocation" not in more:  # the sizes of the heads do not fit that, whoever decodes
        value, evidence = told(planned(graph(), more))["decode"]
        assert value == "plugin" and reason in evidence
    found = refused("S414", graph(), f"decode: graph\n{more}")
    assert reason in found.message and "r.yaml" in str(found.where) and "decode: plugin" in found.help[0]


def test_sizes_that_do_not_fit_are_refused_as_without(graph) -> None:
    for more in (
        "parameters: {num_classes: 3}\n",  # without the background
        "anchors: plugin\nnodes: {GridAnchor: {fields: {aspectRatios: [1.0, 2.0, 0.5, 3.0]}}}\n",
        "anchors: plugin\nnodes: {GridAnchor: {fields: {numLayers: 5, featureMapShapes: [6, 3, 2, 1, 1]}}}\n",
    ):
        for choice in ("graph", "plugin"):
            assert "anchors" in str(refused("C109", graph(), more, decode=choice).render())


def test_without_a_plugin_that_decodes_nothing_can_be_decoded(tmp_path: Path) -> None:
    model = tmp_path / "lenet.pb"
    model.write_bytes(build_lenet())
    with pytest.raises(SurgeonError, match=r"S414.*no plugin node that decodes boxes"):
        surgeon.plan("lenet5_clip", model, decode="graph")
    assert surgeon.plan("lenet5_clip", model).decoding is None


def test_a_choice_that_means_nothing_is_refused(graph) -> None:
    assert refused("S410", graph(), decode="graphs").notes == ("nearest: 'graph'",)
    with pytest.raises(SurgeonError, match="R106"):
        planned(graph(), "decode: graphs\n")


def test_nodes_that_the_recipe_reads_elsewhere_stay_what_they_are(graph) -> None:
    found = planned(graph(), "outputs: [NMS, concat_priorbox]\n")
    assert found.result is not None and found.decoding is not None
    assert found.result["concat_priorbox"].op == "ConcatV2" and "GridAnchor" in found.result
    renamed = "steps: {append: [{step: rename, nodes: {GridAnchor: anchors}}]}\n"
    kept = planned(graph(), renamed)
    assert kept.result is not None and "anchors" in kept.result and kept.decoding is None
    assert "the step 'rename' renames 'GridAnchor'" in told(kept)["decode"][1]


@pytest.mark.parametrize("nodes", ["GridAnchor?", "{op: GridAnchor_TRT, optional: true}", "{name: Grid*}"])
def test_a_step_that_changes_what_makes_the_anchors_goes_on_counting(graph, nodes: str) -> None:
    changes = f"steps: {{append: [{{step: set-attr, nodes: [{nodes}], attrs: {{minSize: 0.3}}}}]}}\n"
    found = planned(graph(), changes)
    assert found.decoding is None and found.result is not None
    assert found.result["GridAnchor"].attrs["minSize"] == pytest.approx(0.3)
    assert "the step 'set-attr' changes 'GridAnchor'" in told(found)["decode"][1]
    refusal = refused("S414", graph(), changes, decode="graph")
    assert "the step 'set-attr' changes 'GridAnchor'" in refusal.message


@pytest.mark.parametrize(
    ("nodes", "attrs"), [("NMS", "codeType: 3"), ("{op: NMS_TRT}", "varianceEncodedInTarget: 0")]
)
def test_a_step_does_not_undo_the_decoding(graph, nodes: str, attrs: str) -> None:
    undoes = f"steps: {{append: [{{step: set-attr, nodes: [{nodes}], attrs: {{{attrs}}}}}]}}\n"
    found = planned(graph(), undoes)
    assert found.decoding is None and found.result is not None and "GridAnchor" in found.result
    assert f"sets '{attrs.partition(':')[0]}' of 'NMS'" in told(found)["decode"][1]
    assert "sets" in refused("S414", graph(), undoes, decode="graph").message


def test_a_step_does_not_change_the_nodes_that_decode(graph) -> None:
    bent = "steps: {append: [{step: forward, nodes: [NMS/decode/exp_w]}]}\n"
    for choice in ("auto", "graph"):
        assert "changes 'NMS/decode/exp_w'" in refused("S414", graph(), bent, decode=choice).message


def test_other_steps_leave_the_decoding_alone(graph) -> None:
    fewer = "steps: {append: [{step: set-attr, nodes: [NMS], attrs: {keepTopK: 50}}]}\n"
    found = planned(graph(), fewer)
    assert found.result is not None and found.decoding is not None
    assert found.result["NMS"].attrs["keepTopK"] == 50
    assert [n.name for n in found.result if "keepTopK" in n.attrs] == ["NMS"]
    other = planned(graph(), "steps: {append: [{step: rename, nodes: {NMS/decode: decoded}}]}\n")
    assert other.result is not None and other.decoding is not None
    assert other.decoding.anchors == "decoded/anchors" in other.result
    assert other.decoding.nodes <= {node.name for node in other.result}


def test_constant_anchors_are_decoded_as_well(graph) -> None:
    oblong = graph("2018", width=128)  # no plugin makes these anchors
    found = planned(oblong)
    assert found.decoding is not None and found.decoding.makers == ()
    centre = constants(found)["NMS/decode/centre_x/by"].reshape(-1)
    anchors = Detector(oblong).anchors.value
    np.testing.assert_allclose(centre, (anchors[:, 1] + anchors[:, 3]) / 2, atol=1e-7)


def test_a_request_carries_the_choice(zoo_ssd) -> None:
    request = Request.of("ssd", zoo_ssd("2018", **SMALL), decode="plugin")
    again = Request.from_json(json.loads(json.dumps(request.to_json())))
    assert again.decode == "plugin" and again.resolve().plan.decoding is None


# What is written


@pytest.mark.parametrize("target", ["uff@tensorrt-5.1", "uff@tensorrt-8.5", "onnx@tensorrt-8.5", "graphdef"])
def test_the_target_has_every_operation(graph, target: str) -> None:
    made = planned(graph(), target=load_target(target))
    assert made.result is not None
    assert find_problems(made.result, load_target(target), load_catalog(), made.image) == ()


def test_the_uff_file_has_ordinary_operations_in_front_of_the_plugin(zoo_ssd, tmp_path: Path) -> None:
    done = surgeon.convert("ssd", zoo_ssd("2018", **SMALL), tmp_path / "ssd.uff")
    nodes = {node.id: node for node in read_uff(done.output).nodes}
    inside = {name: node for name, node in nodes.items() if name.startswith("NMS/decode/")}
    assert {node.operation for node in inside.values()} == {
        *("Activation", "Binary", "Concat", "Const", "Reshape", "StridedSlice", "Unary")
    }
    assert tuple(inside["NMS/decode/anchors"].fields["shape"].value) == (2, 4 * ANCHORS, 1)
    shapes = {tuple(inside[f"NMS/decode/{name}/by"].fields["shape"].value) for name in ("shift_x", "half_h")}
    assert shapes == {(ANCHORS, 1, 1)}


# What is computed


@pytest.fixture(scope="module")
def decoder(graph):
    """Give what decodes boxes in front of the plugin, in TensorFlow, and the graph's own anchors."""
    pytest.importorskip("tensorflow", reason="ordinary operations run in TensorFlow")
    from surgeon.verification.decoding import DecodedInFront

    found = planned(graph(classes=2))
    assert found.result is not None and found.decoding is not None
    ports = dict(zip(("loc", "prior", "conf"), found.result["NMS"].inputs, strict=True))
    prior = Detector(graph(classes=2)).anchor_constant().value
    return DecodedInFront(found.result, found.decoding, ports), prior


def encodings_of(boxes: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Return encodings float32[1, 4P, 1, 1] of boxes (xmin, ymin, xmax, ymax)."""
    anchors = prior[0, 0].reshape(-1, 4).astype(np.float64)
    size, own = boxes[:, 2:] - boxes[:, :2], anchors[:, 2:] - anchors[:, :2]
    shift = (boxes[:, 2:] + boxes[:, :2] - anchors[:, 2:] - anchors[:, :2]) / 2 / own / 0.1
    growth = np.log(size / own) / 0.2
    return np.concatenate([shift[:, ::-1], growth[:, ::-1]], axis=1).astype(np.float32).reshape(1, -1, 1, 1)


def test_boxes_are_those_of_the_formula(decoder) -> None:
    run, prior = decoder
    for factor in (1, 10, 100):  # 100: exponentials that overflow
        loc = factor * np.random.default_rng(factor).normal(size=(2, 4 * ANCHORS, 1, 1)).astype(np.float32)
        given = {"loc": loc, "conf": np.zeros((2, 3 * ANCHORS, 1, 1), np.float32), "prior": prior}
        with np.errstate(over="ignore"):
            boxes = decode(
                {"codeType": TF_CENTER, "varianceEncodedInTarget": 0, "isBatchAgnostic": 1}, loc, prior
            )
        made = run.run(given)["loc"].reshape(2, -1, 4)
        assert (made >= 0).all() and (made <= 1).all()
        np.testing.assert_allclose(made, np.clip(boxes[:, :, 0], 0, 1), atol=2e-6)


def test_boxes_without_an_area_are_no_candidates(decoder) -> None:
    run, prior = decoder
    boxes = np.tile(np.array([0.4, 0.4, 0.6, 0.6]), (ANCHORS, 1))
    outside = [(-0.3, 0.2, -0.1, 0.4), (1.1, 0.2, 1.3, 0.4), (0.2, -0.4, 0.4, -0.01), (0.2, 1.01, 0.4, 1.2)]
    inside = [
        (-0.3, 0.2, 1e-4, 0.4),
        (0.9999, 0.2, 1.3, 0.4),
        (-1, -1, 2, 2),
        (0.5, 0.5, 0.5 + 1e-5, 0.5 + 1e-5),
    ]
    boxes[: len(outside)], boxes[len(outside) : 8] = outside, inside
    scores = np.random.default_rng(0).normal(scale=20, size=(1, ANCHORS, 3)).astype(np.float32)
    given = {"loc": encodings_of(boxes, prior), "conf": scores.reshape(1, -1, 1, 1), "prior": prior}
    kept = run.run(given)["conf"].reshape(ANCHORS, 3)
    assert np.array_equal(kept[4:], scores[0, 4:]) and (kept[:4] < -300).all()
    with np.errstate(over="ignore"):
        assert not (np.exp(kept[:4]) / (1 + np.exp(kept[:4])) > 0).any()


@pytest.mark.parametrize("value", [3, True, b"graph", ["graph"], "grahp"])
@pytest.mark.parametrize("key", ["decode", "anchors"])
def test_what_is_not_a_choice_is_refused(graph: Callable[..., Graph], key: str, value: object) -> None:
    with pytest.raises(SurgeonError, match="is not a choice of") as caught:
        surgeon.plan("ssd", graph(), **{key: value})  # type: ignore[arg-type]
    assert [one.code for one in caught.value.diagnostics] == ["S410"]
