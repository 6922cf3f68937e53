"""What a derivation looks at, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from surgeon.catalog import Catalog
from surgeon.diagnostics import SurgeonError, error
from surgeon.families.ssd.findings import Detector
from surgeon.families.ssd.grid import GridFit, fit_grid
from surgeon.graph import DType, Graph, Ref, Shape, TensorSpec
from surgeon.infer import Inference
from surgeon.language import NodeDefinition, Recipe
from surgeon.steps.selector import longest_prefix

DETECTION_PORTS = ("loc", "conf", "prior")


@dataclass(frozen=True)
class Derivation:
    """A value taken from the graph, and the nodes and constants that show it."""

    node: str
    field: str
    value: Any
    evidence: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"node": self.node, "field": self.field, "value": self.value, "evidence": list(self.evidence)}


@dataclass(frozen=True)
class Derived:
    """What a derivation returns."""

    value: Any
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Subject:
    """A recipe and the graph it is used on, before any step.

    ``node`` is the recipe's node whose field is derived. ``rules`` maps each namespace to the name of its new
    node; an entry that is still to be derived is left out. ``catalog`` is what plugins are looked up in.
    """

    recipe: Recipe
    graph: Graph
    node: str = ""
    rules: Mapping[str, str] = field(default_factory=dict)
    catalog: Catalog | None = None

    def of(self, node: str) -> Subject:
        """Return the same subject for another node, sharing what was computed."""
        other = Subject(self.recipe, self.graph, node, self.rules, self.catalog)
        for name in ("inference", "members", "detector", "_fits"):
            other.__dict__[name] = getattr(self, name)
        return other

    def fail(
        self, code: str, message: str, *path: str | int, notes: Any = (), help: Any = ()
    ) -> SurgeonError:
        """Return the error to raise, placed in the recipe."""
        return error(code, message, self.recipe.span(*path), notes, help)

    @cached_property
    def members(self) -> Mapping[str, tuple[str, ...]]:
        """For each new node, the names of the nodes in its namespaces, in graph order."""
        table: dict[str, list[str]] = {}
        for node in self.graph:
            new = longest_prefix(node.name, self.rules)
            if new is not None:
                table.setdefault(new, []).append(node.name)
        return {new: tuple(names) for new, names in table.items()}

    @cached_property
    def inference(self) -> Inference:
        """Specs of the graph's tensors, with each Placeholder's ``like`` tensor at the shape the recipe gives
        it.
        """
        feeds = {}
        for name, definition in self.recipe.nodes.items():
            if definition.op == "Placeholder" and definition.like is not None:
                feeds[definition.like] = input_spec(self, name, definition).value
        return Inference(self.graph, feeds)

    @cached_property
    def original(self) -> Inference:
        """Specs of the graph's tensors as the graph alone tells them."""
        return Inference(self.graph)

    @cached_property
    def detector(self) -> Detector:
        """What the graph says of itself, at the sizes that the recipe gives it."""
        return Detector(self.graph, self.inference)

    def grid(self, op: str) -> GridFit:
        """Return the fit of an anchor plugin to the graph's anchors."""
        if op not in self._fits:
            assert self.catalog is not None
            self._fits[op] = fit_grid(self.detector, self.catalog, op)
        return self._fits[op]

    @cached_property
    def _fits(self) -> dict[str, GridFit]:
        return {}

    @property
    def op(self) -> str:
        """The op of the recipe's node whose field is derived."""
        definition = self.recipe.nodes[self.node]
        return definition.plugin or definition.op or ""

    def joined(self, new: str) -> list[Ref]:
        """Return the tensors that a new node's namespaces read from outside, each once, in graph order."""
        inside = set(self.members.get(new, ()))
        found: dict[Ref, None] = {}
        for name in self.members.get(new, ()):
            for ref in self.graph[name].inputs:
                if ref.node not in inside:
                    found[ref] = None
        return list(found)

    def detection(self) -> tuple[str, Mapping[str, str]]:
        """Return the recipe's node with the ports loc, conf and prior, and its inputs by port.

        Raise SurgeonError D104 unless there is exactly one.
        """
        found = [
            (name, definition.inputs)
            for name, definition in self.recipe.nodes.items()
            if isinstance(definition.inputs, Mapping) and {"loc", "conf"} <= set(definition.inputs)
        ]
        if len(found) != 1:
            raise self.fail(
                "D104",
                f"the recipe has {len(found)} nodes with the ports 'loc' and 'conf'; expected one",
                "nodes",
                help=["write the value instead of 'auto'"],
            )
        return found[0]

    def chain(self, port: str) -> list[str]:
        """Return the recipe's nodes that feed a port of the detection node, nearest first, by their declared
        inputs.
        """
        _, ports = self.detection()
        found: list[str] = []
        at = ports.get(port, "").partition(":")[0]
        while at in self.recipe.nodes and at not in found:
            found.append(at)
            inputs = self.recipe.nodes[at].inputs
            if not inputs:
                break
            at = next(iter(inputs.values() if isinstance(inputs, Mapping) else inputs)).partition(":")[0]
        return found

    def fed(self, port: str) -> str:
        """Return the node that takes the place of the namespace whose result a port gets."""
        _, ports = self.detection()
        return next(reversed(self.chain(port)), ports[port].partition(":")[0])

    def feeding(self, port: str, op: str) -> str | None:
        """Return the recipe's node of an operation that feeds a port, if there is one."""
        return next((name for name in self.chain(port) if self.recipe.nodes[name].op == op), None)


