"""The step ``anchor-input``."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from surgeon.display import plural
from surgeon.graph import Edit
from surgeon.steps.fix_inputs import as_constant, check_input, input_value
from surgeon.steps.step import Step, StepContext

Side = Annotated[int, Field(ge=1, lt=1 << 16, strict=True)]
PictureSide = Annotated[int, Field(ge=2, lt=1 << 16, strict=True)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

MOST_ANCHORS = 1 << 22
"""The most anchors that the step makes; a pyramid on 1024 x 1024 pixels has 261,888."""


class AnchorInput(Step):
    """Make an input that takes anchors a constant: those of a feature pyramid, as Matterport computes them.

    Each level has a stride and a scale, the side of its anchors in pixels. Around each cell, row by row, lies
    an anchor for each ratio of width to height, y1, x1, y2, x2, at the upper left corner of the cell. 'size'
    is that of the picture; corners are divided by it, each less a pixel.

    Before::

        graph v1
        anchors = Placeholder() {dtype: float32, shape: shape[?,?,4]}
        y = Neg(anchors) {T: float32}

    Step::

        step: anchor-input
        node: anchors
        size: [33, 33]
        strides: [64]
        scales: [32]
        ratios: [1]

    After::

        graph v1
        anchors = Const() {dtype: float32, value: tensor<float32[1,1,4]: -0.5, -0.5, 0.46875, 0.46875>}
        y = Neg(anchors) {T: float32}
    """

    keyword: ClassVar[str] = "anchor-input"
    step: Literal["anchor-input"] = "anchor-input"
    node: str = Field(description="The placeholder, float32[1, A, 4] for A anchors.")
    size: tuple[PictureSide, PictureSide] = Field(
        description="Height and width of the picture in pixels, at least 2."
    )
    strides: tuple[Side, ...] = Field(description="Side of a cell in pixels, level by level.", min_length=1)
    scales: tuple[Positive, ...] = Field(
        description="Side in pixels of an anchor whose ratio is 1, level by level.", min_length=1
    )
    ratios: tuple[Positive, ...] = Field(description="Width by height of the anchors.", min_length=1)
    step_of_cells: Side = Field(
        1, alias="every", description="Anchors stand at each cell, or at every second, third, ... one."
    )

    @model_validator(mode="after")
    def _level_by_level(self) -> AnchorInput:
        if len(self.strides) != len(self.scales):
            raise ValueError(
                f"there are {plural(len(self.strides), 'stride')} and {plural(len(self.scales), 'scale')}; "
                "expected one of each for each level"
            )
        return self

    def plan(self, context: StepContext) -> list[Edit]:
        check_input(context, self.node, "node")
        count = sum(
            math.prod(-(-side // (stride * self.step_of_cells)) for side in self.size) * len(self.ratios)
            for stride in self.strides
        )
        if count > MOST_ANCHORS:
            raise context.fail(
                "S226",
                f"these values make {count:,} anchors for '{self.node}'; expected at most {MOST_ANCHORS:,}",
                "strides",
                help=["give the strides in pixels of the picture: 4, 8, 16, 32, 64"],
            )
        anchors = self.anchors()
        if not np.isfinite(anchors).all():
            raise context.fail(
                "S226",
                f"these values make anchors for '{self.node}' that are not finite numbers",
                "scales",
                help=["give the scales in pixels, and ratios of width to height such as 0.5, 1 and 2"],
            )
        value = input_value(context, self.node, anchors, "node")
        return as_constant(context.graph[self.node], value, context.at("node"))

    def anchors(self) -> np.ndarray:
        """Return the anchors, float32[1, A, 4]: y1, x1, y2, x2 relative to the picture less a pixel.

        Source: ``generate_pyramid_anchors`` and ``norm_boxes`` of Matterport's utils.py.
        """
        height, width = self.size
        with np.errstate(all="ignore"):
            return self._anchors(height, width)

    def _anchors(self, height: int, width: int) -> np.ndarray:
        root = np.sqrt(np.asarray(self.ratios, np.float64))
        found = []
        for stride, scale in zip(self.strides, self.scales, strict=True):
            rows, columns = (
                np.arange(0, -(-side // stride), self.step_of_cells) * stride for side in self.size
            )
            middle = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1)[:, :, None]
            half = np.stack([scale / root, scale * root], axis=-1) * 0.5
            found.append(np.concatenate([middle - half, middle + half], axis=-1).reshape(-1, 4))
        last = np.array([height - 1, width - 1] * 2)
        boxes = (np.concatenate(found) - np.array([0, 0, 1, 1])) / last
        anchors: np.ndarray = boxes.astype(np.float32)[None]
        return anchors
