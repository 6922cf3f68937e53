"""RetinaNet as keras-retinanet writes it: boxes by their corners, suppressed picture by picture."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from surgeon.diagnostics import SurgeonError
from surgeon.display import plural
from surgeon.families.family import Draft, DraftOptions, Family, Refusal
from surgeon.families.finding import Finding
from surgeon.families.keras_retinanet.picture import picture_convention
from surgeon.families.parts.anchor_detector import AnchorBoxDetector, AnchorBoxStructure, loop_between
from surgeon.families.parts.head_concat import joins_behind
from surgeon.families.parts.suppression import most_in_all, suppressions
from surgeon.families.parts.walk import behind, behind_identities, data_inputs, trail
from surgeon.graph import DType, Graph, Node, Ref
from surgeon.graph.op_sets import PLACEHOLDERS
from surgeon.graph.reach import varying
from surgeon.infer import Inference
from surgeon.language import Image

_LIMITS = ("Minimum", "Maximum")
_COORDINATES = 4


class KerasRetinaNet(AnchorBoxDetector):
    """A detector whose boxes are linear in what its heads give: corners of anchors, moved by shares of their
    sides, clipped to the picture, and suppressed.
    """

    name = "keras_retinanet"
    title = "RetinaNet of Keras"
    codings = ("corners-by-size",)

    @classmethod
    def match(cls, graph: Graph, inference: Inference | None = None) -> Family | Refusal:
        """Return a detector whose boxes are corners that no exponential makes, else why it is none."""
        detector = cls(graph, inference)
        try:
            detector.structure  # noqa: B018  its reason
        except SurgeonError as exc:
            return Refusal(detector, exc, 0)
        return detector

    @property
    def kind(self) -> str:
        """Family and backbone, such as ``keras_retinanet_resnet``."""
        backbone = picture_convention(self.graph).backbone
        return f"{self.name}_{backbone}" if backbone else self.name

    @cached_property
    def structure(self) -> AnchorBoxStructure:
        graph = self.graph
        suppressing = suppressions(graph)
        selecting = suppressing or tuple(node for node in graph if node.op == "TopKV2")
        if not selecting:
            raise self._none("no operation of it suppresses overlapping boxes or sorts scores")
        scores, best = self._scores(selecting[0], 1 if suppressing else 0)
        clipped = self._boxes(selecting[0]) if suppressing else self._boxes_ahead(scores)
        corners = self._corners(clipped)
        inner = {ref: self._unclipped(ref) for ref in corners}
        clips = any(ref != own for ref, own in inner.items())
        encodings = self._encodings(tuple(inner.values()))
        loop = loop_between(graph, [clipped, scores], graph.output_refs)
        first, second, third, fourth = self._split(tuple(inner.values()))
        return AnchorBoxStructure(
            suppressing,
            encodings,
            scores,
            (first, second, third, fourth),
            clipped if clips else None,
            loop,
            best,
        )

    @staticmethod
    def moved(graph: Graph, ref: Ref) -> Ref | None:
        """Return the tensor whose numbers ``ref`` holds, one operation back, by indices too."""
        return _gathered(graph, ref)

    def _none(self, why: str) -> SurgeonError:
        return self.fail("D112", f"the graph is no RetinaNet of Keras: {why}")

    def _scores(self, node: Node, port: int) -> tuple[Ref, Node | None]:
        """Return what suppression takes its scores from, and what takes the best class of a box."""
        best: Node | None = None
        at = node.inputs[port]
        while True:
            *_, at = trail(self.graph, at, _gathered)
            found = self.graph[at.node]
            if found.op != "Max" or not found.inputs or best is not None:
                return at, best
            best, at = found, found.inputs[0]

    def _boxes(self, node: Node) -> Ref:
        """Return the boxes that suppression selects from, float32[N, P, 4]."""
        *_, last = trail(self.graph, node.inputs[0], _gathered)
        return last

    def _boxes_ahead(self, scores: Ref) -> Ref:
        """Return the boxes that an output selects from where nothing suppresses them."""
        for output in self.graph.output_refs:
            *_, last = trail(self.graph, output, _gathered)
            if last != scores and self.graph[last.node].op in ("Pack", "ConcatV2"):
                return last
        raise self._none("none of its outputs holds boxes")

    def _corners(self, boxes: Ref) -> tuple[Ref, ...]:
        node = self.graph[boxes.node]
        parts = data_inputs(node) if node.op in ("Pack", "ConcatV2", "Concat") else ()
        if len(parts) != _COORDINATES:
            raise self._none(f"the boxes '{boxes}' ({node.op}) do not join four coordinates")
        return parts

    def _unclipped(self, ref: Ref) -> Ref:
        """Return a coordinate before it was clipped."""
        at = ref
        for _ in range(_COORDINATES):
            node = self.graph[at.node]
            if node.op not in (*_LIMITS, "ClipByValue") or not node.inputs:
                break
            at = next((each for each in node.inputs if each.node in self._varying), node.inputs[0])
        return at

    def _split(self, corners: tuple[Ref, ...]) -> tuple[Ref, ...]:
        """Return the coordinates that were joined and split again before they were clipped, as they were
        computed.
        """
        moved = [behind(self.graph, ref) for ref in corners]
        joins = {ref for ref in moved if ref is not None}
        if len(joins) != 1 or None in moved:
            return corners
        node = self.graph[next(iter(joins)).node]
        parts = data_inputs(node) if node.op in ("Pack", "ConcatV2", "Concat") else ()
        return parts if len(parts) == _COORDINATES else corners

    @cached_property
    def _varying(self) -> set[str]:
        return varying(self.graph, (node.name for node in self.graph if node.op in PLACEHOLDERS))

    def _encodings(self, corners: tuple[Ref, ...]) -> Ref:
        """Return what joins the box heads; raise SurgeonError where an exponential makes boxes of it."""
        found: dict[str, Node] = {}
        for corner in corners:
            joins, between = joins_behind(self.graph, self._varying, corner)
            if any(self.graph[name].op == "Exp" for name in between):
                raise self._none(f"'{corner}' is decoded by an exponential")
            found |= {node.name: node for node in joins}
        if len(found) != 1:
            raise self._none(
                f"the boxes come from {plural(len(found), 'join')} of convolutions; expected one"
            )
        return Ref(next(iter(found)))

    @property
    def background(self) -> Finding[int]:
        """The column of the scores that is no object: none."""
        return Finding(-1, ("every column of the scores is a class",))

    @cached_property
    def max_total(self) -> Finding[int]:
        """How many detections of a picture are kept."""
        found = min(
            most_in_all(self.graph, self._sizes, self.structure.suppressing or self._selecting),
            key=lambda bound: bound.value,
            default=None,
        )
        if found is None:
            raise self.fail("D113", "the number of detections kept cannot be told")
        return Finding(int(found.value), (str(found),))

    @cached_property
    def _selecting(self) -> tuple[Node, ...]:
        return tuple(node for node in self.graph if node.name in self.structure.loop)

    @cached_property
    def outputs(self) -> Finding[Mapping[str, Ref]]:
        """The outputs: ``boxes`` float32[N, K, 4] (xmin, ymin, xmax, ymax in pixels), ``scores`` and
        ``classes``, all -1 in rows without a detection.
        """
        found: dict[str, Ref] = {}
        boxes = self.structure.clipped or self.structure.corners[0]
        for output in self.graph.output_refs:
            ref = behind_identities(self.graph, output)
            passed = list(trail(self.graph, ref, _gathered))
            if ref.node not in self.structure.loop:
                continue
            dtype = self._sizes.spec(ref).dtype
            if dtype in (DType.INT32, DType.INT64):
                found.setdefault("classes", ref)
            elif boxes in passed or self.graph[passed[-1].node].op in ("Pack", "ConcatV2"):
                found.setdefault("boxes" if boxes in passed else "scores", ref)
            else:
                found.setdefault("scores", ref)
        missing = [part for part in ("boxes", "scores", "classes") if part not in found]
        if missing:
            raise self.fail(
                "D113",
                f"no output of the graph holds the {' and '.join(missing)} of detections",
                [f"it gives {', '.join(map(repr, map(str, self.graph.output_refs)))}"],
            )
        return Finding(found, tuple(f"{part}: '{ref}'" for part, ref in found.items()))

    def detected(self, values: Mapping[Ref, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Return the detections by part, corners relative to the network's input."""
        refs = self.outputs.value
        boxes = self.relative(values[refs["boxes"]].astype(float)).astype(np.float32)
        return {"boxes": boxes, "scores": values[refs["scores"]], "classes": values[refs["classes"]]}

    @cached_property
    def image(self) -> Finding[Image]:
        """How a picture becomes the network's input: by the convention of the backbone, outside the graph.

        Raise SurgeonError D115 where the names of the network tell no backbone.
        """
        height, width = self.size
        convention = picture_convention(self.graph)
        if not convention.backbone:
            raise self.fail(
                "D115",
                "how a picture becomes the network's input is not in the graph: keras-retinanet prepares it "
                "outside, in one way for ResNet and VGG and in another for MobileNet and DenseNet, and no "
                "name of the network tells which",
                help=["write 'image:' in the recipe: docs/families/keras_retinanet.md has both"],
            )
        image = Image.model_validate(
            {
                "size": [height, width],
                "resize": "keep-aspect-ratio",
                "interpolation": "half-pixel-bilinear",
                "color": "BGR",
                "steps": [dict(step) for step in convention.steps],
            }
        )
        return Finding(image, (f"'{convention.node}' is of {convention.backbone}", convention.text))

    def draft(self, options: DraftOptions) -> Draft:
        """Write a recipe with every value literal, and its evidence."""
        from surgeon.families.parts.anchor_draft import draft_recipe

        return draft_recipe(self, options)


def _gathered(graph: Graph, ref: Ref) -> Ref | None:
    """Return the tensor whose numbers ``ref`` holds, one operation back, by indices too."""
    node = graph.get(ref.node)
    if node is not None and node.op in ("GatherNd", "TopKV2") and node.inputs and ref.slot == 0:
        return node.inputs[0]
    return behind(graph, ref)


FAMILY = KerasRetinaNet
