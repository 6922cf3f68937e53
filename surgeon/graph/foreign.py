"""Graphs that another tool has changed or that were exported for another purpose: what to give instead."""

from __future__ import annotations

import re
from dataclasses import dataclass

from surgeon.diagnostics import Diagnostic, Severity, SurgeonError
from surgeon.graph.graph import Graph

CODE = "G118"


@dataclass(frozen=True)
class _Foreign:
    """Operations by which such a graph is recognised, what it is, and what to give instead."""

    ops: re.Pattern[str]
    what: str
    help: tuple[str, ...]


_EXPORT = (
    "export the model for inference and give that graph: in the Object Detection API the "
    "frozen_inference_graph.pb of export_inference_graph.py (TensorFlow 1), or the folder 'saved_model' of "
    "exporter_main_v2.py (TensorFlow 2)"
)

TFLITE_HELP = (
    "start from frozen_inference_graph.pb, which export_inference_graph.py writes, and not from the graph of "
    "export_tflite_ssd_graph.py",
    "for TensorFlow 2, give the folder 'saved_model' of exporter_main_v2.py, and not that of "
    "export_tflite_graph_tf2.py",
)
"""What to give in place of a detector that was exported for TensorFlow Lite."""

_KINDS = (
    _Foreign(
        re.compile(r"TFLite_Detection_PostProcess"),
        "was exported for TensorFlow Lite",
        TFLITE_HELP,
    ),
    _Foreign(
        re.compile(r"TRTEngineOp"),
        "went through TF-TRT, which put parts of it into engines of TensorRT",
        ("give the graph from before TF-TRT (create_inference_graph, TrtGraphConverter)",),
    ),
    _Foreign(
        re.compile(
            r"(Resource)?(Sparse)?Apply[A-Z]\w*|BroadcastGradientArgs|SymbolicGradient|"
            r"(?!MaxPool)\w+Grad(V\d)?|FakeQuant\w+Gradient"
        ),
        "is one for training: it computes gradients",
        (_EXPORT,),
    ),
    _Foreign(
        re.compile(
            r"\w*Queue(V2)?|QueueDequeue\w*|Reader(Read|ReadUpTo)(V2)?|IteratorGetNext|OneShotIterator"
        ),
        "reads its input from a queue or a dataset, as in training and evaluation",
        (
            _EXPORT,
            "or map the namespace that reads it to the input node, or make what it reads the input: "
            "'--input NODE=SHAPE', or the step 'cut-at'",
        ),
    ),
    _Foreign(
        re.compile(r"TPU\w+"),
        "was exported for a TPU",
        ("export it for a CPU or a GPU (use_tpu=False), and give that graph",),
    ),
    _Foreign(
        re.compile(r"NeuronOp|_?[Nn]GraphEncapsulate|XlaLaunch|_XlaRun|_XlaCompile"),
        "went through another compiler, which put parts of it into programs of its own",
        ("give the graph from before that compiler",),
    ),
    _Foreign(
        re.compile(r"_Mkl\w+|_Fused\w+"),
        "was written out by TensorFlow after it was optimised for one machine",
        ("give the graph from before that, as it was frozen",),
    ),
    _Foreign(
        re.compile(r"Quantized(Conv2D|MatMul|BiasAdd|Relu\w*|MaxPool|AvgPool|DepthwiseConv2D|Concat)\w*"),
        "computes in 8-bit integers, as transform_graph makes it (quantize_nodes)",
        ("give the graph from before that; 'surgeon build --int8' makes an engine of 8-bit integers",),
    ),
)


def foreign_graph(graph: Graph) -> Diagnostic | None:
    """Return a warning that names what was done to a graph and which graph to give instead; None for a graph
    as it is exported for inference.

    The first kind counts of which the graph has a node.
    """
    ops: dict[str, list[str]] = {}
    for node in graph:
        ops.setdefault(node.op, []).append(node.name)
    for kind in _KINDS:
        nodes = [name for op, names in ops.items() if kind.ops.fullmatch(op) for name in names]
        if not nodes:
            continue
        more = f"; nodes of this kind: {len(nodes)}" if len(nodes) > 1 else ""
        shown = f"'{nodes[0]}' is {graph[nodes[0]].op}{more}"
        place = graph.source or None
        return Diagnostic(
            CODE, f"the graph {kind.what}", place, (shown,), kind.help, severity=Severity.WARNING
        )
    return None


def naming_foreign(exc: SurgeonError, graph: Graph) -> SurgeonError:
    """Return an error about a graph, behind the warning of :func:`foreign_graph` where there is one."""
    found = foreign_graph(graph)
    if found is None or found in exc.diagnostics:
        return exc
    return SurgeonError(found, *exc.diagnostics)
