"""Sets of TensorFlow operations that many rooms ask about, each stated once."""

from __future__ import annotations

import re

from surgeon.graph.node import Node
from surgeon.graph.values import Shape

PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"})
"""Operations by which a graph is fed."""

UNSET_PLACEHOLDERS = PLACEHOLDERS - {"PlaceholderWithDefault"}
"""Operations that must be fed; a PlaceholderWithDefault need not be."""

CONSTANTS = frozenset({"Const", "HostConst"})

IDENTITIES = frozenset({"Identity", "StopGradient", "CheckNumerics", "Snapshot", "PreventGradient"})
"""Operations whose output is their one input, and which a step may remove.

Steps keep IdentityN, which has several outputs, and EnsureShape, which may be all that tells a shape.
"""

PASSED_OVER = IDENTITIES | {"IdentityN", "EnsureShape"}
"""Operations whose outputs are their inputs, for code that only reads or exports the graph."""

SIZES = frozenset({"Shape", "ShapeN", "Size", "Rank", "TensorArraySizeV2", "TensorArraySizeV3"})
"""Operations whose result depends on the sizes of their input, and not on its numbers."""

RESIZES = frozenset(
    {
        "CropAndResize",
        "ResizeArea",
        "ResizeBicubic",
        "ResizeBilinear",
        "ResizeNearestNeighbor",
        "ScaleAndTranslate",
    }
)
"""Operations that make a picture another size."""

RANDOM = frozenset(
    {
        "Multinomial",
        "ParameterizedTruncatedNormal",
        "RandomGamma",
        "RandomPoisson",
        "RandomPoissonV2",
        "RandomShuffle",
        "RandomStandardNormal",
        "RandomUniform",
        "RandomUniformInt",
        "StatelessMultinomial",
        "StatelessParameterizedTruncatedNormal",
        "StatelessRandomNormal",
        "StatelessRandomNormalV2",
        "StatelessRandomUniform",
        "StatelessRandomUniformInt",
        "StatelessRandomUniformIntV2",
        "StatelessRandomUniformV2",
        "StatelessTruncatedNormal",
        "StatelessTruncatedNormalV2",
        "TruncatedNormal",
    }
)
"""Operations whose numbers are drawn at random."""

UNIFORM = frozenset({"RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2"})
"""Operations that draw floats from 0 to 1, below 1."""

NORMAL = frozenset(
    {
        "RandomStandardNormal",
        "StatelessRandomNormal",
        "StatelessRandomNormalV2",
        "StatelessTruncatedNormal",
        "StatelessTruncatedNormalV2",
        "TruncatedNormal",
    }
)
"""Operations that draw floats of a normal distribution around 0."""

CHECKS = frozenset({"Assert", "PrintV2"})
"""Operations that only check or print, and have no output."""

WITHOUT_OUTPUT = CHECKS | {"NoOp"}

_EFFECT = re.compile(
    r"(Apply|Assign|Barrier|Dataset|InitializeTable|Iterator|LookupTable|MakeIterator|Mutable|Queue|Reader|"
    r"Resource|Restore|Save|Scatter(Add|Sub|Update)|SparseApply|Stack|Stage|TensorArray|Unstage|Var|Write)\w*|"
    r"\w*(Dataset|HashTable|Iterator|PyFunc|Queue|Reader|Summary|Table)(V\d)?"
)

_SINK = re.compile(
    r"(Assign|Save|Restore|Write|Scatter(Add|Sub|Update)|QueueEnqueue|QueueClose|InitializeTable|"
    r"LookupTableImport)\w*|"
    r"\w*Summary(V2)?|(Resource)?(Sparse)?Apply\w+|MergeV2Checkpoints|ShardedFilename"
)


def has_effect(op: str) -> bool:
    """Return whether an operation changes or reads what lasts, so that its order among others counts.

    What is random counts as free of effects, since its numbers are not the same twice; so do conditionals and
    loops, whose effects in a frozen graph are checks.
    """
    return bool(_EFFECT.fullmatch(op))


def is_sink(op: str) -> bool:
    """Return whether an operation gives no result of the network, but serves summaries, checkpoints or
    training.
    """
    return bool(_SINK.fullmatch(op))


SELECTIONS = frozenset({"Select", "SelectV2"})
"""Operations that take elements of input 1 where input 0 holds, and of input 2 elsewhere."""

SWITCHES = frozenset({"Switch", "RefSwitch"})
"""Operations that begin a branch: one of their two outputs is dead."""

MERGES = frozenset({"Merge", "RefMerge"})
"""Operations that end branches, or begin the round of a loop."""

LOOP_ENTRIES = frozenset({"Enter", "RefEnter"})
LOOP_EXITS = frozenset({"Exit", "RefExit"})

LOOP_ENDS = frozenset({"NextIteration", "RefNextIteration"})
"""Operations whose results go back to the head of a loop."""


def is_data_default(node: Node) -> bool:
    """Return whether the default of a PlaceholderWithDefault is data, and no switch, which is one number.

    Such a node is an input; the default of a switch stands for the node. Of unknown rank it may be either.
    """
    shape = node.attrs.get("shape")
    return isinstance(shape, Shape) and shape.dims is not None and shape.dims not in ((), (1,))


def is_input(node: Node) -> bool:
    """Return whether numbers are put into a node: a placeholder without a default, or with one of data."""
    return node.op in UNSET_PLACEHOLDERS or (node.op == "PlaceholderWithDefault" and is_data_default(node))
