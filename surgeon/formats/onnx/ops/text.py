"""Numbers as text."""

from __future__ import annotations

from surgeon.formats.onnx.operation import INTEGERS, Operation


def _as_string(at: Operation) -> None:
    """Refuse floats, which Cast of ONNX writes with other digits, and whole numbers of a given width."""
    if at.dtype(0) not in INTEGERS or at.attr("width", -1) != -1:
        raise at.refused(
            "text of it has other digits in ONNX; expected whole numbers without a width",
            "cut the graph before it, so that the numbers themselves are the output",
        )
    at.stays()


CONVERTERS = {"AsString": _as_string}
