"""What a caller says of a graph's inputs beside the recipe: their shapes, and constants in their place.

Scalars that neither the caller nor the recipe mentions are fixed to what they are at inference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from surgeon.diagnostics import Diagnostic, error
from surgeon.graph import Graph, Ref, Shape, TensorSpec
from surgeon.graph.op_sets import CONSTANTS, PLACEHOLDERS
from surgeon.infer import infer
from surgeon.language import Recipe
from surgeon.rewrite.input_specs import GivenSpec
from surgeon.rewrite.open_batches import fix_to_inference, follow_batch
from surgeon.rewrite.taken_inputs import TakenInputs
from surgeon.steps.set_shape import InputSpec
from surgeon.steps.step import Step
from surgeon.targets import Target


@dataclass(frozen=True)
class Given:
    """A recipe, and the steps in front of its own that follow from what is given for inputs."""

    recipe: Recipe
    steps: tuple[Step, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    specs: Mapping[str, InputSpec] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def check_kept(self, result: Graph) -> None:
        """Raise SurgeonError S225 where a step of the recipe gave an input another shape, type or value."""
        for name, spec in self.specs.items():
            node = result.get(self.names[name])
            if node is None or (node.op not in PLACEHOLDERS and node.op not in CONSTANTS):
                continue
            own = infer(result).spec(Ref(node.name))
            if node.op in PLACEHOLDERS and own.compatible(TensorSpec(spec.dtype, Shape(spec.shape))):
                continue
            outcome = f"it is {own} behind them" if node.op in PLACEHOLDERS else "they make it a constant"
            raise error(
                "S225",
                f"the recipe's steps override what is given for the input '{name}': {outcome}",
                f"--input {name}",
                help=["change the step of the recipe that does so, or leave out --input"],
            )


def given_inputs(
    recipe: Recipe,
    graph: Graph,
    input_specs: Mapping[str, GivenSpec],
    constants: Mapping[str, Any],
    target: Target | None = None,
) -> Given:
    """Return the recipe with what is given for inputs, and the steps that are taken first.

    An input of the graph gets its shape by ``set-shape``, any other tensor of the graph becomes an input by
    ``cut-at``, a placeholder of the recipe gets another ``shape``. A constant takes an input's place by
    ``fix-inputs``. What the recipe's own steps for ``target`` say of the same input is replaced. Raise
    SurgeonError S225 for a name that is no input or is given twice, S226 for what does not fit.
    """
    given = TakenInputs(recipe, graph, target)
    mentioned = given.take(input_specs, constants)
    fix_to_inference(given, mentioned)
    follow_batch(given, mentioned)
    return Given(given.recipe, given.steps, tuple(given.diagnostics), given.specs, given.names)


def steps_for_inputs(
    graph: Graph, input_specs: Mapping[str, GivenSpec], constants: Mapping[str, Any]
) -> tuple[Step, ...]:
    """Return the steps by which a new recipe gives inputs their shapes, and puts constants in their place.

    Raise SurgeonError S225 for a name that is no input, S226 for what does not fit.
    """
    given = TakenInputs(Recipe.model_validate({"recipe": 1, "name": "inputs", "outputs": ("inputs",)}), graph)
    mentioned = given.take(input_specs, constants)
    follow_batch(given, mentioned)
    return given.steps
