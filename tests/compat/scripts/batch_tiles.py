"""A Keras detector: anchors tiled by a plugin for each layer, and NMS appended with its inputs by name."""

import sys

import graphsurgeon as gs
import uff

LAYERS = 2


def node_process(graph):
    tiles = [
        gs.create_node(name=f"FirstDimTile_{i}", trt_plugin=True, op="BatchTilePlugin_TRT")
        for i in range(LAYERS)
    ]
    NMS = gs.create_plugin_node(
        name="NMS",
        op="NMS_TRT",
        inputs=["anchor_data/Reshape", "loc_data/Reshape", "conf_data/Reshape"],
        shareLocation=1,
        varianceEncodedInTarget=0,
        backgroundLabelId=0,
        confidenceThreshold=0.01,
        nmsThreshold=0.6,
        topK=400,
        codeType=1,
        keepTopK=200,
        numClasses=4,
        inputOrder=[1, 2, 0],
        confSigmoid=0,
        isNormalized=1,
        scoreBits=16,
    )
    graph.append(NMS)
    graph.collapse_namespaces({f"ssd_anchor_{i}/FirstDimTile": tiles[i] for i in range(LAYERS)})
    return graph


uff.from_tensorflow(
    node_process(gs.DynamicGraph(sys.argv[1])).as_graph_def(),
    ["NMS"],
    output_filename=sys.argv[2],
    text=False,
    quiet=True,
)
