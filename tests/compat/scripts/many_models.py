"""One function for models of every date, with the clean-ups that years of reports brought."""

import argparse

import graphsurgeon as gs
import numpy as np
import tensorrt as trt
import uff

INPUT_DIMS = (3, 96, 96)
MODEL_SPECS = {
    "v1": {"num_classes": 4, "input_order": [0, 2, 1]},
    "v2": {"num_classes": 4, "input_order": [1, 0, 2]},
}


def replace_addv2(graph):
    for node in graph.find_nodes_by_op("AddV2"):
        gs.update_node(node, op="Add")
    return graph


def replace_fusedbnv3(graph):
    for node in graph.find_nodes_by_op("FusedBatchNormV3"):
        gs.update_node(node, op="FusedBatchNorm")
    return graph


def add_anchor_input(graph):
    data = np.array([[1.0]], dtype=np.float32)
    anchor_input = gs.create_node("AnchorInput", "Const", value=data)
    graph.append(anchor_input)
    graph.find_nodes_by_op("GridAnchor_TRT")[0].input.insert(0, "AnchorInput")
    return graph


def add_plugin(graph, model, spec):
    graph.remove(graph.find_nodes_by_op("Assert"), remove_exclusive_dependencies=True)
    graph.forward_inputs(graph.find_nodes_by_op("Identity"))
    graph.remove(
        graph.find_nodes_by_path(["Preprocessor/map/TensorArrayStack_1/TensorArrayGatherV3"]),
        remove_exclusive_dependencies=False,
    )
    Input = gs.create_plugin_node(name="Input", op="Placeholder", shape=(1, *INPUT_DIMS))
    GridAnchor = gs.create_plugin_node(
        name="GridAnchor",
        op="GridAnchor_TRT",
        minSize=0.2,
        maxSize=0.95,
        aspectRatios=[1.0, 2.0, 0.5, 3.0, 0.33],
        variance=[0.1, 0.1, 0.2, 0.2],
        featureMapShapes=[6, 3, 2, 1, 1, 1],
        numLayers=6,
    )
    NMS = gs.create_plugin_node(
        name="NMS",
        op="NMS_TRT",
        shareLocation=1,
        varianceEncodedInTarget=0,
        backgroundLabelId=0,
        confidenceThreshold=0.3,
        nmsThreshold=0.6,
        topK=100,
        keepTopK=100,
        numClasses=spec["num_classes"],
        inputOrder=spec["input_order"],
        confSigmoid=1,
        isNormalized=1,
    )
    concat_priorbox = gs.create_node("concat_priorbox", op="ConcatV2", axis=2)
    if trt.__version__[0] >= "7":
        concat_box_loc = gs.create_plugin_node(
            "concat_box_loc", op="FlattenConcat_TRT", axis=1, ignoreBatch=0
        )
        concat_box_conf = gs.create_plugin_node(
            "concat_box_conf", op="FlattenConcat_TRT", axis=1, ignoreBatch=0
        )
    else:
        concat_box_loc = gs.create_plugin_node("concat_box_loc", op="FlattenConcat_TRT")
        concat_box_conf = gs.create_plugin_node("concat_box_conf", op="FlattenConcat_TRT")

    graph.collapse_namespaces(
        {
            "MultipleGridAnchorGenerator": GridAnchor,
            "Postprocessor": NMS,
            "Preprocessor": Input,
            "ToFloat": Input,
            "Cast": Input,
            "image_tensor": Input,
            "MultipleGridAnchorGenerator/Concatenate": concat_priorbox,
            "Concatenate": concat_priorbox,
            "concat": concat_box_loc,
            "concat_1": concat_box_conf,
        }
    )
    graph = replace_addv2(graph)
    graph = replace_fusedbnv3(graph)

    if "image_tensor:0" in graph.find_nodes_by_name("Input")[0].input:
        graph.find_nodes_by_name("Input")[0].input.remove("image_tensor:0")
    if "Input" in graph.find_nodes_by_name("NMS")[0].input:
        graph.find_nodes_by_name("NMS")[0].input.remove("Input")
    graph.forward_inputs(graph.find_node_inputs_by_name(graph.graph_outputs[0], "Squeeze"))
    if "anchors" in [node.name for node in graph.graph_outputs]:
        graph.remove("anchors", remove_exclusive_dependencies=False)
    if len(graph.find_nodes_by_op("GridAnchor_TRT")[0].input) < 1:
        graph = add_anchor_input(graph)
    if "NMS" not in [node.name for node in graph.graph_outputs]:
        graph.remove(graph.graph_outputs, remove_exclusive_dependencies=False)
        if "NMS" not in [node.name for node in graph.graph_outputs]:
            raise RuntimeError("bad graph_outputs")
    return graph


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=list(MODEL_SPECS))
    parser.add_argument("pb")
    parser.add_argument("uff")
    args = parser.parse_args()
    graph = add_plugin(gs.DynamicGraph(args.pb), args.model, MODEL_SPECS[args.model])
    uff.from_tensorflow(
        graph.as_graph_def(), output_nodes=["NMS"], output_filename=args.uff, text=True, debug_mode=False
    )


if __name__ == "__main__":
    main()
