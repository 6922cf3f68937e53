"""What a graph computes of the heads of a YOLO detector, told from numbers that are put into the heads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from types import MappingProxyType
from typing import Literal, TypeAlias

import numpy as np

from surgeon.families.yolo.heads import FIRST_CLASS

Layout: TypeAlias = Literal["yxyx", "xyxy", "xywh"]
ClassScores: TypeAlias = Literal["sigmoid", "softmax"]
Computed: TypeAlias = Callable[[Sequence[np.ndarray]], tuple[np.ndarray, np.ndarray]]
"""Returns boxes float32[P, 4] and scores float32[P, C] of heads float32[H, W, A (5 + C)]."""

AGREEING = 1e-4
"""Largest difference, relative to the picture or to a larger box, of boxes that are the same."""

_FEW = 3
"""Heads at most of which every order is tried."""

LARGE = 30.0
"""A number whose logistic function is 1 in float32."""

_COLUMNS = MappingProxyType(
    {
        # Rows: what the four columns give of x, y, width and height.
        "yxyx": ((0, 0.5, 0, 0.5), (0.5, 0, 0.5, 0), (0, -1, 0, 1), (-1, 0, 1, 0)),
        "xyxy": ((0.5, 0, 0.5, 0), (0, 0.5, 0, 0.5), (-1, 0, 1, 0), (0, -1, 0, 1)),
        "xywh": ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)),
    }
)
LAYOUTS: tuple[Layout, ...] = ("yxyx", "xyxy", "xywh")


@dataclass(frozen=True)
class DecodedCells:
    """How a graph decodes heads.

    ``order`` are the numbers of the heads in the order of their boxes, the head of the largest cells being 0.
    ``anchors`` are width and height in pixels of the network's input, head by head, and ``scale_xy`` is one
    number each. ``layout`` says what the columns of a box are, in ``pixels`` of the network's input or
    relative to it. ``error`` is the largest difference from what the graph computes.
    """

    order: tuple[int, ...]
    anchors: tuple[tuple[tuple[float, float], ...], ...]
    scale_xy: tuple[float, ...]
    layout: Layout
    pixels: bool
    class_scores: ClassScores
    error: float


def centres_and_sizes(boxes: np.ndarray, layout: Layout) -> np.ndarray:
    """Return boxes [..., 4] as x and y of the centre, width and height, in the unit that they have."""
    found: np.ndarray = boxes @ np.array(_COLUMNS[layout], boxes.dtype).T
    return found


def corners(boxes: np.ndarray, layout: Layout, height: float, width: float) -> np.ndarray:
    """Return boxes [..., 4] of a layout as float32 ymin, xmin, ymax and xmax, divided by ``height`` and
    ``width``.

    A number without a bound leaves those of the other axis alone.
    """
    boxes = boxes.astype(np.float32)
    if layout == "xywh":
        middle, half = boxes[..., :2], boxes[..., 2:] * np.float32(0.5)
        boxes = np.concatenate([middle - half, middle + half], -1)
    if layout != "yxyx":
        boxes = boxes[..., [1, 0, 3, 2]]
    return boxes / np.array([height, width, height, width], np.float32)


def from_corners(boxes: np.ndarray, layout: Layout, height: float, width: float) -> np.ndarray:
    """Return ymin, xmin, ymax and xmax as boxes of a layout, ``height`` and ``width`` times as large."""
    boxes = boxes * np.array([height, width, height, width], np.float64)
    if layout != "yxyx":
        boxes = boxes[..., [1, 0, 3, 2]]
    if layout == "xywh":
        low, high = boxes[..., :2], boxes[..., 2:]
        boxes = np.concatenate([(low + high) / 2, high - low], -1)
    found: np.ndarray = boxes
    return found


def decode(
    heads: Sequence[np.ndarray],
    anchors: Sequence[Sequence[tuple[float, float]]],
    scale_xy: Sequence[float],
    size: tuple[int, int],
    class_scores: ClassScores = "sigmoid",
) -> tuple[np.ndarray, np.ndarray]:
    """Return float64[P, 4], x, y, width and height relative to the picture, and float64[P, C], the scores.

    ``heads`` are [H, W, A (5 + C)], ``anchors`` pairs of width and height in pixels of an input of ``size``
    (height, width). The formula is that of the step ``decode-cells``.
    """
    boxes, scores = [], []
    for head, sides, scale in zip(heads, anchors, scale_xy, strict=True):
        height, width, _ = head.shape
        cells = head.astype(np.float64).reshape(height, width, len(sides), -1)
        grid = _grid(height, width)
        with np.errstate(over="ignore"):
            middle = scale * _sigmoid(cells[..., :2]) - (scale - 1) / 2
            extent = np.exp(cells[..., 2:4]) * np.array(sides) / [size[1], size[0]]
        rows = np.concatenate([(middle + grid) / [width, height], extent], -1)
        boxes.append(rows.reshape(-1, 4))
        classes = cells[..., FIRST_CLASS:]
        chances = _sigmoid(classes) if class_scores == "sigmoid" else _softmax(classes)
        found = _sigmoid(cells[..., 4:FIRST_CLASS]) * chances
        scores.append(found.reshape(-1, found.shape[-1]))
    return np.concatenate(boxes), np.concatenate(scores)


def fit_cells(
    computed: Computed, shapes: Sequence[tuple[int, int, int]], per_cell: int, size: tuple[int, int]
) -> DecodedCells | str:
    """Return how boxes and scores are computed of heads, or the reason why that is not known.

    ``shapes`` are height, width and channels of the heads. Heads of zeros show the order, what the columns
    are, and the anchors; random ones are the proof.
    """
    zeros = [np.zeros(shape, np.float32) for shape in shapes]
    boxes, _ = computed(zeros)
    expected = sum(height * width for height, width, _ in shapes) * per_cell
    if boxes.shape != (expected, 4):
        return f"of the heads' {expected} boxes, {len(boxes)} are computed"
    for order in _orders(len(shapes)):
        for layout, pixels in ((layout, pixels) for layout in LAYOUTS for pixels in (False, True)):
            rows = _relative(boxes, layout, size, pixels=pixels)
            parts = _parts([shapes[k] for k in order], per_cell, rows)
            anchors = [_anchors(part, size) for part in parts]
            found = [each for each in anchors if each is not None]
            if len(found) == len(anchors):
                by_head = tuple(found[order.index(k)] for k in range(len(shapes)))
                return _proven(computed, shapes, size, order, layout, pixels, by_head)
    return "with zeros in the heads, the boxes are not centred in the cells of the maps"


def _proven(
    computed: Computed,
    shapes: Sequence[tuple[int, int, int]],
    size: tuple[int, int],
    order: tuple[int, ...],
    layout: Layout,
    pixels: bool,
    anchors: tuple[tuple[tuple[float, float], ...], ...],
) -> DecodedCells | str:
    """Return the decoding with its scales, if random heads agree with it."""
    large = [np.full(shape, 0, np.float32) for shape in shapes]
    for head, sides in zip(large, anchors, strict=True):
        head.reshape(*head.shape[:2], len(sides), -1)[..., :2] = LARGE
    rows = _relative(computed(large)[0], layout, size, pixels=pixels)
    parts = list(_parts([shapes[k] for k in order], len(anchors[0]), rows))
    scales = []
    for k, (height, width, _) in enumerate(shapes):
        reach = parts[order.index(k)][..., :2] * [width, height] - _grid(height, width)
        scales.append(_rounded(float(2 * reach.mean() - 1), 1000))
    random = np.random.default_rng(11)
    heads = [random.normal(0, 1.5, shape).astype(np.float32) for shape in shapes]
    boxes, scores = computed(heads)
    rows = _relative(boxes, layout, size, pixels=pixels)
    ordered = [heads[k] for k in order], [anchors[k] for k in order], [scales[k] for k in order]
    error = np.inf
    for class_scores in ("sigmoid", "softmax"):
        expected, chances = decode(*ordered, size, class_scores)
        if chances.shape != scores.shape:
            return f"scores are {list(scores.shape)}; expected {list(chances.shape)}"
        error = float(
            max(
                np.max(np.abs(rows - expected) / np.maximum(np.abs(expected), 1)),
                np.max(np.abs(scores - chances)),
            )
        )
        if error <= AGREEING:
            return DecodedCells(
                order,
                anchors,
                tuple(scales),
                layout,
                pixels,
                class_scores,
                error,
            )
    return f"the formula of YOLO gives other numbers for random heads, by {error:.2g}"


def _orders(count: int) -> Iterator[tuple[int, ...]]:
    """Yield the orders of heads that are tried: all of a few, else coarse to fine and fine to coarse."""
    numbers = range(count)
    yield from permutations(numbers) if count <= _FEW else (tuple(numbers), tuple(reversed(numbers)))


def _relative(boxes: np.ndarray, layout: Layout, size: tuple[int, int], *, pixels: bool) -> np.ndarray:
    rows = centres_and_sizes(boxes.astype(np.float64), layout)
    return rows / [size[1], size[0], size[1], size[0]] if pixels else rows


def _parts(shapes: Sequence[tuple[int, int, int]], per_cell: int, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows of each head as [H, W, A, 4]."""
    first = 0
    for height, width, _ in shapes:
        count = height * width * per_cell
        yield rows[first : first + count].reshape(height, width, per_cell, 4)
        first += count


