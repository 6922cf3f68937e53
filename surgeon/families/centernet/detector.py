"""CenterNet detectors of the TensorFlow Object Detection API, and networks of their structure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from surgeon.diagnostics import SurgeonError
from surgeon.families.centernet.peaks import Peaks, find_peaks
from surgeon.families.family import Draft, DraftOptions, Family, Refusal
from surgeon.families.finding import Finding
from surgeon.families.parts.backbone import named_backbone
from surgeon.families.parts.heads import Head, convolution_behind, head_at
from surgeon.families.parts.labels import added_last
from surgeon.families.parts.picture import PictureFindings
from surgeon.families.parts.preprocessing import first_convolution
from surgeon.families.parts.suppression import suppressions
from surgeon.families.parts.walk import source, upper_bound
from surgeon.families.postprocessing import LazyFinding, Postprocessing
from surgeon.graph import Graph, Node, Ref
from surgeon.graph.reach import downstream, upstream
from surgeon.infer import Inference

NAMED: Mapping[str, str] = {
    "boxes": "detection_boxes",
    "scores": "detection_scores",
    "classes": "detection_classes",
    "count": "num_detections",
}
"""What a SavedModel's signature calls the outputs."""

_STACKS = frozenset({"TensorListStack", "TensorArrayGatherV2", "TensorArrayGatherV3", "Pack"})


