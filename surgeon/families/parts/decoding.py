"""How a detector decodes boxes.

The encodings, the anchors, and the box coder, found out by decoding probes.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from surgeon.families.parts.numbers import plain
from surgeon.families.parts.walk import STEPS, operand, trail
from surgeon.graph import Graph, Node, Ref
from surgeon.graph.op_sets import SIZES
from surgeon.infer import Inference, evaluate

ANCHOR_TOLERANCE = 1e-4
"""Relative to the picture: by how much an anchor may differ from what zero encodings decode to."""

CODER_TOLERANCE = 1e-4
"""Relative to a box: by how much a decoded probe may differ from the formula of the coder."""

_VIEWS = frozenset({"Reshape", "Transpose", "Tile", "ExpandDims", "Squeeze", "BroadcastTo"})
_SEED = 20171117


def encodings_behind(graph: Graph, join: Node, between: Iterable[str]) -> Ref:
    """Return what is decoded: what the join gives, or a Squeeze of it that is all that is read."""
    inside = set(between)
    at = Ref(join.name)
    for _ in range(STEPS):
        readers = [
            graph[name] for name in graph.readers[at.node] if name in inside and graph[name].op not in SIZES
        ]
        if len(readers) != 1 or readers[0].op != "Squeeze":
            return at
        at = Ref(readers[0].name)
    return at


def anchors_tensor(graph: Graph, inference: Inference, entries: Iterable[Ref], count: int) -> Ref | None:
    """Return the tensor float32[count, 4] from which decoding takes its anchors, else None.

    It is the nearest one behind ``entries``; a view (Reshape, Tile, Transpose, ...) of another counts less.
    """
    queue = list(entries)
    seen = dict.fromkeys(queue)
    view: Ref | None = None
    for ref in queue:
        node = graph[ref.node]
        spec = inference.spec(ref)
        if (
            spec.shape.dims in ((count, 4), (1, count, 4))
            and spec.dtype is not None
            and spec.dtype.value.startswith("float")
        ):
            if (spec.shape.rank == 2 and node.op not in _VIEWS) or node.op == "Const":
                return ref
            view = view or ref
        if node.op in SIZES:
            continue
        for source in node.inputs:
            if source not in seen:
                seen[source] = None
                queue.append(source)
    return view


class Decoder:
    """The decoding part of a graph as a function of encodings float32[P, 4], in the order of the graph's
    encodings.
    """

    def __init__(self, graph: Graph, inference: Inference, encodings: Ref, boxes: Ref, count: int) -> None:
        self.graph, self.inference = graph, inference
        self.encodings, self.boxes, self.count = encodings, boxes, count

    def decode(self, encodings: np.ndarray) -> np.ndarray:
        """Return boxes float32[P, 4] as the graph computes them, of the first picture of its batch.

        Raise SurgeonError (I) where it cannot be evaluated.
        """
        dims = self.inference.spec(self.encodings).shape.dims or (1, self.count, 4)
        batch = dims[0] or 1 if len(dims) > 2 else 1
        shape = (self.count, 4) if len(dims) < 3 else (batch, self.count, *(1,) * (len(dims) - 3), 4)
        picture = encodings.astype(np.float32).reshape(1, self.count, 4)
        feeds = {self.encodings: np.repeat(picture, batch, axis=0).reshape(shape)}
        value = evaluate(self.graph, [self.boxes], feeds, inference=self.inference)[0]
        if value.size != batch * self.count * 4:
            return np.empty((0, 4), np.float32)
        boxes = value.reshape(-1, 4) if value.shape[-1] == 4 else value.reshape(4, -1).T
        return boxes[: self.count]

    def variances(self, anchors: np.ndarray) -> tuple[float, float, float, float] | None:
        """Return by what x, y, width and height of encodings (ty, tx, th, tw) are multiplied, measured on
        probes.

        None where decoding is not centre-size coding of ``anchors`` (ymin, xmin, ymax, xmax): centre =
        anchor's centre + variance x encoding x anchor's size, size = anchor's size x exp(variance x
        encoding).
        """
        ones = self.decode(np.ones((self.count, 4)))
        if ones.shape != anchors.shape:
            return None
        _, size = _centres(anchors)
        usable = (size > 1e-6).all(axis=1)
        if not usable.any():
            return None
        centre_1, size_1 = _centres(ones)
        centre_0, _ = _centres(anchors)
        with np.errstate(all="ignore"):
            shift = np.median(((centre_1 - centre_0) / size)[usable], axis=0)
            growth = np.median(np.log(size_1 / size)[usable], axis=0)
        found = (shift[1], shift[0], growth[1], growth[0])
        if not np.isfinite(found).all():
            return None
        codes = np.random.default_rng(_SEED).uniform(-2, 2, (self.count, 4))
        wanted = centre_size(anchors, codes, found)
        worst = np.abs(self.decode(codes) - wanted) / (1 + np.abs(wanted))
        if not worst.size or not worst.max() <= CODER_TOLERANCE:
            return None
        x, y, w, h = (float(v) for v in found)
        return x, y, w, h


def centre_size(anchors: np.ndarray, codes: np.ndarray, variances: tuple[float, ...]) -> np.ndarray:
    """Return boxes float64[P, 4] of centre-size encodings (ty, tx, th, tw).

    Variances are for x, y, width, height.
    """
    centre, size = _centres(anchors)
    x, y, w, h = variances
    middle = centre + codes[:, :2] * (y, x) * size
    half = np.exp(codes[:, 2:] * (h, w)) * size / 2
    return np.concatenate([middle - half, middle + half], axis=1)


def _centres(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    wide = boxes.astype(np.float64)
    return (wide[:, :2] + wide[:, 2:]) / 2, wide[:, 2:] - wide[:, :2]


def factors(
    graph: Graph, inference: Inference, between: Iterable[str], encodings: Ref
) -> list[tuple[float, str]]:
    """Return the constants by which parts of the encodings are multiplied or divided: (factor, node)."""
    found: list[tuple[float, str]] = []
    for name in between:
        node = graph[name]
        if node.op not in ("RealDiv", "Div", "Mul"):
            continue
        parts = operand(inference, node)
        value = inference.known(parts[1]) if parts else None
        if (
            parts is None
            or value is None
            or value.dtype.kind != "f"
            or encodings not in trail(graph, parts[0])
        ):
            continue
        if node.op != "Mul" and parts[1] != node.inputs[1]:
            continue
        found += [
            (float(v) if node.op == "Mul" else 1 / float(v), parts[1].node)
            for v in value.reshape(-1)[:4]
            if v
        ]
    return found


def exact(measured: float, known: Iterable[tuple[float, str]]) -> tuple[float, str]:
    """Return the constant factor that a measured one is, with its node.

    Else the measured one, rounded to what it tells.
    """
    for factor, node in known:
        if abs(factor - measured) <= CODER_TOLERANCE * abs(factor):
            return plain(factor), node
    return (1.0 if abs(measured - 1) <= CODER_TOLERANCE else plain(measured, CODER_TOLERANCE / 10)), ""
