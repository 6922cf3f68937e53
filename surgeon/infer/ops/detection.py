"""Non-maximum suppression."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from surgeon.graph import DType, Node, Shape, TensorSpec
from surgeon.infer.dims import product
from surgeon.infer.rule import Array, Context, Dim, Mismatch, Rule, attr_bool, attr_float

_MAX_PAIRS = 1 << 32


def _check(ctx: Context) -> None:
    boxes, scores = ctx.dims(0), ctx.dims(1)
    if boxes is not None and (len(boxes) != 2 or boxes[1] not in (4, None)):
        raise Mismatch(f"the boxes have shape {Shape(boxes)}; expected [?,4]")
    if scores is not None and len(scores) != 1:
        raise Mismatch(f"the scores have shape {Shape(scores)}; expected one axis")
    if boxes and scores and not Shape((boxes[0],)).compatible(Shape(scores)):
        raise Mismatch(f"{boxes[0]} boxes come with {scores[0]} scores; expected equal numbers")


def suppression(ctx: Context) -> Sequence[TensorSpec]:
    _check(ctx)
    return [TensorSpec.of(DType.INT32, None)]


def _padded(ctx: Context) -> Dim:
    _check(ctx)
    limit = ctx.scalar(2)
    return (
        limit if attr_bool(ctx.node, "pad_to_max_output_size") and limit is not None and limit >= 0 else None
    )


def suppression_v4(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec.of(DType.INT32, _padded(ctx)), TensorSpec.of(DType.INT32)]


def suppression_v5(ctx: Context) -> Sequence[TensorSpec]:
    count = _padded(ctx)
    return [
        TensorSpec.of(DType.INT32, count),
        TensorSpec(ctx.dtype(), Shape((count,))),
        TensorSpec.of(DType.INT32),
    ]


def combined(ctx: Context) -> Sequence[TensorSpec]:
    boxes, scores, each, total = ctx.dims(0), ctx.dims(1), ctx.scalar(2), ctx.scalar(3)
    batch: Dim = boxes[0] if boxes else scores[0] if scores else None
    count: Dim = total
    if attr_bool(ctx.node, "pad_per_class"):
        classes = scores[2] if scores is not None and len(scores) == 3 else None
        per_class = product((each, classes))
        count = None if per_class is None or total is None else min(per_class, total)
    return [
        TensorSpec.of(DType.FLOAT32, batch, count, 4),
        TensorSpec.of(DType.FLOAT32, batch, count),
        TensorSpec.of(DType.FLOAT32, batch, count),
        TensorSpec.of(DType.INT32, batch),
    ]


def _overlaps(box: Array, others: Array) -> Array:
    """Return the intersection over union of one box (two opposite corners) with others, 0 where either is
    empty.
    """
    low, high = np.minimum(box[:2], box[2:]), np.maximum(box[:2], box[2:])
    lows, highs = np.minimum(others[:, :2], others[:, 2:]), np.maximum(others[:, :2], others[:, 2:])
    area, areas = np.prod(high - low), np.prod(highs - lows, axis=1)
    sides = np.maximum(np.minimum(high, highs) - np.maximum(low, lows), box.dtype.type(0))
    shared = np.prod(sides, axis=1)
    union = area + areas - shared
    real = (area > 0) & (areas > 0)
    return np.asarray(np.where(real, shared / np.where(real, union, box.dtype.type(1)), box.dtype.type(0)))


def _select(
    boxes: Array, scores: Array, limit: int, overlap: float, floor: float, sigma: float
) -> tuple[Array, Array]:
    """Return the indices and scores kept, best first (Bodla et al. 2017 for sigma above 0).

    A candidate's score is lowered by exp(-overlap^2 / (2 sigma)) for each box kept; with sigma 0, one that
    overlaps a kept box by more than the threshold is dropped.
    """
    if not 0.0 <= overlap <= 1.0:
        raise ValueError(f"the overlap threshold is {overlap}; expected 0 to 1")
    if boxes.shape[0] * min(max(limit, 0), boxes.shape[0]) > _MAX_PAIRS:
        raise ValueError(
            f"{boxes.shape[0]} boxes are compared with {limit}; expected {_MAX_PAIRS} pairs at most"
        )
    alive = scores > floor
    current = scores.copy()
    kept: list[int] = []
    kept_scores: list[float] = []
    kind = scores.dtype.type
    while len(kept) < limit and bool(alive.any()):
        best = int(np.argmax(np.where(alive, current, -np.inf)))
        kept.append(best)
        kept_scores.append(float(current[best]))
        alive[best] = False
        shared = _overlaps(boxes[best], boxes)
        if sigma > 0:
            current = current * np.exp(kind(-0.5 / sigma) * shared * shared)
            alive &= current > floor
        else:
            alive &= ~(shared > kind(overlap))
    return np.array(kept, np.int32), np.array(kept_scores, scores.dtype)


def _scalar(arrays: list[Array], index: int, default: float) -> float:
    return float(arrays[index].reshape(())) if index < len(arrays) else default


def _run(node: Node, arrays: list[Array], threshold: float | None = None) -> tuple[Array, Array, Array]:
    boxes, scores = arrays[:2]
    limit = int(arrays[2].reshape(()))
    overlap = _scalar(arrays, 3, 0.5) if threshold is None else threshold
    kept, best = _select(boxes, scores, limit, overlap, _scalar(arrays, 4, -np.inf), _scalar(arrays, 5, 0.0))
    count = np.array(kept.size, np.int32)
    if attr_bool(node, "pad_to_max_output_size"):
        kept, best = (np.pad(a, (0, max(0, limit) - a.size)) for a in (kept, best))
    return kept, best, count


def _v1(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return _run(node, arrays, attr_float(node, "iou_threshold", 0.5))[:1]


def _v2(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return _run(node, arrays)[:1]


def _v4(node: Node, arrays: list[Array]) -> Sequence[Array]:
    kept, _, count = _run(node, arrays)
    return [kept, count]


def _v5(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return _run(node, arrays)


RULES = (
    Rule("NonMaxSuppression", suppression, _v1),
    Rule("NonMaxSuppressionV2", suppression, _v2),
    Rule("NonMaxSuppressionV3", suppression, _v2),
    Rule("NonMaxSuppressionV4", suppression_v4, _v4, outputs=2),
    Rule("NonMaxSuppressionV5", suppression_v5, _v5, outputs=3),
    Rule("CombinedNonMaxSuppression", combined, outputs=4),
)
