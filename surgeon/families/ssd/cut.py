"""Single-shot detectors that end at decoded boxes and scores: whoever runs them suppresses."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from surgeon.diagnostics import Diagnostic, Severity, SurgeonError
from surgeon.families.family import Draft, DraftOptions, Family, Refusal
from surgeon.families.finding import Finding
from surgeon.families.parts.head_concat import is_join, single_joins
from surgeon.families.parts.scores import Broken, Scores, scores_of
from surgeon.families.parts.suppression import suppressions
from surgeon.families.ssd.detector import SingleShotDetector
from surgeon.graph import AttrValue, DType, Graph, Node, Ref, TensorValue
from surgeon.graph.op_sets import PLACEHOLDERS
from surgeon.graph.reach import varying
from surgeon.infer import Inference, infer

PARAMETERS: Mapping[str, Any] = {"iou_threshold": 0.6, "score_threshold": 1e-8, "max_detections": 100}
"""Parameters of a recipe that adds suppression, with the values of the exporter's sample configurations."""

_FIELDS: Mapping[str, tuple[str, ...]] = {
    "iou_threshold": ("nmsThreshold", "iouThreshold", "iou_threshold"),
    "score_threshold": ("confidenceThreshold", "scoreThreshold", "score_threshold"),
    "max_detections": ("keepTopK", "maxTotal", "max_total_size", "max_output_boxes"),
}
"""Names that plugins give to the parameters."""

BACKGROUND = "background"
"""The parameter of the column that is the background's, where the graph does not tell it."""

_BACKGROUND_FIELDS = ("backgroundLabelId", "background")

_USUALLY_WITH_BACKGROUND = "raw_detection_scores"
"""The output of the Object Detection API for scores whose first column is that of the background, unless the
detector was trained without one.
"""


@dataclass(frozen=True)
class Cut:
    """Where a detector ends: decoded boxes [N, P, 4] or [N, P, 1, 4], and scores [N, P, C].

    ``background`` says that the first column of the scores is that of the background; ``evidence`` shows it,
    and is empty where the graph does not tell it.
    """

    boxes: Ref
    scores: Ref
    background: bool = False
    evidence: tuple[str, ...] = ()


def find_cut(graph: Graph, inference: Inference | None = None) -> Cut | None:
    """Return the outputs that hold decoded boxes and scores of anchors, None where there are none.

    Boxes come from one join of heads by an exponential, scores from another one.
    """
    if not any(node.op == "Exp" for node in graph) or suppressions(graph):
        return None
    if not any(is_join(graph, node) for node in graph):
        return None
    changing = varying(graph, (node.name for node in graph if node.op in PLACEHOLDERS))
    joins = single_joins(graph, changing)
    exponential = _behind_exponentials(graph, changing)
    boxes = [
        (joins[ref.node], ref) for ref in graph.output_refs if joins.get(ref.node) and ref.node in exponential
    ]
    if not boxes:
        return None
    sizes = inference or infer(graph)
    others = [ref for ref in graph.output_refs if ref.node in joins and (joins[ref.node], ref) not in boxes]
    scores: list[tuple[Scores, Ref]] = []
    for ref in others:
        found = scores_of(graph, sizes, ref)
        if not isinstance(found, Broken) and found.reduced is None:
            scores.append((found, ref))
    pairs = [(box, found, ref) for of, box in boxes for found, ref in scores if of != found.join.name]
    if len(pairs) != 1:
        return None
    ((boxes_ref, of_scores, scores_ref),) = pairs
    return Cut(boxes_ref, scores_ref, *_background(of_scores, scores_ref))


def _behind_exponentials(graph: Graph, changing: Collection[str]) -> set[str]:
    """Return the nodes with an exponential behind them, no join of heads between."""
    waiting = [node.name for node in graph if node.op == "Exp" and node.name in changing]
    found = set(waiting)
    while waiting:
        for name in graph.readers[waiting.pop()]:
            if name in changing and name not in found and not is_join(graph, graph[name]):
                found.add(name)
                waiting.append(name)
    return found


