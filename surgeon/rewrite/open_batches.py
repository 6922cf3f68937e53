"""Inputs that nobody mentions: scalars as they are at inference, and batches that follow others."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from surgeon.diagnostics import Diagnostic, Severity, SurgeonError
from surgeon.graph import Graph, Node, Ref, Shape, apply_edits
from surgeon.graph.op_sets import CONSTANTS, PLACEHOLDERS
from surgeon.infer import infer
from surgeon.infer.batches import contradicts, must_agree
from surgeon.infer.open_inputs import InputRole, OpenInput, open_inputs
from surgeon.rewrite.recipe_words import is_tensor
from surgeon.rewrite.taken_inputs import TakenInputs
from surgeon.steps.cut_at import CutAt
from surgeon.steps.fix_inputs import FixInputs
from surgeon.steps.for_inference import ForInference
from surgeon.steps.pin_batch import PinBatch
from surgeon.steps.set_attr import SetAttributes
from surgeon.steps.set_shape import InputSpec, SetShape
from surgeon.steps.step import StepContext


def fix_to_inference(taken: TakenInputs, mentioned: set[str]) -> None:
    """Fix the scalars that neither the caller nor the recipe mentions, with a note for each.

    The step ``for-inference`` fixes those of training itself.
    """
    left = any(isinstance(step, ForInference) for _, step in taken.taken_steps())
    if not _has_scalars(taken):
        return
    for each in open_inputs(_with_outputs(taken)):
        name = each.ref.node
        if not each.must_be_fixed or name in mentioned or taken.is_mentioned(name):
            continue
        if left and each.role is not InputRole.BATCH_SIZE:
            continue
        value = _batch(taken, name) if each.role is InputRole.BATCH_SIZE else each.inference
        if value is None:
            sizes = ", ".join(f"'{other}' {size}" for other, size in _sizes(taken).items())
            _note(
                taken,
                "S229",
                f"the input '{name}' (batch size) stays open; the batches of the data differ: {sizes}",
                f"give it by '--constant {name}=VALUE'",
                Severity.WARNING,
            )
            continue
        taken.values[name] = value
        if each.role is InputRole.BATCH_SIZE:
            taken.batch_sizes.append(name)
        default = "" if each.default is None else f" in place of its default {each.default}"
        taken.diagnostics.append(
            Diagnostic(
                "S227",
                f"the input '{name}' ({each.role.value}) is fixed to {value}{default}, as at inference: "
                f"{each.reason}",
                taken.graph.source or None,
                help=(f"give another value by '--constant {name}=VALUE'; '--input {name}=[]' keeps it open",),
                severity=Severity.NOTE,
            )
        )


def follow_batch(taken: TakenInputs, mentioned: set[str]) -> None:
    """Give inputs of open batch the one of those whose shapes are given, or that a scalar is fixed to.

    Without that, a network would be fed inputs of different batches. Each gets a note, and one whose
    batch the graph does not tell another note.
    """
    batches = _given_batches(taken, mentioned)
    if len(set(batches.values())) == 1:
        _follow(taken, batches, mentioned)
    _warn_of_given_batches(taken)
    _warn_of_other_batches(taken)


def _given_batches(taken: TakenInputs, mentioned: set[str]) -> dict[str, int]:
    """Return the batches that are given: above 1 by the shape of an input, any by a scalar's value."""
    open_batch = _with_open_batch(taken)
    batches = {
        name: spec.shape[0]
        for name, spec in taken.specs.items()
        if name in open_batch and spec.shape and spec.shape[0] is not None and spec.shape[0] > 1
    }
    for each in _opened(taken):
        name = each.ref.node
        value = _fixed_value(taken, name) if each.role is InputRole.BATCH_SIZE else None
        if value is not None:
            batches[name] = value
    return batches


def _follow(taken: TakenInputs, batches: Mapping[str, int], mentioned: set[str]) -> None:
    """Give inputs of open batch the one of others, where their shapes must agree."""
    batch = next(iter(batches.values()))
    is_given = any(name in mentioned or name in taken.batch_sizes for name in batches)
    graph = _behind_recipe(taken, pinned=not is_given)
    waiting = [
        name
        for name, dims in _data_dims(taken, graph).items()
        if dims[0] is None and name not in mentioned and _leaves_shape(taken, name)
    ]
    group = [name for name in batches if name in graph]
    is_lone = len(waiting) == 1 and not any(name in taken.specs for name in batches)
    progress = True
    while progress and waiting:
        progress = False
        for name in list(waiting):
            if not is_lone and not must_agree(graph, group, name):
                continue
            waiting.remove(name)
            group.append(name)
            progress = True
            dims = _data_dims(taken, graph)[name]
            _set_batch(taken, name, InputSpec(shape=(batch, *dims[1:]), dtype=None), next(iter(batches)))
    pinned = _data_dims(taken, _behind_recipe(taken))
    for name in waiting:
        if name in pinned and pinned[name][0] is None:
            _note(
                taken,
                "S229",
                f"the batch of the input '{name}' stays open; the graph does not show that it is that of "
                f"'{next(iter(batches))}'",
                f"give it by '--input {name}=SHAPE'",
            )


