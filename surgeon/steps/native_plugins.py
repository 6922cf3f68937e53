"""The step ``native-plugins``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from pydantic import Field

from surgeon.discovery import discover
from surgeon.graph import Add, Drop, DType, Edit, Node, Ref, Rewire, SetOutputs
from surgeon.graph.op_sets import PLACEHOLDERS
from surgeon.steps.native.native_op import NativeReader, PluginOutput, native_ops_in
from surgeon.steps.patterns import Miss
from surgeon.steps.picture_layout import FIRST, LAST
from surgeon.steps.placing import free_name, place
from surgeon.steps.removal import unneeded
from surgeon.steps.selector import Selection, select
from surgeon.steps.step import NodeSpec, Step, StepContext

NATIVE_OPS = discover("surgeon.steps.native", "native plugins for the operation", native_ops_in)

if TYPE_CHECKING:
    Op: TypeAlias = str
else:
    Op = Literal[tuple(NATIVE_OPS)]


class NativePlugins(Step):
    """Turn operations into nodes of the native library's plugins.

    UFF itself expresses most of them where sizes are known: name in 'ops' those that it refuses, so that the
    engine needs the library for nothing else.

    ResizeBilinear becomes SurgeonResizeBilinear; each output of Split and SplitV, and a Slice or StridedSlice
    that cuts one axis after the batch, SurgeonSlice; Tile SurgeonTile; LeakyRelu, and HardSwish (x * relu6(x
    + 3) / 6, whichever way it is multiplied), SurgeonActivation. A node keeps its name. Where a picture's
    axes matter it stands between two Transposes, since the plugin sees channels first; the UFF exporter
    leaves such a pair out.

    Sizes and axes must be constant. A node that cannot be turned stays, with a note, or is refused where
    'nodes' names it by its whole name. Only float32 tensors that depend on an input count; computations of
    shapes stay.

    Before::

        graph v1
        x = Placeholder() {dtype: float32, shape: shape[1,4,6,3]}
        size = Const() {dtype: int32, value: tensor<int32[2]: 8, 12>}
        larger = ResizeBilinear(x, size) {T: float32, align_corners: true, half_pixel_centers: false}
        y = LeakyRelu(larger) {T: float32, alpha: 0.1}

    Step::

        step: native-plugins

    After::

        graph v1
        x = Placeholder() {dtype: float32, shape: shape[1,4,6,3]}
        larger/channels_first/perm = Const() {dtype: int32, value: tensor<int32[4]: 0, 3, 1, 2>}
        larger/channels_first = Transpose(x, larger/channels_first/perm) {T: float32, Tperm: int32}
        larger/plugin = SurgeonResizeBilinear(larger/channels_first) {height: 8, width: 12, alignCorners: 1, halfPixelCenters: 0}
        larger/perm = Const() {dtype: int32, value: tensor<int32[4]: 0, 2, 3, 1>}
        larger = Transpose(larger/plugin, larger/perm) {T: float32, Tperm: int32}
        y = SurgeonActivation(larger) {type: 0, alpha: 0.1}
    """  # noqa: E501

    keyword: ClassVar[str] = "native-plugins"
    step: Literal["native-plugins"] = "native-plugins"
    ops: tuple[Op, ...] = Field(tuple(NATIVE_OPS), description="Only these operations.", min_length=1)
    nodes: Selection | None = Field(
        None, description="Only among these nodes; of HardSwish, its last multiplication."
    )
    optional: bool = Field(True, description="No error when no node is turned.")

    def plan(self, context: StepContext) -> list[Edit]:
        names = (
            [n.name for n in context.graph] if self.nodes is None else select(context, self.nodes, "nodes")
        )
        found = self._found(context, names)
        if not found and not self.optional:
            raise context.fail(
                "R201",
                f"no node can become a plugin node of the operations {', '.join(self.ops)}",
                "ops",
                help=["correct them, or take 'optional: false' away"],
            )
        return _Rewriting(context, found).edits()

    def _found(self, context: StepContext, names: Sequence[str]) -> dict[str, tuple[PluginOutput, ...]]:
        """Return the nodes to turn, each with what stands for its outputs; raise SurgeonError S411, S412."""
        explicit = {item: i for i, item in enumerate(self.nodes or ()) if isinstance(item, str)}
        reader = NativeReader(context)
        found: dict[str, tuple[PluginOutput, ...]] = {}
        left: dict[tuple[str, str], list[str]] = {}
        for name in names:
            node = context.graph[name]
            at = ("nodes", explicit[name]) if name in explicit else ()
            native = next((op for op in NATIVE_OPS.values() if op.is_at(reader, node)), None)
            if native is None or native.op not in self.ops:
                if at:
                    raise context.fail(
                        "S411",
                        f"'{name}' ({node.op}) has no native plugin; expected one of {', '.join(self.ops)}",
                        *at,
                        help=["name another node" if native is None else f"add '{native.op}' to 'ops'"],
                    )
                continue
            if not at and not reader.counts(node):
                continue
            try:
                found[name] = reader.outputs(native, node)
            except Miss as exc:
                if at:
                    raise context.fail(
                        "S412",
                        f"'{name}' ({node.op}) cannot become a plugin node; {exc}",
                        *at,
                        help=["take it out of 'nodes', or change the graph in an earlier step"],
                    ) from None
                left.setdefault((node.op, str(exc)), []).append(name)
        for (op, reason), stayed in left.items():
            first = f"'{stayed[0]}'" if len(stayed) == 1 else f"{len(stayed)} nodes, the first '{stayed[0]}',"
            context.note("S413", f"{first} ({op}) cannot become a plugin node; {reason}")
        return found


class _Rewriting:
    """The edits that put plugin nodes in the place of nodes."""

    def __init__(self, context: StepContext, found: Mapping[str, Sequence[PluginOutput]]) -> None:
        self.context, self.graph, self.found = context, context.graph, found
        self._taken: dict[str, None] = {}
        self._now: dict[Ref, Ref] = {}

    def edits(self) -> list[Edit]:
        """Return them; a node's output 0 keeps its name, the higher ones that are read get
        ``<name>/<slot>``.
        """
        span, found = self.context.span, self.found
        read = dict.fromkeys([*(ref for node in self.graph for ref in node.inputs), *self.graph.outputs])
        higher = [Ref(name, slot) for name, parts in found.items() for slot in range(1, len(parts))]
        self._now.update({ref: Ref(self._name(f"{ref.node}/{ref.slot}")) for ref in higher if ref in read})
        gone = dict.fromkeys(self._unneeded())
        edits: list[Edit] = []
        for name, parts in found.items():
            edits.append(Drop(name, f"became {parts[0].op}", name, span))
            for slot, part in enumerate(parts):
                ref = Ref(name, slot)
                if not slot or ref in self._now:
                    edits += self._placed(self.graph[name], self._after(ref).node, part)
        edits += [Drop(name, "only what became a plugin node read it", None, span) for name in gone]
        for node in self.graph:
            if (
                node.name not in found
                and node.name not in gone
                and any(ref in self._now for ref in node.inputs)
            ):
                edits.append(Rewire(node.name, tuple(map(self._after, node.inputs)), None, span))
        if any(ref in self._now for ref in self.graph.outputs):
            edits.append(SetOutputs(tuple(map(self._after, self.graph.outputs)), span))
        return edits

    def _after(self, ref: Ref) -> Ref:
        return self._now.get(ref, ref)

    def _name(self, wanted: str) -> str:
        name = free_name(self.context, wanted, self._taken)
        self._taken[name] = None
        return name

    def _unneeded(self) -> list[str]:
        kept = {text.rpartition(":")[0] or text for text in self.context.outputs}
        kept |= {n.name for n in self.graph if n.op in PLACEHOLDERS} | set(self.found)
        reads = {
            name: (*(part.source.node for part in parts), *self.graph[name].control)
            for name, parts in self.found.items()
        }
        return unneeded(self.graph, (), reads, kept)

    def _placed(self, node: Node, name: str, part: PluginOutput) -> list[Add]:
        source = self._after(part.source)
        if not part.channels_first:
            return [
                Add(
                    Node(name, part.op, (source,), node.control, dict(part.fields)),
                    node.name,
                    self.context.span,
                )
            ]
        first, plugin = self._name(f"{name}/channels_first"), self._name(f"{name}/plugin")
        adds = self._transpose(first, source, FIRST, node)
        adds.append(
            Add(Node(plugin, part.op, (Ref(first),), (), dict(part.fields)), node.name, self.context.span)
        )
        return adds + self._transpose(name, Ref(plugin), LAST, node, node.control)

    def _transpose(
        self, name: str, source: Ref, order: tuple[int, ...], node: Node, control: Sequence[str] = ()
    ) -> list[Add]:
        types = {"T": DType.FLOAT32, "Tperm": DType.INT32}
        new = NodeSpec(name, "Transpose", types, operands=(("perm", list(order)),))
        adds = place(self.context, new, [source], taken=self._taken, before=node.name, control=control)
        self._taken.update(dict.fromkeys(add.node.name for add in adds))
        return adds
