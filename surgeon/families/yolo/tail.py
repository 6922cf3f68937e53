"""What comes behind the heads of a YOLO detector: nothing, boxes and scores, or detections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import Literal, TypeAlias

import numpy as np

from surgeon.diagnostics import SurgeonError
from surgeon.display import plural
from surgeon.families.finding import Finding
from surgeon.families.parts.score_filters import score_thresholds
from surgeon.families.parts.suppression import (
    Constant,
    before_clip,
    boxes_of,
    iou_thresholds,
    most_in_all,
    most_per_class,
    needed_after,
    soft_sigmas,
    suppressions,
)
from surgeon.families.parts.walk import behind, source, trail
from surgeon.families.postprocessing import Clipping, Sense
from surgeon.families.yolo.cells import DecodedCells, corners, fit_cells
from surgeon.families.yolo.heads import FIRST_CLASS
from surgeon.families.yolo.structure import CellStructure
from surgeon.graph import DType, Graph, Node, Ref
from surgeon.graph.op_sets import PLACEHOLDERS
from surgeon.infer import Inference, evaluate

Form: TypeAlias = Literal["heads", "boxes", "detections"]
"""What a graph ends with."""

_Search: TypeAlias = Callable[[Graph, Inference, Iterable[Node]], Iterator[Constant]]

COMBINED = "CombinedNonMaxSuppression"

_LIMITS = frozenset({"Minimum", "Maximum", "ClipByValue"})
_FLOATS = frozenset({DType.FLOAT16, DType.FLOAT32, DType.FLOAT64})

_FAR = 1e6
"""A coordinate far outside of any picture."""


@dataclass(frozen=True)
class DecodedTensors:
    """Tensors of the graph that hold decoded boxes and their scores.

    Either ``rows`` hold both, 5 + C columns a box, or ``boxes`` and ``scores`` do; ``objectness`` is then
    what scores are still to be multiplied with, None where they are already.
    """

    rows: tuple[Ref, ...] = ()
    boxes: Ref | None = None
    scores: Ref | None = None
    objectness: Ref | None = None

    @property
    def refs(self) -> tuple[Ref, ...]:
        """All of them."""
        return (*self.rows, *(ref for ref in (self.boxes, self.scores, self.objectness) if ref is not None))

    def of(self, values: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return boxes [P, 4] and scores [P, C] of one picture from the values of ``refs``."""
        if self.rows:
            rows = np.concatenate([value.reshape(-1, value.shape[-1]) for value in values])
            return rows[:, :4], rows[:, 4:FIRST_CLASS] * rows[:, FIRST_CLASS:]
        boxes, scores = values[0].reshape(-1, 4), values[1].reshape(-1, values[1].shape[-1])
        return boxes, scores if self.objectness is None else scores * values[2].reshape(-1, 1)


