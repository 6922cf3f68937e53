"""Graphs that another tool has changed, told from graphs for inference."""

from __future__ import annotations

import pytest

from surgeon.diagnostics import Severity, error
from surgeon.graph import Graph, Node, Ref
from surgeon.graph.foreign import foreign_graph, naming_foreign


def graph_with(*ops: str) -> Graph:
    nodes = [Node(f"node{i}", op, (Ref("x"),)) for i, op in enumerate(ops)]
    return Graph([Node("x", "Placeholder"), *nodes], source="model.pb")


@pytest.mark.parametrize(
    ("op", "what", "instead"),
    [
        ("TFLite_Detection_PostProcess", "exported for TensorFlow Lite", "frozen_inference_graph.pb"),
        ("TRTEngineOp", "went through TF-TRT", "before TF-TRT"),
        ("ApplyMomentum", "for training", "export the model for inference"),
        ("ResourceApplyAdam", "for training", "export the model for inference"),
        ("ResourceSparseApplyAdagrad", "for training", "export the model for inference"),
        ("Relu6Grad", "for training", "export the model for inference"),
        ("FusedBatchNormGradV3", "for training", "export the model for inference"),
        ("BroadcastGradientArgs", "for training", "export the model for inference"),
        ("FakeQuantWithMinMaxVarsGradient", "for training", "export the model for inference"),
        ("PaddingFIFOQueueV2", "from a queue or a dataset", "map the namespace"),
        ("QueueDequeueManyV2", "from a queue or a dataset", "map the namespace"),
        ("ReaderReadV2", "from a queue or a dataset", "map the namespace"),
        ("IteratorGetNext", "from a queue or a dataset", "map the namespace"),
        ("TPUReplicate", "for a TPU", "use_tpu=False"),
        ("NeuronOp", "another compiler", "before that compiler"),
        ("NGraphEncapsulate", "another compiler", "before that compiler"),
        ("_FusedConv2D", "was optimised for one machine", "as it was frozen"),
        ("QuantizedConv2DWithBiasAndReluAndRequantize", "8-bit integers", "surgeon build --int8"),
    ],
)
def test_the_kind_is_named_with_what_to_give_instead(op: str, what: str, instead: str) -> None:
    found = foreign_graph(graph_with("Conv2D", op, op))
    assert found is not None
    assert (found.code, found.severity, found.where) == ("G118", Severity.WARNING, "model.pb")
    assert what in found.message and instead in " ".join(found.help)
    assert found.notes == (f"'node1' is {op}; nodes of this kind: 2",)


@pytest.mark.parametrize(
    "op",
    [
        "Conv2DBackpropInput",
        "MaxPoolGrad",
        "StopGradient",
        "PreventGradient",
        "FakeQuantWithMinMaxVars",
        "QuantizeAndDequantizeV2",
        "Dequantize",
        "FusedBatchNormV3",
        "NonMaxSuppressionV5",
        "NMS_TRT",
        "GridAnchor_TRT",
    ],
)
def test_operations_for_inference_are_no_sign(op: str) -> None:
    assert foreign_graph(graph_with("Conv2D", op)) is None


def test_an_error_stands_behind_the_cause_once() -> None:
    graph = graph_with("TRTEngineOp")
    failed = error("D113", "the size is not known")
    named = naming_foreign(failed, graph)
    assert [each.code for each in named.diagnostics] == ["G118", "D113"]
    assert naming_foreign(named, graph) is named
    assert naming_foreign(failed, graph_with("Conv2D")) is failed
