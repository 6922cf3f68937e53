"""The step that adds the decoding of a YOLO detector's heads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from surgeon.diagnostics import SurgeonError
from surgeon.graph import DType, Graph, Node, Ref, Shape
from surgeon.infer import evaluate
from surgeon.steps.decode_cells import DecodeCells
from surgeon.steps.example import run_step

ANCHORS = ((10.0, 14.0), (23.0, 27.0), (37.0, 58.0), (81.0, 82.0))
SIZE = (64, 96)


def _heads(*maps: tuple[int, ...], dtype: DType = DType.FLOAT32) -> Graph:
    """Return a graph of an input of 64 x 96 pixels and placeholders for heads."""
    inputs = {"Input": (1, *SIZE, 3), **{f"head_{i}": dims for i, dims in enumerate(maps)}}
    return Graph(
        [
            Node(name, "Placeholder", attrs={"dtype": dtype, "shape": Shape(dims)})
            for name, dims in inputs.items()
        ]
    )


def _step(**options: Any) -> DecodeCells:
    return DecodeCells.model_validate(
        {"step": "decode-cells", "heads": ["head_0"], "picture": "Input", "anchors": ANCHORS[:2], **options}
    )


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _decoded(
    head: np.ndarray, anchors: np.ndarray, scale: float = 1.0, *, softmax: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes and scores of a head [H, W, A (5 + C)], box by box, in float64."""
    height, width, _ = head.shape
    boxes, scores = [], []
    for y in range(height):
        for x in range(width):
            for values, (across, down) in zip(head[y, x].reshape(len(anchors), -1), anchors, strict=True):
                cx = (x + scale * _sigmoid(values[0]) - (scale - 1) / 2) / width
                cy = (y + scale * _sigmoid(values[1]) - (scale - 1) / 2) / height
                w, h = np.exp(values[2]) * across / SIZE[1], np.exp(values[3]) * down / SIZE[0]
                boxes.append([cy - h / 2, cx - w / 2, cy + h / 2, cx + w / 2])
                classes = values[5:]
                chances = np.exp(classes) / np.exp(classes).sum() if softmax else _sigmoid(classes)
                scores.append(_sigmoid(values[4]) * chances)
    return np.array(boxes), np.array(scores)


def _run(graph: Graph, heads: list[np.ndarray]) -> list[np.ndarray]:
    """Return boxes and scores."""
    feeds = {Ref(f"head_{i}"): head for i, head in enumerate(heads)}
    return evaluate(graph, [Ref("boxes"), Ref("scores")], feeds)


@pytest.mark.parametrize(
    ("options", "softmax"),
    [
        ({}, False),
        ({"scale_xy": [1.2, 1.05]}, False),
        ({"class_scores": "softmax"}, True),
        ({"channels_first": True}, False),
    ],
)
def test_boxes_and_scores_are_those_of_the_formula(options: dict[str, Any], softmax: bool) -> None:
    random = np.random.default_rng(3)
    masks = [(2, 3), (1, 0)]
    heads = [random.normal(0, 2, (1, 2 * k, 3 * k, 18)).astype(np.float32) for k in (1, 2)]
    fed = [head.transpose(0, 3, 1, 2) for head in heads] if options.get("channels_first") else heads
    step = _step(heads=["head_0", "head_1"], anchors=ANCHORS, masks=masks, **options)
    boxes, scores = _run(run_step(step, _heads(*(head.shape for head in fed))), fed)
    scales = options.get("scale_xy", (1.0, 1.0))
    expected = [
        _decoded(head[0], np.array(ANCHORS)[list(mask)], scale, softmax=softmax)
        for head, mask, scale in zip(heads, masks, scales, strict=True)
    ]
    np.testing.assert_allclose(
        boxes[0, :, 0], np.concatenate([each[0] for each in expected]), atol=2e-6, rtol=2e-6
    )
    np.testing.assert_allclose(scores[0], np.concatenate([each[1] for each in expected]), atol=1e-6)
    swapped, _ = _run(
        run_step(step.model_copy(update={"masks": ((3, 2), (1, 0))}), _heads(*(head.shape for head in fed))),
        fed,
    )
    assert np.abs(swapped - boxes).max() > 1e-3, "another order of anchors gives other boxes"


