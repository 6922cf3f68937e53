"""How one stage suppresses overlapping boxes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np

from surgeon.families.family import Family
from surgeon.families.finding import Finding
from surgeon.families.parts.scaling import behind_scaling
from surgeon.families.parts.suppression import (
    Boxes,
    clip_window,
    clipped_after,
    most_in_all,
)
from surgeon.families.parts.suppression_findings import Suppression
from surgeon.families.postprocessing import Clipping
from surgeon.graph import Node, Ref
from surgeon.infer import Inference

Window: TypeAlias = tuple[float, ...] | Literal["whole", "unknown"]
"""To what boxes are clipped: numbers in the order ymin, xmin, ymax, xmax, the whole input, or not known."""

_AGAINST_CORNERS = 1e-3
"""Pixels by which a window may differ from the network's input."""


@dataclass(frozen=True)
class Stage(Suppression):
    """The suppression of one stage, the boxes that it takes, and what holds its result.

    ``kept`` is float32[N, K, 4], the boxes that are left of a batch. ``fixed`` tells shapes where the
    network's input has its size.
    """

    fixed: Callable[[], Inference] = field(kw_only=True)
    boxes: Boxes = field(kw_only=True)
    kept: Ref = field(kw_only=True)

    @classmethod
    def of(
        cls,
        family: Family,
        sizes: Inference,
        fixed: Callable[[], Inference],
        nodes: tuple[Node, ...],
        boxes: Boxes,
        kept: Ref,
    ) -> Stage:
        """Return the stage whose operations and tensors these are."""
        return cls(family, sizes, nodes, behind_scaling, (kept,), fixed=fixed, boxes=boxes, kept=kept)

    @cached_property
    def max_total(self) -> Finding[int]:
        """How many boxes of a picture are kept."""
        spec = self.fixed().spec(self.kept)
        rows = spec.shape.dims[1] if spec.shape.dims is not None and len(spec.shape.dims) > 1 else None
        if rows is not None:
            return Finding(rows, (f"'{self.kept}' is {spec}",))
        bounds = list(most_in_all(self._graph, self.sizes, self.nodes, [self.kept]))
        found = min(bounds, key=lambda bound: bound.value, default=None)
        if found is None:
            raise self.family.fail("D113", f"how many boxes '{self.kept}' holds of a picture is not known")
        return Finding(int(found.value), (str(found),))

    @cached_property
    def clip(self) -> Finding[Clipping]:
        """Whether boxes are clipped to the network's input before suppression, after it, or not at all."""
        first = self.nodes[0]
        if self.boxes.clips:
            return Finding("before", (f"'{self.boxes.clips[0]}' clips what is suppressed",))
        evidence = f"'{first.name}' takes boxes as they are decoded"
        after = clipped_after(self._graph, self.nodes, [self.kept])
        if after is not None:
            return Finding("after", (evidence, f"'{after.name}' clips what is left"))
        return Finding("none", (evidence,))

    def window_of(self, height: int, width: int) -> Window:
        """Return the window to which boxes are clipped, in pixels where it is not the whole input.

        ``whole`` also where nothing clips; ``unknown`` where its sides are no constants.
        """
        name = self.boxes.clips[0] if self.boxes.clips else ""
        node = self._graph[name] if name else clipped_after(self._graph, self.nodes, [self.kept])
        if node is None:
            return "whole"
        sides = clip_window(self._graph, self.fixed(), node)
        known = tuple(side for side in sides if side is not None)
        if len(known) < 4:
            return "unknown"
        whole = (0.0, 0.0, float(height), float(width))
        return "whole" if np.allclose(known, whole, rtol=0, atol=_AGAINST_CORNERS) else known
