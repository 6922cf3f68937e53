"""What decodes boxes in front of a plugin, run by itself and held against the formula."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

import numpy as np

from surgeon.graph import DType, Graph, Node, Ref, TensorValue
from surgeon.kernels.detection_output.numbers import decode
from surgeon.rewrite.decoding import Decoding
from surgeon.runners.tensorflow import TensorFlowRunner

FAINT = 1e-6
"""Sides of a box that two ways to round may give as 0 or not."""

_FAR_BELOW = -300.0
"""What the score of a dropped box is below."""


@dataclass(frozen=True, eq=False)
class DecodedInFront:
    """The nodes that decode boxes in front of the plugin ``decoding.node`` of a rewritten graph."""

    graph: Graph
    decoding: Decoding
    inputs: dict[str, Ref]
    """What the plugin reads, by port."""

    @property
    def entries(self) -> dict[str, str]:
        """The nodes that read what the plugin would have read, by port."""
        entries = {"loc": self.decoding.encodings, "conf": self.decoding.scores}
        return {port: name for port, name in entries.items() if name}

    @cached_property
    def _runner(self) -> TensorFlowRunner:
        """The nodes from the entries to the plugin, with placeholders for what goes in."""
        entries = self.entries
        placeholders = {name: self.graph.free_name(f"{name}/fed") for name in entries.values()}
        inside: dict[str, None] = {}
        stack = [self.inputs[port].node for port in entries]
        while stack:
            name = stack.pop()
            if name in inside:
                continue
            inside[name] = None
            ahead = self.graph[name].inputs
            stack += [ref.node for ref in (ahead[1:] if name in placeholders else ahead)]
        nodes = [
            Node(placeholder, "Placeholder", attrs={"dtype": DType.FLOAT32})
            for placeholder in placeholders.values()
        ]
        for node in self.graph:
            if node.name in inside:
                first = (Ref(placeholders[node.name]),) if node.name in placeholders else node.inputs[:1]
                nodes.append(replace(node, inputs=(*first, *node.inputs[1:]), control=()))
        return TensorFlowRunner(self.graph.replace(nodes, ()), [self.inputs[port] for port in entries])

    def run(
        self,
        given: Mapping[str, np.ndarray],
        rule: str = "",
        changed: Mapping[str, np.ndarray] = MappingProxyType({}),
    ) -> dict[str, np.ndarray]:
        """Return what the plugin reads by port, of what it would have read where it decoded boxes itself.

        With ``rule``, constants hold what they would with that rule of the anchors' plugins changed;
        ``changed`` are other values of constants by name.
        """
        entries = self.entries
        feeds = {Ref(self.graph.free_name(f"{name}/fed")): given[port] for port, name in entries.items()}
        others = {**self.decoding.variants.get(rule, {}), **changed}
        constants = {Ref(name): value for name, value in others.items()}
        fetched = self._runner.fetch([self.inputs[port] for port in entries], feeds | constants)
        values = {str(ref): value for ref, value in fetched.items()}
        made = {**given, **{port: values[str(self.inputs[port])] for port in entries}}
        if "prior" not in self.inputs:
            return made
        prior = self.graph[self.inputs["prior"].node].attrs["value"]
        assert isinstance(prior, TensorValue)
        return {**made, "prior": prior.array()}

    def taken(self, made: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the boxes float32[N, P, 4] that the plugin takes from what :meth:`run` returns."""
        if "prior" not in self.inputs:
            return made["loc"].reshape(len(made["loc"]), -1, 4)[..., [1, 0, 3, 2]]
        fields = {"isBatchAgnostic": 1, **self.graph[self.decoding.node].attrs}
        return decode(fields, made["loc"], made["prior"])[:, :, 0]

    def expected(self, given: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return the boxes float32[N, P, 4] (xmin, ymin, xmax, ymax) by the formula, and which are dropped.

        The latter is int8[N, P]: 1 for a box without an area, 0 for one with an area, -1 where rounding
        decides.
        """
        fields = {"codeType": self.decoding.code, "varianceEncodedInTarget": 0, "isBatchAgnostic": 1}
        boxes = decode(fields, given["loc"], given["prior"])[:, :, 0]
        top, left, bottom, right = self.decoding.window
        low, high = np.array([left, top], np.float32), np.array([right, bottom], np.float32)
        if self.decoding.clips:
            boxes = np.clip(boxes, np.tile(low, 2), np.tile(high, 2))
        sides = boxes[..., 2:] - boxes[..., :2]
        least = sides.min(axis=-1)
        outside = (boxes[..., 2:] <= low).any(axis=-1) | (boxes[..., :2] >= high).any(axis=-1)
        dropped = np.where(least > FAINT, 0, np.where(outside, 1, -1)).astype(np.int8)
        return boxes, dropped


def kept(scores: np.ndarray, made: np.ndarray, dropped: np.ndarray) -> np.ndarray:
    """Return int8[N, P] as :meth:`DecodedInFront.expected` does, of the scores before and after.

    Where rounding decides, -1 stands for either; 2 stands for scores that are neither kept nor dropped.
    """
    before, after = (array.reshape(*dropped.shape, -1) for array in (scores, made))
    same, gone = (before == after).all(axis=-1), (after < _FAR_BELOW).all(axis=-1)
    found = np.where(same, 0, np.where(gone, 1, 2)).astype(np.int8)
    return np.where((dropped == -1) & (found != 2), np.int8(-1), found)
