"""Tensors inside the original of which a small change reaches no output: a mistake there is not noticed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from surgeon.diagnostics import SurgeonError
from surgeon.graph import Graph, Ref
from surgeon.graph.op_sets import PASSED_OVER, SWITCHES
from surgeon.runners.tensorflow import Arrays, TensorFlowRunner
from surgeon.stages import tell_stage
from surgeon.verification.compare_tensors import compare_tensors
from surgeon.verification.results import Exercise, Outcome

STEP = 2e-3
"""By what share of its largest number a tensor is changed, each element up or down."""

_MOST = 200
"""Tensors that are changed."""


def measure_exercise(
    graph: Graph,
    original: TensorFlowRunner,
    wanted: Sequence[Ref],
    draws: Sequence[Arrays],
    tolerance: float,
) -> Exercise:
    """Change each tensor between the inputs and the outputs a little, and tell of which nothing is noticed.

    ``draws`` are what the original is fed, each with its inputs; ``tolerance`` is the share of an output's
    largest number from which a difference counts. A tensor that cannot be changed, on a branch that is not
    taken or in a loop, counts as hidden; one of whole numbers is passed over. Of many tensors, some are
    chosen evenly.
    """
    fed = {ref.node for ref in draws[0]}
    needed = graph.ancestors(ref.node for ref in wanted)
    live = set(fed)
    inside: list[Ref] = []
    for name in graph.topological():
        node = graph[name]
        if name not in needed or name in fed or not any(source in live for source in node.sources):
            continue
        live.add(name)
        if node.op not in PASSED_OVER | SWITCHES:
            inside.append(Ref(name))
    step = -(-len(inside) // _MOST) if inside else 1
    chosen = inside[::step]
    outputs = [original.fetch(wanted, draw) for draw in draws]
    hidden: list[str] = []
    tried = 0
    for ref in chosen:
        tell_stage("measuring the power", str(ref))
        noticed, whole = False, False
        for draw, output in zip(draws, outputs, strict=True):
            try:
                value = original.fetch([ref], draw)[ref]
                whole = value.dtype.kind != "f"
                if whole:
                    break
                changed = original.fetch(wanted, {**draw, ref: _changed(value)})
            except SurgeonError:
                continue
            comparisons = (
                compare_tensors(str(each), "", output[each], changed[each], tolerance) for each in wanted
            )
            if any(comparison.outcome is Outcome.FAILED for comparison in comparisons):
                noticed = True
                break
        if whole:
            continue
        tried += 1
        if not noticed:
            hidden.append(ref.node)
    return Exercise(tried, tuple(hidden), len(inside) - len(chosen))


def _changed(value: np.ndarray) -> np.ndarray:
    signs = np.random.default_rng(0).choice([-1.0, 1.0], value.shape)
    largest = float(np.abs(value).max(initial=0)) or 1.0
    return (value + STEP * largest * signs).astype(value.dtype)
