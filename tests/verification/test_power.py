"""Probes provoke a detector's rules, and a wrong value of any field that they exercise fails the verification."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import surgeon
from surgeon.catalog import load_catalog
from surgeon.families import nearest_family
from surgeon.families.parts.scores import convert_scores, logits_of
from surgeon.kernels.boxes.numbers import iou
from surgeon.verification import FieldPower, GraphPair, Limits, Outcome, Verification, given_pictures
from surgeon.verification.compare_each import compare_probes
from surgeon.verification.power import STEP, changed_values
from surgeon.verification.probes import MARGIN, Probe, probes_of
from surgeon.verification.results import PROBE

pytest.importorskip("tensorflow", reason="ordinary operations run in TensorFlow")
pytest.importorskip("PIL", reason="Pillow reads and writes pictures")

# They share graphs.
pytestmark = pytest.mark.xdist_group("power")

CATALOG = load_catalog()
LARGE = {"height": 300, "width": 300, "depth_multiplier": 0.25}
NO_EFFECT = {
    # On a batch of one picture, in float32, and with encodings in TensorFlow's order.
    "concat_box_loc.ignoreBatch",
    "concat_box_conf.ignoreBatch",
    "NMS.isBatchAgnostic",
    "NMS.scoreBits",
    "NMS.varianceEncodedInTarget",
}


@pytest.fixture(scope="module")
def graph(zoo_graph: Callable[..., surgeon.Graph]) -> Callable[..., surgeon.Graph]:
    """Give ``graph(date, **options)``: a generated detector, of 204 boxes unless told."""
    return zoo_graph


@pytest.fixture(scope="module")
def exact(graph) -> Verification:
    return surgeon.verify("ssd", graph("2019"), anchors="plugin", decode="plugin")


def recipe(more: str = "", parameters: str = "") -> surgeon.Recipe:
    return surgeon.parse_recipe(
        f"recipe: 1\nname: r\nextends: [ssd]\nanchors: plugin\ndecode: plugin\nparameters: {{{parameters}}}\nnodes: {{{more}}}\n"
    )


def alone(found: Verification) -> list[Any]:
    return list(found.verdicts[1].comparisons)


def probes(found: Verification) -> dict[str, Any]:
    return {c.picture.removeprefix(PROBE): c for c in alone(found) if c.picture.startswith(PROBE)}


def on_probes(recipe: surgeon.Recipe, model: surgeon.Graph) -> dict[str, Any]:
    """Return what a verification compares on probes, and nothing else."""
    graphs = GraphPair(surgeon.plan(recipe, model), recipe, CATALOG)
    (record,) = graphs.records(given_pictures(None), 0)
    return {c.picture.removeprefix(PROBE): c for c in compare_probes(graphs, record, Limits())[1]}


def by_field(found: Verification) -> dict[str, FieldPower]:
    return {f"{each.node}.{each.field}": each for each in found.power}


# --- what is measured -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{"iou_threshold": 0.35, "score_threshold": 0.3, "max_detections": 12}, {"classes": 1}]
)
def test_every_field_that_has_an_effect_is_exercised(graph, options: dict[str, Any]) -> None:
    found = surgeon.verify("ssd", graph("2019", **options), anchors="plugin", decode="plugin")
    assert found.passed and found.literals == ()
    assert {name for name, each in by_field(found).items() if not each.exercised} == NO_EFFECT
    assert {name for c in probes(found).values() for name in c.excused} <= {"drop-empty"}
    # A change in either direction is noticed; more candidates than there are boxes is the same rule.
    boxes = by_field(found)["NMS.topK"].value
    silent = [(key, v) for key, each in by_field(found).items() for v, by in each.changes if not by]
    assert {key for key, _ in silent} == NO_EFFECT | {"NMS.topK"} and ("NMS.topK", boxes + 1) in silent


def test_a_probe_notices_what_the_picture_does_not(exact: Verification) -> None:
    noticed = {name: {by for _, by in each.changes} for name, each in by_field(exact).items()}
    assert noticed["NMS.nmsThreshold"] == {"probe: overlaps"}
    assert noticed["NMS.confidenceThreshold"] == {"probe: scores at the threshold"}
    assert noticed["NMS.keepTopK"] <= {"probe: most in all", "probe: most of a class"}
    assert noticed["NMS.topK"] == {"probe: a crowd", ""}
    assert noticed["GridAnchor.minSize"] == {"made, seed 0"} and noticed["NMS.numClasses"] == {"refused"}
    # Every input of the plugin alone is the right one: what joins them shows in the whole graph.
    assert (
        noticed["NMS.inputOrder"] == {"cut to cut, made, seed 0", "refused"}
        and "NMS.topK 205" in exact.partly_exercised
    )


def test_a_bound_of_the_plugin_is_exercised_though_no_recipe_can_avoid_it(graph, monkeypatch) -> None:
    """Where there are more boxes than the plugin looks at, the crowd loses one, and fewer are noticed all the same."""
    monkeypatch.setattr("surgeon.families.parts.detection_output_fields.TOP_K_LIMIT", 500)
    found = surgeon.verify("ssd", graph("2019", **LARGE), anchors="plugin", decode="plugin")
    assert found.verdicts[1].outcome is Outcome.PASSED and found.literals == ()
    assert dict(probes(found)["a crowd"].excused) == {"all-candidates": 1}
    assert dict(by_field(found)["NMS.topK"].changes)[499] == "probe: a crowd of 500"
    literal = surgeon.verify(recipe(parameters="top_k: 400"), graph("2019", **LARGE))
    assert literal.outcome is Outcome.FAILED and "recipe could avoid" in probes(literal)["a crowd"].reason


# --- what is planted --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"max_detections": 1, "score_threshold": 0.3}, ["score_threshold: 0.2", "score_threshold: 0.31"]),
        pytest.param(
            {"max_detections": 3, "score_threshold": 0.3},
            ["score_threshold: 0.2", "score_threshold: 0.31"],
            marks=pytest.mark.exhaustive,
        ),
        (
            {**LARGE, "max_detections": 500, "score_threshold": 0.95},
            ["keep_top_k: 499", "keep_top_k: 501"],
        ),
        ({"score_threshold": 0.0}, ["score_threshold: 0.001", "score_threshold: 0.09"]),
        ({"iou_threshold": 0.0}, ["iou_threshold: 0.01"]),
        ({"iou_threshold": 1.0}, ["iou_threshold: 0.99"]),
    ],
)
def test_rules_at_their_ends(graph, options: dict[str, Any], wrong: list[str]) -> None:
    model = graph("2019", **options)
    right = on_probes(recipe(), model)
    assert len(right) >= 7 and {c.outcome for c in right.values()} == {Outcome.PASSED}
    for parameter in wrong:
        found = on_probes(recipe(parameters=parameter), model)
        assert any(c.outcome is Outcome.FAILED for c in found.values()), parameter


def test_what_power_calls_noticed_fails_under_the_same_limits(graph) -> None:
    """An allowed difference is not noticed, and power does not say so."""
    model = graph("2019", classes=1)
    allowing = surgeon.verify(recipe(), model, max_excused=100)
    top_k = by_field(allowing)["NMS.topK"]
    assert dict(top_k.changes)[top_k.value - 1] == "" and not top_k.exercised
    assert surgeon.verify(recipe(parameters=f"top_k: {top_k.value - 1}"), model, max_excused=100).passed


PLANTED = {
    "overlap": ("NMS.nmsThreshold", "iou_threshold: 0.5988"),
    "overlap, up": ("NMS.nmsThreshold", "iou_threshold: 0.6012"),
    "score": ("NMS.confidenceThreshold", "score_threshold: 1.002e-8"),
    "score, down": ("NMS.confidenceThreshold", "score_threshold: 0.998e-8"),
    "kept": ("NMS.keepTopK", "keep_top_k: 99"),
    "candidates": ("NMS.topK", "top_k: 203"),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.exhaustive] * (", " in name)) for name in PLANTED]
)
def test_the_smallest_wrong_number_fails_and_is_named(graph, name: str) -> None:
    field, parameter = PLANTED[name]
    found = surgeon.verify(recipe(parameters=parameter), graph("2019"))
    assert found.outcome is Outcome.FAILED and found.power == ()
    (literal,) = found.literals
    assert str(literal).startswith(f"{field} is ") and "the graph says" in str(literal)
    assert [name for name, c in probes(found).items() if c.outcome is Outcome.FAILED]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("minSize", ["0.1996"]),
        ("aspectRatios", ["[1.0, 2.0, 0.5, 3.006, 0.33333334]"]),
        pytest.param("variance", ["[0.1, 0.1002, 0.2, 0.2]"], marks=pytest.mark.exhaustive),
    ],
)
def test_anchors_a_little_off_fail(graph, field: str, values: list[str]) -> None:
    for value in values:
        found = surgeon.verify(recipe(f"GridAnchor: {{fields: {{{field}: {value}}}}}"), graph("2019"))
        assert found.outcome is Outcome.FAILED
        assert field in " ".join(map(str, found.literals))


def test_allowed_differences_are_allowed_on_probes_as_on_pictures(graph) -> None:
    strict = surgeon.verify(recipe(parameters="top_k: 150"), graph("2019"))
    assert strict.outcome is Outcome.FAILED and strict.verdicts[1].outcome is Outcome.FAILED
    assert surgeon.verify(recipe(parameters="top_k: 150"), graph("2019"), max_excused=100).passed


# --- how it shows ----------------------------------------------------------------------------------------------------


def test_it_is_plain_json(exact: Verification) -> None:
    data = json.loads(json.dumps(exact.to_json()))
    row = next(row for row in data["power"] if row["field"] == "topK")
    assert row == {
        "node": "NMS",
        "plugin": "NMS_TRT",
        "field": "topK",
        "value": 204,
        "exercised": True,
        "changes": [
            {"value": 203, "noticed_by": "probe: a crowd"},
            {"value": 205, "noticed_by": None},
        ],
    }
    assert data["literals"] == []


def test_a_family_that_makes_no_probes_is_said_to(graph, monkeypatch) -> None:
    from surgeon.families.family import Family
    from surgeon.families.ssd.detector import SingleShotDetector

    monkeypatch.setattr(SingleShotDetector, "heads_for", Family.heads_for)
    found = surgeon.verify("ssd", graph())
    (missing,) = [c for c in alone(found) if c.outcome is Outcome.NOT_COMPARED]
    assert missing.reason.startswith("no probes: ") and "1 of" in found.verdicts[1].reason
    assert not by_field(found)["NMS.confidenceThreshold"].exercised


# --- the probes themselves -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("converter", ["sigmoid", "softmax", "identity"])
def test_logits_give_the_scores_back(converter) -> None:
    scores = np.random.default_rng(0).dirichlet(np.ones(5), (2, 40)).astype(np.float32)
    scores[:, ::3] = [1, 0, 0, 0, 0]
    np.testing.assert_allclose(convert_scores(logits_of(scores, converter), converter), scores, atol=2e-7)
    nothing = convert_scores(logits_of(np.zeros((1, 1, 3), np.float32), "sigmoid"), "sigmoid")
    assert (nothing == 0).all()


@pytest.mark.parametrize(
    "options", [{}, {"iou_threshold": 0.05, "max_detections": 3}, {"score_threshold": 0.9, "classes": 1}]
)
def test_probes_stand_where_they_say(graph, options: dict[str, Any]) -> None:
    family = nearest_family(graph(**LARGE, **options))
    original = family.postprocessing
    made = {probe.name.removeprefix(PROBE): probe for probe in probes_of(original, (100, 500))}
    for probe in made.values():
        assert probe.boxes.shape == (1917, 4) and probe.scores.shape == (1917, original.classes.value - 1)
        assert np.isfinite(probe.boxes).all() and (probe.boxes[:, 2:] > probe.boxes[:, :2]).all()
        assert probe.scores.min() >= 0 and probe.scores.max() < 1
    threshold = original.iou_threshold.value
    near = [value for name, probe in made.items() if name.startswith("overlaps") for value in overlaps(probe)]
    for side in (1 + MARGIN, 1 - MARGIN):
        assert sum(abs(value - threshold * side) < 2e-5 for value in near) == 3
    for name, most in (
        ("most in all", original.max_total.value),
        ("most of a class", original.max_per_class.value),
    ):
        scores = np.sort(made[name].scores[made[name].scores > 0])
        assert (
            len(scores) > most and np.diff(scores).min() > 2e-4 and max(overlaps(made[name]), default=0) == 0
        )
    assert np.count_nonzero(made["a crowd"].scores) == 1917 and not made["nothing"].scores.any()
    assert np.count_nonzero(made["a crowd of 500"].scores) == 500


def overlaps(probe: Probe) -> list[float]:
    """Return the overlaps of a probe's candidates, each pair once."""
    boxes = probe.boxes[probe.scores.max(axis=1) > 0].astype(np.float64)
    found = iou(boxes[:, None], boxes[None, :])
    return [float(value) for value in found[np.triu_indices(len(boxes), 1)]]


def test_values_a_little_beside() -> None:
    nms, anchors = CATALOG["NMS_TRT"], CATALOG["GridAnchor_TRT"]
    changed = {
        name: list(changed_values(nms, nms.fields[name], value))
        for name, value in {"nmsThreshold": 0.5, "topK": 4096, "codeType": 3, "inputOrder": (0, 2, 1)}.items()
    }
    assert changed["nmsThreshold"] == [0.5 * (1 - STEP), 0.5 * (1 + STEP)] and changed["topK"] == [4095]
    assert changed["codeType"] == [0, 1, 2] and changed["inputOrder"] == [(2, 0, 1), (0, 1, 2)]
    assert list(changed_values(nms, nms.fields["confidenceThreshold"], 0.0)) == [0.01]
    assert list(changed_values(anchors, anchors.fields["featureMapShapes"], (2, 1))) == [
        (1, 1),
        (3, 1),
        (2, 2),
    ]
    assert STEP > 2 * MARGIN
