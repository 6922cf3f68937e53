"""What the network should say of a picture: anchors, their classes, and box encodings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from surgeon.kernels.boxes.numbers import iou
from surgeon.zoo.options import SsdOptions

SCALES = np.array([10, 10, 5, 5], np.float32)
"""Of the box coder: what ty, tx, th and tw are multiplied with."""

MATCHED = 0.5
"""An anchor that overlaps an object as much as this is trained to find it."""

IGNORED = 0.4
"""An anchor that overlaps an object as much as this is not trained to find nothing."""


def anchors(options: SsdOptions) -> np.ndarray:
    """Return the detector's anchors, float32[P, 4].

    Centre y, centre x, height, width, relative to a square picture.
    """
    layers = []
    for (rows, columns), (scales, ratios) in zip(
        options.feature_maps(), options.anchor_shapes(), strict=True
    ):
        root = np.sqrt(np.asarray(ratios))
        y, x, kind = np.meshgrid(np.arange(rows), np.arange(columns), np.arange(len(scales)), indexing="ij")
        heights, widths = np.asarray(scales) / root, np.asarray(scales) * root
        layers.append(
            np.stack([(y + 0.5) / rows, (x + 0.5) / columns, heights[kind], widths[kind]], -1).reshape(-1, 4)
        )
    return np.concatenate(layers).astype(np.float32)


def corners(centred: np.ndarray) -> np.ndarray:
    """Return boxes of centre and size, float32[..., 4], as ymin, xmin, ymax, xmax."""
    return np.concatenate(
        [centred[..., :2] - centred[..., 2:] / 2, centred[..., :2] + centred[..., 2:] / 2], -1
    )


def decode(encodings: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Return the boxes, float32[..., P, 4] (ymin, xmin, ymax, xmax), that ty, tx, th, tw mean."""
    scaled = encodings / SCALES
    centres = scaled[..., :2] * anchors[:, 2:] + anchors[:, :2]
    return corners(np.concatenate([centres, np.exp(scaled[..., 2:]) * anchors[:, 2:]], -1))


@dataclass(frozen=True, eq=False)
class AnchorTarget:
    """For every anchor ``label``, int8[P] (0 nothing, -1 ignored), and ``encoding``, float32[P, 4], 0 without
    an object.
    """

    label: np.ndarray
    encoding: np.ndarray


def targets(anchors: np.ndarray, boxes: np.ndarray, labels: np.ndarray) -> AnchorTarget:
    """Give each anchor the object that it overlaps by half or more, and each object the anchor that overlaps
    it most.
    """
    label, encoding = np.zeros(len(anchors), np.int8), np.zeros((len(anchors), 4), np.float32)
    if not len(boxes):
        return AnchorTarget(label, encoding)
    overlap = iou(corners(anchors)[:, None], boxes[None])
    best, most = overlap.argmax(1), overlap.max(1)
    label[most >= IGNORED] = -1
    matched = most >= MATCHED
    first = overlap.argmax(0)
    matched[first], best[first] = True, np.arange(len(boxes))
    label[matched] = labels[best[matched]]
    box, anchor = boxes[best[matched]], anchors[matched]
    middle, size = (box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]
    encoding[matched] = SCALES * np.concatenate(
        [(middle - anchor[:, :2]) / anchor[:, 2:], np.log(size / anchor[:, 2:])], 1
    )
    return AnchorTarget(label, encoding)
