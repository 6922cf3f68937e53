"""Boxes decoded in front of the plugin: nothing is excused, and a wrong constant is noticed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import surgeon
from surgeon.families.ssd.detector import SingleShotDetector as Detector
from surgeon.graph import TensorValue
from surgeon.verification import DetectionComparison, Limits, Outcome, Verification
from surgeon.verification.compare_each import compare_decoded
from surgeon.verification.decoding import DecodedInFront

pytest.importorskip("tensorflow", reason="ordinary operations run in TensorFlow")
pytest.importorskip("PIL", reason="Pillow reads and writes pictures")

# They share graphs and a verification.
pytestmark = pytest.mark.xdist_group("decoding")

ANCHORS, CLASSES = 204, 4


@pytest.fixture(scope="module")
def model(zoo_graph: Callable[..., surgeon.Graph]) -> surgeon.Graph:
    return zoo_graph("2018")


@pytest.fixture(scope="module")
def found(model: surgeon.Graph) -> Verification:
    return surgeon.verify("ssd", model)


def test_every_detection_matches_and_none_is_excused(found: Verification) -> None:
    assert found.passed and found.excuses == {} and found.literals == ()
    for verdict in found.verdicts:
        assert not verdict.excused
        for compared in verdict.comparisons:
            assert compared.outcome is Outcome.PASSED
            if isinstance(compared, DetectionComparison):
                assert compared.matched == compared.original == compared.rewritten
                assert compared.worst_box_error < 1e-6 and compared.differences == ()
    names = {compared.picture for compared in found.verdicts[1].comparisons}
    assert {"probe: window", "probe: a crowd", "probe: overlaps"} < names


def test_every_box_is_compared_with_the_formula(found: Verification) -> None:
    subjects = [compared.subject for compared in found.verdicts[1].comparisons]
    decoded = "MultipleGridAnchorGenerator, Concatenate -> NMS/decode"
    assert {decoded, f"{decoded}, encodings times 10"} < set(subjects)


def test_fields_of_the_plugin_are_exercised_as_before(found: Verification) -> None:
    silent = {f"{each.node}.{each.field}" for each in found.power if not each.exercised}
    # On a batch of one picture, and in float32.
    assert silent == {
        *("concat_box_loc.ignoreBatch", "concat_box_conf.ignoreBatch"),
        *("NMS.isBatchAgnostic", "NMS.scoreBits"),
    }


def test_every_constant_that_decodes_is_exercised(found: Verification) -> None:
    own = {
        each.field.removeprefix("decode."): each for each in found.power if each.field.startswith("decode.")
    }
    assert set(own) == {
        *(f"{what}_{axis}" for what in ("shift", "centre") for axis in "xy"),
        *(f"{what}_{side}" for what in ("growth", "half") for side in "wh"),
        *(f"{corner}/beyond" for corner in ("xmin", "ymin", "xmax", "ymax")),
    }
    for name, each in own.items():
        assert [noticed for _, noticed in each.changes] == ["made, seed 0"] * 2, name
    assert own["centre_x"].changes[0][0] == "plus -0.002" and own["shift_x"].changes[1][0] == "times 1.002"


def test_the_plugin_alone_is_not_exact_there(model: surgeon.Graph) -> None:
    plugin = surgeon.verify("ssd", model, decode="plugin")
    assert not plugin.passed and set(plugin.excuses) == {"clip-first"}
    assert plugin.excuses["clip-first"].endswith("'decode: auto' or 'decode: graph' avoids it")
    window = next(c for c in plugin.verdicts[1].comparisons if c.picture == "probe: window")
    assert window.excused == {"clip-first": 2} and window.outcome is Outcome.FAILED
    assert "excused that the recipe could avoid; --max-excused allows them" in window.reason


def test_what_the_plugin_does_otherwise_can_be_allowed(model: surgeon.Graph) -> None:
    allowed = surgeon.verify("ssd", model, decode="plugin", max_excused=100)
    assert allowed.passed and set(allowed.excuses) == {"clip-first"}


def test_ratios_that_were_typed_are_named_and_can_be_allowed(model: surgeon.Graph) -> None:
    """The anchors are constants then, and would hold 1/3 with the rule of their plugin changed."""
    typed = surgeon.parse_recipe(
        "recipe: 1\nname: r\nextends: [ssd]\n"
        "nodes: {GridAnchor: {fields: {aspectRatios: [1.0, 2.0, 0.5, 3.0, 0.33]}}}\n"
    )
    found = surgeon.verify(typed, model)
    assert not found.passed and set(found.excuses) == {"exact-ratios"}
    assert all(verdict.outcome is Outcome.FAILED for verdict in found.verdicts)
    assert surgeon.verify(typed, model, max_excused=100).passed
    wrong = surgeon.parse_recipe(
        "recipe: 1\nname: r\nextends: [ssd]\n"
        "nodes: {GridAnchor: {fields: {aspectRatios: [1.0, 2.0, 0.5, 3.0, 0.4]}}}\n"
    )
    assert not surgeon.verify(wrong, model, max_excused=100).passed


WINDOW = (0.1, 0.05, 0.8, 0.9)


def test_a_window_of_other_numbers_is_followed(zoo_graph, edit) -> None:
    cut = edit.graph(zoo_graph("2017"), {"Postprocessor/Const": edit.value(WINDOW)})
    found = surgeon.verify("ssd", cut)
    assert found.passed and found.excuses == {} and not surgeon.check("ssd", cut).warnings
    assert {"NMS.decode.xmin/scaled", "NMS.decode.ymax/moved"} < {f"{e.node}.{e.field}" for e in found.power}
    assert {f"{each.node}.{each.field}" for each in found.power if not each.exercised} == {
        *("concat_box_loc.ignoreBatch", "concat_box_conf.ignoreBatch"),
        *("NMS.isBatchAgnostic", "NMS.scoreBits"),
    }


def test_a_graph_that_clips_nothing_is_followed_by_the_native_rules_alone(zoo_graph, edit) -> None:
    clip = "Postprocessor/BatchMultiClassNonMaxSuppression/map/while/MultiClassNonMaxSuppression/ClipToWindow"
    graph = zoo_graph("2017", classes=1)
    free = edit.graph(
        graph,
        {
            f"{clip}/concat": lambda node: edit.op("Identity")(node).with_inputs(
                (graph[f"{clip}/split"].inputs[1],)
            ),
            f"{clip}/Greater/y": edit.value(-1e30),
        },
    )
    plugin = surgeon.verify("ssd", free)
    assert not plugin.passed and plugin.excuses == {}
    (warning,) = surgeon.check("ssd", free).warnings
    assert warning.code == "D162" and "clips no boxes" in warning.message
    assert warning.help == ("write 'suppression: native', which clips none",)
    native = surgeon.parse_recipe("recipe: 1\nname: r\nextends: [ssd]\nsuppression: native\n")
    found = surgeon.verify(native, free)
    assert found.passed and found.excuses == {} and not surgeon.check(native, free).warnings


def test_boxes_decoded_without_clipping_are_excused_as_the_plugin_is(zoo_graph) -> None:
    found = surgeon.verify("ssd", zoo_graph("2019"), decode="graph")
    assert found.passed and set(found.excuses) == {"drop-empty"}


@pytest.fixture(scope="module")
def decoders(model: surgeon.Graph) -> Callable[..., list[Any]]:
    """Give ``decoders(change)``: the comparison where ``change`` was applied to a constant, by its name."""
    plan = surgeon.plan("ssd", model)
    graph, decoding = plan.result, plan.decoding
    assert graph is not None and decoding is not None
    ports = dict(zip(("loc", "prior", "conf"), graph["NMS"].inputs, strict=True))
    random = np.random.default_rng(0)
    given = {
        "loc": random.normal(size=(1, 4 * ANCHORS, 1, 1)).astype(np.float32),
        "conf": random.normal(size=(1, CLASSES * ANCHORS, 1, 1)).astype(np.float32),
        "prior": Detector(model).anchor_constant().value,
    }

    def compared(name: str = "", change: Callable[[np.ndarray], np.ndarray] = np.copy) -> list[Any]:
        nodes = []
        for node in graph:
            if node.name == name:
                value = node.attrs["value"]
                assert isinstance(value, TensorValue)
                node = node.with_attr("value", TensorValue.of(change(value.array()).astype(np.float32)))
            nodes.append(node)
        decoder = DecodedInFront(graph.replace(nodes), decoding, ports)
        return compare_decoded(decoder, given, Limits(), "boxes", "random")

    return compared


def test_what_is_right_passes(decoders) -> None:
    assert [each.outcome for each in decoders()] == [Outcome.PASSED] * 2


@pytest.mark.parametrize(
    "name",
    [
        *(f"{what}_{axis}" for what in ("shift", "centre") for axis in "xy"),
        *(f"{what}_{side}" for what in ("growth", "half") for side in "wh"),
        *(f"{corner}/beyond" for corner in ("xmin", "ymin", "xmax", "ymax")),
        *("kept", "dropped", "has_w/steep", "has_h/steep"),
    ],
)
def test_a_wrong_constant_is_noticed(decoders, name: str) -> None:
    zero = name.endswith("steep")
    wrong = decoders(f"NMS/decode/{name}/by", lambda value: value * np.float32(0.0 if zero else 1.01))
    assert Outcome.FAILED in {each.outcome for each in wrong}


def test_one_wrong_anchor_of_all_is_noticed(decoders) -> None:
    def moved(value: np.ndarray) -> np.ndarray:
        value = value.copy()
        value[ANCHORS // 2] += 0.001
        return value

    assert Outcome.FAILED in {each.outcome for each in decoders("NMS/decode/centre_y/by", moved)}


def test_anchors_that_are_not_zero_are_noticed(decoders) -> None:
    def moved(value: np.ndarray) -> np.ndarray:
        value = value.copy()
        value[0, 0, 4 * (ANCHORS // 2)] = 0.001
        return value

    assert decoders("NMS/decode/anchors", moved)[0].outcome is Outcome.FAILED


def test_swapped_coordinates_are_noticed(model: surgeon.Graph, decoders) -> None:
    plan = surgeon.plan("ssd", model)
    assert plan.result is not None and plan.decoding is not None
    node = plan.result["NMS/decode/corners"]
    a, b, c, d, axis = node.inputs
    nodes = [replace(n, inputs=(b, a, d, c, axis)) if n is node else n for n in plan.result]
    ports = dict(zip(("loc", "prior", "conf"), plan.result["NMS"].inputs, strict=True))
    prior = Detector(model).anchor_constant().value
    zeros = {
        "loc": np.zeros((1, 4 * ANCHORS, 1, 1), np.float32),
        "conf": np.zeros((1, CLASSES * ANCHORS, 1, 1), np.float32),
        "prior": prior,
    }
    decoder = DecodedInFront(plan.result.replace(nodes), plan.decoding, ports)
    assert compare_decoded(decoder, zeros, Limits(), "boxes", "zeros")[0].outcome is Outcome.FAILED


def test_boxes_dropped_after_suppression_are_followed_in_standard_operators(
    zoo_graph: Callable[..., surgeon.Graph], tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime", reason="ONNX Runtime runs the file")
    late, file = zoo_graph("2019"), tmp_path / "ssd.onnx"
    recipe = surgeon.parse_recipe("recipe: 1\nname: r\nextends: [ssd]\nsuppression: native\n")
    reference = surgeon.verify(recipe, late, target="onnx@onnxruntime")
    assert reference.passed and reference.excuses == {}
    converted = surgeon.convert(recipe, late, file)
    assert {plugin.rendering for plugin in converted.plugins} == {"standard"}
    in_runtime = surgeon.verify(recipe, late, onnx=file)
    assert in_runtime.passed and in_runtime.excuses == {}
