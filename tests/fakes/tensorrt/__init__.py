"""A stand-in for TensorRT, for machines without a GPU: it has the calls of the version in FAKE_TENSORRT and no arithmetic. Python 3.6 runs it, too.

An engine is a piece of JSON; executing it gives, for each output, the mean of each picture's inputs. What is done to the
builder is written into the engine, so that a test can read it there. FAKE_FAULT makes it fail in the way it names.
FAKE_LAYERS lists the layers of every network: name, type, inputs, outputs, and INT32 where it gives integers. FAKE_LOSSES
gives layers that move boxes where they do not compute in FP32, and by how much; detections then are rows of seven.
"""

import ctypes
import functools
import json
import operator
import os
import signal
import sys
import time
from enum import Enum, IntEnum

__version__ = os.environ.get("FAKE_TENSORRT", "8.5.3.1")
VERSION = tuple(int(part) for part in __version__.split(".")[:2])
FAULT = os.environ.get("FAKE_FAULT", "")


class ILogger:
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


class Logger(ILogger):
    def __init__(self, severity=None):
        pass


class DataType(Enum):
    FLOAT, HALF, INT8, INT32 = range(4)


class NetworkDefinitionCreationFlag(IntEnum):
    if VERSION < (11, 0):
        EXPLICIT_BATCH = 0
    STRONGLY_TYPED = 1


class BuilderFlag(IntEnum):
    GPU_FALLBACK = 3
    if VERSION < (11, 0):
        FP16 = 0
        INT8 = 1
    if VERSION >= (7, 1):
        TF32 = 2
    if VERSION < (10, 0):
        STRICT_TYPES = 4
    if (8, 2) <= VERSION < (11, 0):
        OBEY_PRECISION_CONSTRAINTS = 5


if VERSION >= (7, 2):

    class TacticSource(IntEnum):
        CUBLAS = 0
        CUBLAS_LT = 1
        CUDNN = 2


class DeviceType(Enum):
    GPU, DLA = range(2)


if VERSION >= (8, 2):

    class ProfilingVerbosity(Enum):
        LAYER_NAMES_ONLY, NONE, DETAILED = range(3)

    class LayerInformationFormat(Enum):
        ONELINE, JSON = range(2)


class TensorIOMode(Enum):
    NONE, INPUT, OUTPUT = range(3)


class MemoryPoolType(Enum):
    WORKSPACE = 0


class _Calibrator:
    def __init__(self):
        pass


class IInt8EntropyCalibrator2(_Calibrator):
    pass


class IInt8MinMaxCalibrator(_Calibrator):
    pass


if VERSION >= (9, 0):

    class IProgressMonitor:
        def __init__(self):
            pass


def init_libnvinfer_plugins(logger, namespace):
    return FAULT != "plugins"


class IProfiler:
    def __init__(self):
        pass


class _Creator:
    plugin_version, plugin_namespace, field_names = "1", "", ()

    def __init__(self, name):
        self.name = name


class _Registry:
    plugin_creator_list = all_creators = tuple(
        _Creator(name) for name in os.environ.get("FAKE_CREATORS", "").split(",")
    )


def get_plugin_registry():
    return _Registry()


class _Tensor:
    def __init__(self, name, shape, dtype=DataType.FLOAT):
        self.name, self.shape, self.dtype = name, tuple(shape), dtype


LAYERS = json.loads(os.environ.get("FAKE_LAYERS", "null")) or [
    ["a", "CONVOLUTION", ["Input"], ["a:0"]],
    ["b", "CONVOLUTION", ["a:0"], ["b:0"]],
    ["c", "SCALE", ["b:0"], ["NMS"]],
]
LOSSES = json.loads(os.environ.get("FAKE_LOSSES", "{}"))


class LayerType(Enum):
    CONVOLUTION, SCALE, CONSTANT, SHUFFLE, CONCATENATION, ACTIVATION, PLUGIN_V2, NMS = range(8)


