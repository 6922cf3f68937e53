"""What a detector graph says of itself, each finding with the nodes and constants that show it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np

from surgeon.diagnostics import SurgeonError, error
from surgeon.families.parts.decoding import (
    ANCHOR_TOLERANCE,
    Decoder,
    anchors_tensor,
    encodings_behind,
    exact,
    factors,
)
from surgeon.families.parts.head_concat import entering, joins_behind
from surgeon.families.parts.heads import Head, Role, convolution_behind, head_at, named_role
from surgeon.families.parts.numbers import plain
from surgeon.families.parts.preprocessing import Pixels, first_convolution, network_input, pixels_behind
from surgeon.families.parts.scores import Broken, Scores, scores_of
from surgeon.families.parts.suppression import (
    Boxes,
    Constant,
    boxes_of,
    iou_thresholds,
    most_in_all,
    most_per_class,
    score_thresholds,
    soft_sigmas,
    suppressions,
)
from surgeon.families.parts.walk import data_inputs, number, operand, source, trail
from surgeon.graph import Graph, Node, Ref, Shape, TensorSpec
from surgeon.graph.op_sets import PLACEHOLDERS
from surgeon.graph.reach import varying
from surgeon.infer import Inference, evaluate
from surgeon.language import Image, ImageStep

T = TypeVar("T")

OUTPUTS: Mapping[str, str] = {
    "boxes": "detection_boxes",
    "scores": "detection_scores",
    "classes": "detection_classes",
    "count": "num_detections",
}
"""What the Object Detection API calls its outputs."""

FURTHEST = 16.0
"""Pictures: no anchor that is relative to the picture lies further out."""

_BACKBONE = re.compile(
    r"(mobilenet|inception|resnet|pnasnet|nasnet|vgg|efficientnet|densenet)_?(v\d+|resnet)?(?:_v?(\d+))?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Finding(Generic[T]):
    """A value, and the nodes and constants that show it."""

    value: T
    evidence: tuple[str, ...]


class Detector:
    """A single-shot detector graph, taken apart by its structure.

    Every property walks back from what suppresses boxes, is computed when first asked for, and raises
    SurgeonError: D112 where the graph is no such detector, D113 where a walk ends early, D114 where two
    witnesses contradict each other, D115 for preprocessing and D116 for coding of boxes that have no name
    here, D117 for anchors that are not constant.

    ``inference`` tells sizes; without one it is made, with batch 1.
    """

    def __init__(self, graph: Graph, inference: Inference | None = None) -> None:
        self.graph = graph
        self._given = inference

    # --- what the rest rests on
    # -------------------------------------------------------------------------------

    @cached_property
    def inference(self) -> Inference:
        """Sizes and constants, the batch known."""
        if self._given is not None:
            return self._given
        ref = self.network_input.value
        spec = self._sizes.spec(ref)
        if spec.shape.dims is None or spec.shape.dims[:1] != (None,):
            return self._sizes
        return Inference(self.graph, {str(ref): TensorSpec(spec.dtype, Shape((1, *spec.shape.dims[1:])))})

    @cached_property
    def _sizes(self) -> Inference:
        return self._given or Inference(self.graph)

    @cached_property
    def _varying(self) -> set[str]:
        return varying(self.graph, (node.name for node in self.graph if node.op in PLACEHOLDERS))

    @cached_property
    def suppressions(self) -> Finding[tuple[str, ...]]:
        """Names of the operations that suppress overlapping boxes, one a class or one for all."""
        found = suppressions(self.graph)
        if not found:
            raise self._no_detector("no operation of it suppresses overlapping boxes (NonMaxSuppression)")
        return Finding(
            tuple(node.name for node in found), (f"{len(found)} {found[0].op}, such as '{found[0].name}'",)
        )

    @cached_property
    def _suppressing(self) -> tuple[Node, ...]:
        if self._two_stages:
            raise self._no_detector(f"it is one of two stages, {self.family.value}", self.family.evidence)
        return tuple(self.graph[name] for name in self.suppressions.value)

    @cached_property
    def _two_stages(self) -> list[str]:
        """Names of operations that cut regions out of feature maps for a second stage, where boxes come from
        such.
        """
        cuts = [n.name for n in self.graph if n.op in ("CropAndResize", "PSROIPooling", "ROIAlign")]
        if not cuts:
            return []
        behind = self.graph.ancestors(self.suppressions.value)
        return [name for name in cuts if name in behind]

    @cached_property
    def _boxes(self) -> Boxes:
        return boxes_of(self.graph, self._suppressing[0])

    @cached_property
    def _between(self) -> tuple[Node, dict[str, None]]:
        """What joins the box heads, and the nodes between it and the decoded boxes."""
        start = self._boxes.computed
        joins, between = joins_behind(self.graph, self._varying, start)
        if len(joins) != 1:
            said = ", ".join(f"'{node.name}'" for node in joins[:4]) or "none"
            raise self._fail(
                "D113",
                f"the boxes '{start}' ({self.graph[start.node].op}) come from {len(joins)} joins of "
                "convolutions; "
                "expected one, of the box heads",
                [f"found: {said}"],
            )
        return joins[0], between

    @cached_property
    def _scores(self) -> Scores:
        start = self._suppressing[0]
        found = scores_of(self.graph, self._sizes, start.inputs[1])
        if isinstance(found, Broken):
            raise self._fail(
                "D113",
                f"the scores of '{start.name}' cannot be followed to the class heads: '{found.at}' "
                f"{found.why}",
                [f"it is {self.graph[found.at.node].op}"],
            )
        return found

    @cached_property
    def box_heads(self) -> Finding[tuple[Head, ...]]:
        """The convolutions that give box encodings, in the order in which they are joined."""
        return self._heads(self._between[0], "loc")

    @cached_property
    def class_heads(self) -> Finding[tuple[Head, ...]]:
        """The convolutions that give class scores, in the order in which they are joined."""
        return self._heads(self._scores.join, "conf")

    def _heads(self, join: Node, role: Role) -> Finding[tuple[Head, ...]]:
        heads = tuple(head for ref in data_inputs(join) if (head := head_at(self.graph, self.inference, ref)))
        kind = "box" if role == "loc" else "class"
        contrary = next((head for head in heads if named_role(head.conv) not in (role, None)), None)
        if contrary is not None:
            raise self._fail(
                "D114",
                f"'{join.name}' is used as the join of {kind} heads, but '{contrary.conv}' has the name of "
                "the other kind",
                [f"'{self._boxes.decoded}' is what '{self._suppressing[0].name}' takes as boxes"],
            )
        return Finding(
            heads,
            (f"'{join.name}' joins {len(heads)} {kind} heads, from '{heads[0].conv}' to '{heads[-1].conv}'",),
        )

    # --- kind
    # -------------------------------------------------------------------------------------------------

    @cached_property
    def family(self) -> Finding[str]:
        """``ssd``, or ``faster_rcnn``, ``rfcn`` or ``mask_rcnn`` for a detector of two stages."""
        stages = self._two_stages
        if stages:
            names = " ".join(
                node.name for node in self.graph if "/" not in node.name or "PositionSensitive" in node.name
            )
            kind = (
                "mask_rcnn"
                if "detection_masks" in names
                else "rfcn"
                if "PositionSensitive" in names
                else "faster_rcnn"
            )
            return Finding(
                kind,
                (
                    f"a second stage reads '{stages[0]}' ({self.graph[stages[0]].op})",
                    *self.suppressions.evidence,
                ),
            )
        try:
            evidence = (*self.box_heads.evidence, *self.class_heads.evidence, *self.anchors_tensor.evidence)
        except SurgeonError as exc:
            first = exc.diagnostics[0]
            raise self._no_detector(first.message, (*self.suppressions.evidence, *first.notes)) from None
        return Finding("ssd", (*self.suppressions.evidence, *evidence))

    @cached_property
    def backbone(self) -> Finding[str]:
        """The network that computes features, such as ``mobilenet_v2``, by the names of its nodes."""
        for node in self.graph:
            for part in node.name.split("/")[:4]:
                match = _BACKBONE.match(part)
                if match and node.name in self._varying:
                    kind, version, depth = match.groups()
                    words = [word.lower() for word in (kind, version, depth) if word]
                    return Finding("_".join(words), (f"the name of '{node.name}'",))
        first = self._first_convolution.name
        raise self._fail(
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

    # --- input
    # ------------------------------------------------------------------------------------------------

    @cached_property
    def _first_convolution(self) -> Node:
        head = convolution_behind(self.graph, data_inputs(self._between[0])[0], joined=False)
        assert head is not None
        return first_convolution(self.graph, self._varying, head)

    @cached_property
    def network_input(self) -> Finding[Ref]:
        """The tensor that the network reads: pixels, resized and scaled."""
        conv = self._first_convolution
        ref = network_input(self.graph, self._sizes, conv)
        return Finding(
            ref,
            (
                f"'{conv.name}' ({conv.op}), the first convolution, reads '{ref}'",
                f"'{ref}' ({self.graph[ref.node].op}) is {self._sizes.spec(ref)}",
            ),
        )

    @cached_property
    def picture(self) -> Finding[Ref]:
        """The tensor that is fed."""
        needed = self.graph.ancestors([self.network_input.value.node])
        found = [n for n in self.graph if n.op in PLACEHOLDERS and n.name in needed]
        if len(found) != 1:
            raise self._fail(
                "D113",
                f"'{self.network_input.value}' depends on {len(found)} inputs; expected one, the picture",
                [", ".join(f"'{node.name}'" for node in found[:6])] if found else [],
            )
        return Finding(Ref(found[0].name), (f"'{found[0].name}' is {self._sizes.spec(Ref(found[0].name))}",))

    @cached_property
    def image(self) -> Finding[Image]:
        """How a picture becomes the network's input."""
        return self.image_at(self.network_input.value)

    def image_at(self, ref: Ref) -> Finding[Image]:
        """Return how a picture becomes a tensor of the graph.

        Raise SurgeonError D115 for what has no name in a recipe.
        """
        pixels = pixels_behind(self.graph, self._sizes, ref)
        if pixels.problem:
            raise self._no_image(
                f"'{pixels.at}' {pixels.problem}", [f"it is {self.graph[pixels.at.node].op}"]
            )
        steps = tuple(ImageStep(**{kind: amount}) for kind, amount, _ in pixels.steps)
        shown = [f"'{name}' is {amount}: {kind}" for kind, amount, name in pixels.steps] or [
            "no arithmetic on pixels"
        ]
        height, width, interpolation, resized = self._resize(ref, pixels)
        color = self._color(ref, pixels)
        return Finding(
            Image(
                size=(height, width),
                resize="stretch",
                interpolation=interpolation,
                color=color[0],
                steps=steps,
            ),
            (resized, *shown, color[1]),
        )

    def _resize(self, ref: Ref, pixels: Pixels) -> tuple[int, int, Any, str]:
        """Return height, width, interpolation and the evidence of the resizing."""
        dims = self._sizes.spec(ref).shape.dims
        known = dims[1:3] if dims is not None and len(dims) == 4 else (None, None)
        node = pixels.resize
        if node is None:
            if known[0] is None or known[1] is None:
                raise self._no_image("nothing in the graph resizes the picture, and its size is not known")
            return known[0], known[1], "tf1-bilinear", f"'{ref}' has this size; the graph does not resize"
        size = self._sizes.known(node.inputs[1])
        if size is None or size.size != 2:
            raise self._no_image(
                f"'{node.name}' ({node.op}) resizes to a size that it computes from the picture's, as "
                "keep_aspect_ratio_resizer does; TensorRT's input has one size",
                [f"its size is '{node.inputs[1]}' ({self.graph[node.inputs[1].node].op})"],
            )
        if node.attrs.get("align_corners") is True:
            raise self._no_image(
                f"'{node.name}' ({node.op}) aligns corners; expected an interpolation that 'image' names"
            )
        height, width = (int(n) for n in size.reshape(-1))
        if any(n is not None and n != m for n, m in zip(known, (height, width), strict=True)):
            raise self._fail(
                "D114",
                "the size of the network's input is contradictory",
                [f"'{node.inputs[1]}' is {height} x {width}", f"'{ref}' is {self._sizes.spec(ref)}"],
            )
        if node.op == "ResizeNearestNeighbor":
            way = "nearest"
        else:
            way = "half-pixel-bilinear" if node.attrs.get("half_pixel_centers") is True else "tf1-bilinear"
        return (
            height,
            width,
            way,
            f"'{node.name}' ({node.op}) resizes to '{node.inputs[1]}', {height} x {width}",
        )

    def _color(self, ref: Ref, pixels: Pixels) -> tuple[Any, str]:
        dims = self._sizes.spec(ref).shape.dims
        channels = dims[3] if dims is not None and len(dims) == 4 else None
        if channels == 1:
            return "GRAY", "one channel"
        if channels not in (3, None):
            raise self._no_image(f"'{ref}' has {channels} channels; expected 3 or 1")
        if pixels.reversed is not None:
            return "BGR", f"'{pixels.reversed.name}' reverses the channels of the RGB picture"
        return "RGB", "the channels keep the order in which the picture is fed, RGB by the API's convention"

    def _no_image(self, reason: str, notes: Iterable[str] = ()) -> SurgeonError:
        return self._fail(
            "D115",
            f"how pixels become the network's input cannot be derived: {reason}",
            notes,
            ["write 'image:' in the recipe, or take it away: 'image: null'"],
        )

    # --- boxes
    # ------------------------------------------------------------------------------------------------

    @cached_property
    def feature_maps(self) -> Finding[tuple[tuple[int, int], ...]]:
        """Height and width of each feature map that has heads, in the order in which these are joined."""
        found: list[tuple[int, int]] = []
        for head in self.box_heads.value:
            if head.height is None or head.width is None:
                raise self._fail(
                    "D113",
                    f"the size of the feature map '{head.feature}' is not known",
                    [f"it is {self.inference.spec(head.feature)}"],
                    ["give the input a 'shape'"],
                )
            found.append((head.height, head.width))
        return Finding(
            tuple(found),
            tuple(f"'{h.feature}' is {self.inference.spec(h.feature)}" for h in self.box_heads.value),
        )

    @cached_property
    def boxes_per_location(self) -> Finding[tuple[int, ...]]:
        """Number of anchors at each place of each feature map."""
        found: list[int] = []
        for head in self.box_heads.value:
            if head.channels is None or head.channels % 4:
                raise self._fail(
                    "D114",
                    f"'{head.conv}' gives {head.channels or 'an unknown number of'} channels; expected 4 for "
                    "each box",
                    self.box_heads.evidence,
                )
            found.append(head.channels // 4)
        evidence = tuple(
            f"'{h.conv}' has {h.channels} channels: {n} boxes"
            for h, n in zip(self.box_heads.value, found, strict=True)
        )
        return Finding(tuple(found), evidence)

    @cached_property
    def count(self) -> Finding[int]:
        """Number of anchors."""
        cells = zip(self.feature_maps.value, self.boxes_per_location.value, strict=True)
        total = sum(h * w * n for (h, w), n in cells)
        return Finding(total, (f"{len(self.feature_maps.value)} feature maps, {total} boxes in all",))

    @cached_property
    def loc_concat(self) -> Finding[str]:
        """Namespace of the operation that joins box encodings."""
        return Finding(_namespace(self._between[0]), self.box_heads.evidence)

    @cached_property
    def conf_concat(self) -> Finding[str]:
        """Namespace of the operation that joins class scores."""
        return Finding(_namespace(self._scores.join), self.class_heads.evidence)

    @cached_property
    def encodings(self) -> Finding[Ref]:
        """Box encodings (ty, tx, th, tw) as they are decoded: float32[N, P, 4] or [N, P, 1, 4]."""
        join, between = self._between
        ref = encodings_behind(self.graph, join, between)
        return Finding(
            ref, (f"'{ref}' is {self.inference.spec(ref)}", f"'{self._boxes.decoded}' is decoded from it")
        )

    @cached_property
    def decoded(self) -> Finding[Ref]:
        """Decoded boxes of all anchors, before any is selected."""
        ref = self._boxes.decoded
        return Finding(ref, (f"'{self._suppressing[0].name}' takes its boxes from '{ref}'",))

    @cached_property
    def anchors_tensor(self) -> Finding[Ref]:
        """The tensor float32[P, 4] from which decoding takes anchors: ymin, xmin, ymax, xmax."""
        entries = entering(self.graph, self._varying, self._between[1])
        ref = anchors_tensor(self.graph, self.inference, entries, self.count.value)
        if ref is None:
            read = ", ".join(f"'{entry}'" for entry in entries[:6]) or "nothing but encodings"
            raise self._fail(
                "D113",
                f"decoding reads no tensor of {self.count.value} anchors",
                [f"it reads {read}", *self.count.evidence],
            )
        return Finding(
            ref,
            (
                f"'{self._boxes.decoded}' is decoded with '{ref}' ({self.graph[ref.node].op}), "
                f"{self.inference.spec(ref)}",
            ),
        )

    @cached_property
    def _decoder(self) -> Decoder:
        return Decoder(
            self.graph, self.inference, self.encodings.value, self._boxes.decoded, self.count.value
        )

    @cached_property
    def anchors(self) -> Finding[np.ndarray]:
        """Anchors float32[P, 4] as the graph computes them.

        Ymin, xmin, ymax, xmax relative to the picture.
        """
        ref = self.anchors_tensor.value
        try:
            value = self.inference.value(ref)
            found = evaluate(self.graph, [ref], inference=self.inference)[0] if value is None else value
            zero = self._decoder.decode(np.zeros((self.count.value, 4)))
        except SurgeonError as exc:
            raise self._fail(
                "D117",
                f"the anchors '{ref}' cannot be computed without a picture",
                [d.message for d in exc.diagnostics],
                ["give the input a 'shape', if its size is not known"],
            ) from None
        boxes = np.ascontiguousarray(found, np.float32).reshape(-1, 4)
        if not np.isfinite(boxes).all() or np.abs(boxes).max(initial=0) > FURTHEST:
            raise self._fail(
                "D117",
                f"the anchors '{ref}' are not relative to the picture; the furthest number is "
                f"{np.abs(boxes).max():g}",
                ["an anchor generator that does not normalise gives pixels"],
            )
        worst = float(np.abs(zero - boxes).max()) if zero.shape == boxes.shape else float("inf")
        if not worst <= ANCHOR_TOLERANCE:
            raise self._fail(
                "D114",
                f"'{ref}' has the shape of anchors, but encodings of zero decode to other boxes",
                [f"the largest difference is {worst:.3g} of the picture", *self.anchors_tensor.evidence],
            )
        return Finding(
            boxes,
            (
                f"'{ref}', evaluated: {len(boxes)} anchors",
                f"zero encodings decode to them within {worst:.1e}",
            ),
        )

    @cached_property
    def coder(self) -> Finding[tuple[float, float, float, float]]:
        """Variances of centre-size coding, for x, y, width and height: by what encodings are multiplied."""
        anchors = self.anchors.value
        try:
            found = self._decoder.variances(anchors)
        except SurgeonError as exc:
            raise self._fail(
                "D116", "the decoding of boxes cannot be evaluated", [d.message for d in exc.diagnostics]
            ) from None
        if found is None:
            raise self._fail(
                "D116",
                f"'{self._boxes.decoded}' does not decode centre and size; expected (ty, tx, th, tw) against "
                "anchors",
                ["probes were decoded and compared with the formula", *self.encodings.evidence],
            )
        known = factors(self.graph, self.inference, self._between[1], self.encodings.value)
        pairs = [exact(value, known) for value in found]
        shown = [
            f"{axis}: {value:g}" + (f", by '{node}'" if node else ", measured")
            for axis, (value, node) in zip(("x", "y", "width", "height"), pairs, strict=True)
        ]
        x, y, w, h = (value for value, _ in pairs)
        return Finding(
            (x, y, w, h), (f"'{self._boxes.decoded}', decoded from probes, is centre-size coding", *shown)
        )

    # --- scores
    # -----------------------------------------------------------------------------------------------

    @cached_property
    def logits(self) -> Finding[Ref]:
        """Class scores before they are converted, float32[N, P, C]."""
        ref = self._scores.logits
        return Finding(ref, (f"'{ref}' is {self.inference.spec(ref)}",))

    @cached_property
    def classes(self) -> Finding[int]:
        """Number of scores of an anchor: the background's is one of them, unless :attr:`background` is -1."""
        spec = self.inference.spec(self.logits.value)
        last = spec.shape.dims[-1] if spec.shape.dims else None
        counts: dict[int, str] = {} if last is None else {last: f"'{self.logits.value}' is {spec}"}
        for score, boxes in zip(self.class_heads.value, self.boxes_per_location.value, strict=False):
            if score.channels:
                counts.setdefault(
                    score.channels // boxes if score.channels % boxes == 0 else -1,
                    f"'{score.conv}' has {score.channels} channels for {boxes} boxes a location",
                )
        if len(counts) != 1 or len(self.class_heads.value) != len(self.box_heads.value):
            raise self._fail(
                "D114",
                f"the number of classes is contradictory: {len(counts)} different answers",
                [*counts.values(), *self.box_heads.evidence, *self.class_heads.evidence],
            )
        value, shown = next(iter(counts.items()))
        return Finding(value, (shown, f"the same for {len(self.class_heads.value)} class heads"))

    @cached_property
    def background(self) -> Finding[int]:
        """0 where the first column of the scores is dropped as that of the background, -1 where all are
        kept.
        """
        node = self._scores.sliced
        if node is not None:
            return Finding(0, (f"'{node.name}' ({node.op}) drops the first of {self.classes.value} columns",))
        return Finding(-1, (f"all {self.classes.value} columns of '{self.logits.value}' are used",))

    @cached_property
    def score_converter(self) -> Finding[str]:
        """``sigmoid``, ``softmax`` or ``identity``: how scores become probabilities."""
        found = self._scores.converters
        if len(found) > 1:
            raise self._fail("D114", "scores are converted twice", [f"'{n.name}' ({n.op})" for n in found])
        if not found:
            return Finding(
                "identity",
                (f"no Sigmoid or Softmax between '{self.logits.value}' and '{self._suppressing[0].name}'",),
            )
        if found[0].op == "Softmax" and not self._scores.whole:
            raise self._fail(
                "D116",
                f"'{found[0].name}' (Softmax) does not see the background's column; expected one of all "
                "classes",
                self.background.evidence,
            )
        return Finding(found[0].op.lower(), (f"'{found[0].name}' ({found[0].op}) makes probabilities",))

    @cached_property
    def logit_scale(self) -> Finding[float]:
        """By what scores are multiplied before they are converted."""
        total = 1.0
        for factor, _ in self._scores.scales:
            total *= factor
        return Finding(
            plain(total),
            tuple(f"'{name}': {factor:g}" for factor, name in self._scores.scales)
            or ("scores are not scaled",),
        )

    # --- suppression
    # ------------------------------------------------------------------------------------------

    @cached_property
    def class_agnostic(self) -> Finding[bool]:
        """Whether boxes of different classes suppress each other."""
        node = self._scores.reduced
        if node is not None:
            return Finding(
                True, (f"'{node.name}' ({node.op}) takes the best class of a box before suppression",)
            )
        wanted = self.classes.value - (1 if self.background.value == 0 else 0)
        if self._suppressing[0].op != "CombinedNonMaxSuppression" and len(self._suppressing) % wanted:
            raise self._fail(
                "D114",
                f"{len(self._suppressing)} operations suppress boxes of {wanted} classes",
                [*self.suppressions.evidence, *self.classes.evidence, *self.background.evidence],
            )
        return Finding(False, (f"suppression is class by class: {len(self._suppressing)} for {wanted}",))

    @cached_property
    def score_threshold(self) -> Finding[float]:
        """What scores must exceed; 0 where nothing is compared."""
        found = self._one(score_thresholds, "threshold of scores")
        if found is None:
            return Finding(0.0, ("no operation compares scores before suppression",))
        if not np.isfinite(found.value):
            return Finding(0.0, (f"'{found.node}' is {found.value}: every score passes",))
        return Finding(plain(found.value), self._agreed(found))

    @cached_property
    def iou_threshold(self) -> Finding[float]:
        """Overlap (intersection over union) above which a box is dropped for a better one."""
        return self._required(iou_thresholds, "threshold of overlap", plain)

    @cached_property
    def soft_sigma(self) -> Finding[float]:
        """Sigma of soft suppression, 0 for the ordinary one."""
        found = self._one(soft_sigmas, "sigma of soft suppression")
        return (
            Finding(0.0, ("boxes are dropped",))
            if found is None
            else Finding(plain(found.value), self._agreed(found))
        )

    @cached_property
    def max_per_class(self) -> Finding[int]:
        """How many boxes of a class are kept."""
        return self._required(most_per_class, "number of boxes kept for a class", int)

    @cached_property
    def max_total(self) -> Finding[int]:
        """How many detections of a picture are kept."""
        bounds = list(most_in_all(self.graph, self._sizes, self._suppressing))
        found = min(bounds, key=lambda bound: bound.value, default=None)
        padded = self._padded()
        if found is None and padded is None:
            raise self._fail(
                "D113", "the number of detections kept cannot be told", self.suppressions.evidence
            )
        if found is None or (padded is not None and padded[0] < found.value):
            assert padded is not None
            return Finding(padded[0], (padded[1],))
        return Finding(int(found.value), (str(found), *([padded[1]] if padded else [])))

    def _padded(self) -> tuple[int, str] | None:
        try:
            outputs = self.detections.value
        except SurgeonError:
            return None
        for port in ("scores", "boxes"):
            ref = outputs.get(port)
            dims = self.inference.spec(ref).shape.dims if ref is not None else None
            if ref is not None and dims is not None and len(dims) > 1 and dims[1] is not None:
                return dims[1], f"'{ref}' is {self.inference.spec(ref)}"
        return None

    @cached_property
    def clips_first(self) -> Finding[bool]:
        """Whether boxes are clipped to the picture before suppression."""
        clips = self._boxes.clips
        if clips or self._suppressing[0].attrs.get("clip_boxes") is True:
            return Finding(
                True, (f"'{clips[0] if clips else self._suppressing[0].name}' clips what is suppressed",)
            )
        return Finding(False, (f"'{self._suppressing[0].name}' takes boxes as they are decoded",))

    def _one(
        self, constants: Callable[[Graph, Inference, Iterable[Node]], Iterable[Constant]], what: str
    ) -> Constant | None:
        """Return the constant on which all operations agree, None where there is none; raise D114 for two."""
        found: dict[float, Constant] = {}
        for constant in constants(self.graph, self._sizes, self._suppressing):
            found.setdefault(constant.value, constant)
        if len(found) > 1:
            raise self._fail(
                "D114",
                f"the {what} is contradictory: {len(found)} different values",
                [str(constant) for constant in list(found.values())[:6]],
                ["write the value that is meant"],
            )
        return next(iter(found.values()), None)

    def _required(
        self,
        constants: Callable[[Graph, Inference, Iterable[Node]], Iterable[Constant]],
        what: str,
        kind: Callable[[float], T],
    ) -> Finding[T]:
        found = self._one(constants, what)
        if found is None:
            raise self._fail("D113", f"the {what} is no constant of the graph", self.suppressions.evidence)
        return Finding(kind(found.value), self._agreed(found))

    def _agreed(self, constant: Constant) -> tuple[str, ...]:
        count = len(self._suppressing)
        return (str(constant), f"the same for {count} operations") if count > 1 else (str(constant),)

    # --- outputs
    # ----------------------------------------------------------------------------------------------

    @cached_property
    def detections(self) -> Finding[Mapping[str, Ref]]:
        """The graph's outputs: ``boxes``, ``scores``, ``classes`` and ``count``, as far as they are there."""
        named = {port: Ref(name) for port, name in OUTPUTS.items() if name in self.graph}
        if "boxes" in named and "scores" in named:
            return Finding(named, tuple(f"'{ref}' is {self.inference.spec(ref)}" for ref in named.values()))
        found = self._outputs_by_shape()
        if not {"boxes", "scores", "classes"} <= set(found):
            raise self._fail(
                "D113",
                "the outputs cannot be told apart; expected boxes, scores, classes and their count",
                [f"'{ref}' is {self.inference.spec(ref)}" for ref in self.graph.output_refs[:8]],
            )
        return Finding(
            found, tuple(f"'{ref}' is {self.inference.spec(ref)}: {port}" for port, ref in found.items())
        )

    def _outputs_by_shape(self) -> dict[str, Ref]:
        found: dict[str, Ref] = {}
        chosen = set(self.suppressions.value)
        flat: list[Ref] = []
        for ref in self.graph.output_refs:
            dims = self.inference.spec(ref).shape.dims
            if dims is None or chosen.isdisjoint(self.graph.ancestors([ref.node])):
                continue
            if len(dims) == 3 and dims[2] == 4:
                found.setdefault("boxes", ref)
            elif len(dims) == 1:
                found.setdefault("count", ref)
            elif len(dims) == 2:
                flat.append(ref)
        shifted = [ref for ref in flat if self._offset(ref) is not None]
        if len(flat) == 2 and len(shifted) == 1:
            found["classes"] = shifted[0]
            found["scores"] = next(ref for ref in flat if ref != shifted[0])
        return found

    @cached_property
    def label_offset(self) -> Finding[int]:
        """What is added to a class, counted from 0 without the background, to give the label."""
        ref = self.detections.value.get("classes")
        if ref is None:
            raise self._fail("D113", "the graph gives no classes", self.detections.evidence)
        offset = self._offset(ref)
        if offset is None:
            return Finding(0, (f"nothing is added on the way to '{ref}'",))
        return Finding(int(offset[0]), (f"'{offset[1]}' adds {offset[0]:g} on the way to '{ref}'",))

    def _offset(self, ref: Ref) -> tuple[float, str] | None:
        """Return the constant that is added last to a tensor, with the operation that does so."""
        for at in trail(self.graph, ref):
            node = self.graph[at.node]
            if node.op in ("Add", "AddV2"):
                parts = operand(self._sizes, node)
                value = number(self._sizes, parts[1]) if parts else None
                return None if value is None else (value, node.name)
        return None

    # --- refusals
    # ---------------------------------------------------------------------------------------------

    def _fail(
        self, code: str, message: str, notes: Iterable[str] = (), help: Iterable[str] = ()
    ) -> SurgeonError:
        return error(code, message, self.graph.source or None, notes, help)

    def _no_detector(self, reason: str, notes: Iterable[str] = ()) -> SurgeonError:
        tops = list(dict.fromkeys(node.name.partition("/")[0] for node in self.graph if "/" in node.name))
        return self._fail(
            "D112",
            f"the graph is not recognised as a single-shot detector: {reason}",
            [*notes, "namespaces: " + (", ".join(f"'{top}'" for top in tops[:8]) or "none")],
            ["write the values instead of 'auto'"],
        )


def _namespace(node: Node) -> str:
    """Return the namespace of an operation that is alone in it but for its constants, else the node's own
    name.
    """
    return (
        node.namespace
        if node.name.rpartition("/")[2] in ("concat", "ConcatV2") and node.namespace
        else node.name
    )
