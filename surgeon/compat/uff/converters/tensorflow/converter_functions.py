"""A function for each operation that UFF has, as the incumbent converter 0.6.3 maps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.compat.constants import constant_value, element_type
from surgeon.compat.messages import clean
from surgeon.compat.uff.converters.tensorflow.converter import (
    TensorFlowToUFFConverter,
    UffGraph,
    attrs_of,
    field_of,
    sizes,
)
from surgeon.compat.uff.model.utils import convert_to_str
from surgeon.diagnostics import error
from surgeon.display import plural
from surgeon.formats.graphdef.messages import attr_from_message
from surgeon.formats.uff.model import DTYPE_NUMBERS, UffValue
from surgeon.formats.uff.ops.elementwise import ACTIVATION, BINARY, UNARY
from surgeon.formats.uff.ops.pooling import FUNC as POOL
from surgeon.formats.uff.ops.reduction import FUNC as REDUCE
from surgeon.graph import DType, Shape, TensorValue

register = TensorFlowToUFFConverter.register
Nodes = Mapping[str, Any]

NEARLY = {"AddV2": "Add", "FusedBatchNormV3": "FusedBatchNorm", "FusedBatchNormV2": "FusedBatchNorm"}
"""Operations that the converter does not know, and what computes the same and that it knows."""


def convert_custom(name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, **_: Any) -> list[str]:
    """Write an operation that UFF does not have, such as a plugin, with all its attributes as fields."""
    fields = {key: field_of(value) for key, value in attrs_of(tf_node).items()}
    uff_graph.add(name, f"_{tf_node.op}", inputs, **fields)
    return inputs


@register("Placeholder")
def convert_placeholder(
    name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, **_: Any
) -> list[str]:
    """Input: element type and shape, as the graph states them."""
    shape = _attr(tf_node, "shape", Shape())
    dtype = element_type(tf_node)
    if dtype not in DTYPE_NUMBERS:
        field = field_of(dtype)
    else:
        field = UffValue("dtype", dtype)
    uff_graph.add(name, "Input", dtype=field, shape=UffValue.ints(sizes(shape)))
    return inputs


@register("Const")
def convert_const(name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, **_: Any) -> list[str]:
    """Const: one value for all elements is written for each of them."""
    uff_graph.const(name, constant_value(tf_node))
    return inputs


@register("Identity")
def convert_identity(name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, **_: Any) -> list[str]:
    """Identity."""
    uff_graph.add(name, "Identity", _some(tf_node, inputs, 1))
    return inputs


# AddV2 is none of them: NVIDIA's converter leaves it as a custom operation.
@register([op for op in BINARY if op != "AddV2"])
def convert_binary(name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, **_: Any) -> list[str]:
    """Binary."""
    uff_graph.add(name, "Binary", _some(tf_node, inputs, 2), func=UffValue("s", BINARY[tf_node.op]))
    return inputs


@register([*UNARY, "Negative"])
def convert_unary(name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, **_: Any) -> list[str]:
    """Unary."""
    func = UNARY.get(tf_node.op, "neg")
    uff_graph.add(name, "Unary", _some(tf_node, inputs, 1), func=UffValue("s", func))
    return inputs


@register(list(ACTIVATION))
def convert_activation(
    name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, **_: Any
) -> list[str]:
    """Activation."""
    func = UffValue("s", ACTIVATION[tf_node.op])
    uff_graph.add(name, "Activation", _some(tf_node, inputs, 1), func=func)
    return inputs


@register("BiasAdd")
def convert_bias_add(
    name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, tf_nodes: Nodes, **_: Any
) -> list[str]:
    """Binary add; in channels-first layout the bias is stated as [C, 1, 1]."""
    tensor, bias = _some(tf_node, inputs, 2)
    if tf_nodes[bias].op == "Const":
        value = constant_value(tf_nodes[bias])
        if _is_first(tf_node):
            value = TensorValue.of(value.array().reshape(-1, 1, 1), value.dtype)
        uff_graph.const(bias, value)
    uff_graph.add(name, "Binary", [tensor, bias], func=UffValue("s", "add"))
    return inputs


@register(["Conv2D", "DepthwiseConv2dNative"])
def convert_conv(
    name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, tf_nodes: Nodes, **_: Any
) -> list[str]:
    """Conv; a depthwise one has as many groups as input channels.

    One that was made of a chain with SpaceToBatchND and BatchToSpaceND has their constants as inputs.
    """
    fields: dict[str, UffValue | None] = {"strides": _spatial(tf_node, "strides")}
    if "dilations" in tf_node.attr:
        fields["dilation"] = _spatial(tf_node, "dilations")
    if tf_node.op == "DepthwiseConv2dNative":
        fields["number_groups"] = UffValue("i", _weights_shape(tf_node, inputs, tf_nodes)[2])
    if len(inputs) == 5:
        return _dilated(name, tf_node, inputs, uff_graph, tf_nodes, fields)
    inputs, padding, others = _padded(tf_node, inputs, tf_nodes)
    orders = uff_graph.orders(_layout(tf_node), "+CK")
    ends = _some(tf_node, inputs, 2)
    uff_graph.add(name, "Conv", ends, inputs_orders=orders, **{**fields, **padding, **others})
    return inputs


def _dilated(
    name: str,
    tf_node: Any,
    inputs: list[str],
    uff_graph: UffGraph,
    tf_nodes: Nodes,
    fields: dict[str, UffValue | None],
) -> list[str]:
    tensor, weights, block, paddings, crops = inputs
    values = [constant_value(tf_nodes[each]).array().reshape(-1) for each in (block, paddings, crops)]
    fields["dilation"] = UffValue.ints(tuple(int(v) for v in values[0]))
    kept = [int(v) for v in values[1] - values[2]]
    if kept[::2] != kept[1::2]:
        raise error(
            "X104",
            f"'{name}' (Conv2D) would be padded by {kept}; UFF pads a dilated convolution alike at both ends",
            name,
            help=["export the model with the 'dilations' of Conv2D"],
        )
    if any(kept):
        fields["padding"] = UffValue.ints(tuple(kept[::2]))
    orders = uff_graph.orders(_layout(tf_node), "+CK")
    uff_graph.add(name, "Conv", [tensor, weights], inputs_orders=orders, **fields)
    return [tensor, weights]


@register("Conv2DBackpropInput")
def convert_conv_transpose(
    name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, tf_nodes: Nodes, **_: Any
) -> list[str]:
    """ConvTranspose: the tensor, the weights, and the shape of the result."""
    shape, weights, tensor = _some(tf_node, inputs, 3)
    moved, padding, others = _padded(tf_node, [tensor, weights, shape], tf_nodes)
    orders = uff_graph.orders(_layout(tf_node), "+KC")
    strides = _spatial(tf_node, "strides")
    uff_graph.add(name, "ConvTranspose", moved, inputs_orders=orders, strides=strides, **padding, **others)
    return moved


@register(list(POOL))
def convert_pool(
    name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, tf_nodes: Nodes, **_: Any
) -> list[str]:
    """Pool."""
    inputs, padding, others = _padded(tf_node, inputs, tf_nodes)
    uff_graph.add(
        name,
        "Pool",
        _some(tf_node, inputs, 1),
        func=UffValue("s", POOL[tf_node.op]),
        kernel=_spatial(tf_node, "ksize"),
        strides=_spatial(tf_node, "strides"),
        inputs_orders=uff_graph.orders(_layout(tf_node)),
        **padding,
        **others,
    )
    return inputs


@register("LRN")
def convert_lrn(name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, **_: Any) -> list[str]:
    """LRN, the radius as the width of the window."""
    uff_graph.add(
        name,
        "LRN",
        _some(tf_node, inputs, 1),
        window_size=UffValue("i", _attr(tf_node, "depth_radius", 5)),
        alpha=UffValue("d", _attr(tf_node, "alpha", 1.0)),
        beta=UffValue("d", _attr(tf_node, "beta", 0.5)),
        k=UffValue("d", _attr(tf_node, "bias", 1.0)),
        inputs_orders=uff_graph.orders("N+C"),
    )
    return inputs


@register("MatMul")
def convert_matmul(name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, **_: Any) -> list[str]:
    """FullyConnected; the orders say which side is transposed."""
    left = "CN" if _attr(tf_node, "transpose_a", False) else "NC"
    right = "KC" if _attr(tf_node, "transpose_b", False) else "CK"
    orders = uff_graph.orders(left, right)
    uff_graph.add(name, "FullyConnected", _some(tf_node, inputs, 2), inputs_orders=orders)
    return inputs


# FusedBatchNormV3 is none: NVIDIA's converter leaves it as a custom operation.
@register("FusedBatchNorm")
def convert_batch_norm(
    name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, **_: Any
) -> list[str]:
    """BatchNorm over the tensor, scale, offset, mean and variance."""
    uff_graph.add(
        name,
        "BatchNorm",
        _some(tf_node, inputs, 5),
        epsilon=UffValue("d", _attr(tf_node, "epsilon", 1e-4)),
        inputs_orders=uff_graph.orders(_layout(tf_node)),
    )
    return inputs


@register("Softmax")
def convert_softmax(
    name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, tf_nodes: Nodes, **_: Any
) -> list[str]:
    """Softmax over the axis that a second, constant input names, else over axis 0."""
    axis = _integer(tf_node, inputs[1], tf_nodes, "axis") if len(inputs) > 1 else 0
    uff_graph.add(
        name,
        "Softmax",
        _some(tf_node, inputs, 1),
        axis=UffValue("i", axis),
        inputs_orders=uff_graph.orders(_layout(tf_node)),
    )
    return inputs[:1]


@register("Shape")
def convert_shape(name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, **_: Any) -> list[str]:
    """Shape."""
    uff_graph.add(name, "Shape", _some(tf_node, inputs, 1))
    return inputs


@register(["ExpandDims", "ArgMax", "ArgMin"])
def convert_at_axis(
    name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, tf_nodes: Nodes, **_: Any
) -> list[str]:
    """ExpandDims, ArgMax and ArgMin at a constant axis."""
    tensor, axis = _some(tf_node, inputs, 2)
    at = UffValue("i", _integer(tf_node, axis, tf_nodes, "axis"))
    uff_graph.add(name, tf_node.op, [tensor], axis=at)
    return [tensor]


@register("Reshape")
def convert_reshape(name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, **_: Any) -> list[str]:
    """Reshape, or Flatten where the namespace around it has that word."""
    scope = name.split("/")[-2] if "/" in name else ""
    if "flatten" in scope:
        uff_graph.add(name, "Flatten", _some(tf_node, inputs, 1))
        return inputs[:1]
    uff_graph.add(name, "Reshape", _some(tf_node, inputs, 2))
    return inputs


@register("Transpose")
def convert_transpose(
    name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, tf_nodes: Nodes, **_: Any
) -> list[str]:
    """Transpose by a constant permutation."""
    tensor, order = _some(tf_node, inputs, 2)
    permutation = _ints(tf_node, order, tf_nodes, "permutation")
    uff_graph.add(name, "Transpose", [tensor], permutation=UffValue.ints(permutation))
    return [tensor]


@register("Pack")
def convert_pack(name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, **_: Any) -> list[str]:
    """Stack."""
    uff_graph.add(name, "Stack", _data(tf_node, inputs), axis=UffValue("i", _attr(tf_node, "axis", 0)))
    return inputs


@register("ConcatV2")
def convert_concat(
    name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, tf_nodes: Nodes, **_: Any
) -> list[str]:
    """Concat along the attribute ``axis``, as scripts make it, else along the last input."""
    inputs = _data(tf_node, inputs)
    if "axis" in tf_node.attr:
        axis = _attr(tf_node, "axis", 0)
    else:
        *inputs, last = _some(tf_node, inputs, len(inputs) or 1)
        axis = _integer(tf_node, last, tf_nodes, "axis")
    uff_graph.add(name, "Concat", inputs, axis=UffValue("i", axis))
    return inputs


@register("StridedSlice")
def convert_strided_slice(
    name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, **_: Any
) -> list[str]:
    """StridedSlice; masks for an ellipsis and for new axes have no place in UFF."""
    for mask in ("ellipsis_mask", "new_axis_mask"):
        if _attr(tf_node, mask, 0):
            raise error(
                "X104",
                f"'{name}' (StridedSlice) has the {mask} {_attr(tf_node, mask, 0)}; UFF has masks for begin, "
                "end and shrinking only",
                name,
                help=["map its namespace to a plugin"],
            )
    masks = ("begin_mask", "end_mask", "shrink_axis_mask")
    fields = {mask: UffValue("i", _attr(tf_node, mask, 0)) for mask in masks}
    uff_graph.add(name, "StridedSlice", _some(tf_node, inputs, 4), **fields)
    return inputs


@register(list(REDUCE))
def convert_reduce(
    name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, tf_nodes: Nodes, **_: Any
) -> list[str]:
    """Reduce over constant axes."""
    tensor, axes = _some(tf_node, inputs, 2)
    uff_graph.add(
        name,
        "Reduce",
        [tensor],
        func=UffValue("s", REDUCE[tf_node.op]),
        axes=UffValue.ints(_ints(tf_node, axes, tf_nodes, "axes")),
        keepdims=UffValue("b", _attr(tf_node, "keep_dims", False)),
    )
    return [tensor]


@register("Squeeze")
def convert_squeeze(name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, **_: Any) -> list[str]:
    """Squeeze of named axes."""
    axes = _attr(tf_node, "squeeze_dims", ())
    uff_graph.add(name, "Squeeze", _some(tf_node, inputs, 1), axes=UffValue.ints(axes))
    return inputs


@register("Pad")
def convert_pad(name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, **_: Any) -> list[str]:
    """Pad."""
    uff_graph.add(name, "Pad", _some(tf_node, inputs, 2))
    return inputs


@register(["Gather", "ResourceGather"])
def convert_gather(name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, **_: Any) -> list[str]:
    """Gather along the first axis."""
    uff_graph.add(
        name,
        "Gather",
        _some(tf_node, inputs, 2),
        **_gather_types(tf_node),
        validate_indices=UffValue("b", _attr(tf_node, "validate_indices", True)),
    )
    return inputs


@register("GatherV2")
def convert_gather_v2(
    name: str, tf_node: Any, inputs: list[str], uff_graph: UffGraph, tf_nodes: Nodes, **_: Any
) -> list[str]:
    """GatherV2 along a constant axis."""
    tensor, indices, axis = _some(tf_node, inputs, 3)
    at = UffValue("i", _integer(tf_node, axis, tf_nodes, "axis"))
    uff_graph.add(name, "GatherV2", [tensor, indices], axis=at, **_gather_types(tf_node))
    return [tensor, indices]


def _gather_types(tf_node: Any) -> dict[str, UffValue | None]:
    return {
        "indices_dtype": field_of(_attr(tf_node, "Tindices", DType.INT32)),
        "params_dtype": field_of(_attr(tf_node, "Tparams", _attr(tf_node, "dtype", DType.FLOAT32))),
    }


# What the functions share


def _data(tf_node: Any, inputs: list[str]) -> list[str]:
    """Return the inputs without control edges, which stand last."""
    return inputs[: len(inputs) - sum(spelling.startswith("^") for spelling in tf_node.input)]


def _some(tf_node: Any, inputs: Sequence[str], count: int) -> list[str]:
    """Return the first ``count`` inputs; raise SurgeonError X104 where there are fewer."""
    if len(inputs) < count:
        raise error(
            "X104",
            f"'{tf_node.name}' ({tf_node.op}) has {plural(len(inputs), 'input')}; expected {count}",
            tf_node.name,
            [f"it reads {', '.join(map(repr, inputs))}"] if inputs else (),
            ["an edit of the script took an input out; compare the graph before and after it"],
        )
    return list(inputs[:count])


def _attr(tf_node: Any, key: str, default: Any) -> Any:
    """Return an attribute, or the default where there is none or one of another type."""
    value = attr_from_message(tf_node.attr[key]) if key in tf_node.attr else default
    return value if isinstance(value, type(default)) else default


def _is_first(tf_node: Any) -> bool:
    """Return whether channels come first; raise SurgeonError X104 for a layout that UFF lacks."""
    layout = convert_to_str(_attr(tf_node, "data_format", b"")) or "NHWC"
    if layout not in ("NHWC", "NCHW"):
        raise error(
            "X104",
            f"'{tf_node.name}' ({tf_node.op}) has the layout '{layout}'; UFF has NHWC and NCHW",
            tf_node.name,
        )
    return layout == "NCHW"


def _layout(tf_node: Any) -> str:
    return "NC+" if _is_first(tf_node) else "N+C"


def _spatial(tf_node: Any, key: str) -> UffValue:
    """Return height and width of a list of four."""
    values = _attr(tf_node, key, ())
    if len(values) != 4:
        raise error(
            "X104",
            f"'{tf_node.name}' ({tf_node.op}) has {list(values)} as its '{key}'; expected four numbers",
            tf_node.name,
        )
    return UffValue.ints(values[2:] if _is_first(tf_node) else values[1:3])


def _padded(
    tf_node: Any, inputs: list[str], tf_nodes: Nodes
) -> tuple[list[str], dict[str, UffValue], dict[str, UffValue]]:
    """Return inputs, padding and further fields, as the function says that scripts patch."""
    inputs, padding, fields = TensorFlowToUFFConverter.apply_fused_padding(tf_node, list(inputs), tf_nodes)
    listed = {} if padding is None else {"padding": UffValue.ints(tuple(padding))}
    return [clean(each) for each in inputs], listed, {k: UffValue("s", v) for k, v in fields.items()}


def _weights_shape(tf_node: Any, inputs: Sequence[str], tf_nodes: Nodes) -> tuple[int, ...]:
    node = tf_nodes[_some(tf_node, inputs, 2)[1]]
    shape = constant_value(node).shape if node.op == "Const" else ()
    if len(shape) != 4:
        raise _not_constant(tf_node, node, "weights")
    return shape


def _ints(tf_node: Any, source: str, tf_nodes: Nodes, what: str) -> tuple[int, ...]:
    """Return a constant input as integers; raise SurgeonError X102 for one that is computed."""
    node = tf_nodes[source]
    if node.op != "Const":
        raise _not_constant(tf_node, node, what)
    return tuple(int(v) for v in constant_value(node).array().reshape(-1))


def _integer(tf_node: Any, source: str, tf_nodes: Nodes, what: str) -> int:
    values = _ints(tf_node, source, tf_nodes, what)
    if len(values) != 1:
        raise _not_constant(tf_node, tf_nodes[source], what)
    return values[0]


def _not_constant(tf_node: Any, source: Any, what: str) -> Exception:
    return error(
        "X102",
        f"the {what} of '{tf_node.name}' ({tf_node.op}) is '{source.name}' ({source.op}); UFF needs a "
        "constant",
        tf_node.name,
        help=["fold it, or map its namespace to a plugin"],
    )
