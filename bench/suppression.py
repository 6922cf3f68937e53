"""What suppression costs in an engine, on a GPU: its layer, the engine with it, and the network alone.

    python bench/suppression.py LIB.so OUT.json INPUTS.npz FILE[+alone][,fp32|fp16[,BATCH]]...

FILE is a UFF or ONNX file; '+alone' measures its network without what suppresses: the outputs are then what
that reads. INPUTS.npz holds 'pictures' as the network takes them, float32[N, 3, H, W].

Engines are built one after the other, with TF32 off, and share the timings of their layers. Each runs on the
first BATCH pictures (1 where it is left out) in five rounds, as calls on a stream and as replays of a CUDA
graph; TensorRT's profiler times the layers. Outputs and timings are kept beside OUT.json, and what is in that
file already is not measured again.
"""

from __future__ import annotations

import ctypes
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROUNDS, CALLS = 5, 100


class Cuda:
    """The calls of CUDA's runtime that are needed, each checked."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL("libcudart.so.11.0")

    def __call__(self, name: str, *arguments: Any) -> None:
        status = getattr(self.library, name)(*arguments)
        if status:
            raise RuntimeError(f"{name}: CUDA error {status}")

    def made(self, name: str, *arguments: Any) -> ctypes.c_void_p:
        handle = ctypes.c_void_p()
        self(name, ctypes.byref(handle), *arguments)
        return handle


class Bench:
    """A builder whose engines share their layers' timings, and a runtime."""

    def __init__(self, library: Path, timings: Path) -> None:
        import tensorrt

        self.trt: Any = tensorrt
        self.log = self.trt.Logger(self.trt.Logger.ERROR)
        self.trt.init_libnvinfer_plugins(self.log, "")
        ctypes.CDLL(str(library.resolve()))
        self.builder = self.trt.Builder(self.log)
        self.runtime = self.trt.Runtime(self.log)
        self.timings = timings
        self.cuda = Cuda()

    def network(self, file: Path, shape: tuple[int, ...]) -> Any:
        """Return the network of a file; its parser goes with it."""
        trt = self.trt
        if file.suffix == ".uff":
            network = self.builder.create_network(0)
            parser = trt.UffParser()
            parser.register_input("Input", shape)
            parser.register_output("MarkOutput_0")
            done = parser.parse(str(file), network)
        else:
            network = self.builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH))
            parser = trt.OnnxParser(network, self.log)
            done = parser.parse(file.read_bytes())
        if not done:
            raise RuntimeError(f"{file}: the parser refuses it")
        return network, parser

    def engine(self, network: Any, half: bool, batch: int) -> tuple[Any, float]:
        """Return a built engine, and how many seconds that took."""
        trt, config = self.trt, self.builder.create_builder_config()
        config.max_workspace_size = 1 << 30
        config.clear_flag(trt.BuilderFlag.TF32)
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        if half:
            config.set_flag(trt.BuilderFlag.FP16)
        known = self.timings.read_bytes() if self.timings.exists() else b""
        config.set_timing_cache(config.create_timing_cache(known), False)
        self.builder.max_batch_size = batch
        given = network.get_input(0)
        if not network.has_implicit_batch_dimension and given.shape[0] == -1:
            profile = self.builder.create_optimization_profile()
            shape = tuple(given.shape)[1:]
            profile.set_shape(given.name, (1, *shape), (batch, *shape), (batch, *shape))
            config.add_optimization_profile(profile)
        start = time.perf_counter()
        data = self.builder.build_serialized_network(network, config)
        if data is None:
            raise RuntimeError("the engine was not built")
        seconds = time.perf_counter() - start
        self.timings.write_bytes(bytes(config.get_timing_cache().serialize()))
        return self.runtime.deserialize_cuda_engine(data), seconds


class Execution:
    """An engine with its tensors on the GPU and a stream."""

    def __init__(self, bench: Bench, engine: Any, x: np.ndarray) -> None:
        self.cuda, self.batch = bench.cuda, len(x)
        self.implicit = engine.has_implicit_batch_dimension
        self.context = engine.create_execution_context()
        self.stream = self.cuda.made("cudaStreamCreate")
        self.pointers: list[int] = []
        self.hosts: list[tuple[str, np.ndarray | None]] = []
        if not self.implicit:
            self.context.set_binding_shape(0, x.shape)
        for i in range(engine.num_bindings):
            shape = tuple(self.context.get_binding_shape(i))
            host = (
                x
                if engine.binding_is_input(i)
                else np.zeros((len(x), *shape) if self.implicit else shape, np.float32)
            )
            pointer = self.cuda.made("cudaMalloc", ctypes.c_size_t(host.nbytes))
            self.copy(pointer, host.ctypes.data_as(ctypes.c_void_p), host.nbytes, 1)
            self.pointers.append(pointer.value or 0)
            self.hosts.append((engine.get_binding_name(i), None if engine.binding_is_input(i) else host))

    def copy(self, to: Any, of: Any, size: int, kind: int) -> None:
        self.cuda("cudaMemcpy", to, of, ctypes.c_size_t(size), kind)

    def start(self) -> None:
        handle = self.stream.value
        if self.implicit:
            done = self.context.execute_async(self.batch, self.pointers, handle)
        else:
            done = self.context.execute_async_v2(self.pointers, handle)
        if not done:
            raise RuntimeError("the engine did not start")

    def wait(self) -> None:
        self.cuda("cudaStreamSynchronize", self.stream)

    def outputs(self) -> dict[str, np.ndarray]:
        self.start()
        self.wait()
        found = {}
        for pointer, (name, host) in zip(self.pointers, self.hosts, strict=True):
            if host is not None:
                self.copy(host.ctypes.data_as(ctypes.c_void_p), ctypes.c_void_p(pointer), host.nbytes, 2)
                found[name] = host.copy()
        return found

    def milliseconds(self, call: Callable[[], None]) -> list[float]:
        """Return the median of each round's calls."""
        first, last = self.cuda.made("cudaEventCreate"), self.cuda.made("cudaEventCreate")
        medians = []
        for _ in range(10):
            call()
        for _ in range(ROUNDS):
            times = []
            for _ in range(CALLS):
                self.cuda("cudaEventRecord", first, self.stream)
                call()
                self.cuda("cudaEventRecord", last, self.stream)
                self.wait()
                passed = ctypes.c_float()
                self.cuda("cudaEventElapsedTime", ctypes.byref(passed), first, last)
                times.append(passed.value)
            medians.append(round(statistics.median(times), 4))
        return medians

    def captured(self) -> Callable[[], None]:
        """Return what replays the engine as a CUDA graph."""
        self.cuda("cudaStreamBeginCapture", self.stream, 2)
        self.start()
        graph = ctypes.c_void_p()
        self.cuda("cudaStreamEndCapture", self.stream, ctypes.byref(graph))
        ready = self.cuda.made("cudaGraphInstantiate", graph, None, None, ctypes.c_size_t(0))
        return lambda: self.cuda("cudaGraphLaunch", ready, self.stream)


