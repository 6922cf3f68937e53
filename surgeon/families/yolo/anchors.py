"""The anchors that Darknet's configurations of YOLO have, for graphs that tell none."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class UsualAnchors:
    """Width and height of anchors in pixels of the network's input, and those of each head, the one of the
    largest cells first.
    """

    anchors: tuple[tuple[float, float], ...]
    masks: tuple[tuple[int, ...], ...]
    source: str


_V3 = ((10, 13), (16, 30), (33, 23), (30, 61), (62, 45), (59, 119), (116, 90), (156, 198), (373, 326))
_TINY_V3 = ((10, 14), (23, 27), (37, 58), (81, 82), (135, 169), (344, 319))
_CELLS_V2 = (
    (0.57273, 0.677385),
    (1.87446, 2.06253),
    (3.33843, 5.47434),
    (7.88282, 3.52778),
    (9.77052, 9.16828),
)
_STRIDE_V2 = 32

USUAL = MappingProxyType(
    {
        1: UsualAnchors(
            tuple((_STRIDE_V2 * width, _STRIDE_V2 * height) for width, height in _CELLS_V2),
            ((0, 1, 2, 3, 4),),
            "yolov2.cfg for COCO, in cells of 32 pixels there",
        ),
        2: UsualAnchors(
            _TINY_V3,
            ((3, 4, 5), (1, 2, 3)),
            "yolov3-tiny.cfg for COCO; some copies of it have [0, 1, 2] for the finer head",
        ),
        3: UsualAnchors(_V3, ((6, 7, 8), (3, 4, 5), (0, 1, 2)), "yolov3.cfg for COCO"),
    }
)
"""By the number of heads."""
