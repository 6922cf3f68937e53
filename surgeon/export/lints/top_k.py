"""A topK of NMS_TRT that was seen to give wrong detections."""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic, Severity
from surgeon.export.lints.lint import Subject

CODE = "L113"
TARGETS = ("uff", "onnx@tensorrt")

WRONG = 4096
"""Seen to give wrong detections, on a GPU with TensorRT 8.5.3.1."""

RIGHT = 1918
"""The largest that was seen to be right there."""


def check(at: Subject) -> Iterator[Diagnostic]:
    for node in at.of_op("NMS_TRT"):
        top = node.attrs.get("topK")
        if not isinstance(top, int) or top <= RIGHT:
            continue
        seen = "gave wrong detections, without a message, in TensorRT 8.5.3.1" if top >= WRONG else "was not tried"
        yield Diagnostic(CODE, f"the topK {top} of '{node.name}' (NMS_TRT) {seen}; up to {RIGHT} was seen to be right", node.name, (),
                         (f"write a topK of at most {RIGHT}: it is how many boxes of a class go into suppression",),
                         Severity.WARNING)  # fmt: skip
