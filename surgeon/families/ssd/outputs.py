"""What a single-shot detector gives."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from surgeon.families.finding import Finding
from surgeon.families.parts.labels import added_last
from surgeon.families.parts.origins import origins
from surgeon.families.ssd.scores import ScoreFindings
from surgeon.graph import Ref
from surgeon.graph.reach import upstream

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
        found = self._outputs_by_origin()
        if not {"boxes", "scores", "classes"} <= set(found):
            raise self.fail(
                "D113",
                "the outputs cannot be told apart; expected boxes, scores, classes and their count",
                [f"'{ref}' is {self.inference.spec(ref)}" for ref in self.graph.output_refs[:8]],
            )
        return Finding(
            found, tuple(f"'{ref}' is {self.inference.spec(ref)}: {port}" for port, ref in found.items())
        )

    def _outputs_by_origin(self) -> dict[str, Ref]:
        """Return the outputs that only one tensor behind suppression can be, by what feeds each."""
        candidates: dict[str, list[Ref]] = {}
        for ref in self.graph.output_refs:
            port = self._port(ref)
            if port:
                candidates.setdefault(port, []).append(ref)
        shifted = [ref for ref in candidates.get("classes", ()) if self._offset(ref) is not None]
        if len(shifted) == 1:
            candidates["classes"] = shifted
        return {port: candidates[port][0] for port in OUTPUTS if len(candidates.get(port, ())) == 1}

    def _port(self, ref: Ref) -> str:
        """Return which part of the detections an output may hold; empty where it holds none."""
        chosen = set(self.suppressions.value)
        if chosen.isdisjoint(upstream(self.graph, [ref.node])):
            return ""
        sources = origins(self.graph, ref)
        shape = self.inference.spec(ref).shape
        rank, columns = shape.rank, shape.dims[-1] if shape.dims else None
        combined = {at.slot for at in sources if self.graph[at.node].op == "CombinedNonMaxSuppression"}
        if combined:
            return tuple(OUTPUTS)[min(combined)]
        nodes = {at.node for at in sources}
        if nodes & {self._boxes.decoded.node, self._boxes.computed.node}:
            return "boxes" if rank in (3, None) and columns in (4, None) else ""
        if nodes & {self._scores.logits.node, *(node.name for node in self._scores.converters)}:
            return "scores" if rank in (2, None) else ""
        if any(Ref(name) in sources for name in chosen) or rank is None:
            return ""  # suppression gives the indices of the anchors that it kept
        return {1: "count", 2: "classes"}.get(rank, "")

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
        return added_last(self.graph, self._sizes, ref)
