"""Quantized constants that TensorFlow cannot turn into numbers, because their range is next to nothing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from surgeon.diagnostics import Diagnostic, Severity
from surgeon.display import plural
from surgeon.graph import Graph, Node, Ref, TensorRef, TensorValue
from surgeon.steps.quantized_constants import quantized_constants
from surgeon.steps.step import StepContext

_FAINT = float(np.finfo(np.float32).tiny) * 2**33
"""Range below which a step of integer arithmetic may be subnormal, which TensorFlow takes for 0."""


def faint_constants(graph: Graph) -> Mapping[str, Node]:
    """Return the constants that stand for Dequantize nodes of constants whose range is above 0 and faint.

    TensorFlow divides by a step that it takes for 0, and gives NaN; OpenCV and others give the number.
    """
    candidates = [node for node in graph if node.op == "Dequantize" and _is_faint(graph, node)]
    if not candidates:
        return {}
    values = quantized_constants(StepContext(graph))
    return {
        node.name: Node(
            node.name, "Const", attrs={"dtype": values[node.name].dtype, "value": values[node.name]}
        )
        for node in candidates
        if node.name in values
    }


def faint_note(graph: Graph, constants: Mapping[str, Node]) -> Diagnostic:
    """Return the note that verification computes these constants itself."""
    names = ", ".join(f"'{name}'" for name in list(constants)[:4])
    return Diagnostic(
        "V134",
        f"TensorFlow gives NaN for {plural(len(constants), 'quantized constant')} whose range is next to "
        "nothing; the original is run with their values instead",
        graph.source or None,
        (f"such as {names}",),
        (),
        Severity.NOTE,
    )


def _is_faint(graph: Graph, node: Node) -> bool:
    if len(node.inputs) != 3:
        return False
    least, most = (_number(graph, ref) for ref in node.inputs[1:])
    return least is not None and most is not None and 0 < most - least < _FAINT


def _number(graph: Graph, ref: Ref) -> float | None:
    value = graph[ref.node].attrs.get("value")
    if not isinstance(value, TensorValue | TensorRef):
        return None
    array = value.array()
    return float(array.reshape(-1)[0]) if array.size == 1 else None