class _Layer:
    precision = None

    def __init__(self, name, kind, inputs, outputs, dtype="FLOAT"):
        self.name, self.type = name, LayerType[kind]
        self.inputs = [_Tensor(each, (1,)) for each in inputs] + [None]
        self.outputs = [_Tensor(each, (1,), DataType[dtype]) for each in outputs]
        self.output_types = {}

    num_inputs = property(lambda self: len(self.inputs))
    num_outputs = property(lambda self: len(self.outputs))

    def get_input(self, index):
        return self.inputs[index]

    def get_output(self, index):
        return self.outputs[index]

    def set_output_type(self, index, dtype):
        assert self.outputs[index].dtype is DataType.FLOAT
        self.output_types[index] = dtype

    def computed_in(self, flags):
        """Return the precision in which the builder has the layer compute."""
        obeyed = {getattr(BuilderFlag, name, -1) for name in ("STRICT_TYPES", "OBEY_PRECISION_CONSTRAINTS")}
        if self.precision is DataType.FLOAT and self.output_types and obeyed & set(flags):
            return "FP32"
        if getattr(BuilderFlag, "INT8", -1) in flags and self.type is LayerType.CONVOLUTION:
            return "INT8"
        return "FP16" if getattr(BuilderFlag, "FP16", -1) in flags else "FP32"


class _Network:
    def __init__(self, explicit):
        self.explicit, self.inputs, self.outputs = explicit, [], []
        self.layers = [_Layer(*layer) for layer in LAYERS]

    num_layers = property(lambda self: len(self.layers))

    def get_layer(self, index):
        return self.layers[index]

    num_inputs = property(lambda self: len(self.inputs))
    num_outputs = property(lambda self: len(self.outputs))

    def get_input(self, index):
        return self.inputs[index]

    def get_output(self, index):
        return self.outputs[index]


class _Config:
    def __init__(self):
        self.flags, self.told, self.int8_calibrator, self.progress_monitor = (
            {int(getattr(BuilderFlag, "TF32", 9))},
            {},
            None,
            None,
        )
        self.profiles = []

    def set_flag(self, flag):
        self.flags.add(int(flag))

    def clear_flag(self, flag):
        self.flags.discard(int(flag))

    def get_tactic_sources(self):
        return 1 << 2

    def set_tactic_sources(self, sources):
        self.told["tactics"] = sources
        return True

    def add_optimization_profile(self, profile):
        self.profiles.append(profile.shapes)

    if VERSION >= (8, 4):

        def set_memory_pool_limit(self, pool, size):
            self.told["pool"] = size

    if VERSION >= (8, 0):

        def create_timing_cache(self, data):
            return _Cache(data)

        def set_timing_cache(self, cache, ignore):
            self.cache = cache
            return True


class _Cache:
    def __init__(self, data):
        self.data = data

    def serialize(self):
        return self.data + b"timed;"


class _Profile:
    def __init__(self):
        self.shapes = {}

    def set_shape(self, name, least, best, most):
        self.shapes[name] = [list(least), list(best), list(most)]


class Builder:
    max_batch_size = 1

    def __init__(self, log):
        self.log = log

    def create_network(self, flags=0):
        return _Network(VERSION >= (10, 0) or bool(flags))

    def create_builder_config(self):
        return _Config()

    def create_optimization_profile(self):
        return _Profile()

    def _made(self, network, config):
        self.log.log(ILogger.VERBOSE, "After concat removal: 3 layers")
        for layer in ("a", "b", "c"):
            self.log.log(ILogger.VERBOSE, f"--------------- Timing Runner: {layer} (CudnnConvolution)")
        if config.progress_monitor is not None:
            config.progress_monitor.phase_start("Building", None, 2)
            config.progress_monitor.step_complete("Building", 0)
            config.progress_monitor.phase_finish("Building")
        if FAULT == "slow":
            time.sleep(60)
        if FAULT == "no engine":
            self.log.log(
                ILogger.ERROR, "INVALID_ARGUMENT: getPluginCreator could not find plugin Mine version 1"
            )
            return None
        found = {
            "explicit": network.explicit,
            "max_batch": self.max_batch_size,
            "flags": sorted(config.flags),
            "told": config.told,
            "workspace": getattr(config, "max_workspace_size", None),
            "profiles": config.profiles,
            "inputs": [[t.name, t.shape] for t in network.inputs],
            "outputs": [[t.name, t.shape] for t in network.outputs],
            "detailed": getattr(config, "profiling_verbosity", None) is not None,
            "layers": [
                [
                    layer.name,
                    layer.type.name,
                    layer.computed_in(config.flags),
                    [t.name for t in layer.outputs],
                ]
                for layer in network.layers
            ],
        }
        if FAULT == "constrained" and any(layer.precision for layer in network.layers):
            self.log.log(ILogger.ERROR, "Could not find any implementation for node a")
            return None
        if config.int8_calibrator is not None:
            found["calibrated"] = self._calibrated(config.int8_calibrator, [t.name for t in network.inputs])
        return json.dumps(found).encode()

    def _calibrated(self, calibrator, names):
        stored = calibrator.read_calibration_cache()
        if stored:
            return stored.decode()
        means = []
        for addresses in iter(lambda: calibrator.get_batch(names), None):
            assert len(addresses) == len(names)
            means.append(calibrator.get_batch_size())
        calibrator.write_calibration_cache(f"scales of {len(means)} batches".encode())
        return f"{len(means)} batches"

    if VERSION >= (8, 0):

        def build_serialized_network(self, network, config):
            return self._made(network, config)

    else:

        def build_engine(self, network, config):
            data = self._made(network, config)
            return None if data is None else _Engine(data)


