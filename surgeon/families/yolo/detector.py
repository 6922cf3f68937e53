"""YOLO detectors: graphs that end with their heads, with decoded boxes, or with detections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from surgeon.catalog import PluginSpec
from surgeon.diagnostics import SurgeonError
from surgeon.families.family import Draft, DraftOptions, Family, Refusal
from surgeon.families.finding import Finding
from surgeon.families.parts.labels import added_last
from surgeon.families.postprocessing import LazyFinding, Postprocessing
from surgeon.families.yolo.cells import corners, from_corners
from surgeon.families.yolo.tail import COMBINED, CellTail
from surgeon.graph import AttrValue, DType, Graph, Ref
from surgeon.infer import Inference

_HEADS = ("network_input", "heads", "strides", "boxes_per_cell", "classes", "count")
_SUPPRESSION = (
    "score_threshold",
    "score_sense",
    "iou_threshold",
    "soft_sigma",
    "max_per_class",
    "max_total",
    "clip",
    "label_offset",
)
_COMBINED_SLOTS = {"boxes": 0, "scores": 1, "classes": 2, "count": 3}


class YoloDetector(CellTail):
    """A YOLO detector, by the structure of its heads.

    Every finding is computed when first asked for, and raises SurgeonError: D112 where the graph is no such
    detector, D113 where the graph does not tell it, D115 for preprocessing and D116 for decoding of boxes
    that have no name here.

    ``inference`` tells sizes; without one it is made, with batch 1, and 416 x 416 where the size is open.
    """

    name = "yolo"
    title = "YOLO detector"
    takes_prepared_pictures = True
    sized_by_input = True
    keys = (*_HEADS, "decoding", *_SUPPRESSION)

    @classmethod
    def match(cls, graph: Graph, inference: Inference | None = None) -> Family | Refusal:
        """Return a detector whose last convolutions are heads of cells, else why they are not."""
        detector = cls(graph, inference)
        try:
            detector.heads  # noqa: B018  raises what is missing
            detector.form  # noqa: B018  raises what is unknown behind the heads
        except SurgeonError as exc:
            return Refusal(detector, exc)
        return detector

    @cached_property
    def kind(self) -> str:
        """Return ``yolo_v3``, ``tiny_yolo_v3``, ``yolo_v2``, or ``yolo``, by the number of heads."""
        return {1: "yolo_v2", 2: "tiny_yolo_v3", 3: "yolo_v3"}.get(len(self.heads.value), "yolo")

    @property
    def needed(self) -> tuple[str, ...]:
        """The findings that a recipe cannot do without, by what the graph ends with."""
        match self.form:
            case "heads":
                return _HEADS
            case "boxes":
                return (*_HEADS, "decoding")
            case "detections":
                return self.keys

    @property
    def suppresses(self) -> bool:
        """Whether the graph suppresses boxes."""
        return self.form == "detections"

    @cached_property
    def outputs(self) -> Finding[Mapping[str, Ref]]:
        """The graph's outputs, as its suppression gives them: :meth:`detected` converts them.

        Raise SurgeonError D113 where the graph gives no detections.
        """
        if not self.suppresses:
            raise self._untold("detections")
        found = self._combined_outputs() or self._joined_outputs()
        if not {"boxes", "scores", "classes"} <= set(found):
            shown = [f"'{ref}' is {self.inference.spec(ref)}" for ref in self._ends[:6]]
            raise self.fail(
                "D113", "the outputs cannot be told apart; expected boxes, scores and classes", shown
            )
        return Finding(found, tuple(f"'{ref}' holds {part}" for part, ref in found.items()))

    def _combined_outputs(self) -> dict[str, Ref]:
        node = self._suppressing[0]
        if node.op != COMBINED:
            return {}
        return {part: Ref(node.name, slot) for part, slot in _COMBINED_SLOTS.items()}

    def _joined_outputs(self) -> dict[str, Ref]:
        """Return what classes were joined to: whole numbers are classes, tensors of rank 1 scores."""
        found: dict[str, Ref] = {}
        for ref in self.graph.output_refs:
            spec = self.inference.spec(ref)
            if spec.dtype in (DType.INT32, DType.INT64):
                found["classes"] = ref
            elif spec.shape.rank == 1:
                found["scores"] = ref
            elif spec.shape.rank == 2:
                found["boxes"] = ref
        return found

    @cached_property
    def label_offset(self) -> Finding[int]:
        """What is added to a column of the scores to give the class that the graph tells."""
        ref = self.outputs.value["classes"]
        found = added_last(self.graph, self.inference, ref)
        if found is None:
            return Finding(0, ("classes are columns of the scores",))
        return Finding(int(found[0]), (f"'{found[1]}' adds {found[0]:g} on the way to '{ref}'",))

    @property
    def class_shift(self) -> int:
        """What to add to a class of the outputs to get the plugin's label for it."""
        return -self.label_offset.value

    def detected(self, values: Mapping[Ref, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Return the detections by part, float32[N, K, 4] boxes relative to the network's input."""
        parts = {part: values[ref] for part, ref in self.outputs.value.items()}
        if parts["boxes"].ndim == 2:  # one picture; a row of the score 0 stands for none
            parts = {
                part: np.concatenate([v, np.zeros_like(v, shape=(1, *v.shape[1:]))])[None]
                for part, v in parts.items()
            }
        return {**parts, "boxes": self._corners(parts["boxes"])}

    def _corners(self, boxes: np.ndarray) -> np.ndarray:
        """Return boxes of the graph's layout as ymin, xmin, ymax and xmax relative to the input."""
        decoding = self.decoding.value
        height, width = self.size if decoding.pixels else (1, 1)
        return corners(boxes, decoding.layout, height, width)

    @property
    def plugin_sources(self) -> tuple[Ref, ...]:
        """The tensors with the boxes and scores that are suppressed."""
        return self.decoded_tensors.refs if self.suppresses else ()

    def plugin_inputs(
        self, plugin: PluginSpec, fields: Mapping[str, AttrValue], values: Mapping[Ref, np.ndarray]
    ) -> Mapping[str, np.ndarray]:
        """Return boxes and scores as the ports ``loc`` and ``conf`` of SurgeonDetection read them."""
        if not self.suppresses or not {"loc", "conf"} <= {port.name for port in plugin.inputs}:
            return {}
        boxes, scores = self.decoded_tensors.of([values[ref] for ref in self.plugin_sources])
        rows = self.count.value
        loc = self._corners(boxes).reshape(-1, 4 * rows, 1, 1)
        conf = scores.astype(np.float32).reshape(-1, self.classes.value * rows, 1, 1)
        return {"loc": loc, "conf": conf}

    def heads_for(
        self, boxes: np.ndarray, scores: np.ndarray, values: Mapping[Ref, np.ndarray]
    ) -> Mapping[Ref, np.ndarray]:
        """Return what to put into the graph's tensors of boxes and scores."""
        tensors = self.decoded_tensors
        if not self.suppresses or tensors.boxes is None or tensors.scores is None:
            return super().heads_for(boxes, scores, values)
        decoding = self.decoding.value
        height, width = self.size if decoding.pixels else (1, 1)
        own = from_corners(boxes, decoding.layout, height, width)
        made = {tensors.boxes: own, tensors.scores: scores}
        return {ref: _repeated(array.astype(np.float32), values[ref]) for ref, array in made.items()}

    @cached_property
    def postprocessing(self) -> Postprocessing:
        """What the graph computes behind the heads; a graph that suppresses nothing tells little of it."""
        return Postprocessing(
            boxes=LazyFinding(lambda: self.count),
            coding=Finding("none", ("boxes are decoded in front of what suppresses them",)),
            variances=Finding((1.0, 1.0, 1.0, 1.0), ("YOLO has no variances",)),
            classes=LazyFinding(lambda: self.classes),
            background=Finding(-1, ("YOLO has no background",)),
            score_scale=Finding(1.0, ("objectness times class",)),
            score_converter=Finding("identity", ("scores are probabilities where boxes are decoded",)),
            score_threshold=self._told(lambda: self.score_threshold, "a threshold of scores"),
            score_sense=self._told(lambda: self.score_sense, "a threshold of scores"),
            iou_threshold=self._told(lambda: self.iou_threshold, "a threshold of overlap"),
            soft_sigma=self._told(lambda: self.soft_sigma, "suppression"),
            class_agnostic=self._told(
                lambda: Finding(False, ("boxes are suppressed class by class",)), "suppression"
            ),
            max_per_class=self._told(lambda: self.max_per_class, "a bound on boxes of a class"),
            max_total=self._told(lambda: self.max_total, "a bound on detections"),
            clip=self._told(lambda: self.clip, "clipping"),
            drops_empty=self._told(
                lambda: Finding(False, ("boxes without an area stay",)), "what becomes of empty boxes"
            ),
            shares_boxes=Finding(True, ("the classes share the box of an anchor",)),
        )

    def finding(self, key: str) -> Finding[Any]:
        """Return one of the findings called ``keys``; raise SurgeonError D107 for another key, and D113 for
        what the graph does not tell.
        """
        if key in _SUPPRESSION and not self.suppresses:
            raise self._untold(f"'{key}'")
        return super().finding(key)

    def _told(self, find: Callable[[], Finding[Any]], what: str) -> LazyFinding[Any]:
        def told() -> Finding[Any]:
            if not self.suppresses:
                raise self._untold(what)
            return find()

        return LazyFinding(told)

    def _untold(self, what: str) -> SurgeonError:
        ends = "the heads" if self.form == "heads" else "the decoded boxes"
        return self.fail(
            "D113",
            f"the graph ends with {ends} of a YOLO detector and does not tell {what}",
            self.heads.evidence,
            ["the recipe adds suppression: write the value there"],
        )

    def draft(self, options: DraftOptions) -> Draft:
        """Write a recipe that puts in decoding and suppression, or suppression alone, as the graph needs it.

        Raise SurgeonError D147 where a part is not recognised.
        """
        from surgeon.families.yolo.draft import draft_recipe

        return draft_recipe(self, options)


def _repeated(array: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Return the numbers of one picture in the shape of a value: the same for each picture of a batch."""
    pictures = like.size // array.size
    return np.tile(array.reshape(1, -1), (pictures, 1)).reshape(like.shape)


FAMILY = YoloDetector
