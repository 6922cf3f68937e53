"""The recipe that does what a script did."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from surgeon.catalog import Catalog, PluginSpec
from surgeon.catalog.fields import FieldSpec, Unfit
from surgeon.compat.messages import clean
from surgeon.compat.migration.final_graph import FinalGraph
from surgeon.compat.migration.history import ADDING, History, OpChange, are_identities, selection
from surgeon.compat.migration.placeholders import channels_last, fits, script_dims
from surgeon.compat.migration.recording import RecordedEdit
from surgeon.compat.migration.roles import Roles, has_many_outputs, ignores_inputs, joining_nodes, roles_of
from surgeon.diagnostics import Diagnostic, Severity, Span, SurgeonError, error
from surgeon.display import plural
from surgeon.families import Derivation, DerivationContext
from surgeon.families.fields import derive_known_fields, show_value
from surgeon.graph import AttrValue, DType, Graph, Node, Ref, Shape, TensorValue
from surgeon.graph.op_sets import PLACEHOLDERS
from surgeon.language import Recipe, parse_recipe
from surgeon.language.recipe import OPERANDS
from surgeon.language.writing import Item, render, said
from surgeon.steps.selector import longest_prefix

MOST_NUMBERS = 4096
"""Numbers of one constant that a recipe holds; a script that makes larger ones reads them from elsewhere."""


@dataclass
class Refinement:
    """What a first draft leaves to be written out, found by comparing its graph with the script's.

    ``explicit`` are nodes whose inputs are written, ``literal`` fields that stay numbers, and ``repairs``
    steps for edges and attributes. ``apart`` are new nodes that are added beside their namespaces, since what
    reads them in the end did not read the namespaces.
    """

    explicit: set[str] = field(default_factory=set)
    literal: set[tuple[str, str]] = field(default_factory=set)
    repairs: list[Item] = field(default_factory=list)
    apart: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Drafted:
    """A recipe for what a script did, as text and parsed, and what is to be known of it."""

    text: str
    recipe: Recipe
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True)
class Source:
    """What is migrated: the script's name, the model's, and the recipe's."""

    script: str
    model: str
    name: str
    modeline: str = ""


