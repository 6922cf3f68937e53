"""Prior boxes, as priorBoxPlugin.cpp and priorBoxLayer.cu of TensorRT compute them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgeon.kernels.boxes.numbers import clip


def prior_boxes(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the anchors and their variances, float32[1, 2, 4P, 1]; only the sizes of the inputs count."""
    features, picture = (array.shape[2:] for array in inputs)
    size = _both(fields, "imgH", "imgW", picture)
    step = _both(fields, "stepH", "stepW", np.asarray(size, np.float32) / np.asarray(features, np.float32))
    sizes = _sizes(fields)
    centers = [
        (np.arange(cells, dtype=np.float32) + np.float32(fields["offset"])) * np.float32(length)
        for cells, length in zip(features, step, strict=True)
    ]
    y, x = np.meshgrid(*centers, indexing="ij")
    middle = np.stack([x, y], axis=-1).reshape(-1, 1, 2)
    half = sizes / np.float32(2)
    boxes = np.concatenate([middle - half, middle + half], axis=-1) / np.array(
        [size[1], size[0]] * 2, np.float32
    )
    if fields["clip"]:
        boxes = clip(boxes)
    variance = np.tile(np.asarray(fields["variance"], np.float32), boxes.size // 4)
    return [np.stack([boxes.ravel(), variance]).reshape(1, 2, -1, 1)]


def ratios(given: Sequence[float], flip: bool) -> list[np.float32]:
    """Return 1 and each new ratio, followed by its inverse where ``flip`` holds.

    A ratio within 1e-6 of another is not new.
    """
    found = [np.float32(1)]
    for ratio in map(np.float32, given):
        if all(abs(ratio - other) >= 1e-6 for other in found):
            found += [ratio, np.float32(1) / ratio] if flip else [ratio]
    return found


def _sizes(fields: Mapping[str, Any]) -> np.ndarray:
    """Return width and height in pixels of a cell's boxes, float32[boxes, 2]."""
    roots = np.sqrt(np.array(ratios(fields["aspectRatios"], fields["flip"])[1:], np.float32))
    sizes: list[tuple[Any, Any]] = []
    largest = np.asarray(fields["maxSize"], np.float32)
    for i, least in enumerate(map(np.float32, fields["minSize"])):
        sizes.append((least, least))
        if len(largest):
            between = np.sqrt(least * largest[i])
            sizes.append((between, between))
        sizes += [(least * root, least / root) for root in roots]
    return np.array(sizes, np.float32)


def _both(fields: Mapping[str, Any], height: str, width: str, otherwise: Any) -> tuple[Any, Any]:
    """Return two fields, or what stands for them where one is 0."""
    if fields[height] == 0 or fields[width] == 0:
        return tuple(otherwise)
    return fields[height], fields[width]
