"""Area and overlap of boxes: numpy, float32, vectorised.

Boxes are float32[..., 4], two opposite corners each: xmin, ymin, xmax, ymax or ymin, xmin, ymax, xmax.
Overlap is the same for both orders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Overlap:
    """How the overlap of two boxes is measured.

    ``side`` is added to the width and height of each box, ``shared`` to those of the intersection: both are 1
    where corners are pixels that belong to the box. With ``apart_share`` boxes that do not meet have an
    intersection of size ``shared`` x ``shared``, else none. Corners that are in the wrong order are exchanged
    where ``sort_corners`` holds; else such a box has no area.
    """

    side: float = 0.0
    shared: float = 0.0
    apart_share: bool = False
    sort_corners: bool = True


RELATIVE = Overlap()
"""Plain areas: boxes relative to the picture."""

PIXELS = Overlap(side=1.0, shared=1.0)
"""Corners are pixels that belong to the box."""


def iou(a: np.ndarray, b: np.ndarray, rule: Overlap = RELATIVE) -> np.ndarray:
    """Return intersection over union of float32[..., 4] with float32[..., 4], broadcast.

    It is 0 where nothing is shared.
    """
    a_sides, b_sides = _sides(a, rule), _sides(b, rule)
    width = np.minimum(a_sides[2], b_sides[2]) - np.maximum(a_sides[0], b_sides[0])
    height = np.minimum(a_sides[3], b_sides[3]) - np.maximum(a_sides[1], b_sides[1])
    apart = np.float32(rule.shared**2 if rule.apart_share else 0)
    more = np.float32(rule.shared)
    shared = np.where((width >= 0) & (height >= 0), (width + more) * (height + more), apart)
    union = _area(a_sides, rule) + _area(b_sides, rule) - shared
    found: np.ndarray = np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)
    return found


def area(boxes: np.ndarray, rule: Overlap = RELATIVE) -> np.ndarray:
    """Return the area of each box, float32[...].

    It is 0 where corners are in the wrong order and the rule leaves them so.
    """
    return _area(_sides(boxes, rule), rule)


def clip(boxes: np.ndarray) -> np.ndarray:
    """Return boxes clipped to the picture, whose corners are at 0 and 1."""
    found: np.ndarray = np.clip(boxes, np.float32(0), np.float32(1))
    return found


_Sides = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _area(sides: _Sides, rule: Overlap) -> np.ndarray:
    left, top, right, bottom = sides
    more = np.float32(rule.side)
    found: np.ndarray = np.where(
        (right >= left) & (bottom >= top), (right - left + more) * (bottom - top + more), np.float32(0)
    )
    return found


def _sides(boxes: np.ndarray, rule: Overlap) -> _Sides:
    """Return the two lower and the two higher coordinates of each box, float32[...] each."""
    left, top, right, bottom = boxes[..., 0], boxes[..., 1], boxes[..., 2], boxes[..., 3]
    if not rule.sort_corners:
        return left, top, right, bottom
    return np.minimum(left, right), np.minimum(top, bottom), np.maximum(left, right), np.maximum(top, bottom)
