"""The two graphs of a verification side by side: what goes in, what comes out, and what is known of it."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from surgeon.catalog import Catalog
from surgeon.catalog.detections import COUNT, gives_detections, masks_among, part_of_masks, without_masks
from surgeon.catalog.reference import Counterfactual, Reference
from surgeon.diagnostics import Diagnostic, SurgeonError, error
from surgeon.families import DerivationContext, Family, nearest_family, recognise_detector
from surgeon.families.fields import FieldReview, review_fields
from surgeon.families.parts.suppression import suppressions
from surgeon.graph import (
    Add,
    DType,
    Graph,
    Node,
    Ref,
    SetAttr,
    SetOp,
    Shape,
    TensorRef,
    TensorSpec,
    TensorValue,
)
from surgeon.graph.op_sets import CONSTANTS, PASSED_OVER, PLACEHOLDERS, RESIZES, WITHOUT_OUTPUT, is_input
from surgeon.infer import Inference, infer
from surgeon.language import NodeDefinition, Recipe
from surgeon.rewrite import Plan
from surgeon.runners.detections import (
    WHOLE,
    Detections,
    Window,
    detections_of_original,
    detections_of_plugin,
    most_kept,
)
from surgeon.runners.image import Picture, Prepared, gray, prepare, resize
from surgeon.runners.references import Execution, ReferenceRunner
from surgeon.runners.tensorflow import Arrays, TensorFlowRunner
from surgeon.stages import tell_stage
from surgeon.targets import load_target
from surgeon.verification.compare_tensors import shown
from surgeon.verification.correspondence import Correspondence, Replacement
from surgeon.verification.counterfactuals import CLIP_FIRST, DROP_EMPTY, KEEP_ALL, WINDOW, counterfactuals_of
from surgeon.verification.decoding import DecodedInFront
from surgeon.verification.faint_ranges import faint_constants, faint_note
from surgeon.verification.given_inputs import InputSet, by_tensor, fitting_inputs
from surgeon.verification.hidden import measure_exercise
from surgeon.verification.made_inputs import DRAWS, MadeInput, made_input
from surgeon.verification.probes import probes_in_picture, probes_of
from surgeon.verification.records import RunInfo, RunRecord
from surgeon.verification.results import AddedPart, Exercise, Outcome, TensorComparison
from surgeon.verification.training import training_inputs

PluginRun: TypeAlias = Callable[[str], Mapping[str, np.ndarray]]
"""Returns what holds detections by part, with the named rule changed; an empty name changes none."""


_PUTTING_IN = ("add-node", "collapse")
"""Steps that put in nodes which the recipe defines; others write their own."""

_MOST_SHOWN = 16
"""Numbers of a fixed input, and of an added constant, that are listed; of more, what they have in common."""

_KEPT = 2
"""Executions that are kept, the run at the cut and that from pixels: counterfactuals ask for both again."""


class _RewrittenGraph(ReferenceRunner):
    """The rewritten graph, which does not compute the last records' arrays a second time."""

    @cached_property
    def _recent(self) -> deque[tuple[Arrays, Execution]]:
        return deque(maxlen=_KEPT)

    def execute(self, feeds: Arrays) -> Execution:
        for fed, execution in self._recent:
            if fed.keys() == feeds.keys() and all(fed[ref] is value for ref, value in feeds.items()):
                return execution
        execution = super().execute(feeds)
        self._recent.append((feeds, execution))
        return execution


@dataclass(frozen=True, eq=False)
class Region:
    """A node put in, with the nodes between it and tensors that the original has.

    ``fed`` maps the tensors that go in to the original's, ``outputs`` those that come out; ``nodes`` are the
    names of what is computed (membership only). ``reason`` says why there is nothing to compare.
    """

    replaced: Replacement
    fed: Mapping[Ref, Ref] = field(default_factory=dict)
    outputs: Mapping[Ref, Ref] = field(default_factory=dict)
    nodes: frozenset[str] = frozenset()
    reason: str = ""


def _pictures(array: np.ndarray, name: str) -> list[Picture]:
    """Return an array [N, H, W, C] or [H, W, C] as pictures; none where it is not 1 or 3 channels of whole
    numbers from 0 to 255.
    """
    stack = array if array.ndim == 4 else array[None]
    if stack.ndim != 4 or stack.shape[3] not in (1, 3):
        return []
    with np.errstate(invalid="ignore"):
        whole = np.clip(np.rint(stack), 0, 255).astype(np.uint8)
    if not np.array_equal(whole, stack):
        return []
    pixels = whole if whole.shape[3] == 3 else np.repeat(whole, 3, axis=3)
    names = [name] if len(pixels) == 1 else [f"{name}, picture {i + 1}" for i in range(len(pixels))]
    return list(map(Picture, names, pixels))


_last_original: tuple[weakref.ref[Graph], tuple[Ref, ...], TensorFlowRunner] | None = None


def original_runner(graph: Graph, fetches: Sequence[Ref]) -> TensorFlowRunner:
    """Return what runs the original, the last one where that was made for the same graph and tensors.

    Several recipes may be tried on one graph, and loading it takes longer than running it. One runner is
    kept, no longer than its graph. Raise SurgeonError as :class:`TensorFlowRunner` does.
    """
    global _last_original
    wanted, last = tuple(dict.fromkeys(fetches)), _last_original
    if last is not None and last[0]() is graph and last[1] == wanted:
        return last[2]
    _last_original = last = None  # its memory is free before the next graph is loaded
    runner = TensorFlowRunner(graph, wanted)
    _last_original = weakref.ref(graph, _forget_original), wanted, runner
    return runner


def _forget_original(graph: weakref.ref[Graph]) -> None:
    global _last_original
    if _last_original is not None and _last_original[0] is graph:
        _last_original = None


