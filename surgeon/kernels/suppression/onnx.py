"""Suppression in standard operators, class by class, with the best of all classes in a fixed number of rows.

Where the runtime has no NonMaxSuppression, a Loop does the same, one box of each class a round. Only
NonMaxSuppression has a shape that depends on the data: the scores of what it selects are put back where
they came from, so that everything behind it has a static shape, and TopK takes the rows. NonMaxSuppression
and TopK of ONNX Runtime take the lower index first among equal scores, as the references do; TensorRT leaves
their order open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from surgeon.diagnostics import error
from surgeon.formats.onnx.emitter import Emitter
from surgeon.formats.onnx.lowering import PluginNode
from surgeon.formats.onnx.shapes import onnx_type
from surgeon.kernels.boxes import onnx as coding

NONE = -1e30
"""Score of what is not a candidate."""

TENSORRT_CANDIDATES = 5000
"""Candidates of a picture that NonMaxSuppression of TensorRT compares.

2,000 on GPUs of compute capability 5.3 and 6.2.
"""

TENSORRT_ROWS = 3840
"""The largest K of TopK in TensorRT."""

_HARDLY = -1e29

_REPLACED = ("NMS_TRT", "NMSDynamic_TRT")
"""Plugins in whose place 'suppression: native' puts another."""


@dataclass(frozen=True)
class Candidates:
    """Scored boxes that go into suppression, of which each class has ``each``.

    ``scores`` is float32[N, classes, each], ``NONE`` for boxes that are not candidates. ``boxes`` is
    float32[N, each, 4] where the classes share them, and float32[N, classes, each, 4] where each has its own.
    """

    boxes: str
    scores: str
    classes: int
    each: int
    shared: bool


@dataclass(frozen=True)
class Rows:
    """The best of what is left of each picture, best first, in K rows.

    ``scores`` is float32[N, K], ``boxes`` float32[N, K, 4], ``classes`` and ``places`` int64[N, K]: which
    class, and which box of the class. ``valid``, bool[N, K], tells the rows that hold a detection; in the
    others stands something.
    """

    scores: str
    boxes: str
    classes: str
    places: str
    valid: str


def compared(at: PluginNode) -> int | None:
    """Return how many candidates of a picture the runtime compares, None for all."""
    return None if at.version is None else TENSORRT_CANDIDATES


def most_rows(at: PluginNode) -> int | None:
    """Return the largest K of TopK in the target's runtime, None for no bound."""
    return None if at.target is None else at.target.most_rows


def check_rows(at: PluginNode, field: str, rows: int) -> None:
    """Raise SurgeonError X162 where the target does not take so many rows, which ``field`` asks for."""
    most = most_rows(at)
    if at.target is None or most is None or rows <= most:
        return
    itself = ", or write the plugin node itself (--plugins native)" if at.target.runs_plugins else ""
    help = [f"write '{field}: {most}', or 'auto' where the graph tells it{itself}"]
    if not at.target.runs_plugins and field == "topK" and at.spec.op in _REPLACED:
        help.append("or choose '--suppression native', which compares all candidates")
    raise error(
        "X162",
        f"the field '{field}' of {at.spec.op} asks for the best {rows}; expected at most {most}, the largest "
        f"K of TopK for the target '{at.target.name}'",
        None,
        help=help,
    )


def objects(emit: Emitter, values: str, labels: Sequence[int], count: int, axis: int) -> str:
    """Return the values of these classes, rising, of the ``count`` that ``axis`` counts."""
    if len(labels) == count:
        return values
    if labels[-1] - labels[0] == len(labels) - 1:
        return emit.op("Slice", values, emit.ints(labels[0]), emit.ints(labels[-1] + 1), emit.ints(axis))
    return emit.op("Gather", values, emit.ints(*labels), axis=axis)


def labels_but(count: int, background: int) -> tuple[tuple[int, ...], bool]:
    """Return the classes that are objects, and whether there are any.

    If there are none, the background stands in for them.
    """
    labels = tuple(label for label in range(count) if label != background)
    return labels or (background,), bool(labels)


def above(emit: Emitter, scores: str, threshold: float) -> str:
    """Return the scores that are above the threshold, else ``NONE``; so for what is not a number."""
    return emit.op(
        "Where",
        emit.op("Greater", scores, emit.constant(threshold, np.float32)),
        scores,
        emit.constant(NONE, np.float32),
    )


