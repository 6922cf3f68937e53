"""Decoding of boxes in standard operators.

It computes what :mod:`surgeon.kernels.detection_output.numbers` and its like do. Every step is float32, and
in the order of the reference.
"""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.formats.onnx.emitter import Emitter
from surgeon.kernels.detection_output.numbers import CENTER_SIZE, CORNER, CORNER_SIZE, TF_CENTER


def halves(emit: Emitter, boxes: str) -> tuple[str, str]:
    """Return the first and the last two coordinates of boxes, float32[..., 2] each."""
    low, high = emit.op_many("Split", (boxes, emit.ints(2, 2)), 2, axis=-1)
    return low, high


def decoded(emit: Emitter, code: int, encoded: str, anchors: str, variance: str | None) -> str:
    """Return boxes, float32[..., 4] (xmin, ymin, xmax, ymax), of encodings and anchors, which broadcast.

    ``code`` is the codeType of NMS_TRT; no ``variance`` stands for variances of 1.
    """
    if code == CORNER:
        return emit.op("Add", anchors, _times(emit, encoded, variance))
    if code == CORNER_SIZE:
        low, high = halves(emit, anchors)
        size = emit.op("Sub", high, low)
        return emit.op(
            "Add",
            anchors,
            emit.op("Mul", _times(emit, encoded, variance), emit.op("Concat", size, size, axis=-1)),
        )
    if code == TF_CENTER:
        # TensorFlow's encodings have y before x; the variances have x before y all the same.
        encoded = emit.op("Gather", encoded, emit.ints(1, 0, 3, 2), axis=-1)
    assert code in (CENTER_SIZE, TF_CENTER), code
    return _from_center(emit, encoded, anchors, variance)


def corners_of(emit: Emitter, boxes: str) -> str:
    """Return boxes that are given as centre and size as corners, float32[..., 4]."""
    center, size = halves(emit, boxes)
    half = emit.op("Mul", size, emit.constant(0.5, "float32"))
    return emit.op("Concat", emit.op("Sub", center, half), emit.op("Add", center, half), axis=-1)


def ordered(emit: Emitter, boxes: str) -> str:
    """Return boxes with their corners in order: the lower coordinates before the higher ones."""
    first, second = halves(emit, boxes)
    return emit.op("Concat", emit.op("Min", first, second), emit.op("Max", first, second), axis=-1)


def with_last_pixel(emit: Emitter, boxes: str) -> str:
    """Return boxes with ordered corners, the higher ones a pixel further.

    The corners that are given are pixels that belong to their box.
    """
    return emit.op("Add", ordered(emit, boxes), emit.floats(0, 0, 1, 1))


def clipped(emit: Emitter, boxes: str) -> str:
    """Return boxes clipped to the picture, whose corners are at 0 and 1."""
    return emit.op("Clip", boxes, emit.constant(0, "float32"), emit.constant(1, "float32"))


def sides(emit: Emitter, boxes: str) -> tuple[str, ...]:
    """Return left, top, right and bottom of boxes, float32[..., 1] each."""
    return emit.op_many("Split", (boxes, emit.ints(1, 1, 1, 1)), 4, axis=-1)


def overlap(emit: Emitter, a: Sequence[str], b: Sequence[str]) -> str:
    """Return intersection over union of boxes with ordered corners.

    The boxes are given by left, top, right and bottom, which broadcast. The overlap is 0 where nothing is
    shared.
    """
    (a_left, a_top, a_right, a_bottom), (b_left, b_top, b_right, b_bottom) = a, b
    zero = emit.constant(0, "float32")
    width = emit.op("Sub", emit.op("Min", a_right, b_right), emit.op("Max", a_left, b_left))
    height = emit.op("Sub", emit.op("Min", a_bottom, b_bottom), emit.op("Max", a_top, b_top))
    shared = emit.op("Mul", emit.op("Max", width, zero), emit.op("Max", height, zero))
    areas = [
        emit.op("Mul", emit.op("Sub", right, left), emit.op("Sub", bottom, top))
        for left, top, right, bottom in (a, b)
    ]
    union = emit.op("Sub", emit.op("Add", *areas), shared)
    some = emit.op("Greater", shared, zero)
    safe = emit.op("Where", some, union, emit.constant(1, "float32"))
    return emit.op("Where", some, emit.op("Div", shared, safe), zero)


def logistic(emit: Emitter, scores: str) -> str:
    """Return the logistic function of scores, as accurate for low ones as for high ones."""
    one = emit.constant(1, "float32")
    # exp(x) / (1 + exp(x)) would lose the best scores where an engine computes in float16.
    return emit.op("Div", one, emit.op("Add", one, emit.op("Exp", emit.op("Neg", scores))))


def _from_center(emit: Emitter, encoded: str, anchors: str, variance: str | None) -> str:
    low, high = halves(emit, anchors)
    shift, growth = halves(emit, encoded)
    of_shift, of_growth = (None, None) if variance is None else halves(emit, variance)
    size, two = emit.op("Sub", high, low), emit.constant(2, "float32")
    middle = emit.op("Div", emit.op("Add", low, high), two)
    center = emit.op("Add", emit.op("Mul", _times(emit, shift, of_shift), size), middle)
    half = emit.op("Div", emit.op("Mul", emit.op("Exp", _times(emit, growth, of_growth)), size), two)
    return emit.op("Concat", emit.op("Sub", center, half), emit.op("Add", center, half), axis=-1)


def _times(emit: Emitter, encoded: str, variance: str | None) -> str:
    return encoded if variance is None else emit.op("Mul", variance, encoded)
