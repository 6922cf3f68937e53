"""EfficientDet of google/automl: anchors in pixels, the best pairs or classes chosen before suppression."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from surgeon.catalog import PluginSpec
from surgeon.diagnostics import SurgeonError
from surgeon.families.automl_efficientdet.structure import (
    Choice,
    Decoding,
    decoding_of,
    gathered,
    score_choice,
    suppression_of,
)
from surgeon.families.family import Draft, DraftOptions, Family, Refusal
from surgeon.families.finding import Finding
from surgeon.families.parts.anchor_detector import AnchorBoxDetector, AnchorBoxStructure, loop_between
from surgeon.families.parts.heads import convolution_behind
from surgeon.families.parts.picture import PictureFindings
from surgeon.families.parts.preprocessing import first_convolution
from surgeon.families.parts.scores import logits_of
from surgeon.families.parts.suppression import most_in_all
from surgeon.families.parts.walk import behind, data_inputs, number, trail
from surgeon.families.postprocessing import (
    Clipping,
    Coding,
    Converter,
    LazyFinding,
    Postprocessing,
    Window,
)
from surgeon.graph import AttrValue, Graph, Node, Ref
from surgeon.graph.op_sets import PLACEHOLDERS
from surgeon.graph.reach import before_identities, upstream
from surgeon.infer import Inference, evaluate
from surgeon.language import Image

_BACKBONE = re.compile(r"efficientnet-(b\d|lite\d)(?:_|\Z)")
_DEPTH = 4

_MEANS, _DEVIATIONS = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_LITE_MEAN, _LITE_DEVIATION = 127.0, 128.0
"""How the project's own scripts prepare a picture where the graph does not."""

_COMPUTED = ("Add", "AddV2", "Cast", "Maximum", "Minimum", "Mul")
"""Operations between suppression and the outputs that compute with detections."""

_STEEP = 32768.0
"""Factor, taken twice, that makes a difference of logits larger than any logit; float16 holds it, too."""


