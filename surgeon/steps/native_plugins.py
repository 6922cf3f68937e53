"""The step ``native-plugins``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from surgeon.graph import Add, AttrValue, Drop, DType, Edit, Node, Ref, Rewire, SetOutputs
from surgeon.graph.op_sets import IDENTITIES, PLACEHOLDERS
from surgeon.steps.frames import conditional
from surgeon.steps.placing import free_name, place
from surgeon.steps.removal import unneeded
from surgeon.steps.selector import Selection, select
from surgeon.steps.step import NodeSpec, Step, StepContext

FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)
"""Permutations of a picture that put its channels first, and last."""

_SPATIAL = frozenset(
    {
        "Conv2D",
        "DepthwiseConv2dNative",
        "MaxPool",
        "AvgPool",
        "MaxPoolV2",
        "FusedBatchNorm",
        "FusedBatchNormV2",
        "FusedBatchNormV3",
        "LRN",
        "DepthToSpace",
        "SpaceToDepth",
        "ResizeBilinear",
        "ResizeNearestNeighbor",
    }
)
"""Operations whose result is a picture, its layout told by ``data_format``."""

_KEEPS_LAYOUT = IDENTITIES | frozenset(
    {
        "Abs",
        "Add",
        "AddN",
        "AddV2",
        "BiasAdd",
        "Cast",
        "ConcatV2",
        "Elu",
        "Exp",
        "LeakyRelu",
        "Maximum",
        "Minimum",
        "MirrorPad",
        "Mul",
        "Neg",
        "Pad",
        "PadV2",
        "RealDiv",
        "Relu",
        "Relu6",
        "Rsqrt",
        "Selu",
        "Sigmoid",
        "Slice",
        "Softplus",
        "Split",
        "SplitV",
        "Sqrt",
        "Square",
        "StridedSlice",
        "Sub",
        "Tanh",
        "Tile",
        "Clip_TRT",
        "CustomClipPlugin",
        "LReLU_TRT",
        "SurgeonActivation",
    }
)
"""Operations whose result is laid out as what they read."""

Op = Literal["ResizeBilinear", "Split", "SplitV", "Slice", "StridedSlice", "Tile", "LeakyRelu", "HardSwish"]
_ALL: tuple[Op, ...] = (
    "ResizeBilinear",
    "Split",
    "SplitV",
    "Slice",
    "StridedSlice",
    "Tile",
    "LeakyRelu",
    "HardSwish",
)

_LEAKY_RELU, _HARD_SWISH = 0, 1
"""Values of SurgeonActivation's 'type'."""


class _Unsuited(Exception):
    """A node cannot become a plugin node; the message ends a sentence that begins with the node."""


@dataclass(frozen=True)
class _Part:
    """What stands for one output.

    A plugin node, between Transposes where it is to see a picture channels first.
    """

    op: str
    fields: Mapping[str, AttrValue]
    source: Ref
    channels_first: bool = False


