"""Every op's shape rule and kernel against TensorFlow."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from surgeon.formats.graphdef import from_bytes
from surgeon.graph import Graph, Ref, TensorSpec
from surgeon.graph.input_counts import INPUT_COUNTS
from surgeon.infer import Inference, evaluate, known_ops

tf = pytest.importorskip("tensorflow", reason="TensorFlow is the reference for shapes and values")
op_def_registry = pytest.importorskip("tensorflow.python.framework.op_def_registry")

ULPS = 6e-7
"""Relative tolerance for float32 where the library's polynomial may differ by a few units in the last place."""

SUMS = 2e-6
"""Relative tolerance for float32 sums, whose order of addition differs."""


LESS_THAN_TENSORFLOW = {("Equal", "ranked"), ("Equal", "all")}
"""TensorFlow gives one axis to the comparison of two vectors, which is a scalar where their lengths differ."""


@dataclass(frozen=True)
class Case:
    """One call of an op: inputs in order, attributes, the inputs that are data (others give shapes), tolerance.

    ``run`` is False where TensorFlow has no kernel for the CPU.
    """

    op: str
    inputs: tuple[Any, ...]
    attrs: dict[str, Any] = field(default_factory=dict)
    data: tuple[int, ...] = (0,)
    tolerance: float = 0.0
    run: bool = True
    note: str = ""

    def __str__(self) -> str:
        shapes = ",".join("x".join(map(str, np.shape(a))) or "s" for a in self.inputs)
        return f"{self.op}-{shapes}" + (f"-{self.note}" if self.note else "")


_rng = np.random.default_rng(7)


def f(*shape: int) -> np.ndarray:
    """Return float32 numbers around 0, the same in every run."""
    return _rng.normal(size=shape).astype(np.float32)


def pos(*shape: int) -> np.ndarray:
    """Return float32 numbers from 0.1 to 2."""
    return _rng.uniform(0.1, 2.0, size=shape).astype(np.float32)


def i(*values: Any) -> np.ndarray:
    """Return an int32 vector."""
    return np.array(values, np.int32)


def s(value: Any, dtype: Any = np.int32) -> np.ndarray:
    """Return a scalar."""
    return np.array(value, dtype)


def b(*shape: int) -> np.ndarray:
    """Return bools."""
    return _rng.integers(0, 2, size=shape).astype(bool)


def _unary() -> list[Case]:
    exact = ["Abs", "Neg", "Square", "Floor", "Ceil", "Round", "Rint", "Sign", "Relu", "Relu6"]
    close = [
        "Exp",
        "Expm1",
        "Sigmoid",
        "Tanh",
        "Elu",
        "Selu",
        "Softplus",
        "Softsign",
        "Sin",
        "Cos",
        "Tan",
        "Atan",
        "Sinh",
        "Cosh",
        "Asinh",
        "Erf",
        "Erfc",
    ]
    of_positive = ["Log", "Log1p", "Sqrt", "Rsqrt", "Reciprocal", "Inv", "Acosh"]
    of_small = ["Asin", "Acos", "Atanh"]
    cases = [Case(op, (f(2, 3),)) for op in exact]
    cases += [Case(op, (3 * f(2, 7),), tolerance=4e-6) for op in close]
    cases += [Case(op, (1 + pos(2, 7),), tolerance=ULPS) for op in of_positive]
    cases += [Case(op, (0.4 * pos(2, 7),), tolerance=4e-6) for op in of_small]
    return [
        *cases,
        Case("Neg", (i(3, -4),)),
        Case("Abs", (i(3, -4),)),
        Case("Sqrt", (s(2.0, np.float64),), tolerance=1e-15),
        Case("Round", (np.array([0.5, 1.5, -0.5, 2.5], np.float32),)),
        Case("Invert", (i(3, -4),)),
        Case("Relu", (i(3, -4),)),
        Case("Sign", (i(3, 0, -4),)),
        Case("LogicalNot", (b(3),)),
        Case("IsNan", (np.array([1, np.nan], np.float32),)),
        Case("IsInf", (np.array([1, np.inf], np.float32),)),
        Case("IsFinite", (np.array([1, np.inf], np.float32),)),
        Case("LeakyRelu", (f(2, 3),), {"alpha": 0.1}),
        Case("LeakyRelu", (f(3),)),
        Case("Cast", (f(4) * 10,), {"DstT": "int32"}),
        Case("Cast", (i(0, 2),), {"DstT": "bool"}),
        Case("Cast", (i(1, -2),), {"DstT": "float32"}),
        Case("Cast", (i(1, 300),), {"DstT": "uint8"}),
        Case("Cast", (b(4),), {"DstT": "float32"}),
        Case("Cast", (f(3),), {"DstT": "float16"}),
        Case("Cast", (i(1, 2),), {"DstT": "int64"}),
    ]