class Drafter:
    """Writes recipes for one recording, the first one and those that refine it."""

    def __init__(
        self,
        source: Source,
        graph: Graph,
        history: History,
        final: FinalGraph,
        messages: Mapping[str, Node],
        catalog: Catalog,
        most_rows: int | None,
        *,
        literal: bool = False,
    ) -> None:
        self.source, self.graph, self.history, self.final = source, graph, history, final
        self.messages, self.catalog, self.most_rows, self.literal = messages, catalog, most_rows, literal
        self.diagnostics: list[Diagnostic] = []
        self.refinement = Refinement()
        self._pulled_in: frozenset[str] = frozenset()

    def draft(self, refinement: Refinement) -> Drafted:
        """Return a recipe; raise SurgeonError P135 for what no recipe can hold."""
        self.refinement, self.diagnostics = refinement, []
        self._pulled_in = self._find_pulled_in()
        open_recipe = parse_recipe(render((), self._block({})))
        derived = {} if self.literal else self._derived(open_recipe)
        self.diagnostics = []
        text = self.source.modeline + render(self._heading(), self._block(derived))
        return Drafted(text, parse_recipe(text), tuple(self.diagnostics))

    def rewired(self) -> set[str]:
        """Return the new nodes of namespaces that other nodes read in the end than at the collapse."""
        found: set[str] = set()
        for edit in self.history.collapses:
            readers: dict[str, set[str]] = {}
            for state in edit.after:
                for source in state.inputs:
                    readers.setdefault(clean(source), set()).add(self.history.last_name(state.name))
            for taker in dict.fromkeys(edit.namespaces.values()):
                last = self.history.last_name(taker)
                in_the_end = {
                    node.name
                    for node in self.final.nodes.values()
                    if any(ref.node == last for ref in node.inputs)
                }
                if in_the_end and not in_the_end & readers.get(taker, set()):
                    found.add(taker)
        return found

    # What is in the recipe

    def _heading(self) -> Sequence[str]:
        return (
            f"What '{self.source.script}' does to {self.source.model}. Written by 'surgeon migrate'.",
            "The comments name the script's lines. 'auto' derives a value again, for another model too; what "
            "the graph says stands above it.",
        )

    def _block(self, derived: Mapping[tuple[str, str], Derivation]) -> dict[str, Item]:
        nodes = {name: Item(self._node(name, derived)) for name in self._defined}
        block: dict[str, Item] = {
            "recipe": Item(1),
            "name": Item(self.source.name),
            "summary": Item(f"{self.source.script} as a recipe."),
            "outputs": Item(
                [self._first(name) if name in self._made else name for name in self.final.outputs]
            ),
        }
        plugins = [self.messages[self.history.last_name(name)].op for name in self._defined]
        if any(self._gives_anchors(op) for op in plugins):
            block["anchors"] = Item(
                "plugin",
                (
                    "as in the script; 'auto' takes a constant where the plugin cannot "
                    "make the graph's anchors",
                ),
            )
        if any(op in self.catalog and self.catalog[op].order_field for op in plugins):
            block["decode"] = Item(
                "plugin",
                (
                    "as in the script; 'auto' decodes boxes in the graph where it clips "
                    "them before suppression",
                ),
            )
        if nodes:
            block["nodes"] = Item(nodes, spaced=True)
        namespaces = self._namespaces()
        if namespaces:
            block["namespaces"] = Item(namespaces, spaced=True)
        block["steps"] = Item(self._steps(), spaced=True)
        if not self.literal and self._has_image:
            block["image"] = Item(
                "auto",
                ("how a picture becomes the input: not in the script, read off the graph",),
                spaced=True,
            )
        return block

    def _gives_anchors(self, op: str) -> bool:
        return op in self.catalog and "GridAnchor" in op

    @cached_property
    def _has_image(self) -> bool:
        likes = [self._like(name) for name in self._defined if self._op(name) in PLACEHOLDERS]
        try:
            context = DerivationContext(parse_recipe(_EMPTY), self.graph, self.catalog, self.most_rows)
            if len(likes) != 1 or likes[0] is None:
                return False
            context.family.image_at(likes[0])
        except SurgeonError:
            return False
        return True

    @cached_property
    def _made(self) -> frozenset[str]:
        return frozenset(map(self.history.last_name, self.history.made))

    @cached_property
    def _defined(self) -> tuple[str, ...]:
        """First names of the nodes that the recipe puts in."""
        return tuple(
            name
            for name in self.history.made
            if (last := self.history.last_name(name)) in self.messages
            and (last in self.final.nodes or name in self.history.takers)
        )

    def _first(self, last: str) -> str:
        """Return the name of a node as the recipe knows it: before the script renames it."""
        return self.history.earlier.get(last, last)

    def _op(self, name: str) -> str:
        return self.messages[self.history.last_name(name)].op

    # Nodes

    def _node(self, name: str, derived: Mapping[tuple[str, str], Derivation]) -> dict[str, Item]:
        node = self.final.nodes.get(self.history.last_name(name), self.messages[self.history.last_name(name)])
        if node.op in PLACEHOLDERS:
            return self._placeholder(name, node)
        if node.op in self.catalog:
            return self._plugin(name, node, derived)
        return self._ordinary(name, node)

    def _placeholder(self, name: str, node: Node) -> dict[str, Item]:
        dims = script_dims(node.attrs.get("shape"))
        dtype = node.attrs.get("dtype")
        block = {"op": Item("Placeholder")}
        like = self._like(name)
        stated = f"the script says {_dims(dims)}, channels first as UFF has it"
        if like is None:
            shape = channels_last(dims) if self._is_channels_last(name) else dims
            block["shape"] = Item(list(shape), (stated,) if shape != dims else ())
            block["dtype"] = Item(dtype.value if isinstance(dtype, DType) else DType.FLOAT32.value)
            return block
        block["like"] = Item(str(like))
        spec = self._inference.spec(like)
        known = spec.shape.dims
        if known is None or spec.dtype is None:
            shape = channels_last(dims) if self._is_channels_last(name) else dims
            block["shape"] = Item(
                [1 if not at and dim is None else dim for at, dim in enumerate(shape)], (stated,)
            )
            block["dtype"] = Item(dtype.value if isinstance(dtype, DType) else DType.FLOAT32.value)
            return block
        candidates = [shape for shape in (channels_last(dims), dims) if fits(shape, known)]
        if not candidates:
            self._warn(
                "P135",
                f"the script's '{name}' has the shape {_dims(dims)}; the tensor '{like}' is {spec}",
                help=("the recipe takes the shape of the tensor; check the script's",),
            )
            return block
        shape = tuple(1 if at == 0 and dim is None else dim for at, dim in enumerate(candidates[0]))
        if any(dim is None for dim in known[1:]):
            block["shape"] = Item(
                [dim if known[at] is None else None for at, dim in enumerate(shape)], (stated,)
            )
        elif self.literal:
            block["shape"] = Item(list(shape), (stated,))
        else:
            block["like"] = Item(str(like), (f"{spec} in the graph; {stated}",))
        return block

    @cached_property
    def _inference(self) -> Any:
        from surgeon.infer import infer

        return infer(self.graph)

    def _like(self, name: str) -> Ref | None:
        """Return the one tensor that an input takes the place of, if there is just one that is needed."""
        found = self._read_of(name)
        return found[0] if len(found) == 1 and found[0].node in self.graph else None

    def _read_of(self, taker: str) -> list[Ref]:
        """Return the tensors of a node's namespaces that nodes outside read, as far as the outputs need
        them.
        """
        found: dict[Ref, None] = {}
        for edit in self.history.collapses:
            members = self.history.members(edit)
            if taker not in edit.namespaces.values():
                continue
            group = {name for name, owner in members.items() if owner == taker}
            for node in edit.before:
                owner = members.get(node.name)
                if owner is not None and (owner in (taker, *self._explicit) or self._ignores(owner)):
                    continue
                needed = self.history.last_name(owner or node.name) in self.final.nodes
                if not needed:
                    continue
                for source in node.inputs:
                    if not source.startswith("^") and clean(source) in group:
                        found[Ref.parse(source)] = None
        return list(found)

    def _ignores(self, name: str) -> bool:
        last = self.history.last_name(name)
        if last not in self.messages:
            return True
        op = self.messages[last].op
        return op in PLACEHOLDERS or (op in self.catalog and ignores_inputs(self.catalog[op]))

    def _is_channels_last(self, name: str) -> bool:
        last = self.history.last_name(name)
        formats = {
            node.attrs.get("data_format", b"NHWC")
            for node in self.final.nodes.values()
            if node.op in ("Conv2D", "DepthwiseConv2dNative", "MaxPool")
        }
        return last in self.final.nodes and formats == {b"NHWC"}

    @cached_property
    def _explicit(self) -> frozenset[str]:
        """First names of nodes whose inputs the recipe writes."""
        return frozenset(name for name in self._defined if self._inputs_are_written(name))

    def _inputs_are_written(self, name: str) -> bool:
        node = self.messages[self.history.last_name(name)]
        if name not in self.history.takers:
            return True
        if node.op in self.catalog and self.catalog[node.op].order_field:
            return True
        final = self.final.nodes.get(self.history.last_name(name))
        if final is None or self._ignores(name):
            return False
        if any(ref.node in self._made for ref in final.inputs):
            return True
        at_first = next(
            state.inputs
            for edit in self.history.collapses
            for state in edit.after
            if name in edit.namespaces.values() and state.name == name
        )
        return tuple(map(str, final.inputs)) != tuple(at_first)

    def _written(self, name: str) -> bool:
        return name in self._explicit or name in self.refinement.explicit | self.refinement.apart

    def _inputs(self, node: Node) -> list[str]:
        """Return a node's inputs as a recipe writes them."""
        return [self._tensor(ref) for ref in node.inputs]

    def _tensor(self, ref: Ref) -> str:
        source = self.final.nodes.get(ref.node)
        first = self._first(ref.node)
        plugin = self.catalog.get(source.op) if source is not None and ref.node in self._made else None
        if plugin is not None and not ref.slot and has_many_outputs(plugin):
            return f"{first}:*"
        return str(Ref(first, ref.slot))

    def _plugin(
        self, name: str, node: Node, derived: Mapping[tuple[str, str], Derivation]
    ) -> dict[str, Item]:
        spec = self.catalog[node.op]
        block: dict[str, Item] = {"plugin": Item(node.op)}
        strange = self.final.strange.get(node.name, {})
        if strange:
            block["plugin"] = Item(
                node.op,
                (
                    f"left out, for {node.op} has no such field: "
                    + ", ".join(f"{key} {_shown(value)}" for key, value in strange.items()),
                ),
            )
        if spec.order_field is not None:
            block["inputs"] = Item(self._by_port(name, node, spec))
        elif self._written(name) and not ignores_inputs(spec):
            block["inputs"] = Item(self._inputs(node))
        fields = {}
        for key in spec.fields:
            if key in node.attrs:
                fields[key] = self._field(name, spec, key, node.attrs[key], derived)
        for key, missing in spec.fields.items():
            if key not in fields and missing.required and missing.default is None and missing.required_since:
                fields[key] = self._required(name, spec, missing)
        if fields:
            block["fields"] = Item(fields)
        return block

    def _required(self, name: str, spec: PluginSpec, missing: FieldSpec) -> Item:
        """Return a field that the script leaves out and the plugin needs."""
        choices = missing.choices or ()
        if len(choices) == 1 or 0 in choices:
            value = choices[0] if len(choices) == 1 else 0
            return Item(value, (f"not in the script; TensorRT's own {spec.op} needs it",))
        return Item("auto", (f"not in the script; {spec.op} needs it",))

    def _field(
        self,
        name: str,
        spec: PluginSpec,
        key: str,
        value: AttrValue,
        derived: Mapping[tuple[str, str], Derivation],
    ) -> Item:
        plain = _plain(value)
        if key == spec.order_field:
            return self._order(name, spec, plain)
        found = derived.get((name, key))
        if found is None:
            return Item(plain)
        if _equal(spec.fields[key], plain, found.value) and (name, key) not in self.refinement.literal:
            return Item(
                "auto", (f"{show_value(plain)}, as the script has it: " + "; ".join(said(found.evidence)),)
            )
        return Item(plain, (f"the graph says {show_value(found.value)}: " + "; ".join(said(found.evidence)),))

    def _order(self, name: str, spec: PluginSpec, value: Any) -> Item:
        """Return the field that gives the order of inputs, which is derived, and warn where the script's is
        another.
        """
        roles = self._roles(name)
        inputs = list(roles.ports)
        order = [inputs.index(port) for port in spec.order_ports if port in inputs]
        if roles.evidence and isinstance(value, list) and value != order:
            self._warn(
                "P133",
                f"the script's 'inputOrder' of '{name}' is {value}; the inputs are in the order {order}",
                notes=roles.evidence,
                help=(
                    "keep the recipe's, which is right for this graph; the script's plugin takes one input "
                    "for another",
                ),
            )
        if not roles.evidence:
            self._warn(
                "P133",
                f"the order of the inputs of '{name}' cannot be derived from the graph; the recipe takes the "
                f"script's, {value}",
                help=("check which input holds boxes, scores and anchors",),
            )
        return Item("auto", (f"derived from the ports above; the script has {value}",))

    def _roles(self, name: str) -> Roles:
        node = self.final.nodes[self.history.last_name(name)]
        return roles_of(node, self.catalog[node.op], self.final, self.history, self._joins, self.catalog)

    @cached_property
    def _joins(self) -> Mapping[str, str]:
        return joining_nodes(self.graph)

    def _by_port(self, name: str, node: Node, spec: PluginSpec) -> Any:
        last = self.history.last_name(name)
        if last not in self.final.nodes:
            return {}
        ports = self._roles(name).ports
        return {port: self._tensor(ref) for port, ref in ports.items()}

    def _ordinary(self, name: str, node: Node) -> dict[str, Item]:
        block = {"op": Item(node.op)}
        attrs = dict(node.attrs)
        dtype = attrs.pop("dtype", None)
        if node.op == "Const":
            value = attrs.pop("value", None)
            block["value"] = Item(self._constant(name, value))
            block["dtype"] = Item(dtype.value if isinstance(dtype, DType) else DType.FLOAT32.value)
            return block
        inputs = node.inputs
        operands: dict[str, Any] = {}
        for key in OPERANDS.get(node.op, ()):
            if key in attrs:
                operands[key] = _plain(attrs.pop(key))
        missing = [key for key in OPERANDS.get(node.op, ()) if key not in operands]
        for key in reversed(missing):
            found = self._constant_input(inputs)
            if found is None:
                raise error(
                    "P135",
                    f"the script's '{name}' ({node.op}) has no '{key}'; a recipe needs it",
                    self._place_of(name),
                    help=[f"give the node '{key}' in the script"],
                )
            operands[key], inputs = found, inputs[:-1]
        if self._written(name) or operands:
            block["inputs"] = Item([self._tensor(ref) for ref in inputs])
        block.update({key: Item(operands[key]) for key in OPERANDS.get(node.op, ())})
        plain = {key: _plain(value) for key, value in attrs.items() if _is_writable(value)}
        if plain:
            block["attrs"] = Item(plain)
        for key in attrs.keys() - plain.keys():
            self._warn(
                "P135", f"the attribute '{key}' of the script's '{name}' cannot be written in a recipe"
            )
        return block

    def _constant_input(self, inputs: Sequence[Ref]) -> Any:
        source = self.final.nodes.get(inputs[-1].node) if inputs else None
        value = source.attrs.get("value") if source is not None and source.op == "Const" else None
        return None if value is None else self._constant(inputs[-1].node, value)

    def _constant(self, name: str, value: AttrValue | None) -> Any:
        if not isinstance(value, TensorValue) or value.count > MOST_NUMBERS:
            raise error(
                "P135",
                f"the script's constant '{name}' cannot be written in a recipe; expected at most "
                f"{MOST_NUMBERS} numbers",
                self._place_of(name),
                help=["keep it in the model, or let a step compute it"],
            )
        return value.array().tolist()

    def _place_of(self, name: str) -> Span | str:
        for edit in self.history.edits:
            there = {node.name for node in edit.before}
            if name not in there and any(node.name == name for node in edit.after) and edit.place is not None:
                return edit.place
        return self.source.script

    def _warn(self, code: str, message: str, notes: tuple[str, ...] = (), help: tuple[str, ...] = ()) -> None:
        self.diagnostics.append(Diagnostic(code, message, self.source.script, notes, help, Severity.WARNING))

    # Values that the graph tells

    def _derived(self, recipe: Recipe) -> dict[tuple[str, str], Derivation]:
        """Return what the graph says of the fields that the script gives, by node and field."""
        found: dict[tuple[str, str], Derivation] = {}
        open_nodes = {}
        for name, definition in recipe.nodes.items():
            if definition.plugin is None or not definition.fields:
                continue
            known = {key for key, spec in self.catalog[definition.plugin].fields.items() if spec.derivable}
            fields = {key: "auto" if key in known else value for key, value in definition.fields.items()}
            open_nodes[name] = definition.model_copy(update={"fields": fields})
        asking = recipe.model_copy(update={"nodes": {**recipe.nodes, **open_nodes}})
        context = DerivationContext(asking, self.graph, self.catalog, self.most_rows)
        for name in open_nodes:
            try:
                _, derivations, _ = derive_known_fields(context, name)
            except SurgeonError:
                continue  # the graph is of no family: its numbers stay the script's
            found.update({(name, each.field): each for each in derivations})
        return found

    # Namespaces and steps

    @cached_property
    def _single(self) -> RecordedEdit | None:
        """The one collapse whose namespaces stand at the recipe's top; None for several."""
        return self.history.collapses[0] if len(self.history.collapses) == 1 else None

    def _namespaces(self) -> dict[str, Item]:
        return (
            {}
            if self._single is None
            else {
                key: Item(node, (self._at(self._single),) if first else ())
                for first, (key, node) in _marked(self._taken(self._single).items())
            }
        )

    def _taken(self, edit: RecordedEdit) -> dict[str, str]:
        """Return a collapse's namespaces as a recipe has them, those that match nothing optional."""
        names = [node.name for node in edit.before]
        found: dict[str, str] = {}
        for key, taker in edit.namespaces.items():
            if taker not in self._defined or self._is_left_out(key, taker):
                continue
            there = any(name == key or name.startswith(f"{key}/") for name in names)
            found[key if there else f"{key}?"] = taker
        return found

    def _is_made_again(self, key: str, taker: str) -> bool:
        """Return whether a namespace is a node of the script, which one of the same name replaces.

        The recipe defines that node once, as it is in the end.
        """
        return key == taker and key in self.history.made and key not in self.graph

    def _is_left_out(self, key: str, taker: str) -> bool:
        return taker in self.refinement.apart or self._is_made_again(key, taker)

    def _at(self, edit: RecordedEdit, what: str = "") -> str:
        line = f"{self.source.script}, {edit.line}" if edit.line else self.source.script
        return f"{line}: {what}" if what else line

    def _steps(self) -> list[Item]:
        found: list[Item] = []
        collapsed = 0
        for pause, edit in zip(self.history.pauses, [*self.history.edits, None], strict=True):
            for change in self.history.op_changes(pause):
                found += self._op_change(change)
            if edit is None:
                break
            later = collapsed < len(self.history.collapses)
            if edit.method == "collapse_namespaces":
                collapsed += 1
                found += self._removed_namespaces(edit)
                if not all(itertools.starmap(self._is_left_out, edit.namespaces.items())):
                    found.append(self._collapse(edit))
                found += self._put_apart(edit)
            elif edit.method == "remove":
                found += self._remove(edit, later, optional=bool(collapsed))
            elif edit.method == "forward_inputs":
                found += self._forward(edit)
            elif edit.method in ADDING:
                found += self._add(edit)
        renamed = {first: last for last, first in self.history.earlier.items() if last in self.final.nodes}
        found += self.refinement.repairs
        if renamed:
            found.append(Item({"step": "rename", "nodes": renamed}, ("names that the script changes",)))
        found.append(Item("prune", ("what no output needs any more", *self._pruned())))
        return found

    def _pruned(self) -> Iterator[str]:
        """Yield the script's removals that pruning stands for."""
        last = max(
            (at for at, e in enumerate(self.history.edits) if e.method == "collapse_namespaces"), default=-1
        )
        for edit in self.history.edits[last + 1 :]:
            if edit.method == "remove" and edit.gone:
                yield self._at(edit, f"takes {plural(len(edit.gone), 'node')} out, such as '{edit.gone[0]}'")

    def _op_change(self, change: OpChange) -> Iterator[Item]:
        needed = [name for name in change.names if self.history.last_name(name) in self.final.nodes]
        if not needed:
            return
        for name in needed:
            last = self.history.last_name(name)
            if last in self.final.plugins and name in self.graph:
                # The plugin's fields take the place of the attributes before it is checked as a plugin.
                gone = dict.fromkeys(self.graph[name].attrs)
                fields = {key: _plain(value) for key, value in self.final.nodes[last].attrs.items()}
                yield Item({"step": "set-attr", "nodes": [name], "attrs": {**gone, **fields}})
        step: dict[str, Any] = {"step": "replace-op", "from": change.old, "to": change.new}
        if not change.all_of_them:
            step["nodes"] = needed
        yield Item(step, (f"the script changes {plural(len(change.names), 'node')}",))

    def _removed_namespaces(self, edit: RecordedEdit) -> Iterator[Item]:
        """Yield a step for namespaces whose new node the script takes out again."""
        keys = [key for key, taker in edit.namespaces.items() if taker not in self._defined]
        there = [
            key for key in keys if any(n.name == key or n.name.startswith(f"{key}/") for n in edit.before)
        ]
        if there:
            step = {"step": "remove", "nodes": there, "disconnect": True}
            yield Item(step, (self._at(edit, "their new node is taken out later"),))

    def _collapse(self, edit: RecordedEdit) -> Item:
        step: dict[str, Any] = {"step": "collapse"}
        if self._single is None:
            step["take"] = self._taken(edit)
        kept = self.history.kept(edit)
        if kept:
            step["keep"] = kept
        outputs = self._outputs(edit)
        if outputs:
            step["outputs"] = outputs
        comment = self._at(edit, f"{plural(len(edit.namespaces), 'namespace')}")
        return Item(step if len(step) > 1 else "collapse", (comment,))

    def _put_apart(self, edit: RecordedEdit) -> Iterator[Item]:
        """Yield steps for new nodes that take no namespace's place in the recipe."""
        for taker in dict.fromkeys(edit.namespaces.values()):
            if taker in self.refinement.apart and taker not in self._pulled_in:
                comment = self._at(edit, "what reads the namespace does not read the new node in the end")
                yield Item({"step": "add-node", "node": taker}, (comment,))

    def _outputs(self, edit: RecordedEdit) -> dict[str, str]:
        """Return which output replaces each tensor, where the step would not choose by itself."""
        found: dict[str, str] = {}
        for taker in dict.fromkeys(edit.namespaces.values()):
            if taker not in self._defined or taker in self.refinement.apart:
                continue
            read = self._read_of(taker)
            op = self._op(taker)
            ports = len(self.catalog[op].outputs) if op in self.catalog else 1
            if len(read) > 1 or (read and ports > 1):
                found.update({str(ref): taker for ref in read})
        return found

    def _remove(self, edit: RecordedEdit, later: bool, optional: bool) -> Iterator[Item]:
        """Yield the step of a removal, unless pruning stands for it: where no collapse comes later.

        It is ``optional`` after a collapse, which takes out by itself what nothing reads any more.
        """
        ops = {node.name: node.op for node in edit.before}
        named = [name for name in edit.nodes if name in ops]
        if not edit.gone or not later:
            return
        asserts = [name for name, op in ops.items() if op == "Assert"]
        if edit.exclusive and named and set(named) == set(asserts):
            yield Item("remove-asserts", (self._at(edit),))
            return
        chosen = named or list(edit.gone)
        known = [name for name in chosen if self.history.earlier.get(name, name) in self.graph]
        if not known:
            return
        nodes = selection(known, edit.before)
        if optional:
            nodes = [{**each, "optional": True} if isinstance(each, dict) else f"{each}?" for each in nodes]
        step: dict[str, Any] = {"step": "remove", "nodes": nodes}
        if edit.exclusive:
            step["exclusive"] = True
        yield Item({**step, "disconnect": True}, (self._at(edit),))

    def _forward(self, edit: RecordedEdit) -> Iterator[Item]:
        if are_identities(edit):
            yield Item("forward-identities", (self._at(edit),))
            return
        needed = self._forwarded(edit)
        if needed:
            yield Item({"step": "forward", "nodes": selection(needed, edit.before)}, (self._at(edit),))

    def _forwarded(self, edit: RecordedEdit) -> list[str]:
        """Return the forwarded nodes that nodes which stay, and were there from the first, read.

        What only nodes of its own namespace read goes with them when that is collapsed.
        """
        gone = set(edit.gone)
        namespaces = self._namespaces_after(edit)
        readers: dict[str, list[str]] = {}
        for node in edit.before:
            for source in node.inputs:
                readers.setdefault(clean(source), []).append(node.name)
        wanted: set[str] = set()
        for node in reversed(edit.before):
            if node.name not in gone:
                continue
            space = longest_prefix(node.name, namespaces)
            if any(
                reader in wanted
                or (
                    reader not in gone
                    and self._stays(reader)
                    and (space is None or longest_prefix(reader, namespaces) != space)
                )
                for reader in readers.get(node.name, ())
            ):
                wanted.add(node.name)
        return [node.name for node in edit.before if node.name in wanted]

    def _namespaces_after(self, edit: RecordedEdit) -> dict[str, str]:
        """Return the new node by namespace of the first collapse after an edit; none where none comes."""
        later = itertools.dropwhile(lambda each: each is not edit, self.history.edits)
        return next((each.namespaces for each in later if each.namespaces), {})

    def _stays(self, name: str) -> bool:
        if name in self.history.takers or name in self.history.made:
            return False
        taken = any(name in self.history.members(edit) for edit in self.history.collapses)
        return taken or self.history.last_name(name) in self.final.nodes

    def _add(self, edit: RecordedEdit) -> Iterator[Item]:
        there = {node.name for node in edit.before}
        added = [node.name for node in edit.after if node.name not in there and node.name in self._defined]
        for name in added:
            if name not in self._pulled_in:
                yield Item({"step": "add-node", "node": name}, (self._at(edit),))

    def _find_pulled_in(self) -> frozenset[str]:
        """Return the first names of nodes that a collapse puts in, for new nodes that read them."""
        found: set[str] = set()
        takers = [name for name in self.history.takers if name not in self.refinement.apart]
        waiting = [name for name in takers if name in self._defined]
        while waiting:
            node = self.final.nodes.get(self.history.last_name(waiting.pop()))
            for ref in node.inputs if node is not None else ():
                first = self._first(ref.node)
                if first in self._defined and first not in takers and first not in found:
                    found.add(first)
                    waiting.append(first)
        return frozenset(found)


