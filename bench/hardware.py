"""Run UFF files on a GPU with TensorRT 8.5: parse, build in FP32 without TF32, execute, compare with stored
detections.

    python bench/hardware.py OUT.json NAME=FILE.uff[,INPUT.npz,EXPECTED.npz] ...

Needs tensorrt 8.x, numpy and the CUDA run-time library; nothing else, TensorFlow least of all. A file with
stored input (uint8[1, H, W, 3], H x W the network's own size) and expected detections is also executed; the
others are only parsed, unless they are followed by ',build'.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorrt as trt


class Log(trt.ILogger):
    """Keeps warnings and errors."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def log(self, severity: Any, message: str) -> None:
        if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR, trt.ILogger.WARNING):
            self.lines.append(f"{severity.name}: {message}"[:400])


def parse(path: str, log: Log, shape: tuple[int, ...] = (3, 300, 300)) -> tuple[Any, Any, dict[str, Any]]:
    """Parse a UFF file with the input ``shape`` (channels first).

    Return the builder, the network and what was seen.
    """
    builder = trt.Builder(log)
    network = builder.create_network()
    parser = trt.UffParser()
    parser.register_input("Input", shape)
    parser.register_output("MarkOutput_0")
    start = time.perf_counter()
    accepted = parser.parse(path, network)
    seen = {
        "accepted": bool(accepted),
        "seconds": round(time.perf_counter() - start, 3),
        "layers": network.num_layers,
        "outputs": [
            [network.get_output(i).name, list(network.get_output(i).shape)]
            for i in range(network.num_outputs)
        ],
    }
    return builder, network, seen


def build(builder: Any, network: Any) -> tuple[Any, dict[str, Any]]:
    """Build an FP32 engine with TF32 off and cuBLAS allowed (FlattenConcat_TRT copies through it)."""
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, 1 << 30)
    config.clear_flag(trt.BuilderFlag.TF32)
    # FlattenConcat_TRT copies through cuBLAS; without a tactic source of it, execution fails.
    config.set_tactic_sources(1 << int(trt.TacticSource.CUBLAS) | 1 << int(trt.TacticSource.CUBLAS_LT))
    builder.max_batch_size = 1
    start = time.perf_counter()
    data = builder.build_serialized_network(network, config)
    seen = {
        "built": data is not None,
        "seconds": round(time.perf_counter() - start, 1),
        "bytes": data.nbytes if data else 0,
    }
    return data, seen


def execute(data: Any, log: Log, image: np.ndarray, rounds: int = 200) -> tuple[np.ndarray, dict[str, Any]]:
    """Run the engine on one picture, channels first; return its first output and the time of a run."""
    cuda = ctypes.CDLL("libcudart.so.11.0")
    engine = trt.Runtime(log).deserialize_cuda_engine(data)
    context = engine.create_execution_context()
    pointers: list[int] = []
    hosts: dict[str, np.ndarray] = {}
    for i in range(engine.num_bindings):
        name, shape = engine.get_binding_name(i), tuple(engine.get_binding_shape(i))
        host = (
            np.ascontiguousarray(image, np.float32)
            if engine.binding_is_input(i)
            else np.zeros(shape, np.float32)
        )
        device = ctypes.c_void_p()
        check(cuda.cudaMalloc(ctypes.byref(device), ctypes.c_size_t(host.nbytes)))
        if engine.binding_is_input(i):
            check(
                cuda.cudaMemcpy(device, host.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(host.nbytes), 1)
            )
        pointers.append(device.value or 0)
        hosts[name] = host
    if not context.execute(1, pointers):
        raise RuntimeError("execution failed")
    for i in range(engine.num_bindings):
        if not engine.binding_is_input(i):
            host = hosts[engine.get_binding_name(i)]
            check(
                cuda.cudaMemcpy(
                    host.ctypes.data_as(ctypes.c_void_p),
                    ctypes.c_void_p(pointers[i]),
                    ctypes.c_size_t(host.nbytes),
                    2,
                )
            )
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        context.execute(1, pointers)
        times.append(time.perf_counter() - start)
    seen = {
        "bindings": {k: list(v.shape) for k, v in hosts.items()},
        "median_ms": round(1000 * float(np.median(times)), 3),
    }
    first = next(
        engine.get_binding_name(i) for i in range(engine.num_bindings) if not engine.binding_is_input(i)
    )
    return hosts[first], seen


def check(status: int) -> None:
    """Raise RuntimeError for a CUDA error."""
    if status:
        raise RuntimeError(f"CUDA error {status}")


def compare(found: np.ndarray, expected: Any) -> dict[str, Any]:
    """Match detections one to one by class and nearest box; boxes are [ymin, xmin, ymax, xmax], relative."""
    boxes, scores = expected["detection_boxes"].reshape(-1, 4), expected["detection_scores"].reshape(-1)
    classes = expected["detection_classes"].reshape(-1)
    mine = found[found[:, 1] >= 0]
    taken: set[int] = set()
    errors: list[tuple[float, float]] = []
    for box, score, label in zip(boxes, scores, classes, strict=True):
        rows = [i for i in range(len(mine)) if i not in taken and int(mine[i, 1]) == int(label)]
        if not rows:
            continue
        gaps = [float(np.abs(mine[i, [4, 3, 6, 5]] - box).max()) for i in rows]
        best = int(np.argmin(gaps))
        if gaps[best] < 0.02:
            taken.add(rows[best])
            errors.append((gaps[best], float(abs(mine[rows[best], 2] - score))))
    box_errors = np.array([e[0] for e in errors])
    near = box_errors < 1e-3
    return {
        "expected": len(boxes),
        "found": len(mine),
        "matched": len(errors),
        "within_1e-3": int(near.sum()),
        "worst_box_error_of_those": float(box_errors[near].max()) if near.any() else None,
        "worst_score_error_of_those": float(max(e[1] for e, n in zip(errors, near, strict=True) if n))
        if near.any()
        else None,
        "worst_box_error": float(box_errors.max()) if len(errors) else None,
    }


def main(arguments: list[str]) -> int:
    """Run every file and write the findings."""
    log = Log()
    trt.init_libnvinfer_plugins(log, "")
    found: dict[str, Any] = {"tensorrt": trt.__version__, "files": {}}
    for argument in arguments[1:]:
        name, _, rest = argument.partition("=")
        path, *more = rest.split(",")
        log.lines.clear()
        pixels = (
            next(iter(np.load(more[0]).values())).astype(np.float32)[0]
            if len(more) == 2
            else np.zeros((300, 300, 3), np.float32)
        )
        builder, network, seen = parse(path, log, (3, *pixels.shape[:2]))
        entry: dict[str, Any] = {"parse": seen}
        if seen["accepted"] and more:
            data, entry["build"] = build(builder, network)
            if data is not None and len(more) == 2:
                image = (pixels * np.float32(2 / 255) - 1).transpose(2, 0, 1)
                rows, entry["execute"] = execute(data, log, image)
                entry["compare"] = compare(rows.reshape(-1, 7), np.load(more[1]))
        entry["log"] = list(log.lines)[:20]
        found["files"][name] = entry
        print(name, json.dumps(entry)[:1500], flush=True)
        Path(arguments[0]).write_text(json.dumps(found, indent=1) + "\n")
    return 0 if all(f["parse"]["accepted"] for f in found["files"].values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