def _binary() -> list[Case]:
    both = (0, 1)
    cases = [
        Case(op, (f(2, 1, 3), f(4, 1)), data=both)
        for op in ("Add", "AddV2", "Sub", "Mul", "RealDiv", "Div", "Maximum", "Minimum", "SquaredDifference")
    ]
    cases += [
        Case(op, (i(7, -7, 7, -7), i(2, 2, -2, -2)), data=both)
        for op in (
            "Div",
            "TruncateDiv",
            "FloorDiv",
            "FloorMod",
            "Mod",
            "TruncateMod",
            "Add",
            "Sub",
            "Mul",
            "Maximum",
            "Minimum",
            "BitwiseAnd",
            "BitwiseOr",
            "BitwiseXor",
        )
    ]
    cases += [
        Case(op, (f(2, 3) * 5, pos(3)), data=both) for op in ("FloorDiv", "FloorMod", "Mod", "TruncateMod")
    ]
    cases += [
        Case(op, (i(1, 2, 3), i(2, 2, 2)), data=both)
        for op in ("Less", "LessEqual", "Greater", "GreaterEqual", "Equal", "NotEqual")
    ]
    cases += [Case(op, (b(2, 3), b(3)), data=both) for op in ("LogicalAnd", "LogicalOr")]
    return [
        *cases,
        Case("Pow", (pos(2, 3), f(3)), data=both, tolerance=4e-6),
        Case("Pow", (i(2, -3), i(5, 3)), data=both),
        Case("DivNoNan", (f(3), np.array([1, 0, 2], np.float32)), data=both),
        Case("MulNoNan", (np.array([1, np.inf, 2], np.float32), np.array([1, 0, 2], np.float32)), data=both),
        Case("Atan2", (f(3), f(3)), data=both, tolerance=4e-6),
        Case("Equal", (f(2), f(2)), {"incompatible_shape_error": False}, data=both),
        Case("ApproximateEqual", (f(3), f(3)), {"tolerance": 0.5}, data=both),
        Case("AddN", (f(2, 3), f(2, 3), f(2, 3)), data=(0, 1, 2)),
        Case("AccumulateNV2", (f(2, 3), f(2, 3)), {"shape": [2, 3]}, data=both, run=False),
        Case("Select", (b(3), f(3), f(3)), data=(0, 1, 2)),
        Case("Select", (s(True, bool), f(2, 3), f(2, 3)), data=(1, 2)),
        Case("Select", (b(2), f(2, 3), f(2, 3)), data=(1, 2), note="rows"),
        Case("SelectV2", (b(3, 1), f(2), f(1)), data=(0, 1, 2)),
        Case("ClipByValue", (f(2, 3), s(-0.5, np.float32), s(0.5, np.float32))),
    ]


def _sources() -> list[Case]:
    return [
        Case("Fill", (i(2, 3), s(1.5, np.float32)), data=()),
        Case("Fill", (i(), s(7)), data=()),
        Case("ZerosLike", (f(2, 3),)),
        Case("OnesLike", (i(1, 2),)),
        Case("Range", (s(0), s(10), s(3)), data=()),
        Case("Range", (s(10), s(0), s(-3)), data=()),
        Case("Range", (s(5), s(5), s(1)), data=()),
        Case("Range", (s(0.0, np.float32), s(1.0, np.float32), s(0.1, np.float32)), data=(), tolerance=ULPS),
        Case("LinSpace", (s(-1.0, np.float32), s(2.0, np.float32), s(7)), data=(), tolerance=ULPS),
        Case("LinSpace", (s(3.0, np.float32), s(9.0, np.float32), s(1)), data=()),
        Case("BroadcastTo", (f(3, 1), i(2, 3, 4))),
        Case("BroadcastArgs", (i(2, 1), i(3, 1, 4)), data=()),
        Case("OneHot", (i(0, 2, -1), s(3), s(1.0, np.float32), s(0.0, np.float32))),
        Case("OneHot", (np.array([[0, 1]], np.int32), s(3), s(5), s(-5)), {"axis": 0}),
        Case("RandomUniform", (i(2, 3),), {"dtype": "float32"}, data=()),
        Case("RandomStandardNormal", (i(2, 3),), {"dtype": "float32"}, data=()),
        Case("TruncatedNormal", (i(2, 3),), {"dtype": "float32"}, data=()),
        Case("RandomUniformInt", (i(2, 3), s(0), s(5)), data=()),
    ]


def _passing() -> list[Case]:
    return [
        *[Case(op, (f(2, 3),)) for op in ("Identity", "StopGradient", "PreventGradient", "Snapshot")],
        Case("Print", (f(2, 3), f(1))),
        Case("CheckNumerics", (f(2, 3),), {"message": "m"}),
        Case("IdentityN", (f(2), i(3)), data=(0, 1)),
        Case("PlaceholderWithDefault", (f(2, 3),), {"shape": [None, 3]}),
        Case("EnsureShape", (f(2, 3),), {"shape": [None, 3]}),
    ]


