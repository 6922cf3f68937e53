"""SSD as ssd_keras writes it: scores, encodings, anchors and variances in one tensor, decoded in a layer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from surgeon.diagnostics import SurgeonError
from surgeon.families.family import Draft, DraftOptions, Family, Refusal
from surgeon.families.finding import Finding
from surgeon.families.parts.anchor_detector import AnchorBoxDetector, AnchorBoxStructure, loop_between
from surgeon.families.parts.heads import CONVOLUTIONS, convolution_behind
from surgeon.families.parts.suppression import suppressions
from surgeon.families.parts.walk import behind_identities, data_inputs, number, trail
from surgeon.graph import Graph, Node, Ref
from surgeon.graph.op_sets import PASSED_OVER, PLACEHOLDERS, SIZES
from surgeon.graph.reach import downstream, upstream, varying
from surgeon.infer import Inference
from surgeon.language import Image

_JOINS = ("ConcatV2", "Concat")
_COLUMNS = ("class", "score", "xmin", "ymin", "xmax", "ymax")
_CLASSES_AND_CORNERS, _TABLE = 5, 6
"""Parts of what is decoded: scores of all classes and corners, or of the best class alone."""

_STEEP = 32768.0
"""Factor, taken twice, that makes a difference of scores larger than any score; float16 holds it, too."""


def _shown(labels: np.ndarray) -> str:
    """Return the first columns and the last one as text."""
    return f"{labels[0]} to {labels[-1]}" if labels.size else "none"


class KerasSSD(AnchorBoxDetector):
    """A detector that joins scores, encodings and anchors on the last axis, and decodes boxes from that."""

    name = "keras_ssd"
    title = "single-shot detector of Keras"
    codings = ("centre-size-xy",)

    @classmethod
    def match(cls, graph: Graph, inference: Inference | None = None) -> Family | Refusal:
        """Return a detector whose predictions hold scores, encodings and anchors, else why it is none."""
        detector = cls(graph, inference)
        try:
            detector.structure  # noqa: B018  its reason
        except SurgeonError as exc:
            return Refusal(detector, exc, 0)
        return detector

    @property
    def kind(self) -> str:
        """Family, and ``fast`` where suppression is over all classes."""
        return f"{self.name}_fast" if self.structure.best is not None else self.name

    def _none(self, why: str) -> SurgeonError:
        return self.fail("D112", f"the graph is no SSD of Keras: {why}")

    @cached_property
    def structure(self) -> AnchorBoxStructure:
        graph = self.graph
        suppressing = suppressions(graph)
        if not suppressing:
            raise self._none("no operation of it suppresses overlapping boxes (NonMaxSuppression)")
        decoded, predictions = self._decoded(suppressing)
        scores, encodings = predictions
        parts = data_inputs(decoded)
        first, second, third, fourth = parts[-4:]
        best = None
        if len(parts) == _TABLE:
            best = next(
                (
                    graph[name]
                    for name in sorted(upstream(graph, [parts[0].node]) - upstream(graph, [scores.node]))
                    if graph[name].op == "ArgMax"
                ),
                None,
            )
            if best is None:
                raise self._none(f"no ArgMax gives the first column of '{decoded.name}'")
        loop = loop_between(graph, [scores, encodings], graph.output_refs)
        return AnchorBoxStructure(
            suppressing, encodings, scores, (first, second, third, fourth), None, loop, best
        )

    def _decoded(self, suppressing: tuple[Node, ...]) -> tuple[Node, tuple[Ref, Ref]]:
        """Return what joins classes and decoded corners, and the scores and encodings behind it."""
        graph = self.graph
        behind = upstream(graph, (ref.node for node in suppressing for ref in node.inputs[:2]))
        joins = [node for node in graph if node.name in behind and node.op in _JOINS]
        predictions = {node.name: found for node in joins if (found := self._predictions(node)) is not None}
        if len(predictions) != 1:
            raise self._none("no tensor of it holds scores, encodings, anchors and variances")
        ((name, found),) = predictions.items()
        for node in joins:
            parts = data_inputs(node)
            if len(parts) not in (_CLASSES_AND_CORNERS, _TABLE) or node.name == name:
                continue
            if name in upstream(graph, [node.name]) and self._is_outside(node, name):
                return node, found
        raise self._none(f"nothing decodes '{name}' to scores and four corners")

    def _predictions(self, node: Node) -> tuple[Ref, Ref] | None:
        """Return scores and encodings of a join of three, whose third part no picture changes."""
        parts = data_inputs(node)
        if len(parts) != 3 or parts[2].node in self._varying or parts[0].node not in self._varying:
            return None
        joined = self.graph[parts[1].node]
        if joined.op not in _JOINS or convolution_behind(self.graph, parts[1]) is None:
            return None
        return parts[0], parts[1]

    def _is_outside(self, node: Node, predictions: str) -> bool:
        """Return whether a node lies before any loop: nothing reads an array between it and predictions."""
        between = upstream(self.graph, [node.name], stop=predictions)
        return not any(self.graph[name].op.startswith(("TensorArray", "TensorList")) for name in between)

    @cached_property
    def _varying(self) -> set[str]:
        return varying(self.graph, (node.name for node in self.graph if node.op in PLACEHOLDERS))

    @cached_property
    def background(self) -> Finding[int]:
        """The column of the scores that is no object: the first, or none; raise SurgeonError D113 where other
        columns are left out.
        """
        dropped = self._not_first
        if self.structure.best is not None:
            if dropped is None:
                return Finding(-1, (f"every class of '{self.structure.best.name}' is an object",))
            return Finding(0, (f"'{dropped.name}' leaves out boxes of the class 0",))
        labels = self._labels
        first = int(labels.value[0]) if labels.value.size else -1
        every = np.arange(first, self.classes.value)
        if first not in (0, 1) or not np.array_equal(labels.value, every):
            raise self.fail(
                "D113",
                f"the classes {labels.value[:8].tolist()} of {self.classes.value} are suppressed; expected "
                "all, or all but the first",
                labels.evidence,
            )
        return Finding(first - 1, labels.evidence)

    @cached_property
    def _labels(self) -> Finding[np.ndarray]:
        """The columns of the scores that a loop takes one after the other."""
        for node in self.graph:
            if node.op != "StridedSlice" or node.name not in self.structure.loop:
                continue
            begin = self.graph[node.inputs[1].node]
            for each in begin.inputs if begin.op == "Pack" else ():
                *_, last = trail(self.graph, each)
                value = self._sizes.known(last)
                if value is not None and value.ndim == 1:
                    return Finding(value, (f"'{node.name}' takes the columns {_shown(value)}, by '{last}'",))
        raise self.fail("D113", "which classes are suppressed is not a constant of the graph")

    @cached_property
    def _not_first(self) -> Node | None:
        """The comparison that leaves out boxes of the class 0, if any."""
        for node in self.graph:
            compares = node.op == "NotEqual" and node.name in self.structure.loop
            if compares and number(self._sizes, node.inputs[1]) == 0:
                return node
        return None

    @property
    def other_conditions(self) -> Collection[str]:
        """The condition that a box is no background."""
        return () if self._not_first is None else (self._not_first.name,)

    @cached_property
    def max_total(self) -> Finding[int]:
        """How many detections of a picture are kept: the rows that are sorted out at the end."""
        found: list[tuple[float, str]] = []
        for node in self.graph:
            if node.op != "TopKV2" or node.name not in self.structure.loop or len(node.inputs) < 2:
                continue
            for ref in trail(self.graph, node.inputs[1]):
                value = number(self._sizes, ref)
                if value is not None:
                    found.append((value, ref.node))
                    break
        if not found:
            raise self.fail("D113", "the number of detections kept is not a constant of the graph")
        value, name = min(found)
        return Finding(int(value), (f"'{name}' is {value:g}",))

    @cached_property
    def outputs(self) -> Finding[Mapping[str, Ref]]:
        """The output: ``rows`` float32[N, K, 6] (class, score, xmin, ymin, xmax, ymax), of zeros in rows
        without a detection.
        """
        found = [
            ref
            for ref in (behind_identities(self.graph, output) for output in self.graph.output_refs)
            if ref.node in self.structure.loop
        ]
        if len(found) != 1:
            raise self.fail(
                "D113",
                f"{len(found)} outputs of the graph hold detections; expected one, a table",
                [f"it gives {', '.join(map(repr, map(str, self.graph.output_refs)))}"],
            )
        return Finding({"rows": found[0]}, (f"'{found[0]}' holds {', '.join(_COLUMNS)}",))

    def detected(self, values: Mapping[Ref, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Return the detections by part, corners relative to the network's input."""
        rows = values[self.outputs.value["rows"]]
        boxes = self.relative(rows[..., 2:6].astype(float)).astype(np.float32)
        return {"boxes": boxes, "scores": rows[..., 1], "classes": rows[..., 0]}

    # --- the best class of a box

    def score_nodes(self, name: str) -> Mapping[str, Mapping[str, Any]]:
        """Return the nodes that leave the best class of each box its score, where the graph takes that."""
        if self.structure.best is None:
            return {}
        scores = str(self.structure.scores)
        best, below, steep = f"{name}_best", f"{name}_below", f"{name}_steep"
        # What is below the best by the least that float32 tells goes below 0; nothing is compared, for UFF.
        return {
            best: {"op": "Max", "inputs": [scores], "axis": 2, "attrs": {"keep_dims": True}},
            below: {"op": "Sub", "inputs": [scores, best]},
            steep: {"op": "Const", "value": _STEEP, "dtype": "float32"},
            f"{below}_once": {"op": "Mul", "inputs": [below, steep]},
            f"{below}_twice": {"op": "Mul", "inputs": [f"{below}_once", steep]},
            f"{name}_lowered": {"op": "Add", "inputs": [scores, f"{below}_twice"]},
            f"{name}_kept": {"op": "Relu", "inputs": [f"{name}_lowered"]},
        }

    def scores_for_plugin(self, scores: np.ndarray) -> np.ndarray:
        """Return the scores as the plugin reads them: of the best class alone where the graph takes that."""
        if self.structure.best is None:
            return scores
        return np.where(scores >= scores.max(axis=-1, keepdims=True), scores, np.float32(0))

    @cached_property
    def image(self) -> Finding[Image]:
        """How a picture becomes the network's input: its size; the graph does the rest."""
        height, width = self.size
        image = Image.model_validate(
            {"size": [height, width], "resize": "stretch", "interpolation": "half-pixel-bilinear"}
        )
        return Finding(image, (f"pixels from 0 to 255: {self._prepares}",))

    @property
    def _prepares(self) -> str:
        """What the graph does to pixels in front of its first convolution, in words."""
        start = self.network_input.value.node
        front = downstream(self.graph, [start], until=lambda node: node.op in CONVOLUTIONS | SIZES)
        front &= upstream(self.graph, [self.structure.encodings.node])
        computing = (self.graph[name] for name in sorted(front - {start}))
        found = [f"'{node.name}' ({node.op})" for node in computing if node.op not in PASSED_OVER]
        if found:
            return f"the graph prepares them, by {', '.join(found[:6])}"
        return "no operation prepares them; where the network was trained on others, write steps here"

    def draft(self, options: DraftOptions) -> Draft:
        """Write a recipe with every value literal, and its evidence."""
        from surgeon.families.parts.anchor_draft import draft_recipe

        return draft_recipe(self, options)


FAMILY = KerasSSD
