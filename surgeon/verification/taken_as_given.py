"""What a recipe says that nothing in the original can be held against."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from surgeon.graph import Add, DType, Node, SetAttr, SetOp, Shape, TensorRef, TensorValue
from surgeon.language import NodeDefinition
from surgeon.verification.fed_pair import FedPair
from surgeon.verification.results import AddedPart

_PUTTING_IN = ("add-node", "collapse")
"""Steps that put in nodes which the recipe defines; others write their own."""

_MOST_SHOWN = 16
"""Numbers of a fixed input, and of an added constant, that are listed; of more, what they have in common."""


def describe_added(graphs: FedPair) -> AddedPart | None:
    """Return what the recipe adds, for a reader; None where it adds nothing that detects."""
    if graphs.cut is not None and graphs.plugin is not None:
        ends = tuple(map(str, graphs.match.original.output_refs))
        given = graphs.cut[0].given(graphs.plugin.attrs)
        numbers = {f"{graphs.plugin.name}.{key}": value for key, value in given.items()}
        return AddedPart(graphs.plugin.name, ends, (graphs.plugin.name,), numbers, "TensorFlow")
    if graphs.added is None:
        return None
    names = [node.name for node in graphs.runner.graph if node.name in graphs.added.nodes]
    written = [name for name in names if name in graphs.recipe.nodes]
    values = {
        f"{name}.{key}": value
        for name in written
        for key, value in _said(graphs.recipe.nodes[name], graphs.runner.graph[name]).items()
    }
    values |= _said_by_steps(graphs, graphs.added.nodes)
    reads = dict.fromkeys(map(str, graphs.added.fed.values()))
    return AddedPart(
        str(graphs.plugin.name if graphs.plugin else ""),
        tuple(reads),
        tuple(written),
        values,
        given_up=tuple(map(str, graphs.given_up)),
    )


def given_inputs(graphs: FedPair) -> dict[str, Any]:
    """Return what the recipe says of the inputs that it fixes, and both graphs are fed: the options of
    the steps by ``step.option``, and other values by ``input.value``, of long ones type and shape.
    """
    found: dict[str, Any] = {}
    left = dict(graphs.match.fixed)
    for step in graphs.steps:
        written = {edit.name for edit in step.edits if isinstance(edit, SetOp) and edit.name in left}
        options = _options(graphs, step.label) if written else {}
        if options:
            left = {name: value for name, value in left.items() if name not in written}
        found |= options
    for name, value in left.items():
        small = value.size <= _MOST_SHOWN and value.dtype.kind in "biuf"
        shown = value.tolist() if small else f"{value.dtype}{Shape(value.shape)}"
        found[f"{name}.value"] = shown
    return found


def _said_by_steps(graphs: FedPair, added: Collection[str]) -> dict[str, Any]:
    """Return the options of the steps that write some of these nodes themselves, by ``step.option``."""
    found: dict[str, Any] = {}
    for step in graphs.steps:
        written = {edit.node.name for edit in step.edits if isinstance(edit, Add)}
        if step.step == "set-attr":
            written = {edit.name for edit in step.edits if isinstance(edit, SetAttr)}
        if step.step not in _PUTTING_IN and not written.isdisjoint(added):
            found |= _options(graphs, step.label)
    return found


def _options(graphs: FedPair, label: str) -> dict[str, Any]:
    """Return the options that the recipe writes in a step, by ``step.option``; none for other steps."""
    own = next((each for each in graphs.recipe.steps if each.label == label), None)
    options = {} if own is None else own.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return {f"{label}.{key}": value for key, value in options.items() if key not in ("step", "id", "when")}


def _said(definition: NodeDefinition, node: Node) -> dict[str, Any]:
    """Return what a recipe says of a node besides its kind, form and inputs, by key, as the node has it."""
    own = {**(definition.fields or {}), **(definition.attrs or {})}
    found = {key: _listed(node.attrs[key]) for key in own if key in node.attrs}
    known = ("plugin", "op", "like", "dtype", "inputs", "fields", "attrs")
    operands = {key: value for key, value in definition if value is not None and key not in known}
    return found | {key: _listed(node.attrs.get(key, value)) for key, value in operands.items()}


def _listed(value: Any) -> Any:
    """Return a value of a node as plain values; of many numbers, their type, shape and range."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, DType | Shape):
        return str(value)
    if not isinstance(value, TensorValue | TensorRef):
        return value
    array = value.array()
    if array.size <= _MOST_SHOWN:
        return array.tolist()
    kind = f"{value.dtype}{list(array.shape)}"
    return f"{kind} from {array.min():.7g} to {array.max():.7g}" if array.dtype.kind in "fiu" else kind
