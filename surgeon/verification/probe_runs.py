"""What the original, or a plugin that a recipe adds, makes of probes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from surgeon.catalog.detections import without_masks
from surgeon.runners.detections import WHOLE
from surgeon.verification.added_part import given_to_added
from surgeon.verification.graph_pair import GraphPair
from surgeon.verification.probes import probes_in_picture, probes_of
from surgeon.verification.read_detections import detections_of, original_detections
from surgeon.verification.records import RunRecord


def probe_records(graphs: GraphPair, record: RunRecord) -> Iterator[RunRecord]:
    """Yield what the original makes of each probe, with the rest of its inputs from a record.

    Raise SurgeonError where the graph does not tell what probes are made of, V106 where TensorFlow cannot
    compute them.
    """
    assert graphs.family is not None and graphs.plugin is not None
    limits = [value for value in graphs.plugin.attrs.values() if isinstance(value, int)]
    fed = {ref: record.values[ref] for ref in graphs.fed}
    refs = without_masks(graphs.detections)
    wanted = [*dict.fromkeys((*refs.values(), *graphs.family.plugin_sources))]
    share = np.array([record.window.height, record.window.width] * 2, np.float32)
    corner = np.array([record.window.top, record.window.left] * 2, np.float32)
    for probe in probes_of(graphs.family.postprocessing, limits):
        heads = graphs.family.heads_for(probe.boxes * share + corner, probe.scores, record.values)
        values = graphs.original.fetch(wanted, {**fed, **heads})
        detections = original_detections(graphs, values, refs, record.window)
        yield RunRecord(
            probe.name,
            None,
            record.window,
            record.inputs,
            detections,
            values=values,
            all_rules=probe.inherent,
        )


def added_probe_records(graphs: GraphPair, record: RunRecord) -> Iterator[RunRecord]:
    """Yield what the plugin of the added part makes of each probe; none where no file says what it reads.

    The rest of its inputs, such as anchors, is that of a record.
    """
    assert graphs.plugin is not None
    plugin, code = graphs.plugin, graphs.catalog.module(graphs.plugin.op, "probes")
    spec = graphs.catalog[plugin.op]
    fields = spec.complete({key: plugin.attrs[key] for key in plugin.attrs if key in spec.fields})
    inputs = given_to_added(graphs, record)
    rules = None if code is None else code.rules(fields, inputs)
    if code is None or rules is None:
        return
    limits = [value for value in plugin.attrs.values() if isinstance(value, int)]
    for probe in probes_in_picture(rules, limits):
        given = code.inputs(fields, inputs, probe.boxes, probe.scores)
        outputs = graphs.by_part(graphs.runner.alone(plugin.name, given))
        detections = detections_of(graphs, lambda change, found=outputs: found, WHOLE)  # type: ignore[misc]
        values = dict(zip(plugin.inputs, given, strict=True))
        yield RunRecord(probe.name, None, WHOLE, record.inputs, detections, values=values)
