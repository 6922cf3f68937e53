"""Pictures of coloured shapes on textured backgrounds, with the boxes of the shapes, from a seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from surgeon.optional import require

CLASSES = ("circle", "square", "triangle", "star", "cross", "ring")
"""Names of the shapes; the label of a shape is its place here, counted from 1."""

SIZES = ((300, 300), (240, 320), (320, 240))
"""Height and width in pixels of the pictures that the demo model is trained and evaluated on."""

MOST_SHAPES = 5
MOST_COVERED = 0.6
"""Share of a shape's pixels that later shapes may cover.

A shape that is covered more is drawn but left out.
"""

_LONGEST = (0.15, 0.6)  # of the shorter side of the picture
_NARROWEST = 0.7  # width by height, or height by width, before the shape is turned
_TURN = math.radians(20)
_CONTRAST = 110.0  # Euclidean distance in RGB, of 441 at most
_TRIES = 12
_MOST_HIDDEN = 0.35  # share of an earlier shape's box that a new box may overlap
_RING_HOLE = 0.55
_STAR_INNER = 0.42
_CROSS_ARM = 0.3


@dataclass(frozen=True, eq=False)
class LabelledPicture:
    """A picture and the shapes in it, from the rearmost to the foremost.

    ``pixels`` is uint8[H, W, 3], red first. ``boxes`` is float32[n, 4], ymin, xmin, ymax, xmax as shares of
    the picture: the extent of the whole shape, whether or not others cover parts of it; shapes lie inside the
    picture. ``labels`` is int64[n], from 1.
    """

    pixels: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray


def make_picture(seed: int, index: int, size: tuple[int, int] | None = None) -> LabelledPicture:
    """Make picture number ``index`` of a seed; it does not depend on other pictures.

    ``size`` is height and width in pixels, 32 at least; without it, it is one of ``SIZES``. Raise
    SurgeonError E108 where Pillow is missing, and ValueError for smaller sizes.
    """
    random = np.random.default_rng([seed, index])
    height, width = SIZES[int(random.integers(len(SIZES)))] if size is None else size
    if min(height, width) < 32:
        raise ValueError(f"size is {height} x {width} pixels; expected at least 32 x 32")
    painter = _Painter(random, height, width)
    painter.background()
    for _ in range(int(random.integers(1, MOST_SHAPES + 1))):
        painter.shape()
    return painter.picture()


def make_pictures(seed: int, count: int) -> list[LabelledPicture]:
    """Make the pictures 0 to ``count`` - 1 of a seed; raise as ``make_picture`` does."""
    return [make_picture(seed, index) for index in range(count)]


@dataclass(frozen=True, eq=False)
class _Placed:
    label: int
    box: np.ndarray  # ymin, xmin, ymax, xmax in pixels
    area: int


class _Painter:
    def __init__(self, random: np.random.Generator, height: int, width: int) -> None:
        self._random, self._height, self._width = random, height, width
        self._image: ModuleType = require("PIL.Image", "making pictures")
        self._draw: ModuleType = require("PIL.ImageDraw", "making pictures")
        self._canvas = np.zeros((height, width, 3), np.float32)
        self._owner = np.zeros((height, width), np.int8)
        self._placed: list[_Placed] = []

    def background(self) -> None:
        """Paint a gradient, blotches, stripes or a plain colour, then lines and specks that are no shapes."""
        random = self._random
        first, second = (random.uniform(20, 235, 3).astype(np.float32) for _ in range(2))
        second = first + (second - first) * np.float32(random.uniform(0.2, 0.7))
        share = self._texture(int(random.integers(4)))[:, :, None]
        self._canvas = first + (second - first) * share
        self._lines()
        self._specks()

    def shape(self) -> None:
        """Paint a shape that hides not too much of the others.

        Paint nothing where there is no room for it.
        """
        random = self._random
        label = int(random.integers(len(CLASSES))) + 1
        for _ in range(_TRIES):
            corners, box = self._place(_outlines(CLASSES[label - 1]))
            if all(_hidden(placed.box, box) <= _MOST_HIDDEN for placed in self._placed):
                self._paint(label, corners, box)
                return

    def picture(self) -> LabelledPicture:
        """Return what has been painted, with noise of a camera."""
        noise = self._random.standard_normal(self._canvas.shape, np.float32)
        noisy = self._canvas + noise * np.float32(self._random.uniform(0, 8))
        pixels = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
        left = [
            placed
            for owner, placed in enumerate(self._placed, 1)
            if np.count_nonzero(self._owner == owner) >= (1 - MOST_COVERED) * placed.area
        ]
        scale = np.array([self._height, self._width] * 2, np.float64)
        boxes = np.array([placed.box / scale for placed in left], np.float32).reshape(-1, 4)
        return LabelledPicture(pixels, boxes, np.array([placed.label for placed in left], np.int64))

    def _texture(self, kind: int) -> np.ndarray:
        """Return the share of the second colour, float32[H, W]."""
        random = self._random
        y, x = np.mgrid[0 : self._height, 0 : self._width].astype(np.float32)
        angle = random.uniform(0, 2 * math.pi)
        along = np.float32(math.cos(angle)) * x + np.float32(math.sin(angle)) * y
        if kind == 0:
            low, high = along.min(), along.max()
            return np.asarray((along - low) / (high - low), np.float32)
        if kind == 1:
            wave = np.sin(along * np.float32(2 * math.pi / random.uniform(6, 40)))
            return np.asarray(wave / 2 + 0.5, np.float32)
        if kind == 2:
            cells = int(random.integers(3, 40))
            coarse = self._image.fromarray(random.integers(0, 256, (cells, cells)).astype(np.uint8))
            return (
                np.asarray(
                    coarse.resize((self._width, self._height), self._image.Resampling.BILINEAR), np.float32
                )
                / 255
            )
        return np.zeros((self._height, self._width), np.float32)

    def _lines(self) -> None:
        random = self._random
        mask = self._image.new("L", (self._width, self._height), 0)
        pen = self._draw.Draw(mask)
        for _ in range(int(random.integers(0, 7))):
            ends = random.uniform(0, 1, (2, 2)) * [self._width, self._height]
            pen.line(
                [float(value) for value in ends.ravel()],
                fill=int(random.integers(60, 256)),
                width=int(random.integers(1, 4)),
            )
        self._blend(np.asarray(mask, np.float32) / 255, random.uniform(0, 255, 3), 0, 0)

    def _specks(self) -> None:
        random = self._random
        for _ in range(int(random.integers(0, 25))):
            height, width = (int(extent) for extent in random.integers(2, 9, 2))
            y, x = int(random.integers(self._height - height)), int(random.integers(self._width - width))
            self._canvas[y : y + height, x : x + width] = random.uniform(0, 255, 3)

    def _place(self, outlines: Sequence[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
        """Turn, stretch and move outlines; return them in pixels, x and y, and the box of the first."""
        random = self._random
        narrow = random.uniform(_NARROWEST, 1)
        stretch = np.array([1, narrow] if random.random() < 0.5 else [narrow, 1])
        angle = random.uniform(-_TURN, _TURN)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        turned = [outline * stretch @ turn for outline in outlines]
        low, high = turned[0].min(0), turned[0].max(0)
        longest = random.uniform(*_LONGEST) * min(self._height, self._width)
        scale = longest / (high - low).max()
        extent = (high - low) * scale
        corner = random.uniform(0, 1, 2) * (np.array([self._width, self._height]) - extent)
        box = np.array([corner[1], corner[0], corner[1] + extent[1], corner[0] + extent[0]])
        return [(outline - low) * scale + corner for outline in turned], box

    def _paint(self, label: int, outlines: Sequence[np.ndarray], box: np.ndarray) -> None:
        """Paint outlines, the first filled and the others holes, in a colour that stands out from what is
        behind.
        """
        top, left = (int(edge) for edge in np.floor(box[:2]))
        bottom, right = (int(edge) for edge in np.ceil(box[2:]))
        finer = 4  # samples of a pixel along each axis, for smooth edges
        mask = self._image.new("L", ((right - left) * finer, (bottom - top) * finer), 0)
        pen = self._draw.Draw(mask)
        for fill, outline in zip((255, 0), outlines, strict=False):
            # Pillow names pixels by their centres, which lie half a sample inside.
            points = (outline - [left, top]) * finer - 0.5
            pen.polygon([(float(x), float(y)) for x, y in points], fill=fill)
        alpha = np.asarray(mask.reduce(finer), np.float32) / 255
        behind = self._canvas[top:bottom, left:right].mean((0, 1))
        self._blend(alpha, self._colour(behind), top, left, np.float32(self._random.uniform(-40, 40)))
        inside = alpha >= 0.5
        self._placed.append(_Placed(label, box, int(np.count_nonzero(inside))))
        self._owner[top:bottom, left:right][inside] = len(self._placed)

    def _colour(self, behind: np.ndarray) -> np.ndarray:
        colours = self._random.uniform(0, 255, (_TRIES, 3))
        far = np.linalg.norm(colours - behind, axis=1)
        enough = np.flatnonzero(far >= _CONTRAST)
        return np.asarray(colours[enough[0] if len(enough) else int(far.argmax())])

    def _blend(
        self, alpha: np.ndarray, colour: np.ndarray, top: int, left: int, shade: np.float32 = np.float32(0)
    ) -> None:
        """Mix a colour, brighter by ``shade`` from top to bottom, into the canvas."""
        height, width = alpha.shape
        region = self._canvas[top : top + height, left : left + width]
        ramp = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None, None] * shade
        region += (np.clip(colour.astype(np.float32) + ramp, 0, 255) - region) * alpha[:, :, None]


def _outlines(name: str) -> list[np.ndarray]:
    """Return the closed outlines of a shape, float64[n, 2], x and y; those after the first are holes."""
    if name == "circle":
        return [_regular(72)]
    if name == "ring":
        return [_regular(72), _regular(72) * _RING_HOLE]
    if name == "square":
        return [_regular(4, math.pi / 4)]
    if name == "triangle":
        return [_regular(3, -math.pi / 2)]
    if name == "star":
        radii = np.where(np.arange(10) % 2, _STAR_INNER, 1.0)
        return [_regular(10, -math.pi / 2) * radii[:, None]]
    a, b = _CROSS_ARM, 1.0
    quarter = np.array([[a, -b], [a, -a], [b, -a]])
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    return [np.concatenate([quarter @ np.linalg.matrix_power(turn, turns) for turns in range(4)])]


def _regular(corners: int, start: float = 0.0) -> np.ndarray:
    angles = start + 2 * math.pi / corners * np.arange(corners)
    return np.stack([np.cos(angles), np.sin(angles)], 1)


def _hidden(behind: np.ndarray, front: np.ndarray) -> float:
    """Return the share of one box that lies inside another."""
    sides = np.minimum(behind[2:], front[2:]) - np.maximum(behind[:2], front[:2])
    return float(np.prod(np.maximum(sides, 0)) / np.prod(behind[2:] - behind[:2]))
