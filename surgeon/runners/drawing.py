"""Detections on their picture, as a PNG file: one set, or two of them in comparison."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from surgeon.atomic import make_folder, write_bytes
from surgeon.optional import require
from surgeon.runners.detections import Detections
from surgeon.runners.image import Picture
from surgeon.runners.masks import pasted

Colour = tuple[int, int, int]

ORIGINAL, REWRITTEN = (0, 200, 0), (230, 0, 60)

PALETTE: tuple[Colour, ...] = (
    (255, 90, 60),
    (40, 170, 255),
    (255, 205, 0),
    (60, 215, 90),
    (225, 70, 225),
    (0, 220, 215),
    (255, 150, 20),
    (130, 110, 255),
    (175, 230, 40),
    (255, 120, 175),
    (30, 145, 110),
    (200, 160, 110),
)
"""Colours of classes, in turn: class n has the n-th, counted round."""

_MOST = 100
_FAINTEST = 0.5
"""Share of the best score that a detection needs to be drawn beside another set."""

_TINT = 96
"""Opacity of a mask, of 255."""

_STRIP = 16
_SMALLEST = 640
_LINES = 320
"""Pixels of the longer side for each pixel of a line's width."""

_LETTERS = 55
"""Pixels of the longer side for each pixel of a letter's height."""


def ranked(found: Detections, least: float = -np.inf) -> Detections:
    """Return the detections with a score of ``least`` or more, the best first.

    Equal ones keep their order.
    """
    best = np.argsort(-found.scores, kind="mergesort")
    best = best[found.scores[best] >= least]
    return found.rows(best)


