"""Power over the ordinary nodes that a recipe writes, into a network that detects nothing or into a part that
it adds: would it be noticed if a constant, an attribute, an order or an operation were another one?
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from surgeon.diagnostics import SurgeonError
from surgeon.graph import Add, Node, Ref, Rewire, SetAttr, SetOp, Shape, TensorRef, TensorValue
from surgeon.graph.dtypes import DType
from surgeon.graph.op_sets import CONSTANTS, PLACEHOLDERS
from surgeon.runners.references import ReferenceRunner
from surgeon.stages import tell_stage
from surgeon.steps.replace_op import REPLACEMENTS
from surgeon.verification.added_part import detections_of_added
from surgeon.verification.compare_detections import compare_detections
from surgeon.verification.compare_each import compare_region
from surgeon.verification.compare_tensors import compare_tensors
from surgeon.verification.correspondence import Replacement
from surgeon.verification.graph_pair import GraphPair
from surgeon.verification.limits import Limits
from surgeon.verification.power import REFUSED, STEP
from surgeon.verification.records import RunRecord
from surgeon.verification.regions import Region
from surgeon.verification.results import Comparison, FieldPower, Outcome, RecipePower

_WRITES = frozenset(
    {
        "add-node",
        "collapse",
        "connect",
        "disconnect",
        "forward",
        "remove",
        "reorder-inputs",
        "replace-op",
        "set-attr",
    }
)
"""Steps that do what their author says; the others follow from the graph alone."""

_SYMMETRIC = frozenset(
    {
        "Add",
        "AddN",
        "AddV2",
        "Equal",
        "LogicalAnd",
        "LogicalOr",
        "Maximum",
        "Minimum",
        "Mul",
        "NotEqual",
        "SquaredDifference",
    }
)
"""Operations that give the same whatever the order of their inputs."""

_CHOICES: Mapping[str, tuple[bytes, ...]] = {
    "data_format": (b"NHWC", b"NCHW"),
    "mode": (b"REFLECT", b"SYMMETRIC"),
    "padding": (b"SAME", b"VALID"),
}
_OF_NO_NUMBER = frozenset({"N", "index", "seed", "seed2", "use_cudnn_on_gpu", "validate_shape"})
"""Attributes that count, or have no effect on numbers."""

_MOST_ITEMS = 16
"""Items of a list or constant that are changed."""

_MOST_CHANGES = 200
_MOST_SECONDS = 60.0
"""Changes that are tried, and how long; what is left is counted."""

_WIDER = (10.0, -10.0, -1.0)
"""Factors by which what goes into a node that was taken out is changed."""


def measure_recipe_power(graphs: GraphPair, records: Sequence[RunRecord], limits: Limits) -> RecipePower:
    """Change what the recipe wrote a little, one thing at a time, and tell what of it nothing notices.

    That are constants, attributes, the order of inputs, operations, and nodes that were taken out of a path.
    What the rewritten graph gives on ``records`` must have passed. Fields of plugins are left out:
    :func:`surgeon.verification.power.measure_power` changes these. Where the recipe adds a part that detects,
    that part alone is changed, and the detections notice it.
    """
    return _Measurement(graphs, records, limits).power()


@dataclass(frozen=True)
class _Setting:
    """Something that the recipe wrote, with other values for it and the nodes that hold them."""

    node: Node
    field: str
    value: Any
    others: tuple[tuple[Any, Node], ...]


@dataclass
class _Measurement:
    graphs: GraphPair
    records: Sequence[RunRecord]
    limits: Limits
    tried: int = 0
    start: float = field(default_factory=time.monotonic)

    def power(self) -> RecipePower:
        """Return what was found."""
        found: list[FieldPower] = []
        left = 0
        for setting in self._settings():
            changes: list[tuple[Any, str]] = []
            for value, changed in setting.others:
                if self.tried >= _MOST_CHANGES or time.monotonic() - self.start > _MOST_SECONDS:
                    left += 1
                    continue
                self.tried += 1
                tell_stage("measuring the power", f"{setting.node.name}.{setting.field}")
                changes.append((value, self._noticed_by(changed)))
            if changes or not setting.others:
                node = setting.node
                found.append(FieldPower(node.name, node.op, setting.field, setting.value, tuple(changes)))
        if self.graphs.added is not None:
            return RecipePower(tuple(found), left)
        return RecipePower((*found, *self._operations(), *self._shortcuts()), left)

    # What was written

    def _settings(self) -> Iterator[_Setting]:
        """Yield the constants, attributes and orders that the recipe wrote and that the outputs need."""
        seen: set[tuple[str, str]] = set()
        for name, key in self._written():
            node = self.graphs.runner.graph.get(name)
            if self.graphs.added is not None and name not in self.graphs.added.nodes:
                continue
            unknown = node is None or name not in self._needed or name in self.graphs.runner.references
            if node is None or unknown or node.op in PLACEHOLDERS or (name, key) in seen:
                continue
            seen.add((name, key))
            setting = self._setting(node, key)
            if setting is not None:
                yield setting

    def _written(self) -> Iterator[tuple[str, str]]:
        for step in self.graphs.steps:
            if step.step not in _WRITES:
                continue
            for edit in step.edits:
                if isinstance(edit, Add):
                    yield from ((edit.node.name, key) for key in edit.node.attrs)
                    yield edit.node.name, "inputs"
                elif isinstance(edit, SetAttr) and edit.value is not None:
                    yield edit.name, edit.key
                elif isinstance(edit, Rewire) and step.step in ("connect", "reorder-inputs"):
                    yield edit.name, "inputs"

    def _setting(self, node: Node, key: str) -> _Setting | None:
        if key == "inputs":
            others = tuple(self._swapped(node))
            return _Setting(node, key, tuple(map(str, node.inputs)), others) if others else None
        value = node.attrs.get(key)
        if node.op in CONSTANTS and key == "value" and isinstance(value, TensorValue | TensorRef):
            array = value.array()
            shown = array.item() if array.size == 1 else f"{array.size} numbers"
            tensors = (
                (text, node.with_attr(key, TensorValue.of(v, value.dtype))) for text, v in _beside(array)
            )
            return _Setting(node, key, shown, tuple(tensors))
        if key.startswith("_") or key in _OF_NO_NUMBER or value is None:
            return None
        if isinstance(value, DType | Shape | TensorValue | TensorRef) or node.op in CONSTANTS:
            return None
        if isinstance(value, tuple) and not all(isinstance(each, int | float) for each in value):
            return None
        return _Setting(
            node, key, value, tuple((v, node.with_attr(key, v)) for v in _other_values(key, value))
        )

    def _swapped(self, node: Node) -> Iterator[tuple[Any, Node]]:
        """Yield a node with two neighbouring inputs of one type and shape swapped."""
        if node.op in _SYMMETRIC:
            return
        spec = self.graphs.runner_inference.spec
        for at in range(min(len(node.inputs) - 1, _MOST_ITEMS)):
            one, other = node.inputs[at : at + 2]
            if one != other and spec(one) == spec(other):
                inputs = (*node.inputs[:at], other, one, *node.inputs[at + 2 :])
                yield tuple(map(str, inputs)), node.with_inputs(inputs, node.control)

    # What notices it

    def _noticed_by(self, changed: Node) -> str:
        """Return the name of the record that notices another node in the place of one, empty for none."""
        if self.graphs.added is not None:
            return self._noticed_by_detections(changed)
        for region in self.graphs.replaced:
            if changed.name in region.nodes and self._fails_alone(region, changed):
                return self.records[0].name
        graph = self.graphs.runner.graph
        other = graph.replace(changed if node.name == changed.name else node for node in graph)
        try:
            runner = ReferenceRunner(other, self.graphs.catalog, self.graphs.runner.fetches)
        except SurgeonError:
            return REFUSED
        try:
            return next((record.name for record in self.records if self._fails(runner, record)), "")
        except SurgeonError:
            return REFUSED
        finally:
            runner.close()

    def _noticed_by_detections(self, changed: Node) -> str:
        """Return the name of the record on which the added part detects something else with another node."""
        limits = self.limits
        for record in self.records:
            assert record.detections is not None
            try:
                detections = detections_of_added(self.graphs, record, {changed.name: changed})
            except SurgeonError:
                return REFUSED
            found = compare_detections(changed.name, record.name, record.detections, detections, limits)
            if found.outcome is Outcome.FAILED:
                return record.name
        return ""

    def _fails(self, runner: ReferenceRunner, record: RunRecord) -> bool:
        outputs = runner.run(record.inputs)
        tolerance = self.limits.tolerances.tensor
        return any(
            compare_tensors(name, record.name, expected, outputs[name], tolerance).outcome is Outcome.FAILED
            for name, expected in record.tensors.items()
            if expected is not None
        )

    def _fails_alone(self, region: Region, changed: Node | None = None) -> bool:
        nodes = {} if changed is None else {changed.name: changed}
        record = self.records[0]
        missing = [
            ref for ref in (*region.fed.values(), *region.outputs.values()) if ref not in record.values
        ]
        if missing:
            fed = {ref: record.values[ref] for ref in self.graphs.fed}
            record = replace(record, values={**record.values, **self.graphs.original.fetch(missing, fed)})
        found: Sequence[Comparison] = compare_region(self.graphs, region, record, self.limits, changed=nodes)
        return any(comparison.outcome is Outcome.FAILED for comparison in found)

    # Operations, and nodes that were taken out

    def _operations(self) -> Iterator[FieldPower]:
        """Yield each operation that stands for another one which gives something else on wider inputs."""
        rewritten = self.graphs.runner.graph
        for step in self.graphs.steps:
            for edit in step.edits if step.step in _WRITES else ():
                if not isinstance(edit, SetOp) or edit.name not in self._needed:
                    continue
                before, now = self.graphs.graph.get(edit.name), rewritten.get(edit.name)
                if (
                    before is None
                    or now is None
                    or (before.op, now.op) in REPLACEMENTS
                    or before.op == now.op
                ):
                    continue
                region = self.graphs.regions.around(Replacement(now, (now.name,), (now.name,)))
                if self._fails_alone(region):
                    yield FieldPower(now.name, now.op, "op", now.op, ((before.op, ""),))

    def _shortcuts(self) -> Iterator[FieldPower]:
        """Yield each node that readers no longer read, but a tensor in front of it, and that gives something
        else than this on wider inputs.
        """
        seen: set[tuple[Ref, Ref]] = set()
        for step in self.graphs.steps:
            for edit in step.edits if step.step in ("connect", "forward", "remove") else ():
                before = self.graphs.graph.get(edit.name) if isinstance(edit, Rewire) else None
                if not isinstance(edit, Rewire) or edit.inputs is None or before is None:
                    continue
                for old, new in zip(before.inputs, edit.inputs, strict=False):
                    if old == new or (old, new) in seen or new.node not in self.graphs.graph:
                        continue
                    seen.add((old, new))
                    changes = tuple((f"'{new}' times {factor:g}", "") for factor in self._differing(old, new))
                    if changes:
                        yield FieldPower(
                            old.node, self.graphs.graph[old.node].op, "removal", str(new), changes
                        )

    def _differing(self, old: Ref, new: Ref) -> list[float]:
        """Return the factors of a tensor by which it is no longer what a node behind it makes of it."""
        original, record = self.graphs.original, self.records[0]
        fed = {ref: record.values[ref] for ref in self.graphs.fed}
        found: list[float] = []
        try:
            value = original.fetch([new], fed)[new]
            for factor in _WIDER if value.dtype.kind == "f" else ():
                wide = (value * factor).astype(value.dtype)
                behind = original.fetch([old], {**fed, new: wide})[old]
                same = compare_tensors("", "", wide, behind, self.limits.tolerances.tensor)
                if same.outcome is Outcome.FAILED:
                    found.append(factor)
        except SurgeonError:
            return []
        return found

    @cached_property
    def _needed(self) -> set[str]:
        runner = self.graphs.runner
        return runner.graph.ancestors(ref.node for ref in runner.fetches)


def _beside(array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield a constant's value with one number a little beside its own, and what was changed."""
    if array.dtype.kind not in "biuf" or not array.size:
        return
    largest = float(np.abs(array[np.isfinite(array)]).max(initial=0)) if array.dtype.kind == "f" else 1.0
    step = -(-array.size // _MOST_ITEMS)
    for at in range(0, array.size, step):
        for direction in (-1, 1) if array.size == 1 else (1,):
            other = array.copy()
            flat = other.reshape(-1)
            if array.dtype.kind == "b":
                flat[at] = not flat[at]
            elif array.dtype.kind == "f":
                flat[at] += direction * STEP * (largest or 5.0)
            else:
                flat[at] += direction
            if not np.array_equal(other, array):
                shown = f"{flat[at]}" if array.size == 1 else f"element {at}: {flat[at]}"
                yield shown, other
            if array.dtype.kind == "b":
                break


def _other_values(key: str, value: Any) -> Iterator[Any]:
    """Yield values of an attribute a little beside its own."""
    if isinstance(value, tuple):
        for at, item in list(enumerate(value))[:_MOST_ITEMS]:
            for other in _other_values(key, item):
                yield (*value[:at], other, *value[at + 1 :])
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value - 1, value + 1)
    elif isinstance(value, float):
        step = abs(value) * STEP or 0.01
        yield from (value - step, value + step)
    elif isinstance(value, bytes):
        yield from (other for other in _CHOICES.get(key, ()) if other != value)
