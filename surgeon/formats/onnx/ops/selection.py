"""Operations that choose: indices that TensorFlow takes for none, and suppression that ONNX does not have."""

from __future__ import annotations

from surgeon.formats.onnx.operation import Operation


def _one_hot(at: Operation) -> None:
    """Leave rows of negative indices off; OneHot of ONNX counts them from the end."""
    dtype = at.dtype(0)
    if dtype.kind == "i":
        negative = at.op("Less", at.inputs[0], at.constant(0, dtype))
        depth = at.cast(at.inputs[1], dtype)
        at.reads(0, at.op("Where", negative, depth, at.inputs[0]))
    at.stays()


def _suppressed(at: Operation) -> None:
    """Refuse soft suppression, which NonMaxSuppression of ONNX does not have."""
    sigma = at.value(5)
    if sigma is None or float(sigma) != 0:
        given = "computed" if sigma is None else f"{float(sigma):g}"
        raise at.refused(
            f"its 'soft_nms_sigma' is {given}, which lowers the scores of overlapping boxes; expected 0",
            "map the namespace of the suppression to a plugin, or cut the graph before it",
        )
    at.stays()


CONVERTERS = {"OneHot": _one_hot, "NonMaxSuppressionV5": _suppressed}
