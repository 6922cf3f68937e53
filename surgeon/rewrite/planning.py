"""Planning is pure: from a recipe and a graph to the edits, step by step, and the graph they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from surgeon.catalog import Catalog, PluginSpec, load_catalog
from surgeon.catalog.detections import (
    CLASS_SCORES,
    COUNT,
    gives_detections,
    masks_among,
    part_of_masks,
    part_of_rows,
    rows_among,
)
from surgeon.deprecation import RenamedAttribute
from surgeon.diagnostics import Diagnostic, Span, SurgeonError, error
from surgeon.display import Displayed, plural
from surgeon.families import Derivation
from surgeon.graph import Add, Edit, Graph, Node, Ref, Rewire, SetOutputs, apply_edits
from surgeon.infer import Inference
from surgeon.language import Image, Recipe
from surgeon.rewrite.decoding import DECIDING_STEPS, Decoding, cannot_decode, disturbance
from surgeon.rewrite.given_inputs import given_inputs
from surgeon.rewrite.input_specs import GivenSpec
from surgeon.rewrite.prepare import PreparedRecipe, prepare_recipe
from surgeon.rewrite.recipe_words import reason_to_skip
from surgeon.steps.placing import resolve
from surgeon.steps.step import Step, StepContext
from surgeon.targets import Target

_OF_RECIPE = (("namespaces",), ("nodes",), ("outputs",), ("detections",))
"""Keys of the recipe whose places stand in for those of a step."""


@dataclass(frozen=True)
class PlannedStep:
    """One step's batch of edits; ``skipped`` says why there is none, where the step was not taken."""

    step: str
    label: str
    edits: tuple[Edit, ...]
    span: Span | None = None
    skipped: str = ""
    nodes: int = 0


