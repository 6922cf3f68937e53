"""How a detector counts its classes."""

from __future__ import annotations

from collections.abc import Mapping

from surgeon.diagnostics import Diagnostic, Severity
from surgeon.display import plural
from surgeon.families.finding import Finding
from surgeon.families.parts.walk import behind, number, operand, trail
from surgeon.graph import Graph, Ref
from surgeon.infer import Inference


def named_classes(
    given: Mapping[int, str], classes: Finding[int], shift: int
) -> tuple[dict[int, str], tuple[Diagnostic, ...]]:
    """Return the names of the classes by the numbers of detections, and a warning where they are not as many.

    ``given`` names classes from 1 on; ``shift`` is added to their numbers.
    """
    named = {number + shift: label for number, label in given.items() if number <= classes.value}
    if not given or max(given) == classes.value:
        return named, ()
    warning = Diagnostic(
        "D145",
        f"the labels go up to class {max(given)}; the detector has "
        f"{plural(classes.value, 'class', 'classes')}",
        None,
        classes.evidence,
        ("check that the label map is the one of the training",),
        Severity.WARNING,
    )
    return named, (warning,)


def added_last(graph: Graph, inference: Inference, ref: Ref) -> tuple[float, str] | None:
    """Return the constant that is added last to a tensor, with the operation that does so."""
    for at in trail(graph, ref, _behind_casts):
        node = graph[at.node]
        if node.op in ("Add", "AddV2"):
            parts = operand(inference, node)
            value = number(inference, parts[1]) if parts else None
            return None if value is None else (value, node.name)
    return None


def _behind_casts(graph: Graph, ref: Ref) -> Ref | None:
    node = graph[ref.node]
    return node.inputs[0] if node.op == "Cast" and node.inputs else behind(graph, ref)
