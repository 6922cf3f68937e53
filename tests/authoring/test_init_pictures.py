"""Recipes for detectors that make something else of a picture than three channels of one size."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from other_preprocessors import Resized, resized, with_preprocessor

import surgeon
from surgeon.graph import Graph, Shape
from surgeon.language import Image

pytest.importorskip("tensorflow", reason="TensorFlow writes the graphs")

PASSED = {"cut to cut": "passed", "each alone": "passed", "end to end": "passed"}


def image(made: surgeon.Recipe) -> Image:
    assert isinstance(made.image, Image)
    return made.image


def outcomes(recipe: surgeon.Recipe, graph: Graph) -> dict[str, str]:
    return {verdict.name: str(verdict.outcome) for verdict in surgeon.verify(recipe, graph).verdicts}


def gray_by_matmul(v1: Any, picture: Any) -> Resized:
    """As ``convert_to_grayscale`` of TensorFlow 2."""
    whole, _ = resized(v1, picture)
    gray = v1.image.rgb_to_grayscale(whole)
    gray.set_shape([96, 96, 1])
    return gray, v1.constant([96, 96, 1], v1.int32)


def gray_by_sum(v1: Any, picture: Any) -> Resized:
    """As ``convert_to_grayscale`` of TensorFlow 1, with other shares."""
    whole, _ = resized(v1, picture)
    gray = v1.reduce_sum(whole * [0.25, 0.5, 0.25], axis=2, keepdims=True)
    gray.set_shape([96, 96, 1])
    return gray, v1.constant([96, 96, 1], v1.int32)


def centred_first(v1: Any, picture: Any) -> Resized:
    """Compute with colours before their brightness is taken."""
    whole, _ = resized(v1, picture)
    return gray_by_matmul(v1, whole - [1.0, 2.0, 3.0])


@cache
def gray(how: Any) -> Graph:
    return with_preprocessor(how, network_channels=1)


@pytest.mark.parametrize(
    ("how", "shares"), [(gray_by_matmul, (0.2989, 0.587, 0.114)), (gray_by_sum, (0.25, 0.5, 0.25))]
)
def test_a_picture_that_is_made_gray(how: Any, shares: tuple[float, ...]) -> None:
    made = surgeon.init(gray(how))
    assert (
        not made.diagnostics
        and image(made.recipe).color == "GRAY"
        and image(made.recipe).brightness == shares
    )
    assert outcomes(made.recipe, gray(how)) == PASSED
    if how is gray_by_sum:
        text = made.text.replace(f"brightness: {list(shares)}", "brightness: [0.114, 0.587, 0.299]")
        assert text != made.text
        assert outcomes(surgeon.parse_recipe(text), gray(how))["each alone"] == "failed"


def test_colours_that_change_before_they_become_gray_are_refused() -> None:
    made = surgeon.init(gray(centred_first))
    assert made.recipe.image is None
    assert [d.code for d in made.diagnostics] == ["D115"]


def test_a_batch_that_the_placeholder_fixes(tmp_path: Path) -> None:
    graph = with_preprocessor(resized, batch=4)
    made = surgeon.init(graph)
    assert not made.diagnostics and made.recipe.engine.max_batch == 4
    assert outcomes(made.recipe, graph) == PASSED
    surgeon.convert(made.recipe, graph, tmp_path / "x.uff")


def kept_aspect(v1: Any, picture: Any, *, least: int = 96, most: int = 96, fill: float = 0.0) -> Resized:
    """As ``keep_aspect_ratio_resizer`` with ``pad_to_max_dimension``, whose sizes are computed."""
    shape = v1.shape(picture)
    sides = [v1.to_float(shape[axis]) for axis in (0, 1)]
    large = v1.to_int32(v1.round(v1.stack(sides) * (float(least) / v1.minimum(*sides))))
    small = v1.to_int32(v1.round(v1.stack(sides) * (float(most) / v1.maximum(*sides))))
    size = v1.cond(v1.to_float(v1.reduce_max(large)) > float(most), lambda: small, lambda: large)
    whole = v1.image.resize_images(picture, size, align_corners=False)
    rest = [[0, most - size[0]], [0, most - size[1]]]
    channels = [v1.pad(channel, rest, constant_values=fill) for channel in v1.unstack(whole, 3, axis=2)]
    padded = v1.stack(channels, axis=2)
    padded.set_shape([most, most, 3])
    return padded, v1.concat([size, [3]], axis=0)


@cache
def kept_aspect_graph() -> Graph:
    return with_preprocessor(kept_aspect)


def test_the_aspect_ratio_is_kept_and_zeros_fill_the_rest() -> None:
    graph = kept_aspect_graph()
    made = surgeon.init(graph)
    assert not made.diagnostics
    assert image(made.recipe).resize == "keep-aspect-ratio" and image(made.recipe).size == (96, 96)
    stretched = surgeon.parse_recipe(made.text.replace("resize: keep-aspect-ratio", "resize: stretch"))
    assert outcomes(stretched, graph)["end to end"] == "failed"


def test_boxes_beside_the_picture_are_excused_where_nothing_can_know_it() -> None:
    """The original drops them before it counts its detections, so that others take their rows."""
    graph = kept_aspect_graph()
    found = surgeon.verify(surgeon.init(graph).recipe, graph, target="onnx@onnxruntime")
    assert found.passed, str(found)
    excused = {name for verdict in found.verdicts for name in verdict.excused}
    assert excused == {"window"}


def test_a_window_that_differs_from_picture_to_picture_is_told() -> None:
    """After suppression it changes nothing: what shows the detections clips them to the picture."""
    for date, codes in (("2018", ["D162"]), ("2019", [])):
        graph = with_preprocessor(kept_aspect, date=date)
        checked = surgeon.check("ssd", graph)
        assert [each.code for each in checked.warnings] == codes
        assert all("the part of the input that a picture fills" in each.message for each in checked.warnings)


def test_probes_lie_inside_the_picture_of_a_padded_input() -> None:
    graph = kept_aspect_graph()
    made = surgeon.init(graph)
    wide = [np.random.default_rng(0).integers(0, 256, (120, 200, 3)).astype(np.uint8)]
    found = surgeon.verify(made.recipe, graph, images=wide)
    probes = {each.picture: each for each in found.verdicts[1].passed_probes}
    assert found.passed and len(probes) >= 7 and not probes["probe: most in all"].excused
    assert made.text.count("keepTopK: 100") == 1
    more = surgeon.parse_recipe(made.text.replace("keepTopK: 100", "keepTopK: 110"))
    assert str(surgeon.verify(more, graph, images=wide).verdicts[1].outcome) == "failed"


def test_the_size_that_pictures_are_padded_to_is_that_of_the_input() -> None:
    """Frozen graphs may not tell the shapes of what a loop collects."""
    graph = kept_aspect_graph()
    told = [
        node.with_attr("element_shape", Shape(None)) if node.op == "TensorArrayV3" else node for node in graph
    ]
    untold = graph.replace(told)
    made = surgeon.init(untold)
    assert not made.diagnostics and made.recipe.nodes["Input"].shape == (1, 96, 96, 3)
    assert not surgeon.check(made.recipe, untold).errors


@pytest.mark.parametrize("how", [{"least": 64}, {"fill": 7.0}])
def test_another_fit_or_filling_is_no_kept_aspect(how: dict[str, Any]) -> None:
    made = surgeon.init(with_preprocessor(partial(kept_aspect, **how)))
    assert made.recipe.image is None and [d.code for d in made.diagnostics] == ["D115"]