def _set_batch(taken: TakenInputs, name: str, spec: InputSpec, source: str) -> None:
    if not taken.shape_in_recipe(name, spec):
        taken.shapes[name] = spec
    assert spec.shape is not None
    _note(
        taken,
        "S228",
        f"the input '{name}' gets the batch {spec.shape[0]}, as '{source}' has it",
        f"give another one by '--input {name}=SHAPE'",
    )


def _warn_of_given_batches(taken: TakenInputs) -> None:
    """Warn where two inputs are given different batches and must agree; a batch of 1 fits any."""
    given = {name for name, spec in taken.specs.items() if spec.shape and spec.shape[0] != 1}
    if len(given) < 2:
        return
    sizes = {name: size for name, size in _sizes(taken).items() if name in given}
    for other, size in sizes.items():
        first = next(iter(sizes))
        if size != sizes[first] and must_agree(_behind_recipe(taken), [first], other):
            _note(
                taken,
                "S229",
                f"the input '{other}' has the batch {size}, but '{first}' has {sizes[first]}; "
                "their shapes must agree",
                f"give both one batch: '--input {other}=SHAPE'",
                Severity.WARNING,
            )


def _warn_of_other_batches(taken: TakenInputs) -> None:
    """Warn where a scalar is fixed to another batch than an input has that must agree with it."""
    sizes: dict[str, int] | None = None
    for each in _opened(taken):
        name = each.ref.node
        value = _fixed_value(taken, name) if each.role is InputRole.BATCH_SIZE else None
        if value is None:
            continue
        sizes = _sizes(taken) if sizes is None else sizes
        same = [other for other, size in sizes.items() if size == value]
        for other, size in sizes.items():
            if size == value or (same and not must_agree(_behind_recipe(taken), [name, *same], other)):
                continue
            _note(
                taken,
                "S229",
                f"the input '{other}' has the batch {size}, but '{name}' (batch size) is fixed to {value}",
                f"give both one batch: '--constant {name}={size}', or another '--input {other}=SHAPE'",
                Severity.WARNING,
            )


def _opened(taken: TakenInputs) -> tuple[OpenInput, ...]:
    """Return the inputs as the recipe shapes them; none where nothing is given and none is a scalar."""
    is_idle = not taken.specs and not taken.values and not _has_scalars(taken)
    return () if is_idle else open_inputs(_behind_recipe(taken))


def _behind_recipe(taken: TakenInputs, *, pinned: bool = True) -> Graph:
    """Return the graph whose inputs have the shapes that they have behind the recipe's own steps.

    Without ``pinned``, ``pin-batch`` is left out.
    """
    graph = _with_outputs(taken)
    if taken.shapes:
        shape = SetShape.model_validate({"step": "set-shape", "nodes": taken.shapes})
        graph = apply_edits(graph, shape.plan(StepContext(graph)))
    for _, step in taken.taken_steps():
        with suppress(SurgeonError):  # a step may name nodes that steps before it make
            context = StepContext(graph)
            if isinstance(step, CutAt | SetShape | SetAttributes):
                graph = apply_edits(graph, step.plan(context))
            elif isinstance(step, PinBatch) and pinned:
                graph = apply_edits(graph, step.pins(context))
    return graph.replace([_as_in_recipe(taken, node) for node in graph])


def _as_in_recipe(taken: TakenInputs, node: Node) -> Node:
    """Return an input with the shape of the recipe's placeholder that takes its place, if one does."""
    if node.op not in PLACEHOLDERS:
        return node
    definition = taken.recipe.nodes.get(taken.replaced_by(node.name))
    own = node.attrs.get("shape")
    if definition is None or definition.op != "Placeholder" or definition.shape is None:
        return node
    if not isinstance(own, Shape) or own.rank != len(definition.shape):
        own = Shape(definition.shape)
    pairs = zip(own.dims or (), definition.shape, strict=True)
    shape = Shape(tuple(size if given is None else given for size, given in pairs))
    return replace(node, attrs={**node.attrs, "shape": shape})


