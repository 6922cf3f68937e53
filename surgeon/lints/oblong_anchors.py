"""Anchors of oblong feature maps before TensorRT 8.5.1, which takes the height for the width in their x
centres.
"""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic
from surgeon.lints.lint import LintContext

CODE = "L112"
TARGETS = ("uff@tensorrt<8.5.1", "onnx@tensorrt<8.5.1")


def check(context: LintContext) -> Iterator[Diagnostic]:
    for node in context.of_op("GridAnchorRect_TRT"):
        sizes = node.attrs.get("featureMapShapes")
        if not isinstance(sizes, tuple):
            continue
        oblong = [
            f"{height!s} x {width!s}"
            for height, width in zip(sizes[::2], sizes[1::2], strict=False)
            if height != width
        ]
        if oblong:
            message = f"'{node.name}' (GridAnchorRect_TRT) has oblong feature maps ({', '.join(oblong[:6])})"
            yield Diagnostic(
                CODE,
                f"{message}; {context.target.title} computes their x centres with the height",
                node.name,
                ("the boxes come out wrong, without a message",),
                ("convert with '--anchors constant', or take TensorRT 8.5.1 or later",),
            )
