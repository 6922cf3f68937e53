"""A Keras LeNet whose ReLU6 becomes a plugin of its own, as the sample of a custom plugin has it."""

import sys

import graphsurgeon as gs
import uff

MODEL, OUTPUT = sys.argv[1:3]


def prepare_namespace_plugin_map():
    trt_relu6 = gs.create_plugin_node(name="trt_relu6", op="CustomClipPlugin", clipMin=0.0, clipMax=6.0)
    return {"ReLU6": trt_relu6}


def model_to_uff(model_path):
    dynamic_graph = gs.DynamicGraph(model_path)
    dynamic_graph.collapse_namespaces(prepare_namespace_plugin_map(), unique_inputs=True)
    uff.from_tensorflow(dynamic_graph.as_graph_def(), [sys.argv[3]], output_filename=OUTPUT, text=True)


model_to_uff(MODEL)
