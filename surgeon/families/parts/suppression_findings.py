"""What operations that suppress boxes agree on: thresholds, numbers of boxes, and boxes without an area."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from surgeon.families.family import Family
from surgeon.families.finding import Finding
from surgeon.families.parts.numbers import plain
from surgeon.families.parts.score_filters import score_thresholds
from surgeon.families.parts.suppression import (
    Constant,
    Moved,
    empty_box_filter,
    empty_boxes_dropped_after,
    iou_thresholds,
    most_per_class,
    soft_sigmas,
)
from surgeon.families.parts.walk import behind
from surgeon.families.postprocessing import Sense
from surgeon.graph import Graph, Node, Ref
from surgeon.infer import Inference

T = TypeVar("T")

_NOTHING_COMPARES = "no operation compares scores before suppression"


@dataclass(frozen=True)
class Suppression:
    """Operations that suppress boxes, one or more for each class, and what they have in common.

    ``sizes`` tells constants. ``moved`` says what a walk from the boxes passes besides clipping, ``ends``
    where one behind suppression stops: at the graph's outputs where it is None. Each finding raises
    SurgeonError D113 where the graph does not tell it, D114 where it contradicts itself.
    """

    family: Family
    sizes: Inference
    nodes: tuple[Node, ...]
    moved: Moved = behind
    ends: tuple[Ref, ...] | None = None

    @property
    def _graph(self) -> Graph:
        return self.family.graph

    @cached_property
    def score_threshold(self) -> Finding[float]:
        """What scores must exceed; 0 where nothing is compared."""
        found = self._one(score_thresholds, "threshold of scores")
        if found is None:
            return Finding(0.0, (_NOTHING_COMPARES,))
        if not np.isfinite(found.value):
            return Finding(0.0, (f"'{found.node}' is {found.value}: every score passes",))
        return Finding(plain(found.value), self._agreed(found))

    @cached_property
    def score_sense(self) -> Finding[Sense]:
        """Whether scores must lie above the threshold, or may equal it."""
        found = self._one(score_thresholds, "threshold of scores")
        if found is None:
            return Finding("above", (_NOTHING_COMPARES,))
        op = self._graph[found.of].op
        return Finding("at least" if found.may_equal else "above", (f"'{found.of}' is {op}",))

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
        return Finding(plain(found.value), self._agreed(found))

    @cached_property
    def max_per_class(self) -> Finding[int]:
        """How many boxes of a class are kept."""
        return self._required(most_per_class, "number of boxes kept for a class", int)

    @cached_property
    def drops_empty(self) -> Finding[bool]:
        """Whether boxes without an area are dropped before suppression."""
        first = self.nodes[0]
        compared = empty_box_filter(self._graph, self.sizes, first, self.moved)
        if compared is None:
            return Finding(False, (f"'{first.name}' takes boxes whatever their area",))
        return Finding(True, (f"'{compared.name}' ({compared.op}) keeps boxes with an area",))

    @cached_property
    def drops_empty_after(self) -> Finding[bool]:
        """Whether boxes without an area are dropped after suppression, so that others take their rows."""
        compared = empty_boxes_dropped_after(self._graph, self.sizes, self.nodes, self.ends)
        if compared is None or self.drops_empty.value:
            return Finding(False, ("no operation behind suppression asks for the area of a box",))
        return Finding(True, (f"'{compared.name}' ({compared.op}) keeps boxes with an area",))

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
            first = self.nodes[0]
            shown = f"{len(self.nodes)} {first.op}, such as '{first.name}'"
            raise self.family.fail("D113", f"the {what} is not a constant of the graph", [shown])
        return Finding(kind(found.value), self._agreed(found))

    def _agreed(self, constant: Constant) -> tuple[str, ...]:
        count = len(self.nodes)
        return (str(constant), f"the same for {count} operations") if count > 1 else (str(constant),)
