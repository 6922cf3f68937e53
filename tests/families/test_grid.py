"""Fields of anchor plugins, fitted to the anchors that graphs compute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from surgeon.catalog import load_catalog
from surgeon.families import FITTED, RESIDUAL_BOUND, fit_grid
from surgeon.families.ssd.detector import SingleShotDetector as Detector
from surgeon.language import recipe_schema

CATALOG = load_catalog()
DATES = ("2017", "2018", "2019")
THIRD = 0.3333333


def fitted(graph, op="GridAnchor_TRT"):
    return fit_grid(Detector(graph), CATALOG, op)


OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"height": 300, "width": 300},
    {"min_scale": 0.05, "max_scale": 0.7, "height": 160, "width": 160},
    {"aspect_ratios": (1.0, 2.0, 0.5)},
    {"aspect_ratios": (1.0, 2.0, 0.5, 3.0, 0.3333)},
    {"aspect_ratios": (1.0, 2.0, 0.5, 3.0, 0.33, 4.0, 0.25), "min_scale": 0.123, "max_scale": 0.91},
)


@pytest.mark.parametrize(
    ("date", "options"),
    [
        pytest.param(date, options, marks=[pytest.mark.exhaustive] * (date != "2018" and options != {}))
        for date in DATES
        for options in OPTIONS
    ],
)
def test_the_numbers_of_the_generator_come_back(zoo_graph, date, options):
    fit = fitted(zoo_graph(date, **options))
    assert fit.expresses and fit.residual <= 2.5e-7
    assert fit.fields["minSize"] == options.get("min_scale", 0.2) and fit.fields["maxSize"] == options.get(
        "max_scale", 0.95
    )
    assert fit.fields["aspectRatios"] == list(options.get("aspect_ratios", (1.0, 2.0, 0.5, 3.0, THIRD)))
    assert fit.fields["variance"] == [0.1, 0.1, 0.2, 0.2] and fit.fields["numLayers"] == 6
    assert fit.fields["featureMapShapes"][-1] == 1


def test_the_residual_is_that_of_the_plugin(zoo_graph):
    graph = zoo_graph("2018")
    fit = fitted(graph)
    reference = CATALOG.reference("GridAnchor_TRT")
    anchors = Detector(graph).anchors.value[:, [1, 0, 3, 2]]

    def residual(**changed):
        layers = reference.run({**fit.fields, **changed}, [])
        return np.abs(np.concatenate([layer[0, 0].reshape(-1, 4) for layer in layers]) - anchors).max()

    assert residual() == pytest.approx(fit.residual, abs=1e-9)
    assert residual(aspectRatios=[1.0, 2.0, 0.5, 3.0, 0.33]) > 1e-3
    assert residual(minSize=0.21) > 1e-3 and residual(maxSize=0.94) > 1e-3


@pytest.mark.parametrize("shape", [(96, 128), (128, 96)])
def test_oblong_inputs_are_not_expressible(zoo_graph, shape):
    graph = zoo_graph("2018", height=shape[0], width=shape[1])
    assert not fitted(graph).expresses and "square" in fitted(graph).reason
    # The Object Detection API scales the base anchor of an oblong input, the plugin has none.
    oblong = fitted(graph, "GridAnchorRect_TRT")
    assert not oblong.reason and not oblong.expresses and oblong.residual > 1e-2
    assert oblong.fields["featureMapShapes"][:2] == [6 if n == 96 else 8 for n in shape]


def test_square_maps_fit_the_oblong_plugin_too(zoo_graph):
    fit = fitted(zoo_graph("2019"), "GridAnchorRect_TRT")
    assert fit.expresses and fit.fields["featureMapShapes"] == [6, 6, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1]


def test_other_grids_are_not_expressible(zoo_graph, edit):
    assert "boxes a cell after the first" in fitted(zoo_graph(aspect_ratios=(1.0, 2.0))).reason
    graph = zoo_graph("2018")
    scale = next(
        n.name
        for n in graph
        if n.op == "Const"
        and n.name.startswith("MultipleGridAnchorGenerator")
        and "truediv" in n.name
        and n.attrs["value"].shape == (6,)
    )
    numbers = graph[scale].attrs["value"].array()
    bent = edit.graph(graph, {scale: edit.value(numbers * 1.1)})
    assert not fitted(bent).expresses and fitted(bent).residual > 1e-3
    one = np.array([*numbers[:-1], numbers[-1] * 1.01])
    other_ratio = edit.graph(graph, {scale: edit.value(one)})
    assert not fitted(other_ratio).expresses


def test_the_bound_is_the_one_that_the_recipe_language_documents():
    assert f"{RESIDUAL_BOUND:g}" in recipe_schema()["properties"]["anchors"]["description"].replace(
        "1e-6", "1e-06"
    )
    assert FITTED == ("minSize", "maxSize", "aspectRatios")


def test_numbers_with_few_digits_are_taken_only_where_they_fit(zoo_graph):
    fit = fitted(zoo_graph(min_scale=0.2001, max_scale=0.9503))
    assert (fit.fields["minSize"], fit.fields["maxSize"]) == (0.2001, 0.9503)
