"""What a caller says of a graph's inputs beside the recipe: their shapes, and constants in their place.

Scalars that neither the caller nor the recipe mentions are fixed to what they are at inference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

from surgeon.diagnostics import Diagnostic, Severity, SurgeonError, error, nearest_note
from surgeon.graph import DType, Graph, Node, Ref, Shape, TensorSpec, apply_edits
from surgeon.graph.op_sets import CONSTANTS, PLACEHOLDERS
from surgeon.infer import infer
from surgeon.infer.batches import contradicts, must_agree
from surgeon.infer.open_inputs import InputRole, OpenInput, open_inputs
from surgeon.language import Recipe
from surgeon.language.document import parse_document, to_plain
from surgeon.steps.cut_at import CutAt
from surgeon.steps.fix_inputs import FixInputs
from surgeon.steps.for_inference import ForInference
from surgeon.steps.pin_batch import PinBatch
from surgeon.steps.rename import Rename
from surgeon.steps.replace_op import ReplaceOp
from surgeon.steps.selector import Selector
from surgeon.steps.set_attr import SetAttributes
from surgeon.steps.set_shape import InputSpec, SetShape
from surgeon.steps.step import Step, StepContext
from surgeon.targets import Target

GivenSpec: TypeAlias = "TensorSpec | str | Sequence[int | None]"
"""Shape and type of an input: ``1x224x224x3:float32``, sizes (None where unknown), or a spec."""

Value = TypeVar("Value")

_SIZE = re.compile(r"[0-9]{1,18}|\?")
_SPEC_HELP = "write the sizes as 1x224x224x3, '?' where one is unknown, '[]' for a scalar; then ':float32'"


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


def input_spec_of(name: str, given: GivenSpec) -> InputSpec:
    """Return the shape and type that are given for an input; raise SurgeonError S226 if they are none."""
    if isinstance(given, TensorSpec):
        return InputSpec(shape=given.shape.dims, dtype=given.dtype)
    if not isinstance(given, str):
        sizes = tuple(given)
        if all(size is None or (type(size) is int and 0 <= size < 1 << 63) for size in sizes):
            return InputSpec(shape=sizes, dtype=None)
        raise _wrong_spec(name, f"{sizes!r:.80} are no sizes")
    text, colon, type_name = given.partition(":")
    dtype = None
    if colon:
        if type_name not in DType._value2member_map_:
            near = nearest_note(type_name, [each.value for each in DType])
            raise _wrong_spec(name, f"'{type_name}' is no element type", near)
        dtype = DType(type_name)
    inner = text.strip().removeprefix("[").removesuffix("]").strip()
    if not inner:
        if not text.strip() and dtype is None:
            raise _wrong_spec(name, "it is empty")
        return InputSpec(shape=() if text.strip() else None, dtype=dtype)
    sizes_read = [size.strip() for size in re.split("[x,]", inner)]
    if not all(_SIZE.fullmatch(size) for size in sizes_read):
        raise _wrong_spec(name, f"'{text}' is no shape")
    return InputSpec(shape=tuple(None if size == "?" else int(size) for size in sizes_read), dtype=dtype)


def spec_text(name: str, given: GivenSpec) -> str:
    """Return a shape and type as text, which :func:`input_spec_of` reads; raise as that does."""
    spec = input_spec_of(name, given)
    sizes = "" if spec.shape is None else Shape(spec.shape)
    return f"{sizes}{'' if spec.dtype is None else ':' + spec.dtype.value}"


def plain_value(value: Any) -> Any:
    """Return a constant's value without numpy."""
    return value.tolist() if hasattr(value, "tolist") else value


def _wrong_spec(name: str, problem: str, notes: Sequence[str] = ()) -> SurgeonError:
    message = f"the shape given for the input '{name}' cannot be read: {problem}; expected sizes and a type"
    return error("S226", message, f"--input {name}", notes, [_SPEC_HELP])


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
    given = _Given(recipe, graph, target)
    mentioned = given.take(input_specs, constants)
    given.fix_to_inference(mentioned)
    given.follow_batch(mentioned)
    return Given(given.recipe, given.steps, tuple(given.diagnostics), given.specs, given.names)