def input_spec(subject: Subject, name: str, definition: NodeDefinition) -> Derived:
    """Return the spec of a Placeholder: that of its ``like`` tensor, where unknown that of ``shape``, batch
    1.

    Raise SurgeonError D101 where ``shape`` or ``dtype`` contradicts the graph, D102 where a dimension stays
    unknown and D105 where the ``like`` tensor is not in the graph.
    """
    evidence: list[str] = []
    spec = TensorSpec()
    if definition.like is not None:
        try:
            ref = Ref.parse(definition.like)
            subject.graph[ref.node]
        except (ValueError, SurgeonError) as exc:
            notes = exc.diagnostics[0].notes if isinstance(exc, SurgeonError) else (str(exc),)
            raise subject.fail(
                "D105",
                f"'{name}' is to be like '{definition.like}', which is not in the graph",
                "nodes",
                name,
                "like",
                notes=notes,
                help=["name the tensor that the network reads"],
            ) from None
        spec = subject.original.spec(ref)
        evidence.append(f"'{ref}' ({subject.graph[ref.node].op}) is {spec}")
    wanted = _wanted(subject, name, definition)
    if not spec.compatible(wanted):
        raise subject.fail(
            "D101",
            f"'{name}' is declared {wanted}, but '{definition.like}' is {spec} in the graph",
            "nodes",
            name,
            "shape",
            notes=evidence,
            help=["leave 'shape' out: it is derived; or use the shape that the graph was made for"],
        )
    dtype = spec.dtype or wanted.dtype
    dims = spec.shape.dims if spec.shape.dims is not None else wanted.shape.dims
    if dims is not None and wanted.shape.dims is not None:
        dims = tuple(w if d is None else d for d, w in zip(dims, wanted.shape.dims, strict=True))
    if dims and dims[0] is None:
        dims = (1, *dims[1:])
        evidence.append("batch: unknown in the graph, taken as 1")
    shape = Shape(dims)
    if not shape.is_static or dtype is None:
        evidence += _why_unknown(subject, definition)
        raise subject.fail(
            "D102",
            f"'{name}' would be {TensorSpec(dtype, shape)}; expected a known shape and type",
            "nodes",
            name,
            notes=evidence,
            help=[f"add 'shape:' to '{name}', such as [1, 300, 300, 3]"],
        )
    return Derived(TensorSpec(dtype, shape), tuple(evidence))


def _why_unknown(subject: Subject, definition: NodeDefinition) -> list[str]:
    """Return why the graph does not tell the size of its input, where its preprocessing is the reason."""
    if definition.like is None:
        return []
    try:
        Detector(subject.graph, subject.original).image_at(Ref.parse(definition.like))
    except SurgeonError as exc:
        return [exc.diagnostics[0].message]
    return []


def _wanted(subject: Subject, name: str, definition: NodeDefinition) -> TensorSpec:
    dtype = None
    if definition.dtype is not None:
        try:
            dtype = DType(definition.dtype)
        except ValueError:
            raise subject.fail(
                "D101",
                f"'{definition.dtype}' is no element type; expected, say, float32",
                "nodes",
                name,
                "dtype",
            ) from None
    if definition.shape is not None and any(d is not None and d < 1 for d in definition.shape):
        raise subject.fail(
            "D101",
            f"the shape {list(definition.shape)} of '{name}' has a dimension below 1",
            "nodes",
            name,
            "shape",
        )
    return TensorSpec(dtype, Shape(definition.shape))