class AutomlEfficientDet(PictureFindings, AnchorBoxDetector):
    """A detector whose scores are the Sigmoid of chosen logits, and whose boxes are encoded against a
    constant of anchors in pixels.
    """

    name = "automl_efficientdet"
    title = "EfficientDet of google/automl"
    codings = ("centre-size",)
    boxes_in_input = True

    @classmethod
    def match(cls, graph: Graph, inference: Inference | None = None) -> Family | Refusal:
        """Return a detector that chooses logits and decodes against a constant, else why it is none."""
        detector = cls(graph, inference)
        try:
            detector.structure  # noqa: B018  its reason
        except SurgeonError as exc:
            return Refusal(detector, exc, 0)
        return detector

    @property
    def kind(self) -> str:
        """Family and backbone, such as ``automl_efficientdet_b0``."""
        backbone = self._backbone[0]
        return f"{self.name}_{backbone}" if backbone else self.name

    @cached_property
    def _backbone(self) -> tuple[str, str]:
        """The backbone that the names of nodes tell, and one of these; empty where none does."""
        for node in self.graph:
            for part in node.name.split("/")[:_DEPTH]:
                match = _BACKBONE.match(part)
                if match:
                    return match[1], node.name
        return "", ""

    # --- structure

    @cached_property
    def structure(self) -> AnchorBoxStructure:
        graph, choice, decoding = self.graph, self.choice, self.decoding
        ymin, xmin, ymax, xmax = decoding.corners
        return AnchorBoxStructure(
            self._suppressing,
            decoding.encodings,
            choice.scores,
            (xmin, ymin, xmax, ymax),
            None,
            loop_between(graph, self._read, graph.output_refs)
            - upstream(graph, (ref.node for ref in self._read)),
            choice.best,
        )

    def _told(self, found: Any) -> Any:
        """Return what was found; raise SurgeonError D112 where it is the reason why nothing was."""
        if isinstance(found, str):
            raise self.fail("D112", f"the graph is no EfficientDet of google/automl: {found}")
        return found

    @cached_property
    def _suppressing(self) -> tuple[Node, ...]:
        nodes: tuple[Node, ...] = self._told(suppression_of(self.graph))
        return nodes

    @cached_property
    def choice(self) -> Choice:
        """Which scores go into suppression."""
        found: Choice = self._told(score_choice(self.graph, self._suppressing[0]))
        return found

    @cached_property
    def decoding(self) -> Decoding:
        """How boxes are made."""
        node, scores = self._suppressing[0], self.choice.scores
        found: Decoding = self._told(decoding_of(self.graph, self._varying, node, scores))
        return found

    @property
    def _first_convolution(self) -> Node:
        part = next(iter(data_inputs(self.graph[self.choice.scores.node])))
        head = convolution_behind(self.graph, part)
        assert head is not None  # the join is one of heads
        return first_convolution(self.graph, self._varying, head)

    @property
    def _takes_pairs(self) -> bool:
        """Whether the best pairs of anchor and class are chosen: the graph then keeps its own decoding."""
        return self.choice.pairs is not None

    @cached_property
    def pair_classes(self) -> Ref:
        """The class of each chosen pair, int32[N, K].

        Raise SurgeonError D113 where no remainder of a division by the number of classes tells it.
        """
        for name in self.graph.readers[self._top.name]:
            if self.graph[name].op in ("FloorMod", "Mod"):
                return Ref(name)
        raise self.fail("D113", f"nothing tells the classes of the pairs that '{self._top.name}' chooses")

    @cached_property
    def _top(self) -> Node:
        """What chooses the pairs."""
        assert self.choice.pairs is not None
        behind_pairs = self.graph.ancestors([self.choice.pairs.inputs[1].node])
        found = [node for node in self.graph if node.op == "TopKV2" and node.name in behind_pairs]
        if len(found) != 1:
            raise self.fail("D113", f"{len(found)} operations choose the pairs of '{self.choice.pairs.name}'")
        return found[0]

    @cached_property
    def _read(self) -> tuple[Ref, ...]:
        """The tensors at which what the recipe takes out begins."""
        if self._takes_pairs:
            return self.decoding.boxes, self.choice.probabilities, self.pair_classes
        return self.decoding.encodings, self.choice.scores

    # --- pictures

    @cached_property
    def network_input(self) -> Finding[Ref]:
        """The tensor that the network reads, before what passes it on."""
        found = super().network_input
        return Finding(before_identities(self.graph, found.value), found.evidence)

    @property
    def takes_prepared_pictures(self) -> bool:
        """Whether the graph begins with the network."""
        return self.graph[self.network_input.value.node].op in PLACEHOLDERS

    @cached_property
    def image(self) -> Finding[Image]:
        """How a picture becomes the network's input: as the graph does it, or as the project's scripts do.

        Raise SurgeonError D115 where neither tells it.
        """
        if not self.takes_prepared_pictures:
            return self.image_at(self.network_input.value)
        backbone, node = self._backbone
        if not backbone:
            raise self.fail(
                "D115",
                "how a picture becomes the network's input is not in the graph: the project's scripts do "
                "that, in one way for EfficientDet and in another for EfficientDet-Lite, and no name tells "
                "which",
                help=["write 'image:' in the recipe: docs/families/automl_efficientdet.md has both"],
            )
        lite = backbone.startswith("lite")
        mean, deviation = (_LITE_MEAN, _LITE_DEVIATION) if lite else (_MEANS, _DEVIATIONS)
        image = Image.model_validate(
            {
                "size": list(self.size),
                "resize": "keep-aspect-ratio",
                "interpolation": "half-pixel-bilinear",
                "padding": "after-steps",
                "rounding": "down",
                "steps": [{"subtract": mean}, {"divide": deviation}],
            }
        )
        convention = "the graph does not prepare pictures; so do the project's scripts, by default"
        return Finding(image, (f"'{node}' is of the backbone {backbone}", convention))

    # --- boxes

    def _evaluated(self, encodings: np.ndarray, refs: list[Ref]) -> np.ndarray:
        decoding = self.decoding
        fed = {decoding.codes: encodings.astype(np.float32)[None]}
        if decoding.anchors.node != decoding.constant.name:
            fed[decoding.anchors] = evaluate(self.graph, [Ref(decoding.constant.name)], {})[0].reshape(
                1, -1, 4
            )
        values = evaluate(self.graph, refs, fed)
        return np.concatenate([value.reshape(len(encodings), -1) for value in values], axis=1).astype(float)

    @cached_property
    def unit(self) -> tuple[float, float]:
        """Height and width of the picture in pixels."""
        return self.size

    @cached_property
    def _clips(self) -> tuple[str, np.ndarray] | None:
        """The operation that clips detections, and ymin, xmin, ymax and xmax to which it does; else None."""
        lowest, highest = np.full(4, -np.inf), np.full(4, np.inf)
        name = ""
        for ref in self._behind_output("boxes"):
            node = self.graph[ref.node]
            limit = self._sizes.known(node.inputs[1]) if node.op in ("Maximum", "Minimum") else None
            if limit is None:
                continue
            name = name or node.name
            if node.op == "Maximum":
                lowest = np.maximum(lowest, limit)
            else:
                highest = np.minimum(highest, limit)
        return (name, np.concatenate([lowest[:2], highest[2:]])) if name else None

    @cached_property
    def clip(self) -> Finding[Clipping]:
        """Whether detections are clipped, after suppression, or not at all."""
        if self._clips is None:
            return Finding("none", ("no operation clips boxes",))
        return Finding("after", (f"'{self._clips[0]}' clips what suppression leaves",))

    @cached_property
    def clip_window(self) -> Finding[Window | None]:
        """The window to which detections are clipped."""
        if self._clips is None:
            return Finding((0.0, 0.0, 1.0, 1.0), self.clip.evidence)
        name, corners = self._clips
        top, left, bottom, right = (float(v) for v in corners / np.tile(self.unit, 2))
        evidence = f"'{name}' clips to {[float(v) for v in corners]} of a picture of {self.size}"
        return Finding((top, left, bottom, right), (evidence,))

    # --- scores

    @property
    def background(self) -> Finding[int]:
        """The column of the scores that is no object: none."""
        return Finding(-1, ("every column of the scores is a class",))

    @cached_property
    def class_agnostic(self) -> Finding[bool]:
        """Whether boxes of different classes suppress each other."""
        choice, first = self.choice, self._suppressing[0]
        if choice.by_class is not None:
            return Finding(
                False, (f"'{choice.by_class.name}' ({choice.by_class.op}) takes the rows of one class",)
            )
        if first.op == "CombinedNonMaxSuppression":
            return Finding(False, (f"'{first.name}' suppresses class by class",))
        return Finding(True, (f"'{first.name}' takes the boxes of all classes at once",))

    @cached_property
    def other_conditions(self) -> Collection[str]:
        """The comparisons of classes with a number that take the rows of one class."""
        found: list[str] = []
        for node in self._suppressing:
            choice = score_choice(self.graph, node)
            if isinstance(choice, Choice) and choice.by_class is not None:
                found.append(choice.by_class.name)
        return found

    @cached_property
    def max_total(self) -> Finding[int]:
        """How many detections of a picture are kept."""
        found = [
            (bound.value, str(bound)) for bound in most_in_all(self.graph, self._sizes, self._suppressing)
        ]
        after = self.graph.ancestors(ref.node for ref in self.outputs.value.values())
        for node in self.graph:
            if node.op == "TopKV2" and node.name in self.structure.loop and node.name in after:
                kept = number(self._sizes, node.inputs[1])
                if kept is not None and self._suppressing[0].name in self.graph.ancestors([node.name]):
                    found.append((kept, f"'{node.inputs[1].node}' is {kept:g}"))
        if not found and len(self._suppressing) == self._batch:
            most = self.max_per_class
            return Finding(most.value, most.evidence)
        if not found:
            raise self.fail("D113", "the number of detections kept is not a constant of the graph")
        value, evidence = min(found)
        return Finding(int(value), (evidence,))

    @property
    def _batch(self) -> int:
        dims = self.inference.spec(self.network_input.value).shape.dims
        return (dims[0] if dims else None) or 1

    # --- outputs

    @cached_property
    def outputs(self) -> Finding[Mapping[str, Ref]]:
        """The tensors that hold detections, before boxes are scaled to the picture: ``boxes`` float32[N, K,
        4] (ymin, xmin, ymax, xmax in pixels of the input), ``scores``, ``classes``, and ``count`` where it is
        given.
        """
        found: dict[str, Ref] = {}
        for output in self.graph.output_refs:
            for ref in self._columns(output):
                part = self._part(ref)
                if part:
                    found.setdefault(part, ref)
        missing = [part for part in ("boxes", "scores", "classes") if part not in found]
        if missing:
            raise self.fail(
                "D113",
                f"no output of the graph holds the {' and '.join(missing)} of detections",
                [f"it gives {', '.join(map(repr, map(str, self.graph.output_refs)))}"],
            )
        found["boxes"] = self._unscaled(found["boxes"])
        return Finding(found, tuple(f"{part}: '{ref}'" for part, ref in found.items()))

    def _columns(self, output: Ref) -> list[Ref]:
        """Return the tensors that an output joins as columns of a table, or the output itself."""
        ref = output
        for at in trail(self.graph, output):
            node = self.graph[at.node]
            if node.op == "Pack" and len(node.inputs) > 4:
                slices = [self.graph[each.node] for each in node.inputs]
                # A column of boxes is a slice of the tensor that holds all four.
                return [each.inputs[0] if each.op == "StridedSlice" else Ref(each.name) for each in slices]
            if node.op not in ("Identity", "IdentityN", "StopGradient", "Reshape"):
                break
            ref = at
        while self.graph[ref.node].op in ("Identity", "StopGradient"):
            ref = self.graph[ref.node].inputs[0]
        return [ref]

    def _part(self, ref: Ref) -> str:
        """Return what of detections a tensor holds, empty where it holds nothing of them."""
        names = {node.name for node in self._suppressing}
        steps = self._computed_from(ref)
        last = steps[-1]
        node = self.graph[last.node]
        if node.name in names and last.slot and any(self.graph[at.node].op == "Mul" for at in steps):
            return ""
        if node.name in names:
            combined = node.op == "CombinedNonMaxSuppression"
            return (("boxes", "scores", "classes", "count") if combined else ("", "scores", "count"))[
                last.slot
            ]
        if last == self.decoding.boxes:
            return "boxes"
        return "classes" if node.op in ("ArgMax", "FloorMod", "Mod") else ""

    def _computed_from(self, ref: Ref) -> list[Ref]:
        """Return ``ref`` and what is behind it, through what computes with detections and joins those of
        several suppressions, whose first counts.
        """
        names = {node.name for node in self._suppressing}

        def back(graph: Graph, at: Ref) -> Ref | None:
            node = graph[at.node]
            if node.name in names or at == self.decoding.boxes:
                return None
            if node.op in ("Pack", "ConcatV2", "Sum", *_COMPUTED):
                constants = [self._sizes.known(each) is not None for each in node.inputs]
                return next(
                    (each for each, known in zip(node.inputs, constants, strict=True) if not known), None
                )
            return gathered(graph, at)

        return list(trail(self.graph, ref, back))

    def _behind_output(self, part: str) -> list[Ref]:
        return self._computed_from(self.outputs.value[part])

    def _unscaled(self, boxes: Ref) -> Ref:
        """Return detected boxes before they are multiplied with the scale of the picture."""
        for ref in self._computed_from(boxes):
            node = self.graph[ref.node]
            if node.op == "Mul":
                return node.inputs[0]
            if behind(self.graph, ref) is None:
                break
        return boxes

    def detected(self, values: Mapping[Ref, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Return the detections by part, corners relative to the network's input."""
        refs = self.outputs.value
        pixels = values[refs["boxes"]].astype(float)
        boxes = (pixels / np.tile(self.unit, 2)).astype(np.float32)
        return {"boxes": boxes, "scores": values[refs["scores"]], "classes": values[refs["classes"]]}

    @cached_property
    def label_offset(self) -> Finding[int]:
        """What is added to a column of the scores to give the class that the graph tells."""
        for ref in self._behind_output("classes"):
            node = self.graph[ref.node]
            added = number(self._sizes, node.inputs[1]) if node.op in ("Add", "AddV2") else None
            if added is not None:
                return Finding(int(added), (f"'{node.name}' adds {added:g} to classes",))
        return Finding(0, ("classes are columns of the scores",))

    # --- what recipes and verification ask

    @cached_property
    def postprocessing(self) -> Postprocessing:
        """What the original computes between the heads and the detections."""
        none = Finding(False, ("no operation asks for the area of a box",))
        return Postprocessing(
            boxes=LazyFinding(lambda: self.count),
            coding=LazyFinding(self._given_coding),
            variances=LazyFinding(lambda: self.coder),
            classes=LazyFinding(lambda: self.classes),
            background=LazyFinding(lambda: self.background),
            score_scale=Finding(1.0, ("nothing scales scores",)),
            score_converter=LazyFinding(self._given_converter),
            score_threshold=LazyFinding(lambda: self.score_threshold),
            score_sense=LazyFinding(lambda: self.score_sense),
            iou_threshold=LazyFinding(lambda: self.iou_threshold),
            soft_sigma=LazyFinding(lambda: self.soft_sigma),
            class_agnostic=LazyFinding(lambda: self.class_agnostic),
            max_per_class=LazyFinding(lambda: self.max_per_class),
            max_total=LazyFinding(lambda: self.max_total),
            clip=LazyFinding(lambda: self.clip),
            drops_empty=none,
            clip_window=LazyFinding(lambda: self.clip_window),
        )

    def _given_coding(self) -> Finding[Coding]:
        if not self._takes_pairs:
            return self.coding
        return Finding("none", (f"'{self._top.name}' chooses pairs, whose boxes the graph decodes",))

    def _given_converter(self) -> Finding[Converter]:
        converter = self.choice.converter.name
        if self._takes_pairs:
            return Finding("identity", (f"'{converter}' stays, which converts the scores of pairs",))
        return Finding("sigmoid", (f"'{converter}' converts scores",))

    @cached_property
    def plugin_sources(self) -> tuple[Ref, ...]:
        """Encodings and logits, and what the plugin reads."""
        return tuple(dict.fromkeys((self.structure.encodings, self.structure.scores, *self._read)))

    @property
    def plugin_rows(self) -> int:
        """How many boxes the plugin reads: all, or the chosen pairs."""
        if not self._takes_pairs:
            return self.count.value
        kept = number(self._sizes, self._top.inputs[1])
        if kept is None:
            raise self.fail(
                "D113", f"how many pairs '{self._top.name}' chooses is not a constant of the graph"
            )
        return int(kept)

    @property
    def plugin_reads(self) -> tuple[Ref, Ref]:
        """The tensors that the plugin's boxes or encodings, and its scores, are made of."""
        if self._takes_pairs:
            return self.decoding.boxes, self.choice.probabilities
        return self.structure.encodings, self.structure.scores

    def box_nodes(self, name: str) -> Mapping[str, Mapping[str, Any]]:
        """Return the nodes that make boxes of pairs relative to the network's input."""
        if not self._takes_pairs:
            return {}
        size = f"{name}_size"
        return {
            size: {"op": "Const", "value": [[list(map(float, np.tile(self.unit, 2)))]], "dtype": "float32"},
            f"{name}_relative": {"op": "RealDiv", "inputs": [str(self.decoding.boxes), size]},
        }

    def score_nodes(self, name: str) -> Mapping[str, Mapping[str, Any]]:
        """Return the nodes that give each pair a score in the column of its class, or that lower all but the
        best class of each anchor.
        """
        if self._takes_pairs:
            return self._columns_of_pairs(name)
        if self.choice.best is None or self.class_agnostic.value:
            return {}
        logits = str(self.structure.scores)
        # What is below the best by the least that float32 tells becomes so small that its Sigmoid is 0.
        return {
            f"{name}_best": {"op": "Max", "inputs": [logits], "axis": 2, "attrs": {"keep_dims": True}},
            f"{name}_below": {"op": "Sub", "inputs": [logits, f"{name}_best"]},
            f"{name}_steep": {"op": "Const", "value": _STEEP, "dtype": "float32"},
            f"{name}_once": {"op": "Mul", "inputs": [f"{name}_below", f"{name}_steep"]},
            f"{name}_twice": {"op": "Mul", "inputs": [f"{name}_once", f"{name}_steep"]},
            f"{name}_lowered": {"op": "Add", "inputs": [logits, f"{name}_twice"]},
        }

    def _columns_of_pairs(self, name: str) -> Mapping[str, Mapping[str, Any]]:
        columns = [[list(map(float, range(self.classes.value)))]]
        off, away, own = f"{name}_off", f"{name}_away", f"{name}_own"
        rows = self.plugin_rows
        return {
            f"{name}_class": {
                "op": "Cast",
                "inputs": [str(self.pair_classes)],
                "attrs": {"SrcT": "int32", "DstT": "float32"},
            },
            f"{name}_number": {"op": "Reshape", "inputs": [f"{name}_class"], "shape": [-1, rows, 1]},
            f"{name}_columns": {"op": "Const", "value": columns, "dtype": "float32"},
            off: {"op": "Sub", "inputs": [f"{name}_number", f"{name}_columns"]},
            away: {"op": "Mul", "inputs": [off, off]},
            f"{name}_one": {"op": "Const", "value": 1.0, "dtype": "float32"},
            f"{name}_near": {"op": "Sub", "inputs": [f"{name}_one", away]},
            own: {"op": "Relu", "inputs": [f"{name}_near"]},
            f"{name}_score": {
                "op": "Reshape",
                "inputs": [str(self.choice.probabilities)],
                "shape": [-1, rows, 1],
            },
            f"{name}_kept": {"op": "Mul", "inputs": [own, f"{name}_score"]},
        }

    def plugin_inputs(
        self, plugin: PluginSpec, fields: Mapping[str, AttrValue], values: Mapping[Ref, np.ndarray]
    ) -> Mapping[str, np.ndarray]:
        """Return what the original gives to a plugin of the ports ``loc`` and ``conf``."""
        if not {"loc", "conf"} <= {port.name for port in plugin.inputs}:
            return {}
        if self._takes_pairs:
            boxes, scores, classes = (values[ref] for ref in self._read)
            relative = boxes / np.tile(self.unit, 2).astype(np.float32)
            own = classes[..., None] == np.arange(self.classes.value)
            shaped = {"loc": relative, "conf": np.where(own, scores[..., None], np.float32(0))}
        else:
            encodings, logits = values[self.structure.encodings], values[self.structure.scores]
            if self.choice.best is not None and not self.class_agnostic.value:
                best = logits >= logits.max(axis=-1, keepdims=True)
                logits = np.where(
                    best, logits, logits + np.float32(_STEEP) ** 2 * (logits - logits.max(-1)[..., None])
                )
            shaped = {"loc": encodings, "conf": logits}
        flat = {port: array.reshape(len(array), -1, 1, 1) for port, array in shaped.items()}
        return flat if self._takes_pairs else {**flat, "prior": self.anchor_constant().value}

    def heads_for(
        self, boxes: np.ndarray, scores: np.ndarray, values: Mapping[Ref, np.ndarray]
    ) -> Mapping[Ref, np.ndarray]:
        """Return encodings and logits for boxes and probabilities of the classes."""
        found = super().heads_for(boxes, scores, values)
        logits = self.structure.scores
        return {**found, logits: logits_of(found[logits], "sigmoid")}

    def draft(self, options: DraftOptions) -> Draft:
        """Write a recipe with every value literal, and its evidence."""
        from surgeon.families.parts.anchor_draft import draft_recipe

        return draft_recipe(self, options)
