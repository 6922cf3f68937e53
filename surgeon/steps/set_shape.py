"""The step ``set-shape``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from surgeon.graph import DType, Edit, Ref, SetAttr, Shape, TensorSpec
from surgeon.steps.placing import placeholder
from surgeon.steps.step import Step, StepContext

Dimension = Annotated[int, Field(ge=0, lt=1 << 63, strict=True)]


class InputSpec(BaseModel):
    """Shape and element type of an input of the graph."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: tuple[Dimension | None, ...] | None = Field(None, description="Dimensions, null where unknown.")
    dtype: DType | None = Field(None, description="Element type, such as float32.")


def fitted_spec(
    context: StepContext,
    ref: Ref,
    known: TensorSpec,
    given: tuple[int | None, ...] | InputSpec,
    *path: str | int,
) -> TensorSpec:
    """Return type and shape of a tensor, with what is given where the graph does not tell.

    Raise SurgeonError S226 where the graph tells otherwise.
    """
    spec = given if isinstance(given, InputSpec) else InputSpec(shape=given, dtype=None)
    wanted = TensorSpec(spec.dtype, Shape(spec.shape))
    if not known.compatible(wanted):
        raise context.fail(
            "S226",
            f"'{ref}' is {known}; it cannot become {wanted}",
            *path,
            help=["give the type and the sizes that it has, and any size where the graph shows '?'"],
        )
    dims = known.shape.dims if spec.shape is None else spec.shape
    if known.shape.dims is not None and dims is not None:
        pairs = zip(known.shape.dims, dims, strict=True)
        dims = tuple(own if size is None else size for own, size in pairs)
    return TensorSpec(known.dtype or spec.dtype, Shape(dims))


class SetShape(Step):
    """Give placeholders another shape, or another element type.

    Before::

        graph v1
        image = Placeholder() {dtype: uint8, shape: shape[?,?,?,3]}
        mask = Placeholder() {dtype: bool, shape: shape[?]}

    Step::

        step: set-shape
        nodes: {image: {shape: [1, 300, 300, 3], dtype: float32}, mask: [1]}

    After::

        graph v1
        image = Placeholder() {dtype: float32, shape: shape[1,300,300,3]}
        mask = Placeholder() {dtype: bool, shape: shape[1]}
    """

    keyword: ClassVar[str] = "set-shape"
    step: Literal["set-shape"] = "set-shape"
    nodes: Mapping[str, tuple[Dimension | None, ...] | InputSpec] = Field(
        description="Placeholders with their shape (null where unknown), or with {shape: ..., dtype: ...}.",
        min_length=1,
    )

    def plan(self, context: StepContext) -> list[Edit]:
        edits: list[Edit] = []
        for name, given in self.nodes.items():
            node = placeholder(context, name, "S213", "nodes", name)
            spec = given if isinstance(given, InputSpec) else InputSpec(shape=given, dtype=None)
            span = context.at("nodes", name)
            if spec.dtype is not None:
                edits.append(SetAttr(name, "dtype", spec.dtype, span))
            if spec.shape is not None:
                edits.append(SetAttr(name, "shape", Shape(spec.shape), span))
            if "_output_shapes" in node.attrs:
                edits.append(SetAttr(name, "_output_shapes", None, span))
        return edits