def steps_for_inputs(
    graph: Graph, input_specs: Mapping[str, GivenSpec], constants: Mapping[str, Any]
) -> tuple[Step, ...]:
    """Return the steps by which a new recipe gives inputs their shapes, and puts constants in their place.

    Raise SurgeonError S225 for a name that is no input, S226 for what does not fit.
    """
    given = _Given(Recipe.model_validate({"recipe": 1, "name": "inputs", "outputs": ("inputs",)}), graph)
    mentioned = given.take(input_specs, constants)
    given.follow_batch(mentioned)
    return given.steps


def _value(name: str, value: Any) -> Any:
    """Return a constant's value; a text is read as YAML."""
    if not isinstance(value, str):
        return plain_value(value)
    return to_plain(parse_document(value or '""', f"--constant {name}"))


@dataclass
class _Given:
    """What was given so far."""

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
            steps.append(self._cut)
        if self.shapes:
            steps.append(SetShape.model_validate({"step": "set-shape", "nodes": self.shapes}))
        if self.values:
            steps.append(FixInputs.model_validate({"step": "fix-inputs", "values": self.values}))
        return tuple(steps)

    @property
    def _cut(self) -> CutAt:
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

    def take(self, input_specs: Mapping[str, GivenSpec], constants: Mapping[str, Any]) -> set[str]:
        """Take what is given by name; return the names."""
        specs = {
            name: input_spec_of(name, spec)
            for name, spec in each_once(input_specs.items(), "--input").items()
        }
        values = {
            name: _value(name, value) for name, value in each_once(constants.items(), "--constant").items()
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
            raise _twice(name, name, "--input")
        self.specs[name] = spec
        if self._shape_in_recipe(name, spec):
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
            for index, step in self._taken_steps():
                if isinstance(step, ForInference) and not spec.shape:
                    self._keep_open(index, step, cut_name)

    def _shape_in_recipe(self, name: str, spec: InputSpec) -> bool:
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
        for index, step in self._taken_steps():
            if isinstance(step, CutAt):
                tensor = _tensor_of_input(step, name)
                if tensor is None:
                    continue
                shapes = {**step.shapes, tensor: _filled_in(step.shapes.get(tensor), spec)}
                self._replace_step(index, step.model_copy(update={"shapes": shapes}))
                cut_name = step.input_names[step.tensors.index(tensor)]
                if cut_name != name and cut_name in self.specs:
                    raise _twice(name, cut_name, "--input")
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

    @property
    def names(self) -> dict[str, str]:
        """What the inputs whose shapes are given are called behind the recipe."""
        names = {name: name for name in self.specs}
        for _, step in self._taken_steps():
            if isinstance(step, Rename):
                names = {name: step.new_name(last) for name, last in names.items()}
        return names

    def _keep_open(self, index: int, step: ForInference, name: str) -> None:
        """Have a step leave an input as it is."""
        constants, keep = _without(step.constants, name), (*step.keep, name)
        self._replace_step(index, step.model_copy(update={"constants": constants, "keep": keep}))

    def fix(self, name: str, value: Any) -> None:
        """Take a constant for an input of the graph."""
        taken = self._replaced_by(name)
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
        for index, step in self._taken_steps():
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

    def _taken_steps(self) -> tuple[tuple[int, Step], ...]:
        """Return the recipe's steps that are taken for the target, with their places."""
        steps = enumerate(self.recipe.steps)
        return tuple((index, step) for index, step in steps if not reason_to_skip(step, self.target))

    def fix_to_inference(self, mentioned: set[str]) -> None:
        """Fix the scalars that neither the caller nor the recipe mentions, with a note for each.

        The step ``for-inference`` fixes those of training itself.
        """
        left = any(isinstance(step, ForInference) for _, step in self._taken_steps())
        if not self._has_scalars:
            return
        for each in open_inputs(self._with_outputs()):
            name = each.ref.node
            if not each.must_be_fixed or name in mentioned or self._is_mentioned(name):
                continue
            if left and each.role is not InputRole.BATCH_SIZE:
                continue
            value = self._batch(name) if each.role is InputRole.BATCH_SIZE else each.inference
            if value is None:
                sizes = ", ".join(f"'{other}' {size}" for other, size in self._sizes().items())
                self._note(
                    "S229",
                    f"the input '{name}' (batch size) stays open; the batches of the data differ: {sizes}",
                    f"give it by '--constant {name}=VALUE'",
                    Severity.WARNING,
                )
                continue
            self.values[name] = value
            if each.role is InputRole.BATCH_SIZE:
                self.batch_sizes.append(name)
            default = "" if each.default is None else f" in place of its default {each.default}"
            self.diagnostics.append(
                Diagnostic(
                    "S227",
                    f"the input '{name}' ({each.role.value}) is fixed to {value}{default}, as at inference: "
                    f"{each.reason}",
                    self.graph.source or None,
                    help=(
                        f"give another value by '--constant {name}=VALUE'; '--input {name}=[]' keeps it open",
                    ),
                    severity=Severity.NOTE,
                )
            )

    def follow_batch(self, mentioned: set[str]) -> None:
        """Give inputs of open batch the one of those whose shapes are given, or that a scalar is fixed to.

        Without that, a network would be fed inputs of different batches. Each gets a note, and one whose
        batch the graph does not tell another note.
        """
        batches = self._given_batches(mentioned)
        if len(set(batches.values())) == 1:
            self._follow(batches, mentioned)
        self._warn_of_given_batches()
        self._warn_of_other_batches()

    def _given_batches(self, mentioned: set[str]) -> dict[str, int]:
        """Return the batches that are given: above 1 by the shape of an input, any by a scalar's value."""
        open_batch = self._with_open_batch()
        batches = {
            name: spec.shape[0]
            for name, spec in self.specs.items()
            if name in open_batch and spec.shape and spec.shape[0] is not None and spec.shape[0] > 1
        }
        for each in self._opened:
            name = each.ref.node
            value = self._fixed_value(name) if each.role is InputRole.BATCH_SIZE else None
            if value is not None:
                batches[name] = value
        return batches

    def _follow(self, batches: Mapping[str, int], mentioned: set[str]) -> None:
        """Give inputs of open batch the one of others, where their shapes must agree."""
        batch = next(iter(batches.values()))
        is_given = any(name in mentioned or name in self.batch_sizes for name in batches)
        graph = self._behind_recipe(pinned=not is_given)
        waiting = [
            name
            for name, dims in self._data_dims(graph).items()
            if dims[0] is None and name not in mentioned and self._leaves_shape(name)
        ]
        group = [name for name in batches if name in graph]
        is_lone = len(waiting) == 1 and not any(name in self.specs for name in batches)
        progress = True
        while progress and waiting:
            progress = False
            for name in list(waiting):
                if not is_lone and not must_agree(graph, group, name):
                    continue
                waiting.remove(name)
                group.append(name)
                progress = True
                dims = self._data_dims(graph)[name]
                self._set_batch(name, InputSpec(shape=(batch, *dims[1:]), dtype=None), next(iter(batches)))
        pinned = self._data_dims(self._behind_recipe())
        for name in waiting:
            if name in pinned and pinned[name][0] is None:
                self._note(
                    "S229",
                    f"the batch of the input '{name}' stays open; the graph does not show that it is that of "
                    f"'{next(iter(batches))}'",
                    f"give it by '--input {name}=SHAPE'",
                )

    def _set_batch(self, name: str, spec: InputSpec, source: str) -> None:
        if not self._shape_in_recipe(name, spec):
            self.shapes[name] = spec
        assert spec.shape is not None
        self._note(
            "S228",
            f"the input '{name}' gets the batch {spec.shape[0]}, as '{source}' has it",
            f"give another one by '--input {name}=SHAPE'",
        )

    def _warn_of_given_batches(self) -> None:
        """Warn where two inputs are given different batches and must agree; a batch of 1 fits any."""
        given = {name for name, spec in self.specs.items() if spec.shape and spec.shape[0] != 1}
        if len(given) < 2:
            return
        sizes = {name: size for name, size in self._sizes().items() if name in given}
        for other, size in sizes.items():
            first = next(iter(sizes))
            if size != sizes[first] and must_agree(self._behind_recipe(), [first], other):
                self._note(
                    "S229",
                    f"the input '{other}' has the batch {size}, but '{first}' has {sizes[first]}; "
                    "their shapes must agree",
                    f"give both one batch: '--input {other}=SHAPE'",
                    Severity.WARNING,
                )

    def _warn_of_other_batches(self) -> None:
        """Warn where a scalar is fixed to another batch than an input has that must agree with it."""
        sizes: dict[str, int] | None = None
        for each in self._opened:
            name = each.ref.node
            value = self._fixed_value(name) if each.role is InputRole.BATCH_SIZE else None
            if value is None:
                continue
            sizes = self._sizes() if sizes is None else sizes
            same = [other for other, size in sizes.items() if size == value]
            for other, size in sizes.items():
                if size == value or (same and not must_agree(self._behind_recipe(), [name, *same], other)):
                    continue
                self._note(
                    "S229",
                    f"the input '{other}' has the batch {size}, but '{name}' (batch size) is fixed "
                    f"to {value}",
                    f"give both one batch: '--constant {name}={size}', or another '--input {other}=SHAPE'",
                    Severity.WARNING,
                )

    def _note(self, code: str, message: str, help: str, severity: Severity = Severity.NOTE) -> None:
        source = self.graph.source or None
        self.diagnostics.append(Diagnostic(code, message, source, help=(help,), severity=severity))

    @property
    def _opened(self) -> tuple[OpenInput, ...]:
        """The inputs as the recipe shapes them; none where nothing is given and none is a scalar."""
        is_idle = not self.specs and not self.values and not self._has_scalars
        return () if is_idle else open_inputs(self._behind_recipe())

    @property
    def _has_scalars(self) -> bool:
        return any(node.op in PLACEHOLDERS and _may_be_scalar(node.attrs.get("shape")) for node in self.graph)

    def _behind_recipe(self, *, pinned: bool = True) -> Graph:
        """Return the graph whose inputs have the shapes that they have behind the recipe's own steps.

        Without ``pinned``, ``pin-batch`` is left out.
        """
        graph = self._with_outputs()
        if self.shapes:
            shape = SetShape.model_validate({"step": "set-shape", "nodes": self.shapes})
            graph = apply_edits(graph, shape.plan(StepContext(graph)))
        for _, step in self._taken_steps():
            with suppress(SurgeonError):  # a step may name nodes that steps before it make
                context = StepContext(graph)
                if isinstance(step, CutAt | SetShape | SetAttributes):
                    graph = apply_edits(graph, step.plan(context))
                elif isinstance(step, PinBatch) and pinned:
                    graph = apply_edits(graph, step.pins(context))
        return graph.replace([self._as_in_recipe(node) for node in graph])

    def _as_in_recipe(self, node: Node) -> Node:
        """Return an input with the shape of the recipe's placeholder that takes its place, if one does."""
        if node.op not in PLACEHOLDERS:
            return node
        definition = self.recipe.nodes.get(self._replaced_by(node.name))
        own = node.attrs.get("shape")
        if definition is None or definition.op != "Placeholder" or definition.shape is None:
            return node
        if not isinstance(own, Shape) or own.rank != len(definition.shape):
            own = Shape(definition.shape)
        pairs = zip(own.dims or (), definition.shape, strict=True)
        shape = Shape(tuple(size if given is None else given for size, given in pairs))
        return replace(node, attrs={**node.attrs, "shape": shape})

    def _data_dims(self, graph: Graph) -> dict[str, tuple[int | None, ...]]:
        """Return the sizes of the data inputs of a graph whose batch is open in the one that is rewritten.

        Return those of all data inputs where none is.
        """
        sizes = {
            each.ref.node: each.spec.shape.dims
            for each in open_inputs(graph)
            if each.role is InputRole.DATA
            and each.spec.shape.dims
            and graph[each.ref.node].op in PLACEHOLDERS
        }
        open_batch = self._with_open_batch()
        opened = {name: dims for name, dims in sizes.items() if name in open_batch}
        return opened or sizes

    def _with_open_batch(self) -> set[str]:
        """Return the inputs whose batch is open in the graph that is rewritten (membership only)."""
        tensors = {node.name: Ref(node.name) for node in self.graph if node.op in PLACEHOLDERS}
        steps = [self._cut] if self.cuts else []
        for cut in [*steps, *(step for _, step in self._taken_steps() if isinstance(step, CutAt))]:
            for name, text in zip(cut.input_names, cut.tensors, strict=True):
                if _is_tensor(text) and Ref.parse(text).node in self.graph:
                    tensors[name] = Ref.parse(text)
        inference = infer(self.graph)
        dims = {name: inference.spec(ref).shape.dims for name, ref in tensors.items()}
        return {name for name, own in dims.items() if own is None or (own and own[0] is None)}

    def _sizes(self) -> dict[str, int]:
        """Return the batches of the data inputs behind the recipe, where they are known."""
        every = self._data_dims(self._behind_recipe())
        return {name: dims[0] for name, dims in every.items() if dims[0] is not None}

    def _batch(self, scalar: str) -> int | None:
        """Return the batch that all data inputs have, 1 where it is open, None where they differ.

        Where they differ, only those sizes count that the shapes of the graph do not contradict.
        """
        sizes = dict.fromkeys(self._sizes().values())
        if len(sizes) > 1:
            graph = self._behind_recipe()
            sizes = dict.fromkeys(size for size in sizes if not contradicts(graph, scalar, size))
        if not sizes:
            return 1
        return next(iter(sizes)) if len(sizes) == 1 else None

    def _fixed_value(self, name: str) -> int | None:
        """Return the whole number that an input is fixed to, None where it is open or holds anything else."""
        value = self.values.get(name)
        definition = self.recipe.nodes.get(self._replaced_by(name))
        if definition is not None and definition.op in CONSTANTS:
            value = definition.value
        for _, step in self._taken_steps():
            if isinstance(step, FixInputs | ForInference):
                value = (step.values if isinstance(step, FixInputs) else step.constants).get(name, value)
        return value if type(value) is int and value > 0 else None

    def _leaves_shape(self, name: str) -> bool:
        """Return whether the recipe leaves the shape of an input to the graph."""
        for _, step in self._taken_steps():
            if isinstance(step, CutAt) and name in step.input_names:
                return step.tensors[step.input_names.index(name)] not in step.shapes
        return not self._is_mentioned(name)

    def _with_outputs(self) -> Graph:
        """Return the graph behind the cuts, with the recipe's outputs, where it has all of them."""
        graph = apply_edits(self.graph, self._cut.plan(StepContext(self.graph))) if self.cuts else self.graph
        refs = [Ref.parse(text) for text in self.recipe.outputs if _is_tensor(text)]
        if len(refs) < len(self.recipe.outputs) or any(ref.node not in graph for ref in refs):
            return graph
        return graph.replace(outputs=refs)

    def _is_mentioned(self, name: str) -> bool:
        """Return whether the recipe says anything of an input: by its name, or by placeholders at large."""
        if self._replaced_by(name):
            return True
        definitions = self.recipe.nodes.values()
        if any(name in _entries((each.like or "", each.inputs or ())) for each in definitions):
            return True
        node = self.graph.get(name) or Node(name, "Placeholder")
        return any(_mentions(step, node) for _, step in self._taken_steps())

    def _replaced_by(self, name: str) -> str:
        """Return the node that the recipe's map puts in the place of an input, empty where there is none."""
        for key, rule in self.recipe.namespaces.items():
            if name == key or name.startswith(key + "/"):
                return rule.node
        return ""

    def _check_known(self, name: str, place: str, what: str) -> None:
        if name in self.graph:
            return
        if _is_tensor(name) and Ref.parse(name).node in self.graph:
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
        cut = [
            name for _, step in self._taken_steps() if isinstance(step, CutAt) for name in step.input_names
        ]
        return list(dict.fromkeys([*map(str, (each.ref for each in open_inputs(self.graph))), *own, *cut]))

    def _check_has_effect(self, name: str) -> None:
        """Raise SurgeonError S225 where the recipe puts something of its own shape in an input's place."""
        taken = self._replaced_by(name)
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


def _may_be_scalar(shape: object) -> bool:
    return not isinstance(shape, Shape) or shape.rank in (0, None)


def reason_to_skip(step: Step, target: Target | None) -> str:
    """Return why a step is not taken for a target, empty where it is."""
    if step.when is None:
        return ""
    patterns = (step.when.target,) if isinstance(step.when.target, str) else step.when.target
    if target is not None and any(target.matches(pattern) for pattern in patterns):
        return ""
    return f"for the target {' or '.join(patterns)} only"


def each_once(given: Iterable[tuple[str, Value]], flag: str) -> dict[str, Value]:
    """Return what is given by name, ``NAME:0`` as ``NAME``.

    Raise SurgeonError S225 where two entries name one input.
    """
    once: dict[str, Value] = {}
    for written, value in given:
        name = written.removesuffix(":0")
        if name in once:
            raise _twice(name, written, flag)
        once[name] = value
    return once


def _twice(name: str, other: str, flag: str) -> SurgeonError:
    also = f", as '{name}' and as '{other}'" if name != other else ""
    return error(
        "S225",
        f"the input '{name}' is given twice{also}; expected each input once",
        f"{flag} {other}",
        help=["leave out one of the two"],
    )


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


def _mentions(step: Step, node: Node) -> bool:
    """Return whether a step says anything of an input: by its name, by a selector, or by its operation."""
    unnamed = _NO_NAMES | ({"from_", "to"} if isinstance(step, ReplaceOp) else set())
    entries = [entry for key, value in step if key not in unnamed for entry in _entries(value)]
    if isinstance(step, ReplaceOp) and step.from_ == node.op:
        return True
    for entry in entries:
        if isinstance(entry, Selector):
            ops = (entry.op,) if isinstance(entry.op, str) else entry.op or ()
            if node.op in ops:
                return True
        elif entry == node.name:
            return True
    return False


_NO_NAMES = {"step", "id", "when", "at", "attrs", "op", "ops"}
"""Options of steps that hold no names of nodes."""


def _entries(value: object) -> Iterator[str | Selector]:
    """Yield the nodes that an option names, and its selectors; constants and shapes have none."""
    if isinstance(value, Selector):
        yield value
    elif isinstance(value, str):
        yield value.removesuffix("?").rpartition(":")[0] or value.removesuffix("?")
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _entries(key)
            yield from _entries(entry)
    elif isinstance(value, tuple):
        for entry in value:
            yield from _entries(entry)


def _is_tensor(text: str) -> bool:
    """Return whether a text names a tensor by its node and a number."""
    name, colon, slot = text.rpartition(":")
    return (
        bool(text)
        and not text.startswith("^")
        and (not colon or (bool(name) and slot.isascii() and slot.isdigit() and len(slot) < 10))
    )
