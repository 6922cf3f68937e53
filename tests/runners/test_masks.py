"""Masks: pasted as TensorFlow pastes them, written as COCO reads them, taken from every form of output, drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from surgeon import SurgeonError
from surgeon.catalog.detections import DetectionOutputs, gives_detections, masks_among
from surgeon.runners.detections import Detections, Window, detections_of_plugin
from surgeon.runners.drawing import PALETTE, draw, draw_detections, ranked
from surgeon.runners.image import Picture
from surgeon.runners.image_result import ImageResult
from surgeon.runners.masks import clipped_masks, pasted, run_lengths

RANDOM = np.random.default_rng(4)
SIZE = (37, 53)


def found(count: int = 3, side: tuple[int, int] = (5, 7)) -> Detections:
    low, high = RANDOM.uniform(0, 0.4, (count, 2)), RANDOM.uniform(0.5, 1, (count, 2))
    return Detections(
        np.concatenate([low, high], axis=1).astype(np.float32),
        np.linspace(0.9, 0.5, count, dtype=np.float32),
        np.arange(1, count + 1),
        RANDOM.random((count, *side), np.float32),
    )


def test_a_mask_is_pasted_as_the_object_detection_api_pastes_it() -> None:
    tf = pytest.importorskip("tensorflow", reason="TensorFlow crops and resizes")
    few = found(4)
    boxes = np.concatenate([few.boxes, np.float32([[-0.2, 0.3, 0.6, 1.3]])])
    masks = np.concatenate([few.masks, RANDOM.random((1, 5, 7), np.float32)])
    low, high = boxes[:, :2], boxes[:, 2:]
    reverse = np.concatenate([(0 - low) / (high - low), (1 - low) / (high - low)], axis=1)
    expected = tf.image.crop_and_resize(
        masks[..., None], reverse, np.arange(len(boxes)), SIZE, extrapolation_value=0.0
    ).numpy()[..., 0]
    for mask, box, pixels in zip(masks, boxes, expected, strict=True):
        clear = np.abs(pixels - 0.5) > 1e-5
        assert (pasted(mask, box, SIZE) == (pixels > 0.5))[clear].all() and clear.mean() > 0.99


@pytest.mark.parametrize(
    "box", [[0.5, 0.5, 0.5, 0.9], [0.9, 0.1, 0.1, 0.9], [np.nan, 0, 1, 1], [0, 0, np.inf, 1]]
)
def test_a_box_without_an_area_covers_nothing(box: list[float]) -> None:
    assert not pasted(np.ones((4, 4), np.float32), np.float32(box), SIZE).any()


def test_a_mask_of_one_value_covers_its_box() -> None:
    one, many = np.ones((1, 1), np.float32), np.ones((5, 5), np.float32)
    box = np.float32([0.1, 0.3, 0.9, 0.6])
    covered = pasted(one, box, SIZE)
    assert np.array_equal(covered, pasted(many, box, SIZE)) and 0 < covered.mean() < 0.5
    assert not pasted(np.zeros((1, 1), np.float32), box, SIZE).any()


def test_a_picture_of_one_pixel_is_covered() -> None:
    assert pasted(np.ones((3, 3), np.float32), np.float32([0, 0, 1, 1]), (1, 1)).all()


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
def test_coco_reads_the_run_lengths(share: float) -> None:
    coco = pytest.importorskip("pycocotools.mask", reason="pycocotools decodes run lengths")
    for size in ((1, 1), SIZE, (300, 500)):
        covered = RANDOM.random(size) < share
        written = run_lengths(covered)
        assert np.array_equal(coco.decode(written).astype(np.bool_), covered)
        assert (
            written["counts"].encode() == coco.encode(np.asfortranarray(covered.astype(np.uint8)))["counts"]
        )


def test_run_lengths_of_a_known_picture() -> None:
    covered = np.zeros((4, 3), np.bool_)
    covered[1:3, 1] = True
    assert run_lengths(covered) == {"size": [4, 3], "counts": "525"}
    assert run_lengths(~covered)["counts"] == "0520"


def test_a_clipped_box_keeps_what_its_mask_covers() -> None:
    height = width = 9
    ramp = np.linspace(0, 1, width, dtype=np.float32)[None, None].repeat(height, axis=1)
    box, left = np.float32([[0, 0.5, 1, 1.5]]), np.float32([[0, 0.5, 1, 1]])
    half = clipped_masks(ramp, box, left)
    assert np.allclose(half[0], np.linspace(0, 0.5, width), atol=1e-6)
    assert np.array_equal(clipped_masks(ramp, box, box), ramp)
    gone = np.float32([[0, 1, 1, 1]])
    assert np.array_equal(clipped_masks(ramp, np.float32([[0, 1.2, 1, 1.4]]), gone), ramp)


def test_masks_are_clipped_with_their_boxes_where_a_picture_fills_a_part_of_the_input() -> None:
    few = found(2)
    inside = few.within(Window(1.0, 0.5))
    assert inside.masks is not None and inside.masks.shape == few.masks.shape
    assert not np.array_equal(inside.masks, few.masks) and inside.boxes.max() <= 1


def outputs(few: Detections, places: int) -> dict[str, np.ndarray]:
    """Return lists of two pictures, the second one without detections."""
    count = len(few)
    boxes, scores = np.zeros((2, places, 4), np.float32), np.zeros((2, places), np.float32)
    classes, masks = np.zeros((2, places), np.int32), np.zeros((2, places, *few.masks.shape[1:]), np.float32)
    boxes[0, :count], scores[0, :count] = few.boxes, few.scores
    classes[0, :count], masks[0, :count] = few.classes, few.masks
    numbers = np.int32([[count], [0]])
    parts = {"num_detections": numbers, "boxes": boxes, "scores": scores, "classes": classes}
    return {**parts, "masks": masks}


def by_class(masks: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    """Return [N, K, h, w, C] that hold a mask at its class, and another one elsewhere."""
    wide = np.repeat(1 - masks[..., None], count, axis=-1)
    for place in np.ndindex(classes.shape):
        wide[(*place, ..., classes[place])] = masks[place]
    return wide


@pytest.mark.parametrize("form", ["plain", "flat", "class last", "class first", "flat, class last"])
def test_masks_come_in_every_form(form: str) -> None:
    few = found()
    parts = outputs(few, 5)
    masks = parts.pop("masks")
    wide = by_class(masks, parts["classes"], 4)
    name, value = {
        "plain": ("masks", masks),
        "flat": ("masks", masks.reshape(-1, 5, 7)),
        "class last": ("masks:height,width,class", wide),
        "class first": ("masks:class,height,width", np.moveaxis(wide, -1, 2)),
        "flat, class last": ("masks:height,width,class", wide.reshape(-1, 5, 7, 4)),
    }[form]
    first, second = detections_of_plugin({**parts, name: value})
    assert np.array_equal(first.masks, few.masks) and second.masks.shape == (0, 5, 7)


def test_masks_follow_rows_of_a_table() -> None:
    few = found(3)
    table = np.concatenate([few.boxes, few.classes[:, None], few.scores[:, None]], axis=1)[None]
    table[0, 1, 4] = -1  # a row without a detection
    parts = {"ymin,xmin,ymax,xmax,class,score": table.astype(np.float32), "masks": few.masks[None]}
    (detections,) = detections_of_plugin(parts)
    assert np.array_equal(detections.masks, few.masks[[0, 2]]) and detections.classes.tolist() == [1, 3]


def test_scores_by_class_give_the_best_class_and_no_background() -> None:
    scores = np.float32([[[0.9, 0.05, 0.05], [0.1, 0.2, 0.7], [0.3, 0.6, 0.1]]])
    boxes = np.tile(np.float32([0, 0, 1, 1]), (1, 3, 1))
    (detections,) = detections_of_plugin({"boxes": boxes, "class_scores": scores})
    assert detections.classes.tolist() == [2, 1]
    assert detections.scores.tolist() == pytest.approx([0.7, 0.6])


@pytest.mark.parametrize(
    "masks", [np.zeros((5, 7)), np.zeros((2, 4, 5, 7)), np.zeros((11, 5, 7)), np.zeros((2, 5, 5, 7, 4))]
)
def test_masks_of_another_form_are_refused(masks: np.ndarray) -> None:
    parts = outputs(found(), 5)
    with pytest.raises(SurgeonError, match="a mask for each detection") as caught:
        detections_of_plugin({**parts, "masks": masks.astype(np.float32)})
    assert caught.value.diagnostics[0].code == "V133"


def test_a_class_without_a_mask_is_refused() -> None:
    parts = outputs(found(), 5)
    masks = parts.pop("masks")
    parts["masks:height,width,class"] = np.repeat(masks[..., None], 3, axis=-1)
    with pytest.raises(SurgeonError, match="has the class 3, and there are masks of 3 classes"):
        detections_of_plugin(parts)


def test_what_a_recipe_may_state() -> None:
    stated = DetectionOutputs(masks="m", mask_axes=("class", "height", "width"))
    assert stated.parts() == {"masks:class,height,width": "m"} and not gives_detections(stated.parts())
    assert masks_among(stated.parts()) == (("class", "height", "width"), "m")
    whole = DetectionOutputs(boxes="b", class_scores="s")
    assert gives_detections(whole.parts()) and masks_among(whole.parts()) is None
    for wrong in (
        {"rows": "a", "boxes": "b", "scores": "s", "classes": "c"},
        {"boxes": "b", "scores": "s"},
        {"boxes": "b", "scores": "s", "classes": "c", "class_scores": "d"},
        {"count": "n"},
        {"masks": "m", "mask_axes": ("height", "class", "width")},
        {"rows": "a", "columns": ("class", "score")},
    ):
        with pytest.raises(ValueError, match="expected"):
            DetectionOutputs(**wrong)


def test_json_holds_what_a_detection_covers() -> None:
    few = ranked(found())
    rows = ImageResult("a", None, SIZE, few).rows()
    assert [row["segmentation"] for row in rows] == [
        run_lengths(pasted(mask, box, SIZE)) for mask, box in zip(few.masks, few.boxes, strict=True)
    ]
    assert "segmentation" not in ImageResult("a", None, SIZE, few.without_masks).rows()[0]


def test_masks_are_drawn(tmp_path: Path) -> None:
    image_module = pytest.importorskip("PIL.Image", reason="Pillow draws")
    box = np.float32([[0.25, 0.25, 0.75, 0.75]])
    mask = np.zeros((1, 8, 8), np.float32)
    mask[:, :, :4] = 1  # the left half
    few = Detections(box, np.float32([0.9]), np.array([1]), mask)
    picture = Picture("a.png", np.zeros((640, 640, 3), np.uint8))
    pixels = np.asarray(image_module.open(draw_detections(picture, few, tmp_path / "a.png", {})))
    left, right = pixels[320, 240], pixels[320, 400]
    assert not right.any() and (left.astype(int) * 255 // 96 - PALETTE[1] <= 3).all() and left.any()
    plain = np.asarray(image_module.open(draw_detections(picture, few.without_masks, tmp_path / "b.png", {})))
    assert not plain[320, 240].any()
    both = np.asarray(image_module.open(draw(picture, few, few.without_masks, tmp_path / "c", {})))
    assert both[16 + 320, 240].any()