class CenterNetDetector(PictureFindings):
    """A CenterNet detector, by its peaks: it suppresses no boxes.

    Every finding is computed when first asked for, and raises SurgeonError: D112 where the graph is no such
    detector, D113 where the graph does not tell it, D115 for preprocessing that has no name here.
    """

    name = "centernet"
    title = "CenterNet detector"
    keys = (
        "network_input",
        "true_shapes",
        "heat_map",
        "classes",
        "stride",
        "peak_size",
        "max_total",
        "box_heads",
        "label_offset",
    )

    @classmethod
    def match(cls, graph: Graph, inference: Inference | None = None) -> Family | Refusal:
        """Return a detector that chooses the highest peaks of a heat map, else why it does not."""
        detector = cls(graph, inference)
        try:
            detector._peaks  # noqa: B018  raises what is missing
            detector._gathered  # noqa: B018
        except SurgeonError as exc:
            return Refusal(detector, exc)
        return detector

    @cached_property
    def kind(self) -> str:
        """Family and backbone, such as ``centernet_mobilenet_v2``."""
        backbone = named_backbone(self.graph, self._varying)
        return self.name if backbone is None else f"{self.name}_{backbone.value}"

    @cached_property
    def _peaks(self) -> Peaks:
        found = find_peaks(self.graph)
        if found is None:
            raise self._no_center("it chooses no peaks of a heat map (MaxPool, TopKV2)")
        others = suppressions(self.graph)
        if others:
            raise self._no_center(f"'{others[0].name}' ({others[0].op}) suppresses boxes besides")
        return found

    @cached_property
    def _gathered(self) -> tuple[Ref, ...]:
        """The maps from which numbers are taken at the peaks."""
        behind = downstream(self.graph, [self._peaks.top.name])
        found = [
            node.inputs[0]
            for node in self.graph
            if node.op == "GatherNd"
            and node.name in behind
            and convolution_behind(self.graph, node.inputs[0]) is not None
        ]
        if not found:
            raise self._no_center("it takes no sizes of boxes at the peaks (GatherNd)")
        return tuple(dict.fromkeys(found))

    @cached_property
    def _first_convolution(self) -> Node:
        head = convolution_behind(self.graph, self._peaks.logits)
        assert head is not None
        return first_convolution(self.graph, self._varying, head)

    @cached_property
    def heat_map(self) -> Finding[Ref]:
        """The scores of which the peaks count, float32[N, H, W, C]."""
        peaks = self._peaks
        return Finding(
            peaks.scores,
            (
                f"'{peaks.scores}' is {self.inference.spec(peaks.scores)}; '{peaks.top.name}' (TopKV2) "
                f"chooses where '{peaks.pool.name}' (MaxPool) leaves it as it is",
                f"'{peaks.converter.name}' (Sigmoid) makes it of '{peaks.logits}'",
            ),
        )

    @cached_property
    def _cells(self) -> tuple[int, int, int]:
        """Height, width and channels of the heat map."""
        spec = self.inference.spec(self._peaks.scores)
        dims = spec.shape.dims or ()
        sizes = [size for size in dims[1:] if size is not None]
        if len(sizes) != 3:
            raise self.fail(
                "D113",
                f"the size of the heat map '{self._peaks.scores}' is not known",
                [f"it is {spec}"],
                ["give the input a 'shape'"],
            )
        return sizes[0], sizes[1], sizes[2]

    @cached_property
    def classes(self) -> Finding[int]:
        """Number of classes; there is no background."""
        return Finding(self._cells[2], self.heat_map.evidence[:1])

    @cached_property
    def stride(self) -> Finding[int]:
        """Pixels of the network's input that a cell of the heat map covers, in height and width."""
        dims = self.inference.spec(self.network_input.value).shape.dims or ()
        height, width = dims[1:3] if len(dims) == 4 else (None, None)
        rows, columns, _ = self._cells
        if height is None or width is None or height % rows or height // rows != width // columns:
            raise self.fail(
                "D113",
                f"a heat map of {rows} x {columns} cells does not tell the pixels of a cell",
                [f"'{self.network_input.value}' is {self.inference.spec(self.network_input.value)}"],
            )
        return Finding(height // rows, (f"{height} rows of pixels, {rows} of cells",))

    @cached_property
    def peak_size(self) -> Finding[int]:
        """Side of the neighbourhood, in cells, in which a peak is the highest."""
        pool = self._peaks.pool
        sides = pool.attrs.get("ksize")
        side = sides[1] if isinstance(sides, tuple) and len(sides) == 4 else None
        if not isinstance(side, int):
            raise self.fail("D113", f"'{pool.name}' (MaxPool) does not tell its size")
        return Finding(side, (f"'{pool.name}' (MaxPool) has {side} x {side} cells",))

    @cached_property
    def max_total(self) -> Finding[int]:
        """How many peaks of a picture are chosen."""
        top = self._peaks.top
        bound = upper_bound(self.graph, self.inference, top.inputs[1])
        if bound is None:
            raise self.fail("D113", f"how many peaks '{top.name}' (TopKV2) chooses is no constant")
        return Finding(int(bound[0]), (f"'{bound[1].node}' is {bound[0]:g}",))

    @cached_property
    def box_heads(self) -> Finding[tuple[Head, ...]]:
        """The convolutions that give sizes of boxes, and how far centres lie from a cell's corner."""
        found = [head_at(self.graph, self.inference, ref) for ref in self._gathered]
        heads = tuple(head for head in found if head is not None)
        return Finding(
            heads,
            tuple(f"'{head.conv}' gives {head.channels} numbers at each peak" for head in heads),
        )

    @cached_property
    def true_shapes(self) -> Finding[Ref | None]:
        """The tensor that says which part of the network's input is picture, int32[N, 3]; None for none."""
        network = self.network_input.value.node
        graph = self.graph
        needed = upstream(graph, (ref.node for ref in graph.output_refs), stop=network)
        beside = needed - downstream(graph, [network])
        for node in graph:
            if node.name not in beside or node.op not in _STACKS:
                continue
            spec = self._sizes.spec(Ref(node.name))
            dims = spec.shape.dims
            of_shapes = spec.dtype is not None and spec.dtype.value == "int32"
            if of_shapes and dims is not None and len(dims) == 2 and dims[1] == 3:
                return Finding(Ref(node.name), (f"'{node.name}' ({node.op}) is {spec}",))
        return Finding(None, ("boxes do not depend on the shape of the picture",))

    @cached_property
    def outputs(self) -> Finding[Mapping[str, Ref]]:
        """The graph's outputs: ``boxes``, ``scores``, ``classes`` and ``count``, as far as they are there."""
        named = {part: Ref(name) for part, name in NAMED.items() if name in self.graph}
        needed = {"boxes", "scores", "classes"}
        computed = self._outputs_by_origin()
        found = named | computed if needed <= set(computed) else named
        if not needed <= set(found):
            raise self.fail(
                "D113",
                "the outputs cannot be told apart; expected boxes, scores, classes and their count",
                [f"'{ref}' is {self.inference.spec(ref)}" for ref in self.graph.output_refs[:8]],
            )
        evidence = (f"'{ref}' is {self.inference.spec(ref)}: {part}" for part, ref in found.items())
        return Finding(found, tuple(evidence))

    def _outputs_by_origin(self) -> dict[str, Ref]:
        """Return the outputs by what they are computed from and by their ranks."""
        top = self._peaks.top.name
        candidates: dict[str, list[Ref]] = {}
        for ref in self.graph.output_refs:
            at = source(self.graph, ref)
            dims = self.inference.spec(ref).shape.dims or ()
            if at == Ref(top):
                candidates.setdefault("scores", []).append(ref)
            elif top in upstream(self.graph, [at.node]):
                last = {3: "boxes"} if dims[-1:] == (4,) else {2: "classes", 1: "count"}
                candidates.setdefault(last.get(len(dims), ""), []).append(ref)
        # Boxes in cells come before the ones relative to the picture.
        boxes = candidates.get("boxes", [])
        last_boxes = [
            ref
            for ref in boxes
            if all(source(self.graph, each).node in upstream(self.graph, [ref.node]) for each in boxes)
        ]
        candidates["boxes"] = last_boxes
        return {part: candidates[part][0] for part in NAMED if len(candidates.get(part, ())) == 1}

    @cached_property
    def label_offset(self) -> Finding[int]:
        """What is added to a class, counted from 0, to give the label."""
        ref = self.outputs.value["classes"]
        added = added_last(self.graph, self._sizes, ref)
        if added is None:
            return Finding(0, (f"nothing is added on the way to '{ref}'",))
        return Finding(int(added[0]), (f"'{added[1]}' adds {added[0]:g} on the way to '{ref}'",))

    @cached_property
    def postprocessing(self) -> Postprocessing:
        """What the original computes behind the heads: peaks, and no suppression of boxes."""
        return Postprocessing(
            boxes=LazyFinding(lambda: self._count),
            coding=self._none("coding of boxes against anchors"),
            variances=self._none("variances"),
            classes=LazyFinding(lambda: self.classes),
            background=Finding(-1, ("CenterNet has no background",)),
            score_scale=Finding(1.0, ("scores are not scaled",)),
            score_converter=LazyFinding(lambda: Finding("sigmoid", self.heat_map.evidence)),
            score_threshold=Finding(0.0, ("no score is compared before peaks are chosen",)),
            score_sense=Finding("above", ("scores above 0 are counted",)),
            iou_threshold=self._none("threshold of overlap"),
            soft_sigma=self._none("suppression"),
            class_agnostic=self._none("suppression"),
            max_per_class=LazyFinding(lambda: self.max_total),
            max_total=LazyFinding(lambda: self.max_total),
            clip=Finding("after", ("boxes of the peaks are clipped to the picture",)),
            drops_empty=Finding(False, ("no box is dropped",)),
        )

    @property
    def _count(self) -> Finding[int]:
        rows, columns, classes = self._cells
        return Finding(rows * columns * classes, self.heat_map.evidence[:1])

    def _none(self, what: str) -> LazyFinding[Any]:
        def find() -> Finding[Any]:
            raise self.fail("D113", f"a CenterNet has no {what}", self.heat_map.evidence)

        return LazyFinding(find)

    def draft(self, options: DraftOptions) -> Draft:
        """Write a recipe that keeps the whole network behind its input.

        Raise SurgeonError D147 where a part is not recognised.
        """
        from surgeon.families.centernet.draft import draft_recipe

        return draft_recipe(self, options)

    def _no_center(self, reason: str) -> SurgeonError:
        return self.fail("D112", f"the graph is not recognised as a CenterNet detector: {reason}")


FAMILY = CenterNetDetector
