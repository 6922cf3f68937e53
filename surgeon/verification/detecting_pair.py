"""What detects in either graph: a family's original, or what the recipe adds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from surgeon.catalog.detections import masks_among, part_of_masks, without_masks
from surgeon.diagnostics import error
from surgeon.families import DerivationContext, Family, nearest_family, recognise_detector
from surgeon.families.fields import FieldReview, review_fields
from surgeon.families.parts.suppression import suppressions
from surgeon.graph import DType, Graph, Node, Ref, TensorValue
from surgeon.graph.op_sets import CONSTANTS, PASSED_OVER, PLACEHOLDERS, WITHOUT_OUTPUT
from surgeon.infer import infer
from surgeon.targets import load_target
from surgeon.verification.correspondence import Replacement
from surgeon.verification.paired_graphs import PairedGraphs
from surgeon.verification.regions import Region


class DetectingPair(PairedGraphs):
    """Two graphs, with what detects in each of them.

    Raise SurgeonError as :class:`PairedGraphs`, and what the derivations raise where a plugin gives
    detections and the original's cannot be found.
    """

    @cached_property
    def family(self) -> Family | None:
        """What the original says of itself, where the rewritten graph gives detections and it does, too."""
        if self.plugin is None or self.added is not None:
            return None
        open_inputs = [origin for origin in self.inputs.values() if self._is_open(origin)]
        if not open_inputs:
            return nearest_family(self.fixed_graph)
        specs = {str(origin): self.spec(origin) for origin in open_inputs}
        return nearest_family(self.fixed_graph, infer(self.fixed_graph, specs))

    def _is_open(self, ref: Ref) -> bool:
        """Return whether a tensor is a placeholder of which sizes besides the batch are not known."""
        dims = self.inference.spec(ref).shape.dims
        return self.graph[ref.node].op in PLACEHOLDERS and (dims is None or None in dims[1:])

    @cached_property
    def fixed_graph(self) -> Graph:
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

    @property
    def _original_detects(self) -> bool:
        """True where the original itself suppresses boxes, recognised or not."""
        found = recognise_detector(self.fixed_graph)
        return found.suppresses if isinstance(found, Family) else bool(suppressions(self.graph))

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
    def added(self) -> Region | None:
        """What gives detections, with the nodes between it and tensors that the original has, where the
        recipe adds them; None where the original detects by itself.

        Its ``outputs``, which nothing in the original stands for, map to themselves. Raise SurgeonError V109
        where a part of the detections is a tensor of the original.
        """
        if self.plugin is None or self._original_detects:
            return None
        outputs = {part: Ref.parse(name) for part, name in self.runner.info.detections.items()}
        fed, inside = self.regions.walk_back([self.plugin.name, *(ref.node for ref in outputs.values())])
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

    @cached_property
    def fields(self) -> FieldReview:
        """The plugins' fields held against what the graph says, which says nothing of what is added."""
        if self.added is not None:
            return FieldReview((), frozenset())
        most_rows = load_target(self.target).most_rows if self.target else None
        context = DerivationContext(self.recipe, self.fixed_graph, self.catalog, most_rows)
        makers = self.decoding.makers if self.decoding is not None else ()
        return review_fields(context, (*self.runner.references, *makers))

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
    def replaced(self) -> tuple[Region, ...]:
        """The replacements that are neither inputs, nor anchors, nor what gives detections, each with what it
        reads.
        """
        apart = {replaced.node.name for replaced in self.anchor_makers}
        if self.plugin is not None:
            apart.add(self.plugin.name)
        return tuple(
            self.regions.around(r)
            for r in self.match.replacements
            if r.node.name not in apart and r.node.op not in PLACEHOLDERS
        )
