"""How many tensors the operations of TensorFlow read, as TensorFlow registers them."""

from __future__ import annotations

from collections.abc import Mapping

from surgeon.diagnostics import Diagnostic, SurgeonError
from surgeon.display import plural
from surgeon.graph.graph import Graph
from surgeon.graph.node import Node

_EXACTLY = {
    1: """
        Abs Acos Acosh Asin Asinh Atan Atanh AvgPool Cast Ceil CheckNumerics Cos Cosh
        DatasetToSingleElement DecodeBmp DecodeGif DecodeImage DecodeJpeg DecodePng DecodeRaw DecodeWav
        DepthToSpace Elu EnsureShape Enter Erf Erfc Exit Exp Expm1 FakeQuantWithMinMaxArgs Floor Identity Inv
        Invert InvertPermutation IsFinite IsInf IsNan IteratorGetNext IteratorGetNextSync L2Loss LRN
        LeakyRelu Log Log1p LogSoftmax LogicalNot LoopCond MaxPool MaxPoolWithArgmax Neg NextIteration
        OnesLike OptionalGetValue PlaceholderWithDefault PreventGradient QueueDequeue QueueDequeueV2
        RandomStandardNormal RandomUniform Rank ReadFile ReadVariableOp Reciprocal RefEnter RefExit
        RefIdentity RefNextIteration Relu Relu6 Rint Round Rsqrt Selu Shape Sigmoid Sign Sin Sinh Size
        Snapshot Softmax Softplus Softsign SpaceToDepth Sqrt Square Squeeze StopGradient StringToHashBucket
        StringToHashBucketFast StringToHashBucketStrong StringToNumber Tan Tanh
        TensorArrayCloseV3 TensorArrayV3 TruncatedNormal Unique Unpack Where ZerosLike
    """,
    2: """
        Add AddV2 AdjustContrastv2 All Any ApproximateEqual ArgMax ArgMin Atan2 BatchMatMul BatchMatMulV2
        BiasAdd BitwiseAnd BitwiseOr BitwiseXor BroadcastArgs BroadcastTo Conv2D Conv3D
        Cumprod Cumsum DecodeAndCropJpeg DecodePaddedRaw DepthwiseConv2dNative Div DivNoNan Equal
        EuclideanNorm ExpandDims Fill FloorDiv FloorMod Gather GatherNd Greater GreaterEqual Less LessEqual
        LogicalAnd LogicalOr MatMul Max Maximum Mean Min Minimum MirrorPad Mod Mul MulNoNan NotEqual Pad Pow
        Prod QueueDequeueMany QueueDequeueManyV2 QueueDequeueUpTo QueueDequeueUpToV2 RealDiv RefSwitch
        Reshape ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor ResourceGather ReverseV2 Split
        SquaredDifference Sub Sum Switch TensorArrayConcatV3 TensorArraySizeV3 TensorListStack Tile TopKV2
        Transpose TruncateDiv TruncateMod
    """,
    3: """
        BatchToSpaceND Bincount ClipByValue Conv2DBackpropInput DepthwiseConv2dNativeBackpropInput
        FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel GatherV2 LinSpace LookupTableFind
        LookupTableFindV2 MaxPoolV2 NonMaxSuppression PadV2 RandomUniformInt Range RestoreV2 ScatterNd
        Select SelectV2 Slice SpaceToBatchND SplitV TensorArrayGatherV3 TensorArrayReadV3
        TensorListGetItem
    """,
    4: """
        CropAndResize NonMaxSuppressionV2 OneHot SparseToDense StridedSlice TensorArrayScatterV3
        TensorArraySplitV3 TensorArrayWriteV3
    """,
    5: """
        FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 NonMaxSuppressionV3 NonMaxSuppressionV4
    """,
    6: """
        CombinedNonMaxSuppression NonMaxSuppressionV5
    """,
}
_AT_LEAST = {
    0: """
        EagerPyFunc PartitionedCall PyFunc PyFuncStateless StatefulPartitionedCall StatelessWhile While
    """,
    1: """
        AccumulateNV2 AddN Case Einsum IdentityN If Merge Pack ParseSingleExample Print RefMerge ShapeN
        StatelessCase StatelessIf
    """,
    2: "Assert DecodeCSV DynamicStitch ParseExample ReduceDataset",
    3: "Concat ConcatOffset ConcatV2",
    5: "ParseExampleV2",
}

INPUT_COUNTS: Mapping[str, tuple[int, int | None]] = {
    **{op: (count, count) for count, ops in _EXACTLY.items() for op in ops.split()},
    **{op: (count, None) for count, ops in _AT_LEAST.items() for op in ops.split()},
}
"""The fewest and the most tensors that an operation reads, by operation; None where there is no bound."""


def wrong_input_count(node: Node) -> str:
    """Return how many tensors a node should read where it reads another number, else an empty text."""
    least, most = INPUT_COUNTS.get(node.op, (0, None))
    if least <= len(node.inputs) and (most is None or len(node.inputs) <= most):
        return ""
    return f"{least}" if most == least else f"{least} or more"


def check_input_counts(graph: Graph) -> None:
    """Raise SurgeonError G117 where an operation of TensorFlow reads more or fewer tensors than it takes."""
    problems = [
        Diagnostic(
            "G117",
            f"node '{node.name}' ({node.op}) reads {plural(len(node.inputs), 'tensor')}; expected {count}",
            graph.source or None,
            (f"it reads {', '.join(map(str, node.inputs[:8]))}",) if node.inputs else (),
            ("the file is damaged, or was edited by a script; export it again",),
        )
        for node, count in ((node, wrong_input_count(node)) for node in graph)
        if count
    ]
    if problems:
        raise SurgeonError(*problems[:5])
