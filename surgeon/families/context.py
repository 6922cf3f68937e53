"""What a derivation looks at, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from surgeon.catalog import Catalog
from surgeon.deprecation import RenamedAttribute
from surgeon.diagnostics import SurgeonError, error
from surgeon.display import plural
from surgeon.families.family import Family, nearest_family
from surgeon.families.parts.grid_fit import GridFit, fit_grid
from surgeon.families.postprocessing import Postprocessing
from surgeon.graph import DType, Graph, Ref, Shape, TensorSpec
from surgeon.infer import Inference, infer
from surgeon.language import NodeDefinition, Recipe


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


class DerivationContext:
    """A recipe and the graph it is used on, before any step: what derivations look at.

    ``node`` is the recipe's node whose field is derived. ``catalog`` is what plugins are looked up in.
    ``most_rows`` is how many rows the runtime sorts at most, None where it has no bound.
    """

    detector = RenamedAttribute("family", removal="0.2.0")

    def __init__(self, recipe: Recipe, graph: Graph, catalog: Catalog, most_rows: int | None = None) -> None:
        self.recipe, self.graph, self.catalog, self.most_rows = recipe, graph, catalog, most_rows
        self.node = ""
        self._fits: dict[str, GridFit] = {}

    def of(self, node: str) -> DerivationContext:
        """Return the same context for one of the recipe's nodes, with what was computed."""
        self.family  # noqa: B018  computed once for all nodes
        other = copy(self)
        other.node = node
        return other

    def with_recipe(self, recipe: Recipe) -> DerivationContext:
        """Return the same context for a recipe with the same inputs, with what was computed."""
        other = copy(self)
        other.recipe = recipe
        return other

    def fail(
        self, code: str, message: str, *path: str | int, notes: Any = (), help: Any = ()
    ) -> SurgeonError:
        """Return the error to raise, placed in the recipe."""
        return error(code, message, self.recipe.span(*path), notes, help)

    @cached_property
    def inference(self) -> Inference:
        """Specs of the graph's tensors, with each Placeholder's ``like`` tensor at the shape the recipe gives
        it.
        """
        feeds = {}
        for name, definition in self.recipe.nodes.items():
            if definition.op == "Placeholder" and definition.like is not None:
                feeds[definition.like] = input_spec(self, name, definition).value
        return infer(self.graph, feeds)

    @cached_property
    def original(self) -> Inference:
        """Specs of the graph's tensors as the graph alone tells them."""
        return infer(self.graph)

    @cached_property
    def family(self) -> Family:
        """What the graph says of itself, at the sizes that the recipe gives it."""
        return nearest_family(self.graph, self.inference)

    @property
    def postprocessing(self) -> Postprocessing:
        """What the original computes in the place of the recipe's node."""
        return self.family.postprocessing_at(self._tensors_read())

    def _tensors_read(self) -> frozenset[str]:
        """Return the graph's tensors that the node reads, past nodes of the recipe that are no plugins."""
        found: set[str] = set()
        seen: set[str] = set()
        waiting = [self.node]
        while waiting:
            name = waiting.pop()
            if name in seen or name not in self.recipe.nodes:
                continue
            seen.add(name)
            if name != self.node and self.recipe.nodes[name].plugin is not None:
                continue
            inputs = self.recipe.nodes[name].inputs or ()
            for text in inputs.values() if isinstance(inputs, Mapping) else inputs:
                found.add(text)
                waiting.append(text.partition(":")[0])
        return frozenset(found)

    def grid(self, op: str) -> GridFit:
        """Return the fit of an anchor plugin to the graph's anchors."""
        if op not in self._fits:
            self._fits[op] = fit_grid(self.family, self.catalog, op)
        return self._fits[op]

    @property
    def op(self) -> str:
        """The op of the recipe's node whose field is derived."""
        definition = self.recipe.nodes[self.node]
        return definition.plugin or definition.op or ""

    def detection(self) -> Mapping[str, str]:
        """Return the inputs by port of the recipe's node that reads boxes and scores.

        That is the node itself where it does. Raise SurgeonError D104 unless there is exactly one.
        """
        ports = [node.inputs for node in self.recipe.nodes.values() if isinstance(node.inputs, Mapping)]
        wanted = (self.family if ports else Family).joined
        found = [inputs for inputs in ports if set(wanted) <= set(inputs)]
        definition = self.recipe.nodes.get(self.node)
        own = definition.inputs if definition is not None else None
        if isinstance(own, Mapping) and set(wanted) <= set(own):
            return own
        if len(found) != 1:
            names = " and ".join(f"'{port}'" for port in wanted)
            inputs = ", ".join(f"{port}: NODE" for port in wanted)
            raise self.fail(
                "D104",
                f"the recipe has {plural(len(found), 'node')} with the ports {names}; expected one",
                "nodes",
                help=[
                    f"name the detection node's inputs by port: {inputs}",
                    "or write values instead of 'auto', and 'anchors: plugin'",
                ],
            )
        return found[0]

    def feeders(self, port: str) -> list[str]:
        """Return the recipe's nodes that feed a port of the detection node, nearest first, by their declared
        inputs; the last one takes the place of a namespace.
        """
        found: list[str] = []
        at = self.detection().get(port, "").partition(":")[0]
        while at in self.recipe.nodes and at not in found:
            found.append(at)
            inputs = self.recipe.nodes[at].inputs
            if not inputs:
                break
            at = next(iter(inputs.values() if isinstance(inputs, Mapping) else inputs)).partition(":")[0]
        return found

    def feeding(self, port: str, op: str) -> str | None:
        """Return the recipe's node of an operation that feeds a port, if there is one."""
        return next((name for name in self.feeders(port) if self.recipe.nodes[name].op == op), None)