def _background(found: Scores, ref: Ref) -> tuple[bool, tuple[str, ...]]:
    """Return whether the first column of scores is the background's, and what shows it."""
    if found.sliced is not None:
        return False, (f"'{found.sliced.name}' ({found.sliced.op}) drops the background's column",)
    softmax = next((node for node in found.converters if node.op == "Softmax"), None)
    if softmax is not None:
        return True, (f"'{softmax.name}' (Softmax) shares 1 among all columns, the background's included",)
    return ref.node.rpartition("/")[2] == _USUALLY_WITH_BACKGROUND, ()


def with_suppression(
    graph: Graph, cut: Cut, numbers: Mapping[str, Any], inference: Inference | None = None
) -> Graph:
    """Return the graph with TensorFlow's own suppression behind it, and with detections as its outputs.

    ``numbers`` are those of ``PARAMETERS``; ``inference`` tells sizes of the graph.
    """
    adding = _Adding(graph.free_name("suppression"))
    boxes, scores = cut.boxes, cut.scores
    if (inference or infer(graph)).spec(boxes).shape.rank == 3:
        boxes = adding.add("ExpandDims", boxes, np.int32(2), T=DType.FLOAT32, Tdim=DType.INT32)
    if cut.background:
        begin, size = np.array([0, 0, 1], np.int32), np.array([-1, -1, -1], np.int32)
        scores = adding.add("Slice", scores, begin, size, T=DType.FLOAT32, Index=DType.INT32)
    most = np.int32(numbers["max_detections"])
    iou, least = np.float32(numbers["iou_threshold"]), np.float32(numbers["score_threshold"])
    kept = adding.add(
        "CombinedNonMaxSuppression",
        boxes,
        scores,
        most,
        most,
        iou,
        least,
        pad_per_class=False,
        clip_boxes=True,
    )
    ports = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
    types = (DType.FLOAT32, DType.FLOAT32, DType.FLOAT32, DType.INT32)
    outputs = [
        Node(graph.free_name(name), "Identity", (Ref(kept.node, slot),), attrs={"T": dtype})
        for slot, (name, dtype) in enumerate(zip(ports, types, strict=True))
    ]
    return graph.replace([*graph, *adding.nodes, *outputs], [Ref(node.name) for node in outputs])