def _anchors(part: np.ndarray, size: tuple[int, int]) -> tuple[tuple[float, float], ...] | None:
    """Return the anchors of a head of zeros; None where its boxes are not centred in the cells, and not as
    large in all of them.
    """
    height, width = part.shape[:2]
    centres = (_grid(height, width) + 0.5) / [width, height]
    sides = part[..., 2:]
    if np.abs(part[..., :2] - centres).max() > AGREEING or (sides <= 0).any():
        return None
    if np.abs(sides - sides[0, 0]).max() > AGREEING * max(1.0, sides.max()):
        return None
    pairs = sides[0, 0] * [size[1], size[0]]
    return tuple((_rounded(float(across), 100), _rounded(float(down), 100)) for across, down in pairs)


def _rounded(value: float, parts: int) -> float:
    """Return a number as someone wrote it, if it is one of that few digits, else as it is."""
    near = round(value * parts) / parts
    return near if abs(near - value) <= 1e-5 * max(1.0, abs(value)) else value


def _grid(height: int, width: int) -> np.ndarray:
    """Return x and y of each cell, [H, W, 1, 2]."""
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1)[:, :, None]


def _sigmoid(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        found: np.ndarray = 1 / (1 + np.exp(-x))
    return found


def _softmax(x: np.ndarray) -> np.ndarray:
    power = np.exp(x - x.max(-1, keepdims=True))
    found: np.ndarray = power / power.sum(-1, keepdims=True)
    return found