def _layout() -> list[Case]:
    return [
        Case("Shape", (f(2, 3),)),
        Case("Shape", (f(2),), {"out_type": "int64"}),
        Case("ShapeN", (f(2), f(3, 1)), data=(0, 1)),
        Case("Size", (f(2, 3),)),
        Case("Rank", (f(2, 3),)),
        Case("Reshape", (f(2, 6), i(3, 4))),
        Case("Reshape", (f(2, 6), i(-1, 3))),
        Case("Reshape", (f(1), i())),
        Case("Reshape", (f(0, 3), i(3, 0))),
        Case("Reshape", (f(2, 0, 3), i(0, 5))),
        Case("Squeeze", (f(1, 2, 1),)),
        Case("Squeeze", (f(1, 2, 1),), {"axis": [0]}),
        Case("Squeeze", (f(1, 2, 1),), {"axis": [-1]}),
        Case("ExpandDims", (f(2, 3), s(1))),
        Case("ExpandDims", (f(2, 3), s(-1))),
        Case("ExpandDims", (f(), s(0))),
        Case("Transpose", (f(2, 3, 4), i(2, 0, 1))),
        Case("InvertPermutation", (i(2, 0, 1),), data=()),
        Case("Tile", (f(2, 3), i(2, 1))),
        Case("Tile", (f(2, 3), i(0, 2))),
        Case("Pad", (f(2, 3), np.array([[1, 0], [2, 1]], np.int32))),
        Case("PadV2", (f(2, 3), np.array([[1, 0], [2, 1]], np.int32), s(9.0, np.float32))),
        Case("MirrorPad", (f(3, 4), np.array([[1, 2], [3, 0]], np.int32)), {"mode": "REFLECT"}),
        Case("MirrorPad", (f(3, 4), np.array([[1, 2], [3, 4]], np.int32)), {"mode": "SYMMETRIC"}),
        Case("ReverseV2", (f(2, 3), i(-1))),
        Case("ReverseV2", (f(2, 3), i(0, 1))),
        Case("SpaceToBatchND", (f(1, 4, 5, 3), i(2, 3), np.array([[0, 0], [1, 0]], np.int32))),
        Case("BatchToSpaceND", (f(6, 2, 3, 3), i(2, 3), np.array([[0, 1], [1, 2]], np.int32))),
        Case("SpaceToDepth", (f(1, 4, 6, 3),), {"block_size": 2}),
        Case("DepthToSpace", (f(1, 2, 3, 8),), {"block_size": 2}),
        Case("SpaceToDepth", (f(1, 3, 4, 6),), {"block_size": 2, "data_format": "NCHW"}, run=False),
        Case("DepthToSpace", (f(1, 8, 2, 3),), {"block_size": 2, "data_format": "NCHW"}, run=False),
    ]


def _joining() -> list[Case]:
    return [
        Case("ConcatV2", (f(2, 3), f(2, 1), s(1)), data=(0, 1)),
        Case("ConcatV2", (f(2, 3), f(1, 3), s(-2)), data=(0, 1)),
        Case("Concat", (s(0), f(2, 3), f(1, 3)), data=(1, 2)),
        Case("ConcatOffset", (s(1), i(2, 3), i(2, 5)), data=()),
        Case("Pack", (f(2, 3), f(2, 3)), data=(0, 1)),
        Case("Pack", (f(2), f(2)), {"axis": -1}, data=(0, 1)),
        Case("Unpack", (f(2, 3),), {"num": 2}),
        Case("Unpack", (f(2, 3),), {"num": 3, "axis": -1}),
        Case("Split", (s(1), f(2, 6)), {"num_split": 3}, data=(1,)),
        Case("SplitV", (f(2, 6), i(1, 5), s(1)), {"num_split": 2}),
        Case("SplitV", (f(2, 6), i(-1, 2), s(-1)), {"num_split": 2}),
    ]