if VERSION < (9, 0):

    class UffParser:
        def __init__(self):
            self.inputs, self.marked = [], []

        def register_input(self, name, shape):
            self.inputs.append((name, shape))
            return True

        def register_output(self, name):
            self.marked.append(name)
            return True

        def parse(self, path, network):
            if FAULT == "abort":
                sys.stderr.write(
                    "python: nmsPlugin.cpp:123: Assertion `inputs[param.inputOrder[0]].d[0] == 4' failed.\n"
                )
                sys.stderr.flush()
                os.kill(os.getpid(), signal.SIGABRT)
            network.inputs = [_Tensor(name, shape) for name, shape in self.inputs]
            for name in self.marked:
                node = json.loads(os.environ["FAKE_MARKS"])[name]
                network.outputs += [_Tensor(one, shape) for one, shape in node]
            return FAULT != "parse"

    class CaffeParser:
        def parse(self, deploy, model, network, dtype):
            network.inputs = [_Tensor("data", (3, 2, 2))]
            return _Blobs(network)

    class _Blobs:
        def __init__(self, network):
            self.network = network
            network.mark_output = network.outputs.append

        def find(self, name):
            return _Tensor(name, (1,)) if name == "prob" else None


class OnnxParser:
    num_errors = 0

    def __init__(self, network, log):
        self.network = network

    def parse_from_file(self, path):
        with open(path, "rb") as file:
            content = file.read()
        if content.startswith(b"{"):
            told = json.loads(content)
            self.network.inputs = [_Tensor(name, shape) for name, shape in told["inputs"]]
            self.network.outputs = [_Tensor(name, shape) for name, shape in told["outputs"]]
        else:
            import onnx

            graph = onnx.load(path).graph
            self.network.inputs, self.network.outputs = (
                [_Tensor(v.name, _sizes(v)) for v in vs] for vs in (graph.input, graph.output)
            )
        return True


def _sizes(value):
    return [dim.dim_value if dim.HasField("dim_value") else -1 for dim in value.type.tensor_type.shape.dim]


class Runtime:
    def __init__(self, log):
        pass

    def deserialize_cuda_engine(self, data):
        return None if FAULT == "load" else _Engine(bytes(data))


class _Engine:
    def __init__(self, data):
        self.data, self.told = data, json.loads(data)
        self.has_implicit_batch_dimension = not self.told["explicit"]
        self.tensors = [(n, True, s) for n, s in self.told["inputs"]] + [
            (n, False, s) for n, s in self.told["outputs"]
        ]

    def serialize(self):
        return self.data

    def create_execution_context(self):
        return _Context(self)

    if VERSION >= (8, 2):

        def create_engine_inspector(self):
            return self

        def get_engine_information(self, kind):
            if not self.told["detailed"]:
                return json.dumps({"Layers": [layer[0] for layer in self.told["layers"]]})
            return json.dumps({"Layers": [_inspected(*layer) for layer in self.told["layers"]]})

    if VERSION < (10, 0):
        num_bindings = property(lambda self: len(self.tensors))

        def get_binding_name(self, index):
            return self.tensors[index][0]

        def binding_is_input(self, index):
            return self.tensors[index][1]

        def get_binding_dtype(self, index):
            return DataType.FLOAT

        def get_binding_shape(self, index):
            return self.tensors[index][2]

        def get_binding_index(self, name):
            return [t[0] for t in self.tensors].index(name)

    else:
        num_io_tensors = property(lambda self: len(self.tensors))

        def get_tensor_name(self, index):
            return self.tensors[index][0]

        def get_tensor_mode(self, name):
            return TensorIOMode.INPUT if {t[0]: t[1] for t in self.tensors}[name] else TensorIOMode.OUTPUT

        def get_tensor_dtype(self, name):
            return DataType.FLOAT

        def get_tensor_shape(self, name):
            return {t[0]: t[2] for t in self.tensors}[name]