def best_of_each(emit: Emitter, candidates: Candidates, count: int) -> Candidates:
    """Return the ``count`` best candidates of each class, best first.

    Where there are no more than ``count``, return all of them as they are.
    """
    if count >= candidates.each:
        return candidates
    classes = candidates.classes
    scores, index = emit.op_many(
        "TopK", (candidates.scores, emit.ints(count)), 2, axis=2, largest=1, sorted=1
    )
    if candidates.shared:
        flat = emit.op("Reshape", index, emit.ints(0, classes * count, 1))
        chosen = emit.op("GatherND", candidates.boxes, flat, batch_dims=1)
        boxes = emit.op("Reshape", chosen, emit.ints(0, classes, count, 4))
    else:
        boxes = emit.op("GatherND", candidates.boxes, emit.op("Unsqueeze", index, emit.ints(3)), batch_dims=2)
    return Candidates(boxes, scores, classes, count, shared=False)


def survivors(
    emit: Emitter,
    candidates: Candidates,
    threshold: float,
    limit: int,
    *,
    least: float | None = None,
    measured: str | None = None,
    together: int | None = None,
) -> str:
    """Return the scores of the candidates that no better one of their class suppresses, else ``NONE``.

    They are float32[N, classes, each]. An overlap above ``threshold`` suppresses; of a class ``limit``
    candidates are kept. All candidates score above ``least``. ``measured`` are the boxes whose overlap
    counts, where it is not that of the boxes themselves. ``together`` is how many candidates of all classes
    of a picture the runtime compares.
    """
    if "NonMaxSuppression" in emit.lacks:
        return _chosen_in_rounds(emit, candidates, measured or candidates.boxes, threshold, limit)
    boxes, scores, classes, each = (
        measured or candidates.boxes,
        candidates.scores,
        candidates.classes,
        candidates.each,
    )
    by_class = not candidates.shared or (together is not None and classes * each > together)
    if by_class:
        # NonMaxSuppression has boxes, and room for candidates, for each picture only, so each class of a
        # picture is one.
        if candidates.shared:
            boxes = emit.op("Expand", emit.op("Unsqueeze", boxes, emit.ints(1)), emit.ints(1, classes, 1, 1))
        boxes = emit.op("Reshape", boxes, emit.ints(-1, each, 4))
        scores = emit.op("Reshape", scores, emit.ints(-1, 1, each))
    floor = emit.floats(_HARDLY if least is None else least)
    selected = emit.op("NonMaxSuppression", boxes, scores, emit.ints(limit), emit.floats(threshold), floor)
    nothing = emit.op("Min", scores, emit.constant(NONE, np.float32))
    kept = emit.op("ScatterND", nothing, selected, emit.op("GatherND", scores, selected))
    return emit.op("Reshape", kept, emit.ints(-1, classes, each)) if by_class else kept


def _chosen_in_rounds(
    emit: Emitter, candidates: Candidates, measured: str, threshold: float, limit: int
) -> str:
    """Return what :func:`survivors` does, by a Loop.

    A round takes the best box that is left of each class, the first of equal ones, and the boxes that overlap
    it go. As many rounds as a class may keep boxes are exact for any number of candidates.
    """
    boxes = coding.ordered(emit, measured)
    around = emit.op("Unsqueeze", boxes, emit.ints(1)) if candidates.shared else boxes
    others = [emit.op("Squeeze", side, emit.ints(-1)) for side in coding.sides(emit, around)]
    each, size = candidates.each, (candidates.classes, candidates.each)
    body = Emitter(emit.name("round"), emit.opset, emit.lacks)
    left, kept, none = body.name("left"), body.name("kept"), body.constant(NONE, np.float32)
    best = body.op("ArgMax", left, axis=2, keepdims=1)
    box = body.op("GatherND", boxes, best, batch_dims=1 if candidates.shared else 2)
    share = coding.overlap(body, coding.sides(body, box), others)
    itself = body.op("Equal", body.constant(np.arange(each), np.int64), best)
    suppressed = body.op("Greater", share, body.constant(threshold, np.float32))
    # When a class has no box left, its best one is some box at NONE: Max keeps the score that it has.
    more = body.op("Max", kept, body.op("Where", itself, left, none))
    fewer = body.op("Where", body.op("Or", itself, suppressed), none, left)
    going = body.op("Identity", body.constant(True, np.bool_))
    scores = [None, *size]
    graph = body.body(
        [
            (body.name("number"), np.int64, []),
            (body.name("again"), np.bool_, []),
            (left, np.float32, scores),
            (kept, np.float32, scores),
        ],
        [(going, np.bool_, []), (fewer, np.float32, scores), (more, np.float32, scores)],
    )
    shape = emit.op("Shape", candidates.scores)
    rounds = emit.constant(min(limit, each), np.int64)
    # TensorRT-RTX builds no Loop that starts from a tensor that was only reshaped; Max changes no score.
    first = emit.op("Max", candidates.scores, emit.constant(NONE, np.float32))
    nothing = emit.op("Min", first, emit.constant(NONE, np.float32))
    start = (rounds, "", first, nothing)
    # Shape inference takes it that a round could change the shape of what it hands on.
    return emit.op("Reshape", emit.op_many("Loop", start, 2, body=graph)[1], shape)


