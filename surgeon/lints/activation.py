"""Scores that go through the logistic function twice, or not at all."""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic, Severity
from surgeon.graph import Node, Ref
from surgeon.lints.lint import LintContext

CODE = "L115"
TARGETS = ("uff", "onnx", "graphdef")

_JOINS = ("FlattenConcat_TRT", "ConcatV2", "Pack")
_MOVING = frozenset({*_JOINS, "Reshape", "Squeeze", "ExpandDims", "Transpose", "StridedSlice", "Slice"})
"""Operations that change no number."""

_ACTIVATIONS = ("Sigmoid", "Softmax")


def check(context: LintContext) -> Iterator[Diagnostic]:
    for node in context.of_op("NMS_TRT"):
        scores = context.port(node, "conf")
        if scores is None:
            continue
        sources = _sources(context, scores)
        active = [source for source in sources if source.op in _ACTIVATIONS]
        asked = node.attrs.get("confSigmoid")
        if asked == 1 and active:
            message = (
                f"'{node.name}' (NMS_TRT) has confSigmoid 1, and its scores come from '{active[0].name}' "
                f"({active[0].op})"
            )
            yield Diagnostic(
                CODE,
                f"{message}; they would be activated twice",
                node.name,
                ("scores then lie between 0.5 and 0.73, and no threshold holds",),
                ("write 'confSigmoid: 0', or take the scores before the activation",),
            )
        elif asked == 0 and sources and not active:
            message = (
                f"'{node.name}' (NMS_TRT) has confSigmoid 0, and its scores come from '{sources[0].name}' "
                f"({sources[0].op})"
            )
            yield Diagnostic(
                CODE,
                f"{message}, which is not an activation; expected scores from 0 to 1",
                node.name,
                (),
                ("write 'confSigmoid: 1' where they are logits",),
                Severity.WARNING,
            )


def _sources(context: LintContext, ref: Ref) -> list[Node]:
    """Return the nodes whose numbers reach ``ref`` unchanged, in the order in which they are met."""
    found: list[Node] = []
    seen: set[str] = set()
    rest = [ref]
    while rest:
        node = context.producer(rest.pop())
        if node.name in seen:
            continue
        seen.add(node.name)
        if node.op not in _MOVING:
            if context.varies(Ref(node.name)):
                found.append(node)
        elif node.op in _JOINS:
            rest.extend(reversed(node.inputs))
        else:
            rest.extend(node.inputs[:1])
    return found
