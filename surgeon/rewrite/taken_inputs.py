"""A recipe that takes what is given for inputs, and the steps in front of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from surgeon.diagnostics import Diagnostic, error, nearest_note
from surgeon.graph import Graph, Node, Ref, Shape, TensorSpec
from surgeon.graph.op_sets import CONSTANTS, PLACEHOLDERS
from surgeon.infer import infer
from surgeon.infer.open_inputs import open_inputs
from surgeon.language import Recipe
from surgeon.rewrite.input_specs import GivenSpec, constant_value, each_once, given_twice, input_spec_of
from surgeon.rewrite.recipe_words import entries_of, is_tensor, mentions, reason_to_skip
from surgeon.steps.cut_at import CutAt
from surgeon.steps.fix_inputs import FixInputs
from surgeon.steps.for_inference import ForInference
from surgeon.steps.rename import Rename
from surgeon.steps.set_shape import InputSpec, SetShape
from surgeon.steps.step import Step
from surgeon.targets import Target


@dataclass
class TakenInputs:
    """What was given so far, put into the recipe where it says the same, and into steps elsewhere."""

    recipe: Recipe
    graph: Graph
    target: Target | None = None
    specs: dict[str, InputSpec] = field(default_factory=dict)
    shapes: dict[str, InputSpec] = field(default_factory=dict)
    cuts: dict[str, InputSpec] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    batch_sizes: list[str] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps in front of the recipe's own."""
        steps: list[Step] = []
        if self.cuts:
            steps.append(self.cut)
        if self.shapes:
            steps.append(SetShape.model_validate({"step": "set-shape", "nodes": self.shapes}))
        if self.values:
            steps.append(FixInputs.model_validate({"step": "fix-inputs", "values": self.values}))
        return tuple(steps)

    @property
    def cut(self) -> CutAt:
        """The step that makes inputs of tensors of the graph, where shapes are given for some."""
        known = {name: spec for name, spec in self.cuts.items() if (spec.shape, spec.dtype) != (None, None)}
        names = tuple(self._name_of_cut(Ref.parse(name)) for name in self.cuts)
        options = {"tensors": tuple(self.cuts), "as": names, "shapes": known}
        return CutAt.model_validate({"step": "cut-at", **options})

    def _name_of_cut(self, ref: Ref) -> str:
        """Return what an input is called: as the node, with the tensor's number where another one is read."""
        readers = [self.graph[name] for name in self.graph.readers[ref.node]]
        read = {each.slot for reader in readers for each in reader.inputs if each.node == ref.node}
        if ref.slot or read - {0} or any(ref.node in reader.control for reader in readers):
            return self.graph.free_name(f"{ref.node}_{ref.slot}")
        return ref.node

    @property
    def names(self) -> dict[str, str]:
        """What the inputs whose shapes are given are called behind the recipe."""
        names = {name: name for name in self.specs}
        for _, step in self.taken_steps():
            if isinstance(step, Rename):
                names = {name: step.new_name(last) for name, last in names.items()}
        return names

    def take(self, input_specs: Mapping[str, GivenSpec], constants: Mapping[str, Any]) -> set[str]:
        """Take what is given by name; return the names."""
        specs = {
            name: input_spec_of(name, spec)
            for name, spec in each_once(input_specs.items(), "--input").items()
        }
        values = {
            name: constant_value(name, value)
            for name, value in each_once(constants.items(), "--constant").items()
        }
        for name in specs:
            if name in values:
                raise error(
                    "S225",
                    f"'{name}' is given both a shape and a constant; expected one of the two",
                    f"--constant {name}",
                    help=["leave out --input for an input that a constant takes the place of"],
                )
        for name, spec in specs.items():
            self.shape(name, spec)
        for name, value in values.items():
            self.fix(name, value)
        return {*specs, *values}

    def shape(self, name: str, spec: InputSpec) -> None:
        """Take a shape for an input of the recipe or of the graph."""
        if name in self.specs:
            raise given_twice(name, name, "--input")
        self.specs[name] = spec
        if self.shape_in_recipe(name, spec):
            return
        self._check_known(name, f"--input {name}", "an input")
        self._check_fits(name, spec)
        self._check_has_effect(name)
        if self.graph[Ref.parse(name).node].op in PLACEHOLDERS:
            self.shapes[name] = spec
        else:
            self.cuts[name] = spec
            cut_name = self._name_of_cut(Ref.parse(name))
            self.specs[cut_name] = self.specs.pop(name)
            for index, step in self.taken_steps():
                if isinstance(step, ForInference) and not spec.shape:
                    self._keep_open(index, step, cut_name)

    def shape_in_recipe(self, name: str, spec: InputSpec) -> bool:
        """Put a shape wherever the recipe says one for this input; return whether it does."""
        replaced = False
        is_present = name in self.graph and self.graph[name].op in PLACEHOLDERS
        definition = self.recipe.nodes.get(name)
        if definition is not None and definition.op == "Placeholder":
            shape = definition.shape if spec.shape is None else spec.shape
            dtype = definition.dtype if spec.dtype is None else spec.dtype.value
            shaped = definition.model_copy(update={"shape": shape, "dtype": dtype})
            self._update({"nodes": {**self.recipe.nodes, name: shaped}})
            replaced = True
        for index, step in self.taken_steps():
            if isinstance(step, CutAt):
                tensor = _tensor_of_input(step, name)
                if tensor is None:
                    continue
                shapes = {**step.shapes, tensor: _filled_in(step.shapes.get(tensor), spec)}
                self._replace_step(index, step.model_copy(update={"shapes": shapes}))
                cut_name = step.input_names[step.tensors.index(tensor)]
                if cut_name != name and cut_name in self.specs:
                    raise given_twice(name, cut_name, "--input")
                if name in self.specs:
                    self.specs[cut_name] = self.specs.pop(name)
                name = cut_name
                replaced = is_present = True
            elif isinstance(step, SetShape) and name in step.nodes:
                self._check_fits(name, spec)
                nodes = {**step.nodes, name: _filled_in(step.nodes[name], spec)}
                self._replace_step(index, step.model_copy(update={"nodes": nodes}))
                replaced = True
            elif isinstance(step, FixInputs) and name in step.values:
                self._replace_step(index, step.model_copy(update={"values": _without(step.values, name)}))
            elif isinstance(step, ForInference) and is_present and not spec.shape:
                self._keep_open(index, step, name)
        return replaced

    def _keep_open(self, index: int, step: ForInference, name: str) -> None:
        """Have a step leave an input as it is."""
        constants, keep = _without(step.constants, name), (*step.keep, name)
        self._replace_step(index, step.model_copy(update={"constants": constants, "keep": keep}))

    def fix(self, name: str, value: Any) -> None:
        """Take a constant for an input of the graph."""
        taken = self.replaced_by(name)
        definition = self.recipe.nodes.get(name)
        if definition is not None and definition.op in CONSTANTS:
            fixed = definition.model_copy(update={"value": value})
            self._update({"nodes": {**self.recipe.nodes, name: fixed}})
            return
        if self._fix_in_recipe(name, value):
            return
        if definition is not None:
            raise error(
                "S225",
                f"the recipe puts in '{name}' ({definition.plugin or definition.op}); expected an input of "
                "the graph, or a Const of the recipe",
                f"--constant {name}",
                self._inputs_note(),
                ["make the node a Const in the recipe"],
            )
        if taken:
            raise error(
                "S225",
                f"the recipe puts '{taken}' in the place of '{name}'; expected an input that it leaves open",
                f"--constant {name}",
                help=[f"give the constant for '{taken}' if it is one, or change the recipe"],
            )
        self._check_known(name, f"--constant {name}", "an input")
        if self.graph[Ref.parse(name).node].op not in PLACEHOLDERS:
            op = self.graph[Ref.parse(name).node].op
            raise error(
                "S225",
                f"'{name}' is no placeholder, but {op}; expected an input that a constant can replace",
                f"--constant {name}",
                self._inputs_note(),
                ["put a Const into the recipe by 'nodes' and 'namespaces' for what is no input"],
            )
        self.values[name] = value

    def _fix_in_recipe(self, name: str, value: Any) -> bool:
        """Put a constant wherever the recipe says one for this input; return whether it does."""
        replaced = False
        for index, step in self.taken_steps():
            if isinstance(step, FixInputs) and name in step.values:
                self._replace_step(index, step.model_copy(update={"values": {**step.values, name: value}}))
                replaced = True
            elif isinstance(step, ForInference) and name in step.constants:
                constants = {**step.constants, name: value}
                self._replace_step(index, step.model_copy(update={"constants": constants}))
                replaced = True
            elif isinstance(step, SetShape) and name in step.nodes:
                self._replace_step(index, step.model_copy(update={"nodes": _without(step.nodes, name)}))
        return replaced

    def taken_steps(self) -> tuple[tuple[int, Step], ...]:
        """Return the recipe's steps that are taken for the target, with their places."""
        steps = enumerate(self.recipe.steps)
        return tuple((index, step) for index, step in steps if not reason_to_skip(step, self.target))

    def is_mentioned(self, name: str) -> bool:
        """Return whether the recipe says anything of an input: by its name, or by placeholders at large."""
        if self.replaced_by(name):
            return True
        definitions = self.recipe.nodes.values()
        if any(name in entries_of((each.like or "", each.inputs or ())) for each in definitions):
            return True
        node = self.graph.get(name) or Node(name, "Placeholder")
        return any(mentions(step, node) for _, step in self.taken_steps())

    def replaced_by(self, name: str) -> str:
        """Return the node that the recipe's map puts in the place of an input, empty where there is none."""
        for key, rule in self.recipe.namespaces.items():
            if name == key or name.startswith(key + "/"):
                return rule.node
        return ""

    def _check_known(self, name: str, place: str, what: str) -> None:
        if name in self.graph:
            return
        if is_tensor(name) and Ref.parse(name).node in self.graph:
            ref = Ref.parse(name)
            if self.graph.data_readers(ref) or ref in self.graph.outputs:
                return
            raise error(
                "S225",
                f"nothing reads output {ref.slot} of '{ref.node}'; expected {what}",
                place,
                self._inputs_note(),
                ["name an output that is read"],
            )
        candidates = dict.fromkeys([*self._names(), *self.graph.nodes])
        notes = (*self._inputs_note(), *nearest_note(name, candidates))
        raise error(
            "S225",
            f"'{name}' is no tensor of the graph, and no input of the recipe; expected {what}",
            place,
            notes,
            ["correct the name; 'surgeon inspect' lists the inputs"],
        )

    def _inputs_note(self) -> tuple[str, ...]:
        shown = ", ".join(f"'{each}'" for each in self._names()[:8]) or "none"
        return (f"inputs: {shown}",)

    def _names(self) -> list[str]:
        own = [name for name, node in self.recipe.nodes.items() if node.op == "Placeholder"]
        cut = [name for _, step in self.taken_steps() if isinstance(step, CutAt) for name in step.input_names]
        return list(dict.fromkeys([*map(str, (each.ref for each in open_inputs(self.graph))), *own, *cut]))

    def _check_has_effect(self, name: str) -> None:
        """Raise SurgeonError S225 where the recipe puts something of its own shape in an input's place."""
        taken = self.replaced_by(name)
        definition = self.recipe.nodes.get(taken)
        if definition is None or (definition.op == "Placeholder" and _is_open(definition.shape)):
            return
        if definition.op in CONSTANTS or definition.op == "Placeholder":
            raise error(
                "S225",
                f"the recipe puts '{taken}' in the place of '{name}'; a shape for '{name}' has no effect",
                f"--input {name}",
                help=[f"give the shape for '{taken}' if it is an input, or change the recipe"],
            )

    def _check_fits(self, name: str, spec: InputSpec) -> None:
        """Raise SurgeonError S226 where the graph says otherwise of a tensor."""
        ref = Ref.parse(name)
        if ref.node not in self.graph:
            return
        own, wanted = infer(self.graph).spec(ref), TensorSpec(spec.dtype, Shape(spec.shape))
        if own.compatible(wanted):
            return
        raise error(
            "S226",
            f"the input '{name}' is {own} in the graph; {wanted} does not fit",
            f"--input {name}",
            help=[
                "give the type and the sizes that it has, and any size where the graph shows '?'; the step "
                "'set-shape' changes a size that the graph fixes"
            ],
        )

    def _replace_step(self, index: int, step: Step) -> None:
        steps = list(self.recipe.steps)
        steps[index] = step
        self._update({"steps": tuple(steps)})

    def _update(self, changes: Mapping[str, Any]) -> None:
        self.recipe = self.recipe.model_copy(update=dict(changes))


def _is_open(shape: tuple[int | None, ...] | None) -> bool:
    """Return whether a recipe's shape leaves a size to the graph."""
    return shape is None or None in shape


def _filled_in(own: tuple[int | None, ...] | InputSpec | None, spec: InputSpec) -> InputSpec:
    """Return what is given for an input, with what the recipe says where nothing is given."""
    known = own if isinstance(own, InputSpec) else InputSpec(shape=own, dtype=None)
    return InputSpec(
        shape=known.shape if spec.shape is None else spec.shape,
        dtype=known.dtype if spec.dtype is None else spec.dtype,
    )


def _without(entries: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in entries.items() if key != name}


def _tensor_of_input(step: CutAt, name: str) -> str | None:
    """Return the tensor that a step makes the input of this name, or that has the name itself."""
    if name in step.input_names:
        return step.tensors[step.input_names.index(name)]
    return next((text for text in step.tensors if text.removesuffix(":0") == name), None)
