"""The part that a recipe adds, run on the original's own values."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

import numpy as np

from surgeon.graph import Node, Ref
from surgeon.runners.detections import Detections
from surgeon.runners.references import Execution
from surgeon.runners.tensorflow import Arrays
from surgeon.verification.fed_pair import FedPair
from surgeon.verification.read_detections import detections_of
from surgeon.verification.records import RunRecord


def boundary(graphs: FedPair, record: RunRecord) -> dict[Ref, tuple[np.ndarray, np.ndarray]]:
    """Return for each tensor that the added part reads the original's value and the rewritten graph's.

    The original's has the shape of the other where it has as many numbers.
    """
    assert graphs.added is not None
    own = graphs.execute(record.inputs).fetch(list(graphs.added.fed))
    return {
        ref: (_in_shape_of(record.values[origin], own[ref]), own[ref])
        for ref, origin in graphs.added.fed.items()
    }


def detections_of_added(
    graphs: FedPair, record: RunRecord, changed: Mapping[str, Node] = MappingProxyType({})
) -> Detections:
    """Return what the added part detects on the original's own values, with some of its nodes changed."""
    run = _added_run(graphs, _original_boundary(graphs, record), changed)
    detections = detections_of(graphs, partial(graphs.outputs_of, run), record.window)
    if changed:
        run.runner.close()
    return detections


def given_to_added(graphs: FedPair, record: RunRecord) -> list[np.ndarray]:
    """Return what the plugin of the added part reads on a record, in its order: made for a probe, else
    computed from the original's values.
    """
    assert graphs.added is not None and graphs.plugin is not None
    refs = graphs.plugin.inputs
    if all(ref in record.values for ref in refs):
        return [record.values[ref] for ref in refs]
    values = _original_boundary(graphs, record)
    run = _added_run(graphs, values)
    return [values[ref] if ref in values else run[ref] for ref in refs]


def _original_boundary(graphs: FedPair, record: RunRecord) -> dict[Ref, np.ndarray]:
    return {ref: original for ref, (original, _) in boundary(graphs, record).items()}


def _added_run(
    graphs: FedPair, values: Arrays, changed: Mapping[str, Node] = MappingProxyType({})
) -> Execution:
    """Return a run of the added part alone; ``values`` are those of the tensors that it reads."""
    assert graphs.added is not None
    runner = graphs.regions.runner_of(graphs.added, values, changed)
    return Execution(runner, {graphs.regions.entry(ref): value for ref, value in values.items()})


def _in_shape_of(value: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return a value in the shape of another one that has as many numbers, else as it is."""
    return value.reshape(other.shape) if value.size == other.size else value