def _in_shape_of(value: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return a value in the shape of another one that has as many numbers, else as it is."""
    return value.reshape(other.shape) if value.size == other.size else value


def _in_order_of(tensor: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """Return a picture, [1, H, W, C], as a tensor takes it: with channels first where only that fits."""
    dims = spec.shape.dims
    first = np.ascontiguousarray(tensor.transpose(0, 3, 1, 2))
    fits = [Shape(each.shape[1:]).compatible(Shape(dims[1:])) for each in (tensor, first)] if dims else []
    return first if fits == [False, True] else tensor


def _takes_picture(spec: TensorSpec) -> bool:
    """Return whether a tensor has the form of a picture: numbers, of 1 or 3 channels, or of any number."""
    dims = spec.shape.dims
    numeric = spec.dtype is not None and spec.dtype.itemsize is not None
    return numeric and dims is not None and len(dims) in (3, 4) and dims[-1] in (None, 1, 3)


def _takes_prepared_picture(spec: TensorSpec) -> bool:
    """Return whether a tensor has the form of a picture, its channels last, or first where only those are."""
    dims = spec.shape.dims
    if dims is None or len(dims) != 4 or dims[3] in (None, 1, 3):
        return _takes_picture(spec)
    return spec.dtype is not None and spec.dtype.itemsize is not None and dims[1] in (1, 3)


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


def _is_feedable(spec: TensorSpec) -> bool:
    """Return whether numbers can be made for a tensor: its type is one of numbers, its shape is known."""
    return spec.dtype is not None and spec.dtype.itemsize is not None and spec.shape.is_static


class GraphPair:
    """A plan's source and its result, both ready to run.

    Raise SurgeonError: what the runners raise, V109 for graphs that have nothing in common to compare, and
    what the derivations raise where a plugin gives detections and the original's cannot be found.
    """

    def __init__(self, plan: Plan, recipe: Recipe, catalog: Catalog) -> None:
        assert plan.source is not None and plan.result is not None
        self.recipe, self.catalog, self.image = plan.planned or recipe, catalog, plan.image
        self.match = Correspondence(plan, recipe)
        self.target, self.decoding, self.steps = plan.target, plan.decoding, plan.steps
        self.runner = _RewrittenGraph.of_plan(plan, recipe, catalog)
        self.cut = self._cut_detector(plan.source)
        self.graph: Graph = plan.source if self.cut is None else self.cut[1]
        self.inference = infer(self.graph)
        self.original = original_runner(self._reshaped(), self._fetches())

    def _cut_detector(self, source: Graph) -> tuple[Family, Graph] | None:
        """Return a detector that ends before suppression, and the graph with TensorFlow's own suppression
        behind it, by the numbers of the recipe; None where the original is none, or its family cannot say.
        """
        if self.plugin is None:
            return None
        found = recognise_detector(source)
        if not isinstance(found, Family) or found.suppresses:
            return None
        completed = found.completed(self.plugin.attrs)
        return None if completed is None else (found, completed)

    @cached_property
    def counterfactuals(self) -> tuple[Counterfactual, ...]:
        """The rules that the references of the rewritten graph's plugins can change and that matter there."""
        return self.counterfactuals_of(self.runner.references)

    def counterfactuals_of(
        self, names: Collection[str], changed: Collection[str] = ()
    ) -> tuple[Counterfactual, ...]:
        """Return the rules that the references of some plugin nodes can change, in the order of trial.

        A recipe can avoid none of those of a plugin whose fields are what the graph says already, but for
        those of decoding, which ``decode`` avoids; nodes with ``changed`` fields are none of these. Rules by
        which the original does not go make no difference and are left out.
        """
        references = {name: self.runner.references[name] for name in self.runner.references if name in names}
        if self.added is not None:  # the same references give what is expected
            last_kept = (each.counterfactuals.get(KEEP_ALL) for each in references.values())
            return tuple(replace(rule, avoidable=False) for rule in last_kept if rule is not None)[:1]
        if self.decoding is not None and self.decoding.node in references:
            references |= self._makers
        return counterfactuals_of(
            self._with_own_rules(name, reference, name in self.fields.settled and name not in changed)
            for name, reference in references.items()
        )

    @cached_property
    def _makers(self) -> Mapping[str, Reference]:
        """The references of the recipe's nodes whose anchors constants hold, with the rules that change
        these.
        """
        assert self.decoding is not None
        variants, found = self.decoding.variants, {}
        for name in self.decoding.makers:
            plugin = self.recipe.nodes[name].plugin
            reference = self.catalog.reference(plugin) if plugin is not None else None
            if reference is not None:
                rules = {key: rule for key, rule in reference.counterfactuals.items() if key in variants}
                found[name] = replace(reference, counterfactuals=rules)
        return found

    def _with_own_rules(self, name: str, reference: Reference, settled: bool) -> Reference:
        """Return a reference with the rules by which its node may differ from the original."""
        rules = {}
        for rule in reference.counterfactuals.values():
            if rule.of_decoding:
                own = self._rule_of_decoding(name, rule)
            else:
                own = replace(rule, avoidable=False) if settled else rule
            if own is not None:
                rules[rule.name] = own
        if KEEP_ALL in rules and DROP_EMPTY not in rules and self._drops_what_lies_beside:
            text = (
                "the original leaves out boxes beside the picture, in what 'keep-aspect-ratio' fills with "
                "zeros, and takes others for them; a file does not know which part is picture"
            )
            rules[WINDOW] = Counterfactual(WINDOW, text, avoidable=False, order=rules[KEEP_ALL].order - 1)
        return replace(reference, counterfactuals=rules)

    @cached_property
    def _drops_what_lies_beside(self) -> bool:
        """Whether the original clips boxes to the part that a picture fills, and drops those without an area
        then.
        """
        if self.family is None:
            return False
        original = self.family.postprocessing
        try:
            return original.clip_window.value is None and original.drops_empty_after.value
        except SurgeonError:
            return False

    def _rule_of_decoding(self, name: str, rule: Counterfactual) -> Counterfactual | None:
        """Return a rule as it stands for a plugin node, None where it makes no difference there.

        Where the plugin decodes boxes that the original clips or drops before suppression, the recipe can
        avoid it.
        """
        moment = self._moments.get(rule.name, "")
        if self.decoding is not None and name == self.decoding.node:
            follows = self.decoding.clips and moment != "after"
            return None if follows or moment == "none" else replace(rule, avoidable=False)
        if moment == "none" or (rule.name == CLIP_FIRST and moment == "after"):
            return None
        if moment != "before":
            late = f"{rule.text}; 'suppression: native' follows the original" if moment else rule.text
            return replace(rule, avoidable=False, text=late)
        return replace(rule, avoidable=True, text=f"{rule.text}; 'decode: auto' or 'decode: graph' avoids it")

    @cached_property
    def _moments(self) -> Mapping[str, str]:
        """When the original does what a rule of decoding does: before suppression, after it, or not at all
        (``none``), by the name of the rule. What the graph does not tell is left out.
        """
        if self.family is None:
            return {}
        original = self.family.postprocessing
        found: dict[str, str] = {}
        with suppress(SurgeonError):
            found[CLIP_FIRST] = original.clip.value
        with suppress(SurgeonError):
            late = "after" if original.drops_empty_after.value else "none"
            found[DROP_EMPTY] = "before" if original.drops_empty.value else late
        return found

    @cached_property
    def fields(self) -> FieldReview:
        """The plugins' fields held against what the graph says, which says nothing of what is added."""
        if self.added is not None:
            return FieldReview((), frozenset())
        most_rows = load_target(self.target).most_rows if self.target else None
        context = DerivationContext(self.recipe, self._fixed_graph, self.catalog, most_rows)
        makers = self.decoding.makers if self.decoding is not None else ()
        return review_fields(context, (*self.runner.references, *makers))

    @cached_property
    def plugin(self) -> Node | None:
        """The plugin node that gives detections: an output's, else the last."""
        return self.runner.detecting

    @property
    def detects(self) -> bool:
        """True where the rewritten graph gives detections."""
        return gives_detections(self.runner.info.detections)

    @cached_property
    def inputs_by_port(self) -> Mapping[str, Ref]:
        """What the plugin that gives detections reads, by port."""
        if self.plugin is None:
            return {}
        return self.runner.references[self.plugin.name].plugin.inputs_by_port(self.plugin)

    @cached_property
    def decoder(self) -> DecodedInFront | None:
        """What decodes boxes in front of the plugin that gives detections, None where the plugin does."""
        if self.decoding is None or self.plugin is None or self.plugin.name != self.decoding.node:
            return None
        return DecodedInFront(self.runner.graph, self.decoding, dict(self.inputs_by_port))

    @cached_property
    def inputs(self) -> Mapping[Ref, Ref]:
        """For each placeholder of the rewritten graph, the original's tensor that it stands for."""
        table: dict[Ref, Ref] = {}
        for name in self.runner.inputs:
            origin = self.match.origin(Ref(name))
            if origin is None:
                raise error(
                    "V109",
                    f"the input '{name}' stands for no tensor of the original; expected one that can be "
                    "fed to it",
                    self.recipe.span("nodes", name),
                    help=["give the node a 'like'"],
                )
            table[Ref(name)] = origin
        return table

    @cached_property
    def prepared_inputs(self) -> tuple[Ref, ...]:
        """The rewritten graph's inputs that a picture becomes by the recipe's ``image``.

        None where it keeps its own input.
        """
        return tuple(
            ref
            for ref, origin in self.inputs.items()
            if self.graph[origin.node].op not in PLACEHOLDERS
            and origin not in self.cuts
            and self.inference.spec(origin).shape.rank in (4, None)
        )

    @cached_property
    def outputs(self) -> Mapping[Ref, Ref | None]:
        """For each output that is not a detection, the original's tensor that it stands for, or None."""
        plugin = self.plugin.name if self.plugin is not None else None
        holding = set(self.runner.info.detections.values()) if self.detects else set()
        table = {
            ref: self.match.origin(ref)
            for ref in self.runner.fetches
            if ref.node != plugin and str(ref) not in holding
        }
        if not self.detects and not any(table.values()):
            names = ", ".join(f"'{ref}'" for ref in table)
            raise error(
                "V109",
                f"nothing in the original stands for the outputs {names}; expected detections, or tensors of "
                "both graphs",
                self.recipe.span("outputs"),
                help=["add an output that the original has, too, and verify with that"],
            )
        return table

    @cached_property
    def family(self) -> Family | None:
        """What the original says of itself, where the rewritten graph gives detections and it does, too."""
        if self.plugin is None or self.added is not None:
            return None
        open_inputs = [origin for origin in self.inputs.values() if self._is_open(origin)]
        if not open_inputs:
            return nearest_family(self._fixed_graph)
        specs = {str(origin): self.spec(origin) for origin in open_inputs}
        return nearest_family(self._fixed_graph, infer(self._fixed_graph, specs))

    def _is_open(self, ref: Ref) -> bool:
        """Return whether a tensor is a placeholder of which sizes besides the batch are not known."""
        dims = self.inference.spec(ref).shape.dims
        return self.graph[ref.node].op in PLACEHOLDERS and (dims is None or None in dims[1:])

    @cached_property
    def added(self) -> Region | None:
        """What gives detections, with the nodes between it and tensors that the original has, where the
        recipe adds them; None where the original detects by itself.

        Its ``outputs``, which nothing in the original stands for, map to themselves. Raise SurgeonError V109
        where a part of the detections is a tensor of the original.
        """
        if self.plugin is None or self._original_detects:
            return None
        outputs = {part: Ref.parse(name) for part, name in self.runner.info.detections.items()}
        fed, inside = self._walk_back([self.plugin.name, *(ref.node for ref in outputs.values())])
        for part, ref in outputs.items():
            origin = self.match.origin(ref) if ref.node != self.plugin.name else None
            if origin is not None:
                raise error(
                    "V109",
                    f"'{ref}', which holds '{part}' of the detections, stands for '{origin}' of the original "
                    f"beside '{self.plugin.name}', which the recipe adds; expected what that gives, or what "
                    "is computed from it",
                    self.recipe.span("detections"),
                    help=[
                        f"leave 'detections' out, so that '{self.plugin.name}' gives them, or do not add it"
                    ],
                )
        replaced = Replacement(self.plugin, (), ())
        return Region(replaced, fed, {ref: ref for ref in outputs.values()}, inside)

    @cached_property
    def given_up(self) -> tuple[Ref, ...]:
        """The original's outputs that an added part takes the place of, so that nothing is compared with
        them: it does not read them, they do not lie in front of what it reads, and they are no outputs of the
        recipe.
        """
        if self.added is None:
            return ()
        graph = self.match.original
        read = [*self.added.fed.values(), *filter(None, self.outputs.values())]
        known = {
            *read,
            *(ref for name in graph.ancestors(r.node for r in read) for ref in graph[name].inputs),
        }
        left = [ref for ref in graph.output_refs if self._passed_on(ref) not in known and ref not in known]
        if graph.outputs:
            return tuple(left)
        beside = CONSTANTS | PLACEHOLDERS | WITHOUT_OUTPUT  # terminals that no declaration calls outputs
        return tuple(ref for ref in left if graph[ref.node].op not in beside)

    def _passed_on(self, ref: Ref) -> Ref:
        """Return the tensor of the original that identities hand on as this one."""
        node = self.match.original[ref.node]
        while node.op in PASSED_OVER and len(node.inputs) > ref.slot:
            ref = node.inputs[ref.slot]
            node = self.match.original[ref.node]
        return ref

    @property
    def _original_detects(self) -> bool:
        """True where the original itself suppresses boxes, recognised or not."""
        found = recognise_detector(self._fixed_graph)
        return found.suppresses if isinstance(found, Family) else bool(suppressions(self.graph))

    @cached_property
    def added_part(self) -> AddedPart | None:
        """What the recipe adds, for a reader; None where it adds nothing that detects."""
        if self.cut is not None and self.plugin is not None:
            ends = tuple(map(str, self.match.original.output_refs))
            given = self.cut[0].given(self.plugin.attrs)
            numbers = {f"{self.plugin.name}.{key}": value for key, value in given.items()}
            return AddedPart(self.plugin.name, ends, (self.plugin.name,), numbers, "TensorFlow")
        if self.added is None:
            return None
        names = [node.name for node in self.runner.graph if node.name in self.added.nodes]
        written = [name for name in names if name in self.recipe.nodes]
        values = {
            f"{name}.{key}": value
            for name in written
            for key, value in _said(self.recipe.nodes[name], self.runner.graph[name]).items()
        }
        values |= self._said_by_steps(self.added.nodes)
        reads = dict.fromkeys(map(str, self.added.fed.values()))
        return AddedPart(
            str(self.plugin.name if self.plugin else ""),
            tuple(reads),
            tuple(written),
            values,
            given_up=tuple(map(str, self.given_up)),
        )

    def _said_by_steps(self, added: Collection[str]) -> dict[str, Any]:
        """Return the options of the steps that write some of these nodes themselves, by ``step.option``."""
        found: dict[str, Any] = {}
        for step in self.steps:
            written = {edit.node.name for edit in step.edits if isinstance(edit, Add)}
            if step.step == "set-attr":
                written = {edit.name for edit in step.edits if isinstance(edit, SetAttr)}
            if step.step not in _PUTTING_IN and not written.isdisjoint(added):
                found |= self._options(step.label)
        return found

    def _options(self, label: str) -> dict[str, Any]:
        """Return the options that the recipe writes in a step, by ``step.option``; none for other steps."""
        own = next((each for each in self.recipe.steps if each.label == label), None)
        options = {} if own is None else own.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return {
            f"{label}.{key}": value for key, value in options.items() if key not in ("step", "id", "when")
        }

    def boundary(self, record: RunRecord) -> dict[Ref, tuple[np.ndarray, np.ndarray]]:
        """Return for each tensor that the added part reads the original's value and the rewritten graph's.

        The original's has the shape of the other where it has as many numbers.
        """
        assert self.added is not None
        own = self.execute(record.inputs).fetch(list(self.added.fed))
        return {
            ref: (_in_shape_of(record.values[origin], own[ref]), own[ref])
            for ref, origin in self.added.fed.items()
        }

    def _original_boundary(self, record: RunRecord) -> dict[Ref, np.ndarray]:
        return {ref: original for ref, (original, _) in self.boundary(record).items()}

    def detections_of_added(
        self, record: RunRecord, changed: Mapping[str, Node] = MappingProxyType({})
    ) -> Detections:
        """Return what the added part detects on the original's own values, with some of its nodes changed."""
        run = self._added_run(self._original_boundary(record), changed)
        detections = self.detections_of(partial(self.outputs_of, run), record.window)
        if changed:
            run.runner.close()
        return detections

    def _added_run(self, values: Arrays, changed: Mapping[str, Node] = MappingProxyType({})) -> Execution:
        """Return a run of the added part alone; ``values`` are those of the tensors that it reads."""
        assert self.added is not None
        runner = self.region_runner(self.added, values, changed)
        return Execution(runner, {self.entry(ref): value for ref, value in values.items()})

    def given_to_added(self, record: RunRecord) -> list[np.ndarray]:
        """Return what the plugin of the added part reads on a record, in its order: made for a probe, else
        computed from the original's values.
        """
        assert self.added is not None and self.plugin is not None
        refs = self.plugin.inputs
        if all(ref in record.values for ref in refs):
            return [record.values[ref] for ref in refs]
        values = self._original_boundary(record)
        run = self._added_run(values)
        return [values[ref] if ref in values else run[ref] for ref in refs]

    def bounded(self, region: Region) -> set[Ref]:
        """Return the tensors that go into a region and on to a plugin's port of bounded numbers."""
        found: set[Ref] = set()
        for name in sorted(region.nodes & self.runner.references.keys()):
            spec = self.runner.references[name].plugin
            ports = {port.name for port in spec.inputs if port.bounded}
            read = spec.inputs_by_port(self.runner.graph[name])
            waiting = [ref for port, ref in read.items() if port in ports]
            while waiting:
                ref = waiting.pop()
                if ref in region.fed:
                    found.add(ref)
                elif ref.node in region.nodes:
                    waiting += self.runner.graph[ref.node].inputs
        return found

    @cached_property
    def _fixed_graph(self) -> Graph:
        """The original with constants for what the recipe fixes: the picture is its one input."""
        if not self.fixed:
            return self.graph
        constants = {
            ref.node: Node(
                ref.node, "Const", attrs={"dtype": DType.of(value.dtype), "value": TensorValue.of(value)}
            )
            for ref, value in self.fixed.items()
        }
        return self.graph.replace(constants.get(node.name, node) for node in self.graph)

    @cached_property
    def detections(self) -> Mapping[str, Ref]:
        """The original's tensors that hold detections, by part.

        Where no plugin of the rewritten graph gives detections, they are those that the recipe's outputs
        stand for. Masks are among them where the rewritten graph gives masks. Raise SurgeonError V109 where
        a part is not known. The mapping is empty where the recipe adds what detects.
        """
        outputs = {part: Ref.parse(name) for part, name in self.runner.info.detections.items()}
        if self.added is not None:
            return {}
        if self.family is None:
            return {part: self._stands_for(part, ref) for part, ref in outputs.items()}
        found = self.family.outputs.value
        masks = masks_among(outputs)
        if masks is None:
            return without_masks(found)
        if masks_among(found) is not None:
            return found
        origin = self.match.origin(masks[1])
        return {**found} if origin is None else {**found, part_of_masks(masks[0]): origin}

    def _stands_for(self, part: str, ref: Ref) -> Ref:
        """Return the original's tensor that an output with a part of detections stands for."""
        origin = self.match.origin(ref)
        if origin is None:
            raise error(
                "V109",
                f"nothing in the original stands for '{ref}', which holds '{part}' of the detections; "
                "expected a tensor of both graphs",
                self.recipe.span("detections"),
                help=["add an output that the original has, too"],
            )
        return origin

    @cached_property
    def picture_ref(self) -> Ref | None:
        """The original's tensor that a picture is put into; None where it reads none."""
        if self._shared_input is not None:
            return None
        if self.family is not None:
            return self.family.picture.value
        fed = self._without_default([ref for ref in self.fed if ref not in self.fixed])
        if self.image is None:
            return None
        if len(fed) == 1 and not self.cuts:
            return fed[0]
        return self._picture_source if self._picture_source in fed else None

    @cached_property
    def _shared_input(self) -> Ref | None:
        """The placeholder that both graphs read and that the recipe's ``image`` prepares a picture for, where
        the recipe adds what detects, or the family leaves it to whoever runs the graph.
        """
        if self.image is None:
            return None
        if self.family is not None and self.family.takes_prepared_pictures:
            picture = self.family.picture.value
            return picture if picture in self.inputs.values() else None
        if self.added is None:
            return None
        origins = [ref for ref in self.inputs.values() if self._is_open_input(self.graph[ref.node])]
        pictures = [ref for ref in origins if _takes_prepared_picture(self.spec(ref))]
        return pictures[0] if len(pictures) == 1 and not self.prepared_inputs else None

    @cached_property
    def _picture_source(self) -> Ref | None:
        """The one placeholder, in the form of a picture, behind all tensors that ``image`` could prepare a
        picture for; None where there is none or are several.
        """
        if self.image is None:
            return None
        origins = [
            origin.node
            for origin in self.inputs.values()
            if self.graph[origin.node].op not in PLACEHOLDERS
            and self.inference.spec(origin).shape.rank in (4, None)
        ]
        behind = self.graph.ancestors(origins)
        sources = self._without_default(
            [Ref(node.name) for node in self.graph if node.name in behind and self._is_open_input(node)]
        )
        return sources[0] if len(sources) == 1 and _takes_picture(self.inference.spec(sources[0])) else None

    def _is_open_input(self, node: Node) -> bool:
        """Return whether numbers are put into a node of the original, and the recipe does not fix them."""
        return is_input(node) and Ref(node.name) not in self.fixed

    def _has_default(self, ref: Ref) -> bool:
        return self.graph[ref.node].op == "PlaceholderWithDefault"

    def _without_default(self, refs: list[Ref]) -> list[Ref]:
        """Return the placeholders that have no default, all where each has one."""
        return [ref for ref in refs if not self._has_default(ref)] or refs

    @cached_property
    def picture_cut(self) -> Ref | None:
        """The tensor at the cut that a prepared picture is put into, where the original cannot read one, or
        reads it as it is prepared.
        """
        if self.picture_ref is not None:
            return None
        if self._shared_input is not None:
            return self._shared_input
        cuts = [ref for ref in self.cuts if self.spec(ref).shape.rank == 4]
        return cuts[0] if self.image is not None and len(cuts) == 1 else None

    @cached_property
    def fixed(self) -> Mapping[Ref, np.ndarray]:
        """The values that the recipe fixes the original's placeholders to."""
        return {Ref(name): value for name, value in self.match.fixed.items()}

    @cached_property
    def cuts(self) -> tuple[Ref, ...]:
        """The original's tensors that are fed in place of the input pipeline behind them.

        The recipe cuts there, and what computes the tensor cannot be fed: an iterator, a queue, a decoder of
        strings, a placeholder of unknown shape that takes no picture. A family's picture is fed where the
        family says.
        """
        if self.family is not None:
            return ()
        return tuple(
            dict.fromkeys(
                origin
                for origin in self.inputs.values()
                if self.graph[origin.node].op not in PLACEHOLDERS and not self._computable(origin)
            )
        )

    def _computable(self, ref: Ref) -> bool:
        """Return whether a tensor can be computed from placeholders that numbers or a picture can be put
        into.
        """
        for name in self.graph.ancestors([ref.node]):
            node = self.graph[name]
            if self._is_open_input(node):
                fits = Ref(name) == self._picture_source or _is_feedable(self.spec(Ref(name)))
                if not fits and not self._has_default(Ref(name)):
                    return False
            elif not node.inputs and node.op not in CONSTANTS | PLACEHOLDERS | WITHOUT_OUTPUT:
                return False
        return True

    @cached_property
    def computed_origins(self) -> tuple[Ref, ...]:
        """The tensors, and no placeholders, of the original that inputs stand for which no picture is
        prepared for.
        """
        return tuple(
            origin
            for ref, origin in self.inputs.items()
            if self.graph[origin.node].op not in PLACEHOLDERS and ref not in self.prepared_inputs
        )

    @cached_property
    def fed(self) -> tuple[Ref, ...]:
        """The original's tensors that are fed: the cuts, and the placeholders that what is compared needs.

        In graph order; placeholders whose default is a switch only where the recipe fixes them.
        """
        needed: set[str] = set()
        waiting = self._compared()
        while waiting:
            ref = waiting.pop()
            if ref not in self.cuts and ref.node not in needed:
                needed.add(ref.node)
                node = self.graph[ref.node]
                waiting += [*node.inputs, *map(Ref, node.control)]
        placeholders = tuple(
            Ref(node.name)
            for node in self.graph
            if node.name in needed
            and (is_input(node) or (node.op in PLACEHOLDERS and Ref(node.name) in self.fixed))
        )
        return (*self.cuts, *placeholders)

    @cached_property
    def runner_inference(self) -> Inference:
        """Types and shapes of the rewritten graph's tensors."""
        return Inference(self.runner.graph, rules=self.catalog.rules())

    def spec(self, ref: Ref) -> TensorSpec:
        """Return type and shape of a tensor that the original is fed, as :meth:`declared`; an open size is
        that of the default, where there is one, and an open batch is one.
        """
        spec = self.declared(ref)
        dims = spec.shape.dims
        default = self.inference.spec(self.graph[ref.node].inputs[0]) if self._has_default(ref) else None
        if dims and default is not None and len(dims) == default.shape.rank:
            dims = tuple(
                other or None if size is None else size
                for size, other in zip(dims, default.shape.dims or (), strict=True)
            )
            spec = TensorSpec(spec.dtype, Shape(dims))
        return TensorSpec(spec.dtype, Shape((1, *dims[1:]))) if dims and dims[0] is None else spec

    def declared(self, ref: Ref) -> TensorSpec:
        """Return type and shape of a tensor that the original is fed, in the shape that the recipe gives it.

        The type is the original's, and the recipe's where the original tells none.
        """
        own = self.inference.spec(ref)
        name = next((each for each, origin in self.inputs.items() if origin == ref), None)
        given = self.runner.inputs[name.node] if name is not None else own
        dims, own_dims = given.shape.dims, own.shape.dims
        if dims is None:
            dims = own_dims
        elif own_dims is not None and len(dims) == len(own_dims):
            dims = tuple(
                known if known is not None else other for known, other in zip(dims, own_dims, strict=True)
            )
        return TensorSpec(own.dtype or given.dtype, Shape(dims))

    def _reshaped(self) -> Graph:
        """Return the original with the shapes that the recipe gives its placeholders, and with constants that
        TensorFlow cannot compute.
        """
        changed: dict[str, Node] = dict(self._faint_constants)
        for origin in self.inputs.values():
            node, dims = self.graph[origin.node], self.spec(origin).shape.dims
            shape = node.attrs.get("shape")
            if node.op not in PLACEHOLDERS or not isinstance(shape, Shape) or not shape.dims or dims is None:
                continue
            same_rank = len(dims) == len(shape.dims)
            if not same_rank or any(
                own not in (None, dim) for own, dim in zip(shape.dims, dims, strict=True)
            ):
                changed[node.name] = node.with_attr("shape", Shape(dims)).with_attr("_output_shapes", None)
        if not changed:
            return self.graph
        return self.graph.replace((changed.get(node.name, node) for node in self.graph), ())

    @cached_property
    def _faint_constants(self) -> Mapping[str, Node]:
        return faint_constants(self.graph)

    @property
    def notes(self) -> tuple[Diagnostic, ...]:
        """What a reader should know of how the original is run."""
        constants = self._faint_constants
        return (faint_note(self.graph, constants),) if constants else ()

    def _compared(self) -> list[Ref]:
        """Return what the original must compute so that something can be compared at all."""
        return [
            *self.inputs.values(),
            *(ref for ref in self.outputs.values() if ref is not None),
            *self.detections.values(),
            *(self.added.fed.values() if self.added is not None else ()),
        ]

    def _fetches(self) -> list[Ref]:
        wanted = [*self._compared(), *filter(self._has_default, self.fed)]
        for region in self.regions:
            wanted += [*region.fed.values(), *region.outputs.values()]
        if self.family is not None:
            wanted += self.family.plugin_sources
        return wanted

    @cached_property
    def anchor_makers(self) -> tuple[Replacement, ...]:
        """The nodes put in that make the anchors which the plugin reads."""
        if self.family is None or self.family.anchor_port not in self.inputs_by_port:
            return ()
        return tuple(
            r
            for r in self.match.replacements
            if r.node.name in self.behind_anchors and r.node.op not in PLACEHOLDERS
        )

    @cached_property
    def behind_anchors(self) -> set[str]:
        """The nodes that the anchors depend on which the plugin reads (membership only)."""
        port = self.family.anchor_port if self.family is not None else ""
        anchors = self.inputs_by_port.get(port)
        return self.runner.graph.ancestors([anchors.node]) if anchors is not None else set()

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """The replacements that are neither inputs, nor anchors, nor what gives detections, each with what it
        reads.
        """
        apart = {replaced.node.name for replaced in self.anchor_makers}
        if self.plugin is not None:
            apart.add(self.plugin.name)
        return tuple(
            self.region(r)
            for r in self.match.replacements
            if r.node.name not in apart and r.node.op not in PLACEHOLDERS
        )

    def region(self, replaced: Replacement) -> Region:
        """Walk back from a node put in to tensors that the original has.

        What lies between is computed with it.
        """
        rewritten, name = self.runner.graph, replaced.node.name
        if name not in self._needed:
            return Region(replaced, reason="no output of the recipe needs it")
        fed, inside = self._walk_back([name])
        read = {ref for node in rewritten for ref in node.inputs if ref.node == name} | {
            r for r in self.runner.fetches if r.node == name
        }
        outputs = {ref: self.match.origin(ref) for ref in sorted(read)}
        known = {ref: origin for ref, origin in outputs.items() if origin is not None}
        reason = "" if known else "nothing in the original stands for what it gives"
        return Region(replaced, fed, known, inside, reason)

    def _walk_back(self, names: Iterable[str]) -> tuple[dict[Ref, Ref], frozenset[str]]:
        """Return the tensors that nodes are computed from and the original has, with the original's, and the
        names of the nodes and of what lies between (membership only).
        """
        fed: dict[Ref, Ref] = {}
        starts = dict.fromkeys(names)
        inside, stack = set(starts), list(starts)
        while stack:
            for ref in self.runner.graph[stack.pop()].inputs:
                known = ref.node in self._live and ref.node not in starts
                origin = self.match.origin(ref) if known else None
                if origin is not None:
                    fed[ref] = origin
                elif ref.node not in inside:
                    inside.add(ref.node)
                    stack.append(ref.node)
        return fed, frozenset(inside)

    def region_runner(
        self, region: Region, given: Arrays, changed: Mapping[str, Node] = MappingProxyType({})
    ) -> ReferenceRunner:
        """Return what runs a region alone, the same each time, with placeholders for what goes in.

        Their types are those of ``given``. Nodes that are ``changed`` take the place of those of their name.
        Raise SurgeonError as :class:`ReferenceRunner`.
        """
        if region in self._region_runners and not changed:
            return self._region_runners[region]
        graph = self.runner.graph
        entries = [
            Node(self.entry(ref).node, "Placeholder", attrs={"dtype": DType.of(value.dtype)})
            for ref, value in given.items()
        ]
        nodes = [changed.get(node.name, node) for node in graph if node.name in region.nodes]
        fed = [
            node.with_inputs(tuple(self.entry(ref) if ref in region.fed else ref for ref in node.inputs), ())
            for node in nodes
        ]
        runner = ReferenceRunner(graph.replace([*entries, *fed], ()), self.catalog, list(region.outputs))
        if not changed:
            self._region_runners[region] = runner
        return runner

    @cached_property
    def _region_runners(self) -> dict[Region, ReferenceRunner]:
        return {}

    def entry(self, ref: Ref) -> Ref:
        """Return the placeholder that stands for a tensor which goes into a region."""
        return Ref(self.runner.graph.free_name(f"{ref.node}/fed{ref.slot}"))

    @cached_property
    def _needed(self) -> set[str]:
        return self.runner.graph.ancestors(ref.node for ref in self.runner.fetches)

    @cached_property
    def _live(self) -> frozenset[str]:
        """Nodes of the rewritten graph that its outputs need and that depend on its inputs.

        Membership only.
        """
        fed = set(self.runner.inputs)
        for name in self.runner.graph.topological():
            if name in self._needed and any(source in fed for source in self.runner.graph[name].sources):
                fed.add(name)
        return frozenset(fed)

    def info(self, *, made: bool, graph: str = "", given: Mapping[str, np.ndarray] | None = None) -> RunInfo:
        """Return what all records have in common; ``made`` says that the pictures were made up, ``given`` are
        arrays for inputs.
        """
        if given is None:
            made = made or not self.reads_picture
        else:
            made = made and self.reads_picture and not self.gives_picture(given)
        return RunInfo(
            graph=graph,
            recipe=self.recipe.name,
            target=self.target,
            made=made,
            labels=dict(self.recipe.labels),
            image=self.image,
            prepared=tuple(str(ref) for ref in self.prepared_inputs),
            computed=tuple(str(ref) for ref in self.computed_origins),
            added=self.added_part,
            given=self._given_inputs(),
        )

    def _given_inputs(self) -> dict[str, Any]:
        """Return what the recipe says of the inputs that it fixes, and both graphs are fed: the options of
        the steps by ``step.option``, and other values by ``input.value``, of long ones type and shape.
        """
        found: dict[str, Any] = {}
        left = dict(self.match.fixed)
        for step in self.steps:
            written = {edit.name for edit in step.edits if isinstance(edit, SetOp) and edit.name in left}
            options = self._options(step.label) if written else {}
            if options:
                left = {name: value for name, value in left.items() if name not in written}
            found |= options
        for name, value in left.items():
            small = value.size <= _MOST_SHOWN and value.dtype.kind in "biuf"
            shown = value.tolist() if small else f"{value.dtype}{Shape(value.shape)}"
            found[f"{name}.value"] = shown
        return found

    def records(
        self,
        pictures: Iterable[Picture],
        seed: int,
        given: Mapping[str, np.ndarray] | None = None,
        name: str = "",
        *,
        first: bool = True,
    ) -> Iterator[RunRecord]:
        """Yield what the original computes of each picture, or of numbers made up from ``seed`` where it
        reads no picture.

        Arrays that are ``given`` by the names of inputs, from the file ``name``, are put in instead. Where
        these are the ``first`` records, faults of what the recipe fixes are looked for. Raise SurgeonError
        V127 where they do not fit.
        """
        arrays = None
        if given is not None:
            specs = {ref: self.declared(ref) for ref in self.fed}
            optional = {
                **self.fixed,
                **dict.fromkeys(filter(self._has_default, self.fed)),
                **dict.fromkeys(ref for ref in (self.picture_ref, self.picture_cut) if ref),
            }
            arrays = fitting_inputs(given, specs, optional)
            pictures = self._given_pictures(arrays, name) or pictures
        reads = any(
            ref is not None and (arrays is None or ref not in arrays)
            for ref in (self.picture_ref, self.picture_cut)
        )
        fed: list[Picture | None] = [*pictures] if reads else [None]
        for i, picture in enumerate(fed):
            tell_stage("comparing", "" if picture is None else picture.name, i, len(fed))
            record = self.record(picture, seed, arrays, name)
            yield replace(record, faults=self._faults(record)) if first and not i else record
        if arrays is None and not reads and any(ref not in self.fixed for ref in self.fed):
            yield from self._further_draws(seed)

    def _given_pictures(self, arrays: dict[Ref, np.ndarray], name: str) -> list[Picture]:
        """Take the pictures out of arrays that are given, and return them; none where the array that is given
        for them is put in as it is.

        Several are put in one after the other where no other array is given. Raise SurgeonError V127 where
        ``image`` should prepare what is no picture.
        """
        ref = self.picture_ref
        if ref is None or ref not in arrays:
            return []
        pictures = _pictures(arrays[ref], name)
        others = any(array.ndim for other, array in arrays.items() if other != ref)
        alone = len(pictures) == 1
        if (alone and self.plugin is not None) or (self._prepares and pictures and (alone or not others)):
            del arrays[ref]
            return pictures
        if not self._prepares:
            return []
        expected = "one picture beside other arrays" if pictures and others else "a picture"
        raise error(
            "V127",
            f"the array for '{ref}' is {shown(arrays[ref])}; expected {expected}, "
            f"[1, H, W, {self._channels or 3}] of whole numbers from 0 to 255",
            str(ref),
            help=["give pictures by --images, and other inputs by --inputs"],
        )

    @property
    def _prepares(self) -> bool:
        """True where the recipe's ``image`` makes an input of a picture."""
        return self.image is not None and bool(self.prepared_inputs)

    def gives_picture(self, given: Mapping[str, object]) -> bool:
        """Return whether arrays by the names of inputs hold that which a picture is put into."""
        return self.reads_picture and str(self.picture_ref or self.picture_cut) in given

    def records_of_sets(
        self, sets: Iterable[InputSet], images: Callable[[], Iterable[Picture]], seed: int, several: bool
    ) -> Iterator[RunRecord]:
        """Yield what the original computes of each set of inputs.

        ``images`` gives the pictures for a set without one; ``several`` says that they were given. Raise
        SurgeonError V127 where a set does not fit.
        """
        first = True
        for each in sets:
            arrays = by_tensor(each.arrays)
            if several:
                self.check_one_picture(arrays)
            pictures: Iterable[Picture] = images()
            prepared_later = self.plugin is not None or self.picture_cut is not None or self._prepares
            if each.picture is not None and prepared_later and self.reads_picture and not several:
                pictures = (each.picture,)
            elif each.picture is not None:
                arrays = {**arrays, self.lone_input: self._prepared_array(each.picture, several)}
            name = each.name
            given = arrays if arrays or each.picture is None else None
            yield from self.records(pictures, seed, given, name, first=first)
            first = False

    def _prepared_array(self, picture: Picture, several: bool) -> np.ndarray:
        """Return what the recipe's ``image`` makes of a picture for the one input that is an array.

        Raise SurgeonError V127 where there is no such input or no ``image``.
        """
        lone, reason = self.lone_input, ""
        if several:
            reason = "--images gives the pictures"
        elif not lone:
            reason = "it is not known for which input"
        elif self.image is None:
            reason = f"the recipe has no 'image', which says how a picture becomes '{lone}'"
        if reason or self.image is None:
            raise error(
                "V127",
                f"the picture '{picture.name}' cannot be put in: {reason}; expected arrays",
                picture.name,
                help=["give arrays by their names in a .npz file, or the recipe an 'image'"],
            )
        tensor = prepare(self.image, picture.pixels, self.recipe.span("image", "steps")).tensor
        dims = self.spec(Ref.parse(lone)).shape.dims or (1,)
        return np.repeat(tensor, dims[0] or 1, axis=0)

    @property
    def lone_input(self) -> str:
        """The name of the one input that is an array and must be fed, empty for none or several."""
        open_refs = self._without_default([ref for ref in self.fed if ref not in self.fixed])
        arrays = [ref for ref in open_refs if self.declared(ref).shape.rank != 0]
        return str(arrays[0]) if len(arrays) == 1 else ""

    def check_takes_pictures(self) -> None:
        """Raise SurgeonError V128 where no picture is put into the original."""
        if self.reads_picture:
            return
        names = ", ".join(f"'{ref}' {self.declared(ref)}" for ref in self.fed) or "none"
        raise error(
            "V128",
            "no picture is put into this model, so --images has no effect; expected arrays",
            self.graph.source or None,
            [f"inputs: {names}"],
            [
                "give arrays by --inputs, as a .npz file or a folder; the recipe's 'image' prepares the "
                "pictures of a folder"
            ],
        )

    def check_one_picture(self, given: Mapping[str, object]) -> None:
        """Raise SurgeonError V127 where arrays hold the picture that ``--images`` gives, too."""
        if self.gives_picture(given):
            ref = self.picture_ref or self.picture_cut
            raise error(
                "V127",
                f"'{ref}' is given as an array and by pictures; expected one of the two",
                str(ref),
                help=["leave out --images, or the array in --inputs"],
            )

    def _further_draws(self, seed: int) -> Iterator[RunRecord]:
        """Yield records of further numbers that are made.

        Left out are numbers that the original refuses, of which it gives none (as the logarithm of what is
        negative), or others each time (as a dropout that is switched on).
        """
        for draw in range(1, DRAWS):
            tell_stage("comparing", f"made numbers, draw {draw + 1}", draw, DRAWS)
            with suppress(SurgeonError):
                record = self.record(None, seed, draw=draw)
                if self._is_settled(record):
                    yield record

    def _is_settled(self, record: RunRecord) -> bool:
        """Return whether a record's tensors are finite, and the same when they are computed again."""
        wanted = self._wanted()
        again = self.original.fetch(wanted, {ref: record.values[ref] for ref in self.fed})
        for ref in wanted:
            value = record.values[ref]
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                return False
            if value.shape != again[ref].shape or not np.array_equal(value, again[ref]):
                return False
        return True

    def _wanted(self) -> list[Ref]:
        """Return the original's tensors that outputs are compared with."""
        return list(dict.fromkeys(ref for ref in self.outputs.values() if ref is not None))

    def exercise(self, draws: Sequence[Arrays], tolerance: float) -> Exercise:
        """Return which of the original's tensors reach an output when they change a little."""
        return measure_exercise(self.graph, self.original, self._wanted(), draws, tolerance)

    @property
    def reads_picture(self) -> bool:
        """True where a picture is put into the original."""
        return self.picture_ref is not None or self.picture_cut is not None

    def _as_read(self, ref: Ref, value: np.ndarray) -> np.ndarray:
        """Return a value of the original in the type that the rewritten graph's input has."""
        dtype = self.runner.inputs[ref.node].dtype
        if dtype is None or dtype.itemsize is None:
            return value
        return value.astype(dtype.numpy(), copy=False)

    def _faults(self, record: RunRecord) -> tuple[TensorComparison, ...]:
        """Return what is wrong with the values that the recipe fixes inputs to, and which outputs of the
        original are compared with nothing.
        """
        reason = "the recipe adds detections in the place of this output of the original; nothing is compared"
        left = [
            TensorComparison(str(ref), record.name, Outcome.INCONCLUSIVE, reason) for ref in self.given_up
        ]
        fed = {ref: record.values[ref] for ref in self.fed}
        wanted = list(dict.fromkeys((*self._wanted(), *self.detections.values())))
        return (*left, *training_inputs(self.original, wanted, fed, self.fixed, record.name))

    def record(
        self,
        picture: Picture | None,
        seed: int,
        given: Arrays | None = None,
        name: str = "",
        draw: int = 0,
    ) -> RunRecord:
        """Run the original; the rewritten graph is run when the record's reruns are asked for.

        Raise SurgeonError V104 for the recipe's ``image``, V106 where TensorFlow cannot compute a graph, and
        V110 for an input that nothing can be put into.
        """
        random = np.random.default_rng(seed if not draw else [seed, draw])
        known = {**self.fixed, **(given or {})}
        fed: dict[str, np.ndarray] = {}
        for ref in self.fed:
            if ref in known:
                fed[str(ref)] = known[ref]
            elif picture is not None and ref == self._shared_input:
                continue
            elif ref != self.picture_ref and not (self._has_default(ref) and self._keeps_default(ref, given)):
                fed[str(ref)] = self._numbers(ref, draw, random)
        pixels, prepared = None, None
        if picture is not None and self.picture_cut is not None and self.image is not None:
            at_cut = prepare(self.image, picture.pixels, self.recipe.span("image", "steps"))
            batch = self.spec(self.picture_cut).shape.dims or (1,)
            tensor = _in_order_of(at_cut.tensor, self.spec(self.picture_cut))
            fed[str(self.picture_cut)] = np.repeat(tensor, batch[0] or 1, axis=0)
            if self._shared_input is not None:
                pixels, prepared = picture.pixels, at_cut
        if picture is not None and self.picture_ref is not None:
            pixels = self._sized(picture.pixels)
            if self._channels == 1:
                pixels = gray(pixels)
            fed[str(self.picture_ref)] = self._as_fed(pixels)
            if self.image is not None and self.prepared_inputs:
                prepared = prepare(self.image, pixels, self.recipe.span("image", "steps"))
                prepared = replace(prepared, tensor=np.repeat(prepared.tensor, self._batch, axis=0))
        computed = self.original.run(fed) | fed
        values = {Ref.parse(name): value for name, value in computed.items()}
        inputs = {str(ref): self._as_read(ref, values[origin]) for ref, origin in self.inputs.items()}
        window = prepared.window if prepared is not None else WHOLE
        made = f"made numbers, seed {seed}" + (f", draw {draw + 1}" if draw else "")
        detects = self.detects
        rerun = partial(self._rerun, window=window)
        from_pixels = None if prepared is None else self._from_pixels(inputs, prepared)
        record = RunRecord(
            picture.name if picture is not None else name or made,
            pixels,
            window,
            inputs,
            self._detections_of(values, self.detections, window) if detects and self.added is None else None,
            {str(ref): None if origin is None else values[origin] for ref, origin in self.outputs.items()},
            self.counterfactuals,
            partial(rerun, inputs) if detects else None,
            partial(rerun, from_pixels) if detects and from_pixels is not None else None,
            picture,
            prepared,
            values,
        )
        return record if self.added is None else replace(record, detections=self.detections_of_added(record))

    def _from_pixels(
        self, inputs: Mapping[str, np.ndarray], prepared: Prepared
    ) -> dict[str, np.ndarray] | None:
        """Return the inputs with the prepared picture; None where it has another shape."""
        feeds = {**inputs, **{str(ref): prepared.tensor for ref in self.prepared_inputs}}
        return feeds if all(feeds[name].shape == inputs[name].shape for name in inputs) else None

    def _numbers(self, ref: Ref, draw: int, random: np.random.Generator) -> np.ndarray:
        """Return numbers that are made for a tensor that is fed; raise SurgeonError V110 if none can be."""
        spec = self.spec(ref)
        if not _is_feedable(spec) or spec.dtype is None:
            raise error(
                "V110",
                f"nothing can be put into '{ref}', which is {spec}; expected a known type and shape",
                self.graph.source or None,
                help=[
                    "give its shape by the step 'set-shape' or arrays by --inputs, give the recipe an "
                    "'image' so that a picture is put in, or cut this input off"
                ],
            )
        return self._made_input(ref, spec).draw(draw, random)

    def _keeps_default(self, ref: Ref, given: Arrays | None) -> bool:
        """Return whether an input keeps its default: beside a picture or arrays that are given, and where no
        numbers can be made.
        """
        return given is not None or self.reads_picture or not _is_feedable(self.spec(ref))

    def _made_input(self, ref: Ref, spec: TensorSpec) -> MadeInput:
        """Return what numbers are made for a tensor that is fed."""
        if ref not in self._made_inputs:
            shapes = [self.spec(other).shape.dims or () for other in self.fed if other != ref]
            lengths = [dims[1] for dims in shapes if len(dims) > 1 and dims[1] is not None]
            length = min(lengths, default=None)
            self._made_inputs[ref] = made_input(self.graph, self.inference, ref, spec, length)
        return self._made_inputs[ref]

    @cached_property
    def _made_inputs(self) -> dict[Ref, MadeInput]:
        return {}

    def _sized(self, pixels: np.ndarray) -> np.ndarray:
        """Return the picture at the size that the original's placeholder has, where it has a fixed one, or
        at that of the rewritten graph's input, where nothing between the two makes it that size.
        """
        assert self.picture_ref is not None
        read = self.picture_ref in self.inputs.values()
        dims = (self.declared if read else self.inference.spec)(self.picture_ref).shape.dims
        known = dims is not None and len(dims) == 4 and None not in dims[1:3]
        size = dims[1:3] if dims is not None and known else self._size_at_input
        if None in size or size == pixels.shape[:2]:
            return pixels
        fitted = resize(pixels[None], (int(size[0] or 0), int(size[1] or 0)), "half-pixel-bilinear")[0]
        return np.asarray(np.rint(fitted), np.uint8)

    @cached_property
    def _size_at_input(self) -> tuple[int | None, ...]:
        """Height and width of the input that a picture becomes, where the original does not resize it, or
        keeps its shape.
        """
        kept = self.family is not None and self.family.keeps_shape
        for ref in self.prepared_inputs if self.family is None or kept else ():
            origin = self.inputs[ref]
            own, dims = self.inference.spec(origin).shape.dims, self.runner.inputs[ref.node].shape.dims
            fixed = own is not None and None not in own[1:3]
            if dims is None or fixed:
                continue
            behind = self.graph.ancestors([origin.node])
            if kept or not any(self.graph[name].op in RESIZES for name in behind):
                return dims[1:3]
        return (None, None)

    @property
    def _channels(self) -> int | None:
        """The number of channels that the original's placeholder has, where it is known."""
        dims = self.inference.spec(self.picture_ref).shape.dims if self.picture_ref is not None else None
        return dims[-1] if dims is not None and len(dims) in (3, 4) else None

    def _as_fed(self, pixels: np.ndarray) -> np.ndarray:
        """Return uint8[H, W, 3] as the original's placeholder takes it; its first channel where that has
        one.
        """
        assert self.picture_ref is not None
        spec = self.inference.spec(self.picture_ref)
        dtype, channels = spec.dtype or DType.UINT8, self._channels
        if dtype.itemsize is None or channels not in (None, 1, 3):
            expected = "numbers" if dtype.itemsize is None else "1 or 3 channels, the last dimension"
            raise error(
                "V110",
                f"no picture can be put into '{self.picture_ref}', which is {spec}; expected {expected}",
                self.graph.source or None,
                help=["export the graph with a uint8 or float32 input, its channels last"],
            )
        arranged = pixels[..., :1] if channels == 1 else pixels
        fed: np.ndarray = (arranged if spec.shape.rank == 3 else arranged[None]).astype(dtype.numpy())
        return fed if spec.shape.rank == 3 else np.repeat(fed, self._batch, axis=0)

    @property
    def _batch(self) -> int:
        """How often a picture is fed at a time: the batch that the original's placeholder is fixed to, else
        once.
        """
        dims = self.inference.spec(self.picture_ref).shape.dims if self.picture_ref is not None else None
        return dims[0] or 1 if dims is not None and len(dims) == 4 else 1

    def _detections_of(self, values: Arrays, refs: Mapping[str, Ref], window: Window = WHOLE) -> Detections:
        """Return what the original detects in the first picture of its batch, its classes counted as the
        plugin counts them; ``refs`` are its tensors by part.

        They are relative to ``window`` where the picture fills that part of what the original reads.
        """
        arrays = {part: values[ref] for part, ref in refs.items()}
        if self.family is not None and refs == self.family.outputs.value:
            arrays = dict(self.family.detected(values))
        parts = {
            COUNT if part == "count" else part: np.atleast_1d(array)[:1] for part, array in arrays.items()
        }
        if "boxes" in parts and parts["boxes"].shape[-1] == 4:
            parts["boxes"] = parts["boxes"].reshape(1, -1, 4)
        size = None if self.image is None else self.image.size
        found = detections_of_plugin(parts, size)[0]
        shift = self.family.class_shift if self.family is not None else 0
        found = detections_of_original(
            found.boxes, found.scores, found.classes, len(found), shift, found.masks
        )
        return found if self._shared_input is None else self._placed(found, window)

    def detections_of(self, run: PluginRun, window: Window, change: str = "") -> Detections:
        """Return what the plugin's outputs hold with a rule changed, relative to the picture."""
        plugin = self.plugin
        own = {} if plugin is None else self.runner.references[plugin.name].counterfactuals
        if change in (DROP_EMPTY, WINDOW) and KEEP_ALL in own:
            return self.detections_of(run, window, KEEP_ALL).proper(most_kept(run("")))
        size = None if self.image is None else self.image.size
        return self._placed(detections_of_plugin(run(change), size)[0], window)

    def _placed(self, found: Detections, window: Window) -> Detections:
        """Return detections relative to the picture, clipped to it where the original itself puts the picture
        into the window, and clips to it.
        """
        return found.within(window) if self.prepared_inputs else found.relative_to(window)

    def by_part(self, outputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Return what holds detections among the outputs of the plugin that gives them, by part."""
        assert self.plugin is not None
        return {part: outputs[ref.slot] for part, ref in self.runner.of_detecting.items()}

    def _rerun(self, feeds: Mapping[str, np.ndarray], change: str, window: Window) -> Detections:
        execution = self.execute(feeds)
        return self.detections_of(partial(self.outputs_of, execution), window, change)

    def probes(self, record: RunRecord) -> Iterator[RunRecord]:
        """Yield what the original makes of each probe, with the rest of its inputs from a record.

        Raise SurgeonError where the graph does not tell what probes are made of, V106 where TensorFlow cannot
        compute them.
        """
        assert self.family is not None and self.plugin is not None
        limits = [value for value in self.plugin.attrs.values() if isinstance(value, int)]
        fed = {ref: record.values[ref] for ref in self.fed}
        refs = without_masks(self.detections)
        wanted = [*dict.fromkeys((*refs.values(), *self.family.plugin_sources))]
        share = np.array([record.window.height, record.window.width] * 2, np.float32)
        corner = np.array([record.window.top, record.window.left] * 2, np.float32)
        for probe in probes_of(self.family.postprocessing, limits):
            heads = self.family.heads_for(probe.boxes * share + corner, probe.scores, record.values)
            values = self.original.fetch(wanted, {**fed, **heads})
            detections = self._detections_of(values, refs, record.window)
            yield RunRecord(
                probe.name,
                None,
                record.window,
                record.inputs,
                detections,
                values=values,
                all_rules=probe.inherent,
            )

    def probes_of_added(self, record: RunRecord) -> Iterator[RunRecord]:
        """Yield what the plugin of the added part makes of each probe; none where no file says what it reads.

        The rest of its inputs, such as anchors, is that of a record.
        """
        assert self.plugin is not None
        plugin, code = self.plugin, self.catalog.module(self.plugin.op, "probes")
        spec = self.catalog[plugin.op]
        fields = spec.complete({key: plugin.attrs[key] for key in plugin.attrs if key in spec.fields})
        inputs = self.given_to_added(record)
        rules = None if code is None else code.rules(fields, inputs)
        if code is None or rules is None:
            return
        limits = [value for value in plugin.attrs.values() if isinstance(value, int)]
        for probe in probes_in_picture(rules, limits):
            given = code.inputs(fields, inputs, probe.boxes, probe.scores)
            outputs = self.by_part(self.runner.alone(plugin.name, given))
            detections = self.detections_of(lambda change, found=outputs: found, WHOLE)  # type: ignore[misc]
            values = dict(zip(plugin.inputs, given, strict=True))
            yield RunRecord(probe.name, None, WHOLE, record.inputs, detections, values=values)

    def execute(self, feeds: Mapping[str, np.ndarray]) -> Execution:
        """Return a run of the rewritten graph on a record's arrays."""
        return self.runner.execute({Ref.parse(name): value for name, value in feeds.items()})

    def outputs_of(self, execution: Execution, change: str, *, masks: bool = True) -> dict[str, np.ndarray]:
        """Return what holds detections by part, with a rule changed in every plugin that has it.

        With a rule changed there may be more detections than the graph behind the plugin makes masks of, so
        that ``masks`` are left out.
        """
        parts = self.runner.info.detections
        if change:
            execution = execution.with_rule_changed(change)
        if change or not masks:
            parts = without_masks(parts)
        return {part: execution[Ref.parse(name)] for part, name in parts.items()}
