"""The step that turns spelled-out layers into the layers that they are, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest

from surgeon.diagnostics import SurgeonError
from surgeon.graph import Graph, parse_graph
from surgeon.steps.example import run_step
from surgeon.steps.fuse_layers import FuseLayers

LEAKY = """graph v1
x = Placeholder() {{dtype: float32, shape: shape[1,4,4,2]}}
other = Placeholder() {{dtype: float32, shape: shape[1,4,4,2]}}
alpha = Const() {{dtype: float32, value: tensor<float32[{shape}]: {alpha}>}}
scaled = Mul({product}) {{T: float32}}
y = Maximum({inputs}) {{T: float32}}
"""
PATCHES = """graph v1
x = Placeholder() {{dtype: float32, shape: shape[1,{height},4,2]}}
y = ExtractImagePatches(x) {{T: float32, ksizes: [1, {k}, {k}, 1], strides: [1, {s}, {s}, 1], rates: [1, {r}, {r}, 1], padding: "VALID"}}
"""


def _op(text: str, **options: object) -> str:
    step = FuseLayers.model_validate({"step": "fuse-layers", **options})
    made: Graph = run_step(step, parse_graph(text))
    return made["y"].op


@pytest.mark.parametrize("alpha", [0.1, 0.01, 0.99])
@pytest.mark.parametrize("product", ["alpha, x", "x, alpha"])
@pytest.mark.parametrize("inputs", ["scaled, x", "x, scaled"])
def test_a_maximum_is_leaky(alpha: float, product: str, inputs: str) -> None:
    text = LEAKY.format(shape="", alpha=np.float32(alpha), product=product, inputs=inputs)
    assert _op(text) == "LeakyRelu"
    assert _op(text, layers=["SpaceToDepth"]) == "Maximum"


@pytest.mark.parametrize(
    "changed",
    [
        {"alpha": "1.5"},
        {"alpha": "-0.1"},
        {"inputs": "scaled, other"},
        {"product": "alpha, other"},
        {"shape": "2", "alpha": "0.1, 0.2"},
    ],
)
def test_another_maximum_stays(changed: dict[str, str]) -> None:
    text = LEAKY.format(
        **{"shape": "", "alpha": "0.1", "product": "alpha, x", "inputs": "scaled, x"} | changed
    )
    assert _op(text) == "Maximum"
    with pytest.raises(SurgeonError) as caught:
        _op(text, optional=False)
    assert caught.value.diagnostics[0].code == "R201"


def test_patches_that_cover_the_picture_are_blocks() -> None:
    def op(**changed: int) -> str:
        return _op(PATCHES.format(**{"height": 4, "k": 2, "s": 2, "r": 1} | changed))

    assert op() == "SpaceToDepth"
    for changed in ({"s": 1}, {"k": 3}, {"r": 2}, {"height": 5}, {"k": 1, "s": 1}):
        assert op(**changed) == "ExtractImagePatches", changed
