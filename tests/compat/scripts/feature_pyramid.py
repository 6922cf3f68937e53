"""A pyramid with excluded nodes, an input with ports among its keys, and edges taken off and put on for their order."""

import graphsurgeon as gs
import tensorflow as tf


def preprocess(graph):
    image = gs.create_plugin_node("Input", op="Placeholder", dtype=tf.float32, shape=[-1, 3, 64, 64])
    upsample = gs.create_plugin_node("up", op="ResizeNearest_TRT", scale=2.0, dtype=tf.float32)
    propose = gs.create_plugin_node(
        "propose",
        op="MultilevelProposeROI_TRT",
        prenms_topk=4096,
        keep_topk=100,
        fg_threshold=0.0,
        iou_threshold=0.7,
        image_size=[3, 64, 64],
    )
    kept = graph.find_nodes_by_path("MLP/level_[23]/sigmoid")
    graph.collapse_namespaces(
        {
            "input_1": image,
            "IteratorGetNext": image,
            "IteratorGetNext:1": image,
            "FPN_up_2": upsample,
            "MLP": propose,
        },
        exclude_nodes=kept,
    )
    node = graph.find_nodes_by_name("propose")[0]
    graph.disconnect("Input", node)
    for name in list(node.input):
        graph.disconnect(graph.find_nodes_by_path(name)[0], node)
    for name in ("MLP/level_3/sigmoid", "MLP/level_2/sigmoid"):
        graph.connect(name, node)
