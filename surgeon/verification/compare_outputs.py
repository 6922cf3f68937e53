"""Outputs of the rewritten graph held against those of the original."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np

from surgeon.catalog.reference import Reference
from surgeon.graph import Ref
from surgeon.runners.detections import Detections, most_kept
from surgeon.runners.rewritten import Execution
from surgeon.verification.comparison import (
    DROP_EMPTY,
    EXCUSES,
    KEEP_ALL,
    Limits,
    compare_detections,
    compare_tensors,
)
from surgeon.verification.graph_pair import Sample, Sides
from surgeon.verification.results import Comparison, Outcome, TensorComparison

PluginRun: TypeAlias = Callable[[str], Sequence[np.ndarray]]
"""Returns a plugin's outputs, with the named rule of its reference changed; an empty name changes none."""


def compare_outputs(sides: Sides, sample: Sample, execution: Execution, limits: Limits) -> list[Comparison]:
    """Compare the outputs of one run of the rewritten graph with the original's.

    Detections as such, others as tensors.
    """
    found: list[Comparison] = []
    if sides.plugin is not None:
        run = partial(outputs_of, sides, execution)
        found.append(
            compare_plugin(
                sides, sides.plugin.name, sample, run, known_changes(sides.runner.references.values()), limits
            )
        )
    for ref, origin in sides.outputs.items():
        if origin is None:
            found.append(
                TensorComparison(
                    str(ref),
                    sample.name,
                    Outcome.NOT_COMPARED,
                    "nothing in the original stands for this output",
                )
            )
        else:
            found.append(
                compare_tensors(
                    str(ref), sample.name, sample.values[origin], execution[ref], limits.tolerances.tensor
                )
            )
    return found


def compare_plugin(
    sides: Sides, subject: str, sample: Sample, run: PluginRun, changes: Sequence[str], limits: Limits
) -> Comparison:
    """Compare what the plugin gives with what the original detects.

    ``run`` gives its outputs with a rule changed.
    """
    found = sides.of_plugin(run(""), sample)
    again = partial(rerun, sides, sample, run)
    return compare_detections(subject, sample.name, sides.of_original(sample), found, limits, changes, again)


def rerun(sides: Sides, sample: Sample, run: PluginRun, change: str) -> Detections:
    """Return what the plugin detects with a rule changed."""
    if change == DROP_EMPTY:
        return sides.of_plugin(run(KEEP_ALL), sample).proper(most_kept(sides.named(run(""))))
    return sides.of_plugin(run(change), sample)


def outputs_of(sides: Sides, execution: Execution, change: str = "") -> list[np.ndarray]:
    """Return the outputs of the plugin that gives detections, with a rule changed in every plugin that has
    it.
    """
    assert sides.plugin is not None
    if change:
        references = sides.runner.references
        execution = execution.changed(
            {name: (change,) for name in references if change in references[name].changes}
        )
    return [execution[Ref(sides.plugin.name, slot)] for slot in range(len(sides.ports(sides.plugin)))]


def known_changes(references: Iterable[Reference]) -> tuple[str, ...]:
    """Return the changes that some references know, in the order in which they are tried."""
    known = {change for reference in references for change in reference.changes}
    return tuple(
        change for change in EXCUSES if change in known or (change == DROP_EMPTY and KEEP_ALL in known)
    )
