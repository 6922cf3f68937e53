"""Mask R-CNN as Matterport's Keras code makes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np

from surgeon.catalog import PluginSpec
from surgeon.diagnostics import SurgeonError
from surgeon.families.family import Draft, DraftOptions, Family, Refusal
from surgeon.families.finding import Finding
from surgeon.families.matterport.structure import (
    DetectionPart,
    Proposals,
    Pyramid,
    Unlike,
    constant,
    detection_part,
    proposals,
    pyramids,
)
from surgeon.families.parts.cropping import cuts_otherwise
from surgeon.families.parts.suppression import iou_thresholds
from surgeon.families.parts.walk import upper_bound
from surgeon.families.postprocessing import LazyFinding, Postprocessing
from surgeon.graph import AttrValue, Graph, Node, Ref, Shape, TensorSpec
from surgeon.graph.op_sets import CONSTANTS, IDENTITIES, PLACEHOLDERS
from surgeon.infer import Inference, infer
from surgeon.language import Image
from surgeon.language.recipe import ImageStep

MEAN_PIXEL = (123.7, 116.8, 103.9)
"""What Matterport's code takes off a picture (MEAN_PIXEL of its default configuration)."""

_LEVELS = 4
"""Feature maps that regions are cut out of, in Matterport's code and in TensorRT's plugin."""

_BOUNDS = {"GreaterEqual": (1, False), "Greater": (1, True), "LessEqual": (0, False), "Less": (0, True)}
"""Which input of a comparison is the least score, and whether a score must be more than it."""

_COMPARISONS = frozenset({*_BOUNDS, "Equal", "NotEqual"})

ROWS = "ymin,xmin,ymax,xmax,class,score"
"""The columns of the table of detections."""