def _data_dims(taken: TakenInputs, graph: Graph) -> dict[str, tuple[int | None, ...]]:
    """Return the sizes of the data inputs of a graph whose batch is open in the one that is rewritten.

    Return those of all data inputs where none is.
    """
    sizes = {
        each.ref.node: each.spec.shape.dims
        for each in open_inputs(graph)
        if each.role is InputRole.DATA and each.spec.shape.dims and graph[each.ref.node].op in PLACEHOLDERS
    }
    open_batch = _with_open_batch(taken)
    opened = {name: dims for name, dims in sizes.items() if name in open_batch}
    return opened or sizes


def _with_open_batch(taken: TakenInputs) -> set[str]:
    """Return the inputs whose batch is open in the graph that is rewritten (membership only)."""
    tensors = {node.name: Ref(node.name) for node in taken.graph if node.op in PLACEHOLDERS}
    steps = [taken.cut] if taken.cuts else []
    for cut in [*steps, *(step for _, step in taken.taken_steps() if isinstance(step, CutAt))]:
        for name, text in zip(cut.input_names, cut.tensors, strict=True):
            if is_tensor(text) and Ref.parse(text).node in taken.graph:
                tensors[name] = Ref.parse(text)
    inference = infer(taken.graph)
    dims = {name: inference.spec(ref).shape.dims for name, ref in tensors.items()}
    return {name for name, own in dims.items() if own is None or (own and own[0] is None)}


def _sizes(taken: TakenInputs) -> dict[str, int]:
    """Return the batches of the data inputs behind the recipe, where they are known."""
    every = _data_dims(taken, _behind_recipe(taken))
    return {name: dims[0] for name, dims in every.items() if dims[0] is not None}


def _batch(taken: TakenInputs, scalar: str) -> int | None:
    """Return the batch that all data inputs have, 1 where it is open, None where they differ.

    Where they differ, only those sizes count that the shapes of the graph do not contradict.
    """
    sizes = dict.fromkeys(_sizes(taken).values())
    if len(sizes) > 1:
        graph = _behind_recipe(taken)
        sizes = dict.fromkeys(size for size in sizes if not contradicts(graph, scalar, size))
    if not sizes:
        return 1
    return next(iter(sizes)) if len(sizes) == 1 else None


def _fixed_value(taken: TakenInputs, name: str) -> int | None:
    """Return the whole number that an input is fixed to, None where it is open or holds anything else."""
    value = taken.values.get(name)
    definition = taken.recipe.nodes.get(taken.replaced_by(name))
    if definition is not None and definition.op in CONSTANTS:
        value = definition.value
    for _, step in taken.taken_steps():
        if isinstance(step, FixInputs | ForInference):
            value = (step.values if isinstance(step, FixInputs) else step.constants).get(name, value)
    return value if type(value) is int and value > 0 else None


def _leaves_shape(taken: TakenInputs, name: str) -> bool:
    """Return whether the recipe leaves the shape of an input to the graph."""
    for _, step in taken.taken_steps():
        if isinstance(step, CutAt) and name in step.input_names:
            return step.tensors[step.input_names.index(name)] not in step.shapes
    return not taken.is_mentioned(name)


def _with_outputs(taken: TakenInputs) -> Graph:
    """Return the graph behind the cuts, with the recipe's outputs, where it has all of them."""
    graph = apply_edits(taken.graph, taken.cut.plan(StepContext(taken.graph))) if taken.cuts else taken.graph
    refs = [Ref.parse(text) for text in taken.recipe.outputs if is_tensor(text)]
    if len(refs) < len(taken.recipe.outputs) or any(ref.node not in graph for ref in refs):
        return graph
    return graph.replace(outputs=refs)


def _has_scalars(taken: TakenInputs) -> bool:
    return any(node.op in PLACEHOLDERS and _may_be_scalar(node.attrs.get("shape")) for node in taken.graph)


def _note(taken: TakenInputs, code: str, message: str, help: str, severity: Severity = Severity.NOTE) -> None:
    source = taken.graph.source or None
    taken.diagnostics.append(Diagnostic(code, message, source, help=(help,), severity=severity))


def _may_be_scalar(shape: object) -> bool:
    return not isinstance(shape, Shape) or shape.rank in (0, None)
