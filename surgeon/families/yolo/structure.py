"""What a YOLO detector consists of: its input, its heads and the sizes of their maps."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

from surgeon.diagnostics import SurgeonError
from surgeon.display import plural
from surgeon.families.family import Family
from surgeon.families.finding import Finding
from surgeon.families.parts.preprocessing import first_convolution, network_input, pixels_behind
from surgeon.families.yolo.heads import (
    FIRST_CLASS,
    PER_CELL,
    CellHead,
    head_of,
    last_convolutions,
    strides_of,
)
from surgeon.graph import Node, Ref, Shape, TensorSpec
from surgeon.graph.op_sets import PLACEHOLDERS
from surgeon.graph.reach import varying
from surgeon.infer import Inference, infer
from surgeon.language import Image, ImageStep

USUAL_SIZE = 416
"""Height and width that a recipe gives an input whose size the graph leaves open."""

_UPSAMPLING = frozenset({"ResizeNearestNeighbor", "ResizeBilinear", "Conv2DBackpropInput"})
_OTHER_ACTIVATIONS = frozenset({"Elu", "Relu", "Relu6", "Selu", "Sigmoid", "Softplus", "Tanh"})
_ACTIVATIONS = (
    frozenset({"LeakyRelu"}),
    frozenset({"Maximum"}),
    frozenset({"Softplus", "Tanh"}),
    frozenset({"Sigmoid", "Mul"}),
)
"""Operations of leaky activations, of Mish and of SiLU."""

_CELLS = frozenset({8, 16, 32, 64})
"""Pixels that a cell covers."""

_LEAKY, _HALVED = 6, 5
"""Activations that tiny YOLO v2 has at least, and how often it halves its maps."""

_REORGANISING = frozenset({"SpaceToDepth", "ExtractImagePatches"})


def _halves(node: Node) -> bool:
    """Return whether an operation makes maps half as high and wide."""
    strides = node.attrs.get("strides")
    return strides in ((1, 2, 2, 1), (1, 1, 2, 2))


class CellStructure(Family):
    """The heads of a detector of cells, found by walking back from the outputs to the last convolutions."""

    @cached_property
    def declared(self) -> Inference:
        """Sizes and constants as the graph alone tells them."""
        return infer(self.graph)

    @cached_property
    def _unsized(self) -> Inference:
        return self._given or infer(self.graph)

    @cached_property
    def inference(self) -> Inference:
        """Sizes and constants, the input's size known and its batch 1."""
        ref = self.network_input.value
        dims = self._unsized.spec(ref).shape.dims
        if dims is not None and None not in dims:
            return self._unsized
        height, width = self._open_size(dims)
        channels = (dims[3] if dims is not None and len(dims) == 4 else None) or 3
        spec = TensorSpec(self._unsized.spec(ref).dtype, Shape((1, height, width, channels)))
        return infer(self.graph, {str(ref): spec})

    def _open_size(self, dims: tuple[int | None, ...] | None) -> tuple[int, int]:
        known = dims[1:3] if dims is not None and len(dims) == 4 else (None, None)
        return known[0] or USUAL_SIZE, known[1] or USUAL_SIZE

    @cached_property
    def _varying(self) -> set[str]:
        return varying(self.graph, (node.name for node in self.graph if node.op in PLACEHOLDERS))

    @cached_property
    def _unordered_heads(self) -> tuple[CellHead, ...]:
        """The heads in graph order, checked by the channels and kernels of their convolutions."""
        last = last_convolutions(self.graph, self._varying)
        found = [head_of(self.graph, self._unsized, conv) for conv in last]
        heads = [head for head in found if head is not None]
        if not heads or len(heads) != len(last):
            raise self._no_cells("its last convolutions are not all of size 1 x 1 with a bias")
        if len({head.channels for head in heads}) > 1:
            raise self._no_cells("its last convolutions differ in their channels")
        # Every head reads maps of its own.
        if len({head.conv.inputs[0] for head in heads}) < len(heads):
            raise self._no_cells("two of its last convolutions read one map")
        count = PER_CELL[len(heads) == 1]
        if heads[0].channels % count or heads[0].channels // count <= FIRST_CLASS:
            raise self._no_cells(
                f"a cell has {heads[0].channels} numbers; expected those of {count} boxes, each of more than "
                f"{FIRST_CLASS}"
            )
        self._check_maps(heads)
        return tuple(heads)

    def _check_maps(self, heads: list[CellHead]) -> None:
        """Raise SurgeonError where maps are not made as those of YOLO: the coarse ones enlarged and joined to
        finer ones, or, of one head alone, finer ones folded into it.
        """
        needed = self.graph.ancestors(head.conv.name for head in heads)
        operations = {self.graph[name].op for name in needed if name in self._varying}
        if len(heads) > 1 and not operations & _UPSAMPLING:
            raise self._no_cells("no map is enlarged for a finer head")
        joins = operations & {"Concat", "ConcatV2"}
        if len(heads) == 1 and not (operations & _REORGANISING and joins) and not self._is_tiny_v2(needed):
            raise self._no_cells(
                "it has one head, no finer map is folded into it, and its activations are not all leaky"
            )
        if len(heads) > 1 and not joins:
            raise self._no_cells("no maps are joined")

    def _is_tiny_v2(self, needed: Collection[str]) -> bool:
        """Return whether a network of one head has leaky activations alone, and cells of 32 pixels."""
        nodes = [self.graph[name] for name in needed if name in self._varying]
        leaky = sum(node.op in ("LeakyRelu", "Maximum") for node in nodes)
        halved = sum(_halves(node) for node in nodes)
        return (
            leaky >= _LEAKY and halved == _HALVED and not any(node.op in _OTHER_ACTIVATIONS for node in nodes)
        )

    @cached_property
    def network_input(self) -> Finding[Ref]:
        """The tensor that the first convolution reads, before any padding."""
        first = first_convolution(self.graph, self._varying, self._unordered_heads[0].conv)
        ref = network_input(self.graph, self._unsized, first)
        return Finding(ref, (f"'{first.name}' ({first.op}) is the first convolution",))

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of the network's input."""
        dims = self.inference.spec(self.network_input.value).shape.dims
        height, width = dims[1:3] if dims is not None and len(dims) == 4 else (None, None)
        if height is None or width is None:
            raise self.fail("D113", f"the size of '{self.network_input.value}' is not known")
        return height, width

    @cached_property
    def heads(self) -> Finding[tuple[CellHead, ...]]:
        """The heads, the one of the largest cells first."""
        heads = list(self._unordered_heads)
        strides = list(strides_of(heads, self.inference, self.size))
        if None in strides or len(set(strides)) < len(strides):
            raise self._no_cells(f"the cells of its heads cover {strides} pixels")
        found = sorted(zip(strides, heads, strict=True), key=lambda pair: -(pair[0] or 0))
        ordered = tuple(head for _, head in found)
        evidence = tuple(
            f"'{head.tensor}' is {self.inference.spec(head.tensor)}, a cell for {stride} pixels"
            for stride, head in found
        )
        return Finding(ordered, evidence)

    @cached_property
    def strides(self) -> Finding[tuple[int, ...]]:
        """Pixels of the network's input that a cell covers, head by head."""
        found = strides_of(list(self.heads.value), self.inference, self.size)
        return Finding(tuple(stride or 0 for stride in found), self.heads.evidence)

    @property
    def doubts(self) -> tuple[str, ...]:
        """What is unlike YOLO in a graph that ends with its heads: activations and cells."""
        needed = self.graph.ancestors(head.conv.name for head in self.heads.value)
        operations = {self.graph[name].op for name in needed if name in self._varying}
        found = []
        if not any(kind <= operations for kind in _ACTIVATIONS):
            found.append("none of its activations are leaky, Mish or SiLU")
        odd = [stride for stride in self.strides.value if stride not in _CELLS]
        if odd:
            found.append(f"cells of its heads cover {', '.join(map(str, odd))} pixels")
        return tuple(found)

    @cached_property
    def boxes_per_cell(self) -> Finding[int]:
        """Number of anchors of a head."""
        count = len(self.heads.value)
        return Finding(PER_CELL[count == 1], (f"the usual number for {plural(count, 'head')}",))

    @cached_property
    def classes(self) -> Finding[int]:
        """Number of classes; YOLO has no background."""
        head, boxes = self.heads.value[0], self.boxes_per_cell.value
        count = head.channels // boxes - FIRST_CLASS
        evidence = (
            f"'{head.conv.name}' has {head.channels} channels: {boxes} boxes of {FIRST_CLASS} + {count}"
        )
        return Finding(count, (evidence,))

    @cached_property
    def count(self) -> Finding[int]:
        """Number of boxes of a picture."""
        cells = 0
        for head in self.heads.value:
            dims = self.inference.spec(head.tensor).shape.dims or ()
            height, width = dims[2:] if head.channels_first else dims[1:3]
            cells += (height or 0) * (width or 0)
        return Finding(cells * self.boxes_per_cell.value, self.heads.evidence)

    @cached_property
    def picture(self) -> Finding[Ref]:
        """The tensor that is fed."""
        needed = self.graph.ancestors([self.network_input.value.node])
        found = [node for node in self.graph if node.op in PLACEHOLDERS and node.name in needed]
        if len(found) != 1:
            raise self.fail(
                "D113",
                f"'{self.network_input.value}' depends on {plural(len(found), 'input')}; expected one, the "
                "picture",
            )
        ref = Ref(found[0].name)
        return Finding(ref, (f"'{ref}' is {self._unsized.spec(ref)}",))

    @cached_property
    def image(self) -> Finding[Image]:
        """How a picture becomes the network's input.

        Nothing in a graph tells how a picture is fitted: as Darknet does, into the middle of gray. Where the
        graph computes nothing with pixels, they are divided by 255.
        """
        return self.image_at(self.network_input.value)

    def image_at(self, ref: Ref) -> Finding[Image]:
        """Return how a picture becomes a tensor of the graph; raise SurgeonError D115 for what has no name in
        a recipe.
        """
        pixels = pixels_behind(self.graph, self._unsized, ref)
        if pixels.problem or pixels.resize is not None or pixels.gray is not None:
            what = pixels.problem or "is resized in the graph"
            raise self.fail(
                "D115",
                f"how pixels become the network's input cannot be derived: '{pixels.at}' {what}",
                help=["write 'image:' in the recipe, or take it away: 'image: null'"],
            )
        steps = [ImageStep(**{kind: amount}) for kind, amount, _ in pixels.steps]
        shown = [f"'{name}' is {amount}: {kind}" for kind, amount, name in pixels.steps]
        if not steps:
            steps = [ImageStep.model_validate({"divide": 255.0})]
            shown = ["the graph computes nothing with pixels; YOLO reads shares of 255, as Darknet does"]
        values = {
            "size": self.size,
            "resize": "letterbox",
            "interpolation": "half-pixel-bilinear",
            "color": "BGR" if pixels.reversed is not None else "RGB",
            "steps": steps,
        }
        return Finding(Image.model_validate(values), (f"'{ref}' is {self.inference.spec(ref)}", *shown))

    def _no_cells(self, reason: str) -> SurgeonError:
        return self.fail("D112", f"the graph is not recognised as a YOLO detector: {reason}")
