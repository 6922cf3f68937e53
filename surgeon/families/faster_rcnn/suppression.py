"""How one stage suppresses overlapping boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias, TypeVar

import numpy as np

from surgeon.families.family import Family
from surgeon.families.finding import Finding
from surgeon.families.parts.numbers import plain
from surgeon.families.parts.scaling import behind_scaling
from surgeon.families.parts.score_filters import score_thresholds
from surgeon.families.parts.suppression import (
    Boxes,
    Constant,
    clip_window,
    clipped_after,
    empty_box_filter,
    empty_boxes_dropped_after,
    iou_thresholds,
    most_in_all,
    most_per_class,
    soft_sigmas,
)
from surgeon.families.postprocessing import Clipping, Sense
from surgeon.graph import Graph, Node, Ref
from surgeon.infer import Inference

T = TypeVar("T")

Window: TypeAlias = tuple[float, ...] | Literal["whole", "unknown"]
"""To what boxes are clipped: numbers in the order ymin, xmin, ymax, xmax, the whole input, or not known."""

_AGAINST_CORNERS = 1e-3
"""Pixels by which a window may differ from the network's input."""


@dataclass(frozen=True)
class Stage:
    """The suppression of one stage: its operations, the boxes that they take, and what holds their result.

    ``kept`` is float32[N, K, 4], the boxes that are left of a batch. ``sizes`` is what the graph alone tells,
    ``fixed`` returns the same with the size of the network's input. Each finding raises SurgeonError D113
    where the graph does not tell it, D114 where it contradicts itself.
    """

    family: Family
    sizes: Inference
    fixed: Callable[[], Inference]
    nodes: tuple[Node, ...]
    boxes: Boxes
    kept: Ref

    @property
    def _graph(self) -> Graph:
        return self.family.graph

    @cached_property
    def score_threshold(self) -> Finding[float]:
        """What scores must exceed; 0 where nothing is compared."""
        found = self._one(score_thresholds, "threshold of scores")
        if found is None or not np.isfinite(found.value):
            return Finding(0.0, ("no operation compares scores before suppression",))
        return Finding(plain(found.value), (str(found),))

    @cached_property
    def score_sense(self) -> Finding[Sense]:
        """Whether scores must lie above the threshold, or may equal it."""
        found = self._one(score_thresholds, "threshold of scores")
        op = "" if found is None else self._graph[found.of].op
        shown = (f"'{found.of}' is {op}",) if found is not None else ("no operation compares scores",)
        may_equal = found is not None and found.may_equal
        return Finding("at least" if may_equal else "above", shown)

    @cached_property
    def iou_threshold(self) -> Finding[float]:
        """Overlap (intersection over union) above which a box is dropped for a better one."""
        return self._required(iou_thresholds, "threshold of overlap", plain)

    @cached_property
    def soft_sigma(self) -> Finding[float]:
        """Sigma of soft suppression, 0 for the ordinary one."""
        found = self._one(soft_sigmas, "sigma of soft suppression")
        if found is None:
            return Finding(0.0, ("boxes are dropped",))
        return Finding(plain(found.value), (str(found),))

    @cached_property
    def max_per_class(self) -> Finding[int]:
        """How many boxes of a class are kept."""
        return self._required(most_per_class, "number of boxes kept for a class", int)

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

    @cached_property
    def drops_empty(self) -> Finding[bool]:
        """Whether boxes without an area are dropped before suppression."""
        compared = empty_box_filter(self._graph, self.sizes, self.nodes[0], behind_scaling)
        if compared is None:
            return Finding(False, (f"'{self.nodes[0].name}' takes boxes whatever their area",))
        return Finding(True, (f"'{compared.name}' ({compared.op}) keeps boxes with an area",))

    @cached_property
    def drops_empty_after(self) -> Finding[bool]:
        """Whether boxes without an area are dropped after suppression, so that others take their rows."""
        compared = empty_boxes_dropped_after(self._graph, self.sizes, self.nodes, [self.kept])
        if compared is None or self.drops_empty.value:
            return Finding(False, ("no operation behind suppression asks for the area of a box",))
        return Finding(True, (f"'{compared.name}' ({compared.op}) keeps boxes with an area",))

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

    def _one(
        self, constants: Callable[[Graph, Inference, Iterable[Node]], Iterable[Constant]], what: str
    ) -> Constant | None:
        """Return the constant on which all operations agree, None where there is none; raise D114 for two."""
        found: dict[tuple[float, bool], Constant] = {}
        for constant in constants(self._graph, self.sizes, self.nodes):
            found.setdefault((constant.value, constant.may_equal), constant)
        if len(found) > 1:
            raise self.family.fail(
                "D114",
                f"the {what} is contradictory: {len(found)} different answers",
                [str(constant) for constant in list(found.values())[:6]],
                ["write the value that is meant"],
            )
        return next(iter(found.values()), None)

    def _required(
        self,
        constants: Callable[[Graph, Inference, Iterable[Node]], Iterable[Constant]],
        what: str,
        kind: Callable[[float], T],
    ) -> Finding[T]:
        found = self._one(constants, what)
        if found is None:
            raise self.family.fail("D113", f"the {what} is not a constant of the graph")
        return Finding(kind(found.value), (str(found),))
