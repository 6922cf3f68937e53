"""Detectors of two stages of the TensorFlow Object Detection API: Faster R-CNN and R-FCN."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from surgeon.catalog import PluginSpec
from surgeon.diagnostics import SurgeonError
from surgeon.families.config_match import ConfigMatch
from surgeon.families.family import Draft, DraftOptions, Family, Refusal
from surgeon.families.faster_rcnn.masks import MaskStage, find_mask_stage
from surgeon.families.faster_rcnn.structure import Regions, Structure
from surgeon.families.faster_rcnn.suppression import Stage
from surgeon.families.finding import Finding
from surgeon.families.parts.backbone import named_backbone
from surgeon.families.parts.cropping import cuts_otherwise
from surgeon.families.parts.preprocessing import Pixels
from surgeon.families.parts.walk import behind, number, operand, trail
from surgeon.families.postprocessing import PICTURE, Clipping, Coding, LazyFinding, Postprocessing, Window
from surgeon.graph import AttrValue, Graph, Ref
from surgeon.language.recipe import Rounding

if TYPE_CHECKING:
    from surgeon.training_files.pipeline_config import PipelineConfig

OUTPUTS: Mapping[str, str] = {
    "boxes": "detection_boxes",
    "scores": "detection_scores",
    "classes": "detection_classes",
    "count": "num_detections",
    "masks": "detection_masks",
}

_SQUARE = 480
"""Side of a picture by which the size is told that a resizing gives to square ones."""

_LONGEST = 4096


class TwoStageDetector(Structure):
    """A detector of two stages, taken apart by its structure.

    The first stage proposes regions, the second cuts them out of a feature map, tells their classes and
    moves their boxes. Every finding walks back from what suppresses boxes or cuts regions, is computed when
    first asked for, and raises SurgeonError: D112 where the graph is no such detector, D113 where a walk ends
    early, D114 where two witnesses contradict each other, D115 for preprocessing without a name here.

    ``inference`` tells sizes; without one it is made, with batch 1 and the size that the graph leaves as it
    is.
    """

    name = "faster_rcnn"
    title = "detector of two stages"
    keys = (
        "network_input",
        "feature_map",
        "crop_size",
        "first_boxes_count",
        "first_iou_threshold",
        "first_score_threshold",
        "first_max",
        "first_clip",
        "classes",
        "box_sets",
        "score_threshold",
        "iou_threshold",
        "max_per_class",
        "max_total",
        "soft_sigma",
        "clip",
        "drops_empty",
        "drops_empty_after",
        "label_offset",
    )

    @classmethod
    def match(cls, graph: Graph, inference: Any = None) -> Family | Refusal:
        """Return a detector whose two suppressions and the cut between them are found, else why they are
        not.
        """
        detector = cls(graph, inference)
        try:
            detector.check_structure()
        except SurgeonError as exc:
            nearness = 1 + sum(map(bool, detector._stages)) if detector._cuts else -1
            return Refusal(detector, exc, nearness)
        return detector

    @cached_property
    def backbone(self) -> Finding[str] | None:
        """The network that extracts features, None where nothing tells it."""
        return named_backbone(self.graph, self._varying)

    @cached_property
    def kind(self) -> str:
        """Architecture and backbone, such as ``faster_rcnn_inception_v2``."""
        backbone = self.backbone
        several = "mask_rcnn" if OUTPUTS["masks"] in self.graph else "faster_rcnn"
        words = ("rfcn" if self.position_sensitive else several, backbone.value if backbone else "")
        return "_".join(word for word in words if word)

    @cached_property
    def first(self) -> Stage:
        """The suppression of the first stage."""
        kept = self.proposals.value.kept
        return Stage.of(self, self._sizes, lambda: self.inference, self._first, self.first_boxes, kept)

    @cached_property
    def second(self) -> Stage:
        """The suppression of the second stage."""
        kept = self.outputs.value["boxes"]
        return Stage.of(self, self._sizes, lambda: self.inference, self._second, self.second_boxes, kept)

    @cached_property
    def outputs(self) -> Finding[Mapping[str, Ref]]:
        """The graph's outputs: ``boxes``, ``scores``, ``classes``, ``count`` and, if any, ``masks``."""
        found = {port: Ref(name) for port, name in OUTPUTS.items() if name in self.graph}
        if "boxes" not in found or "scores" not in found:
            raise self.fail(
                "D113",
                "the outputs cannot be told apart; expected 'detection_boxes', 'detection_scores', "
                "'detection_classes' and 'num_detections'",
                [f"'{ref}'" for ref in self.graph.output_refs[:8]],
            )
        return Finding(found, tuple(f"'{ref}' holds {port}" for port, ref in found.items()))

    @cached_property
    def size(self) -> Finding[tuple[int, int]]:
        """Height and width of the network's input."""
        dims = self.inference.spec(self.network_input.value).shape.dims
        if dims is None or len(dims) != 4 or dims[1] is None or dims[2] is None:
            raise self.fail(
                "D113",
                f"the size of the network's input '{self.network_input.value}' is not known",
                self.network_input.evidence,
            )
        return Finding((dims[1], dims[2]), self.network_input.evidence)

    @cached_property
    def mask_stage(self) -> Finding[MaskStage] | None:
        """The third stage, which gives masks; None where there is none."""
        return find_mask_stage(self)

    @cached_property
    def keeps_size(self) -> Finding[tuple[int, int]] | None:
        """The size of square pictures that the graph leaves as they are, where it keeps their shape.

        None where it makes all pictures one size.
        """
        ref = self.network_input.value
        found = self.resized(ref, _SQUARE, _SQUARE)
        again = self.resized(ref, *found.value) if found is not None and found.value[0] <= _LONGEST else None
        if found is None or again is None or again.value != found.value:
            return None
        height, width = found.value
        shown = f"{found.evidence[0]}; {height} x {width} is a size that it leaves as it is"
        return Finding((height, width), (shown,))

    @cached_property
    def _pixels_of_input(self) -> Pixels:
        return self.pixels_behind(self.network_input.value)

    def _resize(self, ref: Ref, pixels: Pixels) -> tuple[int, int, Any, Rounding | None, str]:
        kept = self.keeps_size
        if kept is None or pixels.resize is None or ref != self.network_input.value:
            return super()._resize(ref, pixels)
        if self._given is not None:
            dims = self._given.spec(ref).shape.dims
            if dims is not None and len(dims) == 4 and dims[1] is not None and dims[2] is not None:
                return dims[1], dims[2], self._interpolation(pixels.resize), None, kept.evidence[0]
        return *kept.value, self._interpolation(pixels.resize), None, kept.evidence[0]

    @property
    def keeps_shape(self) -> bool:
        """Whether the graph keeps the shape of a picture, so that its network's input has no one size."""
        return self.keeps_size is not None

    @cached_property
    def feature_map(self) -> Finding[Ref]:
        """The map that regions are cut out of, float32[N, H, W, C]."""
        cut = self.regions.value[0]
        return Finding(cut.features, (f"'{cut.features}' is {self.inference.spec(cut.features)}",))

    @cached_property
    def crop_size(self) -> Finding[tuple[int, int]]:
        """Height and width of a region that is cut out for the second stage."""
        return self.size_of(self.regions.value)

    def size_of(self, cuts: Collection[Regions]) -> Finding[tuple[int, int]]:
        """Return the height and width of the regions that are cut out."""
        sizes: dict[tuple[int, int], str] = {}
        for cut in cuts:
            reason = cuts_otherwise(self.graph[cut.node])
            if reason is not None:
                raise self.fail("D113", reason)
            ref = self.graph[cut.node].inputs[3]
            value = self._sizes.known(ref)
            if value is None or value.size != 2:
                raise self.fail("D113", f"the size '{ref}' of the regions of '{cut.node}' is no constant")
            height, width = (int(side) for side in value.reshape(-1))
            sizes.setdefault((height, width), f"'{ref}' is {height} x {width}")
        if len(sizes) != 1:
            raise self.fail("D114", "regions are cut in several sizes", list(sizes.values()))
        return Finding(next(iter(sizes)), tuple(sizes.values()))

    @property
    def first_boxes_count(self) -> Finding[int]:
        """Number of boxes of the first stage."""
        return self._rows(self.first_boxes.decoded)

    @property
    def first_iou_threshold(self) -> Finding[float]:
        """Overlap above which a proposal is dropped for a better one."""
        return self.first.iou_threshold

    @property
    def first_score_threshold(self) -> Finding[float]:
        """What the score of a proposal must exceed."""
        return self.first.score_threshold

    @property
    def first_max(self) -> Finding[int]:
        """How many proposals of a picture are kept."""
        return self.first.max_total

    @property
    def first_clip(self) -> Finding[str]:
        """Whether boxes of the first stage are clipped before suppression, after it, or not at all."""
        found = self.first.clip
        return Finding(str(found.value), found.evidence)

    @cached_property
    def classes(self) -> Finding[int]:
        """Number of scores of a region, without the background's."""
        spec = self.inference.spec(self.second_scores)
        count = spec.shape.dims[2] if spec.shape.dims is not None and len(spec.shape.dims) == 3 else None
        if count is None:
            raise self.fail("D113", f"'{self.second_scores}' does not tell the number of classes")
        if len(self._second) != count:
            raise self.fail(
                "D114",
                f"{len(self._second)} operations suppress boxes of {count} classes; expected one each",
                [f"'{self.second_scores}' is {spec}", *self.suppressions.evidence],
            )
        return Finding(count, (f"'{self.second_scores}' is {spec}",))

    @cached_property
    def box_sets(self) -> Finding[int]:
        """Number of boxes of a region: one for each class, or 1 that they share."""
        spec = self.inference.spec(self.second_boxes.decoded)
        dims = spec.shape.dims
        count = dims[2] if dims is not None and len(dims) == 4 else None
        if count not in (1, self.classes.value):
            raise self.fail(
                "D114",
                f"a region has {count} boxes; expected 1, or one for each of {self.classes.value} classes",
                [f"'{self.second_boxes.decoded}' is {spec}", *self.classes.evidence],
            )
        return Finding(count, (f"'{self.second_boxes.decoded}' is {spec}",))

    def _rows(self, ref: Ref) -> Finding[int]:
        spec = self.inference.spec(ref)
        rows = spec.shape.dims[1] if spec.shape.dims is not None and len(spec.shape.dims) > 1 else None
        if rows is None:
            raise self.fail("D113", f"the number of boxes of '{ref}' is not known", [f"it is {spec}"])
        return Finding(rows, (f"'{ref}' is {spec}",))

    @property
    def score_threshold(self) -> Finding[float]:
        """What the score of a detection must exceed."""
        return self.second.score_threshold

    @property
    def iou_threshold(self) -> Finding[float]:
        """Overlap above which a detection is dropped for a better one of its class."""
        return self.second.iou_threshold

    @property
    def max_per_class(self) -> Finding[int]:
        """How many detections of a class are kept."""
        return self.second.max_per_class

    @property
    def max_total(self) -> Finding[int]:
        """How many detections of a picture are kept."""
        return self.second.max_total

    @property
    def soft_sigma(self) -> Finding[float]:
        """Sigma of soft suppression of the second stage, 0 for the ordinary one."""
        return self.second.soft_sigma

    @property
    def clip(self) -> Finding[Any]:
        """Whether boxes of the second stage are clipped before suppression, after it, or not at all."""
        return self.second.clip

    @property
    def drops_empty(self) -> Finding[bool]:
        """Whether boxes of the second stage without an area are dropped before suppression."""
        return self.second.drops_empty

    @property
    def drops_empty_after(self) -> Finding[bool]:
        """Whether boxes of the second stage without an area are dropped after suppression."""
        return self.second.drops_empty_after

    @cached_property
    def label_offset(self) -> Finding[int]:
        """What is added to a class, counted from 0 without the background, to give the label."""
        ref = self.outputs.value.get("classes")
        if ref is None:
            raise self.fail("D113", "the graph gives no classes", self.outputs.evidence)
        for at in trail(self.graph, ref, _behind_casts):
            node = self.graph[at.node]
            if node.op in ("Add", "AddV2"):
                parts = operand(self._sizes, node)
                value = number(self._sizes, parts[1]) if parts else None
                if value is not None:
                    return Finding(int(value), (f"'{node.name}' adds {value:g} on the way to '{ref}'",))
        return Finding(0, (f"nothing is added on the way to '{ref}'",))

    @cached_property
    def postprocessing(self) -> Postprocessing:
        """What the second stage computes between its boxes and scores, and the detections."""
        none: Finding[Coding] = Finding("none", (f"'{self.second_boxes.decoded}' holds boxes",))
        return Postprocessing(
            boxes=LazyFinding(lambda: self._rows(self.second_boxes.decoded)),
            coding=none,
            variances=Finding((1.0, 1.0, 1.0, 1.0), ()),
            classes=LazyFinding(lambda: self.classes),
            background=Finding(-1, (f"'{self.second_scores}' has no column for the background",)),
            score_scale=Finding(1.0, ("scores are not scaled",)),
            score_converter=Finding("identity", (f"'{self.second_scores}' holds probabilities",)),
            score_threshold=LazyFinding(lambda: self.score_threshold),
            score_sense=LazyFinding(lambda: self.second.score_sense),
            iou_threshold=LazyFinding(lambda: self.iou_threshold),
            soft_sigma=LazyFinding(lambda: self.soft_sigma),
            class_agnostic=LazyFinding(lambda: Finding(False, self.classes.evidence)),
            max_per_class=LazyFinding(lambda: self.max_per_class),
            max_total=LazyFinding(lambda: self.max_total),
            clip=LazyFinding(lambda: self.clip),
            drops_empty=LazyFinding(lambda: self.drops_empty),
            drops_empty_after=LazyFinding(lambda: self.drops_empty_after),
            shares_boxes=LazyFinding(lambda: Finding(self.box_sets.value == 1, self.box_sets.evidence)),
            clip_window=LazyFinding(lambda: self._window),
        )

    def postprocessing_at(self, tensors: Collection[str]) -> Postprocessing:
        """Return what the stage computes whose scores are among the tensors.

        What is clipped before the suppression of the first stage, operations of the recipe clip, in pixels.
        """
        if str(self.first_scores) not in tensors:
            return self.postprocessing
        first = self.first
        beside: Finding[Clipping] = Finding("none", ("operations beside the plugin clip boxes",))
        return Postprocessing(
            boxes=LazyFinding(lambda: self.first_boxes_count),
            coding=Finding("none", (f"'{self.first_boxes.decoded}' holds boxes",)),
            variances=Finding((1.0, 1.0, 1.0, 1.0), ()),
            classes=Finding(1, self.first_suppressions.evidence),
            background=Finding(-1, (f"'{self.first_scores}' has no column for the background",)),
            score_scale=Finding(1.0, ("scores are not scaled",)),
            score_converter=Finding("identity", (f"'{self.first_scores}' holds probabilities",)),
            score_threshold=LazyFinding(lambda: first.score_threshold),
            score_sense=LazyFinding(lambda: first.score_sense),
            iou_threshold=LazyFinding(lambda: first.iou_threshold),
            soft_sigma=LazyFinding(lambda: first.soft_sigma),
            class_agnostic=Finding(False, self.first_suppressions.evidence),
            max_per_class=LazyFinding(lambda: first.max_per_class),
            max_total=LazyFinding(lambda: first.max_total),
            clip=LazyFinding(lambda: beside if first.clip.value == "before" else first.clip),
            drops_empty=LazyFinding(lambda: first.drops_empty),
            drops_empty_after=LazyFinding(lambda: first.drops_empty_after),
        )

    @property
    def _window(self) -> Finding[Window | None]:
        self.check_windows()
        if self.second.window_of(*self.size.value) == "whole":
            return Finding(PICTURE, self.clip.evidence)
        pads = self._pixels_of_input.pads
        if pads:
            return Finding(None, (f"'{pads[0].name}' adds zeros to a picture", *self.clip.evidence))
        return Finding(PICTURE, (*self.clip.evidence, "its window is no constant: taken for the whole input"))

    def check_windows(self) -> None:
        """Raise SurgeonError D147 where boxes are clipped to a window that is not the network's input."""
        height, width = self.size.value
        for stage in (self.first, self.second):
            window = stage.window_of(height, width)
            if not isinstance(window, str):
                raise self.fail(
                    "D147",
                    f"boxes are clipped to {list(window)}; expected the whole input, {height} x {width}",
                    stage.clip.evidence,
                )

    @cached_property
    def padded_windows(self) -> tuple[str, ...]:
        """What clips boxes to no constants, where the graph pads pictures: to the part that one fills."""
        height, width = self.size.value
        stages = (self.first, self.second) if self._pixels_of_input.pads else ()
        return tuple(
            stage.clip.evidence[-1] for stage in stages if stage.window_of(height, width) == "unknown"
        )

    @property
    def class_shift(self) -> int:
        """What is added to a class of the outputs to give the label of the plugin in its place."""
        return -self.label_offset.value

    @cached_property
    def plugin_sources(self) -> tuple[Ref, ...]:
        """Boxes and scores of the second stage, their proposals, and the network's input."""
        proposals, picture = self.proposals.value.kept, self.network_input.value
        return self.second_boxes.decoded, self.second_scores, proposals, picture

    def plugin_inputs(
        self, plugin: PluginSpec, fields: Mapping[str, AttrValue], values: Mapping[Ref, np.ndarray]
    ) -> Mapping[str, np.ndarray]:
        """Return boxes relative to the network's input and scores for the ports ``loc`` and ``conf``.

        Boxes are clipped first unless the plugin does so, and scores of rows without a proposal are 0.
        """
        if {port.name for port in plugin.inputs if not port.optional} != {"loc", "conf"}:
            return {}
        boxes, scores, proposals, picture = (values[ref] for ref in self.plugin_sources)
        sides = np.tile(np.array(picture.shape[1:3], np.float32), 2)
        if self.clip.value == "before":
            boxes = np.minimum(np.maximum(boxes, np.float32(0)), sides)
        relative = boxes * (np.float32(1) / sides)
        heights, widths = (proposals[..., 2 + axis] - proposals[..., axis] for axis in (0, 1))
        there = (heights * widths > 0)[..., None]
        return {"loc": relative, "conf": scores * there.astype(np.float32)}

    def heads_for(
        self, boxes: np.ndarray, scores: np.ndarray, values: Mapping[Ref, np.ndarray]
    ) -> Mapping[Ref, np.ndarray]:
        """Return boxes and scores of the second stage by tensor, in the shapes that ``values`` have."""
        sides = np.tile(np.array(values[self.network_input.value].shape[1:3], np.float32), 2)
        decoded, given = values[self.second_boxes.decoded], values[self.second_scores]
        found = {
            self.second_boxes.decoded: np.broadcast_to((boxes * sides)[:, None], decoded.shape),
            self.second_scores: np.broadcast_to(scores, given.shape),
        }
        return {ref: np.ascontiguousarray(array, np.float32) for ref, array in found.items()}

    def config_check(self, config: PipelineConfig) -> tuple[ConfigMatch, ...]:
        """Compare a pipeline config with the graph, in the order of a recipe.

        A value that the graph does not tell is passed over.
        """
        from surgeon.families.faster_rcnn.config_check import compare_with_config

        return compare_with_config(config, self)

    def draft(self, options: DraftOptions) -> Draft:
        """Write a recipe with every value literal, and its evidence.

        Raise SurgeonError D147 where a part is not recognised, or no plugin computes it.
        """
        from surgeon.families.faster_rcnn.draft import draft_recipe

        return draft_recipe(self, options)


def _behind_casts(graph: Graph, ref: Ref) -> Ref | None:
    node = graph[ref.node]
    return node.inputs[0] if node.op == "Cast" and node.inputs else behind(graph, ref)


FAMILY = TwoStageDetector
