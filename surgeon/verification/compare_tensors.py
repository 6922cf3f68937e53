"""Tensors held against each other."""

from __future__ import annotations

import numpy as np

from surgeon.verification.results import Outcome, TensorComparison


def compare_tensors(
    subject: str,
    picture: str,
    expected: np.ndarray,
    found: np.ndarray,
    tolerance: float,
    *,
    relative: bool = True,
) -> TensorComparison:
    """Judge two tensors of one shape by their largest difference.

    ``tolerance`` is a share of the largest magnitude expected where ``relative``, else absolute. Values that
    are no numbers agree with nothing; a tensor expected to hold one value alone proves nothing.
    """
    if expected.shape != found.shape:
        return TensorComparison(
            subject,
            picture,
            Outcome.FAILED,
            f"it is {shown(found)}; expected {shown(expected)}",
            shown(expected),
        )
    if not expected.size:
        return TensorComparison(subject, picture, Outcome.INCONCLUSIVE, "it has no elements", shown(expected))
    shape = shown(expected)
    wide = expected.astype(np.float64)
    allowed = tolerance * float(np.abs(wide).max()) if relative else tolerance
    error = float(np.abs(wide - found.astype(np.float64)).max())
    if not error <= allowed:
        return TensorComparison(
            subject, picture, Outcome.FAILED, f"off by {error:.2g}", shape, error, allowed
        )
    if np.ptp(wide) <= allowed and expected.size > 1:
        return TensorComparison(
            subject, picture, Outcome.INCONCLUSIVE, "all its elements are equal", shape, error, allowed
        )
    return TensorComparison(subject, picture, Outcome.PASSED, "", shape, error, allowed)


def shown(array: np.ndarray) -> str:
    """Return type and shape of an array, as ``float32[1,300,300,3]``."""
    return f"{array.dtype}[{','.join(map(str, array.shape))}]"
