"""How a single-shot detector makes boxes: feature maps, anchors, and the coding of boxes."""

from __future__ import annotations

from collections.abc import Mapping
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
from surgeon.families.ssd.structure import Structure
from surgeon.graph import Node, Ref
from surgeon.infer import evaluate

FURTHEST = 16.0


class BoxFindings(Structure):
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
        return Finding(self._namespace(self._between[0]), self.box_heads.evidence)

    @cached_property
    def conf_concat(self) -> Finding[str]:
        """Namespace of the operation that joins class scores."""
        return Finding(self._namespace(self._scores.join), self.class_heads.evidence)

    def _namespace(self, node: Node) -> str:
        """Return the namespace that holds an operation and constants alone, else the operation's name."""
        inside = f"{node.namespace}/"
        alone = node.namespace and all(
            each.name == node.name or each.op == "Const"
            for each in self.graph
            if each.name.startswith(inside)
        )
        return node.namespace if alone else node.name

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
    def anchor_source(self) -> Ref | None:
        """The tensor of ``anchors_tensor``.

        None where there is none: the centres and sizes of anchors were folded into constants of the decoding.
        """
        return anchors_tensor(self.graph, self.inference, self._decoded_with, self.count.value)

    @cached_property
    def _decoded_with(self) -> list[Ref]:
        """What decoding reads besides encodings."""
        return entering(self.graph, self._varying, self._between[1])

    def anchors_among(self, values: Mapping[Ref, np.ndarray]) -> np.ndarray:
        """Return the anchors float32[P, 4] among values of tensors, else as constants tell them."""
        ref = self.anchor_source
        return self.anchors.value if ref is None else values[ref].reshape(-1, 4)

    @cached_property
    def anchors_tensor(self) -> Finding[Ref]:
        """The tensor float32[P, 4] from which decoding takes anchors: ymin, xmin, ymax, xmax."""
        ref = self.anchor_source
        if ref is None:
            read = ", ".join(f"'{entry}'" for entry in self._decoded_with[:6]) or "nothing but encodings"
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
        ref = self.anchor_source
        if ref is None and not self._is_folded:
            ref = self.anchors_tensor.value
        shown = "that encodings of zero decode to" if ref is None else f"'{ref}'"
        try:
            zero = self._decoder.decode(np.zeros((self.count.value, 4)))
            found = zero if ref is None else self._value(ref)
        except SurgeonError as exc:
            raise self.fail(
                "D117",
                f"the anchors {shown} cannot be computed without a picture",
                [d.message for d in exc.diagnostics],
                ["give the input a 'shape', if its size is not known"],
            ) from None
        boxes = np.ascontiguousarray(found, np.float32).reshape(-1, 4)
        if not np.isfinite(boxes).all() or np.abs(boxes).max(initial=0) > FURTHEST:
            raise self.fail(
                "D117",
                f"the anchors {shown} are not relative to the picture; the furthest number is "
                f"{np.abs(boxes).max():g}",
                ["an anchor generator that does not normalise gives pixels"],
            )
        if ref is None:
            read = ", ".join(f"'{each}'" for each in self._decoded_with[:2])
            evidence = (
                f"encodings of zero, decoded: {plural(len(boxes), 'anchor')}",
                f"constants hold their centres and sizes, such as {read}",
            )
            return Finding(boxes, evidence)
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

    @property
    def _is_folded(self) -> bool:
        """Whether decoding reads constants of one number for each anchor."""
        values = [self.inference.value(ref) for ref in self._decoded_with]
        return any(value is not None and value.size == self.count.value for value in values)

    def _value(self, ref: Ref) -> np.ndarray:
        value = self.inference.value(ref)
        return evaluate(self.graph, [ref], inference=self.inference)[0] if value is None else value

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
