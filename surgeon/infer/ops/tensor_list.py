"""TensorLists: the lists of tensors that while loops of TensorFlow 2 read and write."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.graph import Shape, TensorSpec
from surgeon.infer.rule import Context, Dims, Rule, attr_dtype, attr_int


def get_item(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(attr_dtype(ctx.node, "element_dtype"), Shape(_element(ctx, 2)))]


def stack(ctx: Context) -> Sequence[TensorSpec]:
    """Return the elements stacked: as many as the attribute says, each of the shape given."""
    element, count = _element(ctx, 1), attr_int(ctx.node, "num_elements", -1)
    shape = Shape() if element is None else Shape((None if count < 0 else count, *element))
    return [TensorSpec(attr_dtype(ctx.node, "element_dtype"), shape)]


def _element(ctx: Context, index: int) -> Dims:
    """Return the shape of an element that an input states; None where it is unknown, as -1 says."""
    dims = ctx.dims(index)
    sizes = ctx.ints(index)
    if dims is None or len(dims) != 1 or sizes is None:
        return None
    return tuple(None if size is None or size < 0 else size for size in sizes)


RULES = (
    Rule("TensorListGetItem", get_item),
    Rule("TensorListStack", stack),
)
