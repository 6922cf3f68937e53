"""Slices of computed tensors that take an axis out or do not name every axis."""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic
from surgeon.graph import DType, Node, Ref
from surgeon.lints.lint import LintContext

CODE = "L120"
TARGETS = ("uff",)


def check(context: LintContext) -> Iterator[Diagnostic]:
    for node in context.of_op("StridedSlice"):
        spec = context.inference.spec(node.inputs[0]) if len(node.inputs) == 4 else None
        if spec is None or not context.varies(Ref(node.name)) or spec.dtype is DType.INT32:
            continue
        if node.attrs.get("shrink_axis_mask"):
            yield _refused(
                node,
                "takes an axis out of a computed tensor; TensorRT's parser takes axes out of constants alone",
                "StridedSlice does not support axis shrinking unless with Constant input node for now",
                "slice one entry of the axis ('shrink_axis_mask: 0'), and Squeeze it",
            )
            continue
        named = context.dims(node.inputs[1])
        if spec.shape.rank is not None and named and named[0] not in (None, spec.shape.rank):
            yield _refused(
                node,
                f"has begin and end for {named[0]} of {spec.shape.rank} axes; TensorRT's parser wants all "
                "of them",
                "dim size mismatch between begin/end and input dimensions",
                "export the model with a slice that names every axis, such as x[:, 1:5, :, :]",
            )


def _refused(node: Node, what: str, message: str, help: str) -> Diagnostic:
    return Diagnostic(
        CODE, f"'{node.name}' (StridedSlice) {what}", node.name, (f"it says '{message}'",), (help,)
    )
