"""Pooling."""

from __future__ import annotations

from surgeon.formats.uff.conversion import ConverterContext, converts
from surgeon.formats.uff.model import UffNode, UffValue
from surgeon.formats.uff.ops.convolution import padding

FUNC = {"MaxPool": "max", "AvgPool": "avg"}
_NEVER_NEGATIVE = frozenset({"Relu", "Relu6", "Sigmoid", "Softplus", "Abs", "Square", "Exp", "Sqrt"})


@converts(*FUNC)
def pool(at: ConverterContext) -> list[UffNode]:
    """Pool.

    A Pad before it is folded into ``padding`` only for a maximum over what is never negative: the zeros of a
    Pad are part of a mean and of a maximum over negative numbers, the parser's padding is not.
    """
    fields: dict[str, UffValue] = {
        "func": UffValue("s", FUNC[at.node.op]),
        "inputs_orders": at.orders(at.activations),
    }
    fields["kernel"] = UffValue.ints(at.spatial(at.int_list("ksize"), "kernel"))
    fields["strides"] = UffValue.ints(at.spatial(at.int_list("strides"), "strides"))
    explicit = at.int_list("explicit_paddings")
    if at.text("padding", "VALID") == "EXPLICIT" and explicit[::2] != explicit[1::2]:
        raise at.refused("has asymmetric explicit paddings; UFF's pooling takes symmetric ones")
    before, read = padding(at, fields, fold=at.node.op == "MaxPool" and _pads_what_is_never_negative(at))
    return [*before, at.uff("Pool", (read,), fields)]


def _pads_what_is_never_negative(at: ConverterContext) -> bool:
    pad = at.producer(0)
    if pad is None or pad.op not in ("Pad", "PadV2"):
        return False
    source = at.of(pad).producer(0)
    return source is not None and source.op in _NEVER_NEGATIVE