def _indexing() -> list[Case]:
    one = i(1)
    return [
        Case("StridedSlice", (f(5, 4, 3), i(1), i(4), i(2))),
        Case("StridedSlice", (f(5), i(-2), i(-9), i(-1))),
        Case("StridedSlice", (f(5, 4), i(2, 0), i(3, 2), i(1, 1)), {"shrink_axis_mask": 1}),
        Case("StridedSlice", (f(5, 4), i(-1), i(0), one), {"shrink_axis_mask": 1}, note="last"),
        Case("StridedSlice", (f(5, 4), i(3, 1), i(4, 2), i(1, 1)), {"begin_mask": 1, "end_mask": 2}),
        Case("StridedSlice", (f(5, 4, 3), i(0, 1), i(0, 2), i(1, 1)), {"ellipsis_mask": 1}),
        Case("StridedSlice", (f(5, 4), i(0, 0), i(0, 2), i(1, 1)), {"new_axis_mask": 1}),
        Case("Slice", (f(5, 4), i(1, 0), i(2, -1))),
        Case("Slice", (f(5), i(5), i(0))),
        Case("Gather", (f(5, 4), i(4, 0, 0))),
        Case("Gather", (f(5), s(2))),
        Case("GatherV2", (f(5, 4), i(3, 0), s(1))),
        Case("GatherV2", (f(5, 4), np.array([[3, 0], [1, 1]], np.int32), s(0))),
        Case("GatherV2", (f(2, 4, 3), np.array([[3, 0, 1], [1, 1, 2]], np.int32), s(1)), {"batch_dims": 1}),
        Case(
            "GatherV2",
            (f(2, 4, 3), np.array([[2, 0], [1, 1]], np.int32), s(-1)),
            {"batch_dims": 1},
            note="last",
        ),
        Case("GatherNd", (f(2, 4, 3), np.array([[1, 3], [0, 0]], np.int32))),
        Case("GatherNd", (f(2, 4), np.zeros((3, 0), np.int32)), note="whole"),
        Case("Where", (b(3, 4),)),
        Case("Where", (f(5),)),
        Case("ScatterNd", (np.array([[0], [2]], np.int32), f(2, 3), i(4, 3)), data=(1,)),
        Case("SparseToDense", (i(1, 3), i(5), f(2), s(0.0, np.float32)), data=(2,)),
        Case("DynamicStitch", (i(0, 2), i(1), f(2, 3), f(1, 3)), data=(2, 3)),
        Case("Unique", (i(3, 1, 3, 2),)),
        Case("Unique", (i(3, 1),), {"out_idx": "int64"}),
    ]


def _reduction() -> list[Case]:
    cases = [Case(op, (f(2, 3, 4), i(0, -1)), tolerance=SUMS) for op in ("Sum", "Prod", "Mean")]
    cases += [
        Case(op, (f(2, 3, 4), i(1)), {"keep_dims": True}, tolerance=SUMS) for op in ("Sum", "Prod", "Mean")
    ]
    cases += [Case("EuclideanNorm", (f(2, 3, 4), i(0, -1)), tolerance=SUMS)]
    cases += [Case(op, (f(2, 3, 4), i(1))) for op in ("Min", "Max")]
    cases += [Case(op, (b(2, 3, 4), i(1))) for op in ("All", "Any")]
    return [
        *cases,
        Case("Sum", (i(1, 2, 3), s(0))),
        Case("Prod", (i(2, 3, 4), i(0))),
        Case("Mean", (i(1, 2, 2), i(0))),
        Case("Mean", (i(-1, -2, -2), i(0)), note="negative"),
        Case("Max", (np.zeros((0, 3), np.float32), i(0))),
        Case("Min", (np.zeros((0,), np.int32), i(0))),
        Case("Sum", (f(2, 3), i())),
        Case("ArgMax", (f(2, 5), s(1))),
        Case("ArgMin", (f(2, 5), s(-1)), {"output_type": "int32"}),
        Case("Cumsum", (i(1, 2, 3), s(0))),
        Case("Cumsum", (i(1, 2, 3), s(0)), {"exclusive": True, "reverse": True}),
        Case("Cumprod", (i(1, 2, 3), s(0)), {"exclusive": True}),
        Case("Cumsum", (f(2, 3), s(-1)), tolerance=SUMS),
        Case("TopKV2", (i(3, 1, 3, 2), s(3))),
        Case("TopKV2", (f(2, 5), s(2)), {"sorted": True}),
        Case("Softmax", (f(2, 5),), tolerance=SUMS),
        Case("LogSoftmax", (f(2, 5),), tolerance=SUMS),
        Case("Bincount", (i(1, 1, 3), s(5), np.zeros(0, np.float32))),
    ]


