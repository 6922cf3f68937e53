"""How Triton serves a model: its names, the tensors with their shapes, and the largest batch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from surgeon.catalog.detections import masks_among
from surgeon.engine.manifest import TensorInfo
from surgeon.graph import DType, Shape, TensorSpec
from surgeon.packaging.description import Description, OutputInfo

PICTURE = "picture"
"""The input of the models that take a picture as uint8[N, H, W, 3], red first."""

PREPARED = "prepared"
"""The output of the model that prepares pictures: the input of the network."""


@dataclass(frozen=True)
class ServedTensor:
    """An input or output as Triton serves it, under the engine's name.

    ``dtype`` is NumPy's name of what the server gives. ``shape`` is the model's, arranged as the engine has
    it, and ``own_shape`` that of the engine; both have the batch first, and None for an open size.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    own_shape: tuple[int | None, ...]


def served_name(described: Description) -> str:
    """Return what Triton calls the model: its name, in characters that may stand in an address."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", described.name).lstrip(".") or "model"


def preparation_name(model: str) -> str:
    """Return what Triton calls the model that prepares pictures."""
    return f"{model}_preparation"


def pictures_name(model: str) -> str:
    """Return what Triton calls the model that takes pictures: preparation and network."""
    return f"{model}_pictures"


def served_inputs(described: Description) -> tuple[ServedTensor, ...]:
    """Return the model's inputs as Triton serves them."""
    return tuple(
        ServedTensor(each.binding, each.engine_dtype or each.dtype, shape, each.engine_shape or shape)
        for each, shape in ((each, _arranged(each)) for each in described.inputs)
    )


def served_outputs(described: Description) -> tuple[ServedTensor, ...]:
    """Return the model's outputs as Triton serves them."""
    return tuple(
        ServedTensor(
            each.binding or each.name,
            each.engine_dtype or each.dtype,
            each.shape,
            each.engine_shape or each.shape,
        )
        for each in described.outputs
    )


def largest_batch(described: Description) -> int:
    """Return ``max_batch_size``; 0 where the batch is fixed, or is not the first axis of every tensor."""
    if described.implicit_batch:
        return described.max_batch
    tensors = (*served_inputs(described), *served_outputs(described))
    batched = all(each.own_shape and each.own_shape[0] is None for each in tensors)
    return described.max_batch if batched and not _masks_are_merged(described) else 0


def fixed_batch(described: Description) -> int | None:
    """Return how many pictures a request must have; None where it may have fewer than the largest batch."""
    sizes = [each.own_shape[0] for each in served_inputs(described) if each.own_shape]
    return sizes[0] if sizes and not described.implicit_batch else None


def input_axes(described: Description, channels_first: bool) -> tuple[int, ...]:
    """Return the permutation from [N, h, w, C] to the served input.

    ``channels_first`` says whether the model has its channels before height and width.
    """
    to_model = (0, 3, 1, 2) if channels_first else (0, 1, 2, 3)
    axes = described.inputs[0].axes or (0, 1, 2, 3)
    return tuple(to_model[axis] for axis in axes)


def input_specs(described: Description) -> dict[str, TensorSpec]:
    """Return type and shape of the model's inputs, in its own layout, by name."""
    return {
        each.name: TensorSpec(DType.of(np.dtype(each.dtype)), Shape(tuple(each.shape)))
        for each in described.inputs
    }


def loose_outputs(described: Description) -> Iterator[OutputInfo]:
    """Yield outputs of a UFF file whose shapes TensorRT decides when it builds: those of no plugin."""
    plugins = {each.node for each in described.plugins}
    if described.implicit_batch and not described.built_for:
        yield from (each for each in described.outputs if each.name.partition(":")[0] not in plugins)


def _arranged(tensor: TensorInfo) -> tuple[int | None, ...]:
    return tuple(tensor.shape[axis] for axis in tensor.axes) if tensor.axes else tuple(tensor.shape)


def _masks_are_merged(described: Description) -> bool:
    """Return whether masks are [N * K, h, w]: their first axis is not the batch then."""
    masks = masks_among(described.detections)
    if masks is None:
        return False
    axes, name = masks
    return any(each.name == name and len(each.shape) == len(axes) + 1 for each in described.outputs)
