"""Engines at work. Runs in the child process, whose TensorRT may be of any version from 7 on."""

import ctypes
import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import numpy as np

from . import cuda
from .failures import Refused

DTYPES: Mapping[str, str] = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "INT32": "int32",
    "BOOL": "bool",
    "UINT8": "uint8",
    "INT64": "int64",
}
"""Element types by TensorRT's names; trt.nptype() fails with NumPy 1.24 and later."""


_COMPARED = 2
"""Replays of a graph that are compared with calls."""

_BLANK = 0xFF
"""The byte that blank outputs consist of: not a number in floats."""

_PROFILED = 50


class Binding(NamedTuple):
    """An input or output.

    ``shape`` is that of the engine, without the batch where it is implicit; an open size is -1.
    """

    name: str
    is_input: bool
    dtype: Any
    shape: Tuple[int, ...]


class Slot:
    """Buffers for one batch, and events of its way through the GPU.

    By batch, ``graphs`` has the graph that computes it, ``runs`` how often it was computed.
    """

    def __init__(self, buffers: Sequence[cuda.Buffer]) -> None:
        self.buffers = buffers
        self.batch = 0
        self.uploaded, self.computed, self.downloaded = cuda.Event(), cuda.Event(), cuda.Event()
        self.graphs: Dict[int, cuda.Graph] = {}
        self.runs: Dict[int, int] = {}


