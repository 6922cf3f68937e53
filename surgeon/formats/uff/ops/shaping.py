"""Ops that change shapes and join tensors."""

from __future__ import annotations

from surgeon.formats.uff.conversion import ConverterContext, converts
from surgeon.formats.uff.model import UffNode, UffValue
from surgeon.graph import Ref

_COUNTING = ("Concat", "ConcatV2", "Reshape")


@converts("Shape")
def shape(at: ConverterContext) -> list[UffNode]:
    """Shape."""
    return [at.uff("Shape", (at.edge(0),))]


@converts("Reshape")
def reshape(at: ConverterContext) -> list[UffNode]:
    """Reshape, or Flatten where the target is the batch and one more axis.

    What a plugin, a concatenation or a Reshape reads is no Flatten: the parser of 8.5.3.1 keeps several axes
    there, in its own order.
    """
    if _keeps_batch_of_two(at):
        plugins, others = at.export.readers(at.node)
        if not plugins and not any(at.export.node(Ref(name)).op in _COUNTING for name in others):
            return [at.uff("Flatten", (at.edge(0),))]
    return [at.uff("Reshape", (at.edge(0), at.edge(1)))]


def _keeps_batch_of_two(at: ConverterContext) -> bool:
    """True where the target is 2-D and begins with the batch: 1, or the first entry of a tensor's shape.

    A constant [-1, K] is not enough: it may as well merge the batch with other axes.
    """
    value = at.constant(1)
    if value is not None:
        return value.shape == (2,) and int(value[0]) == 1
    target = at.producer(1)
    if target is None:
        return False
    parts = at.of(target)
    if target.op == "Pack" and len(target.inputs) == 2:
        return _is_batch(parts, 0)
    if target.op == "ConcatV2" and len(target.inputs) == 3:
        return _is_batch(parts, 0) and _one_value(parts, 1)
    return False


def _is_batch(at: ConverterContext, position: int) -> bool:
    """True where an input is the first entry of some tensor's shape, as a number or a list of one."""
    node = at.producer(position)
    if node is None or node.op not in ("StridedSlice", "Slice"):
        return False
    cut = at.of(node)
    source = cut.producer(0)
    begin, length = cut.constant(1), cut.constant(2)
    if (
        source is None
        or source.op != "Shape"
        or begin is None
        or length is None
        or begin.size != 1
        or length.size != 1
    ):
        return False
    starts = int(begin.reshape(-1)[0]) == 0 or (
        node.op == "StridedSlice" and bool(cut.attr("begin_mask", int, 0) & 1)
    )
    return (
        starts
        and int(length.reshape(-1)[0]) == 1
        and not (node.op == "StridedSlice" and cut.attr("end_mask", int, 0))
    )


def _one_value(at: ConverterContext, position: int) -> bool:
    node = at.producer(position)
    if node is None:
        return False
    if node.op == "Const":
        value = at.constant(position)
        return value is not None and value.shape == (1,)
    product = at.of(node).producer(0) if node.op == "ExpandDims" else None
    return product is not None and product.op == "Prod"


@converts("Transpose")
def transpose(at: ConverterContext) -> list[UffNode]:
    """Transpose by a constant permutation, batch included."""
    order = at.ints(1, "permutation")
    if order and order[0] != 0:
        raise at.refused(f"moves the batch ({list(order)}); the parser keeps it first")
    return [at.uff("Transpose", (at.edge(0),), {"permutation": UffValue.ints(order)})]


@converts("ExpandDims")
def expand_dims(at: ConverterContext) -> list[UffNode]:
    """ExpandDims at a constant axis."""
    return [at.uff("ExpandDims", (at.edge(0),), {"axis": UffValue("i", at.axis(at.integer(1, "axis"), 1))})]


@converts("Squeeze")
def squeeze(at: ConverterContext) -> list[UffNode]:
    """Squeeze of named axes; without names the batch of 1 would go too."""
    axes = at.int_list("squeeze_dims") or at.int_list("axis")
    if not axes:
        raise at.refused(
            "names no axes, so the batch of 1 would be taken out as well; UFF keeps the batch",
            "set its attribute 'squeeze_dims' (step 'set-attr')",
        )
    return [at.uff("Squeeze", (at.edge(0),), {"axes": UffValue.ints(tuple(map(at.axis, axes)))})]


@converts("Pack")
def stack(at: ConverterContext) -> list[UffNode]:
    """Stack."""
    return [at.uff("Stack", at.edges(), {"axis": UffValue("i", at.axis(at.attr("axis", int, 0), 1))})]


@converts("ConcatV2")
def concat(at: ConverterContext) -> list[UffNode]:
    """Concat; a plugin's complete run of outputs is one edge."""
    if "axis" in at.attrs:
        return [at.uff("Concat", at.edges(), {"axis": UffValue("i", at.axis(at.attr("axis", int, 0)))})]
    axis = at.axis(at.integer(-1, "axis"))
    return [at.uff("Concat", at.edges(0, -1), {"axis": UffValue("i", axis)})]


@converts("Concat")
def concat_axis_first(at: ConverterContext) -> list[UffNode]:
    """Concat as TensorFlow wrote it before version 1: the axis comes first."""
    axis = at.integer(0, "axis")
    if axis < 0:
        raise at.refused(
            f"has the axis {axis}; the parser counts axes from the front", "write the axis as a number from 0"
        )
    return [at.uff("Concat", at.edges(1), {"axis": UffValue("i", axis)})]