def best_rows(
    emit: Emitter, candidates: Candidates, kept: str, rows: int, *, box_first: bool = False
) -> Rows:
    """Return the best ``rows`` of each picture, of what :func:`survivors` leaves.

    Among equal scores the lower class comes first, then the lower place; with ``box_first`` the other way
    about.
    """
    classes, each = candidates.classes, candidates.each
    total = classes * each
    if box_first:
        kept = emit.op("Transpose", kept, perm=(0, 2, 1))
    # OpenCV joins two Reshapes, where 0 would stand for the size that the first one had before.
    scores, index = top(emit, emit.op("Reshape", kept, emit.ints(-1, total)), total, rows)
    valid = emit.op("Greater", scores, emit.constant(_HARDLY, np.float32))
    index = emit.op("Where", valid, index, emit.constant(0, np.int64))
    label, place = reversed(divided(emit, index, classes)) if box_first else divided(emit, index, each)
    boxes = (
        candidates.boxes
        if candidates.shared
        else emit.op("Reshape", candidates.boxes, emit.ints(0, total, 4))
    )
    if not candidates.shared and box_first:
        index = emit.op("Add", emit.op("Mul", label, emit.constant(each, np.int64)), place)
    own = emit.op("Unsqueeze", place if candidates.shared else index, emit.ints(2))
    return Rows(scores, emit.op("GatherND", boxes, own, batch_dims=1), label, place, valid)


def number_of(emit: Emitter, rows: Rows) -> str:
    """Return the number of detections of each picture, int32[N, 1]."""
    return emit.op(
        "Cast",
        emit.op("ReduceSum", emit.op("Cast", rows.valid, to=onnx_type("float32")), emit.ints(1)),
        to=onnx_type("int32"),
    )


def filled(emit: Emitter, rows: Rows, values: str, otherwise: float, dtype: Any = np.float32) -> str:
    """Return values ``dtype[N, K]``, and ``otherwise`` in rows without a detection."""
    return emit.op("Where", rows.valid, values, emit.constant(otherwise, dtype))


def filled_boxes(emit: Emitter, rows: Rows) -> str:
    """Return the boxes, float32[N, K, 4], zero in rows without a detection."""
    return emit.op(
        "Where", emit.op("Unsqueeze", rows.valid, emit.ints(2)), rows.boxes, emit.constant(0, np.float32)
    )


def top(emit: Emitter, scores: str, size: int, rows: int) -> tuple[str, str]:
    """Return the best ``rows`` of float32[N, size] and their indices.

    Rows beyond ``size`` have the score ``NONE``.
    """
    if size < rows:
        scores = emit.op("Pad", scores, emit.ints(0, 0, 0, rows - size), emit.constant(NONE, np.float32))
    best, index = emit.op_many("TopK", (scores, emit.ints(rows)), 2, axis=1, largest=1, sorted=1)
    return best, index


def divided(emit: Emitter, index: str, by: int) -> tuple[str, str]:
    """Return quotient and remainder of int64, none of them negative."""
    number = emit.constant(by, np.int64)
    quotient = emit.op("Div", index, number)
    return quotient, emit.op("Sub", index, emit.op("Mul", quotient, number))
