"""Both sets of detections on their picture, as a PNG file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from surgeon.atomic import make_folder, write_bytes
from surgeon.optional import require
from surgeon.verify.detections import Detections
from surgeon.verify.picture import Picture

ORIGINAL, REWRITTEN = (0, 200, 0), (230, 0, 60)

_MOST = 100
_FAINTEST = 0.5
"""Share of the best score that a detection needs to be drawn."""

_STRIP = 16
_SMALLEST = 640


def draw(picture: Picture, original: Detections, rewritten: Detections, folder: Path, labels: Mapping[int, str]) -> Path:
    """Draw detections of both sets with class and score, and return the file.

    Drawn are the best hundred of those with at least half the best score.

    The original's are green and wide, the rewritten graph's red and narrow on top of them, so that a green box with a
    red core is one that both give. A small picture is enlarged. Raise SurgeonError E105 where the file cannot be
    written and E108 where Pillow is missing.
    """
    purpose = "drawing detections"
    image_module, draw_module = require("PIL.Image", purpose), require("PIL.ImageDraw", purpose)
    image = image_module.fromarray(picture.pixels)
    factor = max(1, -(-_SMALLEST // max(image.size)))
    image = image.resize((image.width * factor, image.height * factor))
    canvas = image_module.new("RGB", (image.width, image.height + _STRIP), (0, 0, 0))
    canvas.paste(image, (0, _STRIP))
    pen = draw_module.Draw(canvas)
    pen.text((4, 2), f"original: {len(original)}", fill=ORIGINAL)
    pen.text((image.width // 2, 2), f"rewritten: {len(rewritten)}", fill=REWRITTEN)
    for found, colour, width in ((original, ORIGINAL, 4), (rewritten, REWRITTEN, 1)):
        _boxes(pen, found, (image.width, image.height), colour, width, labels, below=colour == REWRITTEN)
    data = io.BytesIO()
    canvas.save(data, "PNG")
    path = folder / f"{picture.file.name if picture.file else 'made'}.png"
    make_folder(folder)
    write_bytes(path, data.getvalue())
    return path


def _boxes(
    pen: Any, found: Detections, size: tuple[int, int], colour: tuple[int, int, int], width: int, labels: Mapping[int, str], *, below: bool
) -> None:
    best = np.argsort(-found.scores, kind="stable")[:_MOST]
    best = best[found.scores[best] >= _FAINTEST * found.scores.max(initial=0)]
    corners = np.clip(np.nan_to_num(found.boxes[best]), 0, 1)[:, [1, 0, 3, 2]] * np.array([*size, *size])
    for index, (left, top, right, bottom) in zip(best, np.rint(corners).astype(int).tolist(), strict=True):
        right, bottom = max(left, right), max(top, bottom)
        pen.rectangle((left, top + _STRIP, right, bottom + _STRIP), outline=colour, width=width)
        place = (left + 5, bottom + _STRIP - 13) if below else (left + 5, top + _STRIP + 3)
        label = int(found.classes[index])
        # The font that Pillow always has knows no other letters.
        name = labels.get(label, str(label)).encode("latin-1", "replace").decode("latin-1")
        pen.text(place, f"{name} {found.scores[index]:.2f}", fill=colour)
