"""Detections are drawn with whatever letters the installed Pillow has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from surgeon.runners.detections import Detections
from surgeon.runners.drawing import PALETTE, draw, draw_detections
from surgeon.runners.image import Picture

ImageFont = pytest.importorskip("PIL.ImageFont", reason="Pillow draws the letters")

FOUND = Detections(
    np.array([[0.2, 0.2, 0.8, 0.8]], np.float32), np.array([0.9], np.float32), np.array([1], np.int64)
)
PICTURE = Picture("a.png", np.zeros((300, 400, 3), np.uint8))


@pytest.fixture
def small_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Pillow have its bitmap letters only, as before 10.1, or where it was built without FreeType."""
    bitmap: Callable[[], object] | None = getattr(ImageFont, "load_default_imagefont", None)
    if bitmap is None:
        pytest.skip("this Pillow has no bitmap letters of its own beside others")

    def load_default(*size: int) -> object:
        if size:
            raise ImportError("The _imagingft C module is not installed")
        return bitmap()

    monkeypatch.setattr(ImageFont, "load_default", load_default)


def colours(path: Path) -> set[tuple[int, ...]]:
    from PIL import Image

    with Image.open(path) as picture:
        return {colour for _, colour in picture.convert("RGB").getcolors(1 << 24)}


def test_bitmap_letters_draw_names(small_letters: None, tmp_path: Path) -> None:
    path = draw_detections(PICTURE, FOUND, tmp_path / "a.png", {1: "disc"})
    letters = {(0, 0, 0), (255, 255, 255)} & colours(path)
    assert PALETTE[1] in colours(path) and letters
    assert {(0, 200, 0), (230, 0, 60)} <= colours(draw(PICTURE, FOUND, FOUND, tmp_path, {1: "disc"}))
