"""Engines at work. Runs in the child process, whose TensorRT may be of any version from 7 on."""

import time
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple, Union

import numpy as np

from . import cuda
from .failures import Refused, require

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


class Binding(NamedTuple):
    """An input or output.

    ``shape`` is that of the engine, without the batch where it is implicit; an open size is -1.
    """

    name: str
    is_input: bool
    dtype: Any
    shape: Tuple[int, ...]


class Executor:
    """An engine, loaded, with buffers for its largest batch.

    Arrays are in the engine's layout with the batch first. Raise Refused where TensorRT refuses the engine,
    and CudaError where memory does not suffice.
    """

    def __init__(self, trt: Any, log: Any, data: bytes, max_batch: int) -> None:
        self._runtime = trt.Runtime(log)
        self._engine = self._runtime.deserialize_cuda_engine(data)
        if self._engine is None:
            raise Refused("TensorRT cannot load the engine")
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise Refused("no execution context could be made")
        self.implicit = bool(getattr(self._engine, "has_implicit_batch_dimension", False))
        self.max_batch = max_batch
        self._by_name = not hasattr(self._engine, "num_bindings")  # from 10 on tensors have no numbers
        self.bindings = tuple(_bindings(trt, self._engine, self._by_name))
        self._stream = require("polygraphy.cuda", "running engines").Stream()
        self._buffers = [cuda.Buffer(np.zeros(self._elements(b, max_batch), b.dtype)) for b in self.bindings]

    def run(self, feeds: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
        """Return the outputs for one batch; raise Refused where the engine does not take it or fails."""
        batch = self._filled(feeds)
        stream = self._stream.ptr
        for binding, buffer in zip(self.bindings, self._buffers):
            if binding.is_input:
                buffer.upload(self._elements(binding, batch), stream)
        self._enqueue(batch)
        shapes = {b.name: self._shape(b, batch) for b in self.bindings}
        for binding, buffer in zip(self.bindings, self._buffers):
            if not binding.is_input:
                buffer.download(_count(shapes[binding.name]), stream)
        self._stream.synchronize()
        return {
            b.name: buffer.host[: _count(shapes[b.name])].reshape(shapes[b.name]).copy()
            for b, buffer in zip(self.bindings, self._buffers)
            if not b.is_input
        }

    def bench(
        self, feeds: Mapping[str, np.ndarray], warm_up: float, rounds: int
    ) -> Dict[str, Union[List[float], float]]:
        """Return milliseconds of ``rounds`` single runs, and seconds for as many runs in a row.

        ``gpu`` is the time between two events around the execution, ``whole`` that of the host from the copy
        of the input to the output's arrival. The runs in a row copy nothing. ``warm_up`` is in seconds.
        """
        batch = self._filled(feeds)
        stream = self._stream.ptr
        ends = time.perf_counter() + warm_up
        self.run(feeds)
        while time.perf_counter() < ends:
            self._enqueue(batch)
            self._stream.synchronize()
        before, after = cuda.Event(), cuda.Event()
        gpu: List[float] = []
        whole: List[float] = []
        sides = [(b, buffer, self._elements(b, batch)) for b, buffer in zip(self.bindings, self._buffers)]
        for _ in range(rounds):
            start = time.perf_counter()
            for binding, buffer, count in sides:
                if binding.is_input:
                    buffer.upload(count, stream)
            before.record(stream)
            self._enqueue(batch)
            after.record(stream)
            for binding, buffer, count in sides:
                if not binding.is_input:
                    buffer.download(count, stream)
            self._stream.synchronize()
            whole.append(1000 * (time.perf_counter() - start))
            gpu.append(after.since(before))
        start = time.perf_counter()
        for _ in range(rounds):
            self._enqueue(batch)
        self._stream.synchronize()
        return {"gpu": gpu, "whole": whole, "in_a_row": time.perf_counter() - start}

    def _filled(self, feeds: Mapping[str, np.ndarray]) -> int:
        """Put the inputs into their buffers; return the batch."""
        batches = {len(value) for value in feeds.values()}
        wanted = {b.name for b in self.bindings if b.is_input}
        if set(feeds) != wanted or len(batches) != 1:
            raise Refused(f"the inputs are {sorted(feeds)}; expected {sorted(wanted)}, of one batch")
        batch = batches.pop()
        if not 1 <= batch <= self.max_batch:
            raise Refused(f"the batch is {batch}; expected 1 to {self.max_batch}")
        for binding, buffer in zip(self.bindings, self._buffers):
            if binding.is_input:
                value = feeds[binding.name]
                shape = self._shape(binding, batch)
                if value.shape != shape:
                    raise Refused(
                        f"the input '{binding.name}' is {list(value.shape)}; expected {list(shape)}"
                    )
                buffer.host[: value.size] = np.ascontiguousarray(value, binding.dtype).reshape(-1)
                self._state(binding, shape)
        return batch

    def _state(self, binding: Binding, shape: Tuple[int, ...]) -> None:
        """Tell the context the shape of an input with open sizes."""
        if -1 not in binding.shape:
            return
        if hasattr(self._context, "set_input_shape"):  # from 8.5 on
            self._context.set_input_shape(binding.name, shape)
        else:
            self._context.set_binding_shape(self._engine.get_binding_index(binding.name), shape)

    def _enqueue(self, batch: int) -> None:
        stream = self._stream.ptr
        if self._by_name:
            for binding, buffer in zip(self.bindings, self._buffers):
                self._context.set_tensor_address(binding.name, buffer.address)
            done = self._context.execute_async_v3(stream)
        else:
            addresses = [buffer.address for buffer in self._buffers]
            if self.implicit:
                done = self._context.execute_async(batch, addresses, stream)
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