def test_a_size_without_a_bound_leaves_the_other_coordinates() -> None:
    """The exponential of 89 is infinite in float32; no layer multiplies it by 0, or is a convolution."""
    head = np.float32([[[[0, 0, 89, 0, 3, 3, 3]]]])
    graph = run_step(_step(anchors=ANCHORS[:1]), _heads(head.shape))
    with np.errstate(over="ignore"):
        boxes, scores = _run(graph, [head])
    down = ANCHORS[0][1] / SIZE[0] / 2
    np.testing.assert_allclose(boxes.reshape(4), [0.5 - down, -np.inf, 0.5 + down, np.inf], rtol=1e-6)
    assert np.isfinite(scores).all()
    assert "Conv2D" not in {node.op for node in graph}
    assert (graph["boxes"].op, boxes.shape) == ("Reshape", (1, 1, 1, 4))


def test_a_head_behind_an_identity_is_the_same_head() -> None:
    heads = _heads((1, 2, 3, 18))
    own = Node("same", "Identity", (Ref("head_0"),), attrs={"T": DType.FLOAT32})
    with pytest.raises(SurgeonError, match="'head_0' is named twice"):
        run_step(_step(heads=["head_0", "same"], masks=[[0, 1], [0, 1]]), Graph([*heads, own]))


@pytest.mark.parametrize(
    ("maps", "options", "message"),
    [
        ([(1, 2, 3, 17)], {}, "17 channels for 2 anchors"),
        ([(1, 2, 3, 10)], {}, "of 6 or more for each"),
        ([(1, None, 3, 18)], {}, "expected float32 maps of known size"),
        ([(1, 18)], {}, "expected float32 maps of known size"),
        (
            [(1, 2, 3, 18), (1, 4, 6, 16)],
            {"heads": ["head_0", "head_1"], "masks": [[0, 1], [0, 1]]},
            "has 9 numbers for a box, and 'head_1' 8",
        ),
        ([(1, 2, 3, 18)], {"picture": "head_0:0", "heads": ["Input"]}, "3 channels for 2 anchors"),
        ([(1, 0, 3, 18)], {}, "expected float32 maps of known size"),
        (
            [(1, 2, 3, 21)],
            {"classes": 2, "anchors": ANCHORS[:1]},
            "21 channels for 1 anchor, which is 16 classes; expected 7 channels",
        ),
        (
            [(1, 2, 3, 18)],
            {"heads": ["head_0", "head_0"], "masks": [[0, 1], [0, 1]]},
            "'head_0' is named twice",
        ),
    ],
)
def test_a_head_that_does_not_fit_is_refused(
    maps: list[tuple[int, ...]], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SurgeonError, match=message) as caught:
        run_step(_step(**options), _heads(*maps))
    assert caught.value.diagnostics[0].code == "S450"


def test_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(SurgeonError) as caught:
        run_step(_step(boxes="Input"), _heads((1, 2, 3, 18)))
    assert caught.value.diagnostics[0].code == "S102"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": ["a", "b"]}, "2 heads need 'masks'"),
        ({"masks": [[0], [1]]}, "'masks' has 2 entries for 1 head"),
        ({"masks": [[0, 2]]}, "different numbers from 0 to 1"),
        ({"masks": [[0, 0]]}, "different numbers from 0 to 1"),
        ({"scale_xy": [1.0, 1.0]}, "'scale_xy' has 2 entries for 1 head"),
        ({"anchors": [[10, 0]]}, "a side that is not above 0"),
        ({"anchors": [[1e39, 10]]}, "a side that is not above 0"),
        *[
            ({"scale_xy": [scale]}, "'scale_xy' has a number that is not above 0")
            for scale in (float("nan"), float("inf"), 0.0, -1.0)
        ],
        ({"classes": 0}, "greater than or equal to 1"),
        ({"boxes": "^x"}, "'.x' is not a name for a node"),
        ({"scores": "scores:1"}, "'scores:1' is not a name for a node"),
        ({"scores": "boxes/decode/rows"}, "'scores' is below 'boxes/decode'"),
        ({"boxes": "rows", "scores": "rows"}, "are one name"),
    ],
)
def test_options_that_contradict_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        _step(**options)
