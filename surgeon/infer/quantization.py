"""Numbers that integer arithmetic rounds to: FakeQuant, Quantize and Dequantize of TensorFlow.

Each function computes in float32 and in TensorFlow's own order, so that the numbers are the same bit for bit.
The formulas are those of ``fake_quant_ops_functor.h``, ``quantization_utils.h``, ``quantize_op.cc``,
``dequantize_op.cc`` and ``quantize_and_dequantize_op.h``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from surgeon.graph import DType
from surgeon.infer.rule import Array

DEQUANTIZE_MODES = ("MIN_COMBINED", "MIN_FIRST", "SCALED")

_LARGEST = np.finfo(np.float32).max


@dataclass(frozen=True)
class QuantizedRange:
    """A range of numbers in steps, of which one is 0, as training for integer arithmetic rounds to.

    ``least`` and ``most`` bound it, ``size`` is that of a step, ``zero`` counts the steps from ``least`` to
    0; float32, of one value or one for each channel.
    """

    least: Array
    most: Array
    size: Array
    zero: Array

    @staticmethod
    def of(least: Array, most: Array, bits: int, narrow: bool) -> QuantizedRange:
        """Return the range nearest to the one from ``least`` to ``most``: Nudge of TensorFlow's fake_quant.

        ``narrow`` leaves out the lowest of the 2^bits steps. A range from 0 to 0 holds 0 alone.
        """
        first, last = np.float32(narrow), np.float32(2**bits - 1)
        least, most = np.asarray(least, np.float32), np.asarray(most, np.float32)
        empty = (least == 0) & (most == 0)
        size = np.where(empty, np.float32(1), (most - least) / (last - first))
        exact = np.clip(first - least / size, first, last)
        whole = np.floor(exact)
        step = whole + (exact - whole >= np.float32(0.5))
        return QuantizedRange(
            np.asarray((first - step) * size, np.float32),
            np.asarray(np.where(empty, 0, (last - step) * size), np.float32),
            np.asarray(size, np.float32),
            np.asarray(step - first, np.float32),
        )

    def rounded(self, values: Array) -> Array:
        """Return float32 values in the range, each moved to a step; a half goes up."""
        clamped = np.maximum(np.minimum(values, self.most), self.least)
        found: Array = np.floor((clamped - self.least) / self.size - self.zero + np.float32(0.5)) * self.size
        return found


@dataclass(frozen=True)
class IntegerRange:
    """The whole numbers that a quantized element type holds."""

    first: int
    last: int

    @staticmethod
    def of(dtype: DType) -> IntegerRange:
        """Return the range of a quantized type."""
        info = np.iinfo(dtype.numpy())
        return IntegerRange(int(info.min), int(info.max))

    @property
    def steps(self) -> np.float32:
        """Number of steps from the first number to the last."""
        return np.float32(self.last) - np.float32(self.first)

    @property
    def half(self) -> np.float32:
        """What is added to a signed number so that the range begins at 0."""
        return (self.steps + np.float32(1)) / np.float32(2) if self.first else np.float32(0)


def dequantize(values: Array, dtype: DType, least: Array, most: Array, mode: str, narrow: bool) -> Array:
    """Return the float32 numbers that whole numbers of the type ``dtype`` stand for.

    ``values`` is any shape, ``least`` and ``most`` are float32 that broadcast to it, ``mode`` is one of
    :data:`DEQUANTIZE_MODES`. ``narrow`` leaves out the lowest whole number of the mode SCALED.
    """
    numbers = IntegerRange.of(dtype)
    whole: Array = values.astype(np.float32)
    scale: Array
    if mode == "MIN_COMBINED":
        scale = (most - least) / numbers.steps
        return (whole + numbers.half) * scale + least
    if mode == "MIN_FIRST":
        scale = ((most - least) / np.float64(numbers.last - numbers.first)).astype(np.float32)
        with np.errstate(all="ignore"):
            rounded: Array = np.where(most == least, least, _half_away(least / scale) * scale)
        start: Array = rounded - np.float32(numbers.first) * scale
        return np.asarray(start + whole * scale)
    scale = most / np.float32(numbers.last)
    if numbers.first:
        scale = np.maximum(least / np.float32(numbers.first + narrow), scale)
    return whole * scale


def quantize(
    values: Array, dtype: DType, least: Array, most: Array, attrs: dict[str, Any]
) -> tuple[Array, Array, Array] | None:
    """Return float32 numbers as whole numbers of the type ``dtype``, and the float32 range that they cover.

    ``attrs`` are those of QuantizeV2, ``least`` and ``most`` single numbers. None where TensorFlow rounds in
    another order than is known here: MIN_FIRST, qint32, and a narrow range of an unsigned type.
    """
    numbers, mode = IntegerRange.of(dtype), attrs["mode"]
    if dtype is DType.QINT32 or mode == "MIN_FIRST" or (attrs["narrow_range"] and not numbers.first):
        return None
    reach = np.maximum(np.float32(1), np.maximum(np.abs(least), np.abs(most)))
    margin = reach * np.float32(attrs["ensure_minimum_range"])
    low = np.minimum(np.float32(0), least)
    high = np.maximum(np.float32(0), np.maximum(most, low + margin))
    if mode == "MIN_COMBINED":
        exact = (np.clip(values, low, high) - low) * (numbers.steps / (high - low))
        whole = _half_away(exact - numbers.half) if numbers.first else np.floor(exact + np.float32(0.5))
        return whole.astype(dtype.numpy()), low, high
    first, last = np.float32(numbers.first + attrs["narrow_range"]), np.float32(numbers.last)
    scale = min(_ratio(first, low), _ratio(last, high))
    low, high = first / scale, last / scale
    exact = np.clip(values, low, high) * scale
    whole = np.rint(exact) if attrs["round_mode"] == "HALF_TO_EVEN" else _half_away(exact)
    return whole.astype(dtype.numpy()), low, high


def quantize_and_dequantize(
    values: Array, least: Array, most: Array, bits: int, attrs: dict[str, Any]
) -> Array:
    """Return float32 numbers rounded as QuantizeAndDequantizeV2 does.

    ``least`` and ``most`` are single numbers, and count with ``range_given`` only. ``attrs`` are the
    operation's.
    """
    signed, given = attrs["signed_input"], attrs["range_given"]
    if not given:
        least, most = values.min(), values.max()
    first = np.float32(-(1 << (bits - 1)) + attrs["narrow_range"] if signed else 0)
    last = np.float32((1 << (bits - 1)) - 1 if signed else (1 << bits) - 1)
    by_least, by_most = _ratio(first, least), _ratio(last, most)
    if by_least < by_most:
        scale, size = by_least, least / first
        most = last * size
    else:
        scale, size = by_most, most / last
        least = first * size
    exact = (np.maximum(np.minimum(values, most), least) if given else values) * scale
    whole = np.rint(exact) if attrs["round_mode"] == "HALF_TO_EVEN" else np.floor(exact + np.float32(0.5))
    found: Array = whole * size
    return found


def _ratio(number: Any, bound: Any) -> Any:
    """Return the scale that takes a bound of the range to a whole number, the largest where it has none."""
    return number / bound if number * bound > 0 else _LARGEST


def _half_away(values: Any) -> Any:
    """Round to the nearest whole number, a half away from 0."""
    return np.copysign(np.floor(np.abs(values) + np.float32(0.5)), values)
