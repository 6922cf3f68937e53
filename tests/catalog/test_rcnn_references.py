"""The references of the plugins of regions of interest, against TensorFlow and against plain loops in float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from surgeon.catalog import load_catalog
from surgeon.diagnostics import SurgeonError
from surgeon.kernels.mask_rcnn.numbers import best_class, level_anchors, proposal_anchors, select

CATALOG = load_catalog()
CLOSE = 2e-5
"""Coordinates and features of about 1: float32 roundings, in another order than here."""


def run(op: str, fields: Mapping[str, Any], *inputs: np.ndarray) -> np.ndarray:
    reference = CATALOG.reference(op)
    assert reference is not None
    (found,) = reference.run(fields, inputs)
    return found


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def regions(rng: np.random.Generator, count: int, margin: float = 0.0) -> np.ndarray:
    """Return float32[2, count, 4] of boxes y1, x1, y2, x2, some of which stand beyond 0 and 1 by up to ``margin``."""
    corners = np.sort(rng.uniform(-margin, 1 + margin, (2, count, 2, 2)), axis=2)
    return corners.reshape(2, count, 4).astype(np.float32)


def near(found: np.ndarray, wanted: np.ndarray, tolerance: float = CLOSE) -> bool:
    return found.shape == wanted.shape and np.allclose(found, wanted, rtol=0, atol=tolerance)


# Suppression and decoding, by TensorFlow and by loops


@pytest.fixture(scope="module")
def tf_nms() -> Callable[..., list[int]]:
    tf: Any = pytest.importorskip("tensorflow")

    def suppress(boxes: np.ndarray, scores: np.ndarray, keep: int, threshold: float) -> list[int]:
        return list(
            map(int, tf.image.non_max_suppression(boxes.astype(np.float32), scores, keep, threshold).numpy())
        )

    return suppress


def center_decoded(
    anchor: Sequence[float],
    delta: Sequence[float] | np.ndarray,
    factors: Sequence[float],
    pixel: float,
    most: float,
) -> list[float]:
    """Return y1, x1, y2, x2 of dy, dx, log dh, log dw multiplied with ``factors``; far corners are ``pixel`` before the end."""
    found = [0.0] * 4
    for axis in (0, 1):
        size = anchor[2 + axis] - anchor[axis] + pixel
        middle = anchor[axis] + size / 2 + delta[axis] * factors[axis] * size
        size *= math.exp(min(delta[2 + axis] * factors[2 + axis], most))
        found[axis], found[2 + axis] = middle - size / 2, middle + size / 2 - pixel
    return found


def clipped(box: Sequence[float], height: float, width: float) -> list[float]:
    return [
        min(max(value, 0.0), edge) for value, edge in zip(box, (height, width, height, width), strict=True)
    ]


PROPOSAL = {
    "input_height": 97,
    "input_width": 129,
    "rpn_stride": 16,
    "roi_min_size": 4.0,
    "nms_iou_threshold": 0.5,
    "pre_nms_top_n": 150,
    "post_nms_top_n": 40,
    "anchor_sizes": [16.0, 48.0],
    "anchor_ratios": [1.0, 0.5, 2.0],
}


def proposed(
    fields: Mapping[str, Any], scores: np.ndarray, deltas: np.ndarray, suppress: Callable[..., list[int]]
) -> np.ndarray:
    height, width, stride = fields["input_height"], fields["input_width"], fields["rpn_stride"]
    boxes, ranked = [], []
    for a, size in enumerate(size * 1.0 for size in fields["anchor_sizes"]):
        for b, ratio in enumerate(fields["anchor_ratios"]):
            channel = a * len(fields["anchor_ratios"]) + b
            for row, column in np.ndindex(scores.shape[1:]):
                tx, ty, tw, th = (float(deltas[4 * channel + i, row, column]) for i in range(4))
                wide, high = size * math.sqrt(ratio), size / math.sqrt(ratio)
                x, y = (column + 0.5) * stride + wide * tx, (row + 0.5) * stride + high * ty
                wide, high = wide * math.exp(tw), high * math.exp(th)
                box = clipped([y - high / 2, x - wide / 2, y + high / 2, x + wide / 2], height - 1, width - 1)
                small = min(box[2] - box[0], box[3] - box[1]) <= fields["roi_min_size"]
                boxes.append(box)
                ranked.append(-1.0 if small else float(scores[channel, row, column]))
    order = sorted(range(len(boxes)), key=lambda i: -ranked[i])[: fields["pre_nms_top_n"]]
    best = np.array([boxes[i] for i in order])
    kept = suppress(
        best + np.array([0, 0, 1, 1]),
        -np.arange(len(best), dtype=np.float32),
        fields["post_nms_top_n"],
        fields["nms_iou_threshold"],
    )
    found = np.zeros((fields["post_nms_top_n"], 4, 1))
    found[: len(kept), :, 0] = best[kept] / np.array([height - 1, width - 1, height - 1, width - 1])
    return found


@pytest.mark.parametrize("op", ["Proposal", "ProposalDynamic"])
def test_proposals(rng: np.random.Generator, tf_nms: Callable[..., list[int]], op: str) -> None:
    scores, deltas = rng.random((2, 6, 6, 8), dtype=np.float32), normal(rng, 2, 24, 6, 8) * np.float32(0.5)
    found = run(op, PROPOSAL, scores, deltas)
    wanted = np.stack([proposed(PROPOSAL, *picture, tf_nms) for picture in zip(scores, deltas, strict=True)])
    assert near(found, wanted) and np.count_nonzero(found[0, :, 2, 0]) > 20
    for change in (
        {"roi_min_size": 40.0},
        {"nms_iou_threshold": 0.2},
        {"pre_nms_top_n": 20},
        {"rpn_stride": 8},
    ):
        assert not near(run(op, {**PROPOSAL, **change}, scores, deltas), wanted)


def of_classes(
    fields: Mapping[str, Any],
    boxes: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    suppress: Callable[..., list[int]],
) -> np.ndarray:
    """Return float32[keep_topk, 6] of one picture: suppression class by class, and the best of all."""
    kept: list[int] = []
    for label in sorted(set(labels.tolist()) - {0}):
        own = np.flatnonzero((labels == label) & (scores >= fields["score_threshold"]))
        kept += [int(own[i]) for i in suppress(boxes[own], scores[own], len(own), fields["iou_threshold"])]
    kept = [i for i in sorted(kept, key=lambda i: -scores[i]) if scores[i] > 0.01][: fields["keep_topk"]]
    found = np.zeros((fields["keep_topk"], 6))
    found[:, 4] = -1
    for row, i in enumerate(kept):
        found[row] = [*boxes[i], labels[i], scores[i]]
    return found


DETECTION = {"num_classes": 5, "keep_topk": 120, "score_threshold": 0.3, "iou_threshold": 0.3}


@pytest.mark.parametrize(
    ("op", "first", "size"), [("DetectionLayer_TRT", 0, None), ("GenerateDetection_TRT", 1, (120, 160))]
)
def test_detections(
    rng: np.random.Generator,
    tf_nms: Callable[..., list[int]],
    op: str,
    first: int,
    size: tuple[int, int] | None,
) -> None:
    fields: dict[str, Any] = DETECTION if size is None else {**DETECTION, "image_size": [3, *size]}
    scale = np.ones(4, np.float32) if size is None else np.array([*size, *size], np.float32)
    deltas, scores = (
        normal(rng, 2, 150, 20, 1, 1),
        rng.dirichlet(np.full(5, 0.3), (2, 150)).astype(np.float32),
    )
    rois = regions(rng, 150) * scale
    found = run(op, fields, deltas, scores[..., None, None], rois)
    wanted = np.zeros(found.shape)
    for n in range(2):
        labels = first + scores[n, :, first:].argmax(axis=1)
        rule: Any = (
            ((0.1, 0.1, 0.2, 0.2), 0.0, 99.0) if size is None else ((0.1, 0.1, 0.2, 0.2), 1.0, math.log(62.5))
        )
        boxes = [
            center_decoded(roi, deltas[n, r, 4 * label : 4 * label + 4, 0, 0].astype(float), *rule)
            for r, (roi, label) in enumerate(zip(rois[n].astype(float), labels, strict=True))
        ]
        edge = (1.0, 1.0) if size is None else (size[0] - 1.0, size[1] - 1.0)
        wanted[n] = of_classes(
            fields,
            np.array([clipped(b, *edge) for b in boxes]),
            labels,
            scores[n, range(150), labels],
            tf_nms,
        )
    assert (
        near(found, wanted, CLOSE if size is None else 1e-4) and 10 < np.count_nonzero(found[0, :, 5]) < 120
    )
    for change in ({"score_threshold": 0.6}, {"iou_threshold": 0.9}):
        assert not near(run(op, {**fields, **change}, deltas, scores[..., None, None], rois), wanted, 1e-3)


def tiled(height: int, width: int, stride: int, start: int) -> Iterator[tuple[int, int]]:
    for y in range(start, height, stride):
        for x in range(start, width, stride):
            yield y, x


def layer_anchors(height: int, width: int) -> np.ndarray:
    found = []
    for stride in (4, 8, 16, 32, 64):
        for y, x in tiled(height, width, stride, 0):
            for ratio in (0.5, 1.0, 2.0):
                h, w = 8 * stride / math.sqrt(ratio), 8 * stride * math.sqrt(ratio)
                found.append(
                    [
                        (y - h / 2) / (height - 1),
                        (x - w / 2) / (width - 1),
                        (y + h / 2 - 1) / (height - 1),
                        (x + w / 2 - 1) / (width - 1),
                    ]
                )
    return np.array(found)


def anchors_of_level(level: int, height: int, width: int) -> np.ndarray:
    side = 8 * 2**level
    return np.array(
        [
            [y - side * h / 2, x - side * w / 2, y + side * h / 2, x + side * w / 2]
            for y, x in tiled(height, width, 2**level, 2**level // 2)
            for w, h in ((1, 1), (1.4, 0.7), (0.7, 1.4))
        ]
    )


def test_anchors() -> None:
    assert near(proposal_anchors((3, 70, 101)), layer_anchors(70, 101))
    assert not near(proposal_anchors((3, 70, 101)), layer_anchors(101, 70)[: len(layer_anchors(70, 101))])
    for level in (2, 3, 4, 5, 6):
        assert near(level_anchors(level, 70, 101), anchors_of_level(level, 70, 101))


def best_boxes(
    boxes: np.ndarray, scores: np.ndarray, fields: Mapping[str, Any], suppress: Callable[..., list[int]]
) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(-scores, kind="stable")[: fields["prenms_topk"]]
    kept = order[suppress(boxes[order], scores[order], fields["keep_topk"], fields["iou_threshold"])]
    return boxes[kept], scores[kept]


def test_proposal_layer(rng: np.random.Generator, tf_nms: Callable[..., list[int]]) -> None:
    fields = {"prenms_topk": 200, "keep_topk": 120, "iou_threshold": 0.7, "image_size": [3, 70, 101]}
    anchors = layer_anchors(70, 101)
    scores, deltas = rng.random((2, len(anchors), 2, 1), dtype=np.float32), normal(rng, 2, len(anchors), 4, 1)
    deltas[:, :, 2:] -= 8  # small boxes, which do not all overlap
    found, wanted = run("ProposalLayer_TRT", fields, scores, deltas), np.zeros((2, 120, 4))
    for n in range(2):
        boxes = np.array(
            [
                clipped(center_decoded(a, d, (0.1, 0.1, 0.2, 0.2), 0, 99), 1, 1)
                for a, d in zip(anchors, deltas[n, :, :, 0].astype(float), strict=True)
            ]
        )
        kept, _ = best_boxes(boxes, scores[n, :, 1, 0], fields, tf_nms)
        wanted[n, : len(kept)] = kept
    assert near(found, wanted) and np.count_nonzero(found[0, :, 2]) > 50
    for change in ({"iou_threshold": 0.1}, {"prenms_topk": 50}, {"keep_topk": 10}):
        assert not near(run("ProposalLayer_TRT", {**fields, **change}, scores, deltas), wanted)


def test_multilevel_propose(rng: np.random.Generator, tf_nms: Callable[..., list[int]]) -> None:
    fields: dict[str, Any] = {
        "prenms_topk": 60,
        "keep_topk": 50,
        "fg_threshold": 0.25,
        "iou_threshold": 0.4,
        "image_size": [3, 70, 101],
    }
    anchors = [anchors_of_level(level, 70, 101) for level in (2, 3, 4, 5, 6)]
    inputs = [
        a
        for one in anchors
        for a in (normal(rng, 2, len(one), 4, 1), rng.random((2, len(one), 1, 1), dtype=np.float32))
    ]
    for deltas in inputs[::2]:
        deltas[:, :, 2:] -= 1
    found, wanted = run("MultilevelProposeROI_TRT", fields, *inputs), np.zeros((2, 50, 4))
    for n in range(2):
        boxes, scores = [], []
        for k, of_level in enumerate(anchors):
            decoded = np.array(
                [
                    clipped(center_decoded(a, d, (1, 1, 1, 1), 1, math.log(62.5)), 69, 100)
                    for a, d in zip(of_level, inputs[2 * k][n, :, :, 0].astype(float), strict=True)
                ]
            )
            own = np.flatnonzero(inputs[2 * k + 1][n, :, 0, 0] >= fields["fg_threshold"])
            some, of_some = best_boxes(decoded[own], inputs[2 * k + 1][n, own, 0, 0], fields, tf_nms)
            boxes.append(some)
            scores.append(of_some)
        order = np.argsort(-np.concatenate(scores), kind="stable")[:50]
        wanted[n, : len(order)] = np.concatenate(boxes)[order]
    assert near(found, wanted, 1e-4) and np.count_nonzero(found[0, :, 2]) > 30
    for change in ({"iou_threshold": 0.9}, {"fg_threshold": 0.995}, {"prenms_topk": 10}):
        assert not near(run("MultilevelProposeROI_TRT", {**fields, **change}, *inputs), wanted, 1e-3)


# Regions of feature maps


@pytest.mark.parametrize("op", ["CropAndResize_TRT", "CropAndResizeDynamic"])
@pytest.mark.parametrize(("height", "width"), [(7, 5), (1, 3), (1, 1)])
def test_crops_are_tensorflows(rng: np.random.Generator, op: str, height: int, width: int) -> None:
    tf: Any = pytest.importorskip("tensorflow")
    features, rois = normal(rng, 2, 3, 11, 13), regions(rng, 40, margin=0.3)
    rois[:, :5] = rois[:, :5, [2, 1, 0, 3]]
    fields = {"crop_height": height, "crop_width": width}
    found = run(op, fields, features, rois[..., None])
    owners = np.repeat([0, 1], 40)
    crops = tf.image.crop_and_resize(
        features.transpose(0, 2, 3, 1), rois.reshape(-1, 4), owners, (height, width)
    ).numpy()
    wanted = crops.transpose(0, 3, 1, 2).reshape(found.shape)
    assert near(found, wanted) and 0 < np.count_nonzero(found == 0) < found.size / 2
    assert not near(run(op, fields, features, rois[..., [1, 0, 3, 2], None]), wanted)
    assert not near(run(op, fields, features[::-1].copy(), rois[..., None]), wanted)


def test_crops_end_where_tensorflows_do(rng: np.random.Generator) -> None:
    tf: Any = pytest.importorskip("tensorflow")
    features, rois = np.ones((1, 1, 64, 38), np.float32), np.ones((1, 600, 4), np.float32)
    rois[..., :2] = rng.uniform(0, 0.9, (1, 600, 2))
    found = run("CropAndResize_TRT", {"crop_height": 14, "crop_width": 17}, features, rois[..., None])
    wanted = tf.image.crop_and_resize(
        features.transpose(0, 2, 3, 1), rois[0], np.zeros(600, np.int32), (14, 17)
    ).numpy()
    np.testing.assert_array_equal(found[0, :, 0] == 0, wanted[..., 0] == 0)
    assert 3 <= np.count_nonzero(found[0, :, 0, -1, 0] == 0) <= 120
    assert 3 <= np.count_nonzero(found[0, :, 0, 0, -1] == 0) <= 120


def sample(features: np.ndarray, y: float, x: float) -> np.ndarray:
    """Return the bilinear sample of float64[C, H, W] at a place, which is clamped to the map."""
    (y, top, bottom), (x, left, right) = (
        (at, math.floor(at), min(math.floor(at) + 1, size - 1))
        for at, size in (
            (min(max(at, 0.0), size - 1.0), size) for at, size in zip((y, x), features.shape[1:], strict=True)
        )
    )
    upper = features[:, top, left] * (1 - (x - left)) + features[:, top, right] * (x - left)
    lower = features[:, bottom, left] * (1 - (x - left)) + features[:, bottom, right] * (x - left)
    found: np.ndarray = upper * (1 - (y - top)) + lower * (y - top)
    return found


def grid(
    start: float, end: float, cells: int, ratio: int, offset: float, aligned: bool = False
) -> list[list[float]]:
    """Return where the samples of each cell are along one axis."""
    step = (end - start) / (cells - 1 if aligned else cells)
    count = ratio or max(1, math.ceil((end - start) / cells))
    return [[start + step * (cell + (i + offset) / count) for i in range(count)] for cell in range(cells)]


def pooled(features: np.ndarray, rows: list[list[float]], columns: list[list[float]]) -> np.ndarray:
    found = np.zeros((len(features), len(rows), len(columns)))
    for (i, ys), (j, xs) in ((a, b) for a in enumerate(rows) for b in enumerate(columns)):
        found[:, i, j] = np.mean([sample(features.astype(float), y, x) for y in ys for x in xs], axis=0)
    return found


def maps(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    return [normal(rng, 2, 2, 32 >> k, 48 >> k) for k in range(count)]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"roi_coords_transform": 0},
        {"roi_coords_transform": 1, "sampling_ratio": 3},
        {"roi_coords_transform": -1, "sampling_ratio": 1},
        {"fpn_scale": 60, "roi_coords_plusone": 1, "sampling_ratio": 2},
    ],
    ids=str,
)
def test_pyramid_roi_align(rng: np.random.Generator, change: Mapping[str, Any]) -> None:
    fields = {"pooled_size": 3, "image_size": [128, 192], "fpn_scale": 100, **change}
    size, levels = np.array([128.0, 192.0]), maps(rng, 4)
    rois = (regions(rng, 25, margin=0.1) * [128, 192, 128, 192])[..., [1, 0, 3, 2]].astype(np.float32)
    found, wanted = run("PyramidROIAlign_TRT", fields, rois, *levels), np.zeros((2, 25, 2, 3, 3))
    seen = set()
    transform, ratio = fields.get("roi_coords_transform", 2), fields.get("sampling_ratio", 0)
    for n, r in np.ndindex(2, 25):
        x1, y1, x2, y2 = rois[n, r].astype(float)
        low, high = np.clip([y1, x1] / size, 0, 1), np.clip([y2, x2] / size, 0, 1)
        more = fields.get("roi_coords_plusone", 0) / size
        area = np.prod(high - low + more) * size.prod()
        level = sum(area > (fields["fpn_scale"] * scale) ** 2 for scale in (0.5, 1, 2))
        seen.add(level)
        shape = np.array(levels[level].shape[2:]) - (1 if transform == -1 else 0)
        start, end = (
            low * shape - (0.5 if transform == 2 else 0),
            high * shape - (0.5 if transform == 2 else 0),
        )
        rows, columns = (
            grid(start[i], end[i], 3, ratio, 0.5 if transform > 0 else 0.0, transform == -1) for i in (0, 1)
        )
        wanted[n, r] = pooled(levels[level][n], rows, columns)
    assert near(found, wanted) and len(seen) >= 2
    for other in ({"fpn_scale": 20}, {"roi_coords_swap": 1}, {"legacy": 1}):
        assert not near(run("PyramidROIAlign_TRT", {**fields, **other}, rois, *levels), wanted, 1e-2)


def test_legacy_is_what_its_fields_say(rng: np.random.Generator) -> None:
    levels, rois = maps(rng, 4), regions(rng, 25)
    rois[:, :10, 2:] = rois[:, :10, :2] + np.float32(0.05)
    legacy = run("PyramidROIAlign_TRT", {"pooled_size": 3, "legacy": 1, "fpn_scale": 7}, rois, *levels)
    said = {
        "roi_coords_absolute": 0,
        "roi_coords_swap": 1,
        "roi_coords_plusone": 0,
        "roi_coords_transform": -1,
        "sampling_ratio": 1,
    }
    assert near(
        legacy, run("PyramidROIAlign_TRT", {"pooled_size": 3, **said, "fpn_scale": 158}, rois, *levels), 1e-6
    )
    assert not near(legacy, run("PyramidROIAlign_TRT", {"pooled_size": 3, **said}, rois, *levels), 1e-2)


def test_multilevel_crop_and_resize(rng: np.random.Generator) -> None:
    fields = {"pooled_size": 4, "image_size": [3, 1000, 1200]}
    levels = [normal(rng, 2, 2, -(-1000 >> k), -(-1200 >> k)) for k in (2, 3, 4, 5, 6)]
    rois = regions(rng, 30, margin=0.05) * np.array([1000, 1200, 1000, 1200], np.float32)
    rois[:, :10, 2:] = rois[:, :10, :2] + rng.uniform(20, 150, (2, 10, 2)).astype(np.float32)
    found, wanted = run("MultilevelCropAndResize_TRT", fields, rois, *levels), np.zeros((2, 30, 2, 4, 4))
    seen = []
    for n, r in np.ndindex(2, 30):
        y1, x1, y2, x2 = rois[n, r].astype(float)
        if min(y1, x1) < 0 or max(y1, y2) > 1000 or max(x1, x2) > 1200:
            seen.append(-1)
            continue
        level = sum((y2 - y1) * (x2 - x1) > side**2 for side in (112, 224, 448, 896))
        seen.append(level)
        cell = 4.0 * 2**level
        wanted[n, r] = pooled(
            levels[level][n], grid(y1 / cell, y2 / cell, 4, 1, 0.5), grid(x1 / cell, x2 / cell, 4, 1, 0.5)
        )
    # Positions up to 300 in float32 are 3e-5 off.
    assert near(found, wanted, 2e-4) and len(set(seen)) >= 5
    assert not near(
        run("MultilevelCropAndResize_TRT", fields, rois[..., [1, 0, 3, 2]].copy(), *levels), wanted, 1e-2
    )


@pytest.mark.parametrize(("half_pixel", "ratio"), [(1, 0), (1, 2), (0, 0), (0, 3)])
def test_roi_align(rng: np.random.Generator, half_pixel: int, ratio: int) -> None:
    features = normal(rng, 2, 3, 14, 18)
    fields = {
        "coordinate_transformation_mode": half_pixel,
        "sampling_ratio": ratio,
        "output_height": 3,
        "output_width": 2,
        "spatial_scale": 0.125,
    }
    corners = np.sort(rng.uniform(-20, 150, (30, 2, 2)), axis=1).reshape(30, 4).astype(np.float32)
    owners = rng.integers(0, 2, 30).astype(np.int32)
    found, wanted = run("ROIAlign_TRT", fields, features, corners, owners), np.zeros((30, 3, 3, 2))
    for r, (x1, y1, x2, y2) in enumerate(corners.astype(float) * 0.125 - 0.5 * half_pixel):
        if not half_pixel:
            x2, y2 = max(x2, x1 + 1), max(y2, y1 + 1)
        for (i, ys), (j, xs) in (
            (a, b)
            for a in enumerate(grid(y1, y2, 3, ratio, 0.5))
            for b in enumerate(grid(x1, x2, 2, ratio, 0.5))
        ):
            values = [
                sample(features[owners[r]].astype(float), y, x)
                if -1 <= y <= 14 and -1 <= x <= 18
                else np.zeros(3)
                for y in ys
                for x in xs
            ]
            wanted[r, :, i, j] = np.mean(values, axis=0)
    assert near(found, wanted)
    for change in ({"coordinate_transformation_mode": 1 - half_pixel}, {"spatial_scale": 0.25}, {"mode": 0}):
        assert not near(run("ROIAlign_TRT", {**fields, **change}, features, corners, owners), wanted, 1e-2)


# What the kernels do with numbers


def test_scores_are_rounded_with_their_class() -> None:
    """Class 1 of 253 has 251 x 2.5 + 1 added to its score, where float32 has steps of 2 ** -14."""
    score = np.array([0.5 + 2**-16, 0.5 + 2**-14], np.float32)
    boxes = np.array([[0, 0, 1, 1], [2, 2, 3, 3]], np.float32)
    found = select(boxes, np.array([1, 1]), score, classes=253, score_threshold=0, iou_threshold=0.5, keep=2)
    assert found.score.tolist() == [0.5 + 2**-14, 0.5] and found.candidate.tolist() == [1, 0]
    exact = select(
        boxes, np.array([252, 252]), score, classes=253, score_threshold=0, iou_threshold=0.5, keep=2
    )
    assert exact.score.tolist() == score[::-1].tolist()


def test_equal_scores_of_many_go_by_thread() -> None:
    """Of 300 equal scores thread 0 of 256 has read the first and the 257th, which so come first."""
    boxes = np.repeat(np.arange(300, dtype=np.float32)[:, None] * 2, 4, axis=1) + np.array(
        [0, 0, 1, 1], np.float32
    )
    rule: dict[str, Any] = {"classes": 2, "score_threshold": 0, "iou_threshold": 0.5, "keep": 5}
    scores, labels = np.full(300, 0.5, np.float32), np.ones(300, np.int64)
    assert select(boxes, labels, scores, **rule).candidate.tolist() == [0, 256, 1, 257, 2]
    assert select(boxes, labels, scores, **rule, threads=512).candidate.tolist() == [0, 1, 2, 3, 4]


def test_the_best_class_of_equal_ones() -> None:
    scores = np.zeros((4, 40), np.float32)
    scores[0, [3, 7]], scores[1, [3, 35]], scores[2, [0, 5]] = 0.5, 0.5, (0.5, 0.25)
    assert best_class(scores, 0).tolist() == [7, 3, 0, -1]
    assert best_class(scores, 1).tolist() == [7, 3, 5, -1]


def test_empty_batches_and_no_regions() -> None:
    none = (
        np.zeros((0, 3, 20, 1, 1), np.float32),
        np.zeros((0, 3, 5, 1, 1), np.float32),
        np.zeros((0, 3, 4), np.float32),
    )
    assert run("DetectionLayer_TRT", DETECTION, *none).shape == (0, 120, 6)
    assert run(
        "ProposalDynamic", PROPOSAL, np.zeros((0, 6, 6, 8), np.float32), np.zeros((0, 24, 6, 8), np.float32)
    ).shape == (0, 40, 4, 1)
    few = (
        np.zeros((2, 0, 20, 1, 1), np.float32),
        np.zeros((2, 0, 5, 1, 1), np.float32),
        np.zeros((2, 0, 4), np.float32),
    )
    assert run("GenerateDetection_TRT", DETECTION, *few)[..., 4].tolist() == [[-1] * 120] * 2
    assert run(
        "CropAndResizeDynamic",
        {"crop_height": 2, "crop_width": 2},
        np.zeros((1, 3, 4, 4), np.float32),
        np.zeros((1, 0, 4, 1), np.float32),
    ).shape == (1, 0, 3, 2, 2)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 3e38])
def test_regions_that_are_no_numbers_are_survived(value: float) -> None:
    features, rois = np.ones((1, 1, 4, 4), np.float32), np.array([[[0, value, 0.5, 1]]], np.float32)
    levels = [features] * 5
    assert run(
        "CropAndResizeDynamic", {"crop_height": 2, "crop_width": 2}, features, rois[..., None]
    ).shape == (1, 1, 1, 2, 2)
    assert np.isfinite(run("PyramidROIAlign_TRT", {"roi_coords_absolute": 0}, rois, *levels[:4])).all()
    assert run("MultilevelCropAndResize_TRT", {"pooled_size": 2}, rois, *levels).max() == 0


def refused(features: np.ndarray, rois: np.ndarray, owners: Sequence[int]) -> str:
    with pytest.raises(SurgeonError) as caught:
        run("ROIAlign_TRT", {}, features, rois, np.array(owners, np.int32))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "C109"
    return diagnostic.message


def test_regions_of_no_picture_and_too_large_ones_are_c109() -> None:
    features, rois = np.ones((2, 1, 4, 4), np.float32), np.array([[0, 0, 2, 2]], np.float32)
    assert "pictures from 0 to 1" in refused(features, rois, [2])
    assert "pictures from 0 to 1" in refused(features, rois, [-1])
    assert "at most 4194304 samples" in refused(features, rois * np.float32(1e4), [0])
    assert "at most 4194304 samples" in refused(features, np.array([[0, 0, np.inf, 2]], np.float32), [0])
    assert run("ROIAlign_TRT", {}, features, rois, np.array([1], np.int32)).tolist() == [[[[1]]]]
