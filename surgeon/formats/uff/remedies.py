"""Ops that UFF cannot express, and what to do about each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from surgeon.catalog import Catalog, load_catalog
from surgeon.diagnostics import Diagnostic
from surgeon.formats.uff.expansion import NOT_CONSTANT, NOT_FLOAT, SIZES, expansions, reasons_left
from surgeon.graph import DType, Graph, Node, Ref, Shape
from surgeon.graph.op_sets import LOOP_ENTRIES, MERGES, PLACEHOLDERS, RANDOM, SWITCHES
from surgeon.graph.reach import upstream
from surgeon.steps.native_plugins import NATIVE_OPS

SHOWN = 10
"""Kinds of ops that one error lists."""

REASONS = 3
"""Reasons of one kind that it lists."""

_NAMESPACES: Mapping[str, str] = {
    "Preprocessor": "map the namespace 'Preprocessor' to the input node",
    "Postprocessor": "map the namespace 'Postprocessor' to a plugin: 'Postprocessor: NMS'",
    "MultipleGridAnchorGenerator": "map the namespace 'MultipleGridAnchorGenerator' to GridAnchor_TRT, or "
    "export constant anchors",
    "MultiscaleGridAnchorGenerator": (
        "export constant anchors: no plugin computes those of 'MultiscaleGridAnchorGenerator'"
    ),
    "GridAnchorGenerator": "export constant anchors for 'GridAnchorGenerator'",
}

_INPUT = (
    "map its namespace to the input node, which then holds floats, or begin behind it by the step 'cut-at'"
)
_BEHIND = "begin behind it: the step 'cut-at' makes an input of the numbers that it gives"
_CONTROL = (
    "control flow is left: the step 'for-inference' takes constant branches; map the namespace of others "
    "to a plugin, or export to ONNX"
)
_LOOP = (
    "control flow is left, and UFF has no loops: map its namespace to a plugin, unroll the loop in the "
    "model, or export to ONNX"
)
_RANDOM = (
    "random numbers are left: the step 'for-inference' takes out dropout, and 'cut-at' makes inputs of others"
)
_ROUNDING = (
    "take it out, which changes numbers a little, by the step 'forward' with 'nodes: [{op: OPERATION}]' and "
    "'when: {target: uff}'"
)
_ANCHORS_OR_FOLD = "fix the input's size and fold constants, or map its namespace to a plugin"
_RESIZE_NEAREST = (
    "map it to the plugin ResizeNearest_TRT, which reads channels first: a Transpose before it and one after "
    "it, with 'inputs' under 'nodes'; 'surgeon init' writes them for a detector"
)
_EXPANDED = (
    "UFF takes it where it has float32 numbers of known sizes and leaves the batch alone: fix the input's "
    "size, or map its namespace to a plugin"
)
_FIX = "fix the input's size and fold constants, or map its namespace to a plugin"
_ELSEWHERE = "change it in the model, map its namespace to a plugin, or export to ONNX"
_NMS = "map its namespace to a plugin: 'Postprocessor: NMS'"

_OPS: Mapping[str, str] = {
    "Cast": _INPUT,
    "ToFloat": _INPUT,
    **dict.fromkeys(
        (
            "DecodeJpeg",
            "DecodePng",
            "DecodeRaw",
            "FIFOQueueV2",
            "HashTableV2",
            "IteratorGetNext",
            "IteratorV2",
            "LookupTableFindV2",
            "OneShotIterator",
            "ParseExample",
            "ParseExampleV2",
            "QueueDequeueManyV2",
            "QueueDequeueUpToV2",
            "QueueDequeueV2",
            "ReadFile",
            "StringToHashBucketFast",
            "StringToNumber",
        ),
        _BEHIND,
    ),
    "ResizeBilinear": _INPUT,
    "Assert": "add the step 'remove-asserts'",
    **dict.fromkeys(
        (
            "Switch",
            "Merge",
            "RefSwitch",
            "RefMerge",
            "If",
            "StatelessIf",
            "PartitionedCall",
            "StatefulPartitionedCall",
        ),
        _CONTROL,
    ),
    **dict.fromkeys(
        (
            "Enter",
            "Exit",
            "NextIteration",
            "LoopCond",
            "While",
            "StatelessWhile",
            "TensorArrayV3",
            "TensorArrayReadV3",
            "TensorArrayWriteV3",
            "TensorArrayScatterV3",
            "TensorArrayGatherV3",
            "TensorArraySizeV3",
            "TensorListReserve",
            "TensorListStack",
            "TensorListGetItem",
        ),
        _LOOP,
    ),
    "ResizeNearestNeighbor": _RESIZE_NEAREST,
    "CropAndResize": "map it to the plugin CropAndResize",
    **dict.fromkeys(
        (
            "NonMaxSuppression",
            "NonMaxSuppressionV2",
            "NonMaxSuppressionV3",
            "NonMaxSuppressionV4",
            "NonMaxSuppressionV5",
            "CombinedNonMaxSuppression",
            "TopK",
            "TopKV2",
        ),
        _NMS,
    ),
    **dict.fromkeys(
        (
            "Range",
            "Fill",
            "Tile",
            "Select",
            "SelectV2",
            "Where",
            "Slice",
            "Size",
            "Rank",
            "ZerosLike",
            "OnesLike",
            "Greater",
            "GreaterEqual",
            "Less",
            "LessEqual",
            "Equal",
            "NotEqual",
            "LogicalAnd",
            "LogicalOr",
            "LogicalNot",
            "FloorDiv",
            "FloorMod",
            "BroadcastTo",
        ),
        _ANCHORS_OR_FOLD,
    ),
    "SpaceToBatchND": "UFF has it only in the chain SpaceToBatchND, Conv2D, BatchToSpaceND; export the model "
    "without ops between",
    **dict.fromkeys(RANDOM, _RANDOM),
    **dict.fromkeys(
        (
            "FakeQuantWithMinMaxArgs",
            "FakeQuantWithMinMaxVars",
            "FakeQuantWithMinMaxVarsPerChannel",
        ),
        _ROUNDING,
    ),
}


_BRANCHES = SWITCHES | MERGES | {"If", "StatelessIf"}

_Kind: TypeAlias = "tuple[tuple[str, str], list[Node]]"


def unsupported(
    graph: Graph, nodes: Sequence[Node], catalog: Catalog | None = None
) -> tuple[Diagnostic, ...]:
    """Return X101: up to ten diagnostics, one for each namespace and op.

    The most frequent kind of every namespace comes first, then the second of each, and so on. ``catalog`` has
    the plugins, the shipped ones where it is None.
    """
    kinds: dict[tuple[str, str], list[Node]] = {}
    for node in nodes:
        kinds.setdefault((node.name.partition("/")[0] if "/" in node.name else "", node.op), []).append(node)
    ranked = _every_namespace_first(sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0])))
    looping = {top for top, op in kinds if op in LOOP_ENTRIES}
    kept = any(op in expansions() for _, op in kinds)
    reasons = reasons_left(graph, load_catalog() if catalog is None else catalog) if kept else {}
    found = [
        _diagnostic(graph, top, op, group, top in looping, reasons) for (top, op), group in ranked[:SHOWN]
    ]
    if len(ranked) > SHOWN:
        rest = sum(len(group) for _, group in ranked[SHOWN:])
        last = found[-1]
        more = f"and {rest} more nodes of {len(ranked) - SHOWN} other kinds that UFF cannot express"
        found[-1] = Diagnostic(last.code, last.message, last.where, (*last.notes, more), last.help)
    return tuple(found)


def _every_namespace_first(ranked: list[_Kind]) -> list[_Kind]:
    places: dict[str, int] = {}
    keyed: list[tuple[int, _Kind]] = []
    for kind in ranked:
        top = kind[0][0]
        places[top] = places.get(top, -1) + 1
        keyed.append((places[top], kind))
    return [kind for _, kind in sorted(keyed, key=lambda pair: pair[0])]


def _diagnostic(
    graph: Graph, top: str, op: str, group: Sequence[Node], loops: bool, reasons: Mapping[str, str]
) -> Diagnostic:
    first = group[0]
    where = f"under '{top}'" if top else "at top level"
    many = f" and {len(group) - 1} more {where}" if len(group) > 1 else f" {where}" if top else ""
    readers = graph.readers[first.name]
    notes = (f"read by '{readers[0]}' ({graph[readers[0]].op})",) if readers else ()
    why = tuple(dict.fromkeys(reasons[node.name] for node in group if node.name in reasons))
    notes = (*notes, *(f"{op} is expanded for UFF, but not here: {reason}" for reason in why[:REASONS]))
    return Diagnostic(
        "X101",
        f"'{first.name}' ({op}){many} cannot be expressed in UFF; expected an op with a converter, or a "
        "plugin",
        graph.source or None,
        notes,
        (_decided(graph, top, op, group, loops) or _remedy(top, op, loops, why),),
    )


def _decided(graph: Graph, top: str, op: str, group: Sequence[Node], loops: bool) -> str:
    """Return how to fix the single inputs that decide which branch is taken; empty where none does."""
    if loops or top in _NAMESPACES or op not in _BRANCHES | RANDOM:
        return ""
    # Random numbers stand in a branch or before its end, so that any branch may take them out.
    names = graph.nodes if op in RANDOM else upstream(graph, [node.name for node in group])
    predicates = [ref.node for name in names for ref in _predicate(graph[name])]
    deciding = upstream(graph, predicates)
    scalars = [
        node for node in graph if node.name in deciding and node.op in PLACEHOLDERS and _is_single(node)
    ]
    if not scalars:
        return ""
    given = {node.name: "false" if _dtype(node) is DType.BOOL else "VALUE" for node in scalars}
    listed = ", ".join(f"{name}: {value}" for name, value in given.items())
    options = " ".join(f"--constant {name}={value}" for name, value in given.items())
    decide = "decides" if len(given) == 1 else "decide"
    return (
        f"{' and '.join(map(repr, given))} {decide} which branch is taken: write 'constants: {{{listed}}}' "
        f"under the step 'for-inference', or give '{options}'"
    )


def _predicate(node: Node) -> Sequence[Ref]:
    """Return the input by which a branch is chosen, if the node has one."""
    if node.op in SWITCHES:
        return node.inputs[1:2]
    return node.inputs[:1] if node.op in ("If", "StatelessIf") else ()


def _is_single(node: Node) -> bool:
    shape = node.attrs.get("shape")
    single = isinstance(shape, Shape) and shape.dims == ()
    return single or _dtype(node) is DType.BOOL


def _dtype(node: Node) -> object:
    return node.attrs.get("dtype")


def _remedy(top: str, op: str, loops: bool, why: Sequence[str]) -> str:
    for namespace, remedy in _NAMESPACES.items():
        if top == namespace:
            return remedy
    if op.endswith(("_TRT", "Dynamic")):
        return f"'{op}' is not a plugin of this target's catalog: see 'surgeon list plugins'"
    known = _LOOP if loops and op in SWITCHES | MERGES else _OPS.get(op, "")
    if op in expansions():
        known = _of_reasons(known, why)
    if op in NATIVE_OPS and "native-plugins" not in known:
        return f"{known}; or add the step 'native-plugins'" if known else "add the step 'native-plugins'"
    return known or "map its namespace to a plugin or the input node, or export to ONNX"


def _of_reasons(known: str, why: Sequence[str]) -> str:
    """Return what to do about an operation that is expanded sometimes."""
    if not why:
        return known or _EXPANDED
    if known and {SIZES, NOT_CONSTANT, NOT_FLOAT}.intersection(why):
        return known
    return _FIX if {SIZES, NOT_CONSTANT}.intersection(why) else _ELSEWHERE
