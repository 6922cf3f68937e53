"""Putting a recipe's nodes into a graph: their inputs, their constant operands and their type attributes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from surgeon.diagnostics import nearest_note
from surgeon.display import plural
from surgeon.graph import Add, AttrValue, DType, Node, Ref, Shape, TensorSpec, TensorValue
from surgeon.graph.op_sets import PLACEHOLDERS
from surgeon.steps.step import NodeSpec, StepContext

COUNTED = MappingProxyType({"ConcatV2": 1, "Concat": 1, "Pack": 0, "AddN": 0})
"""Operations that read ``N`` tensors, with the number of inputs that ``N`` leaves out."""

_T: Mapping[str, int] = MappingProxyType({"T": 0})
_SAME_TYPE = """
    Abs Add AddN AddV2 Atan AvgPool BiasAdd Ceil Clip ClipByValue Conv2D Cos Cosh DepthToSpace
    DepthwiseConv2dNative Div Elu Equal Erf Exp Expm1 Floor FloorDiv FloorMod FusedBatchNorm Greater
    GreaterEqual Identity LeakyRelu Less LessEqual Log Log1p LogSoftmax MatMul MaxPool Maximum Minimum Mul
    Neg NotEqual OnesLike Pack Pow RealDiv Reciprocal Relu Relu6 Rint Round Rsqrt Selu Shape Sigmoid Sign
    Sin Sinh Size Softmax Softplus Softsign SpaceToDepth Sqrt Square SquaredDifference Squeeze
    StopGradient Sub Tan Tanh Unpack ZerosLike