def input_spec(context: DerivationContext, name: str, definition: NodeDefinition) -> Derived:
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
            context.graph[ref.node]
        except (ValueError, SurgeonError) as exc:
            notes = exc.diagnostics[0].notes if isinstance(exc, SurgeonError) else (str(exc),)
            raise context.fail(
                "D105",
                f"'{name}' is to be like '{definition.like}', which is not in the graph",
                "nodes",
                name,
                "like",
                notes=notes,
                help=["name the tensor that the network reads"],
            ) from None
        spec = context.original.spec(ref)
        evidence.append(f"'{ref}' ({context.graph[ref.node].op}) is {spec}")
    wanted = _wanted(context, name, definition)
    if not spec.compatible(wanted):
        raise context.fail(
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
        evidence += _why_unknown(context, definition)
        raise context.fail(
            "D102",
            f"'{name}' would be {TensorSpec(dtype, shape)}; expected a known shape and type",
            "nodes",
            name,
            notes=evidence,
            help=[_add_to(name, dtype, shape)],
        )
    return Derived(TensorSpec(dtype, shape), tuple(evidence))


_TRIED = 8
"""Sizes that are resized one after the other to find one that a graph leaves as it is."""


def check_picture_size(
    context: DerivationContext, name: str, definition: NodeDefinition, spec: TensorSpec
) -> None:
    """Raise SurgeonError D101 where a Placeholder has a size that the graph gives no picture.

    A graph that keeps the shape of a picture leaves some sizes as they are, and resizes the others.
    """
    dims = spec.shape.dims or ()
    if definition.like is None or len(dims) != 4:
        return
    ref = Ref.parse(definition.like)
    told = context.original.spec(ref).shape.dims
    if told is None or None not in told[1:]:
        return
    height, width = (dims[1] or 0, dims[2] or 0)
    found = context.family.resized(ref, height, width)
    if found is None or found.value == (height, width):
        return
    help = ["take a size that the graph leaves as it is"]
    size: tuple[int, int] = found.value
    for _ in range(_TRIED):
        again = context.family.resized(ref, *size)
        if again is not None and again.value == size:
            help = [f"take {size[0]} x {size[1]}, which it leaves as it is"]
            break
        size = size if again is None else again.value
    raise context.fail(
        "D101",
        f"'{name}' is {height} x {width}, but the graph resizes a picture of that size to "
        f"{found.value[0]} x {found.value[1]}",
        "nodes",
        name,
        "shape",
        notes=found.evidence,
        help=help,
    )


def _add_to(name: str, dtype: DType | None, shape: Shape) -> str:
    """Return what a recipe's input lacks: its shape, its element type, or both."""
    lacking = [] if shape.is_static else ["'shape:', such as [1, 300, 300, 3]"]
    if dtype is None:
        lacking.append("'dtype:', such as float32")
    return f"add to '{name}' {', and '.join(lacking)}"


def _why_unknown(context: DerivationContext, definition: NodeDefinition) -> list[str]:
    """Return why the graph does not tell the size of its input, where its preprocessing is the reason."""
    if definition.like is None:
        return []
    try:
        nearest_family(context.graph, context.original).image_at(Ref.parse(definition.like))
    except SurgeonError as exc:
        return [exc.diagnostics[0].message]
    return []


def _wanted(context: DerivationContext, name: str, definition: NodeDefinition) -> TensorSpec:
    dtype = None
    if definition.dtype is not None:
        try:
            dtype = DType(definition.dtype)
        except ValueError:
            raise context.fail(
                "D101",
                f"'{definition.dtype}' is not an element type; expected, say, float32",
                "nodes",
                name,
                "dtype",
            ) from None
    if definition.shape is not None and any(d is not None and d < 1 for d in definition.shape):
        raise context.fail(
            "D101",
            f"the shape {list(definition.shape)} of '{name}' has a dimension below 1",
            "nodes",
            name,
            "shape",
        )
    return TensorSpec(dtype, Shape(definition.shape))