def layer_times(bench: Bench, execution: Execution) -> dict[str, float]:
    """Return the median milliseconds of each layer."""
    trt = bench.trt
    seen: dict[str, list[float]] = {}

    class Profiler(trt.IProfiler):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)

        def report_layer_time(self, name: str, ms: float) -> None:
            seen.setdefault(name, []).append(ms)

    execution.context.profiler = Profiler()
    for _ in range(60):
        if execution.implicit:
            execution.context.execute(execution.batch, execution.pointers)
        else:
            execution.context.execute_v2(execution.pointers)
    return {name: statistics.median(times[10:]) for name, times in seen.items()}


def suppressing(trt: Any, network: Any) -> Any:
    """Return the layer that suppresses: the last plugin with as many inputs and outputs as that needs, else
    TensorRT's own."""
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    plugins = [layer for layer in layers if layer.type == trt.LayerType.PLUGIN_V2]
    own = [layer for layer in layers if layer.type == trt.LayerType.NMS]
    return [*own, *(layer for layer in plugins if layer.num_inputs >= 2 and layer.num_outputs >= 2)][-1]


def measured(
    bench: Bench, file: Path, x: np.ndarray, half: bool, alone: bool
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the times of one engine and its outputs; of the network alone where that is asked for."""
    network, parser = bench.network(file, x.shape[1:])
    layer = suppressing(bench.trt, network)
    name = layer.name
    if alone:
        for i in range(network.num_outputs - 1, -1, -1):
            network.unmark_output(network.get_output(i))
        for i in range(layer.num_inputs):
            if not layer.get_input(i).is_network_input:
                network.mark_output(layer.get_input(i))
    engine, seconds = bench.engine(network, half, len(x))
    execution = Execution(bench, engine, x)
    outputs = execution.outputs()
    found: dict[str, Any] = {"build_s": round(seconds, 1), "layers": engine.num_layers}
    found["stream_ms"] = execution.milliseconds(execution.start)
    try:
        replay = execution.captured()
        found["graph_ms"] = execution.milliseconds(replay)
        again = execution.outputs()
        found["replay_same"] = all(np.array_equal(outputs[key], again[key]) for key in outputs)
    except RuntimeError as exc:
        found["graph_failed"] = str(exc)
    times = layer_times(bench, execution)
    found["suppression_ms"] = {key: round(ms, 4) for key, ms in times.items() if key == name or name in key}
    found["other_layers_ms"] = round(sum(ms for key, ms in times.items() if name not in key), 4)
    slowest = sorted(times, key=times.__getitem__)[:-4:-1]
    found["slowest_ms"] = {key: round(times[key], 4) for key in slowest}
    found["memory_bytes"] = engine.device_memory_size
    del parser
    return found, outputs


def main(arguments: Sequence[str]) -> int:
    if len(arguments) < 4:
        print(__doc__, file=sys.stderr)
        return 2
    library, out, inputs = map(Path, arguments[:3])
    results: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    bench = Bench(library, out.with_suffix(".timings"))
    pictures = np.load(inputs)["pictures"].astype(np.float32)
    for argument in arguments[3:]:
        name, precision, batch = (
            [*argument.split(","), "fp32", "1"][:3]
            if argument.count(",") != 1
            else [*argument.split(","), "1"]
        )
        file, alone = Path(name.removesuffix("+alone")), name.endswith("+alone")
        x = np.ascontiguousarray(np.resize(pictures, (int(batch), *pictures.shape[1:])))
        key = f"{Path(name).name} {precision} {batch}"
        if "build_s" in results.get(key, {}):
            continue
        try:
            results[key], outputs = measured(bench, file, x, precision == "fp16", alone)
            if not alone:
                np.savez_compressed(out.with_name(key.replace(" ", "_") + ".npz"), **outputs)
        except Exception as exc:
            results[key] = {"failed": f"{type(exc).__name__}: {exc}"}
        out.write_text(json.dumps(results, indent=1) + "\n")
        print(key, json.dumps(results[key]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
