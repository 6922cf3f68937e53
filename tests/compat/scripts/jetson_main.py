"""A program with a module of its own for each model: surgery, UFF, and an engine that is built in the same run."""

import ctypes
import os
import sys

import graphsurgeon as gs
import tensorrt as trt
import uff
from jetson_model import mobilenet_v2_2018 as model

ctypes.CDLL("lib/libflattenconcat.so")

TRT_LOGGER = trt.Logger(trt.Logger.INFO)
trt.init_libnvinfer_plugins(TRT_LOGGER, "")
runtime = trt.Runtime(TRT_LOGGER)

model.path, TRTbin = sys.argv[1:3]
if not os.path.isfile(TRTbin):
    dynamic_graph = model.add_plugin(gs.DynamicGraph(model.path))
    uff_model = uff.from_tensorflow(
        dynamic_graph.as_graph_def(), model.output_name, output_filename=TRTbin + ".uff"
    )

    with trt.Builder(TRT_LOGGER) as builder, builder.create_network() as network, trt.UffParser() as parser:
        builder.max_workspace_size = 1 << 28
        parser.register_input("Input", model.dims)
        parser.register_output("MarkOutput_0")
        parser.parse(TRTbin + ".uff", network)
        engine = builder.build_cuda_engine(network)
