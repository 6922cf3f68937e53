"""PyramidROIAlign_TRT as TensorRT 8.4.1 changed it, under boxes made for what it was before."""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic, Severity
from surgeon.lints.lint import LintContext

CODE = "L118"
TARGETS = ("uff@tensorrt>=8.4", "onnx@tensorrt>=8.4")

_RELATIVE = frozenset({"ProposalLayer_TRT", "DetectionLayer_TRT", "SpecialSlice_TRT"})
"""Plugins whose boxes are y1, x1, y2, x2 relative to the picture."""


def check(context: LintContext) -> Iterator[Diagnostic]:
    for node in context.of_op("PyramidROIAlign_TRT"):
        if node.attrs.get("legacy") != 0:
            continue
        boxes = context.producer(node.inputs[0]) if node.inputs else None
        relative = boxes is not None and boxes.op in _RELATIVE
        wrong = relative and (
            node.attrs.get("roi_coords_absolute") == 1 or node.attrs.get("roi_coords_swap") == 0
        )
        untouched = (node.attrs.get("roi_coords_absolute"), node.attrs.get("roi_coords_swap")) == (1, 0)
        if not wrong and not untouched:
            continue
        message = (
            f"'{node.name}' (PyramidROIAlign_TRT) takes absolute boxes with x first since TensorRT 8.4.1"
        )
        if wrong and boxes is not None:
            message += f"; those of '{boxes.name}' ({boxes.op}) are relative, with y first"
        yield Diagnostic(
            CODE,
            message,
            node.name,
            (),
            (
                "write 'legacy: 1', or 'roi_coords_absolute: 0' and 'roi_coords_swap: 1' with "
                "'roi_coords_transform: -1' and 'sampling_ratio: 1'",
            ),
            Severity.WARNING,
        )
