"""What detectors share whose boxes are encoded against anchors in one tensor, and suppressed inside loops.

Such are the detectors that Keras layers write: keras-retinanet, and SSD with a layer that decodes. Their
pictures are prepared before they reach the graph, and their boxes are pixels with x first.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from surgeon.catalog import PluginSpec
from surgeon.diagnostics import SurgeonError
from surgeon.display import plural
from surgeon.families.family import AnchorConstant, Family
from surgeon.families.finding import Finding
from surgeon.families.parts.anchor_boxes import (
    coded,
    encodings_for,
    linear_variances,
    prior_boxes,
)
from surgeon.families.parts.heads import Head, head_at
from surgeon.families.parts.labels import added_last
from surgeon.families.parts.numbers import plain
from surgeon.families.parts.score_filters import compared_scores, score_thresholds
from surgeon.families.parts.suppression import Constant, iou_thresholds, most_per_class, soft_sigmas
from surgeon.families.parts.walk import behind, data_inputs
from surgeon.families.postprocessing import (
    PICTURE,
    Clipping,
    Coding,
    Converter,
    LazyFinding,
    Postprocessing,
    Sense,
    Window,
)
from surgeon.graph import AttrValue, Graph, Node, Ref, Shape, TensorSpec
from surgeon.graph.op_sets import PLACEHOLDERS, SIZES
from surgeon.graph.reach import upstream
from surgeon.infer import Inference, evaluate, infer

PIXELS_FROM = 2.5
"""Corners of anchors beyond this many pictures are pixels: no anchor lies so far outside."""

CODER_TOLERANCE = 1e-4
"""Relative to a box: by how much a decoded probe may differ from the formula of the coding."""

_SEED = 20181002
_FAR = 1e4
"""Encodings that reach over every edge."""

_TOLD = ("boxes", "scores", "classes", "rows")


@dataclass(frozen=True)
class AnchorBoxStructure:
    """Where a detector's boxes and scores come from.

    ``suppressing`` are the operations that suppress boxes, ``encodings`` what the box heads give, float32[N,
    P, 4], and ``scores`` what suppression takes, float32[N, P, C]. ``corners`` are xmin, ymin, xmax and ymax
    of decoded boxes, before any clipping; ``clipped`` is the tensor that joins them after it, None without.
    ``loop`` names the nodes between scores and boxes and the detections (membership only), ``best`` the
    operation that takes the best class of a box before suppression, if any.
    """

    suppressing: tuple[Node, ...]
    encodings: Ref
    scores: Ref
    corners: tuple[Ref, Ref, Ref, Ref]
    clipped: Ref | None
    loop: frozenset[str]
    best: Node | None = None


class AnchorBoxDetector(Family):
    """A detector whose boxes are encoded against anchors, taken apart by its structure.

    Every finding raises SurgeonError where the graph does not tell it: D112 where the graph is no such
    detector, D113 where a walk ends early, D114 where two witnesses contradict each other, D116 for a coding
    of boxes that has no name here and D117 for anchors that cannot be computed.
    """

    needed: ClassVar[tuple[str, ...]] = (
        "network_input",
        "anchors",
        "coding",
        "encodings",
        "logits",
        "classes",
        "background",
        "score_threshold",
        "iou_threshold",
        "max_per_class",
        "max_total",
        "class_agnostic",
    )
    """The findings that a recipe cannot do without."""

    keys = (
        *needed,
        "coder",
        "box_heads",
        "class_heads",
        "count",
        "clip",
        "clip_window",
        "score_sense",
        "label_offset",
    )

    sized_by_input = True

    pixels: ClassVar[bool] = True
    """Whether the outputs hold boxes in pixels of the network's input."""

    codings: ClassVar[tuple[Coding, ...]] = ("corners-by-size", "centre-size-xy")
    """Codings of boxes that a member may have, in the order of trial."""

    @cached_property
    @abstractmethod
    def structure(self) -> AnchorBoxStructure:
        """Where boxes and scores come from; raise SurgeonError D112 or D113 where it is another detector."""

    @property
    @abstractmethod
    def max_total(self) -> Finding[int]:
        """How many detections of a picture are kept."""

    @property
    @abstractmethod
    def background(self) -> Finding[int]:
        """The column of the scores that is no object, -1 where all are."""

    @abstractmethod
    def detected(self, values: Mapping[Ref, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Return the detections by part, corners relative to the network's input, from values of tensors."""

    # --- sizes

    @cached_property
    def inference(self) -> Inference:
        """Sizes and constants, the batch known."""
        if self._given is not None:
            return self._given
        ref = self.network_input.value
        spec = self._sizes.spec(ref)
        dims = spec.shape.dims
        if dims is None or len(dims) != 4 or None in dims[1:] or dims[0] is not None:
            return self._sizes
        return infer(self.graph, {str(ref): TensorSpec(spec.dtype, Shape((1, *dims[1:])))})

    @cached_property
    def _sizes(self) -> Inference:
        return self._given or infer(self.graph)

    @cached_property
    def network_input(self) -> Finding[Ref]:
        """The placeholder that a prepared picture is put into."""
        behind = upstream(self.graph, (ref.node for ref in (self.structure.encodings, self.structure.scores)))
        found = [node for node in self.graph if node.op in PLACEHOLDERS and node.name in behind]
        if len(found) != 1:
            raise self.fail(
                "D113",
                f"the network has {plural(len(found), 'input')}; expected one, the picture",
                [", ".join(f"'{node.name}'" for node in found[:6])] if found else [],
            )
        ref = Ref(found[0].name)
        return Finding(ref, (f"'{ref}' is {self._sizes.spec(ref)}",))

    @property
    def picture(self) -> Finding[Ref]:
        """The tensor that a picture is put into."""
        return self.network_input

    @property
    def takes_prepared_pictures(self) -> bool:
        """Whether a picture is prepared before it is put in: always, but where the graph does it."""
        return True

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of the network's input.

        Raise SurgeonError D113 where the graph does not tell them.
        """
        ref = self.network_input.value
        dims = self.inference.spec(ref).shape.dims
        if dims is None or len(dims) != 4 or None in dims[1:]:
            raise self.fail(
                "D113",
                f"the size of the network's input '{ref}' is not known: it is {self.inference.spec(ref)}",
                self.network_input.evidence,
                [
                    f"give it, such as --input {ref.node}=1x800x1333x3; anchors and the edges of the picture "
                    "depend on it"
                ],
            )
        height, width = dims[2:] if dims[1] in (1, 3) and dims[3] not in (1, 3) else dims[1:3]
        return height or 0, width or 0

    # --- boxes

    @cached_property
    def encodings(self) -> Finding[Ref]:
        """What the box heads give, float32[N, P, 4]."""
        ref = self.structure.encodings
        return Finding(
            ref,
            (f"'{ref}' is {self.inference.spec(ref)}", f"'{self.structure.corners[0]}' is decoded from it"),
        )

    @cached_property
    def count(self) -> Finding[int]:
        """Number of anchors."""
        ref = self.structure.encodings
        spec = self.inference.spec(ref)
        dims = spec.shape.dims
        if dims is None or len(dims) != 3 or dims[1] is None:
            self.size  # noqa: B018  the reason, where it is this
            raise self.fail("D113", f"the number of boxes is not known: '{ref}' is {spec}")
        return Finding(dims[1], (f"'{ref}' is {spec}",))

    def _decode(self, encodings: np.ndarray) -> np.ndarray:
        """Return corners float64[P, 4] (xmin, ymin, xmax, ymax), as the graph decodes float[P, 4]."""
        return self._evaluated(encodings, list(self.structure.corners))

    def _evaluated(self, encodings: np.ndarray, refs: list[Ref]) -> np.ndarray:
        scores = np.zeros((1, self.count.value, self.classes.value), np.float32)
        fed = {self.structure.encodings: encodings.astype(np.float32)[None], self.structure.scores: scores}
        values = evaluate(self.graph, refs, fed, inference=self.inference)
        return np.concatenate([value.reshape(self.count.value, -1) for value in values], axis=1).astype(float)

    @cached_property
    def _zero(self) -> np.ndarray:
        self.size  # noqa: B018  the reason, where it is not known
        try:
            return self._decode(np.zeros((self.count.value, 4)))
        except SurgeonError as exc:
            raise self.fail(
                "D117",
                "the anchors, which encodings of zero decode to, cannot be computed without a picture",
                [each.message for each in exc.diagnostics],
                ["write the recipe by hand: docs/recipes.md"],
            ) from None

    @cached_property
    def unit(self) -> tuple[float, float]:
        """Height and width of the picture in the units of decoded boxes: pixels, or 1."""
        return self.size if np.abs(self._zero).max(initial=0) > PIXELS_FROM else (1.0, 1.0)

    def relative(self, corners: np.ndarray) -> np.ndarray:
        """Return xmin, ymin, xmax, ymax in the units of decoded boxes as ymin, xmin, ymax, xmax relative to
        the network's input, float64[..., 4].
        """
        return np.asarray(corners[..., [1, 0, 3, 2]] / np.array([*self.unit, *self.unit]))

    @cached_property
    def anchors(self) -> Finding[np.ndarray]:
        """Anchors float32[P, 4]: ymin, xmin, ymax, xmax relative to the network's input."""
        zero = self._zero
        if not np.isfinite(zero).all():
            raise self.fail("D117", "encodings of zero decode to boxes that are not finite")
        unit = "pixels of the input" if self.unit != (1.0, 1.0) else "shares of the picture"
        evidence = f"encodings of zero decode to them: {plural(len(zero), 'anchor')}, in {unit}"
        return Finding(self.relative(zero).astype(np.float32), (evidence,))

    @cached_property
    def _coder(self) -> tuple[Coding, tuple[float, float, float, float]]:
        anchors = self.anchors.value[:, [1, 0, 3, 2]].astype(float)
        ones = self.relative(self._decode(np.ones((self.count.value, 4))))[:, [1, 0, 3, 2]]
        codes = np.random.default_rng(_SEED).uniform(-2, 2, (self.count.value, 4))
        decoded = self.relative(self._decode(codes))[:, [1, 0, 3, 2]]
        for coding in self.codings:
            found = linear_variances(coding, anchors, ones)
            if found is None:
                continue
            wanted = coded(coding, anchors, codes, found)
            if (np.abs(decoded - wanted) <= CODER_TOLERANCE * (1 + np.abs(wanted))).all():
                x, y, w, h = (plain(value, CODER_TOLERANCE / 10) for value in found)
                return coding, (x, y, w, h)
        raise self.fail(
            "D116",
            f"'{self.structure.corners[0]}' decodes boxes in another way than {' or '.join(self.codings)}",
            ["probes were decoded and compared with the formulas", *self.encodings.evidence],
        )

    @cached_property
    def coder(self) -> Finding[tuple[float, float, float, float]]:
        """By what encodings are multiplied."""
        coding, found = self._coder
        return Finding(found, (f"probes were decoded: {coding}, by {', '.join(f'{v:g}' for v in found)}",))

    @cached_property
    def coding(self) -> Finding[Coding]:
        """How boxes are encoded, told by probes."""
        return Finding(self._coder[0], self.coder.evidence)

    @cached_property
    def clip(self) -> Finding[Clipping]:
        """Whether boxes are clipped before suppression, or not at all."""
        clipped = self.structure.clipped
        if clipped is None:
            return Finding("none", ("boxes are suppressed, and come out, as they are decoded",))
        return Finding("before", (f"'{clipped}' joins clipped coordinates, which are suppressed",))

    @cached_property
    def clip_window(self) -> Finding[Window | None]:
        """The window to which boxes are clipped, measured on boxes that reach over every edge."""
        clipped = self.structure.clipped
        if clipped is None:
            return Finding(PICTURE, self.clip.evidence)
        sides = [self._evaluated(np.full((self.count.value, 4), far), [clipped]) for far in (-_FAR, _FAR)]
        low = self.relative(np.minimum(*sides).min(axis=0))
        high = self.relative(np.maximum(*sides).max(axis=0))
        top, left, bottom, right = (plain(float(v), 1e-7) for v in (low[0], low[1], high[2], high[3]))
        return Finding(
            (top, left, bottom, right),
            (f"'{clipped}' clips to {[top, left, bottom, right]} of a picture of {self.size}",),
        )

    # --- scores

    @cached_property
    def logits(self) -> Finding[Ref]:
        """The scores that suppression takes, float32[N, P, C]; operations in front have converted them."""
        ref = self.structure.scores
        return Finding(ref, (f"'{ref}' is {self.inference.spec(ref)}",))

    @cached_property
    def classes(self) -> Finding[int]:
        """Number of scores of a box, the background's included."""
        ref = self.structure.scores
        spec = self.inference.spec(ref)
        dims = spec.shape.dims
        if dims is None or dims[-1] is None:
            raise self.fail("D113", f"the number of classes is not known: '{ref}' is {spec}")
        return Finding(dims[-1], (f"'{ref}' is {spec}",))

    @cached_property
    def object_classes(self) -> Finding[int]:
        """Number of classes without the background's."""
        return Finding(self.classes.value - (self.background.value >= 0), self.classes.evidence)

    @cached_property
    def box_heads(self) -> Finding[tuple[Head, ...]]:
        """The convolutions whose boxes are joined."""
        return self._heads(self.structure.encodings)

    @cached_property
    def class_heads(self) -> Finding[tuple[Head, ...]]:
        """The convolutions whose scores are joined, or what computes the scores from these."""
        return self._heads(self.structure.scores)

    def _heads(self, ref: Ref) -> Finding[tuple[Head, ...]]:
        node = self.graph[ref.node]
        parts = data_inputs(node) if node.op in ("ConcatV2", "Concat") else ()
        heads = [head_at(self.graph, self.inference, part) for part in parts]
        found = tuple(head for head in heads if head is not None)
        if not parts or len(found) != len(parts):
            found = (Head(ref, ref.node, ref, None, None, None),)
        return Finding(found, (f"'{ref}' joins {plural(len(found), 'head')}",))

    @cached_property
    def class_agnostic(self) -> Finding[bool]:
        """Whether boxes of different classes suppress each other."""
        best = self.structure.best
        if best is not None:
            return Finding(True, (f"'{best.name}' ({best.op}) takes the best class of a box",))
        return Finding(False, ("boxes are suppressed class by class",))

    @cached_property
    def _thresholds(self) -> tuple[Constant, ...]:
        """The bounds of scores: one for each operation that suppresses, or of each comparison of the loop."""
        structure = self.structure
        if structure.suppressing:
            understood = self.other_conditions
            return tuple(
                score_thresholds(self.graph, self._sizes, structure.suppressing, self.moved, understood)
            )
        return tuple(compared_scores(self.graph, self._sizes, structure.loop, structure.scores, self.moved))

    @property
    def other_conditions(self) -> Collection[str]:
        """Conditions on candidates of suppression that are none of scores, and that other findings tell."""
        return ()

    @staticmethod
    def moved(graph: Graph, ref: Ref) -> Ref | None:
        """Return the tensor whose numbers ``ref`` holds, one operation back; None where it computes them."""
        return behind(graph, ref)

    @cached_property
    def score_threshold(self) -> Finding[float]:
        """What scores must exceed; 0 where nothing is compared."""
        if not any(np.isfinite(each.value) for each in self._thresholds):
            return Finding(0.0, ("no operation compares scores before suppression",))
        found = self._one_of(self._thresholds, "threshold of scores")
        return Finding(plain(found.value), (f"'{found.of}' compares with {found.value:g}",))

    @cached_property
    def score_sense(self) -> Finding[Sense]:
        """Whether scores must lie above the threshold, or may equal it."""
        if not any(np.isfinite(each.value) for each in self._thresholds):
            return Finding("above", self.score_threshold.evidence)
        found = self._thresholds[0]
        if any(each.may_equal != found.may_equal for each in self._thresholds):
            raise self.fail("D114", "some scores may equal their threshold and others must exceed it")
        return Finding("at least" if found.may_equal else "above", self.score_threshold.evidence)

    # --- suppression

    @cached_property
    def iou_threshold(self) -> Finding[float]:
        """Overlap (intersection over union) above which a box is dropped for a better one."""
        if not self.structure.suppressing:
            return Finding(1.0, ("no operation suppresses overlapping boxes",))
        return self._agreed(iou_thresholds, "threshold of overlap", plain)

    @cached_property
    def soft_sigma(self) -> Finding[float]:
        """Sigma of soft suppression, 0 for the ordinary one."""
        found = list(soft_sigmas(self.graph, self._sizes, self.structure.suppressing))
        worst = max(found, key=lambda constant: constant.value, default=None)
        if worst is None or not worst.value:
            return Finding(0.0, ("boxes are dropped",))
        return Finding(plain(worst.value), (str(worst),))

    @cached_property
    def max_per_class(self) -> Finding[int]:
        """How many boxes of a class are kept."""
        if not self.structure.suppressing:
            return Finding(self.max_total.value, ("no operation suppresses boxes", *self.max_total.evidence))
        return self._agreed(most_per_class, "number of boxes kept for a class", int)

    def _agreed(
        self,
        constants: Callable[[Graph, Inference, Iterable[Node]], Iterable[Constant]],
        what: str,
        kind: Callable[[float], float],
    ) -> Finding[Any]:
        constant = self._one_of(constants(self.graph, self._sizes, self.structure.suppressing), what)
        return Finding(kind(constant.value), (str(constant),))

    def _one_of(self, constants: Iterable[Constant], what: str) -> Constant:
        """Return the constant on which all agree; raise SurgeonError D113 for none and D114 for several."""
        found = {constant.value: constant for constant in constants}
        if len(found) > 1:
            shown = [str(constant) for constant in list(found.values())[:6]]
            raise self.fail("D114", f"the {what} is contradictory: {len(found)} different answers", shown)
        if not found:
            names = [f"'{node.name}' ({node.op})" for node in self.structure.suppressing[:4]]
            raise self.fail("D113", f"the {what} is not a constant of the graph", names)
        return next(iter(found.values()))

    @cached_property
    def label_offset(self) -> Finding[int]:
        """What is added to a column of the scores to give the class that the graph tells."""
        ref = self.outputs.value.get("classes")
        found = None if ref is None else added_last(self.graph, self._sizes, ref)
        if found is None:
            return Finding(0, ("classes are columns of the scores",))
        return Finding(int(found[0]), (f"'{found[1]}' adds {found[0]:g} on the way to '{ref}'",))

    @property
    def class_shift(self) -> int:
        """What to add to a class of the outputs to get the plugin's label for it."""
        return -self.label_offset.value

    @cached_property
    def postprocessing(self) -> Postprocessing:
        """What the original computes between the heads and the detections."""
        none = Finding(False, ("no operation asks for the area of a box",))
        converted: Finding[Converter] = Finding("identity", ("operations in front convert scores",))
        return Postprocessing(
            boxes=LazyFinding(lambda: self.count),
            coding=LazyFinding(lambda: self.coding),
            variances=LazyFinding(lambda: self.coder),
            classes=LazyFinding(lambda: self.classes),
            background=LazyFinding(lambda: self.background),
            score_scale=Finding(1.0, converted.evidence),
            score_converter=converted,
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

    # --- what recipes and verification ask

    def joining_node(self, port: str) -> str:
        """Return the node that joins box heads (``loc``) or class heads (``conf``)."""
        return (self.structure.encodings if port == "loc" else self.structure.scores).node

    def join(self, port: str) -> Finding[str]:
        """Return the node that joins box heads (``loc``) or class heads (``conf``)."""
        heads = self.box_heads if port == "loc" else self.class_heads
        return Finding(self.joining_node(port), heads.evidence)

    def anchor_constant(self) -> AnchorConstant:
        """Return anchors and variances, float32[1, 2, 4P, 1], as NMS_TRT reads them."""
        anchors, variances = self.anchors, self.coder
        value = prior_boxes(anchors.value, variances.value)
        return AnchorConstant(value, (*anchors.evidence, *variances.evidence))

    @cached_property
    def plugin_sources(self) -> tuple[Ref, ...]:
        """Encodings and scores."""
        return self.structure.encodings, self.structure.scores

    @property
    def plugin_rows(self) -> int:
        """How many boxes the plugin reads."""
        return self.count.value

    @property
    def plugin_reads(self) -> tuple[Ref, Ref]:
        """The tensors that the plugin's boxes or encodings, and its scores, are made of."""
        return self.structure.encodings, self.structure.scores

    def box_nodes(self, name: str) -> Mapping[str, Mapping[str, Any]]:
        """Return the nodes that a recipe puts between the graph's boxes and the plugin's, by name.

        The last one gives float32[N, P, 4]; ``name`` begins their names.
        """
        return {}

    def score_nodes(self, name: str) -> Mapping[str, Mapping[str, Any]]:
        """Return the nodes that a recipe puts between the graph's scores and the plugin's, by name.

        The last one gives float32[N, P, C]; ``name`` begins their names.
        """
        return {}

    def scores_for_plugin(self, scores: np.ndarray) -> np.ndarray:
        """Return the scores float32[N, P, C] as the plugin reads them, from those of the graph."""
        return scores

    def plugin_inputs(
        self, plugin: PluginSpec, fields: Mapping[str, AttrValue], values: Mapping[Ref, np.ndarray]
    ) -> Mapping[str, np.ndarray]:
        """Return what the original gives to a plugin of the ports ``loc``, ``conf`` and ``prior``."""
        if {port.name for port in plugin.inputs} != {"loc", "conf", "prior"}:
            return {}
        encodings, scores = (values[ref] for ref in self.plugin_sources)
        shaped = {"loc": encodings, "conf": self.scores_for_plugin(scores)}
        flat = {port: array.reshape(len(array), -1, 1, 1) for port, array in shaped.items()}
        return {**flat, "prior": self.anchor_constant().value}

    def heads_for(
        self, boxes: np.ndarray, scores: np.ndarray, values: Mapping[Ref, np.ndarray]
    ) -> Mapping[Ref, np.ndarray]:
        """Return encodings and scores for boxes and probabilities of the classes."""
        corners = boxes[:, [1, 0, 3, 2]].astype(float)
        anchors = self.anchors.value[:, [1, 0, 3, 2]].astype(float)
        encoded = encodings_for(self.coding.value, anchors, corners, self.coder.value)
        if self.background.value == 0:
            # Where the best class of all counts, the background's must not be it.
            likely = scores.sum(axis=1, keepdims=True) if self.structure.best is None else 1
            scores = np.concatenate([np.broadcast_to(1 - likely, (len(scores), 1)), scores], axis=1)
        found = {self.structure.encodings: encoded, self.structure.scores: scores}
        return {
            ref: np.repeat(array[None].astype(np.float32), len(values[ref]), axis=0)
            for ref, array in found.items()
        }


def loop_between(graph: Graph, starts: Iterable[Ref], ends: Iterable[Ref]) -> frozenset[str]:
    """Return the nodes that depend on some tensors, and on which others depend; sizes are not followed."""
    behind = upstream(graph, (ref.node for ref in ends))
    found: set[str] = set()
    waiting = [name for ref in starts for name, _ in graph.data_readers(ref)]
    while waiting:
        name = waiting.pop()
        if name in found or name not in behind or graph[name].op in SIZES:
            continue
        found.add(name)
        waiting += graph.readers[name]
    return frozenset(found)
