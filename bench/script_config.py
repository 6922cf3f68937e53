"""The preprocessor of an SSD of November 2017, as scripts for convert-to-uff have it."""

import graphsurgeon as gs

NODES = {
    "Input": gs.create_node("Input", op="Placeholder", shape=[1, 3, 300, 300]),
    "GridAnchor": gs.create_plugin_node("GridAnchor", op="GridAnchor_TRT", numLayers=6),
    "NMS": gs.create_plugin_node("NMS", op="NMS_TRT", numClasses=91, inputOrder=[0, 2, 1]),
    "concat_priorbox": gs.create_node("concat_priorbox", op="ConcatV2", axis=2),
    "concat_box_loc": gs.create_plugin_node("concat_box_loc", op="FlattenConcat_TRT", axis=1, ignoreBatch=0),
    "concat_box_conf": gs.create_plugin_node(
        "concat_box_conf", op="FlattenConcat_TRT", axis=1, ignoreBatch=0
    ),
}
NAMESPACES = {
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


def preprocess(graph):
    """Replace the namespaces by the plugins, and leave NMS as the output."""
    graph.collapse_namespaces({key: NODES[name] for key, name in NAMESPACES.items()})
    graph.remove(graph.graph_outputs, remove_exclusive_dependencies=False)