def _windows() -> list[Case]:
    st = {"strides": [1, 2, 2, 1]}
    nchw = {"data_format": "NCHW", "strides": [1, 1, 2, 2]}
    pool = {"ksize": [1, 3, 3, 1], "strides": [1, 2, 2, 1]}
    x, w = f(2, 9, 8, 4), f(3, 3, 4, 5)
    return [
        Case("Conv2D", (x, w), {**st, "padding": "SAME"}),
        Case("Conv2D", (x, w), {**st, "padding": "VALID"}),
        Case(
            "Conv2D",
            (x, w),
            {"strides": [1, 1, 1, 1], "padding": "VALID", "dilations": [1, 2, 3, 1]},
            note="dilated",
        ),
        Case(
            "Conv2D",
            (x, w),
            {**st, "padding": "EXPLICIT", "explicit_paddings": [0, 0, 1, 2, 0, 3, 0, 0]},
            note="explicit",
        ),
        Case("Conv2D", (f(2, 4, 9, 8), w), {**nchw, "padding": "VALID"}, run=False, note="NCHW"),
        Case("Conv2D", (x, f(3, 3, 2, 6)), {**st, "padding": "SAME"}, note="groups"),
        Case("DepthwiseConv2dNative", (x, f(3, 3, 4, 2)), {**st, "padding": "SAME"}),
        Case(
            "DepthwiseConv2dNative",
            (x, f(3, 3, 4, 2)),
            {"strides": [1, 1, 1, 1], "padding": "VALID", "dilations": [1, 2, 2, 1]},
            run=False,  # the kernel of some processors takes no dilations
            note="dilated",
        ),
        Case(
            "DepthwiseConv2dNative",
            (f(2, 4, 9, 8), f(3, 3, 4, 1)),
            {**nchw, "padding": "SAME"},
            run=False,
            note="NCHW",
        ),
        Case("Conv2DBackpropInput", (i(2, 9, 8, 4), w, f(2, 5, 4, 5)), {**st, "padding": "SAME"}, data=(2,)),
        Case(
            "DepthwiseConv2dNativeBackpropInput",
            (i(2, 9, 8, 4), f(3, 3, 4, 1), f(2, 5, 4, 4)),
            {**st, "padding": "SAME"},
            data=(2,),
        ),
        Case(
            "Conv3D", (f(1, 4, 5, 6, 2), f(2, 2, 2, 2, 3)), {"strides": [1, 1, 2, 2, 1], "padding": "VALID"}
        ),
        Case("Conv3D", (f(1, 4, 5, 6, 2), f(2, 2, 2, 2, 3)), {"strides": [1, 1, 2, 2, 1], "padding": "SAME"}),
        *[Case(op, (x,), {**pool, "padding": p}) for op in ("MaxPool", "AvgPool") for p in ("SAME", "VALID")],
        Case(
            "MaxPool",
            (x,),
            {**pool, "padding": "EXPLICIT", "explicit_paddings": [0, 0, 1, 1, 0, 1, 0, 0]},
            note="explicit",
        ),
        Case(
            "AvgPool",
            (f(2, 4, 9, 8),),
            {"ksize": [1, 1, 3, 3], **nchw, "padding": "SAME"},
            run=False,
            note="NCHW",
        ),
        Case("MaxPoolV2", (x, i(1, 3, 3, 1), i(1, 2, 2, 1)), {"padding": "VALID"}),
        Case("MaxPoolWithArgmax", (x,), {**pool, "padding": "SAME"}),
    ]


def _normalization() -> list[Case]:
    x, c = f(2, 3, 4, 5), (pos(5), f(5), f(5), pos(5))
    infer = {"is_training": False, "epsilon": 0.001}
    return [
        Case("BiasAdd", (x, f(5))),
        Case("BiasAdd", (f(2, 5), f(5))),
        Case("BiasAdd", (f(2, 5, 3, 3), f(5)), {"data_format": "NCHW"}),
        Case("FusedBatchNorm", (x, *c), infer, tolerance=4e-6),
        Case("FusedBatchNormV2", (x, *c), infer, tolerance=4e-6),
        Case("FusedBatchNormV3", (x, *c), infer, tolerance=4e-6),
        Case(
            "FusedBatchNormV3", (f(2, 5, 3, 4), *c), {**infer, "data_format": "NCHW"}, run=False, note="NCHW"
        ),
        Case("LRN", (x,), tolerance=4e-6),
        Case("LRN", (x,), {"depth_radius": 2, "bias": 2.0, "alpha": 0.5, "beta": 0.75}, tolerance=4e-6),
        Case("L2Loss", (f(3),)),
        Case("FakeQuantWithMinMaxArgs", (x,), {"min": -1.0, "max": 1.0}),
        Case("FakeQuantWithMinMaxArgs", (x,), {"min": -0.3, "max": 2.0, "num_bits": 4, "narrow_range": True}),
        Case(
            "FakeQuantWithMinMaxArgs", (np.arange(-9, 9, dtype=np.float32) / 510,), {"min": -1.0, "max": 1.0}
        ),
        Case("FakeQuantWithMinMaxVars", (x, s(0.0, np.float32), s(0.0, np.float32))),
        Case("FakeQuantWithMinMaxVars", (x, s(-1.0, np.float32), s(1.0, np.float32))),
        Case("FakeQuantWithMinMaxVarsPerChannel", (x, -pos(5), pos(5))),
    ]