_EMPTY = "recipe: 1\nname: x\noutputs: [x]\n"


def _marked(items: Iterable[Any]) -> Iterator[tuple[bool, Any]]:
    for at, item in enumerate(items):
        yield at == 0, item


def _dims(dims: Iterable[int | None]) -> str:
    return "[" + ", ".join("?" if dim is None else str(dim) for dim in dims) + "]"


def _shown(value: AttrValue) -> str:
    plain = _plain(value)
    return show_value(plain) if not isinstance(plain, Shape) else str(plain)


def _plain(value: AttrValue) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, DType):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def plain_attr(value: AttrValue | None) -> Any:
    """Return an attribute of a node as the step ``set-attr`` takes it, None for what it cannot hold."""
    match value:
        case DType():
            return {"dtype": value.value}
        case Shape(dims=dims) if dims is not None:
            return {"shape": list(dims)}
        case TensorValue() if value.count <= MOST_NUMBERS:
            return value.array().tolist()
        case _ if value is not None and _is_writable(value):
            return _plain(value)
    return None


def _is_writable(value: AttrValue) -> bool:
    if isinstance(value, tuple):
        return bool(value) and all(_is_writable(item) for item in value)
    return isinstance(value, bool | int | float | bytes | DType)


def _equal(spec: FieldSpec, one: object, other: object) -> bool:
    """Return whether two values of a field are the same to the bit of a float32."""
    try:
        a, b = spec.convert(one), spec.convert(other)
    except Unfit:
        return False
    if isinstance(a, str | bytes) or isinstance(b, str | bytes):
        return a == b
    return np.array_equal(np.asarray(a, np.float32), np.asarray(b, np.float32))
