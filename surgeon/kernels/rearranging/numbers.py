"""Elements in other places, in numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def batch_tile(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return float32[N, C, H, W]: the one picture of the second input, for each picture of the first."""
    return [np.repeat(inputs[1].reshape(1, *inputs[1].shape[-3:]), len(inputs[0]), axis=0)]


def flatten_concat(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return float32[N, X, 1, 1]: each sample's inputs flattened, one after the other.

    With ignoreBatch 1 the plugin copies the first sample alone; what it leaves unwritten of the others is
    zero here.
    """
    joined = np.concatenate([part.reshape(len(part), -1) for part in inputs], axis=1)[:, :, None, None]
    if fields["ignoreBatch"]:
        joined[1:] = 0
    return [joined]


def split(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the parts of the input along an axis, of the lengths that the field tells."""
    ends = np.cumsum(fields["output_lengths"])[:-1]
    return [part.copy() for part in np.split(inputs[0], ends, axis=fields["axis"])]


def slice(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return ``size`` places of an axis of the input, float32, from ``begin`` on."""
    places = np.arange(fields["begin"], fields["begin"] + fields["size"])
    return [np.take(inputs[0], places, axis=fields["axis"])]


def tile(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the input, float32, with each axis after the batch repeated."""
    return [np.tile(inputs[0], (1, *fields["repeats"]))]
