"""The generator of pictures: what a seed gives, and whether boxes are where shapes are."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

pytest.importorskip("PIL", reason="Pillow draws the pictures")

from surgeon.zoo.demo import pictures as module
from surgeon.zoo.demo.pictures import CLASSES, SIZES, make_picture, make_pictures


def digest(seed: int, index: int) -> str:
    made = make_picture(seed, index)
    return hashlib.sha256(made.pixels.tobytes() + made.boxes.tobytes() + made.labels.tobytes()).hexdigest()


def test_a_picture_depends_on_seed_and_number_alone() -> None:
    first = [digest(3, index) for index in range(4)]
    assert [digest(3, index) for index in reversed(range(4))] == first[::-1]
    assert len({*first, digest(4, 0)}) == 5


def test_what_a_picture_holds() -> None:
    made = make_pictures(1, 60)
    assert {p.pixels.shape[:2] for p in made} == set(SIZES) and all(p.pixels.dtype == np.uint8 for p in made)
    labels = np.concatenate([p.labels for p in made])
    assert set(labels) == set(range(1, len(CLASSES) + 1)) and all(
        len(p.labels) == len(p.boxes) <= module.MOST_SHAPES for p in made
    )
    boxes = np.concatenate([p.boxes for p in made])
    assert boxes.dtype == np.float32 and boxes.min() >= 0 and boxes.max() <= 1
    sides = boxes[:, 2:] - boxes[:, :2]
    assert sides.min() > 0.03 and sides.max() < 0.9 and np.ptp(sides.max(1)) > 0.3


class Blank(module._Painter):
    """Paints shapes on black, without noise."""

    def extent(self) -> np.ndarray:
        """Return ymin, xmin, ymax, xmax in pixels of everything that is not black."""
        painted = np.abs(self._canvas).sum(2) > 60
        rows, columns = np.flatnonzero(painted.any(1)), np.flatnonzero(painted.any(0))
        return np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1], float)


def test_a_box_encloses_its_shape_within_a_pixel_or_two() -> None:
    seen = set()
    for seed in range(40):
        painter = Blank(np.random.default_rng(seed), 240, 320)
        painter.shape()
        (placed,) = painter._placed
        assert np.abs(painter.extent() - placed.box).max() < 1.6
        assert np.abs(painter.extent() + 3 - placed.box).max() > 1.6  # a box elsewhere is told from this one
        seen.add(placed.label)
    assert seen == set(range(1, len(CLASSES) + 1))


def test_a_size_may_be_given_and_must_not_be_tiny() -> None:
    assert make_picture(0, 0, (50, 70)).pixels.shape == (50, 70, 3)
    with pytest.raises(ValueError, match="32 x 32"):
        make_picture(0, 0, (31, 300))
