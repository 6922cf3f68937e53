"""A script in the manner of NVIDIA's sample for SSD Inception v2: its map and its numbers."""

from __future__ import annotations

from typing import Any

import surgeon.compat.graphsurgeon as gs
from surgeon.graph import DType

MAP = {
    "MultipleGridAnchorGenerator": "GridAnchor",
    "Postprocessor": "NMS",
    "Preprocessor": "Input",
    "ToFloat": "Input",
    "image_tensor": "Input",
    "MultipleGridAnchorGenerator/Concatenate": "concat_priorbox",
    "MultipleGridAnchorGenerator/Identity": "concat_priorbox",
    "concat": "concat_box_loc",
    "concat_1": "concat_box_conf",
}


def nodes(**changes: Any) -> dict[str, Any]:
    """Return the nodes of the map by name; the changes are fields of ``NMS``."""
    flatten = {"op": "FlattenConcat_TRT", "dtype": DType.FLOAT32, "axis": 1, "ignoreBatch": 0}
    anchors = {
        "numLayers": 6,
        "minSize": 0.2,
        "maxSize": 0.95,
        "aspectRatios": [1.0, 2.0, 0.5, 3.0, 0.33],
        "variance": [0.1, 0.1, 0.2, 0.2],
        "featureMapShapes": [19, 10, 5, 3, 2, 1],
    }
    detection = {
        "shareLocation": 1,
        "varianceEncodedInTarget": 0,
        "backgroundLabelId": 0,
        "confidenceThreshold": 1e-8,
        "nmsThreshold": 0.6,
        "topK": 100,
        "keepTopK": 100,
        "numClasses": 91,
        "inputOrder": [0, 2, 1],
        "confSigmoid": 1,
        "isNormalized": 1,
        **changes,
    }
    made = [
        gs.create_node("Input", op="Placeholder", dtype=DType.FLOAT32, shape=[1, 3, 300, 300]),
        gs.create_plugin_node(name="GridAnchor", op="GridAnchor_TRT", **anchors),
        gs.create_plugin_node(name="NMS", op="NMS_TRT", **detection),
        gs.create_node("concat_priorbox", op="ConcatV2", dtype=DType.FLOAT32, axis=2),
        gs.create_plugin_node("concat_box_loc", **flatten),
        gs.create_plugin_node("concat_box_conf", **flatten),
    ]
    return {node.name: node for node in made}


def preprocess(graph: Any, **changes: Any) -> None:
    """Edit a graph as the sample does."""
    made = nodes(**changes)
    graph.collapse_namespaces({key: made[name] for key, name in MAP.items()})
    graph.remove(graph.graph_outputs, remove_exclusive_dependencies=False)