class Executor:
    """An engine, loaded, with buffers for its largest batch, of which two can be on their way.

    Arrays are in the engine's layout with the batch first. Where ``graphs`` is set, a batch of a size that
    was run before goes as a CUDA graph; ``graph_problem`` says why there is none. The first two replays of a
    graph are compared with what calls compute, to the last bit. ``begin`` is told of phases. Raise Refused
    where TensorRT refuses the engine, and CudaError where memory does not suffice.
    """

    def __init__(
        self,
        trt: Any,
        log: Any,
        data: bytes,
        max_batch: int,
        graphs: bool = True,
        begin: Callable[[str], None] = lambda phase: None,
    ) -> None:
        self._trt, self._begin = trt, begin
        self._runtime = trt.Runtime(log)
        self._engine = self._runtime.deserialize_cuda_engine(data)
        if self._engine is None:
            raise Refused("TensorRT cannot load the engine")
        self._context = self._new_context()
        self.implicit = bool(getattr(self._engine, "has_implicit_batch_dimension", False))
        self.max_batch = max_batch
        self.graph_problem = "" if graphs else "they are switched off"
        self._by_name = not hasattr(self._engine, "num_bindings")  # from 10 on tensors have no numbers
        self.bindings = tuple(_bindings(trt, self._engine, self._by_name))
        self._in, self._stream, self._out = cuda.Stream(), cuda.Stream(), cuda.Stream()
        self._slots = [self._new_slot()]
        self._turn = 0
        self._under_way: List[Slot] = []
        self._events = [cuda.Event() for _ in range(4)]

    def run(self, feeds: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
        """Return the outputs for one batch; raise Refused where the engine does not take it or fails."""
        if self._under_way:
            raise Refused("batches are still on their way")
        self.start(feeds)
        return self.finish()

    def start(self, feeds: Mapping[str, np.ndarray]) -> None:
        """Send one batch on its way: its copies run beside the computation of the batch before it.

        Raise Refused where the engine does not take it or fails, and where two batches are on their way.
        """
        if len(self._under_way) == 2:
            raise Refused("two batches are on their way")
        if self._under_way and len(self._slots) == 1:
            self._slots.append(self._new_slot())
        self._turn = (self._turn + 1) % len(self._slots) if self._under_way else 0
        slot = self._slots[self._turn]
        self._fill(slot, feeds)
        self._upload(slot)
        self._compute(slot)
        slot.computed.record(self._stream.ptr)
        slot.computed.hold(self._out.ptr)
        self._download(slot)
        self._under_way.append(slot)

    def finish(self) -> Dict[str, np.ndarray]:
        """Return the outputs of the batch that was started first."""
        slot = self._under_way.pop(0)
        slot.downloaded.wait()
        return self._outputs(slot)

    def bench(self, feeds: Mapping[str, np.ndarray], warm_up: float, rounds: int) -> Dict[str, Any]:
        """Return milliseconds of ``rounds`` single runs, and seconds for as many runs in a row.

        ``gpu`` is the time between two events around the execution, ``whole`` that of the host from the copy
        of the input to the output's arrival, ``copy_in`` and ``copy_out`` the copies alone, ``enqueue`` what
        the host needs to start the execution. ``graph`` is as ``gpu`` for a CUDA graph, None for the reason
        ``graph_problem``. The runs in a row copy nothing, and are graphs where those work. ``layers`` has the
        profile: the median of each layer; it is empty for the reason ``profile_problem``. ``warm_up`` is in
        seconds.
        """
        ends = time.perf_counter() + warm_up
        others = {name: (value[..., ::-1] * 0.5).astype(value.dtype) for name, value in feeds.items()}
        # The third run is the second that a graph is compared in, on other numbers.
        for each in (feeds, feeds, others, feeds):
            self.run(each)
        slot = self._slots[0]
        graph = slot.graphs.get(slot.batch)
        while time.perf_counter() < ends:
            self._enqueue(slot)
            self._stream.synchronize()
        times: Dict[str, Any] = {
            name: [] for name in ("gpu", "whole", "copy_in", "copy_out", "enqueue", "graph")
        }
        for _ in range(rounds):
            self._measure(slot, times)
        if graph is not None:
            before, after = cuda.Event(), cuda.Event()
            for _ in range(rounds):
                before.record(self._stream.ptr)
                graph.launch(self._stream.ptr)
                after.record(self._stream.ptr)
                self._stream.synchronize()
                times["graph"].append(after.since(before))
        start = time.perf_counter()
        for _ in range(rounds):
            self._enqueue(slot) if graph is None else graph.launch(self._stream.ptr)
        self._stream.synchronize()
        times["in_a_row"] = time.perf_counter() - start
        times["graph_problem"] = self.graph_problem
        times["layers"], times["profile_problem"] = self._profile(slot, min(rounds, _PROFILED))
        return times

    def _measure(self, slot: Slot, times: Dict[str, Any]) -> None:
        """Run a batch once, step after step on one stream."""
        stream = self._stream.ptr
        events = self._events
        start = time.perf_counter()
        events[0].record(stream)
        for binding, buffer in zip(self.bindings, slot.buffers):
            if binding.is_input:
                buffer.upload(self._elements(binding, slot.batch), stream)
        events[1].record(stream)
        begun = time.perf_counter()
        self._enqueue(slot)
        times["enqueue"].append(1000 * (time.perf_counter() - begun))
        events[2].record(stream)
        for binding, buffer in zip(self.bindings, slot.buffers):
            if not binding.is_input:
                buffer.download(self._elements(binding, slot.batch), stream)
        events[3].record(stream)
        self._stream.synchronize()
        times["whole"].append(1000 * (time.perf_counter() - start))
        for name, number in (("copy_in", 1), ("gpu", 2), ("copy_out", 3)):
            times[name].append(events[number].since(events[number - 1]))

    def _profile(self, slot: Slot, rounds: int) -> Tuple[Dict[str, float], str]:
        """Return the median milliseconds of each layer, and why there are none."""
        seen: Dict[str, List[float]] = {}

        class Profiler(self._trt.IProfiler):  # type: ignore[misc,name-defined]
            def __init__(self, base: Any) -> None:
                base.__init__(self)

            def report_layer_time(self, layer_name: str, ms: float) -> None:
                seen.setdefault(layer_name, []).append(ms)

        context, self._context = self._context, self._engine.create_execution_context()
        self._begin("profile")
        try:
            if self._context is None:
                return {}, "no second execution context could be made"
            self._state_all(slot)
            self._context.profiler = Profiler(self._trt.IProfiler)
            for _ in range(rounds):
                self._execute(slot)
        except (Refused, cuda.CudaError) as exc:
            return {}, str(exc)
        finally:
            self._context = context
            self._begin("run")
        return {name: float(np.median(times)) for name, times in seen.items()}, ""

    def _execute(self, slot: Slot) -> None:
        """Run a batch and wait for it, which old versions need for a profile."""
        addresses = [buffer.address for buffer in slot.buffers]
        if self._by_name:
            self._enqueue(slot)
            self._stream.synchronize()
        elif not (
            self._context.execute(slot.batch, addresses)
            if self.implicit
            else self._context.execute_v2(addresses)
        ):
            raise Refused("the execution failed")

    # Steps of a batch

    def _new_context(self) -> Any:
        context = self._engine.create_execution_context()
        if context is None:
            raise Refused("no execution context could be made")
        return context

    def _new_slot(self) -> Slot:
        return Slot(
            [
                cuda.Buffer(_host_array(self._elements(binding, self.max_batch), binding.dtype))
                for binding in self.bindings
            ]
        )

    def _fill(self, slot: Slot, feeds: Mapping[str, np.ndarray]) -> None:
        """Put the inputs into a slot's host arrays, and tell the context their shapes."""
        batches = {len(value) for value in feeds.values()}
        wanted = {b.name for b in self.bindings if b.is_input}
        if set(feeds) != wanted or len(batches) != 1:
            raise Refused(f"the inputs are {sorted(feeds)}; expected {sorted(wanted)}, of one batch")
        batch = batches.pop()
        if not 1 <= batch <= self.max_batch:
            raise Refused(f"the batch is {batch}; expected 1 to {self.max_batch}")
        for binding, buffer in zip(self.bindings, slot.buffers):
            if binding.is_input:
                value = feeds[binding.name]
                shape = self._shape(binding, batch)
                if value.shape != shape:
                    raise Refused(
                        f"the input '{binding.name}' is {list(value.shape)}; expected {list(shape)}"
                    )
                buffer.host[: value.size] = np.ascontiguousarray(value, binding.dtype).reshape(-1)
        slot.batch = batch
        self._state_all(slot)

    def _upload(self, slot: Slot) -> None:
        for binding, buffer in zip(self.bindings, slot.buffers):
            if binding.is_input:
                buffer.upload(self._elements(binding, slot.batch), self._in.ptr)
        slot.uploaded.record(self._in.ptr)
        slot.uploaded.hold(self._stream.ptr)

    def _download(self, slot: Slot) -> None:
        for binding, buffer in zip(self.bindings, slot.buffers):
            if not binding.is_input:
                buffer.download(self._elements(binding, slot.batch), self._out.ptr)
        slot.downloaded.record(self._out.ptr)

    def _outputs(self, slot: Slot) -> Dict[str, np.ndarray]:
        shapes = {b.name: self._shape(b, slot.batch) for b in self.bindings}
        return {
            b.name: buffer.host[: _count(shapes[b.name])].reshape(shapes[b.name]).copy()
            for b, buffer in zip(self.bindings, slot.buffers)
            if not b.is_input
        }

    def _compute(self, slot: Slot) -> None:
        """Start the computation of a batch, as a graph once two replays gave what calls give."""
        runs = slot.runs.get(slot.batch, 0)
        slot.runs[slot.batch] = runs + 1
        # TensorRT sets things up in the first run of a size, which cannot be captured.
        if self.graph_problem or runs == 0:
            self._enqueue(slot)
        elif runs > _COMPARED:
            slot.graphs[slot.batch].launch(self._stream.ptr)
        else:
            self._compare(slot)

    def _compare(self, slot: Slot) -> None:
        """Run a batch by calls and as a graph; give graphs up where the results are not the same bits."""
        self._blank(slot)
        self._enqueue(slot)
        expected = self._fetched(slot)
        try:
            if slot.batch not in slot.graphs:
                slot.graphs[slot.batch] = self._captured(slot)
            self._blank(slot)
            slot.graphs[slot.batch].launch(self._stream.ptr)
            found = self._fetched(slot)
            if any(found[name].tobytes() != expected[name].tobytes() for name in expected):
                raise Refused("a replayed graph gives other results")
        except (Refused, cuda.CudaError) as exc:
            self.graph_problem = str(exc)
            for each in self._slots:
                each.graphs.clear()
            # A context whose capture failed may be left half set up.
            self._context = self._new_context()
            self._state_all(slot)
            self._enqueue(slot)

    def _blank(self, slot: Slot) -> None:
        """Take what was computed before out of the outputs, so that it is not taken for a result."""
        for binding, buffer in zip(self.bindings, slot.buffers):
            if not binding.is_input:
                buffer.fill(_BLANK, self._stream.ptr)

    def _captured(self, slot: Slot) -> cuda.Graph:
        self._begin("capture")
        try:
            return cuda.capture(self._stream.ptr, lambda: self._enqueue(slot))
        finally:
            self._begin("run")

    def _fetched(self, slot: Slot) -> Dict[str, np.ndarray]:
        """Return the outputs of what the stream computed last."""
        slot.computed.record(self._stream.ptr)
        slot.computed.hold(self._out.ptr)
        self._download(slot)
        slot.downloaded.wait()
        return self._outputs(slot)

    def _state_all(self, slot: Slot) -> None:
        for binding in self.bindings:
            if binding.is_input:
                self._state(binding, self._shape(binding, slot.batch))

    def _state(self, binding: Binding, shape: Tuple[int, ...]) -> None:
        """Tell the context the shape of an input with open sizes."""
        if -1 not in binding.shape:
            return
        if hasattr(self._context, "set_input_shape"):  # from 8.5 on
            self._context.set_input_shape(binding.name, shape)
        else:
            self._context.set_binding_shape(self._engine.get_binding_index(binding.name), shape)

    def _enqueue(self, slot: Slot) -> None:
        stream = self._stream.ptr
        if self._by_name:
            for binding, buffer in zip(self.bindings, slot.buffers):
                self._context.set_tensor_address(binding.name, buffer.address)
            done = self._context.execute_async_v3(stream)
        else:
            addresses = [buffer.address for buffer in slot.buffers]
            if self.implicit:
                done = self._context.execute_async(slot.batch, addresses, stream)
            else:
                done = self._context.execute_async_v2(addresses, stream)
        if not done:
            raise Refused("the execution failed")

    def _shape(self, binding: Binding, batch: int) -> Tuple[int, ...]:
        """Return a binding's shape with the batch; open sizes other than the batch are not known here."""
        if self.implicit:
            return (batch, *binding.shape)
        return tuple(batch if size == -1 else size for size in binding.shape)

    def _elements(self, binding: Binding, batch: int) -> int:
        return _count(self._shape(binding, batch))


def _host_array(count: int, dtype: Any) -> np.ndarray:
    """Return zeros in pinned memory, in ordinary memory where there is no room."""
    size = max(count * np.dtype(dtype).itemsize, 1)
    address = cuda.pinned(size)
    if not address:
        return np.zeros(count, dtype)
    ctypes.memset(address, 0, size)
    return np.frombuffer((ctypes.c_ubyte * size).from_address(address), dtype, count)


def _count(shape: Sequence[int]) -> int:
    return int(np.prod(shape, dtype=np.int64))


def _bindings(trt: Any, engine: Any, by_name: bool) -> Sequence[Binding]:
    def binding(name: str, is_input: bool, dtype: Any, shape: Any) -> Binding:
        if dtype.name not in DTYPES:
            raise Refused(f"the tensor '{name}' has the type {dtype.name}, which is not run here")
        return Binding(name, is_input, np.dtype(DTYPES[dtype.name]), tuple(shape))

    if by_name:
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        return [
            binding(
                n,
                engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT,
                engine.get_tensor_dtype(n),
                engine.get_tensor_shape(n),
            )
            for n in names
        ]
    return [
        binding(
            engine.get_binding_name(i),
            engine.binding_is_input(i),
            engine.get_binding_dtype(i),
            engine.get_binding_shape(i),
        )
        for i in range(engine.num_bindings)
    ]