def corners(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return left, top, right, bottom of float32[n, 4] relative boxes, int64[n, 4] in pixels, clipped to the
    picture.
    """
    inside = np.clip(np.nan_to_num(boxes), 0, 1)[:, [1, 0, 3, 2]] * np.array([width, height, width, height])
    found: np.ndarray = np.rint(inside).astype(np.int64)
    return found


def draw(
    picture: Picture, original: Detections, rewritten: Detections, folder: Path, labels: Mapping[int, str]
) -> Path:
    """Draw detections of both sets with class and score, and return the file.

    Drawn are the best hundred of those with at least half the best score.

    The original's are green and wide, named above; the rewritten graph's red and narrow on top of them, named
    below: a green box with a red core is one that both give. Masks are tinted green and then
    red. A small picture is enlarged. Raise SurgeonError E105 where the file cannot be written and E108 where
    Pillow is missing.
    """
    canvas, pen = _canvas(picture, _STRIP)
    size = (canvas.width, canvas.height - _STRIP)
    font = _font(max(size) // _LETTERS)
    for found, colour in ((original, ORIGINAL), (rewritten, REWRITTEN)):
        least = _FAINTEST * max(found.scores.tolist(), default=0.0)
        _fill(canvas, ranked(found, least), size, [colour] * len(found), _STRIP)
    pen.text((4, 2), f"original: {len(original)}", fill=ORIGINAL)
    pen.text((canvas.width // 2, 2), f"rewritten: {len(rewritten)}", fill=REWRITTEN)
    for found, colour, width, below in ((original, ORIGINAL, 5, False), (rewritten, REWRITTEN, 1, True)):
        least = _FAINTEST * max(found.scores.tolist(), default=0.0)
        for (left, top, right, bottom), label, score in reversed(list(_boxes(ranked(found, least), size))):
            top, bottom, inset = top + _STRIP, bottom + _STRIP, 2 if below else 0
            edges = (left + inset, top + inset, right - inset, bottom - inset)
            _frame(pen, edges, colour, width)
            text = f"{_ascii(labels.get(label, ''), label) or label} {score:.2f}"
            _name(pen, (left, bottom if below else top), text, colour, font, canvas.size, below)
    make_folder(folder)
    return _written(canvas, folder / f"{Path(picture.name).name}.png")


def draw_detections(picture: Picture, found: Detections, path: Path, labels: Mapping[int, str]) -> Path:
    """Draw the best hundred of one set of detections into the file ``path``, and return it.

    Each class has a colour of :data:`PALETTE`; name and score stand above the box, the best on top of the
    others. What a mask covers is tinted in the same colour. A small picture is enlarged. Raise
    SurgeonError E105 where the file cannot be written and E108 where Pillow is missing.
    """
    canvas, pen = _canvas(picture)
    size = (canvas.width, canvas.height)
    width, font = max(2, max(size) // _LINES), _font(max(size) // _LETTERS)
    best = ranked(found)
    colours = [PALETTE[label % len(PALETTE)] for label in best.classes.tolist()]
    _fill(canvas, best, size, colours)
    for box, label, score in reversed(list(_boxes(best, size))):
        colour = PALETTE[label % len(PALETTE)]
        _frame(pen, box, colour, width)
        _name(
            pen,
            (box[0], box[1]),
            f"{_ascii(labels.get(label, ''), label) or label} {score:.2f}",
            colour,
            font,
            size,
        )
    return _written(canvas, path)


def _canvas(picture: Picture, strip: int = 0) -> tuple[Any, Any]:
    """Return the picture, enlarged where it is small, below a black strip; and a pen for it."""
    purpose = "drawing detections"
    image_module, draw_module = require("PIL.Image", purpose), require("PIL.ImageDraw", purpose)
    image = image_module.fromarray(picture.pixels)
    factor = max(1, -(-_SMALLEST // max(image.size)))
    image = image.resize((image.width * factor, image.height * factor))
    canvas = image_module.new("RGB", (image.width, image.height + strip), (0, 0, 0))
    canvas.paste(image, (0, strip))
    return canvas, draw_module.Draw(canvas)


def _fill(
    canvas: Any,
    found: Detections,
    size: tuple[int, int],
    colours: Sequence[Colour],
    top: int = 0,
) -> None:
    """Tint what the masks of the first hundred cover below the row ``top``, the first over the others."""
    if found.masks is None:
        return
    image_module = require("PIL.Image", "drawing detections")
    rows = list(zip(found.masks, found.boxes, colours, strict=True))[:_MOST]
    for mask, box, colour in reversed(rows):
        covered = pasted(mask, box, (size[1], size[0]))
        canvas.paste(colour, (0, top), image_module.fromarray(np.uint8(_TINT) * covered.astype(np.uint8)))


def _boxes(
    found: Detections, size: tuple[int, int]
) -> Iterator[tuple[tuple[int, int, int, int], int, float]]:
    """Yield left, top, right, bottom in pixels, class and score of the first hundred."""
    rows = zip(
        corners(found.boxes, *size).tolist(), found.classes.tolist(), found.scores.tolist(), strict=True
    )
    for (left, top, right, bottom), label, score in islice(rows, _MOST):
        yield (left, top, max(left, right), max(top, bottom)), label, score


def _frame(pen: Any, edges: tuple[int, int, int, int], colour: Colour, width: int) -> None:
    """Draw a frame that is ``width`` pixels wide inwards."""
    left, top, right, bottom = edges
    place = (left, top, max(left, right), max(top, bottom))
    try:
        pen.rectangle(place, outline=colour, width=width)
    except TypeError:  # Pillow before 5.3, as devices have it
        for inset in range(min(width, (place[2] - left) // 2 + 1, (place[3] - top) // 2 + 1)):
            inner = (left + inset, top + inset, place[2] - inset, place[3] - inset)
            pen.rectangle(inner, outline=colour)


def _ascii(name: str, label: int) -> str:
    """Return a name in letters that every font has, without accents; the class number where it has others."""
    plain = "".join(
        letter for letter in unicodedata.normalize("NFKD", name) if not unicodedata.combining(letter)
    )
    return plain if plain.isprintable() and all(ord(letter) < 128 for letter in plain) else str(label)


def _name(
    pen: Any,
    corner: tuple[int, int],
    text: str,
    colour: Colour,
    font: Any,
    size: tuple[int, int],
    below: bool = False,
) -> None:
    """Write on a field of the box's colour above its top left corner, or below its bottom left one.

    Within the picture.
    """
    # Pillow before 9.2, as devices have it, tells the size alone.
    extent = font.getbbox(text)[2:] if hasattr(font, "getbbox") else font.getsize(text)
    width, height = (int(value) for value in extent)
    left = max(0, min(corner[0], size[0] - width - 5))
    top = min(corner[1], size[1] - height - 5) if below else max(0, corner[1] - height - 4)
    pen.rectangle((left, top, left + width + 5, top + height + 4), fill=colour)
    bright = 299 * colour[0] + 587 * colour[1] + 114 * colour[2] > 128_000
    pen.text((left + 3, top + 1), text, fill=(0, 0, 0) if bright else (255, 255, 255), font=font)


def _font(height: int) -> Any:
    """Return letters of this height, or the small ones where Pillow has no others."""
    font_module = require("PIL.ImageFont", "drawing detections")
    try:
        return font_module.load_default(max(12, height))
    except (TypeError, ImportError, OSError):  # before Pillow 10.1, or built without FreeType
        return font_module.load_default()


def _written(canvas: Any, path: Path) -> Path:
    data = io.BytesIO()
    canvas.save(data, "PNG")
    write_bytes(path, data.getvalue(), follow_links=False)
    return path
