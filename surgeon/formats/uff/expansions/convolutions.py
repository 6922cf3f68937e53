"""Dilated convolutions that TensorFlow writes as SpaceToBatchND, a convolution and BatchToSpaceND, and
convolutions behind a Pad.
"""

from __future__ import annotations

from surgeon.formats.uff.expansion import Expanded, Expansion
from surgeon.graph import AttrValue, Node

_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")
_BETWEEN = frozenset({"BiasAdd", "Elu", "LeakyRelu", "Relu", "Relu6", "Selu", "Sigmoid", "Softplus", "Tanh"})
"""What may stand between a convolution and BatchToSpaceND, since it treats each place alike."""

_DEPTH = 8


def _dilated(at: Expansion) -> Expanded:
    """One convolution with ``dilations``, behind a Pad where the two leave some padding."""
    chain = _chain(at)
    if chain is None:
        return None
    split, *steps = chain
    shape, block, pads, crops = at.dims(split.inputs[0]), at.ints(1), at.value(split.inputs[2]), at.value(2)
    conv = next(node for node in steps if node.op in _CONVOLUTIONS)
    if shape is None or block is None or pads is None or crops is None or at.ints(split.inputs[1]) != block:
        return None
    kept = (pads - crops).tolist()
    spatial = _spatial(at, steps, shape, block)
    if spatial is None or min(map(min, kept)) < 0 or not _plain(conv):
        return None
    found = split.inputs[0]
    if any(map(any, kept)):
        amounts = [[0, 0], *kept, *([[0, 0]] * (len(shape) - 1 - len(kept)))]
        found = at.op("Pad", found, at.whole(amounts))
    for node in steps:
        attrs: dict[str, AttrValue] = dict(node.attrs)
        if node is conv:
            attrs["dilations"] = (1, *spatial, 1)
        found = at.op(node.op, found, *node.inputs[1:], **attrs)
    return found


def _chain(at: Expansion) -> list[Node] | None:
    """Return the SpaceToBatchND, and the nodes from there to this one."""
    steps: list[Node] = []
    node = at.source(at.inputs[0])
    for _ in range(_DEPTH):
        if len(at.readers(node)) != 1:
            return None
        if node.op == "SpaceToBatchND":
            convolutions = [step for step in steps if step.op in _CONVOLUTIONS]
            return [node, *steps] if len(convolutions) == 1 else None
        if node.op not in (*_CONVOLUTIONS, *_BETWEEN, "ExpandDims", "Squeeze"):
            return None
        steps.insert(0, node)
        node = at.source(node.inputs[0])
    return None


def _spatial(
    at: Expansion, steps: list[Node], shape: tuple[int, ...], block: list[int]
) -> tuple[int, int] | None:
    """Return the dilation of height and width; None where the nodes do not keep the place of the axes."""
    shaping = [node for node in steps if node.op in ("ExpandDims", "Squeeze")]
    if len(shape) == 4 and len(block) == 2 and not shaping:
        return block[0], block[1]
    if len(shape) != 3 or len(block) != 1 or [node.op for node in shaping] != ["ExpandDims", "Squeeze"]:
        return None
    rows_of_one = at.ints(shaping[0].inputs[1]) in ([1], [-3])
    if (
        steps[0] is not shaping[0]
        or not rows_of_one
        or shaping[1].attrs.get("squeeze_dims") not in ((1,), (-3,))
    ):
        return None
    return 1, block[0]


def _plain(conv: Node) -> bool:
    return (
        conv.attrs.get("padding", b"VALID") == b"VALID"
        and conv.attrs.get("data_format", b"NHWC") == b"NHWC"
        and conv.attrs.get("strides") == (1, 1, 1, 1)
        and conv.attrs.get("dilations", (1, 1, 1, 1)) == (1, 1, 1, 1)
    )


def _padded_as_same(at: Expansion) -> Expanded:
    """The convolution with padding SAME, where a Pad in front adds by zeros what that would.

    Symmetric amounts become those of the convolution when it is converted.
    """
    pad = at.source(at.inputs[0])
    if pad.op not in ("Pad", "PadV2") or at.attr("padding", b"") != b"VALID":
        return None
    dims, kernel, amounts = at.dims(pad.inputs[0]), at.dims(1), at.value(pad.inputs[1])
    strides = at.attr("strides", (1, 1, 1, 1))
    dilations = at.attr("dilations", (1, 1, 1, 1))
    if (
        dims is None
        or kernel is None
        or amounts is None
        or amounts.shape != (4, 2)
        or at.attr("data_format", b"NHWC") != b"NHWC"
        or (pad.op == "PadV2" and at.number(pad.inputs[2]) != 0)
        or (amounts[:, 0] == amounts[:, 1]).all()
    ):
        return None
    wanted = [(0, 0)]
    for size, length, stride, dilation in zip(dims[1:3], kernel, strides[1:3], dilations[1:3], strict=False):
        total = max((-(-size // stride) - 1) * stride + (length - 1) * dilation + 1 - size, 0)
        wanted.append((total // 2, total - total // 2))
    if amounts.tolist() != [list(pair) for pair in (*wanted, (0, 0))]:
        return None
    attrs: dict[str, AttrValue] = {**at.node.attrs, "padding": b"SAME"}
    return at.op(at.kind, pad.inputs[0], *at.inputs[1:], **attrs)


EXPANSIONS = {"BatchToSpaceND": _dilated, **dict.fromkeys(_CONVOLUTIONS, _padded_as_same)}
