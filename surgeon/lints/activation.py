"""Scores that go through the logistic function twice, or not at all."""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic, Severity
from surgeon.graph import DType, Node, Ref
from surgeon.lints.lint import LintContext

CODE = "L115"
TARGETS = ("uff", "onnx", "graphdef")

_JOINS = ("FlattenConcat_TRT", "ConcatV2", "Pack")
_MOVING = frozenset({*_JOINS, "Reshape", "Squeeze", "ExpandDims", "Transpose", "StridedSlice", "Slice"})
"""Operations that change no number."""

_ACTIVATIONS = ("Sigmoid", "Softmax")


_CONVERTING = ("confSigmoid", "scoreConverter", "score_activation")
"""Fields by which a plugin converts scores itself; 0 where it does not."""

_PORTS = ("conf", "scores")


def check(context: LintContext) -> Iterator[Diagnostic]:
    for node in context.nodes:
        field = next((name for name in _CONVERTING if name in node.attrs), None)
        if field is not None and node.op in context.catalog:
            yield from _check(context, node, field)


def _check(context: LintContext, node: Node, field: str) -> Iterator[Diagnostic]:
    ports = (context.port(node, name) for name in _PORTS)
    scores = next((ref for ref in ports if ref is not None), None)
    if scores is None:
        return
    sources = _sources(context, scores)
    active = [source for source in sources if source.op in _ACTIVATIONS or _is_softmax(context, source)]
    asked = node.attrs.get(field)
    if not isinstance(asked, int):
        return
    if asked and active:
        message = (
            f"'{node.name}' ({node.op}) has {field} {asked}, and its scores come from '{active[0].name}' "
            f"({active[0].op})"
        )
        yield Diagnostic(
            CODE,
            f"{message}; they would be activated twice",
            node.name,
            ("scores then lie between 0.5 and 0.73, and no threshold holds",) if asked == 1 else (),
            (f"write '{field}: 0', or take the scores before the activation",),
        )
    elif asked == 0 and sources and not active:
        message = (
            f"'{node.name}' ({node.op}) has {field} 0, and its scores come from '{sources[0].name}' "
            f"({sources[0].op})"
        )
        yield Diagnostic(
            CODE,
            f"{message}, which is not an activation; expected scores from 0 to 1",
            node.name,
            (),
            (f"write '{field}: 1' where they are logits",),
            Severity.WARNING,
        )


def _sources(context: LintContext, ref: Ref) -> list[Node]:
    """Return the nodes whose numbers, or products of them, reach ``ref``, in the order of the walk."""
    found: list[Node] = []
    seen: set[str] = set()
    rest = [ref]
    while rest:
        node = context.producer(rest.pop())
        if node.name in seen:
            continue
        seen.add(node.name)
        kept = _kept(context, node) or _lowered(context, node)
        if kept is not None:
            rest.append(kept)
        elif node.op == "Mul" and all(map(context.varies, node.inputs)):
            rest.extend(reversed(node.inputs))
        elif node.op not in _MOVING:
            if context.varies(Ref(node.name)):
                found.append(node)
        elif node.op in _JOINS:
            rest.extend(reversed(node.inputs))
        else:
            rest.extend(node.inputs[:1])
    return found


def _kept(context: LintContext, node: Node) -> Ref | None:
    """Return what a product with zeros and ones, cast from truth values, keeps; None for any other node."""
    if node.op != "Mul" or len(node.inputs) != 2:
        return None
    for ref, other in zip(node.inputs, reversed(node.inputs), strict=True):
        factor = context.producer(other)
        if factor.op == "Cast" and factor.attrs.get("SrcT") is DType.BOOL:
            return ref
    return None


def _lowered(context: LintContext, node: Node) -> Ref | None:
    """Return the activated scores some of which a sum brings below 0, and a Relu to 0; None for any other
    node.
    """
    added = context.producer(node.inputs[0]) if node.op == "Relu" and node.inputs else node
    if added.op not in ("Add", "AddV2"):
        return None
    for ref in added.inputs:
        source = context.producer(ref)
        if node is not added and (source.op in _ACTIVATIONS or _is_softmax(context, source)):
            return ref
    return None


def _is_softmax(context: LintContext, node: Node) -> bool:
    """Return whether a quotient is a softmax that is spelled out: powers by their sum."""
    if node.op != "RealDiv":
        return False
    power, total = (context.producer(ref) for ref in node.inputs)
    return power.op == "Exp" and total.op == "Sum" and context.producer(total.inputs[0]).name == power.name