@dataclass(frozen=True)
class Plan(Displayed):
    """The edits of a recipe to one graph, as values.

    ``digest`` is the SHA-256 of that graph (:meth:`Graph.digest`), computed on first use. ``result`` is
    the rewritten graph and ``inference`` what is known of its tensors; a plan that was read from a file
    has neither. ``image`` says how a picture becomes the rewritten graph's input; it is None if the recipe
    does not say. ``decoding`` tells what decodes boxes in front of a plugin; it is None if the plugin does,
    and in a plan that was read from a file. ``planned`` is the recipe with the plugin that was chosen for
    suppression; it is None in a plan that was read from a file. ``detections`` are the outputs that hold
    detections as the recipe says, by part; those of a plugin are not among them. ``diagnostics`` are the
    steps' notes.
    """

    recipe: str
    target: str
    steps: tuple[PlannedStep, ...]
    derivations: tuple[Derivation, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    source: Graph | None = field(default=None, repr=False, compare=False)
    result: Graph | None = field(default=None, repr=False, compare=False)
    stored_digest: str = ""
    image: Image | None = None
    inference: Inference | None = field(default=None, repr=False, compare=False)
    decoding: Decoding | None = field(default=None, repr=False, compare=False)
    planned: Recipe | None = field(default=None, repr=False, compare=False)
    detections: Mapping[str, Ref] = field(default_factory=dict)

    remarks = RenamedAttribute("diagnostics", removal="0.2.0")

    def __repr__(self) -> str:
        after = f", {self.steps[-1].nodes} nodes are left" if self.steps else ""
        return (
            f"<Plan of the recipe '{self.recipe}'{f' for {self.target}' if self.target else ''}: "
            f"{len(self.steps)} steps{after}>"
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the graph that the plan is for."""
        return self.stored_digest or (self.source.digest() if self.source is not None else "")


def plan(
    recipe: Recipe,
    graph: Graph,
    *,
    target: Target | None = None,
    catalog: Catalog | None = None,
    anchors: str | None = None,
    decode: str | None = None,
    suppression: str | None = None,
    input_specs: Mapping[str, GivenSpec] | None = None,
    constants: Mapping[str, Any] | None = None,
) -> Plan:
    """Return the edits that ``recipe`` makes to ``graph`` for ``target``; nothing is changed.

    Each step sees the graph as the steps before it left it. Where a node put in replaces a tensor, dtype and
    shape are compared. ``anchors``, ``decode`` and ``suppression`` override the recipe's. ``input_specs`` are
    shapes and types of inputs by name, ``constants`` values in their place; see
    :func:`surgeon.rewrite.given_inputs.given_inputs`. Raise SurgeonError with the recipe's line where a
    derivation (D), a step (S) or a field (C) fails.
    """
    catalog = catalog or load_catalog()
    given = given_inputs(recipe, graph, input_specs or {}, constants or {}, target)
    first: list[PlannedStep] = []
    notes = list(given.diagnostics)
    now = graph
    for step in given.steps:
        context = StepContext(now, catalog=catalog, diagnostics=notes)
        edits = tuple(step.plan(context))
        now = apply_edits(now, edits)
        first.append(PlannedStep(step.step, step.label, edits, None, "", len(now)))
    made = _prepared_and_planned(given.recipe, now, target, catalog, anchors, decode, suppression)
    if made.result is not None:
        given.check_kept(made.result)
    if not first and not notes:
        return made
    return replace(
        made,
        steps=(*first, *made.steps),
        diagnostics=(*notes, *made.diagnostics),
        source=graph,
    )


def _prepared_and_planned(
    recipe: Recipe,
    graph: Graph,
    target: Target | None,
    catalog: Catalog,
    anchors: str | None,
    decode: str | None,
    suppression: str | None,
) -> Plan:
    prepared = prepare_recipe(recipe, graph, catalog, target, anchors, decode, suppression)
    rendering = prepared.rendering
    decides = any(step.step in DECIDING_STEPS for step in recipe.steps)
    if rendering.decoding is None or rendering.by_plugin is None or not decides:
        return _planned(recipe, graph, target, catalog, prepared)
    return _with_steps(recipe, graph, target, catalog, prepared)


def _with_steps(
    recipe: Recipe, graph: Graph, target: Target | None, catalog: Catalog, prepared: PreparedRecipe
) -> Plan:
    """Return the plan of a recipe whose steps may change what decodes boxes.

    What they do to the recipe's own nodes decides on what may be put in the place of these.
    """
    rendering = prepared.rendering
    assert rendering.decoding is not None and rendering.by_plugin is not None
    node, reason, named = rendering.decoding.node, "", False
    as_written: Plan | None = None
    with suppress(SurgeonError):  # a step may name nodes that decode
        by_plugin = replace(prepared, rendering=rendering.by_plugin)
        as_written = _planned(recipe, graph, target, catalog, by_plugin)
        edits = [step.edits for step in as_written.steps]
        reason, named = disturbance(recipe, edits, node, rendering.makers)
    if not reason or (named and not rendering.auto):
        made = _planned(recipe, graph, target, catalog, prepared)
        edits = [step.edits for step in made.steps]
        reason, named = disturbance(recipe, edits, node, rendering.decoding.nodes)
        if not reason or named:
            return made
    if not rendering.auto or as_written is None:
        raise cannot_decode(recipe, node, reason)
    told = replace(prepared, rendering=rendering.by_plugin.because(reason))
    return replace(as_written, derivations=told.derivations)


def _planned(
    recipe: Recipe, graph: Graph, target: Target | None, catalog: Catalog, prepared: PreparedRecipe
) -> Plan:
    diagnostics: list[Diagnostic] = []
    decoding = prepared.rendering.decoding
    planned: list[PlannedStep] = []
    now = graph
    for index, step in enumerate(recipe.steps):
        context = _context(recipe, prepared, now, index, diagnostics, catalog)
        reason = reason_to_skip(step, target)
        if reason:
            planned.append(PlannedStep(step.step, step.label, (), context.span, reason, len(now)))
            continue
        edits = step.plan(context)
        if decoding is not None:
            edits = decoding.without_strays(edits, now)
        after = _applied(now, edits, step, context)
        outputs = _outputs(recipe, prepared, after, context)
        if outputs is not None:
            edits = [*edits, outputs]
            after = after.replace(outputs=outputs.outputs)
        _check_seams(now, after, edits, context, catalog)
        planned.append(PlannedStep(step.step, step.label, tuple(edits), context.span, "", len(after)))
        decoding = decoding.renamed(edits) if decoding is not None else None
        now = after
    _check_outputs(recipe, now)
    inference = Inference(now, rules=catalog.rules())
    _check_plugins(recipe, inference, catalog, decoding)
    context = _context(recipe, prepared, now, len(recipe.steps), diagnostics, catalog)
    detections = _stated_detections(recipe, context, inference, catalog)
    return Plan(
        recipe.name,
        target.name if target else "",
        tuple(planned),
        prepared.derivations,
        tuple(diagnostics),
        graph,
        now,
        image=prepared.image,
        inference=inference,
        decoding=decoding,
        planned=prepared.recipe,
        detections=detections,
    )


def apply(plan: Plan, graph: Graph) -> Graph:
    """Return ``graph`` with a plan's edits applied.

    Raise SurgeonError S404 if the plan is for another graph.
    """
    if plan.source is graph and plan.result is not None:
        return plan.result
    digest = graph.digest()
    if digest != plan.digest:
        raise error(
            "S404",
            "the plan was made for another graph",
            graph.source or None,
            [f"plan:  {plan.digest}", f"graph: {digest}"],
            ["make a new plan for this graph: surgeon plan"],
        )
    for step in plan.steps:
        graph = apply_edits(graph, step.edits)
    return graph


def _context(
    recipe: Recipe,
    prepared: PreparedRecipe,
    graph: Graph,
    index: int,
    diagnostics: list[Diagnostic],
    catalog: Catalog,
) -> StepContext:
    def spans(path: tuple[str | int, ...]) -> Span | None:
        # 'nodes' and 'outputs' are keys of the recipe and of some steps; a step's own place comes first.
        own = recipe.place("steps", index, *path)
        if own is None and path[:1] in _OF_RECIPE and path[1:]:
            return recipe.span(*path)
        return own or recipe.span("steps", index, *path)

    return StepContext(
        graph, spans, prepared.nodes, prepared.namespaces, recipe.outputs, catalog, diagnostics
    )


def _applied(graph: Graph, edits: Sequence[Edit], step: Step, context: StepContext) -> Graph:
    """Apply one step's batch; put the step's place into a failure that has none."""
    try:
        return apply_edits(graph, edits)
    except SurgeonError as exc:
        raise SurgeonError(
            *(
                replace(
                    d,
                    where=d.where if isinstance(d.where, Span) else context.span or d.where,
                    notes=(*d.notes, f"in the step '{step.label}'"),
                )
                for d in exc.diagnostics
            )
        ) from None


def _outputs(
    recipe: Recipe, prepared: PreparedRecipe, graph: Graph, context: StepContext
) -> SetOutputs | None:
    """Return the declaration of the recipe's outputs, as soon as all of them are there and are not yet
    declared.
    """
    names = [text.partition(":")[0] for text in recipe.outputs]
    if any(name not in graph for name in names):
        return None
    here = replace(context, graph=graph)
    refs = tuple(
        ref for text in recipe.outputs for ref in resolve(here, text, "outputs", recipe.outputs.index(text))
    )
    return None if graph.outputs == refs else SetOutputs(refs, recipe.span("outputs"))


def _check_seams(
    before: Graph, after: Graph, edits: Sequence[Edit], context: StepContext, catalog: Catalog
) -> None:
    """Compare dtype and shape wherever a node put in takes the place of a tensor that a staying node
    reads.
    """
    added = {edit.node.name for edit in edits if isinstance(edit, Add)}
    swapped: dict[tuple[Ref, Ref], tuple[str, Span | None]] = {}
    for edit in edits:
        if isinstance(edit, Rewire) and edit.inputs is not None:
            old = before[edit.name].inputs
            if len(old) != len(edit.inputs):
                continue
            for a, b in zip(old, edit.inputs, strict=True):
                if a != b and b.node in added:
                    swapped.setdefault((a, b), (edit.name, edit.span))
    if not swapped:
        return
    result = Inference(after, rules=catalog.rules())
    for (a, b), (reader, span) in swapped.items():
        was, now = context.inference.spec(a), result.spec(b)
        if not was.compatible(now):
            raise error(
                "S405",
                f"'{b}' is {now}, but '{a}', whose place it takes, is {was}",
                span or context.span,
                [f"'{reader}' reads it"],
                ["correct the node's shape, or the namespaces"],
            )


def _check_outputs(recipe: Recipe, graph: Graph) -> None:
    missing = [text for text in recipe.outputs if text.partition(":")[0] not in graph]
    if missing:
        raise error(
            "S406",
            f"the output '{missing[0]}' is not in the rewritten graph",
            recipe.span("outputs"),
            help=["name a node of the graph, or one that the recipe puts in and a namespace or step uses"],
        )


def _stated_detections(
    recipe: Recipe, context: StepContext, inference: Inference, catalog: Catalog
) -> dict[str, Ref]:
    """Return the outputs that hold detections as the recipe says, by part.

    Raise SurgeonError R116 for a tensor that is no output or has not the shape of its part, and for masks
    without detections.
    """
    stated = recipe.detections
    if stated is None:
        return {}
    keys = {value: key for key, value in stated if isinstance(value, str)}
    found: dict[str, Ref] = {}
    for part, text in stated.parts().items():
        key = keys[text]
        where = recipe.span("detections", key)
        refs = resolve(context, text, "detections", key)
        if len(refs) != 1 or refs[0] not in context.graph.outputs:
            raise error(
                "R116",
                f"'{key}' of the detections is '{text}', which is no output; expected one of the recipe's "
                "'outputs'",
                where,
                help=[f"add '{text}' to 'outputs', or name one of " + ", ".join(recipe.outputs[:8])],
            )
        found[part] = refs[0]
    if found and not gives_detections(found) and not _plugin_gives_detections(context.graph, catalog):
        raise error(
            "R116",
            f"the detections are {', '.join(found)} alone, and no plugin gives boxes; expected 'rows', or "
            "'boxes' with their scores and classes, beside them",
            recipe.span("detections"),
            help=["name the outputs that hold boxes, scores and classes, or leave 'detections' out"],
        )
    _check_stated_shapes(recipe, found, inference)
    return found


def _plugin_gives_detections(graph: Graph, catalog: Catalog) -> bool:
    needed = graph.ancestors(ref.node for ref in graph.output_refs)
    return any(catalog.detections(node.op, node.name, node.attrs) for node in graph if node.name in needed)


def _check_stated_shapes(recipe: Recipe, found: Mapping[str, Ref], inference: Inference) -> None:
    """Raise SurgeonError R116 for a part of detections whose known shape is not that of the part."""
    shapes = {part: inference.spec(ref).shape.dims for part, ref in found.items()}

    def refused(part: str, key: str, form: str, help_text: str) -> SurgeonError:
        verb = "is" if key == "count" else "are"
        thing = f"the {key.replace('_', ' ')} '{found[part]}'"
        return error(
            "R116",
            f"{thing} {verb} {inference.spec(found[part])}; expected {form}",
            recipe.span("detections", key),
            help=[help_text],
        )

    reshape = "reshape it in the recipe, or name the output that has this form"
    columns, dims = rows_among(shapes) or ((), None)
    if dims is not None and (len(dims) < 3 or dims[-1] not in (None, len(columns))):
        form = f"[N, K, {len(columns)}], a row for each detection"
        order = "'columns' says what the columns are, in their order"
        raise refused(part_of_rows(columns), "rows", form, order)
    boxes = shapes.get("boxes")
    if boxes is not None and (len(boxes) != 3 or boxes[2] not in (None, 4)):
        raise refused("boxes", "boxes", "[N, K, 4]", reshape)
    number, places = boxes[:2] if boxes is not None else (None, None)
    shown_places = "K" if places is None else str(places)
    for part, rank, form in (
        ("scores", 2, f"[N, {shown_places}], one for each box"),
        ("classes", 2, f"[N, {shown_places}], one for each box"),
        (CLASS_SCORES, 3, f"[N, {shown_places}, C], one for each class of each box"),
    ):
        dims = shapes.get(part)
        if dims is None:
            continue
        fits = len(dims) == rank and _may_equal(dims[0], number) and _may_equal(dims[1], places)
        if not fits:
            raise refused(part, part, form, reshape)
    for part in (COUNT, "count"):
        dims = shapes.get(part)
        if dims is not None and (not 1 <= len(dims) <= 2 or any(size not in (None, 1) for size in dims[1:])):
            raise refused(part, "count", "[N], a number for each picture", reshape)
    axes, dims = masks_among(shapes) or ((), None)
    if dims is None:
        return
    apart = len(dims) == len(axes) + 2
    if len(dims) not in (len(axes) + 1, len(axes) + 2) or (apart and not _may_equal(dims[1], places)):
        raise refused(
            part_of_masks(axes),
            "masks",
            f"[N, {shown_places if apart else 'K'}, {', '.join(axes)}], a mask for each detection",
            "'mask_axes' says what the axes of a detection's mask are",
        )


def _may_equal(one: int | None, other: int | None) -> bool:
    return one is None or other is None or one == other


def _check_plugins(recipe: Recipe, result: Inference, catalog: Catalog, decoding: Decoding | None) -> None:
    """Check every plugin node of the result: number of inputs, and what its shape rule says of them.

    Where boxes are decoded in front of a plugin, the rule is asked about what is decoded.
    """
    problems: list[Diagnostic] = []
    for node in result.graph:
        spec = catalog.get(node.op) if node.op in catalog else None
        if spec is None:
            continue
        where = recipe.span("nodes", node.name)
        wrong = _arity(spec, len(node.inputs))
        if wrong:
            problems.append(
                Diagnostic(
                    "S407",
                    f"'{node.name}' ({node.op}) has {plural(len(node.inputs), 'input')}; expected {wrong}",
                    where,
                    ("it reads: " + (", ".join(map(str, node.inputs[:8])) or "nothing"),),
                    ("declare its 'inputs' in the recipe",),
                )
            )
            continue
        try:
            read = _undecoded(node, result.graph, decoding)
            spec.output_specs(dict(node.attrs), [result.spec(ref) for ref in read])
        except SurgeonError as exc:
            problems += [
                replace(d, where=d.where if isinstance(d.where, Span) else where) for d in exc.diagnostics
            ]
    if problems:
        raise SurgeonError(*problems)


def _undecoded(node: Node, graph: Graph, decoding: Decoding | None) -> tuple[Ref, ...]:
    """Return what a plugin node reads, or would read if nothing decoded boxes in front of it."""
    if decoding is None or node.name != decoding.node or decoding.encodings not in graph:
        return node.inputs
    return tuple(_undecoded_ref(ref, graph, decoding) for ref in node.inputs)


def _undecoded_ref(ref: Ref, graph: Graph, decoding: Decoding) -> Ref:
    """Return the tensor that the decoding takes for this one, whatever order the plugin names."""
    computed_from = graph.ancestors([ref.node])
    for source in (decoding.scores, decoding.encodings):
        if source in computed_from:
            return graph[source].inputs[0]
    return ref


def _arity(spec: PluginSpec, count: int) -> str:
    """Return what number of inputs a plugin takes where ``count`` is wrong, else an empty text."""
    ports = [port for port in spec.inputs if not port.unused]
    least = sum(not port.optional for port in ports)
    most = None if any(port.variadic for port in spec.inputs) else len(spec.inputs)
    if count >= least and (most is None or count <= most):
        return ""
    return f"{least}" if most == least else f"{least} or more" if most is None else f"{least} to {most}"
