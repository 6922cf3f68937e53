"""Single-shot detectors of the TensorFlow Object Detection API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from surgeon.catalog import PluginSpec
from surgeon.diagnostics import SurgeonError
from surgeon.families.config_match import ConfigMatch
from surgeon.families.family import AnchorConstant, Draft, DraftOptions, Family, Refusal
from surgeon.families.finding import Finding
from surgeon.families.parts.anchor_boxes import prior_boxes
from surgeon.families.parts.backbone import named_backbone
from surgeon.families.parts.suppression import suppressions
from surgeon.families.parts.walk import source
from surgeon.families.postprocessing import LazyFinding, Postprocessing
from surgeon.families.ssd.plugin_inputs import heads_for, plugin_inputs
from surgeon.families.ssd.suppression import SuppressionFindings
from surgeon.graph import AttrValue, Graph, Node, Ref
from surgeon.infer import Inference

if TYPE_CHECKING:
    from surgeon.training_files.pipeline_config import PipelineConfig


class SingleShotDetector(SuppressionFindings):
    """A single-shot detector graph, taken apart by its structure.

    Every finding walks back from what suppresses boxes, is computed when first asked for, and raises
    SurgeonError: D112 where the graph is no such detector, D113 where a walk ends early, D114 where two
    witnesses contradict each other, D115 for preprocessing and D116 for coding of boxes that have no name
    here, D117 for anchors that are not constant.

    ``inference`` tells sizes; without one it is made, with batch 1.
    """

    name = "ssd"
    title = "single-shot detector"
    needed = (
        "network_input",
        "feature_maps",
        "boxes_per_location",
        "anchors",
        "coder",
        "encodings",
        "logits",
        "loc_concat",
        "conf_concat",
        "classes",
        "background",
        "score_converter",
        "logit_scale",
        "score_threshold",
        "iou_threshold",
        "max_per_class",
        "max_total",
        "class_agnostic",
        "soft_sigma",
    )
    """The findings that a recipe cannot do without."""

    keys = (
        *needed,
        "anchors_tensor",
        "box_heads",
        "class_heads",
        "count",
        "clip",
        "drops_empty",
        "drops_empty_after",
        "clip_window",
        "score_sense",
        "label_offset",
    )

    @classmethod
    def match(cls, graph: Graph, inference: Inference | None = None) -> Family | Refusal:
        """Return a detector whose heads, their joins and suppression are found, else why they are not."""
        detector = cls(graph, inference)
        try:
            if detector._two_stages:
                return Refusal(detector, detector._two_stages_refused(), 2)
            detector._check_structure()
        except SurgeonError as exc:
            return Refusal(detector, exc, 1 if suppressions(graph) else 0)
        return detector

    @cached_property
    def kind(self) -> str:
        """Family, backbone and pyramid, such as ``ssd_mobilenet_v1_fpn``."""
        lite = any("BoxEncodingPredictor_depthwise" in node.name for node in self.graph)
        try:
            backbone = self.backbone.value
        except SurgeonError:
            backbone = ""
        if backbone.startswith("efficientdet"):
            return backbone
        words = ("ssdlite" if lite else "ssd", backbone, self.pyramid.value)
        return "_".join(word for word in words if word)

    @cached_property
    def backbone(self) -> Finding[str]:
        """The network that computes features, such as ``mobilenet_v2``, by the names of its nodes."""
        found = named_backbone(self.graph, self._varying)
        if found is not None:
            return found
        first = self._first_convolution.name
        raise self.fail(
            "D113",
            f"the network from '{first}' on has no name that is known here; expected, say, MobilenetV2",
            help=["name the recipe yourself"],
        )

    @cached_property
    def pyramid(self) -> Finding[str]:
        """``fpn`` where maps are enlarged and added, ``ppn`` where one map is pooled, else an empty text."""
        above = self._feature_nodes
        for node in above:
            upsampled = re.search(r"(^|/)(fpn|nearest_neighbor_upsampling)", node.name)
            if upsampled or node.op == "ResizeNearestNeighbor":
                return Finding("fpn", (f"'{node.name}' ({node.op})",))
        for node in above:
            if node.op == "MaxPool" and self.graph[source(self.graph, node.inputs[0]).node].op == "MaxPool":
                return Finding("ppn", (f"'{node.name}' pools what is pooled already",))
        return Finding("", ("no map is enlarged, and none is pooled again and again",))

    @cached_property
    def _feature_nodes(self) -> list[Node]:
        needed = self.graph.ancestors(head.conv for head in self.box_heads.value)
        return [node for node in self.graph if node.name in needed and node.name in self._varying]

    def _two_stages_refused(self) -> SurgeonError:
        found = self.architecture
        evidence = list(found.evidence)
        with suppress(SurgeonError):
            evidence.append(f"backbone: {self.backbone.value}, by {self.backbone.evidence[0]}")
        return self.fail(
            "D112",
            f"the graph is a detector of two stages ({found.value}); recipes are written for single-shot "
            "detectors (ssd)",
            evidence,
        )

    @cached_property
    def object_classes(self) -> Finding[int]:
        """Number of classes without the background's."""
        return Finding(self.classes.value - (self.background.value >= 0), self.classes.evidence)

    @cached_property
    def postprocessing(self) -> Postprocessing:
        """What the original computes between the heads and the detections."""
        return Postprocessing(
            boxes=LazyFinding(lambda: self.count),
            coding=LazyFinding(lambda: self.coding),
            variances=LazyFinding(lambda: self.coder),
            classes=LazyFinding(lambda: self.classes),
            background=LazyFinding(lambda: self.background),
            score_scale=LazyFinding(lambda: self.logit_scale),
            score_converter=LazyFinding(lambda: self.score_converter),
            score_threshold=LazyFinding(lambda: self.score_threshold),
            score_sense=LazyFinding(lambda: self.score_sense),
            iou_threshold=LazyFinding(lambda: self.iou_threshold),
            soft_sigma=LazyFinding(lambda: self.soft_sigma),
            class_agnostic=LazyFinding(lambda: self.class_agnostic),
            max_per_class=LazyFinding(lambda: self.max_per_class),
            max_total=LazyFinding(lambda: self.max_total),
            clip=LazyFinding(lambda: self.clip),
            drops_empty=LazyFinding(lambda: self.drops_empty),
            drops_empty_after=LazyFinding(lambda: self.drops_empty_after),
            clip_window=LazyFinding(lambda: self.clip_window),
        )

    def joining_node(self, port: str) -> str:
        """Return the node that joins box heads (``loc``) or class heads (``conf``), without asking for
        sizes.
        """
        return (self._between[0] if port == "loc" else self._scores.join).name

    def join(self, port: str) -> Finding[str]:
        """Return the node that joins box heads (``loc``) or class heads (``conf``)."""
        heads = self.box_heads if port == "loc" else self.class_heads
        first = heads.value[0]
        return Finding(
            self.joining_node(port),
            (
                f"{len(heads.value)} convolutions, such as '{first.conv}', are joined",
                f"'{first.tensor}' is {self.inference.spec(first.tensor)}",
            ),
        )

    def anchor_constant(self) -> AnchorConstant:
        """Return anchors and variances, float32[1, 2, 4P, 1], as NMS_TRT reads them."""
        anchors, variances = self.anchors, self.coder
        value = prior_boxes(anchors.value, variances.value)
        return AnchorConstant(value, (*anchors.evidence, *variances.evidence))

    @property
    def class_shift(self) -> int:
        """What is added to a class of the outputs to give the label of the plugin in its place."""
        return (1 if self.background.value == 0 else 0) - self.label_offset.value

    @cached_property
    def plugin_sources(self) -> tuple[Ref, ...]:
        """Encodings, scores before they are converted, and anchors, as far as the graph tells them."""
        found = []
        for key in ("encodings", "logits", "anchors_tensor"):
            with suppress(SurgeonError):
                found.append(self.finding(key).value)
        return tuple(found)

    def plugin_inputs(
        self, plugin: PluginSpec, fields: Mapping[str, AttrValue], values: Mapping[Ref, np.ndarray]
    ) -> Mapping[str, np.ndarray]:
        """Return what the original gives to a plugin of the ports ``loc``, ``conf`` and ``prior``."""
        if {port.name for port in plugin.inputs} != {"loc", "conf", "prior"}:
            return {}
        return plugin_inputs(self, fields, values)

    def heads_for(
        self, boxes: np.ndarray, scores: np.ndarray, values: Mapping[Ref, np.ndarray]
    ) -> Mapping[Ref, np.ndarray]:
        """Return encodings and scores before they are converted, for boxes and their probabilities."""
        return heads_for(self, boxes, scores, values)

    def anchor_input(self, values: Mapping[Ref, np.ndarray]) -> np.ndarray:
        """Return the anchors as ``anchor_port`` reads them, from the values of ``plugin_sources``."""
        return prior_boxes(self.anchors_among(values), self.coder.value)

    def config_check(self, config: PipelineConfig) -> tuple[ConfigMatch, ...]:
        """Compare a pipeline config with the graph, in the order of a recipe.

        A value that the graph does not tell is passed over.
        """
        from surgeon.families.ssd.config_check import compare_with_config

        return compare_with_config(config, self)

    def draft(self, options: DraftOptions) -> Draft:
        """Write a recipe with every value literal, and its evidence.

        Raise SurgeonError D147 where a part is not recognised, or no plugin computes it.
        """
        from surgeon.families.ssd.draft import draft_recipe

        return draft_recipe(self, options)
