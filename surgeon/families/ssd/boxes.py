"""How a single-shot detector makes boxes: feature maps, anchors, and the coding of boxes."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from surgeon.diagnostics import SurgeonError
from surgeon.display import plural
from surgeon.families.finding import Finding
from surgeon.families.parts.decoding import (
    ANCHOR_TOLERANCE,
    Decoder,
    anchors_tensor,
    encodings_behind,
    exact,
    factors,
)
from surgeon.families.parts.head_concat import entering
from surgeon.families.postprocessing import Coding
from surgeon.families.ssd.picture import PictureFindings
from surgeon.graph import Node, Ref
from surgeon.infer import evaluate

FURTHEST = 16.0


class BoxFindings(PictureFindings):
    """Feature maps, anchors, and how encodings are decoded against these."""

    @cached_property
    def feature_maps(self) -> Finding[tuple[tuple[int, int], ...]]:
        """Height and width of each feature map that has heads, in the order in which these are joined."""
        found: list[tuple[int, int]] = []
        for head in self.box_heads.value:
            if head.height is None or head.width is None:
                raise self.fail(
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
                raise self.fail(
                    "D114",
                    f"'{head.conv}' gives {head.channels or 'an unknown number of'} channels; expected 4 for "
                    "each box",
                    self.box_heads.evidence,
                )
            found.append(head.channels // 4)
        evidence = tuple(
            f"'{h.conv}' has {h.channels} channels: {plural(n, 'box', 'boxes')}"
            for h, n in zip(self.box_heads.value, found, strict=True)
        )
        return Finding(tuple(found), evidence)

    @cached_property
    def count(self) -> Finding[int]:
        """Number of anchors."""
        cells = zip(self.feature_maps.value, self.boxes_per_location.value, strict=True)
        total = sum(h * w * n for (h, w), n in cells)
        return Finding(
            total,
            (
                f"{plural(len(self.feature_maps.value), 'feature map')}, {plural(total, 'box', 'boxes')} in "
                "all",
            ),
        )

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
            raise self.fail(
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
            raise self.fail(
                "D117",
                f"the anchors '{ref}' cannot be computed without a picture",
                [d.message for d in exc.diagnostics],
                ["give the input a 'shape', if its size is not known"],
            ) from None
        boxes = np.ascontiguousarray(found, np.float32).reshape(-1, 4)
        if not np.isfinite(boxes).all() or np.abs(boxes).max(initial=0) > FURTHEST:
            raise self.fail(
                "D117",
                f"the anchors '{ref}' are not relative to the picture; the furthest number is "
                f"{np.abs(boxes).max():g}",
                ["an anchor generator that does not normalise gives pixels"],
            )
        worst = float(np.abs(zero - boxes).max()) if zero.shape == boxes.shape else float("inf")
        if not worst <= ANCHOR_TOLERANCE:
            raise self.fail(
                "D114",
                f"'{ref}' has the shape of anchors, but encodings of zero decode to other boxes",
                [f"the largest difference is {worst:.3g} of the picture", *self.anchors_tensor.evidence],
            )
        return Finding(
            boxes,
            (
                f"'{ref}', evaluated: {plural(len(boxes), 'anchor')}",
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
            raise self.fail(
                "D116", "the decoding of boxes cannot be evaluated", [d.message for d in exc.diagnostics]
            ) from None
        if found is None:
            raise self.fail(
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

    @cached_property
    def coding(self) -> Finding[Coding]:
        """How boxes are encoded: against centre and size of an anchor, as far as it is known here."""
        return Finding("centre-size", self.coder.evidence)


def _namespace(node: Node) -> str:
    """Return the namespace of an operation that is alone in it but for its constants, else the node's own
    name.
    """
    return (
        node.namespace
        if node.name.rpartition("/")[2] in ("concat", "ConcatV2") and node.namespace
        else node.name
    )
