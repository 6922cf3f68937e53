"""What a generated detector looks like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Protocol

import numpy as np

Date = Literal["2017", "2018", "2019"]
WeightSource = Callable[[str, tuple[int, ...]], np.ndarray]

LAYERS = 6


class Sized(Protocol):
    """What has the size of a network's input, in pixels."""

    @property
    def height(self) -> int:
        """Return the height."""

    @property
    def width(self) -> int:
        """Return the width."""


class Suppressing(Protocol):
    """What a suppression needs: counts, thresholds, and whether boxes become relative to their window."""

    @property
    def classes(self) -> int:
        """Return the number of classes without the background."""

    @property
    def box_sets(self) -> int:
        """Return 1 where classes share their boxes, else their number."""

    @property
    def max_per_class(self) -> int:
        """Return how many boxes of a class are kept."""

    @property
    def max_detections(self) -> int:
        """Return how many boxes of a picture are kept."""

    @property
    def score_threshold(self) -> float:
        """Return what a score must exceed."""

    @property
    def iou_threshold(self) -> float:
        """Return the overlap above which a box is dropped."""

    @property
    def in_window(self) -> bool:
        """Return whether boxes are made relative to the window that they are clipped to."""

    def anchors_per_layer(self) -> list[int]:
        """Return the number of boxes, in parts."""


@dataclass(frozen=True)
class SsdOptions:
    """Describe one SSD MobileNet v1 detector; sizes in pixels, scales as fractions of the shorter side.

    ``date`` picks the exporter: "2017" as of 2017-11, "2018" as of 2018-04, "2019" as of 2019-11, TensorFlow
    1.15. ``classes`` leaves the background out. ``extra_nodes`` adds that many nodes and ``large_weights`` at
    least that many bytes of weights without changing what is detected. Raise ValueError for sizes below 33
    pixels, counts below one, or a date that is none of the three.
    """

    date: Date = "2018"
    classes: int = 3
    height: int = 300
    width: int = 300
    depth_multiplier: float = 0.25
    min_scale: float = 0.2
    max_scale: float = 0.95
    aspect_ratios: tuple[float, ...] = (1.0, 2.0, 0.5, 3.0, 1 / 3)
    score_threshold: float = 1e-8
    iou_threshold: float = 0.6
    max_detections: int = 100
    seed: int = 0
    extra_nodes: int = 0
    large_weights: int = 0

    def __post_init__(self) -> None:
        if self.date not in ("2017", "2018", "2019"):
            raise ValueError(f"date is {self.date!r}; expected '2017', '2018' or '2019'")
        for name in ("classes", "max_detections"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least 1")
        for name in ("height", "width"):
            if getattr(self, name) < 33:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least 33 pixels")
        for name in ("extra_nodes", "large_weights"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least 0")
        if not self.aspect_ratios or self.depth_multiplier <= 0:
            raise ValueError("expected at least one aspect ratio and a positive depth_multiplier")

    @property
    def box_sets(self) -> int:
        """All classes share their boxes."""
        return 1

    @property
    def max_per_class(self) -> int:
        """As many boxes of a class are kept as of a picture."""
        return self.max_detections

    @property
    def in_window(self) -> bool:
        """As of 2019, boxes are made relative to the part of the input that a picture fills."""
        return self.date == "2019"

    def feature_maps(self) -> list[tuple[int, int]]:
        """Return (height, width) of the six feature maps, largest first."""
        height, width = self.height, self.width
        sizes = []
        for stride in range(1, 4 + LAYERS):
            height, width = -(-height // 2), -(-width // 2)
            if stride >= 4:
                sizes.append((height, width))
        return sizes

    def boxes_per_location(self) -> list[int]:
        """Return the number of anchors at each position of the six feature maps."""
        return [3] + [len(self.aspect_ratios) + 1] * (LAYERS - 1)

    def anchors_per_layer(self) -> list[int]:
        """Return the number of anchors of the six feature maps."""
        both = zip(self.feature_maps(), self.boxes_per_location(), strict=True)
        return [height * width * boxes for (height, width), boxes in both]

    def anchor_shapes(self) -> list[tuple[list[float], list[float]]]:
        """Return, for the six feature maps, the anchors' scales and aspect ratios (width by height)."""
        # The exporter read both scales from a message that holds float32.
        smallest, largest = float(np.float32(self.min_scale)), float(np.float32(self.max_scale))
        scales = [smallest + (largest - smallest) * layer / (LAYERS - 1) for layer in range(LAYERS)]
        scales.append(1.0)
        shapes = [([0.1, scales[0], scales[0]], [1.0, 2.0, 0.5])]
        for this, following in pairwise(scales[1:]):
            between = (this * following) ** 0.5
            shapes.append(([this] * len(self.aspect_ratios) + [between], [*self.aspect_ratios, 1.0]))
        return shapes
