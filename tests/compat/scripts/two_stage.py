"""Two stages from Keras: proposals appended, crops collapsed, inputs set by hand, and reshapes found by pattern."""

import re

import graphsurgeon as gs

CropAndResize = gs.create_plugin_node(
    name="roi_pooling_conv_1/CropAndResize_new",
    op="CropAndResize",
    inputs=["activation_7/Relu", "proposal"],
    crop_height=7,
    crop_width=7,
)
Proposal = gs.create_plugin_node(
    name="proposal",
    op="Proposal",
    inputs=["rpn_out_class/Sigmoid", "rpn_out_regress/BiasAdd"],
    input_height=272,
    input_width=480,
    rpn_stride=16,
    roi_min_size=1.0,
    nms_iou_threshold=0.7,
    pre_nms_top_n=6000,
    post_nms_top_n=300,
    anchor_sizes=[32.0, 64.0, 128.0],
    anchor_ratios=[1.0, 0.5, 2.0],
)
namespace_plugin_map = {
    "crop_and_resize_1/Reshape": CropAndResize,
    "crop_and_resize_1/CropAndResize": CropAndResize,
}


def preprocess(dynamic_graph):
    dynamic_graph.append(Proposal)
    dynamic_graph.remove("input_2")
    dynamic_graph.collapse_namespaces(namespace_plugin_map)
    for node in dynamic_graph.as_graph_def().node:
        if re.match(r"time_distributed_\d+/Reshape", node.name):
            target = node.input[0]
            for reader in dynamic_graph.node_outputs[node.name]:
                reader.input.insert(list(reader.input).index(node.name), target)
                reader.input.remove(node.name)
    dynamic_graph.remove(dynamic_graph.find_nodes_by_path(r"time_distributed_\d+/Reshape"))
    softmax = dynamic_graph.find_nodes_by_name("Softmax")[0]
    softmax.attr["axis"].i = -1
    gs.update_node(dynamic_graph.find_nodes_by_op("AddV2")[0], op="Add")
