"""Constants of scripts' graphs as values."""

from __future__ import annotations

from typing import Any

from surgeon.diagnostics import error
from surgeon.formats.graphdef.messages import TYPE_NUMBERS, TYPES, tensor_from_message
from surgeon.formats.graphdef.protos import TensorProto
from surgeon.graph import DType, Tensor

_REFERENCE = 100
"""What the number of a reference type is above that of the type."""


def constant_value(node: Any) -> Tensor:
    """Return the value of a node's attribute ``value``.

    Where the tensor states no element type, as those that scripts make of arrays, the attribute ``dtype``
    does, or else the number of bytes. Raise SurgeonError P104 where the node has no value, or one that
    cannot be read.
    """
    if "value" not in node.attr or not node.attr["value"].HasField("tensor"):
        raise error(
            "P104",
            f"the node '{node.name}' ({node.op}) has no constant value; expected a Const",
            help=["read the value of a constant, or fold the node first"],
        )
    message = node.attr["value"].tensor
    if not message.dtype or not isinstance(message, TensorProto):
        message = TensorProto.FromString(message.SerializeToString())
        message.dtype = message.dtype or TYPE_NUMBERS[element_type(node)]
    tensor = tensor_from_message(message)
    if tensor is None:
        raise error(
            "P104",
            f"the value of '{node.name}' ({node.op}) cannot be read: its type, shape and bytes do not agree",
            help=["set the node's 'dtype' to the type of the array that the script gives as its value"],
        )
    return tensor


def element_type(node: Any) -> DType:
    """Return the element type that a node states; float32 where it states none, as users' patches set it.

    Raise SurgeonError P104 for a type that this package does not know.
    """
    stated = node.attr["dtype"].type if "dtype" in node.attr else 0
    if not stated and "value" in node.attr:
        tensor = node.attr["value"].tensor
        stated = tensor.dtype
        count = 1
        for dim in tensor.tensor_shape.dim:
            count *= dim.size
        if not stated and count and len(tensor.tensor_content) == 8 * count:
            return DType.FLOAT64
    if not stated:
        return DType.FLOAT32
    if stated % _REFERENCE not in TYPES:
        raise error(
            "P104",
            f"the node '{node.name}' ({node.op}) has the element type {stated}; expected one of TensorFlow's",
            help=["set its 'dtype' to a type such as tf.float32"],
        )
    return TYPES[stated % _REFERENCE]
