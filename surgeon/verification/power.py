"""Power: would a verification notice it if a field of a plugin were a little different?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from surgeon.catalog import FieldSpec, PluginSpec
from surgeon.diagnostics import SurgeonError
from surgeon.graph import Node, Ref, TensorValue
from surgeon.runners.references import Execution, Fields
from surgeon.stages import tell_stage
from surgeon.verification.compare_detections import compare_detections
from surgeon.verification.compare_each import (
    compare_anchors,
    compare_decoding,
    compare_plugin,
    compare_region,
    given_to_plugin,
)
from surgeon.verification.graph_pair import GraphPair
from surgeon.verification.limits import Limits
from surgeon.verification.pair_rules import rules_of
from surgeon.verification.read_detections import detections_of
from surgeon.verification.records import RunRecord
from surgeon.verification.results import Comparison, FieldPower, Outcome

STEP = 2e-3
"""By what share a number is changed; the probes stand closer to the thresholds than that."""

_FROM_ZERO = 0.01
"""By how much 0 is changed."""

_MOST = 64
"""Items of a list that are changed."""

REFUSED = "refused"
"""What notices a value that the plugin does not take."""

Notices = Callable[[RunRecord, Fields], bool]
"""Returns whether the comparison of a plugin node on a record fails with other fields."""


def measure_power(
    graphs: GraphPair, picture: RunRecord, probes: Sequence[RunRecord], limits: Limits
) -> tuple[FieldPower, ...]:
    """Change every field of every plugin node a little, and tell which of the records notices.

    Only the changed plugin runs again, and what depends on it up to the next tensor that the original has.
    What the recipe's own fields give on these records must have passed. A field that can have no other value
    is left out.
    """
    limits = replace(limits, any_unavoidable=True)
    found: list[FieldPower] = []
    for node in graphs.runner.plugins:
        plugin = graphs.runner.references[node.name].plugin
        records, notices = _comparison(graphs, node, picture, probes, limits)
        for field in plugin.fields.values():
            tell_stage("measuring the power", f"{node.name}.{field.name}")
            value = node.attrs.get(field.name)
            changes: list[tuple[Any, str]] = []
            for other in changed_values(plugin, field, value) if value is not None else ():
                fields = {**node.attrs, field.name: other}
                noticed = _noticed_by(records, notices, fields) or _noticed_at_cut(
                    graphs, node, picture, limits, fields
                )
                changes.append((other, noticed))
                # What noticed one change is the likeliest to notice the next.
                records.sort(key=partial(_is_not, noticed))
            if changes or isinstance(value, str | bytes):
                found.append(FieldPower(node.name, node.op, field.name, value, tuple(changes)))
    return (*found, *_power_of_decoding(graphs, picture, limits))


def _power_of_decoding(graphs: GraphPair, picture: RunRecord, limits: Limits) -> Iterator[FieldPower]:
    """Change every constant that decodes boxes in front of the plugin a little, and yield what notices.

    Those that are added or subtracted move by a share of the picture, the others by one of themselves.
    """
    decoder, plugin = graphs.decoder, graphs.plugin
    if decoder is None or plugin is None:
        return
    for role, name in decoder.decoding.constants.items():
        tell_stage("measuring the power", f"{plugin.name}.decode.{role}")
        constant = decoder.graph[name].attrs["value"]
        assert isinstance(constant, TensorValue)
        value = constant.array()
        changes: list[tuple[str, str]] = []
        for step in (-STEP, STEP):
            added = any(decoder.graph[reader].op in _ADDING for reader in decoder.graph.readers[name])
            other = value + np.float32(step) if added else value * np.float32(1 + step)
            compared = compare_decoding(graphs, decoder, picture, limits, {name: other})
            changed = f"{'plus' if added else 'times'} {step if added else 1 + step:g}"
            changes.append((changed, picture.name if _fails(compared) else ""))
        shown = float(value) if value.size == 1 else f"{value.size} numbers"
        yield FieldPower(plugin.name, plugin.op, f"decode.{role}", shown, tuple(changes))


_ADDING = ("Add", "AddV2", "Sub")


def _comparison(
    graphs: GraphPair, node: Node, picture: RunRecord, probes: Sequence[RunRecord], limits: Limits
) -> tuple[list[RunRecord], Notices]:
    """Return the records that can notice a change of a plugin node, and how they do."""
    if graphs.plugin is not None and node.name == graphs.plugin.name:
        return [*probes, picture], _PluginChange(graphs, node, limits).is_noticed
    if node.name in graphs.behind_anchors:
        return [picture], lambda record, fields: _fails(
            [compare_anchors(graphs, record, limits, {node.name: fields})]
        )
    region = next((region for region in graphs.replaced if node.name in region.nodes), None)
    if region is None:
        return [], lambda record, fields: False
    return [picture], lambda record, fields: _fails(
        compare_region(graphs, region, record, limits, {node.name: fields})
    )


def _is_not(name: str, record: RunRecord) -> bool:
    return record.name != name


def _fails(comparisons: Iterable[Comparison]) -> bool:
    return any(comparison.outcome is Outcome.FAILED for comparison in comparisons)


class _PluginChange:
    """Compares what the plugin that gives detections makes of records, with fields changed."""

    def __init__(self, graphs: GraphPair, node: Node, limits: Limits) -> None:
        self._graphs, self._node, self._limits = graphs, node, limits
        self._own: dict[str, Sequence[np.ndarray] | None] = {}

    def is_noticed(self, record: RunRecord, fields: Fields) -> bool:
        """Return whether the comparison fails; raise SurgeonError for fields that the plugin refuses."""
        own = self._unchanged(record)
        if own is None:
            return False
        graphs, name = self._graphs, self._node.name
        changed = graphs.runner.alone(name, given_to_plugin(graphs, self._node, record, fields), (), fields)
        if all(map(np.array_equal, own, changed)):
            return False
        assert record.detections is not None
        rows = detections_of(graphs, lambda change: graphs.by_part(changed), record.window)
        original = record.detections.without_masks
        unexplained = compare_detections(name, record.name, original, rows, self._limits)
        if not _fails([unexplained]):
            return False
        if graphs.added is not None:
            return True  # no rule of the original explains it
        if not record.all_rules and not self._limits.allows_avoidable:
            return True  # no rule may explain it
        return _fails([compare_plugin(graphs, self._node, record, self._limits, fields)])

    def _unchanged(self, record: RunRecord) -> Sequence[np.ndarray] | None:
        """Return what the plugin gives with its own fields; None where it cannot be compared alone."""
        if record.name not in self._own:
            try:
                given = given_to_plugin(self._graphs, self._node, record)
            except SurgeonError:
                given = []
            self._own[record.name] = self._graphs.runner.alone(self._node.name, given) if given else None
        return self._own[record.name]


def _noticed_at_cut(graphs: GraphPair, node: Node, picture: RunRecord, limits: Limits, fields: Fields) -> str:
    """Return the name of the picture where the whole rewritten graph fails on it with other fields."""
    if picture.detections is None:
        return ""
    own = graphs.execute(picture.inputs)
    execution = own.with_fields(node.name, fields)
    rules = rules_of(graphs, graphs.runner.references, [node.name])
    # A stage behind the detections computes masks, for which most changes need not wait.
    originals = [picture.detections.without_masks]
    if picture.detections.masks is not None:
        originals.append(picture.detections)
    for original in originals:
        outputs_of = partial(graphs.outputs_of, masks=original.masks is not None)
        rerun = partial(detections_of, graphs, partial(outputs_of, execution), picture.window)
        try:
            if _same_outputs(graphs, node, own, execution):
                return ""
            changed = outputs_of(execution, "")
        except SurgeonError:
            return REFUSED
        if all(np.array_equal(changed[part], value) for part, value in outputs_of(own, "").items()):
            continue
        comparison = compare_detections(node.name, picture.name, original, rerun(""), limits, rules, rerun)
        if _fails([comparison]):
            return f"cut to cut, {picture.name}"
    return ""


def _same_outputs(graphs: GraphPair, node: Node, one: Execution, other: Execution) -> bool:
    """Return whether a plugin node gives the same in two runs."""
    count = len(graphs.runner.references[node.name].plugin.output_ports(dict(node.attrs)))
    refs = [Ref(node.name, slot) for slot in range(count)]
    return all(np.array_equal(one[ref], other[ref]) for ref in refs)


def _noticed_by(records: Iterable[RunRecord], notices: Notices, fields: Fields) -> str:
    """Return the name of the first record that notices other fields, empty for none."""
    for record in records:
        try:
            if notices(record, fields):
                return record.name
        except SurgeonError:
            return REFUSED
    return ""


def changed_values(plugin: PluginSpec, field: FieldSpec, value: Any) -> Iterator[Any]:
    """Yield values a little beside a field's own.

    Those are numbers a step down and up, other choices, an order with two swapped. Of a list, one item is
    changed at a time.
    """
    if isinstance(value, tuple | list):
        items = list(value)
        if field.name == plugin.order_field:
            for at in range(len(items) - 1):
                swapped = [*items]
                swapped[at : at + 2] = items[at + 1], items[at]
                yield tuple(swapped)
            return
        for at, item in list(enumerate(items))[:_MOST]:
            for other in _beside(field, item):
                yield (*items[:at], other, *items[at + 1 :])
    else:
        yield from _beside(field, value)


def _beside(field: FieldSpec, value: Any) -> Iterator[Any]:
    if field.choices is not None:
        yield from (choice for choice in field.choices if choice != value)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield from (other for other in (value - 1, value + 1) if _allowed(field, other))
    elif isinstance(value, float):
        step = abs(value) * STEP or _FROM_ZERO
        yield from (other for other in (value - step, value + step) if _allowed(field, other))


def _allowed(field: FieldSpec, value: float) -> bool:
    return (
        (field.minimum is None or value >= field.minimum)
        and (field.maximum is None or value <= field.maximum)
        and (field.exclusive_minimum is None or value > field.exclusive_minimum)
    )