def _matrices() -> list[Case]:
    both = (0, 1)
    return [
        Case("MatMul", (f(2, 3), f(3, 4)), data=both, tolerance=1e-5),
        Case(
            "MatMul",
            (f(3, 2), f(4, 3)),
            {"transpose_a": True, "transpose_b": True},
            data=both,
            tolerance=1e-5,
        ),
        Case("BatchMatMul", (f(5, 2, 3), f(5, 3, 4)), data=both, tolerance=1e-5),
        Case("Einsum", (f(5, 2, 3), f(3, 4)), {"equation": "abc,cd->adb"}, data=both),
        Case("Einsum", (f(5, 2, 3),), {"equation": "abc->cb"}, note="one"),
        Case("BatchMatMulV2", (f(5, 1, 2, 3), f(2, 4, 3)), {"adj_y": True}, data=both, tolerance=1e-5),
    ]


def _image() -> list[Case]:
    x = f(2, 5, 7, 3)
    boxes, ind = pos(3, 4), i(0, 1, 0)
    sizes = (i(9, 4), i(3, 13))
    modes: tuple[dict[str, bool], ...] = ({}, {"align_corners": True}, {"half_pixel_centers": True})
    return [
        *[
            Case("ResizeBilinear", (x, size), mode, tolerance=1e-5, note=" ".join(mode))
            for size in sizes
            for mode in modes
        ],
        *[
            Case("ResizeNearestNeighbor", (x, size), mode, note=" ".join(mode))
            for size in sizes
            for mode in modes
        ],
        Case("ResizeBicubic", (x, i(4, 4))),
        Case("ResizeArea", (x, i(4, 4))),
        Case("CropAndResize", (x, boxes, ind, i(4, 5)), data=(0, 1, 2)),
        Case("DecodeJpeg", (s(b"", object),), {"channels": 3}, run=False),
        Case("DecodePng", (s(b"", object),), run=False),
        Case("AdjustContrastv2", (x, s(1.0, np.float32))),
    ]


