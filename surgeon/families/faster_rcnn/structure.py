"""The parts of a detector of two stages, found by walking back from what suppresses and what cuts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from surgeon.diagnostics import SurgeonError
from surgeon.display import plural
from surgeon.families.finding import Finding
from surgeon.families.parts.heads import CONVOLUTIONS
from surgeon.families.parts.picture import PictureFindings
from surgeon.families.parts.preprocessing import first_convolution
from surgeon.families.parts.scaling import behind_scaling, scaling_at
from surgeon.families.parts.suppression import Boxes, before_clip, boxes_of, suppressions
from surgeon.families.parts.walk import source, trail
from surgeon.graph import Graph, Node, Ref

_SPLITS = ("Split", "SplitV", "Unpack", "StridedSlice", "Slice")

_ENTRIES = ("TensorArrayScatter", "TensorListFromTensor")
_EXITS = ("TensorArrayGather", "TensorListStack")


@dataclass(frozen=True)
class Regions:
    """An operation that cuts regions out of a feature map: the map, float32[N, H, W, C], and the boxes.

    ``boxes`` is float32[N * K, 4], ymin, xmin, ymax, xmax relative to the network's input.
    """

    node: str
    features: Ref
    boxes: Ref


@dataclass(frozen=True)
class Proposals:
    """The boxes that the first stage gives, float32[N, K, 4], as they pass from loop to loop.

    ``kept`` is what suppression leaves, ``relative`` the same relative to the network's input, and ``pixels``
    the same again in pixels, against which the second stage decodes its boxes.
    """

    kept: Ref
    relative: Ref
    pixels: Ref


class Structure(PictureFindings):
    """What suppresses, what cuts regions, and the tensors between the stages."""

    @cached_property
    def _cuts(self) -> tuple[Node, ...]:
        """What cuts regions for the second stage, in graph order."""
        cuts = [node for node in self.graph if node.op == "CropAndResize"]
        if not cuts:
            return ()
        behind = self.graph.ancestors(node.name for node in suppressions(self.graph))
        return tuple(node for node in cuts if node.name in behind)

    @cached_property
    def suppressions(self) -> Finding[tuple[str, ...]]:
        """Names of the operations that suppress boxes of the second stage, one a class."""
        return self._named(self._stages[1], "second")

    @cached_property
    def first_suppressions(self) -> Finding[tuple[str, ...]]:
        """Name of the operation that suppresses boxes of the first stage."""
        return self._named(self._stages[0], "first")

    def _named(self, nodes: tuple[Node, ...], stage: str) -> Finding[tuple[str, ...]]:
        if not nodes:
            raise self._no_detector(f"no operation suppresses boxes of a {stage} stage")
        shown = f"{stage} stage: {len(nodes)} {nodes[0].op}, such as '{nodes[0].name}'"
        return Finding(tuple(node.name for node in nodes), (shown,))

    @cached_property
    def _stages(self) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
        """What suppresses boxes in front of the cuts, and what does so behind them."""
        first: list[Node] = []
        second: list[Node] = []
        behind = self.graph.ancestors(node.name for node in self._cuts)
        for node in suppressions(self.graph) if self._cuts else ():
            (first if node.name in behind else second).append(node)
        return tuple(first), tuple(second)

    @property
    def _first(self) -> tuple[Node, ...]:
        return tuple(self.graph[name] for name in self.first_suppressions.value)

    @property
    def _second(self) -> tuple[Node, ...]:
        return tuple(self.graph[name] for name in self.suppressions.value)

    @cached_property
    def first_boxes(self) -> Boxes:
        """The boxes of the first stage as they go into suppression, float32[N, P, 1, 4] in pixels."""
        return boxes_of(self.graph, self._first[0], behind_scaling)

    @cached_property
    def second_boxes(self) -> Boxes:
        """The boxes of the second stage as they go into suppression, float32[N, K, L, 4] in pixels.

        L is the number of classes, or 1 where they share a box.
        """
        return boxes_of(self.graph, self._second[0], behind_scaling)

    @cached_property
    def first_scores(self) -> Ref:
        """The scores of the first stage as they go into suppression, float32[N, P, 1]."""
        return self._entry(self._first[0])

    @cached_property
    def second_scores(self) -> Ref:
        """The scores of the second stage as they go into suppression, float32[N, K, C]."""
        return self._entry(self._second[0])

    def _entry(self, node: Node) -> Ref:
        """Return the scores of a batch, of which a loop takes one picture's at a time."""
        steps = list(trail(self.graph, node.inputs[1]))
        ops = [self.graph[ref.node].op for ref in steps]
        entered = [place for place, op in enumerate(ops[:-1]) if op.startswith(_ENTRIES)]
        if not entered:
            entered = [place for place, op in enumerate(ops[:-1]) if op == "Unpack"]
        if not entered:
            raise self._no_detector(
                f"the scores of '{node.name}' are not taken from those of a batch", [f"it is {node.op}"]
            )
        return steps[entered[-1] + 1]

    @cached_property
    def regions(self) -> Finding[tuple[Regions, ...]]:
        """What cuts regions out of feature maps, in graph order: one cut, or the bins of R-FCN."""
        found = tuple(Regions(node.name, node.inputs[0], node.inputs[1]) for node in self._cuts)
        if not found:
            raise self._no_detector("nothing cuts regions out of feature maps (CropAndResize)")
        return Finding(
            found,
            (f"{plural(len(found), 'CropAndResize', 'CropAndResize')}, such as '{found[0].node}'",),
        )

    @cached_property
    def position_sensitive(self) -> bool:
        """Whether each bin of a region has a feature map of its own, as in R-FCN."""
        cuts = self.regions.value
        if len(cuts) == 1:
            return False
        maps = {
            source.node
            for cut in cuts
            for source in (next(self._behind_split(cut.features), None),)
            if source is not None
        }
        whole = all(next(self._behind_split(cut.features), None) is not None for cut in cuts)
        return whole and len(maps) <= 2

    def _behind_split(self, ref: Ref) -> Iterator[Ref]:
        """Yield the tensor of which a piece is taken."""
        for at in trail(self.graph, ref):
            node = self.graph[at.node]
            if node.op in _SPLITS:
                yield node.inputs[1 if node.op == "Split" else 0]

    @cached_property
    def proposals(self) -> Finding[Proposals]:
        """The boxes that the first stage gives, between the loops."""
        first_cut = self.regions.value[0]
        exits = [ref for ref in self._unscaled(first_cut.boxes) if self.leaves_loop(ref)]
        if self.position_sensitive:
            exits = self._exits_behind_bins(first_cut.boxes)
        if not exits:
            raise self._no_detector(
                f"the regions of '{first_cut.node}' do not come from a suppression of a batch",
                [f"it cuts '{first_cut.boxes}' ({self.graph[first_cut.boxes.node].op})"],
            )
        relative, kept = exits[0], exits[-1]
        if self._first[0].name not in self.graph.ancestors([kept.node]):
            raise self._no_detector(f"'{kept}' does not come from the suppression of the first stage")
        scalings = [scaling_at(self.graph, ref) for ref in self._unscaled(relative)]
        if [each.to for each in scalings if each is not None] != ["relative"]:
            raise self._no_detector(
                f"'{relative}' is not '{kept}', in pixels, divided once by the input's size"
            )
        pixels = self._pixels(relative)
        return Finding(
            Proposals(kept, relative, pixels),
            (
                f"'{kept}' holds what the first stage keeps",
                f"'{first_cut.node}' cuts at '{relative}'",
                f"the second stage decodes its boxes against '{pixels}'",
            ),
        )

    def _unscaled(self, ref: Ref) -> Iterator[Ref]:
        """Yield the tensors that hold the same boxes, at any scale, on the way back."""

        def back(graph: Graph, ref: Ref) -> Ref | None:
            return before_clip(graph, graph[ref.node]) or behind_scaling(graph, ref)

        return trail(self.graph, ref, back)

    def leaves_loop(self, ref: Ref) -> bool:
        """Return whether a tensor holds what a loop over pictures leaves."""
        node = self.graph[ref.node]
        return node.op.startswith(_EXITS) or (node.op == "Pack" and len(node.inputs) == 1)

    def _exits_behind_bins(self, boxes: Ref) -> list[Ref]:
        """Return what loops leave on the way back from the box of one bin."""
        needed = self.graph.ancestors([boxes.node])
        for node in reversed(list(self.graph)):
            if node.name not in needed or not self.leaves_loop(Ref(node.name)):
                continue
            exits = [ref for ref in self._unscaled(Ref(node.name)) if self.leaves_loop(ref)]
            kept = self.graph.ancestors([exits[-1].node]) if exits else set()
            if len(exits) > 1 and self._first[0].name in kept:
                return exits
        return []

    def _pixels(self, relative: Ref) -> Ref:
        """Return the relative proposals in pixels again, as the second stage decodes boxes against them."""
        behind = self.graph.ancestors([self.second_boxes.decoded.node])
        for node in self.graph:
            ref = Ref(node.name)
            if node.name not in behind or ref == relative or not self.leaves_loop(ref):
                continue
            passed = list(self._unscaled(ref))
            if relative not in passed:
                continue
            scalings = [scaling_at(self.graph, at) for at in passed[: passed.index(relative)]]
            if [each.to for each in scalings if each is not None] == ["pixels"]:
                return ref
        raise self._no_detector(f"the second stage does not decode its boxes against '{relative}' in pixels")

    @cached_property
    def _first_convolution(self) -> Node:
        at = source(self.graph, self.regions.value[0].features)
        start = self._nearest_convolution(at)
        if start is None:
            raise self._no_detector(f"no convolution gives the feature map '{at}'")
        return first_convolution(self.graph, self._varying, start)

    def _nearest_convolution(self, ref: Ref) -> Node | None:
        """Return a convolution on the way back from a feature map."""
        seen: set[str] = set()
        waiting = [ref.node]
        while waiting:
            name = waiting.pop()
            node = self.graph[name]
            if node.op in CONVOLUTIONS - {"MatMul"}:
                return node
            if name not in seen and name in self._varying:
                seen.add(name)
                waiting += [each.node for each in reversed(node.inputs)]
        return None

    def _is_in_loop(self, ref: Ref) -> bool:
        """Return whether a feature map is taken out of a batch by a loop."""
        return any(
            self.graph[at.node].op.startswith(("TensorArrayRead", "TensorListGetItem"))
            for at in trail(self.graph, ref)
        )

    def check_structure(self) -> None:
        """Raise SurgeonError D112 where the parts of two stages are not found."""
        regions = self.regions
        first, second = self.first_suppressions, self.suppressions
        evidence = (*regions.evidence, *first.evidence, *second.evidence)
        if len(first.value) != 1:
            raise self._no_detector("the first stage suppresses boxes of several classes", evidence)
        looped = next((cut for cut in regions.value if self._is_in_loop(cut.features)), None)
        if looped is not None:
            raise self._no_detector(
                f"'{looped.node}' cuts regions inside a loop over pictures, as R-FCN exports from 2019 on do",
                evidence,
            )
        if len(regions.value) > 1 and not self.position_sensitive:
            raise self._no_detector(f"it cuts regions {len(regions.value)} times, of several maps", evidence)
        try:
            found = (self.proposals, self.first_scores, self.second_scores)
        except SurgeonError as exc:
            problem = exc.diagnostics[0]
            raise self._no_detector(problem.message, (*problem.notes, *evidence)) from None
        assert found

    def _no_detector(self, reason: str, notes: Iterable[str] = ()) -> SurgeonError:
        start = "the graph is not recognised as a detector of two stages: "
        reason = reason.removeprefix(start)
        return self.fail("D112", f"{start}{reason}", notes, ["write the recipe by hand: docs/recipes.md"])
