"""Resized feature maps, in numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgeon.graph import Graph, Node, Ref
from surgeon.infer import evaluate


def resize_nearest(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the input, float32[N, C, H, W], with height and width scaled.

    Each element is that of the place divided by the scale.
    """
    scale, (height, width) = np.float32(fields["scale"]), inputs[0].shape[2:]
    rows, columns = _sources(height, scale), _sources(width, scale)
    return [inputs[0][:, :, rows[:, None], columns]]


def _sources(size: int, scale: np.float32) -> np.ndarray:
    places = np.arange(int(np.float32(size) * scale), dtype=np.float32)
    return np.minimum((places / scale).astype(np.int64), size - 1)


def resize_bilinear(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the input, float32[N, C, H, W], resized as TensorFlow's ResizeBilinear does.

    The result is float32[N, C, height, width].
    """
    modes = {
        "align_corners": bool(fields["alignCorners"]),
        "half_pixel_centers": bool(fields["halfPixelCenters"]),
    }
    x, size = Ref("x"), Ref("size")
    graph = Graph(
        [
            Node("x", "Placeholder"),
            Node("size", "Placeholder"),
            Node("resized", "ResizeBilinear", (x, size), attrs=modes),
        ]
    )
    feeds = {
        x: inputs[0].transpose(0, 2, 3, 1),
        size: np.array([fields["height"], fields["width"]], np.int32),
    }
    (resized,) = evaluate(graph, [Ref("resized")], feeds)
    return [np.ascontiguousarray(resized.transpose(0, 3, 1, 2))]
