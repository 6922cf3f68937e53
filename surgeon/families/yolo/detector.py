"""YOLO detectors, raw heads or decoded ones."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, TypeVar

from surgeon.diagnostics import SurgeonError
from surgeon.families.family import Draft, DraftOptions, Family, Refusal
from surgeon.families.finding import Finding
from surgeon.families.parts.walk import source
from surgeon.families.postprocessing import LazyFinding, Postprocessing
from surgeon.families.yolo.structure import CellStructure
from surgeon.graph import Graph, Ref
from surgeon.infer import Inference

T = TypeVar("T")


class YoloDetector(CellStructure):
    """A YOLO detector, by the structure of its heads.

    Every finding is computed when first asked for, and raises SurgeonError: D112 where the graph is no such
    detector, D113 where the graph does not tell it, D115 for preprocessing that has no name here.

    ``inference`` tells sizes; without one it is made, with batch 1, and 416 x 416 where the size is open.
    """

    name = "yolo"
    title = "YOLO detector"
    keys = ("network_input", "heads", "strides", "boxes_per_cell", "classes", "count")

    @classmethod
    def match(cls, graph: Graph, inference: Inference | None = None) -> Family | Refusal:
        """Return a detector whose last convolutions are heads of cells, else why they are not."""
        detector = cls(graph, inference)
        try:
            detector.heads  # noqa: B018  raises what is missing
            detector._check_tail()
        except SurgeonError as exc:
            return Refusal(detector, exc)
        return detector

    def _check_tail(self) -> None:
        """Raise SurgeonError D112 where something else than the heads comes out."""
        tensors = {head.tensor for head in self.heads.value}
        outputs = {source(self.graph, ref) for ref in self.graph.output_refs if ref.node in self._varying}
        if outputs != tensors:
            raise self._no_cells("its outputs are not its heads")

    @cached_property
    def kind(self) -> str:
        """Return ``yolo_v3``, ``tiny_yolo_v3`` or ``yolo_v2``, by the number of heads."""
        return {1: "yolo_v2", 2: "tiny_yolo_v3"}.get(len(self.heads.value), "yolo_v3")

    @property
    def suppresses(self) -> bool:
        """Whether the graph suppresses boxes: raw heads do not."""
        return False

    @property
    def outputs(self) -> Finding[Mapping[str, Ref]]:
        """The graph gives heads and no detections: raise SurgeonError D113."""
        raise self._untold("detections")

    @cached_property
    def postprocessing(self) -> Postprocessing:
        """What the graph computes behind the heads: of raw heads, nothing is told but their sizes."""
        return Postprocessing(
            boxes=LazyFinding(lambda: self.count),
            coding=self._nothing("a coding of boxes"),
            variances=self._nothing("variances"),
            classes=LazyFinding(lambda: self.classes),
            background=Finding(-1, ("YOLO has no background",)),
            score_scale=self._nothing("a scale of scores"),
            score_converter=self._nothing("what converts scores"),
            score_threshold=self._nothing("a threshold of scores"),
            score_sense=self._nothing("a threshold of scores"),
            iou_threshold=self._nothing("a threshold of overlap"),
            soft_sigma=self._nothing("suppression"),
            class_agnostic=self._nothing("suppression"),
            max_per_class=self._nothing("a bound on detections"),
            max_total=self._nothing("a bound on detections"),
            clip=self._nothing("clipping"),
            drops_empty=self._nothing("what becomes of empty boxes"),
        )

    def _nothing(self, what: str) -> LazyFinding[Any]:
        def find() -> Finding[Any]:
            raise self._untold(what)

        return LazyFinding(find)

    def _untold(self, what: str) -> SurgeonError:
        return self.fail(
            "D113",
            f"the graph ends with the heads of a YOLO detector and does not tell {what}",
            self.heads.evidence,
            ["the recipe adds decoding and suppression: write the value there"],
        )

    def draft(self, options: DraftOptions) -> Draft:
        """Write a recipe that adds decoding and suppression; raise SurgeonError D147 where a part is not
        recognised.
        """
        from surgeon.families.yolo.draft import draft_recipe

        return draft_recipe(self, options)
