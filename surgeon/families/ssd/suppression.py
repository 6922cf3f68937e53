"""How a single-shot detector suppresses overlapping boxes."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property

from surgeon.diagnostics import SurgeonError
from surgeon.display import plural
from surgeon.families.finding import Finding
from surgeon.families.parts.numbers import plain
from surgeon.families.parts.suppression import (
    clip_window,
    clipped_after,
    most_in_all,
)
from surgeon.families.parts.suppression_findings import Suppression
from surgeon.families.parts.walk import behind_identities
from surgeon.families.postprocessing import PICTURE, Clipping, Sense, Window
from surgeon.families.ssd.outputs import OutputFindings
from surgeon.graph import Node, Ref


class SuppressionFindings(OutputFindings):
    """Thresholds, numbers of boxes kept, and what is suppressed together."""

    @cached_property
    def class_agnostic(self) -> Finding[bool]:
        """Whether boxes of different classes suppress each other."""
        node = self._scores.reduced
        if node is not None:
            return Finding(
                True, (f"'{node.name}' ({node.op}) takes the best class of a box before suppression",)
            )
        wanted = self.classes.value - (1 if self.background.value == 0 else 0)
        if self._suppressing[0].op != "CombinedNonMaxSuppression" and len(self._suppressing) % wanted:
            raise self.fail(
                "D114",
                f"{len(self._suppressing)} operations suppress boxes of {plural(wanted, 'class', 'classes')}",
                [*self.suppressions.evidence, *self.classes.evidence, *self.background.evidence],
            )
        return Finding(False, (f"suppression is class by class: {len(self._suppressing)} for {wanted}",))

    @cached_property
    def _suppression(self) -> Suppression:
        return Suppression(self, self._sizes, self._suppressing)

    @property
    def score_threshold(self) -> Finding[float]:
        """What scores must exceed; 0 where nothing is compared."""
        return self._suppression.score_threshold

    @property
    def score_sense(self) -> Finding[Sense]:
        """Whether scores must lie above the threshold, or may equal it."""
        return self._suppression.score_sense

    @property
    def iou_threshold(self) -> Finding[float]:
        """Overlap (intersection over union) above which a box is dropped for a better one."""
        return self._suppression.iou_threshold

    @property
    def soft_sigma(self) -> Finding[float]:
        """Sigma of soft suppression, 0 for the ordinary one."""
        return self._suppression.soft_sigma

    @property
    def max_per_class(self) -> Finding[int]:
        """How many boxes of a class are kept."""
        return self._suppression.max_per_class

    @property
    def drops_empty(self) -> Finding[bool]:
        """Whether boxes without an area are dropped before suppression."""
        return self._suppression.drops_empty

    @property
    def drops_empty_after(self) -> Finding[bool]:
        """Whether boxes without an area are dropped after suppression, so that others take their rows."""
        return self._suppression.drops_empty_after

    @cached_property
    def max_total(self) -> Finding[int]:
        """How many detections of a picture are kept."""
        bounds = list(most_in_all(self.graph, self._sizes, self._suppressing))
        found = min(bounds, key=lambda bound: bound.value, default=None)
        padded = self._padded()
        if found is None and padded is None:
            raise self.fail(
                "D113", "the number of detections kept cannot be told", self.suppressions.evidence
            )
        if found is None or (padded is not None and padded[0] < found.value):
            assert padded is not None
            return Finding(padded[0], (padded[1],))
        return Finding(int(found.value), (str(found), *([padded[1]] if padded else [])))

    def _padded(self) -> tuple[int, str] | None:
        """Return how many rows the outputs have, and the evidence."""
        try:
            outputs = self.outputs.value
        except SurgeonError:
            return self._common_rows()
        for port in ("scores", "boxes"):
            ref = outputs.get(port)
            dims = self.inference.spec(ref).shape.dims if ref is not None else None
            if ref is not None and dims is not None and len(dims) > 1 and dims[1] is not None:
                return dims[1], f"'{ref}' is {self.inference.spec(ref)}"
        return None

    def _common_rows(self) -> tuple[int, str] | None:
        """Return the rows on which all outputs behind suppression agree, whichever holds what."""
        chosen = set(self.suppressions.value)
        rows: dict[int | None, Ref] = {}
        for ref in self.graph.output_refs:
            dims = self.inference.spec(ref).shape.dims
            if chosen.isdisjoint(self.graph.ancestors([behind_identities(self.graph, ref).node])):
                continue
            if dims is None or len(dims) > 1:
                rows.setdefault(None if dims is None else dims[1], ref)
        if len(rows) != 1:
            return None
        ((count, ref),) = rows.items()
        if count is None:
            return None
        return count, f"'{ref}' is {self.inference.spec(ref)}, as long as every output of detections"

    @cached_property
    def clip(self) -> Finding[Clipping]:
        """Whether boxes are clipped to the picture before suppression, after it, or not at all."""
        first = self._suppressing[0]
        if self._boxes.clips:
            return Finding("before", (f"'{self._boxes.clips[0]}' clips what is suppressed",))
        evidence = f"'{first.name}' takes boxes as they are decoded"
        after = clipped_after(self.graph, self._suppressing)
        if after is None and first.op == "CombinedNonMaxSuppression" and first.attrs.get("clip_boxes", True):
            after = first  # it clips the boxes that it returns; True is TensorFlow's default
        if after is not None:
            return Finding("after", (evidence, f"'{after.name}' clips what is left"))
        return Finding("none", (evidence,))

    @cached_property
    def clip_window(self) -> Finding[Window | None]:
        """The window to which boxes are clipped; None where it is the part that the picture fills.

        Where no constants tell it, every picture fills the network's input, unless zeros are added to it.
        """
        clip = self._clipping
        if clip is None:
            return Finding(PICTURE, self.clip.evidence)
        sides = clip_window(self.graph, self._sizes, clip)
        known = [plain(side) for side in sides if side is not None]
        if len(known) == 4:
            top, left, bottom, right = known
            return Finding((top, left, bottom, right), (f"'{clip.name}' clips to {known}",))
        with suppress(SurgeonError):
            if self.image.value.resize == "keep-aspect-ratio":
                return Finding(
                    None, (f"'{clip.name}' clips to what the picture fills", self.image.evidence[0])
                )
        return Finding(PICTURE, (f"'{clip.name}' clips to the size of the picture, which fills the input",))

    @cached_property
    def _clipping(self) -> Node | None:
        """The operation that joins clipped coordinates, before suppression or after it."""
        if self._boxes.clips:
            return self.graph[self._boxes.clips[0]]
        return clipped_after(self.graph, self._suppressing)
