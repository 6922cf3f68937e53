"""A family on trial: one box a cell, decoded in the graph, suppressed by one operation for all classes."""

from __future__ import annotations

from functools import cached_property

from surgeon.diagnostics import error
from surgeon.families import Draft, Family, Finding, Postprocessing, Refusal
from surgeon.graph import Graph, Node, Ref
from surgeon.infer import Inference
from surgeon.language import Image

CELLS, SIDE = 4, 32
OUTPUTS = {"boxes": "found_boxes", "scores": "found_scores", "classes": "found_classes", "count": "found"}


class CellDetector(Family):
    """A detector with one box a cell: boxes come from a convolution without a join, and without anchors."""

    name = "cells"
    title = "detector of one box a cell"
    keys = ("classes", "max_total", "score_threshold", "iou_threshold")

    @classmethod
    def match(cls, graph: Graph, inference: Inference | None = None) -> Family | Refusal:
        """Return a graph with a CombinedNonMaxSuppression of boxes that no ConcatV2 joins."""
        view = cls(graph, inference)
        found = [node for node in graph if node.op == "CombinedNonMaxSuppression"]
        if len(found) == 1 and "ConcatV2" not in {graph[n].op for n in graph.ancestors([found[0].name])}:
            return view
        reason = error("D112", "the graph has no cells with one box each", graph.source or None)
        return Refusal(view, reason, len(found))

    @property
    def kind(self) -> str:
        return "cells"

    @cached_property
    def suppression(self) -> Node:
        """The operation that suppresses overlapping boxes."""
        return next(node for node in self.graph if node.op == "CombinedNonMaxSuppression")

    @property
    def outputs(self) -> Finding[dict[str, Ref]]:
        return Finding({port: Ref(name) for port, name in OUTPUTS.items()}, ("the names of the outputs",))

    @property
    def picture(self) -> Finding[Ref]:
        fed = next(node.name for node in self.graph if node.op == "Placeholder")
        return Finding(Ref(fed), (f"'{fed}' is fed",))

    @property
    def image(self) -> Finding[Image]:
        steps = [{"scale": 1 / 255}]
        return Finding(Image.model_validate({"size": [SIDE, SIDE], "steps": steps}), ("'prepare/scale'",))

    def _constant(self, position: int) -> Finding[float]:
        ref = self.suppression.inputs[position]
        return Finding(float(Inference(self.graph).known(ref)), (f"'{ref}'",))

    @property
    def classes(self) -> Finding[int]:
        ref = self.suppression.inputs[1]
        spec = Inference(self.graph).spec(ref)
        return Finding(spec.shape.dims[-1], (f"'{ref}' is {spec}",))

    @property
    def max_total(self) -> Finding[int]:
        found = self._constant(3)
        return Finding(int(found.value), found.evidence)

    @property
    def score_threshold(self) -> Finding[float]:
        return self._constant(5)

    @property
    def iou_threshold(self) -> Finding[float]:
        return self._constant(4)

    @cached_property
    def postprocessing(self) -> Postprocessing:
        shown = (f"'{self.suppression.name}'",)
        return Postprocessing(
            boxes=Finding(CELLS * CELLS, ("one a cell",)),
            coding=Finding("none", ("the graph decodes",)),
            variances=Finding((1.0, 1.0, 1.0, 1.0), ("the graph decodes",)),
            classes=self.classes,
            background=Finding(-1, shown),
            score_scale=Finding(1.0, shown),
            score_converter=Finding("identity", ("the graph converts",)),
            score_threshold=self.score_threshold,
            score_sense=Finding("above", shown),
            iou_threshold=self.iou_threshold,
            soft_sigma=Finding(0.0, shown),
            class_agnostic=Finding(False, shown),
            max_per_class=self.max_total,
            max_total=self.max_total,
            clip=Finding("none", shown),
            drops_empty=Finding(False, shown),
        )

    @property
    def plugin_sources(self) -> tuple[Ref, ...]:
        return self.suppression.inputs[:2]

    def plugin_inputs(self, plugin, fields, values):
        boxes, scores = (values[ref] for ref in self.plugin_sources)
        return {"boxes": boxes, "scores": scores} if plugin.op == "ToyNMS" else {}

    def heads_for(self, boxes, scores, values):
        made = zip(self.plugin_sources, (boxes, scores), strict=True)
        return {ref: array.reshape(values[ref].shape) for ref, array in made}

    def draft(self, options) -> Draft:
        name = options.name or self.kind
        boxes, scores = self.plugin_sources
        lines = [
            "recipe: 1",
            f"name: {name}",
            "summary: One box a cell.",
            "outputs: ['NMS:*']",
            "nodes:",
            "  Input: {op: Placeholder, like: prepare/scale}",
            "  NMS:",
            "    plugin: ToyNMS",
            f"    inputs: {{boxes: '{boxes}', scores: '{scores}'}}",
            "    fields: {classes: auto, keep: auto, threshold: auto, iou: auto}",
            "namespaces: {picture: Input, prepare: Input, suppress: NMS}",
            "image: auto",
        ]
        return Draft(name, "One box a cell.", "\n".join(lines) + "\n")


FAMILY = CellDetector
