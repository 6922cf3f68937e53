"""Weights from a seed, with batch-norm statistics that fit them."""

from __future__ import annotations

import math
import zlib

import numpy as np

from surgeon.zoo.nodes import NodeWriter, Ref, location
from surgeon.zoo.options import WeightSource


class SeededWeights:
    """Gives every constant its own random values, whatever the order in which they are asked for."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Return float32 values for the constant ``name``."""
        noise = np.random.default_rng([self.seed, zlib.crc32(name.encode())]).standard_normal(shape)
        return (self._mean(name) + self._spread(name, shape) * noise).astype(np.float32)

    def _mean(self, name: str) -> float:
        if name.endswith(("gamma", "moving_variance")):
            return 1.0
        return -2.5 if name.endswith("ClassPredictor/biases") else 0.0

    def _spread(self, name: str, shape: tuple[int, ...]) -> float:
        if name.endswith("depthwise_weights"):
            return 1 / 3
        if name.endswith(("weights", "kernel")):
            gain = 2.0 if "ClassPredictor" in name else 1.0
            return gain / math.sqrt(math.prod(shape[:-1]))
        if name.endswith(("gamma", "moving_variance", "moving_mean")):
            return 0.05
        return 0.5 if name.endswith("ClassPredictor/biases") else 0.15


def values_of(source: WeightSource, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the source's float32 values for a constant; raise ValueError where they have another shape."""
    values = np.asarray(source(name, shape), np.float32)
    if values.shape != shape:
        raise ValueError(f"the weights of '{name}' are {list(values.shape)}; expected {list(shape)}")
    return values


def write_variable(g: NodeWriter, full: str, value: np.ndarray) -> Ref:
    """Write a frozen variable: its constant and the Identity ``read``, which is returned."""
    node = g.const(np.ascontiguousarray(value, np.float32), full)
    return g.node("Identity", f"{full}/read", [node], _class=location(node))


def probe_pictures(seed: int) -> np.ndarray:
    """Return pictures on which batch-norm statistics are taken, float32 [8, 128, 128, 3] in -1..1."""
    random = np.random.default_rng([seed, 0x50C])
    pictures = np.zeros((8, 128, 128, 3))
    for cells in (4, 16, 128):
        coarse = random.uniform(-1, 1, (8, cells, cells, 3))
        pictures += coarse.repeat(128 // cells, 1).repeat(128 // cells, 2)
    return np.clip(pictures, -1, 1).astype(np.float32)


def convolve(pictures: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """Return a convolution with padding SAME; a kernel [h, w, channels, 1] of many channels is depthwise."""
    height, width = kernel.shape[:2]
    depthwise = kernel.shape[3] == 1 and kernel.shape[2] == pictures.shape[3]
    rows, columns = (-(-size // stride) for size in pictures.shape[1:3])
    pads = [(0, 0)]
    for size, out, taps in ((pictures.shape[1], rows, height), (pictures.shape[2], columns, width)):
        total = max((out - 1) * stride + taps - size, 0)
        pads.append((total // 2, total - total // 2))
    padded = np.pad(pictures, [*pads, (0, 0)])
    result: np.ndarray | None = None
    for y in range(height):
        for x in range(width):
            down = slice(y, y + (rows - 1) * stride + 1, stride)
            part = padded[:, down, x : x + (columns - 1) * stride + 1 : stride]
            term = part * kernel[y, x, :, 0] if depthwise else part @ kernel[y, x]
            result = term if result is None else result + term
    assert result is not None
    return result


def statistics(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance per channel, rounded so that they do not hang on the order of summation."""
    mean = values.mean((0, 1, 2), dtype=np.float64)
    variance = values.var((0, 1, 2), dtype=np.float64)
    # Channels that hardly vary on few positions would be blown up on other pictures.
    variance = np.maximum(variance, 0.3 * variance.mean() + 1e-4)
    return mean.astype(np.float16).astype(np.float32), variance.astype(np.float16).astype(np.float32)
