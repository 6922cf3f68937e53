"""The graph's own anchors as one constant: when it is chosen, what it holds, what it replaces."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from detector_graphs import load

import surgeon
from surgeon.diagnostics import Diagnostic, Span, SurgeonError
from surgeon.families.ssd.detector import SingleShotDetector as Detector
from surgeon.formats.graphdef import load_graph
from surgeon.formats.uff import describe, read_uff
from surgeon.graph import Add, Drop, Graph, TensorValue
from surgeon.language import parse_recipe
from surgeon.rewrite import Plan, apply, plan, plan_from_json, plan_to_json

SMALL = {"height": 96, "width": 96, "depth_multiplier": 0.125}
OBLONG = {**SMALL, "width": 128}
ANCHORS = 204
BOXES = 258


@pytest.fixture(scope="session")
def graph(zoo_ssd: Callable[..., Path]) -> Callable[..., Graph]:
    return lambda date="2018", **options: load(zoo_ssd(date, **options))


def planned(model: Graph, more: str = "", base: str = "ssd", anchors: str | None = None) -> Plan:
    return plan(
        parse_recipe(f"recipe: 1\nname: r\nextends: [{base}]\n{more}", "r.yaml"),
        model,
        anchors=anchors,
        decode="plugin",
    )


def refused(
    code: str, model: Graph, more: str = "", base: str = "ssd", anchors: str | None = None
) -> Diagnostic:
    with pytest.raises(SurgeonError) as caught:
        planned(model, more, base, anchors)
    found = next((diagnostic for diagnostic in caught.value.diagnostics if diagnostic.code == code), None)
    assert found is not None, str(caught.value)
    return found


def constant(found: Plan) -> np.ndarray:
    assert found.result is not None and "GridAnchor" not in found.result
    node = found.result["concat_priorbox"]
    value = node.attrs["value"]
    assert node.op == "Const" and node.inputs == () and isinstance(value, TensorValue)
    return value.array()


def chosen(found: Plan) -> Mapping[str, Any]:
    return {d.node: d.value for d in found.derivations if d.field == "anchors"}


def test_the_plugin_stays_where_it_makes_the_graphs_anchors(graph):
    for date in ("2017", "2018", "2019"):
        found = planned(graph(date, **SMALL))
        assert (
            found.result is not None
            and found.result["GridAnchor"].op == "GridAnchor_TRT"
            and not chosen(found)
        )


@pytest.mark.parametrize("date", ["2017", "2018", "2019"])
def test_the_constant_holds_what_suppression_reads(graph, date):
    model = graph(date, **SMALL)
    value = constant(planned(model, anchors="constant"))
    anchors = Detector(model).anchors.value
    assert value.dtype == np.float32 and value.shape == (1, 2, 4 * ANCHORS, 1)
    corners, variances = value[0, :, :, 0].reshape(2, ANCHORS, 4)
    assert np.array_equal(corners, anchors[:, [1, 0, 3, 2]]) and not np.array_equal(corners, anchors)
    assert np.array_equal(variances, np.tile(np.float32([0.1, 0.1, 0.2, 0.2]), (ANCHORS, 1)))


def test_the_constant_is_what_the_plugin_would_write(graph):
    from surgeon.catalog import load_catalog

    model = graph("2018", **SMALL)
    found = planned(model)
    assert found.result is not None
    reference = load_catalog().reference("GridAnchor_TRT")
    assert reference is not None
    layers = reference.run(dict(found.result["GridAnchor"].attrs), [])
    value = constant(planned(model, anchors="constant"))
    assert np.abs(np.concatenate(layers, axis=2) - value).max() <= 2.5e-7
    assert np.abs(np.concatenate(layers[::-1], axis=2) - value).max() > 0.1


def test_it_is_chosen_where_the_plugin_cannot(graph):
    found = planned(graph(**OBLONG))
    assert constant(found).shape == (1, 2, 4 * BOXES, 1) and chosen(found) == {"concat_priorbox": "constant"}
    shown = next(d for d in found.derivations if d.field == "anchors")
    assert any("square" in line for line in shown.evidence)
    assert not any(
        d.node == "GridAnchor" for d in found.derivations if d.field in ("minSize", "maxSize", "aspectRatios")
    )
    many = planned(graph(**SMALL, aspect_ratios=(1.0, 2.0)))
    assert constant(many).shape[2] % 4 == 0 and chosen(many)


def test_a_residual_above_the_bound_is_told(graph):
    rect = "nodes: {GridAnchor: {plugin: GridAnchorRect_TRT}}\n"
    found = planned(graph(**OBLONG), rect)
    shown = next(d for d in found.derivations if d.field == "anchors")
    assert any("best fit leaves a difference of 0.08" in line for line in shown.evidence)


def test_the_plugin_alone_is_refused_where_it_cannot(graph):
    oblong = refused("D118", graph(**OBLONG), anchors="plugin")
    assert (
        isinstance(oblong.where, Span)
        and "minSize" in oblong.where.text
        and "--anchors constant" in oblong.help[0]
    )
    assert refused("D118", graph(**SMALL, aspect_ratios=(1.0, 2.0)), "anchors: plugin\n").code == "D118"


def test_typed_in_numbers_are_not_overruled(graph):
    found = planned(
        graph(**SMALL, aspect_ratios=(1.0, 2.0, 0.5, 3.0, 0.5)), "anchors: auto\n", "ssd_nvidia_numbers"
    )
    assert found.result is not None and np.float32(0.2) == found.result["GridAnchor"].attrs["minSize"]
    assert (
        refused("D111", graph(**OBLONG), "anchors: auto\nimage: null\n", "ssd_nvidia_numbers").code == "D111"
    )
    assert (
        constant(planned(graph(**OBLONG), "image: null\n", "ssd_nvidia_numbers", "constant")).shape[2]
        == 4 * BOXES
    )


def test_edits_carry_the_recipes_line(graph):
    found = planned(graph(**SMALL), "anchors: constant\n")
    edits = [edit for step in found.steps for edit in step.edits]
    added = next(e for e in edits if isinstance(e, Add) and e.node.name == "concat_priorbox")
    assert str(added.span) == "r.yaml:4:1"
    taken = [e for e in edits if isinstance(e, Drop) and e.name.startswith("MultipleGridAnchorGenerator/mul")]
    assert taken and all(e.into == "concat_priorbox" and e.span is not None for e in taken)
    # Chosen from outside the recipe, the line is that of the node that is replaced.
    by_caller = planned(graph(**SMALL), anchors="constant")
    added = next(
        e for s in by_caller.steps for e in s.edits if isinstance(e, Add) and e.node.name == "concat_priorbox"
    )
    assert added.span is not None and added.span.file.endswith("ssd.yaml")


def test_a_plan_with_a_constant_and_an_image_survives_its_file(graph):
    model = graph(**OBLONG)
    found = planned(model)
    again = plan_from_json(json.loads(json.dumps(plan_to_json(found))))
    assert again.image == found.image and again.image is not None
    assert apply(again, model) == found.result
    data = plan_to_json(found)
    data["image"]["size"] = "large"
    with pytest.raises(SurgeonError, match="S408"):
        plan_from_json(data)


def test_the_file_for_tensorrt_has_no_batch(graph, tmp_path, zoo_ssd):
    done = surgeon.convert("ssd", zoo_ssd("2018", **OBLONG), tmp_path / "ssd.uff", decode="plugin")
    model = read_uff(done.output)
    node = next(node for node in model.nodes if node.id == "concat_priorbox")
    assert node.operation == "Const" and tuple(node.fields["shape"].value) == (2, 4 * BOXES, 1)
    assert {plugin["name"] for plugin in describe(model)["plugins"]} == {
        "concat_box_loc",
        "concat_box_conf",
        "NMS",
    }


def test_without_a_port_there_is_no_place(graph):
    recipe = "nodes: {NMS: {inputs: {prior: Concatenate/concat}}}\n"
    found = refused("S409", graph(**SMALL), recipe, anchors="constant")
    assert "'Concatenate/concat'" in found.message
    none = "nodes: {NMS: {inputs: {prior: null}}}\n"
    assert "no port" in str(refused("S409", graph(**SMALL), none, anchors="constant").message)


def test_a_choice_that_means_nothing_is_refused(graph):
    assert refused("S410", graph(**SMALL), anchors="constants").notes == ("nearest: 'constant'",)
    refused("R106", graph(**SMALL), "anchors: constants\n")


def test_anchors_that_cannot_be_computed_are_refused(graph):
    model = graph("2018", **SMALL)
    broken = model.replace(
        [node.with_attr("DstT", None) if node.op == "Cast" else node for node in model if node.op != "Assert"]
    )
    broken = broken.replace(
        [
            node.__class__(node.name, "Mystery", node.inputs, attrs=node.attrs)
            if node.name == "Concatenate/concat"
            else node
            for node in broken
        ]
    )
    found = refused("D113", broken, anchors="constant")
    assert isinstance(found.where, Span)


def test_what_else_makes_the_anchors_goes_too(graph):
    recipe = """\
nodes:
  AnchorInput: {op: Const, value: [[0.0]]}
  GridAnchor: {inputs: [AnchorInput]}
"""
    found = planned(graph(**SMALL), recipe, anchors="constant")
    assert (
        found.result is not None and "AnchorInput" not in found.result and constant(found).size == 8 * ANCHORS
    )
    shown = next(d for d in found.derivations if d.field == "anchors")
    assert any("'AnchorInput'" in line for line in shown.evidence)


@pytest.mark.parametrize("choice", ["plugin", "constant"])
def test_the_interface_takes_the_choice(zoo_ssd, tmp_path, choice):
    model = zoo_ssd("2018", **SMALL)
    found = surgeon.plan("ssd", model, anchors=choice, decode="plugin")
    assert found.result is not None and ("GridAnchor" in found.result) is (choice == "plugin")
    checked = surgeon.check("ssd", model, anchors=choice, decode="plugin").plan
    assert checked is not None and checked.result == found.result
    done = surgeon.convert("ssd", model, tmp_path / "out.pb", anchors=choice, decode="plugin")
    assert [node.op for node in load_graph(done.output) if node.name == "concat_priorbox"] == [
        "ConcatV2" if choice == "plugin" else "Const"
    ]