class NativePlugins(Step):
    """Turn operations that UFF lacks into nodes of the native library's plugins.

    ResizeBilinear becomes SurgeonResizeBilinear; each output of Split and SplitV, and a Slice or StridedSlice
    that cuts one axis after the batch, SurgeonSlice; Tile SurgeonTile; LeakyRelu, and HardSwish (x * relu6(x
    + 3) / 6, whichever way it is multiplied), SurgeonActivation. A node keeps its name. Where a picture's
    axes matter it stands between two Transposes, since the plugin sees channels first; the UFF exporter
    leaves such a pair out.

    Sizes and axes must be constant. A node that cannot be turned stays, with a remark, or is refused where
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
    ops: tuple[Op, ...] = Field(_ALL, description="Only these operations.", min_length=1)
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

    def _found(self, context: StepContext, names: Sequence[str]) -> dict[str, tuple[_Part, ...]]:
        """Return the nodes to turn, each with what stands for its outputs; raise SurgeonError S411, S412."""
        explicit = {item: i for i, item in enumerate(self.nodes or ()) if isinstance(item, str)}
        reading = _Reading(context)
        found: dict[str, tuple[_Part, ...]] = {}
        left: dict[tuple[str, str], list[str]] = {}
        for name in names:
            node = context.graph[name]
            at = ("nodes", explicit[name]) if name in explicit else ()
            op = reading.op_of(node)
            if op not in self.ops:
                if at:
                    raise context.fail(
                        "S411",
                        f"'{name}' ({node.op}) has no native plugin; expected one of {', '.join(self.ops)}",
                        *at,
                        help=["name another node, or add its operation to 'ops'"],
                    )
                continue
            if not at and not reading.counts(node):
                continue
            try:
                found[name] = reading.parts(op, node)
            except _Unsuited as exc:
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
            context.remark("S413", f"{first} ({op}) cannot become a plugin node; {reason}")
        return found


class _Rewriting:
    """The edits that put plugin nodes in the place of nodes."""

    def __init__(self, context: StepContext, found: Mapping[str, Sequence[_Part]]) -> None:
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

    def _placed(self, node: Node, name: str, part: _Part) -> list[Add]:
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


class _Reading:
    """What nodes compute, as far as the native plugins can."""

    def __init__(self, context: StepContext) -> None:
        self.context, self.graph, self.inference = context, context.graph, context.inference
        self._layouts: dict[str, bool | None] = {}

    def op_of(self, node: Node) -> str:
        """Return the operation as the step's ``ops`` names it."""
        return "HardSwish" if node.op in ("Mul", "RealDiv") and self._swished(node) is not None else node.op

    def counts(self, node: Node) -> bool:
        """Return whether a node computes numbers of a network.

        Float32 of 2 axes at least, depending on an input.
        """
        spec = self.inference.spec(Ref(node.name))
        rank = spec.shape.rank
        return (
            spec.dtype in (DType.FLOAT32, None)
            and (rank is None or rank > 1)
            and self.inference.value(Ref(node.name)) is None
        )

    def parts(self, op: str, node: Node) -> tuple[_Part, ...]:
        """Return what stands for each output of a node; raise _Unsuited."""
        if node.name in self._conditional:
            raise _Unsuited("it runs in a loop or in a branch; expected one that always runs once")
        higher = [
            text
            for text in self.context.outputs
            if text.startswith(f"{node.name}:") and text != f"{node.name}:0"
        ]
        if higher:
            raise _Unsuited(f"the recipe declares its output '{higher[0]}'; expected outputs of one number")
        data = _DATA_INPUT.get(op, 0)
        if len(node.inputs) <= data:
            raise _Unsuited(f"it has {len(node.inputs)} inputs; expected {data + 1} at least")
        dtype = self.inference.spec(Ref(node.name)).dtype
        if dtype is not DType.FLOAT32:
            raise _Unsuited(f"its element type is {dtype or 'not known'}; expected float32")
        return _CONVERSIONS[op](self, node)

    def dims(self, ref: Ref) -> tuple[int | None, ...]:
        """Return the lengths of a tensor's axes; raise _Unsuited where it does not have 2 to 4."""
        dims = self.inference.spec(ref).shape.dims
        if dims is None or not 2 <= len(dims) <= 4:
            raise _Unsuited(
                f"its input has {'an unknown number of' if dims is None else len(dims)} axes; expected 2 to 4"
            )
        return dims

    def ints(self, node: Node, position: int, what: str) -> list[int]:
        """Return the whole numbers of a constant operand; raise _Unsuited where it is none."""
        value = self.inference.value(node.inputs[position]) if position < len(node.inputs) else None
        if value is None or value.dtype.kind not in "iu" or value.size > 64:
            raise _Unsuited(f"its {what} is not constant; expected whole numbers")
        return [int(v) for v in value.ravel()]

    def is_channels_last(self, ref: Ref) -> bool:
        """Return whether a tensor is a picture with its channels last.

        Raise _Unsuited where the graph does not tell.
        """
        if len(self.dims(ref)) < 4:
            return False
        found = self._layout(ref.node)
        if found is None:
            raise _Unsuited(
                "the graph does not tell whether its input is a picture; expected a convolution, a reshape "
                "or another operation that does before it"
            )
        return found

    def cut(self, source: Ref, axis: int, begin: int, size: int) -> _Part:
        """Return a slice of an axis that is not the batch; ``axis`` as TensorFlow counts."""
        picture = self.is_channels_last(source)
        at = FIRST.index(axis) if picture else axis
        return _Part("SurgeonSlice", {"axis": at, "begin": begin, "size": size}, source, picture)

    def hard_swish(self, node: Node) -> Ref:
        """Return the tensor that a node computes HardSwish of."""
        found = self._swished(node)
        assert found is not None
        return found

    @cached_property
    def _conditional(self) -> set[str]:
        return conditional(self.graph)

    def _layout(self, start: str) -> bool | None:
        """Return whether a node's 4 axes are a picture's with channels last; None where nothing tells."""
        waiting, seen = [start], {start: None}
        told: bool | None = None
        while waiting and told is None:
            name = waiting.pop()
            node = self.graph[name]
            told = self._layouts[name] if name in self._layouts else self._tells(node)
            if name in self._layouts or node.op not in _KEEPS_LAYOUT:
                break
            fresh = [
                ref.node
                for ref in node.inputs
                if ref.node not in seen and self.inference.spec(ref).shape.rank == 4
            ]
            seen.update(dict.fromkeys(fresh))
            waiting += fresh[::-1]
        self._layouts.update(dict.fromkeys(seen, told))
        return told

    def _tells(self, node: Node) -> bool | None:
        if node.op in _SPATIAL or (node.op == "BiasAdd" and "data_format" in node.attrs):
            return node.attrs.get("data_format", b"NHWC") == b"NHWC"
        if node.op in PLACEHOLDERS:
            return not self._has_channels_first
        if node.op == "Transpose" and len(node.inputs) == 2:
            order = self.inference.value(node.inputs[1])
            return order is not None and tuple(order.ravel().tolist()) == LAST
        return (
            False if node.op in ("Reshape", "ExpandDims", "Squeeze", "Pack", "Gather", "GatherV2") else None
        )

    @cached_property
    def _has_channels_first(self) -> bool:
        return any(node.attrs.get("data_format") == b"NCHW" for node in self.graph)

    def _swished(self, node: Node) -> Ref | None:
        """Return x of a product of x, relu6(x + 3) and 1/6, in any order."""
        for bounded in self._factors(node)[0]:
            relu = self.graph[bounded.node]
            for x in (
                self._three_less(self._behind(relu.inputs[0])) if relu.op == "Relu6" and relu.inputs else ()
            ):
                factors, scale = self._factors(node, x)
                if sorted(factors) == sorted((x, bounded)) and math.isclose(scale, 1 / 6, rel_tol=1e-6):
                    return x
        return None

    def _three_less(self, ref: Ref) -> list[Ref]:
        """Return x of x + 3."""
        node = self.graph[ref.node]
        if node.op not in ("Add", "AddV2") or len(node.inputs) != 2:
            return []
        a, b = map(self._behind, node.inputs)
        return [x for x, number in ((a, b), (b, a)) if self._scalar(number) == 3]

    def _factors(self, node: Node, whole: Ref | None = None) -> tuple[list[Ref], float]:
        """Return the tensors that a node multiplies, and the product of the numbers among them.

        Products before it, up to two deep, are taken apart, but not the tensor ``whole``.
        """
        factors: list[Ref] = []
        scale = 1.0
        waiting = [(Ref(node.name), 0)]
        while waiting:
            ref, depth = waiting.pop()
            ref = self._behind(ref)
            at, number = self.graph[ref.node], self._scalar(ref)
            apart = depth < 2 and ref != whole and len(at.inputs) == 2
            if number is not None:
                scale *= number
            elif apart and at.op == "Mul":
                waiting += [(source, depth + 1) for source in at.inputs]
            elif apart and at.op == "RealDiv" and (divisor := self._scalar(at.inputs[1])):
                scale /= divisor
                waiting.append((at.inputs[0], depth + 1))
            else:
                factors.append(ref)
        return factors, scale

    def _scalar(self, ref: Ref) -> float | None:
        spec = self.inference.spec(ref)
        if spec.dtype is not DType.FLOAT32 or spec.shape.size != 1:
            return None
        value = self.inference.value(ref)
        return None if value is None or value.size != 1 else float(value.ravel()[0])

    def _behind(self, ref: Ref) -> Ref:
        for _ in range(len(self.graph)):
            node = self.graph[ref.node]
            if node.op not in IDENTITIES or ref.slot or len(node.inputs) != 1:
                break
            ref = node.inputs[0]
        return ref


