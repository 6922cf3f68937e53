"""Inputs that a recipe fixes to training: they make outputs random, or dependent on the rest of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from surgeon.diagnostics import SurgeonError
from surgeon.graph import Ref
from surgeon.runners.tensorflow import Arrays, TensorFlowRunner
from surgeon.verification.results import Outcome, TensorComparison

_ROUNDING = 1e-3
"""A difference above this share of the largest number is no rounding."""


def training_inputs(
    original: TensorFlowRunner, wanted: Sequence[Ref], fed: Arrays, fixed: Arrays, name: str
) -> Iterator[TensorComparison]:
    """Yield a failed comparison for each scalar that the recipe fixes to training.

    With its value a sample's outputs depend on the others of its batch, or are random; with 0 or 1 instead,
    False or True, they are not. ``fed`` is what the original is fed, ``fixed`` what of it the recipe fixes,
    ``wanted`` are its outputs, and ``name`` is the record's. An input that is fed another array than the
    recipe's is left out: somebody gave it.
    """
    for ref, value in fixed.items():
        if value.size != 1 or value.dtype.kind not in "bf" or fed.get(ref) is not value:
            continue
        reason = _training(original, wanted, fed, fixed)
        if not reason:
            return
        for other in (0, 1):
            changed = np.full_like(value, other)
            if changed != value and not _training(original, wanted, {**fed, ref: changed}, fixed):
                advice = f"fix it to {changed.item()} for inference"
                subject = f"'{ref}' fixed to {value.item()}"
                yield TensorComparison(subject, name, Outcome.FAILED, f"{reason}, as in training; {advice}")
                break


def _training(original: TensorFlowRunner, wanted: Sequence[Ref], fed: Arrays, fixed: Arrays) -> str:
    """Return why the original's outputs are those of training; the text is empty where they are not, or where
    it cannot run.
    """
    try:
        once, again = (original.fetch(wanted, fed) for _ in range(2))
        if any(_differ(once[ref], again[ref]) for ref in wanted):
            return "two runs on the same input differ"
        samples = {ref: value for ref, value in fed.items() if value.ndim and ref not in fixed}
        sizes = {len(value) for value in samples.values()}
        if len(sizes) != 1:
            return ""
        random = np.random.default_rng(0)
        doubled = {
            ref: np.concatenate([value, random.choice(value.ravel(), value.shape)])
            for ref, value in samples.items()
        }
        both = original.fetch(wanted, {**fed, **doubled})
    except SurgeonError:
        return ""
    (size,) = sizes
    for ref in wanted:
        own, beside = once[ref], both[ref]
        if beside.shape == (2 * size, *own.shape[1:]) and _differ(own, beside[:size]):
            return "a sample's outputs depend on the others of its batch"
    return ""


def _differ(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether two tensors of one shape differ by more than any rounding explains, or are
    no numbers.
    """
    if one.dtype.kind not in "biuf" or one.shape != other.shape:
        return False
    wide = one.astype(np.float64)
    with np.errstate(invalid="ignore"):
        error = np.abs(wide - other).max(initial=0)
    return not error <= _ROUNDING * np.abs(wide).max(initial=0)