""".split()
_TYPES: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        **dict.fromkeys(_SAME_TYPE, _T),
        **{op: {"T": 0, "Tidx": 1} for op in ("ArgMax", "Max", "Mean", "Min", "Prod", "Sum")},
        "Cast": {"SrcT": 0},
        "Concat": {"T": 1},
        "ConcatV2": {"T": 0, "Tidx": -1},
        "ExpandDims": {"T": 0, "Tdim": 1},
        "Fill": {"T": 1, "index_type": 0},
        "Gather": {"Tparams": 0, "Tindices": 1},
        "GatherV2": {"Tparams": 0, "Tindices": 1, "Taxis": 2},
        "Pad": {"T": 0, "Tpaddings": 1},
        "PadV2": {"T": 0, "Tpaddings": 1},
        "Range": {"Tidx": 0},
        "Reshape": {"T": 0, "Tshape": 1},
        "ResizeBilinear": {"T": 0},
        "ResizeNearestNeighbor": {"T": 0},
        "Select": {"T": 1},
        "SelectV2": {"T": 1},
        "Slice": {"T": 0, "Index": 1},
        "Split": {"T": 1},
        "StridedSlice": {"T": 0, "Index": 1},
        "Tile": {"T": 0, "Tmultiples": 1},
        "Transpose": {"T": 0, "Tperm": 1},
    }
)
"""For each operation its type attributes, with the input that each one is the type of."""


_TYPE_OF_OUTPUT: Mapping[str, DType] = MappingProxyType(
    {
        **dict.fromkeys(("Equal", "Greater", "GreaterEqual", "Less", "LessEqual", "NotEqual"), DType.BOOL),
        "ArgMax": DType.INT64,
        "Shape": DType.INT32,
        "Size": DType.INT32,
    }
)
"""Types of what operations give whose inputs have others, where no attribute says it."""


def resolve(context: StepContext, text: str, *path: str | int) -> tuple[Ref, ...]:
    """Return the tensors that an input's text means: ``name``, ``name:1``, ``name:port`` or ``name:*`` (all
    ports).

    A name is a node of the graph or of the recipe. ``path`` places the text in the step for diagnostics.
    Raise SurgeonError S202 for an unknown node and S203 for a port that the node does not have.
    """
    name, colon, port = text.rpartition(":")
    if not colon:
        name, port = text, "0"
    new = context.nodes.get(name)
    if new is None and name not in context.graph:
        known = [*context.nodes, *context.graph.nodes]
        raise context.fail(
            "S202",
            f"'{text}' names no node of the graph or of the recipe",
            *path,
            notes=nearest_note(name, known),
            help=["correct the spelling, or define the node under 'nodes'"],
        )
    if port.isascii() and port.isdigit() and len(port) < 10:
        slot = int(port)
        if new is not None and slot >= len(new.ports):
            raise _no_port(context, new, text, *path)
        return (Ref(name, slot),)
    if new is None:
        raise context.fail(
            "S203",
            f"'{text}' names a port of '{name}', whose ports have no names; expected '{name}:0' or higher",
            *path,
            help=["only nodes that the recipe puts in have named ports"],
        )
    if port == "*":
        return tuple(Ref(name, slot) for slot in range(len(new.ports)))
    if port not in new.ports:
        raise _no_port(context, new, text, *path)
    return (Ref(name, new.ports.index(port)),)


def _no_port(context: StepContext, new: NodeSpec, text: str, *path: str | int) -> Exception:
    shown = ", ".join(f"'{p}'" for p in new.ports[:8]) + (", ..." if len(new.ports) > 8 else "")
    port = text.rpartition(":")[2]
    return context.fail(
        "S203",
        f"'{text}' names a port that '{new.name}' ({new.op}) does not have; it has {shown or 'none'}",
        *path,
        notes=nearest_note(port, new.ports),
        help=["name one of its ports, or its number"],
    )


def placeholder(
    context: StepContext, name: str, code: str, *path: str | int, help: Sequence[str] = ()
) -> Node:
    """Return an input of the graph; raise SurgeonError with ``code`` where ``name`` is none."""
    node = context.graph.get(name)
    if node is not None and node.op in PLACEHOLDERS:
        return node
    problem = "is not in the graph" if node is None else f"is not a placeholder, but {node.op}"
    inputs = [each.name for each in context.graph if each.op in PLACEHOLDERS]
    shown = ", ".join(f"'{each}'" for each in inputs[:8]) or "none"
    raise context.fail(
        code,
        f"'{name}' {problem}; expected an input of the graph",
        *path,
        notes=[f"inputs: {shown}", *nearest_note(name, inputs)],
        help=help,
    )


def tensors_in_graph(context: StepContext, text: str, *path: str | int) -> tuple[Ref, ...]:
    """Return the tensors that a text means.

    Raise SurgeonError S202 where their node is not in the graph yet.
    """
    refs = resolve(context, text, *path)
    if refs and refs[0].node not in context.graph:
        raise context.fail(
            "S202",
            f"'{text}' names a node that is not in the graph at this step",
            *path,
            help=[f"put '{refs[0].node}' in by an earlier step ('collapse' or 'add-node')"],
        )
    return refs


def place(
    context: StepContext,
    new: NodeSpec,
    inputs: Sequence[Ref] | None = None,
    *,
    taken: Collection[str] = (),
    before: str | None = None,
    control: Sequence[str] = (),
) -> list[Add]:
    """Plan to put ``new`` in, with the constants that it reads as operands: the operands first, the node
    last.

    ``inputs`` are the data inputs found by the step; None takes those that the node declares. ``taken`` are
    names that the same batch of edits adds, besides those of the graph; operands are named
    ``<name>/<operand>``, with a number where that is taken. Type and count attributes (T, N, Tidx, ...) of
    ordinary operations are filled in from the specs of the inputs. Raise SurgeonError S202 or S203 for an
    input that does not exist, S208 for an operand that is not a tensor, and S219 where a type attribute is
    needed and the input's type is not known.
    """
    if inputs is None:
        inputs = [ref for text in new.inputs or () for ref in resolve(context, text, "inputs")]
    span = new.span or context.span
    adds: list[Add] = []
    operands: dict[Ref, DType] = {}
    refs = list(inputs)
    used = {new.name}
    for operand, value in new.operands:
        tensor = tensor_of(context, value, f"the operand '{operand}' of '{new.name}'")
        name = free_name(context, f"{new.name}/{operand}", taken, used)
        used.add(name)
        refs.append(Ref(name))
        operands[Ref(name)] = tensor.dtype
        adds.append(Add(Node(name, "Const", attrs={"dtype": tensor.dtype, "value": tensor}), before, span))
    attrs = dict(new.attrs)
    if not new.is_plugin:
        attrs.update(_missing_attrs(context, new, refs, operands))
    adds.append(Add(Node(new.name, new.op, tuple(refs), tuple(control), attrs), before, span))
    return adds


def free_name(context: StepContext, wanted: str, *taken: Collection[str]) -> str:
    """Return ``wanted``, or ``wanted_1``, ``wanted_2`` ...

    Where the graph, the recipe or ``taken`` has it already.
    """
    name, count = wanted, 0
    while name in context.graph or name in context.nodes or any(name in names for names in taken):
        count += 1
        name = f"{wanted}_{count}"
    return name


def tensor_of(
    context: StepContext, value: Any, what: str, dtype: DType | None = None, *path: str | int
) -> TensorValue:
    """Return the tensor that a YAML number or nested list means; whole numbers are int32, others float32.

    Raise SurgeonError S208 for ragged or mixed lists, and for numbers that the type cannot hold.
    """
    import numpy as np

    try:
        array = np.array(value)
        if dtype is None:
            kinds = {
                "b": DType.BOOL,
                "i": DType.INT32,
                "u": DType.INT32,
                "f": DType.FLOAT32,
                "U": DType.STRING,
                "S": DType.STRING,
            }
            dtype = DType.INT32 if array.size == 0 else kinds[array.dtype.kind]
        if dtype is DType.STRING:
            return TensorValue.of(np.array(value, dtype=object), DType.STRING)
        if array.dtype.kind not in "biuf" or dtype is DType.BFLOAT16:
            raise ValueError("not a number")
        if array.dtype.kind == "b" and array.size and dtype is not DType.BOOL:
            raise ValueError("a truth value")
        with np.errstate(all="ignore"):
            cast = array.astype(dtype.numpy())
        if cast.dtype.kind != "f" and not np.array_equal(cast, array):
            raise ValueError("out of range, or a fraction")
        if cast.dtype.kind == "f" and not np.array_equal(np.isfinite(cast), np.isfinite(array)):
            raise ValueError("out of range")
        return TensorValue.of(cast, dtype)
    except (ValueError, TypeError, KeyError, OverflowError):
        expected = (
            "true or false, or nested lists of them of equal length"
            if dtype is DType.BOOL
            else f"a number or nested lists of equal length, of {dtype.value}"
            if dtype
            else "a number or nested lists of equal length"
        )
        raise context.fail("S208", f"{what} cannot be {value!r:.60}; expected {expected}", *path) from None


def spec_of(context: StepContext, ref: Ref) -> TensorSpec:
    """Return what is known of a tensor of the graph or of a node that the recipe puts in."""
    new = context.nodes.get(ref.node)
    if new is not None:
        known = spec_of_new(context, new, ref.slot)
        if new.is_plugin:
            known = replace(known, dtype=_type_of_port(context, new, ref.slot))
        if known.dtype is not None or ref.node not in context.graph:
            return known
    return context.inference.spec(ref) if ref.node in context.graph else TensorSpec()


def spec_of_new(context: StepContext, new: NodeSpec, slot: int = 0) -> TensorSpec:
    """Return what a recipe's node says of one of its outputs; outputs above 0 share the element type only."""
    spec = new.spec
    if spec is None and new.like is not None and new.like.node in context.graph:
        spec = context.inference.spec(new.like)
    if spec is None:
        for key in ("dtype", "DstT", "T"):
            declared = new.attrs.get(key)
            if isinstance(declared, DType):
                spec = TensorSpec(declared, Shape())
                break
    if spec is None:
        return TensorSpec()
    return spec if slot == 0 else TensorSpec(spec.dtype, Shape())


