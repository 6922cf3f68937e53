"""Recipes for detectors that make something else of a picture than three channels of one size."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from other_preprocessors import Resized, resized, with_preprocessor

import surgeon
from surgeon.graph import Graph
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
    assert not made.remarks and image(made.recipe).color == "GRAY" and image(made.recipe).brightness == shares
    assert outcomes(made.recipe, gray(how)) == PASSED
    text = made.text.replace(f"brightness: {list(shares)}", "brightness: [0.114, 0.587, 0.299]")
    assert text != made.text
    assert outcomes(surgeon.parse_recipe(text), gray(how))["each alone"] == "failed"


def test_colours_that_change_before_they_become_gray_are_refused() -> None:
    made = surgeon.init(gray(centred_first))
    assert made.recipe.image is None
    assert [d.code for d in made.remarks] == ["D115"]


def test_a_batch_that_the_placeholder_fixes(tmp_path: Path) -> None:
    graph = with_preprocessor(resized, batch=4)
    made = surgeon.init(graph)
    assert not made.remarks and made.recipe.engine.max_batch == 4
    assert outcomes(made.recipe, graph) == PASSED
    surgeon.convert(made.recipe, graph, tmp_path / "x.uff")