def _resized(at: _Reading, node: Node) -> tuple[_Part, ...]:
    source = node.inputs[0]
    if at.inference.spec(source).dtype is not DType.FLOAT32:
        raise _Unsuited(f"its input is {at.inference.spec(source)}; expected float32")
    size = at.ints(node, 1, "size")
    if len(size) != 2 or not all(0 < length <= 1 << 24 for length in size):
        raise _Unsuited(f"its size is {size}; expected a height and a width of 1 at least")
    modes = {"alignCorners": "align_corners", "halfPixelCenters": "half_pixel_centers"}
    fields = {field: int(node.attrs.get(key) is True) for field, key in modes.items()}
    if all(fields.values()):
        raise _Unsuited("both 'align_corners' and 'half_pixel_centers' are set; expected one of them at most")
    return (_Part("SurgeonResizeBilinear", {"height": size[0], "width": size[1], **fields}, source, True),)


def _split(at: _Reading, node: Node) -> tuple[_Part, ...]:
    source, count = node.inputs[1], node.attrs.get("num_split")
    axis, length = _cut_axis(at, source, at.ints(node, 0, "axis"))
    if not isinstance(count, int) or count < 1 or length % count:
        raise _Unsuited(f"its axis has {length} places; expected a multiple of 'num_split'")
    size = length // count
    return tuple(at.cut(source, axis, i * size, size) for i in range(count))


