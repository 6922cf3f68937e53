"""Engines from networks. Runs in the child process, whose TensorRT may be of any version from 7 on."""

import re
import time
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Sequence

from .failures import Refused, require
from .network import parse, tensors_of
from .precision import keep_in_fp32

Tell = Callable[..., None]
Ask = Callable[[str, int], Any]

_LAYERS_LEFT = re.compile(r"After .*: (\d+) layers")
_TIMED = re.compile(r"Timing Runner: (.+) \(")


class Progress:
    """What the build is doing, told in phases and, while layers are timed, by their number.

    From TensorRT 9 on, a monitor of TensorRT's own reports it; before that, its verbose log does.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._total = 0
        self._timed: Dict[str, None] = {}

    def phase(self, name: str) -> None:
        """Tell that a phase begins."""
        self._tell("phase", name)

    def line(self, text: str) -> None:
        """Read a line of the verbose log."""
        left = _LAYERS_LEFT.search(text)
        if left is not None:
            self._total = int(left[1])
        timed = _TIMED.search(text)
        if timed is not None and timed[1] not in self._timed:
            self._timed[timed[1]] = None
            self._tell("progress", "timing layers", len(self._timed), max(self._total, len(self._timed)))

    def monitor(self, trt: Any) -> Any:
        """Return a monitor for the builder, None where the version has none."""
        if not hasattr(trt, "IProgressMonitor"):
            return None
        tell = self._tell

        class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
            def __init__(self) -> None:
                trt.IProgressMonitor.__init__(self)
                self.steps: Dict[str, int] = {}

            def phase_start(self, phase_name: str, parent_phase: Optional[str], num_steps: int) -> None:
                self.steps[phase_name] = num_steps
                tell("progress", phase_name, 0, num_steps)

            def step_complete(self, phase_name: str, step: int) -> bool:
                tell("progress", phase_name, step + 1, self.steps.get(phase_name, step + 1))
                return True

            def phase_finish(self, phase_name: str) -> None:
                self.steps.pop(phase_name, None)

        return Monitor()


def build(trt: Any, log: Any, progress: Progress, ask: Ask, job: Mapping[str, Any]) -> Dict[str, Any]:
    """Parse and build; return the engine's bytes and what is known of it.

    ``job`` has ``source`` as :func:`parse` reads it, ``options``, ``profiles`` (name to the least, best and
    largest shape), ``timing_cache`` bytes, ``calibration`` (None, or ``batches``, ``cache`` bytes and
    ``algorithm``) and ``in_fp32``, numbers of the layers to keep in FP32. Raise Refused.
    """
    options = job["options"]
    progress.phase("start")
    builder = trt.Builder(log)
    progress.phase("parse")
    network, kept = parse(trt, builder, log, job["source"])
    inputs, outputs = tensors_of(network)
    progress.phase("configure")
    config = builder.create_builder_config()
    _configure(trt, builder, config, options, job["source"]["format"] == "onnx")
    timing = _timing_cache(config, job["timing_cache"])
    _profiles(builder, config, network, job["profiles"])
    keep_in_fp32(trt, network, config, job["in_fp32"])
    monitor = progress.monitor(trt)
    if monitor is not None:
        config.progress_monitor = monitor
    calibrator = None
    if job["calibration"] is not None:
        calibrator = make_calibrator(trt, ask, job["calibration"], [t["name"] for t in inputs])
        config.int8_calibrator = calibrator
    progress.phase("build")
    start = time.perf_counter()
    data = _serialized(builder, network, config)
    seconds = time.perf_counter() - start
    del kept
    if data is None:
        raise Refused("TensorRT built no engine")
    result = {
        "seconds": seconds,
        "inputs": inputs,
        "outputs": outputs,
        "layers": network.num_layers,
        "engine": bytes(data),
        "timing_cache": bytes(timing.serialize()) if timing is not None else b"",
        "calibration_cache": calibrator.written if calibrator is not None else b"",
    }
    progress.phase("report")
    result["report"] = inspect(trt, log, result["engine"])
    return result


def _serialized(builder: Any, network: Any, config: Any) -> Any:
    if hasattr(builder, "build_serialized_network"):  # from 8 on
        return builder.build_serialized_network(network, config)
    engine = builder.build_engine(network, config)
    return None if engine is None else engine.serialize()


def _configure(trt: Any, builder: Any, config: Any, options: Mapping[str, Any], explicit: bool) -> None:
    if hasattr(config, "set_memory_pool_limit"):  # from 8.4 on
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options["workspace"])
    else:
        config.max_workspace_size = options["workspace"]
    if not explicit:
        builder.max_batch_size = options["max_batch"]
    for name in {"fp32": (), "fp16": ("FP16",), "int8": ("INT8", "FP16")}[options["precision"]]:
        if not hasattr(trt.BuilderFlag, name):
            raise Refused(
                f"TensorRT {trt.__version__} takes the precision from the file: BuilderFlag.{name} is gone"
            )
        config.set_flag(getattr(trt.BuilderFlag, name))
    if hasattr(trt.BuilderFlag, "TF32"):  # from 7.1 on
        (config.set_flag if options["tf32"] else config.clear_flag)(trt.BuilderFlag.TF32)
    _allow_cublas(trt, config)
    if hasattr(getattr(trt, "ProfilingVerbosity", None), "DETAILED"):  # from 8.2 on
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if options["dla_core"] is not None:
        config.default_device_type = trt.DeviceType.DLA
        config.DLA_core = options["dla_core"]
        config.set_flag(trt.BuilderFlag.GPU_FALLBACK)


def _allow_cublas(trt: Any, config: Any) -> None:
    """Allow cuBLAS beside the default tactic sources.

    FlattenConcat_TRT copies through it, and fails without it.
    """
    if not hasattr(trt, "TacticSource"):  # before 7.2 it is always there
        return
    sources = config.get_tactic_sources()
    for name in ("CUBLAS", "CUBLAS_LT"):
        if hasattr(trt.TacticSource, name):
            sources |= 1 << int(getattr(trt.TacticSource, name))
    config.set_tactic_sources(sources)


def _timing_cache(config: Any, stored: Optional[bytes]) -> Any:
    if stored is None or not hasattr(config, "create_timing_cache"):  # from 8.0 on
        return None
    cache = config.create_timing_cache(stored)
    return cache if cache is not None and config.set_timing_cache(cache, False) else None


def _profiles(builder: Any, config: Any, network: Any, shapes: Mapping[str, Sequence[Sequence[int]]]) -> None:
    """Add an optimization profile where an input has an open size.

    Raise Refused for such an input without shapes.
    """
    open_inputs = [
        t for t in (network.get_input(i) for i in range(network.num_inputs)) if -1 in tuple(t.shape)
    ]
    if not open_inputs:
        return
    profile = builder.create_optimization_profile()
    for tensor in open_inputs:
        given = shapes.get(tensor.name)
        if given is None:
            raise Refused(f"the input '{tensor.name}' has open sizes {list(tensor.shape)} and no profile")
        profile.set_shape(tensor.name, *(tuple(shape) for shape in given))
    config.add_optimization_profile(profile)


def make_calibrator(trt: Any, ask: Ask, calibration: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Return Polygraphy's calibrator over batches that the parent process prepares.

    Its ``written`` is the cache that calibration gives. With the bytes of a ``cache`` it asks for no batch.
    """
    base = {"entropy": trt.IInt8EntropyCalibrator2, "minmax": trt.IInt8MinMaxCalibrator}[
        calibration["algorithm"]
    ]
    if calibration["cache"]:
        return _from_cache(base, calibration["cache"], calibration["batch_size"])
    polygraphy = require("polygraphy.backend.trt", "calibration")

    def batches() -> Iterator[Dict[str, Any]]:
        for number in range(calibration["batches"]):
            arrays = ask("batch", number)
            yield dict(zip(names, arrays))

    calibrator = polygraphy.Calibrator(
        _Batches(batches), BaseClass=base, batch_size=calibration["batch_size"]
    )

    class Remembering(type(calibrator)):  # type: ignore[misc]
        """The same, with the cache kept in memory: the parent process writes files."""

        written = b""

        def read_calibration_cache(self) -> Optional[bytes]:
            return None

        def write_calibration_cache(self, cache: Any) -> None:
            self.written = bytes(cache)

    return Remembering()


def _from_cache(base: Any, scales: bytes, batch_size: int) -> Any:
    """Return a calibrator that knows the scales and has no batches."""

    class Stored(base):  # type: ignore[misc]
        written = b""

        def __init__(self) -> None:
            base.__init__(self)

        def get_batch_size(self) -> int:
            return batch_size

        def get_batch(self, names: Sequence[str]) -> None:
            return None

        def read_calibration_cache(self) -> bytes:
            return scales

        def write_calibration_cache(self, cache: Any) -> None:
            self.written = bytes(cache)

    return Stored()


class _Batches:
    """An iterable that begins again whenever it is asked for."""

    def __init__(self, maker: Callable[[], Iterator[Any]]) -> None:
        self._maker = maker

    def __iter__(self) -> Iterator[Any]:
        return self._maker()


def inspect(trt: Any, log: Any, engine: bytes) -> str:
    """Return what the engine's inspector tells of its layers, as JSON; '' where the version has none."""
    if not hasattr(trt, "LayerInformationFormat"):  # from 8.2 on
        return ""
    runtime = trt.Runtime(log)
    loaded = runtime.deserialize_cuda_engine(engine)
    if loaded is None:
        return ""
    inspector = loaded.create_engine_inspector()
    return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))
