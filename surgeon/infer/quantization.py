"""Ranges of numbers that training for integer arithmetic rounds to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from surgeon.infer.rule import Array


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