class _Adding:
    """Collects nodes of one namespace."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self.nodes: list[Node] = []

    def add(self, op: str, *inputs: Ref | np.ndarray | np.generic, **attrs: AttrValue) -> Ref:
        """Add an operation, with a constant for each input that is a number."""
        refs = [value if isinstance(value, Ref) else self._constant(value) for value in inputs]
        self.nodes.append(Node(f"{self.scope}/{op}", op, tuple(refs), attrs=attrs))
        return Ref(self.nodes[-1].name)

    def _constant(self, value: np.ndarray | np.generic) -> Ref:
        array = np.asarray(value)
        attrs: dict[str, AttrValue] = {"dtype": DType.of(array.dtype), "value": TensorValue.of(array)}
        self.nodes.append(Node(f"{self.scope}/constant_{len(self.nodes)}", "Const", attrs=attrs))
        return Ref(self.nodes[-1].name)


class CutDetector(SingleShotDetector):
    """A single-shot detector that leaves suppression to whoever runs it.

    Its findings are those of the graph with suppression behind it. The thresholds and the number of
    detections, which the graph does not tell, raise SurgeonError D113.
    """

    def __init__(self, graph: Graph, cut: Cut, inference: Inference | None = None) -> None:
        whole = with_suppression(graph, cut, PARAMETERS, inference)
        super().__init__(whole, infer(whole, inference.feeds) if inference is not None else None)
        self.cut_graph, self.cut = graph, cut

    @property
    def suppresses(self) -> bool:
        """False: the graph ends before suppression."""
        return False

    @cached_property
    def whole(self) -> SingleShotDetector:
        """The detector with suppression by the numbers of ``PARAMETERS``."""
        return SingleShotDetector(self.graph, self._given)

    def completed(self, fields: Mapping[str, Any]) -> Graph | None:
        """Return the graph with TensorFlow's suppression as a plugin with these fields suppresses.

        None where the fields do not tell the numbers.
        """
        found = {key: next((name for name in names if name in fields), "") for key, names in _FIELDS.items()}
        if not all(found.values()):
            return None
        numbers = {key: fields[name] for key, name in found.items()}
        cut = self.cut
        if not cut.evidence:
            stated = next((fields[name] for name in _BACKGROUND_FIELDS if name in fields), None)
            cut = cut if stated is None else replace(cut, background=stated == 0)
        return with_suppression(self.cut_graph, cut, numbers)

    def given(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the fields that hold the numbers of suppression, and what else the graph does not tell."""
        names = {name for each in _FIELDS.values() for name in each}
        if not self.cut.evidence:
            names |= set(_BACKGROUND_FIELDS)
        return {key: value for key, value in fields.items() if key in names}

    def draft(self, options: DraftOptions) -> Draft:
        """Write a recipe that adds suppression by parameters."""
        from surgeon.families.ssd.draft import draft_recipe

        told = bool(self.cut.evidence)
        own = {} if told else {BACKGROUND: 0 if self.cut.background else -1}
        draft = draft_recipe(self.whole, options, added={**PARAMETERS, **own}, original=self.cut_graph)
        warnings = () if told else (self._background_warning(),)
        return Draft(draft.name, draft.summary, draft.text, (*draft.diagnostics, *warnings))

    def _background_warning(self) -> Diagnostic:
        columns = self.whole.classes.value
        taken = "that of the background" if self.cut.background else "a class"
        return Diagnostic(
            "D147",
            f"the graph does not tell whether the first of the {columns} columns of '{self.cut.scores}' is "
            f"that of the background; the recipe takes it for {taken}",
            self.graph.source or None,
            ("each column has a sigmoid of its own, and nothing drops one",),
            (f"compare with the training: the parameter '{BACKGROUND}' is 0 for a background, -1 for none",),
            Severity.WARNING,
        )

    @cached_property
    def background(self) -> Finding[int]:
        """0 where the first column is the background's, else -1; raise SurgeonError D113 where the graph does
        not tell it.
        """
        if not self.cut.evidence:
            raise self._untold(f"whether the first column of '{self.cut.scores}' is the background's")
        return Finding(super().background.value, self.cut.evidence)

    @cached_property
    def iou_threshold(self) -> Finding[float]:
        """Not told."""
        raise self._untold("at which overlap boxes are dropped")

    @cached_property
    def score_threshold(self) -> Finding[float]:
        """Not told."""
        raise self._untold("which scores count")

    @cached_property
    def max_total(self) -> Finding[int]:
        """Not told."""
        raise self._untold("how many detections are kept")

    @cached_property
    def max_per_class(self) -> Finding[int]:
        """All boxes: the graph bounds those of a class by nothing."""
        return Finding(self.count.value, ("the graph keeps all boxes of a class", *self.count.evidence))

    def _untold(self, what: str) -> SurgeonError:
        return self.fail(
            "D113",
            f"the graph ends before suppression and does not tell {what}",
            [f"it ends at the boxes '{self.cut.boxes}' and the scores '{self.cut.scores}'"],
            ["write the number, or take the recipe that 'surgeon init' writes"],
        )


class SingleShotFamily(SingleShotDetector):
    """Single-shot detectors, whole or cut before suppression."""

    @classmethod
    def match(cls, graph: Graph, inference: Inference | None = None) -> Family | Refusal:
        """Return the graph as the one or the other, else why it is no whole one."""
        cut = cut_detector(graph, inference)
        return SingleShotDetector.match(graph, inference) if cut is None else cut


def cut_detector(graph: Graph, inference: Inference | None) -> CutDetector | None:
    """Return a graph as a detector that ends before suppression, None where it is none, or is damaged."""
    try:
        cut = find_cut(graph, inference)
        return None if cut is None else CutDetector(graph, cut, inference)
    except SurgeonError:
        return None


FAMILY = SingleShotFamily
