"""The step ``cut-at``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from surgeon.display import plural
from surgeon.graph import Add, Drop, Edit, Node, Ref, Rewire
from surgeon.steps.node_names import NodeName
from surgeon.steps.placing import tensors_in_graph
from surgeon.steps.removal import unneeded
from surgeon.steps.set_shape import Dimension, InputSpec, fitted_spec
from surgeon.steps.step import Step, StepContext


class CutAt(Step):
    """Make tensors inputs of the graph: placeholders of their type and shape, and away with what only they
    needed.

    Iterators, queues, decoders and parsers declare both.

    Before::

        graph v1
        image_tensor = Placeholder() {dtype: uint8, shape: shape[1,300,300,3]}
        ToFloat = Cast(image_tensor) {SrcT: uint8, DstT: float32}
        Preprocessor/neg = Neg(ToFloat) {T: float32}
        y = Relu(Preprocessor/neg) {T: float32}

    Step::

        step: cut-at
        tensors: [Preprocessor/neg]
        as: [Input]

    After::

        graph v1
        Input = Placeholder() {dtype: float32, shape: shape[1,300,300,3]}
        y = Relu(Input) {T: float32}
    """

    keyword: ClassVar[str] = "cut-at"
    step: Literal["cut-at"] = "cut-at"
    tensors: tuple[str, ...] = Field(description="Tensors that become inputs: NODE or NODE:1.", min_length=1)
    as_: tuple[NodeName, ...] | None = Field(
        None,
        alias="as",
        description="Names of the placeholders, one a tensor; default the names of the tensors' nodes.",
    )

    shapes: Mapping[str, tuple[Dimension | None, ...] | InputSpec] = Field(
        default_factory=dict,
        description="Shapes of these tensors (null where unknown), or {shape: ..., dtype: ...}; they fill in "
        "what the graph does not tell.",
    )

    @model_validator(mode="after")
    def _shapes_of_tensors(self) -> CutAt:
        for name in self.shapes:
            if name not in self.tensors:
                raise ValueError(f"'shapes' has '{name}'; expected one of 'tensors'")
        return self

    @model_validator(mode="after")
    def _one_name_each(self) -> CutAt:
        if self.as_ is not None and len(self.as_) != len(self.tensors):
            raise ValueError(
                f"'as' has {plural(len(self.as_), 'name')} for {plural(len(self.tensors), 'tensor')}; "
                "expected one each"
            )
        return self

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the placeholders, one a tensor."""
        return self.as_ if self.as_ is not None else tuple(map(_default_name, self.tensors))

    def plan(self, context: StepContext) -> list[Edit]:
        graph = context.graph
        names = self._names(context)
        cut = {ref.node: name for ref, name in reversed(names.items())}
        rewired: dict[str, Rewire] = {}
        still: dict[str, tuple[str, ...]] = {}
        for reader in (graph[r] for r in dict.fromkeys(r for name in cut for r in graph.readers[name])):
            kept = tuple(ref.node for ref in reader.inputs if ref not in names)
            inputs = tuple(Ref(names[ref]) if ref in names else ref for ref in reader.inputs)
            control = tuple(
                dict.fromkeys(cut[c] if c in cut and c not in kept else c for c in reader.control)
            )
            rewired[reader.name] = Rewire(reader.name, inputs, control, context.at("tensors"))
            still[reader.name] = kept + tuple(c for c in reader.control if c not in cut or c in kept)
        gone = unneeded(graph, (), still)
        dropped = set(gone)
        edits: list[Edit] = []
        for i, (ref, name) in enumerate(names.items()):
            spec = context.inference.spec(ref)
            text = self.tensors[i]
            if text in self.shapes:
                spec = fitted_spec(context, ref, spec, self.shapes[text], "shapes", text)
            if spec.dtype is None:
                raise context.fail(
                    "S215",
                    f"'{ref}' cannot become an input; its element type is not known",
                    "tensors",
                    i,
                    help=[
                        f"give it by 'shapes: {{{text}: {{shape: [...], dtype: ...}}}}', or cut at "
                        "another tensor"
                    ],
                )
            if name in graph and name not in dropped:
                raise context.fail(
                    "S215",
                    f"'{ref}' cannot become the input '{name}'; the graph still needs a node of that name",
                    *(("as", i) if self.as_ else ("tensors", i)),
                    help=["give another name with 'as'"],
                )
            placeholder = Node(name, "Placeholder", attrs={"dtype": spec.dtype, "shape": spec.shape})
            edits.append(Add(placeholder, ref.node, context.at("tensors", i)))
        for name in gone:
            fate = f"replaced by the input '{cut[name]}'" if name in cut else "only needed before the cut"
            edits.append(Drop(name, fate, cut.get(name), context.at("tensors")))
        edits += [edit for name, edit in rewired.items() if name not in dropped]
        return edits

    def _names(self, context: StepContext) -> dict[Ref, str]:
        """Return the placeholder's name for each tensor."""
        names: dict[Ref, str] = {}
        for i, text in enumerate(self.tensors):
            refs = tensors_in_graph(context, text, "tensors", i)
            if len(refs) != 1 or refs[0] in names:
                problem = f"means {len(refs)} tensors" if len(refs) != 1 else "is listed twice"
                raise context.fail("S215", f"'{text}' {problem}; expected each tensor once", "tensors", i)
            ref = refs[0]
            names[ref] = self.as_[i] if self.as_ else _default_name(str(ref))
        if len(set(names.values())) < len(names):
            raise context.fail(
                "S215",
                "two tensors become inputs of one name; expected different names",
                "as" if self.as_ else "tensors",
                help=["give each its own name with 'as'"],
            )
        return names


def _default_name(tensor: str) -> str:
    """Return the name of the input that a tensor becomes: NODE, or NODE_1 for NODE:1."""
    node, colon, slot = tensor.rpartition(":")
    if not colon:
        return tensor
    return f"{node}_{slot}" if slot.strip("0") else node
