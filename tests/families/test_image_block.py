"""The block ``image`` of a recipe that init writes: nothing of how a picture is prepared is left out."""

from __future__ import annotations

from surgeon.families.parts.image_block import image_block
from surgeon.language import Image


def test_every_key_of_an_image_is_written_and_read_back() -> None:
    image = Image.model_validate(
        {
            "size": [60, 80],
            "resize": "letterbox",
            "fill": 7.5,
            "interpolation": "nearest",
            "padding": "after-steps",
            "rounding": "down",
            "color": "GRAY",
            "brightness": [0.2, 0.3, 0.5],
            "steps": [{"subtract": 3.0}, {"divide": 2.0}],
        }
    )
    block = image_block(image)
    assert block.keys() == Image.model_fields.keys()
    assert Image.model_validate({key: item.value for key, item in block.items()}) == image


def test_what_has_its_default_and_no_number_is_not_written() -> None:
    assert not {"fill", "padding", "rounding", "brightness"} & image_block(Image(size=(60, 80))).keys()
