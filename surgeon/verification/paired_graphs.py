"""A plan's source and its result, and which tensor of the one stands for which of the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from surgeon.catalog import Catalog
from surgeon.catalog.detections import gives_detections, without_masks
from surgeon.diagnostics import error
from surgeon.families import Family, recognise_detector
from surgeon.graph import Graph, Node, Ref, Shape, TensorSpec
from surgeon.graph.op_sets import is_input
from surgeon.infer import Inference, infer
from surgeon.language import Recipe
from surgeon.rewrite import Plan
from surgeon.runners.references import Execution, ReferenceRunner
from surgeon.runners.tensorflow import Arrays
from surgeon.verification.correspondence import Correspondence
from surgeon.verification.decoding import DecodedInFront
from surgeon.verification.regions import Regions

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


class PairedGraphs:
    """A plan's source and its result, the latter ready to run.

    Raise SurgeonError: what the runner raises, V109 for graphs that have nothing in common to compare.
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
        self.regions = Regions(self.runner, self.match, catalog)

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

    def wanted(self) -> list[Ref]:
        """Return the original's tensors that outputs are compared with."""
        return list(dict.fromkeys(ref for ref in self.outputs.values() if ref is not None))

    @cached_property
    def fixed(self) -> Mapping[Ref, np.ndarray]:
        """The values that the recipe fixes the original's placeholders to."""
        return {Ref(name): value for name, value in self.match.fixed.items()}

    def has_default(self, ref: Ref) -> bool:
        return self.graph[ref.node].op == "PlaceholderWithDefault"

    def is_open_input(self, node: Node) -> bool:
        """Return whether numbers are put into a node of the original, and the recipe does not fix them."""
        return is_input(node) and Ref(node.name) not in self.fixed

    def without_default(self, refs: list[Ref]) -> list[Ref]:
        """Return the placeholders that have no default, all where each has one."""
        return [ref for ref in refs if not self.has_default(ref)] or refs

    def spec(self, ref: Ref) -> TensorSpec:
        """Return type and shape of a tensor that the original is fed, as :meth:`declared`; an open size is
        that of the default, where there is one, and an open batch is one.
        """
        spec = self.declared(ref)
        dims = spec.shape.dims
        default = self.inference.spec(self.graph[ref.node].inputs[0]) if self.has_default(ref) else None
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

    @cached_property
    def runner_inference(self) -> Inference:
        """Types and shapes of the rewritten graph's tensors."""
        return Inference(self.runner.graph, rules=self.catalog.rules())

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

    def by_part(self, outputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Return what holds detections among the outputs of the plugin that gives them, by part."""
        assert self.plugin is not None
        return {part: outputs[ref.slot] for part, ref in self.runner.of_detecting.items()}
