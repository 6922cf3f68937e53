"""Tensors held against each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from surgeon.verification.results import Outcome, TensorComparison

_WHOLE, _TEXTS = "biu", "SUO"
_NOT_FINITE = "the original gives NaN or infinity; give inputs for which it does not (--inputs)"


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

    ``tolerance`` is a share of the largest finite magnitude expected where ``relative``, else absolute. Whole
    numbers, booleans, texts and infinities must be equal. A NaN in one tensor alone fails; where both hold
    it, or one value everywhere, they prove nothing. Types that hold neither numbers nor texts are not
    compared.
    """
    shape = shown(expected)
    comparison = TensorComparison(subject, picture, Outcome.PASSED, "", shape)
    for array in (expected, found):
        if not _holds_texts(array) and not _holds_numbers(array):
            reason = f"tensors of type {array.dtype} are not compared"
            return replace(comparison, outcome=Outcome.NOT_COMPARED, reason=reason)
    if expected.shape != found.shape or _holds_texts(expected) != _holds_texts(found):
        reason = f"it is {shown(found)}; expected {shape}"
        return replace(comparison, outcome=Outcome.FAILED, reason=reason)
    if not expected.size:
        return replace(comparison, outcome=Outcome.INCONCLUSIVE, reason="it has no elements")
    if _holds_texts(expected) or expected.dtype.kind in _WHOLE:
        return _judge_exactly(comparison, expected.ravel(), found.ravel())
    return _judge_by_difference(comparison, _wide(expected), _wide(found), tolerance, relative)


def _judge_exactly(comparison: TensorComparison, expected: np.ndarray, found: np.ndarray) -> TensorComparison:
    if _holds_texts(expected):
        expected, found = _texts(expected), _texts(found)
    count = np.count_nonzero(expected != found)
    if count:
        reason = f"{count} of {expected.size} elements differ"
        return replace(comparison, outcome=Outcome.FAILED, reason=reason)
    return _unless_alike(comparison, expected.size > 1 and not np.any(expected != expected[0]))


def _judge_by_difference(
    comparison: TensorComparison,
    expected: np.ndarray,
    found: np.ndarray,
    tolerance: float,
    relative: bool,
) -> TensorComparison:
    finite = expected[np.isfinite(expected)]
    allowed = tolerance * _largest(np.abs(finite)) if relative else tolerance
    with np.errstate(invalid="ignore", over="ignore"):
        differences = np.where(expected == found, 0, np.abs(expected - found))
    nan = np.isnan(expected) & np.isnan(found)
    error = _largest(differences[~nan])
    comparison = replace(comparison, error=error, tolerance=allowed)
    if not error <= allowed:
        reason = f"off by {error:.2g}" + (f"; {_NOT_FINITE}" if finite.size < expected.size else "")
        return replace(comparison, outcome=Outcome.FAILED, reason=reason)
    if nan.any():
        return replace(comparison, outcome=Outcome.INCONCLUSIVE, reason=_NOT_FINITE)
    if finite.size == expected.size:
        alike = max(np.ptp(expected.real), np.ptp(expected.imag)) <= allowed
    else:
        alike = bool(np.all(expected == expected[0]))
    return _unless_alike(comparison, alike and expected.size > 1)


def _largest(values: np.ndarray) -> float:
    return float(values.max()) if values.size else 0.0


def _unless_alike(comparison: TensorComparison, alike: bool) -> TensorComparison:
    if not alike:
        return comparison
    return replace(comparison, outcome=Outcome.INCONCLUSIVE, reason="all its elements are equal")


def _holds_texts(array: np.ndarray) -> bool:
    return array.dtype.kind in _TEXTS


def _holds_numbers(array: np.ndarray) -> bool:
    # bfloat16 and the like are of the kind that numpy has for whatever it does not know.
    return array.dtype.kind in _WHOLE + "fc" or np.can_cast(array.dtype, np.float64)


def _wide(array: np.ndarray) -> np.ndarray:
    return array.ravel().astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _texts(array: np.ndarray) -> np.ndarray:
    """Return texts as bytes, as TensorFlow gives them; other runtimes give strings."""
    texts = [text.encode() if isinstance(text, str) else text for text in array.tolist()]
    return np.array(texts, object)


def shown(array: np.ndarray) -> str:
    """Return type and shape of an array, as ``float32[1,300,300,3]``."""
    return f"{array.dtype}[{','.join(map(str, array.shape))}]"