def _inspected(name, kind, precision, outputs):
    words = {
        "INT8": "Four wide channel vectorized row major Int8 format",
        "FP16": "Row major linear FP16 format",
    }
    tensors = [
        {"Name": each, "Format/Datatype": words.get(precision, "Row major linear FP32")} for each in outputs
    ]
    weights = {"Weights": {"Type": {"INT8": "Int8", "FP16": "Half"}.get(precision, "Float"), "Count": 9}}
    known = {"Name": name, "LayerType": {"PLUGIN_V2": "PluginV2"}.get(kind, kind.title()), "Outputs": tensors}
    return {**known, **(weights if kind == "CONVOLUTION" else {})}


class _Context:
    def __init__(self, engine):
        self.engine, self.addresses, self.shapes, self.profiler = engine, {}, {}, None

    def _execute(self, batch, addresses):
        """Compute, or note what a graph computes later; the fault "stale" makes a graph keep the means of its capture."""
        from polygraphy import cuda

        if not cuda.capturing:
            return self._computed(batch, addresses, self._means(batch, addresses))
        means = self._means(batch, addresses)
        cuda.capturing[-1].append(
            lambda: self._computed(
                batch, addresses, means if FAULT == "stale" else self._means(batch, addresses)
            )
        )
        return FAULT != "capture"

    def _means(self, batch, addresses):
        if FAULT == "hang":
            time.sleep(60)
        import numpy as np

        total = np.zeros(batch, np.float32)
        for (_, is_input, shape), address in zip(self.engine.tensors, addresses):
            if is_input:
                count = self._count(shape, batch)
                total += (
                    np.ctypeslib.as_array((ctypes.c_float * count).from_address(address))
                    .reshape(batch, -1)
                    .mean(1)
                )
        return total

    def _computed(self, batch, addresses, total):
        import numpy as np

        for (_, is_input, shape), address in zip(self.engine.tensors, addresses):
            if not is_input:
                count = self._count(shape, batch)
                values = np.ctypeslib.as_array((ctypes.c_float * count).from_address(address)).reshape(
                    batch, -1
                )
                values[:] = self._rows(total, count // batch) if LOSSES and shape[-1] == 7 else total[:, None]
        if self.profiler is not None:
            for number, layer in enumerate(self.engine.told["layers"], 1):
                self.profiler.report_layer_time(layer[0], 0.25 * number)
        return FAULT != "execute" and (FAULT != "profile" or self.profiler is None)

    def _rows(self, means, size):
        """Return detections that depend on the picture, moved by what layers of less than FP32 lose."""
        import numpy as np

        moved = sum(LOSSES.get(layer[0], 0) for layer in self.engine.told["layers"] if layer[2] != "FP32")
        place = np.arange(size // 7)
        left = 0.02 + 0.05 * place[None] + 0.01 * (np.abs(means[:, None]) % 1) + moved
        top = np.broadcast_to(0.1 + 0.0 * place, left.shape)
        columns = [0 * left, 0 * left + 1 + place % 2, 0 * left + 0.9 - 0.005 * place]
        return np.stack([*columns, left, top, left + 0.2, top + 0.2], 2).reshape(len(means), -1)

    def _count(self, shape, batch):
        whole = (
            (batch, *shape)
            if self.engine.has_implicit_batch_dimension
            else [batch if size == -1 else size for size in shape]
        )
        return functools.reduce(operator.mul, whole, 1)

    if VERSION < (10, 0):

        def execute_async(self, batch, addresses, stream):
            return self._execute(batch, addresses)

        def execute_async_v2(self, addresses, stream):
            return self._execute(self._batch(), addresses)

        def execute(self, batch, addresses):
            return self._execute(batch, addresses)

        def execute_v2(self, addresses):
            return self._execute(self._batch(), addresses)

    else:

        def set_tensor_address(self, name, address):
            self.addresses[name] = address

        def execute_async_v3(self, stream):
            return self._execute(self._batch(), [self.addresses[t[0]] for t in self.engine.tensors])

    def _batch(self):
        return next(iter(self.shapes.values()))[0] if self.shapes else self.engine.tensors[0][2][0]

    if VERSION >= (8, 5):

        def set_input_shape(self, name, shape):
            self.shapes[name] = shape
            return True

    else:

        def set_binding_shape(self, index, shape):
            self.shapes[self.engine.tensors[index][0]] = shape
            return True