def _missing_attrs(
    context: StepContext, new: NodeSpec, refs: Sequence[Ref], operands: Mapping[Ref, DType]
) -> dict[str, AttrValue]:
    """Return the attributes that an ordinary operation needs, that the recipe leaves out, and that the inputs
    tell.
    """
    found: dict[str, AttrValue] = {}
    if new.op == "Placeholder":
        spec = spec_of_new(context, new)
        if "dtype" not in new.attrs and spec.dtype is not None:
            found["dtype"] = spec.dtype
        if "shape" not in new.attrs:
            found["shape"] = spec.shape
        if "dtype" not in new.attrs and spec.dtype is None:
            raise context.fail(
                "S219",
                f"the type of '{new.name}' (Placeholder) is not known; expected an element type",
                help=["give the node 'dtype', or a 'like' whose type is known"],
            )
        return found
    value = new.attrs.get("value")
    if new.op == "Const" and isinstance(value, TensorValue) and "dtype" not in new.attrs:
        return {"dtype": value.dtype}
    if new.op in COUNTED and "N" not in new.attrs:
        found["N"] = len(refs) - COUNTED[new.op]
    seen: dict[Ref, DType | None] = dict(operands)
    for key, position in _TYPES.get(new.op, {}).items():
        if key in new.attrs:
            continue
        at = position if position >= 0 else len(refs) + position
        if not 0 <= at < len(refs):
            raise context.fail(
                "S209",
                f"'{new.name}' ({new.op}) has {plural(len(refs), 'input')}; expected at least {at + 1}",
                help=[f"give the node 'inputs' under 'nodes: {new.name}'"],
            )
        ref = refs[at]
        dtype = seen[ref] if ref in seen else _type_of(context, new, refs, ref)
        seen[ref] = dtype
        if dtype is None:
            raise context.fail(
                "S219",
                f"'{new.name}' ({new.op}) reads '{ref}', whose type is not known; expected its type for "
                f"'{key}'",
                help=[f"write the attribute: 'attrs: {{{key}: float32}}'"],
            )
        found[key] = dtype
    return found


def _type_of(
    context: StepContext, new: NodeSpec, refs: Sequence[Ref], ref: Ref, depth: int = 8
) -> DType | None:
    """Return the type of an input; of a recipe's node that itself says nothing, the type of what it reads."""
    seen: set[str] = {new.name}
    for _ in range(depth):
        dtype = spec_of(context, ref).dtype
        if dtype is not None:
            return dtype
        source = context.nodes.get(ref.node)
        if source is None or source.name in seen:
            return None
        seen.add(source.name)
        if source.op in _TYPE_OF_OUTPUT:
            return _TYPE_OF_OUTPUT[source.op]
        if not source.inputs:
            return None
        position = _TYPES.get(source.op, _T).get("T", 0)
        text = source.inputs[position] if position < len(source.inputs) else source.inputs[0]
        ref = resolve(context, text, "inputs")[0]
    return None


def _type_of_port(context: StepContext, plugin: NodeSpec, slot: int) -> DType:
    """Return the element type of a plugin's output; float32 where the catalog does not say it."""
    spec = context.catalog.get(plugin.op)
    ports = () if spec is None or slot >= len(plugin.ports) else spec.outputs
    found = next((port.dtype for port in ports if port.name == plugin.ports[slot]), None)
    return found or DType.FLOAT32
