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

_RANDOM = "two runs on the same input differ"
_BATCH = "a sample's outputs depend on the others of its batch"
_UNKNOWN = "it is not known whether that is training"


def training_inputs(
    original: TensorFlowRunner, wanted: Sequence[Ref], fed: Arrays, fixed: Arrays, name: str
) -> Iterator[TensorComparison]:
    """Yield a failed comparison for each scalar that the recipe fixes to training.

    With its value a sample's outputs depend on the others of its batch, or are random; with 0 or 1 instead,
    False or True, they are not. A scalar that changes the outputs is not compared where that cannot be told,
    or where it is a factor other than 0 and 1 of what depends on the batch.

    ``fed`` is what the original is fed, ``fixed`` what of it the recipe fixes, ``wanted`` are its outputs,
    and ``name`` is the record's. An input that is fed another array than the recipe's is left out: somebody
    gave it.
    """
    flags = {ref: value for ref, value in fixed.items() if fed.get(ref) is value and _is_flag(value)}
    if not flags or not wanted:
        return
    reason = _training(original, wanted, fed, fixed)
    if reason == "":
        return
    for ref, value in flags.items():
        reasons: dict[bool | int | float, str | None] = {}
        for other in (0, 1):
            changed = np.full_like(value, other)
            feeds = {**fed, ref: changed}
            if changed != value and _matters(original, wanted, fed, feeds):
                reasons[changed.item()] = _training(original, wanted, feeds, fixed)
        inference = [each for each, training in reasons.items() if training == ""]
        subject = f"'{ref}' fixed to {value.item()}"
        if reason and inference and (reason == _RANDOM or value.item() in (0, 1)):
            advice = f"fix it to {inference[0]} for inference"
            yield TensorComparison(subject, name, Outcome.FAILED, f"{reason}, as in training; {advice}")
        elif reason and not all(reasons.values()):
            yield TensorComparison(subject, name, Outcome.NOT_COMPARED, f"{reason}; {_UNKNOWN}")
        elif not reason and reasons:
            told = f"{_UNKNOWN}: no larger batch can be put in"
            yield TensorComparison(subject, name, Outcome.NOT_COMPARED, told)


def _is_flag(value: np.ndarray) -> bool:
    """Return whether a value may switch or weight something: a boolean, a float, or a whole 0 or 1."""
    if value.size != 1:
        return False
    return value.dtype.kind in "bf" or (value.dtype.kind in "iu" and value.item() in (0, 1))


def _matters(original: TensorFlowRunner, wanted: Sequence[Ref], fed: Arrays, changed: Arrays) -> bool:
    """Return whether the original takes ``changed``, and gives other outputs for it, all of them numbers."""
    try:
        one, other = original.fetch(wanted, fed), original.fetch(wanted, changed)
    except SurgeonError:
        return False
    if any(value.dtype.kind == "f" and np.isnan(value).any() for value in other.values()):
        return False
    return any(one[ref].shape != other[ref].shape or _differ(one[ref], other[ref]) for ref in wanted)


def _training(original: TensorFlowRunner, wanted: Sequence[Ref], fed: Arrays, fixed: Arrays) -> str | None:
    """Return why the original's outputs are those of training; the text is empty where they are not, None
    where it is not known: no larger batch of some input gives more outputs.
    """
    try:
        once, again = (original.fetch(wanted, fed) for _ in range(2))
    except SurgeonError:
        return None
    if any(_differ(once[ref], again[ref]) for ref in wanted):
        return _RANDOM
    samples = {ref: value for ref, value in fed.items() if value.ndim and value.size and ref not in fixed}
    told: set[Ref] = set()
    for group in _groups(samples):
        both = _beside_others(original, wanted, fed, {ref: samples[ref] for ref in group})
        for ref in wanted:
            own, beside = once[ref], both.get(ref)
            axis = None if beside is None else _doubled_axis(own.shape, beside.shape)
            if beside is None or axis is None:
                continue
            if _differ(own, np.take(beside, range(own.shape[axis]), axis)):
                return _BATCH
            told.update(group)
    return "" if told == samples.keys() else None


def _doubled_axis(own: tuple[int, ...], beside: tuple[int, ...]) -> int | None:
    """Return the one axis that has twice the size beside, None where that is none or not the only change."""
    if len(own) != len(beside):
        return None
    changed = [axis for axis, (one, other) in enumerate(zip(own, beside, strict=True)) if one != other]
    return changed[0] if len(changed) == 1 and beside[changed[0]] == 2 * own[changed[0]] else None


def _groups(samples: Arrays) -> Iterator[list[Ref]]:
    """Yield the inputs that share a leading size, then all of them."""
    sizes = dict.fromkeys(len(value) for value in samples.values())
    for size in sizes:
        yield [ref for ref, value in samples.items() if len(value) == size]
    if len(sizes) > 1:
        yield list(samples)


def _beside_others(original: TensorFlowRunner, wanted: Sequence[Ref], fed: Arrays, samples: Arrays) -> Arrays:
    """Return the outputs for a batch of twice the size, the second half of it shuffled numbers of the first;
    empty where the original does not take it.
    """
    random = np.random.default_rng(0)
    doubled = {
        ref: np.concatenate([value, random.choice(value.ravel(), value.shape)])
        for ref, value in samples.items()
    }
    try:
        return original.fetch(wanted, {**fed, **doubled})
    except SurgeonError:
        return {}


def _differ(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether two tensors of one shape differ by more than any rounding explains."""
    if one.dtype.kind not in "biuf" or one.shape != other.shape:
        return False
    wide, others = one.astype(np.float64), other.astype(np.float64)
    same = (wide == others) | (np.isnan(wide) & np.isnan(others))
    error = np.abs(wide[~same] - others[~same]).max(initial=0)
    return not error <= _ROUNDING * np.abs(wide[np.isfinite(wide)]).max(initial=0)
