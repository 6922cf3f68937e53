"""From suppression back to the class scores as the network gives them.

Columns taken, and how they are converted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from surgeon.families.parts.head_concat import is_join
from surgeon.families.parts.walk import STEPS, behind, number, operand
from surgeon.families.postprocessing import Converter
from surgeon.graph import DType, Graph, Node, Ref, TensorValue
from surgeon.graph.op_sets import CONSTANTS
from surgeon.infer import Inference

_REDUCING = frozenset({"Max", "TopKV2", "ArgMax"})
_FILLING = frozenset({"Fill", "Const", "ZerosLike", "OnesLike"})


@dataclass(frozen=True)
class Scores:
    """How suppression gets its scores.

    ``join`` is the operation that joins the heads, ``logits`` what is converted. ``converters`` are the
    operations that make probabilities, ``scales`` the factors on the way with their nodes, ``sliced`` the
    slice that drops a first column, ``whole`` whether the conversion sees the dropped column, and ``reduced``
    an operation that looks at all classes at once.
    """

    join: Node
    logits: Ref
    converters: tuple[Node, ...] = ()
    scales: tuple[tuple[float, str], ...] = ()
    sliced: Node | None = None
    whole: bool = True
    reduced: Node | None = None


@dataclass(frozen=True)
class Broken:
    """A walk that ended before its goal: the tensor where it did, and why."""

    at: Ref
    why: str


def scores_of(graph: Graph, inference: Inference, start: Ref) -> Scores | Broken:
    """Follow scores from suppression back to what joins the heads; tell where that is not possible."""
    at, logits = start, start
    converters: list[Node] = []
    scales: list[tuple[float, str]] = []
    sliced = reduced = None
    whole = True
    for _ in range(STEPS):
        node = graph[at.node]
        following: Ref | None = None
        if is_join(graph, node):
            return Scores(node, logits, tuple(converters), tuple(scales), sliced, whole, reduced)
        if node.op in ("Slice", "StridedSlice") and (column := first_column(inference, node)) is not None:
            if column:
                sliced, whole = node, not converters
            following = node.inputs[0]
        elif node.op in ("Sigmoid", "Softmax"):
            converters.append(node)
            following = node.inputs[0]
        elif node.op in ("RealDiv", "Div", "Mul") and (parts := _scaled(inference, node)) is not None:
            factor = number(inference, parts[1])
            if factor is None or not factor or (node.op != "Mul" and parts[1] != node.inputs[1]):
                return Broken(at, "scales scores by something that is not a single number")
            scales.append((factor if node.op == "Mul" else 1 / factor, node.name))
            following = parts[0]
        elif node.op in _REDUCING and node.inputs:
            reduced = node
            following = node.inputs[0]
        if following is not None:
            at = logits = following
            continue
        moved = _unmasked(graph, node) or behind(graph, at)
        if moved is None:
            return Broken(at, f"computes scores by {node.op}")
        at = moved
    return Broken(at, f"lies {STEPS} operations behind suppression")


def _scaled(inference: Inference, node: Node) -> tuple[Ref, Ref] | None:
    """Return the scores and the constant of a multiplication or division, else None.

    Where one input alone is a constant of the graph's own, sizes need not be known to tell them apart.
    """
    constants = [inference.graph[ref.node].op in CONSTANTS for ref in node.inputs]
    if constants == [False, True]:
        return node.inputs[0], node.inputs[1]
    return (node.inputs[1], node.inputs[0]) if constants == [True, False] else operand(inference, node)


def _unmasked(graph: Graph, node: Node) -> Ref | None:
    """Return the scores of a selection between scores and a filling for boxes that do not count, else
    None.
    """
    if node.op not in ("Select", "SelectV2") or len(node.inputs) != 3:
        return None
    kept = [ref for ref in node.inputs[1:] if graph[ref.node].op not in _FILLING]
    return kept[0] if len(kept) == 1 else None


def first_column(inference: Inference, node: Node) -> int | None:
    """Return at which column a slice of float32[N, P, C] begins; None for a slice of another kind."""
    begin = _begin(inference, node.inputs[1]) if len(node.inputs) > 2 else None
    if begin is None or begin.size != 3 or begin.reshape(-1)[:2].any():
        return None
    # A Slice has a begin for each axis, a StridedSlice may leave out the last ones.
    if node.op != "Slice" and inference.spec(node.inputs[0]).shape.rank not in (3, None):
        return None
    return int(begin.reshape(-1)[2])


def _begin(inference: Inference, ref: Ref) -> np.ndarray | None:
    """Return where a slice of three axes begins; None where it is not known or has other axes.

    A constant of the graph's own is read as it stands: whether its branch is taken may depend on all sizes.
    """
    node = inference.graph[ref.node]
    if node.op not in CONSTANTS:
        return inference.known(ref)
    tensor = node.attrs.get("value")
    if not isinstance(tensor, TensorValue) or tensor.dtype not in (DType.INT32, DType.INT64):
        return None
    return tensor.array() if tensor.count == 3 else None


def convert_scores(logits: np.ndarray, converter: Converter) -> np.ndarray:
    """Return the scores float32[N, P, C] that a converter makes of logits float32[N, P, C].

    As ``tf.nn.softmax`` over the last axis, ``tf.sigmoid``, or as they are.
    """
    if converter == "softmax":
        power = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return np.asarray(power / power.sum(axis=-1, keepdims=True), np.float32)
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-logits)), np.float32) if converter == "sigmoid" else logits


_NEVER = np.float32(-200)
"""What stands for a probability of 0: its sigmoid and its exponential are 0 in float32."""


def logits_of(scores: np.ndarray, converter: Converter) -> np.ndarray:
    """Return logits float32[N, P, C] of which a converter makes the scores float32[N, P, C].

    For ``softmax`` the scores of a box add up to 1.
    """
    if converter == "identity":
        return scores
    likely = np.minimum(scores, np.float32(1 - 1e-7)).astype(np.float64)
    with np.errstate(divide="ignore"):
        found = np.log(likely) - (np.log1p(-likely) if converter == "sigmoid" else 0)
    return np.asarray(np.maximum(found, _NEVER), np.float32)
