"""Names of the outputs of operations that have several, as TensorFlow registers them.

The body of a function names what it reads by them.
"""

from __future__ import annotations

from collections.abc import Mapping

_ROWS = """
    BlockLSTM i cs f o ci co h
    BlockLSTMV2 i cs f o ci co h
    CombinedNonMaxSuppression nmsed_boxes nmsed_scores nmsed_classes valid_detections
    DecodeWav audio sample_rate
    FusedBatchNorm y batch_mean batch_variance reserve_space_1 reserve_space_2
    FusedBatchNormV2 y batch_mean batch_variance reserve_space_1 reserve_space_2
    FusedBatchNormV3 y batch_mean batch_variance reserve_space_1 reserve_space_2 reserve_space_3
    GRUBlockCell r u c h
    LSTMBlockCell i cs f o ci co h
    ListDiff out idx
    MaxPoolWithArgmax output argmax
    Merge output value_index
    NonMaxSuppressionV4 selected_indices valid_outputs
    NonMaxSuppressionV5 selected_indices selected_scores valid_outputs
    QuantizeV2 output output_min output_max
    RefMerge output value_index
    RefSwitch output_false output_true
    SampleDistortedBoundingBoxV2 begin size bboxes
    SoftmaxCrossEntropyWithLogits loss backprop
    SparseSoftmaxCrossEntropyWithLogits loss backprop
    StatelessRandomGetKeyCounter key counter
    Switch output_false output_true
    TensorArrayConcatV3 value lengths
    TensorArrayV3 handle flow
    TensorListConcatV2 tensor lengths
    TensorListPopBack output_handle tensor
    TopK values indices
    TopKV2 values indices
    Unique y idx
    UniqueV2 y idx
    UniqueWithCounts y idx count
"""

OUTPUT_NAMES: Mapping[str, tuple[str, ...]] = {
    op: tuple(names) for op, *names in (row.split() for row in _ROWS.strip().splitlines())
}
"""For each operation its outputs in order."""

SEVERAL_LISTS = frozenset({"ParseExample", "ParseExampleV2", "ParseSingleExample"})
"""Operations with several outputs that are lists of tensors."""
