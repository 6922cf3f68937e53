"""What the other findings rest on: what suppresses, what joins the heads, and the sizes of tensors."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from surgeon.diagnostics import SurgeonError
from surgeon.families.finding import Finding
from surgeon.families.parts.head_concat import joins_behind
from surgeon.families.parts.heads import Head, Role, convolution_behind, head_at, named_role
from surgeon.families.parts.picture import PictureFindings
from surgeon.families.parts.preprocessing import first_convolution
from surgeon.families.parts.scores import Broken, Scores, scores_of
from surgeon.families.parts.suppression import (
    Boxes,
    boxes_of,
    suppressions,
)
from surgeon.families.parts.walk import data_inputs
from surgeon.graph import Node


class Structure(PictureFindings):
    """The parts of a single-shot detector, found by walking back from what suppresses boxes."""

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
            raise self._no_detector(
                f"it is one of two stages, {self.architecture.value}", self.architecture.evidence
            )
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
            raise self.fail(
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
            raise self.fail(
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
        self._check_names(join, role)
        heads = tuple(head for ref in data_inputs(join) if (head := head_at(self.graph, self.inference, ref)))
        kind = "box" if role == "loc" else "class"
        return Finding(
            heads,
            (f"'{join.name}' joins {len(heads)} {kind} heads, from '{heads[0].conv}' to '{heads[-1].conv}'",),
        )

    def _check_names(self, join: Node, role: Role) -> None:
        """Refuse the join of one kind of heads where the names of all heads say the opposite of the
        structure.

        Names that do not tell the two joins apart, such as one scope around all heads, say nothing.
        """
        try:
            boxes, scores = self._named_heads(self._between[0]), self._named_heads(self._scores.join)
        except SurgeonError:
            return
        if set(boxes.values()) != {"conf"} or set(scores.values()) != {"loc"}:
            return
        contrary = next(iter(boxes if role == "loc" else scores))
        raise self.fail(
            "D114",
            f"'{join.name}' is used as the join of {'box' if role == 'loc' else 'class'} heads, but "
            f"'{contrary}' has the name of the other kind",
            [f"'{self._boxes.decoded}' is what '{self._suppressing[0].name}' takes as boxes"],
        )

    def _named_heads(self, join: Node) -> dict[str, Role]:
        """Return the convolutions whose names say what they predict, each with that."""
        found: dict[str, Role] = {}
        for ref in data_inputs(join):
            convolution = convolution_behind(self.graph, ref)
            role = named_role(convolution.name) if convolution is not None else None
            if convolution is not None and role is not None:
                found[convolution.name] = role
        return found

    @cached_property
    def architecture(self) -> Finding[str]:
        """``ssd``, or ``faster_rcnn``, ``rfcn`` or ``mask_rcnn`` for a detector of two stages."""
        stages = self._two_stages
        if not stages:
            self._check_structure()
            return Finding(
                "ssd",
                (*self.suppressions.evidence, *self.box_heads.evidence, *self.class_heads.evidence),
            )
        names = " ".join(
            node.name for node in self.graph if "/" not in node.name or "PositionSensitive" in node.name
        )
        if "detection_masks" in names:
            kind = "mask_rcnn"
        else:
            kind = "rfcn" if "PositionSensitive" in names else "faster_rcnn"
        second = f"a second stage reads '{stages[0]}' ({self.graph[stages[0]].op})"
        return Finding(kind, (second, *self.suppressions.evidence))

    def _check_structure(self) -> None:
        """Raise SurgeonError D112 where heads, their joins and suppression are not found."""
        try:
            self._check_names(self._between[0], "loc")
            self._check_names(self._scores.join, "conf")
        except SurgeonError as exc:
            first = exc.diagnostics[0]
            raise self._no_detector(first.message, (*self.suppressions.evidence, *first.notes)) from None

    @cached_property
    def _first_convolution(self) -> Node:
        head = convolution_behind(self.graph, data_inputs(self._between[0])[0], joined=False)
        assert head is not None
        return first_convolution(self.graph, self._varying, head)

    def _no_detector(self, reason: str, notes: Iterable[str] = ()) -> SurgeonError:
        tops = list(dict.fromkeys(node.name.partition("/")[0] for node in self.graph if "/" in node.name))
        return self.fail(
            "D112",
            f"the graph is not recognised as a single-shot detector: {reason}",
            [*notes, "namespaces: " + (", ".join(f"'{top}'" for top in tops[:8]) or "none")],
            ["write the values instead of 'auto'"],
        )
