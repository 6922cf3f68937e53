"""How a picture becomes the input, as a recipe says it."""

from __future__ import annotations

from surgeon.language import Image
from surgeon.language.writing import Block, Item


def image_block(image: Image) -> Block:
    """Return the keys of ``image`` in a recipe, those that have a default only where they differ from it."""
    steps = [
        {key: list(value) if isinstance(value, tuple) else value for key, value in step if value is not None}
        for step in image.steps
    ]
    values = {
        "size": list(image.size),
        "resize": image.resize,
        "fill": image.fill,
        "interpolation": image.interpolation,
        "padding": image.padding,
        "rounding": image.rounding,
        "color": image.color,
        "brightness": None if image.brightness is None else list(image.brightness),
        "steps": steps,
    }
    return {key: Item(value) for key, value in values.items() if value is not None}
