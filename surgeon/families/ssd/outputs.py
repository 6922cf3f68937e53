"""What a single-shot detector gives."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from surgeon.families.finding import Finding
from surgeon.families.parts.walk import number, operand, trail
from surgeon.families.ssd.scores import ScoreFindings
from surgeon.graph import Ref

OUTPUTS: Mapping[str, str] = {
    "boxes": "detection_boxes",
    "scores": "detection_scores",
    "classes": "detection_classes",
    "count": "num_detections",
}


class OutputFindings(ScoreFindings):
    """The outputs that hold detections, and how these count classes."""

    @cached_property
    def outputs(self) -> Finding[Mapping[str, Ref]]:
        """The graph's outputs: ``boxes``, ``scores``, ``classes`` and ``count``, as far as they are there."""
        named = {port: Ref(name) for port, name in OUTPUTS.items() if name in self.graph}
        if "boxes" in named and "scores" in named:
            return Finding(named, tuple(f"'{ref}' is {self.inference.spec(ref)}" for ref in named.values()))
        found = self._outputs_by_shape()
        if not {"boxes", "scores", "classes"} <= set(found):
            raise self.fail(
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
        ref = self.outputs.value.get("classes")
        if ref is None:
            raise self.fail("D113", "the graph gives no classes", self.outputs.evidence)
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
