"""Networks of any kind: what goes in, what comes out, and a recipe to start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from surgeon.diagnostics import SurgeonError
from surgeon.families.family import Draft, DraftOptions, Family, Refusal
from surgeon.families.finding import Finding
from surgeon.families.generic.inputs import NetworkInput, network_inputs
from surgeon.families.generic.outputs import (
    NetworkOutput,
    NetworkOutputs,
    network_outputs,
    without_random,
)
from surgeon.families.generic.task import task
from surgeon.families.postprocessing import Postprocessing
from surgeon.graph import Graph, Ref, apply_edits
from surgeon.graph.op_sets import RANDOM
from surgeon.graph.reach import downstream
from surgeon.infer import Inference, infer
from surgeon.infer.open_inputs import OpenInput
from surgeon.language import Image
from surgeon.steps.for_inference import ForInference
from surgeon.steps.step import StepContext


class GenericNetwork(Family):
    """A graph of which nothing is known but what goes in and what comes out.

    Every graph is a member that computes something. It tells no detections: those findings raise SurgeonError
    D107.
    """

    name = "generic"
    title = "network"
    detects = False

    @classmethod
    def match(cls, graph: Graph, inference: Inference | None = None) -> Family | Refusal:
        """Return a graph that has an output, else why it is of no use."""
        network = cls(graph, inference)
        if graph.output_refs and all(ref.node in graph for ref in graph.output_refs):
            return network
        reason = network.fail(
            "D146",
            "the graph computes nothing: no node reads another one and gives an output",
            help=["give the frozen graph of the whole model"],
        )
        return Refusal(network, reason)

    @cached_property
    def inference(self) -> Inference:
        """Element types and shapes of the graph's tensors."""
        return self._given or infer(self.graph)

    @cached_property
    def computed(self) -> NetworkOutputs:
        """The tensors to compute, and the ends of the graph that are none."""
        found = network_outputs(self.graph, self.inference)
        if self.graph.outputs or len(found.outputs) < 2:
            return found
        return without_random(found, self._random(found.outputs))

    @cached_property
    def random(self) -> set[Ref]:
        """The outputs that random numbers reach at inference, too: no two runs compute the same."""
        return self._random(self.computed.outputs)

    def _random(self, outputs: Sequence[NetworkOutput]) -> set[Ref]:
        """Return the tensors that random numbers reach at inference, too."""
        if not any(node.op in RANDOM for node in self.graph):
            return set()
        tensors = [each.tensor for each in outputs]
        context = StepContext(self.graph, outputs=tuple(map(str, tensors)))
        try:
            after = apply_edits(self.graph, ForInference.model_validate({}).plan(context))
        except SurgeonError:
            return set()
        reached = downstream(after, [node.name for node in after if node.op in RANDOM])
        return {ref for ref in tensors if ref.node in reached}

    @property
    def inputs(self) -> tuple[NetworkInput, ...]:
        """The arrays that the outputs are computed from, in graph order."""
        return self._opened[0]

    @property
    def scalars(self) -> tuple[OpenInput, ...]:
        """The single numbers that the outputs depend on, such as a probability to keep."""
        return self._opened[1]

    @cached_property
    def _opened(self) -> tuple[tuple[NetworkInput, ...], tuple[OpenInput, ...]]:
        outputs = [output.tensor for output in self.computed.outputs]
        return network_inputs(self.graph, self.inference, outputs)

    @cached_property
    def tasks(self) -> Mapping[NetworkOutput, Finding[str]]:
        """What the outputs show the network to be for; empty where they show nothing."""
        found = {each: task(self.graph, self.inference, each) for each in self.computed.outputs}
        return {output: finding for output, finding in found.items() if finding is not None}

    @property
    def kind(self) -> str:
        """The first task that an output shows, such as ``classifier of 10 classes``, else ``network``."""
        return next((finding.value for finding in self.tasks.values()), "network")

    def described(self) -> Mapping[str, str]:
        """Return what goes in, what comes out, which ends are left out, and what shows the network's task."""
        computed = self.computed
        left_out: dict[str, str] = {}
        for ref, reason in computed.left_out:
            left_out[reason] = f"{left_out[reason]}, {ref}" if reason in left_out else str(ref)
        rows = {
            "takes": ", ".join(self.says(each.tensor) for each in self.inputs),
            "is told": ", ".join(map(self.says_scalar, self.scalars)),
            "computes": ", ".join(self.says(each.tensor) for each in computed.outputs),
            "leaves out": "; ".join(f"{refs}: {reason}" for reason, refs in left_out.items()),
            "is": ", ".join(f"{each.value} ({'; '.join(each.evidence)})" for each in self.tasks.values()),
        }
        return {key: text for key, text in rows.items() if text}

    def says(self, ref: Ref) -> str:
        """Return a tensor with its operation, element type and shape."""
        return f"'{ref}' ({self.graph[ref.node].op}) {self.inference.spec(ref)}"

    def says_scalar(self, scalar: OpenInput) -> str:
        """Return a scalar with what it is for, and its number at inference."""
        text = f"{self.says(scalar.ref)}, {scalar.role.value}"
        return text if scalar.inference is None else f"{text}: {scalar.inference} at inference"

    @property
    def outputs(self) -> Finding[Mapping[str, Ref]]:
        """No tensor holds detections: raise SurgeonError D107."""
        raise self.fail("D107", "the family 'generic' does not tell detections")

    @property
    def picture(self) -> Finding[Ref]:
        """No input is known to be a picture: raise SurgeonError D107."""
        raise self.fail("D107", "the family 'generic' does not tell which input is a picture")

    @property
    def image(self) -> Finding[Image]:
        """It is not known how a picture becomes an input: raise SurgeonError D107."""
        raise self.fail("D107", "the family 'generic' does not tell how a picture becomes an input")

    @property
    def postprocessing(self) -> Postprocessing:
        """Nothing is suppressed: raise SurgeonError D107."""
        raise self.fail("D107", "the family 'generic' does not tell a suppression")

    def draft(self, options: DraftOptions) -> Draft:
        """Write a recipe to start from: inputs, outputs, and the steps that the graph needs."""
        from surgeon.families.generic.draft import draft_recipe

        return draft_recipe(self, options)


FAMILY = GenericNetwork