def boxes_and_scores(count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Return overlapping boxes and their scores."""
    corners = _rng.uniform(0, 1, size=(count, 2))
    sides = _rng.uniform(0.1, 0.5, size=(count, 2))
    boxes = np.concatenate([corners, corners + sides], 1).astype(np.float32)
    return boxes, _rng.uniform(size=count).astype(np.float32)


def _detection() -> list[Case]:
    boxes, scores = boxes_and_scores()
    flipped = boxes[:, [2, 3, 0, 1]]
    half, low, sigma = s(0.5, np.float32), s(0.2, np.float32), s(0.5, np.float32)
    one, pad = s(1.0, np.float32), {"pad_to_max_output_size": True}
    both = (0, 1)
    return [
        Case("NonMaxSuppression", (boxes, scores, s(10)), {"iou_threshold": 0.4}, data=both),
        Case("NonMaxSuppressionV2", (boxes, scores, s(10), half), data=both),
        Case("NonMaxSuppressionV2", (flipped, scores, s(10), half), data=both, note="flipped"),
        Case("NonMaxSuppressionV3", (boxes, scores, s(30), half, low), data=both),
        Case("NonMaxSuppressionV4", (boxes, scores, s(30), half, low), data=both),
        Case("NonMaxSuppressionV4", (boxes, scores, s(30), half, low), pad, data=both, note="padded"),
        Case("NonMaxSuppressionV5", (boxes, scores, s(30), half, low, s(0.0, np.float32)), data=both),
        Case(
            "NonMaxSuppressionV5",
            (boxes, scores, s(30), one, low, sigma),
            pad,
            data=both,
            tolerance=1e-5,
            note="soft",
        ),
        Case(
            "NonMaxSuppressionV5",
            (boxes, scores, s(30), half, low, sigma),
            data=both,
            tolerance=1e-5,
            note="soft-hard",
        ),
        Case(
            "CombinedNonMaxSuppression",
            (boxes.reshape(2, 20, 1, 4), scores.reshape(2, 10, 2).repeat(2, 1), s(3), s(5), half, low),
            data=both,
        ),
        Case(
            "CombinedNonMaxSuppression",
            (boxes.reshape(2, 20, 1, 4), scores.reshape(2, 10, 2).repeat(2, 1), s(2), s(5), half, low),
            {"pad_per_class": True},
            data=both,
            note="padded",
        ),
    ]


CASES = (
    *_unary(),
    *_binary(),
    *_sources(),
    *_passing(),
    *_layout(),
    *_joining(),
    *_indexing(),
    *_reduction(),
    *_windows(),
    *_normalization(),
    *_matrices(),
    *_image(),
    *_detection(),
)

WHOLE_GRAPH_OPS = {
    "Const",
    "HostConst",
    "Placeholder",
    "PlaceholderV2",
    "Variable",
    "VariableV2",
    "VarHandleOp",
    "ReadVariableOp",
    "ResourceGather",
    "RefIdentity",
    "Enter",
    "RefEnter",
    "Exit",
    "RefExit",
    "NextIteration",
    "RefNextIteration",
    "LoopCond",
    "Switch",
    "RefSwitch",
    "Merge",
    "RefMerge",
    "NoOp",
    "ControlTrigger",
    "Assert",
    "TensorArrayV3",
    "TensorArrayWriteV3",
    "TensorArrayScatterV3",
    "TensorArraySplitV3",
    "TensorArrayReadV3",
    "TensorArrayGatherV3",
    "TensorArrayConcatV3",
    "TensorArraySizeV3",
    "TensorArrayCloseV3",
    "TensorListGetItem",
    "TensorListStack",
}
"""Ops that make sense in a graph of several nodes only; ``test_infer_flow`` has their cases."""

DECLARING_OPS = set(
    """
    Case DatasetToSingleElement DecodeAndCropJpeg DecodeBmp DecodeCSV DecodeGif DecodeImage
    DecodePaddedRaw DecodeRaw DecodeWav EagerPyFunc FIFOQueue FIFOQueueV2 If InfeedDequeue
    InfeedDequeueTuple Iterator IteratorGetNext IteratorGetNextSync IteratorV2 LookupTableFind
    LookupTableFindV2 OneShotIterator OptionalGetValue PaddingFIFOQueue PaddingFIFOQueueV2
    ParseExample ParseExampleV2 ParseSingleExample PartitionedCall PriorityQueue PriorityQueueV2
    PyFunc PyFuncStateless QueueDequeue QueueDequeueMany QueueDequeueManyV2 QueueDequeueUpTo
    QueueDequeueUpToV2 QueueDequeueV2 RandomShuffleQueue RandomShuffleQueueV2 ReadFile ReduceDataset
    RestoreV2 StatefulPartitionedCall StatelessCase StatelessIf StatelessWhile StringToHashBucket
    StringToHashBucketFast StringToHashBucketStrong StringToNumber Unstage While
    """.split()
)
"""Ops that declare what they give; ``test_pipelines`` has their cases."""


def call(op: str, tensors: list[Any], attrs: dict[str, Any]) -> list[Any]:
    """Add one op to TensorFlow's default graph and return its outputs."""
    arguments = op_def_registry.get(op).input_arg
    function = getattr(tf.raw_ops, op)
    names = list(inspect.signature(function).parameters)
    given: dict[str, Any] = {}
    left = list(tensors)
    for index, argument in enumerate(arguments):
        name = argument.name if argument.name in names else names[index]
        if argument.number_attr or argument.type_list_attr:
            later = arguments[index + 1 :]
            lists = sum(a.number_attr == argument.number_attr for a in later if argument.number_attr)
            count = (len(left) - (len(later) - lists)) // (lists + 1)
            given[name], left = left[:count], left[count:]
        else:
            given[name] = left.pop(0)
    out = function(**given, **attrs)
    if isinstance(out, (list, tuple)):
        return list(out)
    return [out]


def plain_session() -> Any:
    """Return a configuration that runs every op as it stands."""
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    config.graph_options.optimizer_options.opt_level = -1
    return config


def build(case: Case, dims: str) -> tuple[Graph, list[Any], list[Any]]:
    """Return our graph and TensorFlow's outputs; data inputs are constants, or placeholders of known or unknown shape."""
    graph = tf.Graph()
    feeds = {}
    with graph.as_default():
        tensors = []
        for position, array in enumerate(case.inputs):
            if dims == "constant" or (position not in case.data and dims != "all"):
                tensors.append(tf.constant(array))
                continue
            full = dims == "known" or position not in case.data
            shape = array.shape if full else None if dims == "unknown" else (None,) * array.ndim
            tensor = tf.compat.v1.placeholder(
                tf.as_dtype(array.dtype) if array.dtype != object else tf.string, shape
            )
            feeds[tensor] = array
            tensors.append(tensor)
        outputs = call(case.op, tensors, case.attrs)
        values = []
        if case.run:
            with tf.compat.v1.Session(graph=graph, config=plain_session()) as session:
                values = session.run(outputs, feeds)
    return from_bytes(graph.as_graph_def().SerializeToString()), outputs, values


def refs_of(outputs: list[Any]) -> list[Ref]:
    return [Ref.parse(t.name) for t in outputs]


def spec_of(tensor: Any) -> TensorSpec:
    shape = tensor.shape
    dims = None if shape.rank is None else tuple(shape.as_list())
    spec = (
        TensorSpec.of(tensor.dtype.base_dtype.name)
        if dims is None
        else TensorSpec.of(tensor.dtype.base_dtype.name, *dims)
    )
    return spec if dims is not None else TensorSpec(spec.dtype)


def at_least(ours: TensorSpec, theirs: TensorSpec) -> bool:
    """True when ``ours`` knows all that ``theirs`` does and does not contradict it."""
    if ours.dtype != theirs.dtype or not ours.compatible(theirs):
        return False
    if theirs.shape.dims is None:
        return True
    return ours.shape.dims is not None and all(
        t is None or o is not None for o, t in zip(ours.shape.dims, theirs.shape.dims, strict=True)
    )


def difference(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> str:
    """Return how two values differ, empty where they do not; ``tolerance`` is relative to the larger, at least 1."""
    theirs = np.asarray(theirs)
    if ours.shape != theirs.shape:
        return f"shape {ours.shape} instead of {theirs.shape}"
    if ours.dtype != theirs.dtype:
        return f"type {ours.dtype} instead of {theirs.dtype}"
    if tolerance == 0 or theirs.dtype.kind != "f":
        return (
            ""
            if np.array_equal(ours, theirs, equal_nan=theirs.dtype.kind == "f")
            else f"{ours} instead of {theirs}"
        )
    worst = np.max(np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1), initial=0)
    return "" if worst <= tolerance else f"an error of {worst}"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_constant_inputs_give_tensorflows_shapes_and_values(case: Case) -> None:
    graph, outputs, values = build(case, "constant")
    inference = Inference(graph)
    for tensor in outputs:
        assert at_least(inference.spec(Ref.parse(tensor.name)), spec_of(tensor)), tensor
    assert not inference.contradictions
    assert inference.outputs(outputs[0].op.name) == len(outputs)
    if not known_ops()[case.op] or not case.run:
        for value, ref in zip(values, refs_of(outputs), strict=False):
            assert inference.spec(ref).compatible(
                TensorSpec.of(inference.spec(ref).dtype or "float32", *np.shape(value))
            )
        return
    for ours, theirs, ref in zip(evaluate(graph, refs_of(outputs)), values, refs_of(outputs), strict=True):
        if case.op.startswith("FusedBatchNorm") and ref.slot > 0:
            continue
        assert difference(ours, theirs, case.tolerance) == ""
        folded = inference.value(ref)
        if case.op != "PlaceholderWithDefault":
            assert folded is not None
            assert np.array_equal(folded, ours, equal_nan=ours.dtype.kind == "f")


@pytest.mark.parametrize("dims", ["known", "ranked", "unknown", "all"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_unfed_inputs_give_no_less_than_tensorflows_shapes(case: Case, dims: str) -> None:
    graph, outputs, values = build(case, dims)
    inference = Inference(graph)
    for slot, tensor in enumerate(outputs):
        ours, theirs = inference.spec(Ref.parse(tensor.name)), spec_of(tensor)
        if (case.op, dims) not in LESS_THAN_TENSORFLOW:
            assert at_least(ours, theirs), f"{ours} instead of {theirs}"
        if case.run:
            real = TensorSpec.of(ours.dtype or "float32", *np.shape(values[slot]))
            assert ours.compatible(real), f"{ours} for {real}"
    assert not inference.contradictions


def test_every_op_has_a_case() -> None:
    assert set(known_ops()) == {case.op for case in CASES} | WHOLE_GRAPH_OPS | DECLARING_OPS


def test_input_counts_are_tensorflows() -> None:
    counts: dict[str, tuple[int, int | None]] = {}
    for op in known_ops():
        definition = op_def_registry.get(op)
        bounds = {a.name: a.minimum if a.has_minimum else int(a.type == "int") for a in definition.attr}
        lists = [a.number_attr or a.type_list_attr for a in definition.input_arg]
        least = sum(bounds[name] if name else 1 for name in lists)
        if definition.input_arg:
            counts[op] = (least, None if any(lists) else least)
    assert counts == INPUT_COUNTS


def test_every_kernel_has_a_case_that_runs() -> None:
    with_kernel = {op for op, kernel in known_ops().items() if kernel} - WHOLE_GRAPH_OPS
    assert with_kernel <= {case.op for case in CASES if case.run} | {"AccumulateNV2"}


def test_difference_catches_wrong_kernels() -> None:
    right = np.array([1.0, 2.0, 3.0], np.float32)
    assert difference(right, right, 0) == ""
    assert difference(right + np.float32(1e-3), right, 1e-5) != ""
    assert difference(np.nextafter(right, np.float32(9)), right, 0) != ""
    assert difference(right.astype(np.float64), right, 1e-5) != ""
    assert difference(right[None], right, 1e-5) != ""
    assert difference(right[::-1], right, 1e-5) != ""


def test_at_least_catches_wrong_rules() -> None:
    right = TensorSpec.of("float32", None, 3)
    assert at_least(TensorSpec.of("float32", 2, 3), right)
    assert not at_least(TensorSpec.of("float32", None, None), right)
    assert not at_least(TensorSpec.of("float32", None, 4), right)
    assert not at_least(TensorSpec.of("int32", None, 3), right)
    assert not at_least(TensorSpec(right.dtype), right)