class MatterportMaskRcnn(Family):
    """A Mask R-CNN of Matterport's code, taken apart by its structure.

    Regions are cut out of one level of a pyramid each, by CropAndResize; they come from anchors by a
    suppression, and each is detected as its best class by a suppression for each class that is there.
    Findings raise SurgeonError D112 where the graph is none, D113 where it does not tell a value.
    """

    name = "matterport"
    title = "Mask R-CNN of Matterport's Keras code"
    keys = (
        "picture_size",
        "channels_first",
        "anchor_count",
        "anchors_of_cell",
        "strides",
        "candidates",
        "proposal_count",
        "proposal_iou",
        "classes",
        "score_threshold",
        "iou_threshold",
        "max_detections",
        "crop_sides",
        "region_unit",
        "levels",
        "masks",
    )
    takes_prepared_pictures = True
    sized_by_input = True

    @classmethod
    def match(cls, graph: Graph, inference: Inference | None = None) -> Family | Refusal:
        """Return a detector whose layers of Matterport's code are found, else why they are not."""
        detector = cls(graph, inference)
        try:
            detector._parts  # noqa: B018 - computed here once
        except SurgeonError as exc:
            return Refusal(detector, exc, detector._nearness)
        return detector

    @property
    def _nearness(self) -> int:
        """How much of a graph is like one of Matterport: nothing, what cuts out, or the pyramid."""
        if not any(node.op == "CropAndResize" for node in self.graph):
            return -1
        try:
            return 3 if pyramids(self.graph) else 0
        except Unlike:
            return 0

    @cached_property
    def _parts(self) -> tuple[list[Pyramid], Proposals, DetectionPart]:
        try:
            found = pyramids(self.graph)
            return found, proposals(self.graph, found[0].regions), detection_part(self.graph)
        except Unlike as exc:
            raise self.fail(
                "D112",
                f"the graph is no Mask R-CNN of Matterport's code: {exc}",
                help=["give the frozen graph of the model that was made with mode='inference'"],
            ) from None

    @property
    def classifier_crops(self) -> Pyramid:
        """The layer that cuts out what is classified."""
        return self._parts[0][0]

    @property
    def mask_crops(self) -> Pyramid | None:
        """The layer that cuts out what masks are made of; None in a detector without masks."""
        found = self._parts[0]
        return found[1] if len(found) > 1 else None

    @property
    def proposal_layer(self) -> Proposals:
        """The layer that makes regions of anchors."""
        return self._parts[1]

    @property
    def detection_layer(self) -> DetectionPart:
        """The layer that makes detections of regions."""
        return self._parts[2]

    @property
    def kind(self) -> str:
        """The family, with what sets this member apart."""
        return "matterport_mask_rcnn" if self.mask_crops is not None else "matterport_faster_rcnn"

    @cached_property
    def inference(self) -> Inference:
        """Sizes and constants; the batch is 1."""
        if self._given is not None:
            return self._given
        known = infer(self.graph)
        spec = known.spec(self._picture)
        dims = spec.shape.dims
        if not dims or dims[0] is not None:
            return known
        return infer(self.graph, {str(self._picture): TensorSpec(spec.dtype, Shape((1, *dims[1:])))})

    @cached_property
    def inputs(self) -> tuple[Node, ...]:
        """The placeholders that detections need, in graph order."""
        behind = self.graph.ancestors([self.detection_layer.table.node])
        return tuple(node for node in self.graph if node.op in PLACEHOLDERS and node.name in behind)

    @cached_property
    def picture(self) -> Finding[Ref]:
        """The input that takes a picture, its mean taken off: float32[N, H, W, 3], or [N, 3, H, W]."""
        return Finding(self._picture, (f"'{self._picture}' is {self.inference.spec(self._picture)}",))

    @cached_property
    def _picture(self) -> Ref:
        behind = self.graph.ancestors([self.classifier_crops.maps[0].node])
        found = [node for node in self.inputs if node.name in behind]
        if len(found) != 1:
            names = ", ".join(f"'{node.name}'" for node in found) or "none"
            raise self.fail(
                "D113", f"feature maps are computed of {len(found)} inputs ({names}); expected one"
            )
        return Ref(found[0].name)

    @cached_property
    def anchors_input(self) -> str | None:
        """The input that takes anchors; None where they are a constant."""
        node = self.graph[self.proposal_layer.anchors.node]
        return None if node.op in CONSTANTS else node.name

    @cached_property
    def meta_input(self) -> str | None:
        """The input that takes what is known of the picture, [N, numbers]; None where it is a constant."""
        others = [
            node.name
            for node in self.inputs
            if node.name not in (self.picture.value.node, self.anchors_input)
        ]
        if len(others) > 1:
            names = ", ".join(f"'{name}'" for name in others)
            raise self.fail(
                "D113", f"besides picture and anchors the graph reads {names}; expected one input"
            )
        return others[0] if others else None

    @cached_property
    def meta_slices(self) -> tuple[tuple[int, int], ...]:
        """Begin and end of each run of numbers that the graph reads of what is known of a picture.

        Three numbers are its height, width and channels, four the window that it fills.
        """
        name = self.meta_input
        found: dict[tuple[int, int], None] = {}
        for reader, position in self.graph.data_readers(Ref(name)) if name is not None else ():
            node = self.graph[reader]
            bounds = [constant(self.graph, ref) for ref in node.inputs[1:3]]
            if (
                node.op != "StridedSlice"
                or position != 0
                or any(each is None or each.size != 2 for each in bounds)
            ):
                raise self.fail(
                    "D113", f"'{reader}' ({node.op}) reads '{name}'; expected a row of its numbers"
                )
            begin, end = (int(each[1]) for each in bounds if each is not None)
            if end - begin not in (3, 4):
                raise self.fail(
                    "D113",
                    f"'{reader}' reads the numbers {begin} to {end} of '{name}'; expected three for the "
                    "picture's shape or four for its window",
                )
            found[begin, end] = None
        return tuple(found)

    @cached_property
    def channels_first(self) -> Finding[bool]:
        """Whether channels come before height and width."""
        dims = self.inference.spec(self.picture.value).shape.dims or (None,) * 4
        return Finding(dims[1] == 3 and dims[3] != 3, self.picture.evidence)

    @cached_property
    def picture_size(self) -> Finding[tuple[int, int]]:
        """Height and width of the network's input in pixels."""
        dims = self.inference.spec(self.picture.value).shape.dims or (None,) * 4
        height, width = dims[2:] if self.channels_first.value else dims[1:3]
        if height is None or width is None:
            name = self.picture.value
            raise self.fail(
                "D113",
                f"the size of a picture is not known: '{name}' is {self.inference.spec(name)}",
                help=[
                    f"give the size that the model was configured for: --input {name}=1x1024x1024x3 "
                    "(IMAGE_MAX_DIM of its configuration)"
                ],
            )
        return Finding((height, width), self.picture.evidence)

    @cached_property
    def map_sizes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of the feature maps that have anchors, the finest first.

        The coarsest one is that of the pyramid's last, halved: only the anchors of the other ones are cut
        from.
        """
        sizes = []
        for ref in self.classifier_crops.maps:
            dims = self.inference.spec(ref).shape.dims or (None,) * 4
            own = dims[2:] if self.classifier_crops.channels_first else dims[1:3]
            if None in own:
                raise self.fail("D113", f"the size of the feature map '{ref}' is not known")
            sizes.append((int(own[0] or 0), int(own[1] or 0)))
        rows, columns = sizes[-1]
        return (*sizes, (-(-rows // 2), -(-columns // 2)))

    @cached_property
    def strides(self) -> Finding[tuple[int, ...]]:
        """Side in pixels of a cell of each feature map that has anchors."""
        height = self.picture_size.value[0]
        found = tuple(round(height / rows) for rows, _ in self.map_sizes)
        maps = ", ".join(f"'{ref}'" for ref in self.classifier_crops.maps)
        return Finding(found, (f"{height} pixels by the rows of {maps}, and of one half as large",))

    @cached_property
    def anchor_count(self) -> Finding[int]:
        """Number of anchors."""
        ref = self.proposal_layer.scores
        dims = self.inference.spec(ref).shape.dims
        count = dims[1] if dims is not None and len(dims) == 3 else None
        if count is None:
            raise self.fail(
                "D113", f"the number of anchors is not known: '{ref}' is {self.inference.spec(ref)}"
            )
        return Finding(count, (f"'{ref}' is {self.inference.spec(ref)}",))

    @cached_property
    def anchors_of_cell(self) -> Finding[int]:
        """Number of anchors of a cell, one for each ratio of width to height."""
        cells = sum(rows * columns for rows, columns in self.map_sizes)
        count = self.anchor_count.value
        if count % cells:
            raise self.fail(
                "D113",
                f"the {cells} cells of the feature maps do not share {count} anchors evenly",
                self.anchor_count.evidence,
                ["write 'every' of the step 'anchor-input', and its strides, by hand"],
            )
        return Finding(count // cells, (f"{count} anchors by {cells} cells",))

    @cached_property
    def candidates(self) -> Finding[int]:
        """How many anchors, best score first, go into the first suppression."""
        node = self.graph[self.proposal_layer.best]
        found = upper_bound(self.graph, self.inference, node.inputs[1])
        if found is None:
            raise self.fail("D113", f"the number of candidates that '{node.name}' takes is not constant")
        return Finding(int(found[0]), (f"'{found[1]}' is {found[0]:g}, for '{node.name}'",))

    @cached_property
    def proposal_count(self) -> Finding[int]:
        """How many regions of a picture there are."""
        return self._whole(self.proposal_layer.suppression, 2)

    @cached_property
    def proposal_iou(self) -> Finding[float]:
        """Overlap above which the first suppression drops a box."""
        node = self.proposal_layer.suppression
        least = self._least_of(node)
        if least is not None and least.value >= 0:
            raise self.fail(
                "D113",
                f"'{node}' leaves out regions by their scores; no code of Matterport's does",
                least.evidence,
            )
        return self._overlap(node)

    @cached_property
    def max_detections(self) -> Finding[int]:
        """The most detections of a picture."""
        table = self.detection_layer.table
        dims = self.inference.spec(table).shape.dims or ()
        if len(dims) == 3 and dims[1] is not None:
            return Finding(dims[1], (f"'{table}' is {self.inference.spec(table)}",))
        return self.max_per_class

    @cached_property
    def max_per_class(self) -> Finding[int]:
        """The most detections of a class."""
        return self._whole(self.detection_layer.suppression, 2)

    @cached_property
    def iou_threshold(self) -> Finding[float]:
        """Overlap above which a detection is dropped for a better one of its class."""
        return self._overlap(self.detection_layer.suppression)

    @cached_property
    def score_threshold(self) -> Finding[float]:
        """The score that a detection has at least; 0 where nothing is compared.

        Where scores must be more than a number, it is the next one of float32.
        """
        part = self.detection_layer
        found = [self._compared(node, place) for node, place in self._comparisons(part.scores)]
        own = self._least_of(part.suppression)
        if own is not None and own.value >= 0:
            found.append(own)
        if not found:
            return Finding(0.0, (f"nothing compares '{part.scores}'",))
        return max(found, key=lambda each: each.value)

    def _comparisons(self, ref: Ref) -> Iterator[tuple[Node, int]]:
        """Yield what compares a tensor, and at which input."""
        for name, place in self.graph.data_readers(ref):
            node = self.graph[name]
            if node.op in IDENTITIES:
                yield from self._comparisons(Ref(name))
            elif node.op in _COMPARISONS:
                yield node, place

    def _compared(self, node: Node, place: int) -> Finding[float]:
        """Return the least score that passes a comparison; raise SurgeonError D113 for another rule."""
        other, above = _BOUNDS.get(node.op, (place, False))
        value = constant(self.graph, node.inputs[other]) if other != place else None
        if value is None or value.size != 1:
            raise self.fail(
                "D113",
                f"'{node.name}' ({node.op}) compares scores; expected the least score, a constant",
                [f"it reads {', '.join(map(repr, map(str, node.inputs)))}"],
            )
        least = value.reshape(-1)[0]
        if not above:
            return Finding(float(least), (f"'{node.name}' compares scores with it",))
        return Finding(
            float(np.nextafter(np.float32(least), np.float32(np.inf))),
            (f"the least above {least:g}, which scores must exceed in '{node.name}'",),
        )

    def _least_of(self, name: str) -> Finding[float] | None:
        """Return the least score that a suppression itself takes; None where it takes every one.

        Raise SurgeonError D113 where it lowers scores, as soft suppression does.
        """
        node = self.graph[name]
        if node.op == "NonMaxSuppressionV5":
            sigma = self._real(name, 5)
            if sigma.value:
                raise self.fail(
                    "D113", f"'{name}' is a soft suppression, which no plugin computes", sigma.evidence
                )
        if node.op not in ("NonMaxSuppressionV3", "NonMaxSuppressionV4", "NonMaxSuppressionV5"):
            return None
        limit = self._real(name, 4)
        if limit.value < 0:
            return None
        return Finding(
            float(np.nextafter(np.float32(limit.value), np.float32(np.inf))),
            (f"the least above {limit.value:g}, which scores must exceed in '{name}'",),
        )

    @cached_property
    def classes(self) -> Finding[int]:
        """Number of classes, the background's included."""
        ref = self.detection_layer.probabilities
        dims = self.inference.spec(ref).shape.dims
        if not dims or dims[-1] is None:
            raise self.fail("D113", f"the number of classes is not known: '{ref}' is of unknown shape")
        return Finding(dims[-1], (f"'{ref}' is {self.inference.spec(ref)}",))

    @cached_property
    def crop_sides(self) -> Finding[tuple[int, ...]]:
        """Sides in cells of what is cut out for classes and for masks."""
        found = self._parts[0]
        for name in (name for each in found for name in each.crops):
            reason = cuts_otherwise(self.graph[name])
            if reason is not None:
                raise self.fail("D113", reason)
            size = constant(self.graph, self.graph[name].inputs[3])
            if size is None or size.size != 2 or size[0] != size[1] or size[0] != self._side_of(name):
                raise self.fail(
                    "D113",
                    f"'{name}' cuts out {'an open size' if size is None else size.tolist()}; expected a "
                    "square, the same one on every level",
                )
        return Finding(
            tuple(each.side[0] for each in found),
            tuple(f"'{each.crops[0]}' cuts out {each.side[0]} x {each.side[1]}" for each in found),
        )

    @cached_property
    def region_unit(self) -> Finding[float]:
        """Side in pixels of a region of level 4, which the graph divides the sides of regions by."""
        found: dict[float, str] = {}
        for each in self._parts[0]:
            behind = self.graph.ancestors(each.crops) - self.graph.ancestors([each.regions.node])
            for node in self.graph:
                if node.name in behind and node.op == "RealDiv" and self._is_root(node.inputs[1]):
                    value = constant(self.graph, node.inputs[0])
                    if value is not None and value.size == 1:
                        found[float(value.reshape(-1)[0])] = f"'{node.name}' divides it"
        if len(found) != 1:
            shown = ", ".join(f"{value:g}" for value in found) or "no constant"
            raise self.fail(
                "D113",
                f"the side of regions of level 4 is {shown}; expected one number",
                list(found.values()),
            )
        return Finding(next(iter(found)), tuple(found.values()))

    def _is_root(self, ref: Ref) -> bool:
        node = self.graph.get(ref.node)
        return node is not None and node.op == "Sqrt"

    @cached_property
    def levels(self) -> Finding[tuple[int, ...]]:
        """Numbers of the levels that regions are cut out of."""
        each = self.classifier_crops
        if len(each.levels) != _LEVELS:
            raise self.fail(
                "D113",
                f"regions are cut out of {len(each.levels)} feature maps; expected {_LEVELS}",
                [f"'{name}'" for name in each.crops],
            )
        return Finding(each.levels, tuple(f"'{name}'" for name in each.crops))

    @cached_property
    def masks(self) -> Finding[Ref]:
        """The masks of the detections by class, [N, K, h, w, C], or [N, K, C, h, w] with channels first."""
        crops = self.mask_crops
        if crops is None:
            raise self.fail("D113", "the graph makes no masks: regions are cut out once")
        behind = [
            ref
            for ref in self.graph.output_refs
            if crops.pooled.node in self.graph.ancestors([ref.node])
            and self.inference.spec(ref).shape.rank in (5, None)
        ]
        if len(behind) != 1:
            raise self.fail(
                "D113", f"{len(behind)} outputs depend on '{crops.pooled}'; expected one, of masks"
            )
        return Finding(behind[0], (f"'{behind[0]}' is {self.inference.spec(behind[0])}",))

    @cached_property
    def mask_axes(self) -> tuple[str, ...]:
        """The axes of a detection's masks."""
        first = self.channels_first.value
        return ("class", "height", "width") if first else ("height", "width", "class")

    @cached_property
    def outputs(self) -> Finding[Mapping[str, Ref]]:
        """The table of detections, and masks."""
        table = self.detection_layer.table
        found = {ROWS: table}
        evidence = [f"'{table}' is {self.inference.spec(table)}"]
        if self.mask_crops is not None:
            found["masks:" + ",".join(self.mask_axes)] = self.masks.value
            evidence += self.masks.evidence
        return Finding(found, tuple(evidence))

    @cached_property
    def image(self) -> Finding[Image]:
        """How a picture becomes the input: the graph does not tell it, Matterport's code does."""
        image = Image(
            size=self.picture_size.value,
            resize="stretch",
            interpolation="half-pixel-bilinear",
            color="RGB",
            brightness=None,
            steps=(ImageStep(scale=None, subtract=MEAN_PIXEL, divide=None),),
        )
        return Finding(
            image, ("MEAN_PIXEL of Matterport's default configuration; the graph does not tell it",)
        )

    @cached_property
    def postprocessing(self) -> Postprocessing:
        """What is computed between the second stage's heads and the detections."""
        part = self.detection_layer
        said = (f"'{part.table}'",)
        y, x, height, width = part.deviations
        return Postprocessing(
            boxes=LazyFinding(lambda: self.proposal_count),
            coding=Finding("none", (f"'{part.boxes}' are decoded already",)),
            variances=Finding((x, y, width, height), said),
            classes=LazyFinding(lambda: self.classes),
            background=Finding(0, (f"'{part.labels}' of 0 is left out",)),
            score_scale=Finding(1.0, said),
            score_converter=Finding("identity", (f"'{part.probabilities}' are probabilities",)),
            score_threshold=LazyFinding(lambda: self.score_threshold),
            score_sense=Finding("at least", said),
            iou_threshold=LazyFinding(lambda: self.iou_threshold),
            soft_sigma=Finding(0.0, said),
            class_agnostic=Finding(False, (f"'{part.suppression}' is in a loop over classes",)),
            max_per_class=LazyFinding(lambda: self.max_per_class),
            max_total=LazyFinding(lambda: self.max_detections),
            clip=Finding("before", (f"'{part.boxes}' are clipped",)),
            drops_empty=Finding(False, said),
        )

    @cached_property
    def plugin_sources(self) -> tuple[Ref, ...]:
        """Regions, probabilities and encodings of all classes, and the boxes of the best ones."""
        part = self.detection_layer
        return self.proposal_layer.regions, part.probabilities, part.deltas, part.boxes

    def plugin_inputs(
        self, plugin: PluginSpec, fields: Mapping[str, AttrValue], values: Mapping[Ref, np.ndarray]
    ) -> Mapping[str, np.ndarray]:
        """Return what the original gives to a plugin of the ports ``boxes`` and ``scores``, or of those of
        DetectionLayer_TRT.
        """
        ports = {port.name for port in plugin.inputs if not port.optional}
        regions, probabilities, deltas, boxes = (values[ref] for ref in self.plugin_sources)
        if ports == {"boxes", "scores"}:
            labels = probabilities.argmax(axis=-1)
            best = labels[..., None] == np.arange(probabilities.shape[-1])
            return {"boxes": boxes[None], "scores": probabilities * best.astype(np.float32)}
        if ports == {"deltas", "scores", "rois"}:
            batch, count, classes = probabilities.shape
            return {
                "deltas": deltas.reshape(batch, count, 4 * classes, 1, 1),
                "scores": probabilities.reshape(batch, count, classes, 1, 1),
                "rois": regions,
            }
        return {}

    def heads_for(
        self, boxes: np.ndarray, scores: np.ndarray, values: Mapping[Ref, np.ndarray]
    ) -> Mapping[Ref, np.ndarray]:
        """Return regions and probabilities, with encodings that leave a region as it is.

        Raise SurgeonError D107 for more boxes than there are regions.
        """
        own, probabilities, deltas, _ = (values[ref] for ref in self.plugin_sources)
        count = probabilities.shape[1]
        if len(boxes) > count:
            raise self.fail("D107", f"{len(boxes)} boxes are to be made up, and there are {count} regions")
        regions, heads = np.zeros_like(own), np.zeros_like(probabilities)
        regions[0, : len(boxes)] = boxes
        heads[0, len(boxes) :, 0] = 1
        heads[0, : len(boxes), 1 : 1 + scores.shape[1]] = scores
        # Probabilities add up to 1: a best one below an even share is not the best, the background's is.
        low = scores.max(axis=1) < 1 / self.classes.value
        heads[0, : len(boxes), 0] = np.where(low, 1 - scores.sum(axis=1), 0)
        return dict(zip(self.plugin_sources, (regions, heads, np.zeros_like(deltas)), strict=False))

    def draft(self, options: DraftOptions) -> Draft:
        """Write a recipe with every value literal, and its evidence."""
        from surgeon.families.matterport.draft import draft_recipe

        return draft_recipe(self, options)

    def _side_of(self, crop: str) -> int:
        return next(each.side[0] for each in self._parts[0] if crop in each.crops)

    def _overlap(self, name: str) -> Finding[float]:
        """Return the overlap above which a suppression drops a box: an attribute, or its input."""
        node = self.graph[name]
        if node.op != "NonMaxSuppression":
            return self._real(name, 3)
        return next(
            Finding(found.value, (f"'{found.node}' of '{name}'",))
            for found in iou_thresholds(self.graph, self.inference, [node])
        )

    def _whole(self, node: str, position: int) -> Finding[int]:
        found = self._real(node, position)
        return Finding(int(found.value), found.evidence)

    def _real(self, node: str, position: int) -> Finding[float]:
        inputs = self.graph[node].inputs
        if position >= len(inputs):
            raise self.fail("D113", f"'{node}' has {len(inputs)} inputs; expected at least {position + 1}")
        ref = inputs[position]
        value = constant(self.graph, ref)
        if value is None or value.size != 1:
            raise self.fail("D113", f"'{ref}', which '{node}' reads, is not constant")
        return Finding(float(value.reshape(-1)[0]), (f"'{ref}'",))


FAMILY = MatterportMaskRcnn
