"""Shape of FlattenConcat_TRT."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.diagnostics import error
from surgeon.graph import TensorSpec


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, X, 1, 1], X the sum of the inputs' sizes without the batch, None while one is
    unknown.

    Raise SurgeonError C109 where the inputs differ in an axis after the first of a sample.
    """
    _check_alike(inputs)
    sizes = [_sample_size(spec) for spec in inputs]
    total = sum(size for size in sizes if size is not None)
    batches = [spec.shape.dims[0] for spec in inputs if spec.shape.dims]
    batch = next((n for n in batches if n is not None), None)
    return [TensorSpec.of("float32", batch, None if None in sizes else total, 1, 1)]


def _sample_size(spec: TensorSpec) -> int | None:
    if not spec.shape.dims or None in spec.shape.dims[1:]:
        return None
    return math.prod(dim for dim in spec.shape.dims[1:] if dim is not None)


def _check_alike(inputs: Sequence[TensorSpec]) -> None:
    known = [
        (i, spec, spec.shape.dims[2:])
        for i, spec in enumerate(inputs)
        if spec.shape.dims and spec.shape.rank == 4
    ]
    for i, spec, tail in known[1:]:
        first, other, wanted = known[0]
        if any(a is not None and b is not None and a != b for a, b in zip(tail, wanted, strict=True)):
            raise error(
                "C109",
                f"input {i} of FlattenConcat_TRT is {spec} and input {first} is {other}; expected "
                "the same numbers after the second axis",
                None,
                help=["reshape the inputs to [N, numbers, 1, 1] before they are joined"],
            )
