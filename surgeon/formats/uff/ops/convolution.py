"""Convolutions, what pads them, and dilation written as SpaceToBatchND and BatchToSpaceND."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.formats.uff.conversion import ConverterContext, converts
from surgeon.formats.uff.model import UffNode, UffValue
from surgeon.graph import DType, TensorValue

Pads = Sequence[tuple[int, int]]


@converts("Conv2D", "DepthwiseConv2dNative")
def convolution(at: ConverterContext) -> list[UffNode]:
    """Conv; a depthwise one has as many groups as input channels."""
    return convolve(at, at, at.node.name)


def convolve(
    at: ConverterContext,
    source: ConverterContext,
    name: str,
    dilation: tuple[int, int] | None = None,
    pads: Pads | None = None,
) -> list[UffNode]:
    """Return the Conv of ``at`` called ``name``, reading input 0 of ``source``.

    It is padded by ``pads`` where these are given. Raise SurgeonError X102 for weights that are computed.
    """
    if at.tensor(1) is None:
        raise at.not_constant(1, "weights")
    fields: dict[str, UffValue] = {"inputs_orders": at.orders(at.activations, "+CK")}
    if at.node.op == "DepthwiseConv2dNative":
        fields["number_groups"] = UffValue("i", channels_in(at))
    fields["strides"] = UffValue.ints(at.spatial(at.int_list("strides", (1, 1, 1, 1)), "strides"))
    dilated = dilation or at.spatial(at.int_list("dilations", (1, 1, 1, 1)), "dilations")
    if dilated != (1, 1):
        fields["dilation"] = UffValue.ints(dilated)
    before, read = padding(at, fields, fold=True) if pads is None else padded(source, fields, pads)
    return [*before, UffNode(name, "Conv", (read, at.edge(1)), fields)]


def channels_in(at: ConverterContext) -> int:
    """Return the input channels of a depthwise convolution: axis 2 of its weights, a constant."""
    weights = at.tensor(1)
    if weights is None:
        raise at.not_constant(1, "weights")
    if len(weights.shape) != 4:
        raise at.refused("has weights that are not of rank 4; expected [height, width, channels, multiplier]")
    return weights.shape[2]


def padding(at: ConverterContext, fields: dict[str, UffValue], fold: bool) -> tuple[list[UffNode], str]:
    """Put the padding into ``fields``; return nodes to write first, and what the op then reads.

    SAME is the parser's own; explicit padding that is symmetric goes into ``padding``, other becomes a Pad
    node. With ``fold``, a symmetric Pad that a VALID op reads goes into ``padding`` too.
    """
    kind = at.text("padding", "VALID")
    if kind == "SAME":
        fields["implicit_padding"] = UffValue("s", "same")
        return [], at.edge(0)
    if kind == "EXPLICIT":
        listed = at.int_list("explicit_paddings")
        if len(listed) != 8:
            raise at.refused(f"has {list(listed)} as its explicit paddings; expected eight numbers")
        return padded(at, fields, spatial_pads(at, [(listed[i], listed[i + 1]) for i in range(0, 8, 2)]))
    if kind != "VALID":
        raise at.refused(f"has the padding '{kind}'; UFF has SAME, VALID and explicit numbers")
    folded = _folded(at) if fold else None
    if folded is None:
        return [], at.edge(0)
    height, width, read = folded
    fields["padding"] = UffValue.ints((height, width))
    return [], read


def padded(at: ConverterContext, fields: dict[str, UffValue], pads: Pads) -> tuple[list[UffNode], str]:
    """Put symmetric padding into ``fields``, or return a Pad node for other."""
    (top, bottom), (left, right) = pads
    if min(top, bottom, left, right) < 0:
        raise at.refused(f"would be padded by {[list(p) for p in pads]}; expected no negative number")
    if (top, left) == (bottom, right):
        if (top, left) != (0, 0):
            fields["padding"] = UffValue.ints((top, left))
        return [], at.edge(0)
    amounts = at.extra_const(
        "paddings", TensorValue.of([(0, 0), (0, 0), (top, bottom), (left, right)], DType.INT32)
    )
    pad = UffNode(at.export.fresh(f"{at.node.name}/pad"), "Pad", (at.edge(0), amounts.id))
    return [amounts, pad], pad.id


def spatial_pads(at: ConverterContext, four: Sequence[tuple[int, int]]) -> Pads:
    """Return the pairs of height and width out of four; raise X104 where batch or channels are padded."""
    where = (1, 2) if at.data_format == "NHWC" else (2, 3)
    if any(pair != (0, 0) for i, pair in enumerate(four) if i not in where):
        raise at.refused(f"pads batch or channels ({[list(p) for p in four]}); UFF pads height and width")
    return four[where[0]], four[where[1]]


def pad_amounts(at: ConverterContext) -> list[tuple[int, int]] | None:
    """Return the pairs by which a Pad node pads.

    Return None where it does more than pad with zeros by constant amounts.
    """
    if at.node.op not in ("Pad", "PadV2"):
        return None
    value = at.constant(1)
    if value is None or value.ndim != 2 or value.shape[1] != 2:
        return None
    if at.node.op == "PadV2":
        filling = at.constant(2)
        if filling is None or filling.any():
            return None
    return [(int(a), int(b)) for a, b in value]


def _folded(at: ConverterContext) -> tuple[int, int, str] | None:
    """Return (height, width, input) where input 0 is a Pad that pads height and width symmetrically."""
    pad = at.producer(0)
    found = pad_amounts(at.of(pad)) if pad is not None else None
    if pad is None or found is None or len(found) != 4:
        return None
    where = (1, 2) if at.data_format == "NHWC" else (2, 3)
    if any(pair != (0, 0) for i, pair in enumerate(found) if i not in where):
        return None
    (top, bottom), (left, right) = found[where[0]], found[where[1]]
    if (top, left) != (bottom, right) or min(top, left) < 0:
        return None
    return top, left, at.of(pad).edge(0)


@converts("BatchToSpaceND")
def dilated_convolution(at: ConverterContext) -> list[UffNode]:
    """Conv with ``dilation``: SpaceToBatchND, a VALID convolution of stride 1, and BatchToSpaceND are one."""
    inner = at.producer(0)
    if inner is None or inner.op not in ("Conv2D", "DepthwiseConv2dNative"):
        raise at.refused(*_NO_CHAIN)
    conv = at.of(inner)
    outer = conv.producer(0)
    if outer is None or outer.op != "SpaceToBatchND":
        raise at.refused(*_NO_CHAIN)
    split = at.of(outer)
    block, other = at.ints(1, "block shape"), split.ints(1, "block shape")
    strides = conv.spatial(conv.int_list("strides", (1, 1, 1, 1)), "strides")
    if block != other or len(block) != 2 or conv.text("padding", "VALID") != "VALID" or strides != (1, 1):
        raise at.refused(
            f"has the block {list(block)} and its SpaceToBatchND {list(other)}; expected equal pairs, and a "
            "VALID "
            "convolution of stride 1 between them",
            "export the model with the 'dilations' of Conv2D",
        )
    pads, crops = split.ints(2, "paddings"), at.ints(2, "crops")
    if len(pads) != 4 or len(crops) != 4:
        raise at.refused(f"has {len(crops)} crops and {len(pads)} paddings; expected four each")
    kept = [pads[i] - crops[i] for i in range(4)]
    return convolve(conv, split, at.node.name, (block[0], block[1]), ((kept[0], kept[1]), (kept[2], kept[3])))


_NO_CHAIN = (
    "is not the end of SpaceToBatchND, Conv2D, BatchToSpaceND; UFF has that chain only, as a dilated "
    "convolution",
    "export the model with the 'dilations' of Conv2D, or without ops inside the chain",
)


@converts("Conv2DBackpropInput")
def transposed_convolution(at: ConverterContext) -> list[UffNode]:
    """ConvTranspose: the tensor, the weights, and the shape of the result."""
    if at.spatial(at.int_list("dilations", (1, 1, 1, 1)), "dilations") != (1, 1):
        raise at.refused("is dilated; UFF's transposed convolution is not")
    fields: dict[str, UffValue] = {"inputs_orders": at.orders(at.activations, "+KC")}
    fields["strides"] = UffValue.ints(at.spatial(at.int_list("strides", (1, 1, 1, 1)), "strides"))
    kind = at.text("padding", "VALID")
    if kind == "SAME":
        fields["implicit_padding"] = UffValue("s", "same")
    elif kind == "EXPLICIT":
        listed = at.int_list("explicit_paddings")
        if len(listed) != 8 or listed[::2] != listed[1::2]:
            raise at.refused(
                f"has the explicit paddings {list(listed)}; UFF's transposed convolution takes symmetric ones"
            )
        pairs = spatial_pads(at, [(listed[i], listed[i + 1]) for i in range(0, 8, 2)])
        fields["padding"] = UffValue.ints((pairs[0][0], pairs[1][0]))
    at.ints(0, "output shape")
    return [at.uff("ConvTranspose", (at.edge(2), at.edge(1), at.edge(0)), fields)]


@converts("Pad", "PadV2")
def pad(at: ConverterContext) -> list[UffNode]:
    """Pad with zeros; a PadV2 that fills with another number is refused.

    The parser reads the amounts of four axes as batch, channel, height and width, whatever the graph's
    layout.
    """
    at.ints(1, "paddings")
    amounts = pad_amounts(at)
    if amounts is None:
        raise at.refused(
            "pads with another value than 0, or by a list that is not of pairs; UFF pads with zeros"
        )
    if len(amounts) != 4 or not at.export.channels_last:
        return [at.uff("Pad", (at.edge(0), at.edge(1)))]
    batch, height, width, channel = amounts
    ordered = at.extra_const("paddings_nchw", TensorValue.of([batch, channel, height, width], DType.INT32))
    return [ordered, at.uff("Pad", (at.edge(0), ordered.id))]