def _split_by_sizes(at: _Reading, node: Node) -> tuple[_Part, ...]:
    source, sizes = node.inputs[0], at.ints(node, 1, "list of sizes")
    axis, length = _cut_axis(at, source, at.ints(node, 2, "axis"))
    rest = length - sum(size for size in sizes if size != -1)
    sizes = [rest if size == -1 else size for size in sizes]
    if min(sizes, default=0) < 1 or sum(sizes) != length:
        raise _Unsuited(
            f"its sizes {sizes} do not divide the axis of {length} places; expected sizes of 1 at least"
        )
    begins = np.cumsum([0, *sizes[:-1]]).tolist()
    return tuple(at.cut(source, axis, begin, size) for begin, size in zip(begins, sizes, strict=True))


def _cut_axis(at: _Reading, source: Ref, told: Sequence[int]) -> tuple[int, int]:
    """Return an axis counted from the front, and its length.

    Raise _Unsuited for the batch or an unknown length.
    """
    dims = at.dims(source)
    if len(told) != 1:
        raise _Unsuited(f"its axis has {len(told)} numbers; expected one")
    axis = told[0] + (len(dims) if told[0] < 0 else 0)
    if not 0 < axis < len(dims):
        raise _Unsuited(f"it cuts axis {axis}; expected one after the batch, 1 to {len(dims) - 1}")
    length = dims[axis]
    if length is None:
        raise _Unsuited(f"the length of its axis {axis} is not known; expected a known one")
    return axis, length


def _sliced(at: _Reading, node: Node) -> tuple[_Part, ...]:
    source = node.inputs[0]
    dims, begin, size = at.dims(source), at.ints(node, 1, "begin"), at.ints(node, 2, "size")
    if not len(begin) == len(size) == len(dims):
        raise _Unsuited(
            f"its begin and size have {len(begin)} and {len(size)} entries; expected {len(dims)}, one for "
            "each axis"
        )
    ranges: list[tuple[int, int] | None] = []
    for start, count, length in zip(begin, size, dims, strict=True):
        whole = start == 0 and count in (-1, length)
        if not whole and count == -1 and length is None:
            raise _Unsuited("the length of the axis that it cuts is not known; expected a known one")
        ranges.append(None if whole else (start, (length or 0) - start if count == -1 else count))
    return (_one_axis(at, source, ranges),)


