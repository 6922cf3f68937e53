"""Constants in the element types that UFF has."""

from __future__ import annotations

from surgeon.diagnostics import SurgeonError, error
from surgeon.formats.uff.model import DTYPE_NUMBERS
from surgeon.graph import DType, Node, Shape, Tensor, TensorDigest, TensorValue

CONVERT_LIMIT = 1 << 28
"""Bytes of a constant above which its element type is not converted."""

_OTHER = {
    DType.FLOAT64: DType.FLOAT32,
    DType.BOOL: DType.INT32,
    DType.UINT8: DType.INT32,
    DType.UINT16: DType.INT32,
    DType.INT64: DType.INT32,
}
"""What a constant is written as instead.

UFF has int64, but TensorRT's parser refuses it: 'Invalid DataType value!'.
"""


def uff_dtype(node: Node, dtype: DType) -> DType:
    """Return the element type; raise X109 where UFF has none such."""
    if dtype not in DTYPE_NUMBERS:
        raise _no_such_type(node, dtype)
    return dtype


def in_uff_type(node: Node, tensor: Tensor) -> Tensor:
    """Return a constant as TensorRT reads it.

    Double becomes float; bool, small unsigned integers and int64 become int32. Raise X109 for any other
    element type, or where a value would change.
    """
    if isinstance(tensor, TensorDigest):
        raise error(
            "G113",
            f"the constant '{node.name}' is known by its digest only; the text form left its value out",
            node.name,
            help=["print the graph with all values (limit -1)"],
        )
    other = _OTHER.get(tensor.dtype)
    if other is None and tensor.dtype in DTYPE_NUMBERS:
        return tensor
    if other is None or tensor.count * 8 > CONVERT_LIMIT:
        raise _no_such_type(node, tensor.dtype)
    import numpy as np

    value = tensor.array()
    with np.errstate(over="ignore"):
        converted = value.astype(other.numpy())
    same = np.array_equal(converted.astype(value.dtype), value, equal_nan=value.dtype.kind == "f")
    if not same:
        raise error(
            "X109",
            f"the constant '{node.name}' is {tensor.dtype}, and its values change as {other}; "
            f"TensorRT reads no {tensor.dtype}",
            node.name,
            help=[f"export the model with {other} constants"],
        )
    return TensorValue.of(converted, other)


def _no_such_type(node: Node, dtype: DType) -> SurgeonError:
    help = ["UFF holds float32, float16, int8, int16, int32 and int64"]
    shape = node.attrs.get("shape")
    if node.op == "Placeholder" and isinstance(shape, Shape) and shape.rank == 0:
        help.append(f"give it the value that it has in every run: '--constant {node.name}=VALUE'")
    elif node.op == "Placeholder":
        help.append(
            "map the namespace that casts the image to float (such as 'Preprocessor') to the input node, "
            "or begin behind the cast by the step 'cut-at'"
        )
    elif dtype in (DType.STRING, DType.VARIANT, DType.RESOURCE):
        help.append("map the namespace that uses it to a plugin or to the input node")
    return error(
        "X109", f"'{node.name}' ({node.op}) is {dtype}, which UFF does not have", node.name, help=help
    )
