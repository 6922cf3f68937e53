"""Inputs and constants."""

from __future__ import annotations

from dataclasses import replace

from surgeon.formats.uff.constants import in_uff_type, uff_dtype
from surgeon.formats.uff.conversion import ConverterContext, const_node, constant_of, converts
from surgeon.formats.uff.model import UffNode, UffValue
from surgeon.graph import DType


@converts("Placeholder", "PlaceholderWithDefault")
def input_node(at: ConverterContext) -> list[UffNode]:
    """Input: element type, and shape with batch.

    A PlaceholderWithDefault of several numbers is fed, so it is an input too; one of one number is a switch
    and takes its default.
    """
    dtype = at.attrs.get("dtype")
    found = uff_dtype(at.node, dtype if isinstance(dtype, DType) else DType.FLOAT32)
    shape = at.export.input_shape(at.node)
    return [at.uff("Input", (), {"dtype": UffValue("dtype", found), "shape": UffValue.ints(shape)})]


@converts("Const")
def const(at: ConverterContext) -> list[UffNode]:
    """Const: the bytes go to the referenced data.

    What a plugin reads loses its batch of 1, as all of a plugin's tensors do.
    """
    tensor = constant_of(at.node)
    if tensor is None:
        raise at.refused("has no value that can be read; expected a tensor", "export the model again")
    tensor = in_uff_type(at.node, tensor)
    if len(tensor.shape) > 1 and tensor.shape[0] == 1:
        plugins, others = at.export.readers(at.node)
        if plugins and others:
            raise at.refused(
                f"is read by the plugin '{plugins[0]}', which takes it without its batch, and by "
                f"'{others[0]}', "
                "which does not",
                "give each a constant of its own",
            )
        if plugins:
            tensor = replace(tensor, shape=tensor.shape[1:])
    return [const_node(at.export, at.node.name, tensor)]