def _strided(at: _Reading, node: Node) -> tuple[_Part, ...]:
    source = node.inputs[0]
    masks = {key: int(mask) if isinstance(mask := node.attrs.get(key, 0), int) else 0 for key in _MASKS}
    if any(masks[key] for key in _MASKS[2:]):
        raise _Unsuited("it takes an axis out, puts one in or has an ellipsis; expected a cut of one axis")
    dims = at.dims(source)
    begin, end, strides = (
        at.ints(node, i, what) for i, what in ((1, "begin"), (2, "end"), (3, "list of strides"))
    )
    if not len(begin) == len(end) == len(strides) <= len(dims):
        raise _Unsuited(
            f"it has {len(begin)} entries for {len(dims)} axes; expected one for each axis at most"
        )
    if any(stride != 1 for stride in strides):
        raise _Unsuited(f"its strides are {strides}; expected 1")
    ranges: list[tuple[int, int] | None] = [None] * len(dims)
    for axis, (start, stop) in enumerate(zip(begin, end, strict=True)):
        first = None if masks["begin_mask"] >> axis & 1 else start
        last = None if masks["end_mask"] >> axis & 1 else stop
        length = dims[axis]
        if first in (None, 0) and last is None:
            continue
        if length is None:
            raise _Unsuited(
                f"the length of its axis {axis} is not known; expected a known one where it is cut"
            )
        low, high, _ = slice(first, last).indices(length)
        ranges[axis] = None if (low, high) == (0, length) else (low, high - low)
    return (_one_axis(at, source, ranges),)


def _one_axis(at: _Reading, source: Ref, ranges: Sequence[tuple[int, int] | None]) -> _Part:
    """Return the slice of the one axis that has a range.

    Raise _Unsuited where none or several have, or it is empty.
    """
    cut = [axis for axis, found in enumerate(ranges) if found is not None]
    if len(cut) != 1 or cut == [0]:
        shown = f"axes {', '.join(map(str, cut))}" if len(cut) > 1 else "the batch" if cut else "nothing"
        raise _Unsuited(f"it cuts {shown}; expected one axis after the batch")
    begin, size = ranges[cut[0]] or (0, 0)
    length = at.dims(source)[cut[0]]
    if begin < 0 or size < 1 or (length is not None and begin + size > length):
        raise _Unsuited(
            f"it takes {size} places from {begin} on of an axis of {length}; expected 1 at least, within the "
            "axis"
        )
    return at.cut(source, cut[0], begin, size)


def _tiled(at: _Reading, node: Node) -> tuple[_Part, ...]:
    source = node.inputs[0]
    dims, times = at.dims(source), at.ints(node, 1, "list of multiples")
    if len(times) != len(dims) or times[0] != 1 or min(times) < 1:
        raise _Unsuited(f"its multiples are {times}; expected {len(dims)} of 1 at least, and 1 for the batch")
    picture = at.is_channels_last(source)
    repeats = tuple(times[axis] for axis in (FIRST if picture else range(len(dims))))[1:]
    return (_Part("SurgeonTile", {"repeats": repeats}, source, picture),)


def _leaky(at: _Reading, node: Node) -> tuple[_Part, ...]:
    alpha = node.attrs.get("alpha", 0.2)
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise _Unsuited("its 'alpha' is no finite number; expected one")
    return (_Part("SurgeonActivation", {"type": _LEAKY_RELU, "alpha": float(alpha)}, node.inputs[0]),)


def _hard_swish(at: _Reading, node: Node) -> tuple[_Part, ...]:
    return (_Part("SurgeonActivation", {"type": _HARD_SWISH}, at.hard_swish(node)),)


_MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
_DATA_INPUT = MappingProxyType({"Split": 1})
"""Position of the tensor among an operation's inputs, where it is not the first."""

_CONVERSIONS: Mapping[str, Callable[[_Reading, Node], tuple[_Part, ...]]] = MappingProxyType(
    {
        "ResizeBilinear": _resized,
        "Split": _split,
        "SplitV": _split_by_sizes,
        "Slice": _sliced,
        "StridedSlice": _strided,
        "Tile": _tiled,
        "LeakyRelu": _leaky,
        "HardSwish": _hard_swish,
    }
)
