"""The step ``collapse``: namespaces become single nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal

from pydantic import Field

from surgeon.diagnostics import Span, nearest_note
from surgeon.display import plural
from surgeon.graph import Drop, Edit, Graph, Node, Ref, Rewire, SetOutputs
from surgeon.graph.graph import shortened, sources_first
from surgeon.graph.op_sets import IDENTITIES, LOOP_ENDS
from surgeon.steps.placing import place, resolve
from surgeon.steps.selector import Selection, longest_prefix, select, split_optional, unmatched
from surgeon.steps.step import NodeSpec, Step, StepContext

SHAPE_ONLY = IDENTITIES | {"Squeeze", "Reshape", "ExpandDims"}
"""Operations that move no number of their first input, so that a plugin may read past them."""


class Collapse(Step):
    """Put the recipe's nodes in the place of namespaces.

    A node belongs to the key with the most path components among those that are a prefix of its name, whole
    components only: ``concat`` does not match ``concat_1``. Keys that name one node merge. Every matched node
    is taken out; readers outside are joined to the new node's output. Which output a reader gets is never
    guessed: it is what ``outputs`` says, or the ``like`` tensor of the new node, or, where all readers that
    matter read one tensor and the new node has one output, that one. A reader that no output of the recipe
    needs goes too. The new node reads what its ``inputs`` declare, else what the namespace read, in the order
    in which it is met; past a declared input only operations that keep every number (Squeeze, Reshape, ...)
    may be left out. Where the declared input is one node without a namespace, or a row of such nodes, the
    first of the row reads what the namespace read.

    Before::

        graph v1
        x = Placeholder() {dtype: float32, shape: shape[1,4]}
        act/zero = Const() {dtype: float32, value: tensor<float32[]: 0.0>}
        act/max = Maximum(x, act/zero) {T: float32}
        y = Neg(act/max) {T: float32}

    Step::

        step: collapse
        take: {act: clip}

    After::

        graph v1
        outputs: y
        x = Placeholder() {dtype: float32, shape: shape[1,4]}
        clip = Relu(x) {T: float32}
        y = Neg(clip) {T: float32}
    """

    keyword: ClassVar[str] = "collapse"
    step: Literal["collapse"] = "collapse"
    take: Mapping[str, str] | Selection | None = Field(
        None,
        description="Namespaces and their nodes, or a list of what goes into one node; default the recipe's "
        "'namespaces'.",
    )
    keep: Selection = Field((), description="Nodes inside the namespaces that stay.")
    into: str | None = Field(None, description="The node, where 'take' is a list.")
    outputs: Mapping[str, str] = Field(
        default_factory=dict, description="Tensor taken out: the output that replaces it, as NODE:port."
    )

    def plan(self, context: StepContext) -> list[Edit]:
        return _Collapsing(self, context).edits()


@dataclass(frozen=True)
class _Entry:
    """One key of the map: the namespace, its new node, and where the recipe says so."""

    prefix: str
    node: str
    optional: bool
    path: tuple[str | int, ...]


@dataclass
class _Collapsing:
    """One planning of the step; views are computed once."""

    step: Collapse
    context: StepContext
    dead: dict[str, str] = field(default_factory=dict)
    keys: dict[str, tuple[str | int, ...]] = field(default_factory=dict)
    """Where the recipe names the namespace of each member, by the member's name."""

    @property
    def graph(self) -> Graph:
        return self.context.graph

    # --- membership
    # -------------------------------------------------------------------------------------------

    @cached_property
    def entries(self) -> list[_Entry]:
        take = self.step.take
        if take is None:
            return [
                _Entry(key, rule.node, rule.optional, ("namespaces", key))
                for key, rule in self.context.namespaces.items()
            ]
        if isinstance(take, Mapping):
            return [_Entry(*_split(key, node), ("take", key)) for key, node in take.items()]
        if self.step.into is None:
            raise self.context.fail(
                "S303", "'take' is a list, but 'into' names no node for it", "take", help=["add 'into: NODE'"]
            )
        return []

    @cached_property
    def member_of(self) -> dict[str, str]:
        """Name of the new node that takes each member's place."""
        kept = set(select(self.context, self.step.keep, "keep")) if self.step.keep else set()
        take = self.step.take
        if take is not None and not isinstance(take, Mapping):
            assert self.step.into is not None or self.entries == []
            chosen = select(self.context, take, "take")
            return {name: self.step.into or "" for name in chosen if name not in kept}
        table = {entry.prefix: entry for entry in self.entries}
        seen = dict.fromkeys(table, 0)
        members: dict[str, str] = {}
        for node in self.graph:
            entry = longest_prefix(node.name, table)
            if entry is not None:
                seen[entry.prefix] += 1
                if node.name not in kept:
                    members[node.name] = entry.node
                    self.keys[node.name] = entry.path
        for entry in self.entries:
            if not seen[entry.prefix] and not entry.optional and not self._covered(entry):
                raise unmatched(self.context, entry.prefix, *entry.path)
        return members

    def _covered(self, entry: _Entry) -> bool:
        """True when the namespace exists, but longer keys take all of it."""
        return any(n.name == entry.prefix or n.name.startswith(entry.prefix + "/") for n in self.graph)

    @cached_property
    def groups(self) -> dict[str, list[Node]]:
        """Members of each new node, in graph order."""
        table: dict[str, list[Node]] = {}
        for name, new in self.member_of.items():
            table.setdefault(new, []).append(self.graph[name])
        return table

    @cached_property
    def placed(self) -> dict[str, NodeSpec]:
        """Every node that this step puts in: one for each group, and what their declared inputs name."""
        if isinstance(self.step.take, tuple) and self.step.into:
            wanted = [self.step.into]
        else:
            wanted = list(self.groups)
        found: dict[str, NodeSpec] = {}
        while wanted:
            name = wanted.pop(0)
            if name in found:
                continue
            new = self.context.nodes.get(name)
            if new is None:
                raise self.context.fail(
                    "S302",
                    f"the node '{name}' is not among the recipe's nodes",
                    *self._path_of(name),
                    notes=nearest_note(name, self.context.nodes),
                    help=["define it under 'nodes'"],
                )
            found[name] = new
            wanted += [
                base
                for base in map(_base, new.inputs or ())
                if base in self.context.nodes and base not in self.graph
            ]
        return found

    def _path_of(self, new: str) -> tuple[str | int, ...]:
        return next((e.path for e in self.entries if e.node == new), ("into",))

    # --- what the new nodes read
    # --------------------------------------------------------------------------------

    @cached_property
    def reads(self) -> dict[str, list[Ref]]:
        """For each new node, its inputs.

        References to new nodes, or to nodes that stay, or to tensors taken out.
        """
        return {name: self._inputs(new) for name, new in self.placed.items()}

    def _inputs(self, new: NodeSpec) -> list[Ref]:
        if new.ignores_inputs or (new.inputs is None and new.op == "Placeholder"):
            return []
        if new.inputs is None:
            return list(dict.fromkeys(ref for _, ref in self._entering(self._fronts.get(new.name, new.name))))
        return [
            ref for text in new.inputs for ref in resolve(self.context, text, "nodes", new.name, "inputs")
        ]

    @cached_property
    def _fronts(self) -> dict[str, str]:
        """For the first of a row of nodes in front of one that takes a namespace's place, the latter."""
        found: dict[str, str] = {}
        for name in self.groups:
            row = [name]
            while (inputs := self.placed[row[-1]].inputs) is not None and len(inputs) == 1:
                front = _base(inputs[0])
                if front not in self.placed or front in self.groups or front in row:
                    break
                row.append(front)
            if len(row) > 1 and self.placed[row[-1]].inputs is None:
                found[row[-1]] = name
        return found

    def _entering(self, new: str) -> Iterator[tuple[Node, Ref]]:
        """Yield (member, tensor) of every data edge into a group, in graph order."""
        for node in self.groups.get(new, ()):
            for ref in node.inputs:
                if self.member_of.get(ref.node) != new:
                    yield node, ref

    # --- what is alive
    # ------------------------------------------------------------------------------------------

    @cached_property
    def wanted_outputs(self) -> tuple[Ref, ...]:
        """The recipe's outputs; none where a later step puts one of them in."""
        refs = tuple(
            ref
            for i, text in enumerate(self.context.outputs)
            for ref in resolve(self.context, text, "outputs", i)
        )
        return refs if all(ref.node in self.placed or ref.node in self.graph for ref in refs) else ()

    @cached_property
    def live(self) -> set[str]:
        """Nodes that stay or are put in, and that the recipe's outputs need."""
        seen: set[str] = set()
        stack = [self._owner(ref.node) for ref in self.wanted_outputs] or [
            self._owner(name) for name in self.graph.terminals
        ]
        while stack:
            name = stack.pop()
            if name in seen:
                continue
            seen.add(name)
            stack += [s for s in self._sources(name) if s not in seen]
        return seen

    def _owner(self, name: str) -> str:
        """Return the new node in whose group a node is, or the node."""
        return name if name in self.placed else self.member_of.get(name, name)

    def _sources(self, name: str) -> list[str]:
        if name in self.placed:
            return [self._owner(ref.node) for ref in self.reads[name]]
        node = self.graph.get(name)
        return [self._owner(source) for source in node.sources] if node else []

    @cached_property
    def read_outside(self) -> dict[str, dict[Ref, str]]:
        """For each new node, the tensors of its group that live nodes outside read, each with one reader."""
        table: dict[str, dict[Ref, str]] = {}

        def note(ref: Ref, reader: str) -> None:
            group = self.member_of.get(ref.node)
            if group is not None and ref.node not in self.placed:
                table.setdefault(group, {}).setdefault(ref, reader)

        for node in self.graph:
            if node.name in self.live and node.name not in self.member_of:
                for ref in node.inputs:
                    note(ref, node.name)
        for name in self.placed:
            if name in self.live:
                for ref in self.reads[name]:
                    note(ref, name)
        for ref in self.wanted_outputs:
            note(ref, "the outputs")
        return table

    # --- which output replaces a tensor
    # -------------------------------------------------------------------------

    @cached_property
    def explicit(self) -> dict[Ref, Ref]:
        table: dict[Ref, Ref] = {}
        for text, target in self.step.outputs.items():
            refs = resolve(self.context, target, "outputs", text)
            if len(refs) != 1:
                raise self.context.fail(
                    "S304", f"'{target}' is {len(refs)} tensors; expected one output", "outputs", text
                )
            table[Ref.parse(text)] = refs[0]
        return table

    def replacement(self, ref: Ref, reader: str) -> Ref:
        """Return what takes a tensor's place."""
        if ref.node in self.placed or ref.node not in self.member_of:
            return ref
        if ref in self.explicit:
            return self.explicit[ref]
        group = self.member_of[ref.node]
        new = self.placed[group]
        if new.like is not None:
            if ref == new.like:
                return Ref(group)
            reason = f"'{group}' stands for '{new.like}'"
        else:
            read = list(self.read_outside.get(group, {}))
            if read == [ref] and len(new.ports) == 1:
                return Ref(group)
            if len(new.ports) != 1:
                reason = f"'{group}' has {plural(len(new.ports), 'output')}: {', '.join(new.ports[:8])}"
            else:
                reason = "read from outside are " + ", ".join(f"'{r}'" for r in read[:6])
        raise self.context.fail(
            "S305",
            f"'{reader}' reads '{ref}', which is taken out, and nothing says which output of '{group}' "
            "replaces it",
            *self._path_of(group),
            notes=[reason],
            help=[
                f"say so in the collapse step: outputs: {{'{ref}': '{group}:{new.ports[0]}'}}",
                f"or take '{reader}' out as well",
            ],
        )

    # --- edits
    # --------------------------------------------------------------------------------------------------

    def edits(self) -> list[Edit]:
        self._check_bypassed()
        edits: list[Edit] = []
        spans = {new: self.context.at(*self._path_of(new)) for new in self.placed}
        self._find_dead()
        places = {path: self.context.at(*path) for path in dict.fromkeys(self.keys.values())}
        for name, members in self.groups.items():
            why, span = f"collapsed into '{name}'", spans[name]
            edits += [
                Drop(n.name, why, name, places[self.keys[n.name]] if n.name in self.keys else span)
                for n in members
            ]
        edits += [Drop(name, why, None, self.context.span) for name, why in self.dead.items()]
        self._check_cycles()
        edits += self._added()
        edits += self._rewired(spans)
        if self.wanted_outputs:
            outputs = tuple(self.replacement(ref, "the outputs") for ref in self.wanted_outputs)
            edits.append(SetOutputs(outputs, self.context.at("outputs", 0)))
        return edits

    def _added(self) -> list[Edit]:
        edits: list[Edit] = []
        for name, new in self.placed.items():
            inputs = [self.replacement(ref, name) for ref in self.reads[name]]
            members = self.groups.get(name)
            before = members[0].name if members else None
            control = self._control(name)
            edits += place(self.context, new, inputs, control=control, before=before)
        return edits

    def _control(self, name: str) -> tuple[str, ...]:
        """Return what the group waited for outside the groups, as the new node's control inputs."""
        found: dict[str, None] = {}
        for node in self.groups.get(name, ()):
            for source in node.control:
                if source not in self.member_of and source not in self.dead and source in self.live:
                    found[source] = None
        return tuple(found)

    def _rewired(self, spans: Mapping[str, Span | None]) -> list[Edit]:
        edits: list[Edit] = []
        for node in self.graph:
            if node.name in self.member_of or node.name in self.dead:
                continue
            touched = [self.member_of[s] for s in node.sources if s in self.member_of]
            if not touched:
                continue
            inputs = tuple(self.replacement(ref, node.name) for ref in node.inputs)
            control = tuple(dict.fromkeys(self.member_of.get(source, source) for source in node.control))
            edits.append(Rewire(node.name, inputs, control, spans[touched[0]]))
        return edits

    def _find_dead(self) -> None:
        """Find nodes outside that read a tensor taken out and that no output needs, and their readers."""
        stack: list[str] = []
        for node in self.graph:
            if node.name in self.member_of or node.name in self.live:
                continue
            lost = next((r for r in node.inputs if r.node in self.member_of), None)
            if lost is not None:
                self.dead[node.name] = f"unused: it read '{lost}', which was taken out"
                stack.append(node.name)
        while stack:
            name = stack.pop()
            for reader in self.graph.readers[name]:
                if reader not in self.dead and reader not in self.member_of and reader not in self.live:
                    self.dead[reader] = f"unused: it read '{name}', which was taken out"
                    stack.append(reader)

    def _check_cycles(self) -> None:
        """Refuse a group that is left and entered again: its one node would have to wait for itself."""

        def refused(cycle: list[str]) -> Exception:
            cycle = cycle[::-1]
            new = next((n for n in cycle if n in self.placed), cycle[0])
            return self.context.fail(
                "S306",
                f"the namespace of '{new}' is left and entered again",
                *self._path_of(new),
                notes=["path: " + " -> ".join(f"'{n}'" for n in shortened(cycle))],
                help=["forward or remove what lies between, or take it into the namespace"],
            )

        sources_first([n for n in self.placed if n in self.live], self._waits_for, refused)

    def _waits_for(self, name: str) -> list[str]:
        node = self.graph.get(name)
        if name not in self.placed and node is not None and node.op in LOOP_ENDS:
            return []
        extra = [self._owner(c) for c in self._control(name)] if name in self.placed else []
        return [*self._sources(name), *extra]

    # --- what declared inputs leave out
    # -------------------------------------------------------------------------

    def _check_bypassed(self) -> None:
        """Refuse a declared input that would leave out arithmetic which the original has on that way."""
        for name, new in self.placed.items():
            if new.inputs is None or new.ignores_inputs or name not in self.groups:
                continue
            declared = {self._owner(ref.node) for ref in self.reads[name]}
            checked: set[str] = set()
            for member, ref in self._entering(name):
                if ref.node in checked or self._owner(ref.node) in self.placed or ref.node in declared:
                    continue
                checked.add(ref.node)
                lost = self._arithmetic_between(ref.node, declared)
                if lost is not None:
                    node, source = lost
                    raise self.context.fail(
                        "S307",
                        f"'{name}' would read '{source}' directly and leave out '{node.name}' ({node.op}), "
                        "which changes the numbers",
                        *self._path_of(name),
                        notes=[
                            f"'{member.name}' reads '{ref}', which comes from '{source}' through "
                            f"'{node.name}'"
                        ],
                        help=[f"declare '{node.name}' as the input, or take it into a namespace"],
                    )

    def _arithmetic_between(self, start: str, declared: set[str]) -> tuple[Node, str] | None:
        """Return (node, new node) where a walk back from ``start`` meets arithmetic before a declared
        source.
        """
        culprit: dict[str, Node | None] = {start: None}
        stack = [start]
        while stack:
            name = stack.pop()
            node = self.graph[name]
            changed = culprit[name] or (None if node.op in SHAPE_ONLY else node)
            # A Reshape's or Squeeze's other operands are shapes: they carry no numbers of the tensor.
            sources = node.inputs[:1] if node.op in SHAPE_ONLY else node.inputs
            if node.op in ("Shape", "ShapeN", "Size", "Rank"):
                continue
            for ref in sources:
                owner = self._owner(ref.node)
                if owner in declared and owner in self.placed:
                    if changed is not None:
                        return changed, owner
                elif owner not in self.placed and ref.node in self.graph and ref.node not in culprit:
                    culprit[ref.node] = changed
                    stack.append(ref.node)
        return None


def _split(key: str, node: str) -> tuple[str, str, bool]:
    prefix, optional = split_optional(key)
    return prefix, node, optional


def _base(text: str) -> str:
    return text.partition(":")[0]
