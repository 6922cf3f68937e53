"""The step ``anchor-input``."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from surgeon.display import plural
from surgeon.graph import Edit
from surgeon.steps.fix_inputs import as_constant, input_value
from surgeon.steps.step import Step, StepContext

Side = Annotated[int, Field(ge=1, lt=1 << 16, strict=True)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


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
    size: tuple[Side, Side] = Field(description="Height and width of the picture in pixels.")
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
        value = input_value(context, self.node, self.anchors(), "node")
        return as_constant(context.graph[self.node], value, context.at("node"))

    def anchors(self) -> np.ndarray:
        """Return the anchors, float32[1, A, 4]: y1, x1, y2, x2 relative to the picture less a pixel.

        Source: ``generate_pyramid_anchors`` and ``norm_boxes`` of Matterport's utils.py.
        """
        height, width = self.size
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