class CellTail(CellStructure):
    """What a graph computes behind the heads, told from its operations and from numbers in the heads."""

    @cached_property
    def form(self) -> Form:
        """What the graph ends with; raise SurgeonError D112 where it is something else."""
        tensors = {head.tensor for head in self._unordered_heads}
        outputs = {source(self.graph, ref) for ref in self._ends}
        if outputs == tensors:
            return "heads"
        if self._suppressing:
            return "detections"
        behind = self.graph.ancestors(ref.node for ref in self._ends) - self.graph.ancestors(
            ref.node for ref in tensors
        )
        if not {"Exp", "Sigmoid"} <= {self.graph[name].op for name in behind}:
            raise self._no_cells("it neither ends with its heads nor decodes boxes from them")
        return "boxes"

    @cached_property
    def _ends(self) -> tuple[Ref, ...]:
        return tuple(ref for ref in self.graph.output_refs if ref.node in self._varying)

    @cached_property
    def _suppressing(self) -> tuple[Node, ...]:
        return suppressions(self.graph)

    @cached_property
    def decoding(self) -> Finding[DecodedCells]:
        """How the graph decodes its heads; raise SurgeonError D116 where it is by no formula that is known
        here, and D113 where it decodes nothing.
        """
        if self.form == "heads":
            raise self.fail("D113", "the graph ends with its heads and decodes no boxes", self.heads.evidence)
        tensors, found = self._decoded
        evidence = (
            f"zeros in the heads give boxes at {', '.join(f'{ref!s:.60}' for ref in tensors.refs[:3])}",
            f"random numbers in the heads give what the formula of YOLO gives, to {found.error:.1g}",
        )
        return Finding(found, evidence)

    @property
    def decoded_tensors(self) -> DecodedTensors:
        """The tensors with boxes and scores."""
        return self._decoded[0]

    @cached_property
    def _decoded(self) -> tuple[DecodedTensors, DecodedCells]:
        reason = "no outputs hold boxes and scores"
        for tensors in self._candidates():
            found = self._fit(tensors)
            if isinstance(found, DecodedCells):
                return tensors, found
            reason = found
        raise self.fail(
            "D116",
            f"how the graph decodes boxes is not known: {reason}",
            self.heads.evidence,
            ["write the recipe by hand: docs/recipes.md, and the step 'decode-cells'"],
        )

    def _fit(self, tensors: DecodedTensors) -> DecodedCells | str:
        heads = self.heads.value
        order = [(0, 2, 3, 1) if head.channels_first else (0, 1, 2, 3) for head in heads]
        shapes: list[tuple[int, int, int]] = []
        for head, axes in zip(heads, order, strict=True):
            dims = self.inference.spec(head.tensor).shape.dims or ()
            height, width, channels = (int(dims[axis] or 0) for axis in axes[1:])
            shapes.append((height, width, channels))
        beside = {ref: np.array(self.size, dtype.numpy()) for ref, dtype in self.sizes_beside.items()}

        def computed(values: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
            feeds = dict(beside)
            for head, value in zip(heads, values, strict=True):
                fed = value[None].transpose(0, 3, 1, 2) if head.channels_first else value[None]
                feeds[head.tensor] = np.ascontiguousarray(fed)
            return tensors.of(evaluate(self.graph, tensors.refs, feeds, inference=self.inference))

        try:
            return fit_cells(computed, shapes, self.boxes_per_cell.value, self.size)
        except SurgeonError as exc:
            return exc.diagnostics[0].message

    @cached_property
    def sizes_beside(self) -> Mapping[Ref, DType]:
        """Inputs besides the picture that hold height and width of the original picture."""
        found: dict[Ref, DType] = {}
        needed = self.graph.ancestors(ref.node for ref in self._ends)
        for node in self.graph:
            if node.op not in PLACEHOLDERS or node.name not in needed:
                continue
            spec = self.inference.spec(Ref(node.name))
            if spec.shape.dims == (2,) and spec.dtype is not None and spec.dtype.itemsize is not None:
                found[Ref(node.name)] = spec.dtype
        return found

    def _candidates(self) -> Iterator[DecodedTensors]:
        """Yield which tensors may hold boxes and scores, the likeliest first."""
        if self.form == "detections":
            yield from self._suppressed_tensors()
            return
        columns = {ref: (self.inference.spec(ref).shape.dims or (None,))[-1] for ref in self._ends}
        wide = FIRST_CLASS + self.classes.value
        if all(count in (wide, None) for count in columns.values()):
            yield DecodedTensors(rows=self._ends)
        for boxes, scores, *rest in permutations(self._ends) if len(self._ends) in (2, 3) else ():
            fits = columns[boxes] in (4, None) and columns[scores] in (self.classes.value, None)
            if fits and len(rest) == 1 and columns[rest[0]] in (1, None):
                yield DecodedTensors(boxes=boxes, scores=scores, objectness=rest[0])
            elif fits and not rest:
                yield DecodedTensors(boxes=boxes, scores=scores)

    def _suppressed_tensors(self) -> Iterator[DecodedTensors]:
        boxes = {boxes_of(self.graph, node).computed for node in self._suppressing}
        scores = {source(self.graph, node.inputs[1]) for node in self._suppressing}
        if len(boxes) == 1 and len(scores) == 1:
            yield DecodedTensors(boxes=boxes.pop(), scores=scores.pop())

    @cached_property
    def score_threshold(self) -> Finding[float]:
        """The score that a box must have; 0 where nothing is compared."""
        if not any(np.isfinite(each.value) for each in self._thresholds):
            return Finding(0.0, ("no operation compares scores before suppression",))
        return self._agreed("threshold of scores", score_thresholds)

    @cached_property
    def _thresholds(self) -> tuple[Constant, ...]:
        return tuple(score_thresholds(self.graph, self.inference, self._suppressing))

    @cached_property
    def score_sense(self) -> Finding[Sense]:
        """Whether a score must be above the threshold or may equal it."""
        found = self._thresholds
        if not any(np.isfinite(each.value) for each in found):
            return Finding("above", self.score_threshold.evidence)
        may_equal = {each.may_equal for each in found}
        if len(may_equal) != 1:
            raise self.fail("D113", "how scores are compared with their threshold is not known")
        compared = f"'{found[0].of}' ({self.graph[found[0].of].op})"
        return Finding("at least" if may_equal.pop() else "above", (compared,))

    @cached_property
    def iou_threshold(self) -> Finding[float]:
        """The overlap above which a box is dropped.

        Raise SurgeonError D113 where it is taken of centres and sizes, as if these were corners.
        """
        if self.decoding.value.layout == "xywh":
            raise self.fail(
                "D113",
                f"'{self._suppressing[0].name}' takes boxes as centre and size, and computes overlaps as if "
                "they were corners; no plugin does that",
                self.decoding.evidence,
            )
        return self._agreed("threshold of overlap", iou_thresholds)

    @cached_property
    def soft_sigma(self) -> Finding[float]:
        """Sigma of soft suppression; 0 where overlapping boxes are dropped."""
        found = list(soft_sigmas(self.graph, self.inference, self._suppressing))
        if not found:
            return Finding(0.0, (f"'{self._suppressing[0].name}' ({self._suppressing[0].op}) drops boxes",))
        return self._agreed("sigma of soft suppression", soft_sigmas)

    @cached_property
    def max_per_class(self) -> Finding[int]:
        """The most boxes of a class."""
        found = self._agreed("bound on boxes of a class", most_per_class)
        return Finding(int(found.value), found.evidence)

    @cached_property
    def max_total(self) -> Finding[int]:
        """The most detections of a picture: what all classes may have, where nothing else bounds them."""
        found: list[Constant] = list(most_in_all(self.graph, self.inference, self._suppressing))
        every = self.max_per_class.value * self.classes.value
        if not found:
            classes = plural(self.classes.value, "class", "classes")
            return Finding(every, (f"{self.max_per_class.value} of each of {classes}, joined",))
        least = min(found, key=lambda constant: constant.value)
        return Finding(min(every, int(least.value)), (str(least),))

    @cached_property
    def clip(self) -> Finding[Clipping]:
        """When boxes are clipped to the picture: before suppression, after it, or not at all.

        CombinedNonMaxSuppression clips what it gives. Raise SurgeonError D113 where boxes are clipped twice,
        or to something else than the picture.
        """
        node = self._suppressing[0]
        before, after = boxes_of(self.graph, node).clips, self._limits_after
        combined = node.op == COMBINED and node.attrs.get("clip_boxes", True)
        if (before and after) or (node.op == COMBINED and (after or (combined and before))):
            raise self._unfit_clip([*before, node.name, *after])
        if combined:
            if self.decoding.value.pixels or self.decoding.value.layout == "xywh":
                raise self._unfit_clip([node.name])
            return Finding("after", (f"'{node.name}' has clip_boxes",))
        if before:
            unclipped = before_clip(self.graph, self.graph[before[0]])
            return self._clips("before", Ref(before[0]), unclipped, before)
        if after:
            steps = list(trail(self.graph, self._boxes_given, self._before_limit))
            last = max((at for at, ref in enumerate(steps) if self._limits(ref)), default=len(steps) - 1)
            unclipped = steps[last + 1] if last + 1 < len(steps) else None
            if unclipped is not None and self.graph.ancestors([unclipped.node]) & set(after):
                unclipped = None
            return self._clips("after", self._boxes_given, unclipped, after)
        return Finding("none", ("no operation clips boxes",))

    @cached_property
    def _boxes_given(self) -> Ref:
        """The output that holds boxes."""
        for ref in self._ends:
            spec = self.inference.spec(ref)
            if spec.dtype in _FLOATS and (spec.shape.dims or (None,))[-1] == 4:
                return ref
        raise self.fail("D113", "no output is known to hold boxes; expected one of four columns")

    @cached_property
    def _limits_after(self) -> tuple[str, ...]:
        """The operations that limit numbers between suppression and the boxes given."""
        behind = needed_after(self.graph, self._suppressing, [self._boxes_given])
        return tuple(
            node.name
            for node in self.graph
            if node.name in behind
            and node.op in _LIMITS
            and self.inference.spec(Ref(node.name)).dtype in _FLOATS
        )

    def _limits(self, ref: Ref) -> bool:
        node = self.graph[ref.node]
        return node.op in _LIMITS or before_clip(self.graph, node) is not None

    def _before_limit(self, graph: Graph, ref: Ref) -> Ref | None:
        node = graph[ref.node]
        if node.op in _LIMITS:
            return next((at for at in node.inputs if self.inference.known(at) is None), None)
        return before_clip(graph, node) or behind(graph, ref)

    def _clips(
        self, moment: Clipping, clipped: Ref, unclipped: Ref | None, names: Sequence[str]
    ) -> Finding[Clipping]:
        """Return when boxes are clipped, measured on boxes that reach over every edge; raise SurgeonError
        D113 where they are not clipped to the picture.
        """
        dims = None if unclipped is None else self.inference.spec(unclipped).shape.dims
        if unclipped is None or dims is None or dims[-1] != 4:
            raise self._unfit_clip(names)
        decoding = self.decoding.value
        height, width = self.size if decoding.pixels else (1, 1)
        beside = {ref: np.array(self.size, dtype.numpy()) for ref, dtype in self.sizes_beside.items()}
        ends: list[np.ndarray] = []
        for far in (-_FAR, _FAR):
            feeds = {**beside, unclipped: np.full([dim or 2 for dim in dims], far, np.float32)}
            try:
                (value,) = evaluate(self.graph, [clipped], feeds, inference=self.inference)
            except SurgeonError as exc:
                raise self._unfit_clip(names) from exc
            ends.append(corners(value.reshape(-1, 4), decoding.layout, height, width))
        picture = decoding.layout != "xywh" and all(
            np.allclose(end, side, atol=1e-6) for end, side in zip(ends, (0, 1), strict=True)
        )
        if not picture:
            raise self._unfit_clip(names)
        return Finding(moment, (f"'{names[0]}' clips boxes to the picture {moment} suppression",))

    def _unfit_clip(self, names: Sequence[str]) -> SurgeonError:
        shown = ", ".join(f"'{name}' ({self.graph[name].op})" for name in names[:4])
        return self.fail(
            "D113",
            f"how boxes are clipped is not known: {shown}; expected one clipping of all four sides to the "
            "picture, before suppression or after it",
            self.heads.evidence,
            ["name tensors in front of the clipping as outputs of the graph, or write the recipe by hand"],
        )

    def _agreed(self, what: str, find: _Search) -> Finding[float]:
        found = list(find(self.graph, self.inference, self._suppressing))
        values = {each.value for each in found}
        if len(values) != 1:
            shown = ", ".join(f"{value:g}" for value in sorted(values)) or "none"
            raise self.fail("D113", f"the {what} is not one number for all classes: {shown}")
        return Finding(values.pop(), (str(found[0]),))
