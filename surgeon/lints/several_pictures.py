"""Plugin fields that are wrong for more than one picture at a time."""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic, Severity
from surgeon.graph import Shape
from surgeon.lints.lint import LintContext

CODE = "L114"
TARGETS = ("uff", "onnx@tensorrt")


def check(context: LintContext) -> Iterator[Diagnostic]:
    if _one_at_a_time(context):
        return
    for node in context.of_op("FlattenConcat_TRT"):
        if node.attrs.get("ignoreBatch") == 1:
            yield Diagnostic(
                CODE,
                f"'{node.name}' (FlattenConcat_TRT) has ignoreBatch 1, so it copies the first picture of a "
                "batch only",
                node.name,
                (),
                ("write 'ignoreBatch: 0', or fix the input's batch at 1",),
                Severity.WARNING,
            )
    for node in context.of_op("NMS_TRT"):
        prior = context.port(node, "prior") if node.attrs.get("isBatchAgnostic") == 0 else None
        dims = context.dims(prior) if prior is not None else None
        if dims and dims[0] == 1:
            yield Diagnostic(
                CODE,
                f"'{node.name}' (NMS_TRT) has isBatchAgnostic 0 and one set of anchors, '{prior}' "
                f"{Shape(dims)}; for a second picture it reads past their end",
                node.name,
                (),
                ("write 'isBatchAgnostic: 1'",),
                Severity.WARNING,
            )


def _one_at_a_time(context: LintContext) -> bool:
    """Return whether every input has a fixed batch of 1."""
    shapes = [node.attrs.get("shape") for node in context.inputs]
    return bool(shapes) and all(
        isinstance(shape, Shape) and shape.dims is not None and shape.dims[:1] == (1,) for shape in shapes
    )
