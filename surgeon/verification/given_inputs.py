"""Arrays that somebody gives for the inputs of the original."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

from surgeon.diagnostics import Diagnostic, SurgeonError, error, nearest_note
from surgeon.graph import Ref, TensorSpec
from surgeon.verification.compare_tensors import shown

_MOST_BYTES = 8 << 30

Given = TypeVar("Given")
_TOO_LARGE = ", with numbers that do not fit"


def read_inputs(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a ``.npz`` file by name; raise SurgeonError V126 where it cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > _MOST_BYTES:
            raise ValueError(f"it holds {size >> 30} GiB; expected at most {_MOST_BYTES >> 30} GiB")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except FileNotFoundError:
        reason = "no such file"
    except Exception as exc:  # damaged archives make zipfile, zlib and numpy raise nearly anything
        reason = " ".join(str(exc).split()) or type(exc).__name__
    raise error(
        "V126",
        f"'{path}' cannot be read as arrays by name: {reason:.160}; expected a .npz file",
        str(path),
        help=["write it with numpy: np.savez('inputs.npz', x=array)"],
    )


def by_tensor(arrays: Mapping[str, Given]) -> dict[str, Given]:
    """Return what is given for inputs by the names of their tensors, without ``:0``.

    Raise SurgeonError V127 where two names are those of one tensor.
    """
    found: dict[str, Given] = {}
    for name, array in arrays.items():
        tensor = name.removesuffix(":0")
        if tensor in found:
            raise error(
                "V127",
                f"'{tensor}' and '{tensor}:0' are arrays for one input; expected one of them",
                name,
                help=["leave one out"],
            )
        found[tensor] = array
    return found


def fitting_inputs(
    arrays: Mapping[str, np.ndarray], specs: Mapping[Ref, TensorSpec], optional: Mapping[Ref, object]
) -> dict[Ref, np.ndarray]:
    """Return arrays by the tensor that they are put into, in that tensor's type.

    ``specs`` are the types and shapes of what is fed, an open size None; those that are ``optional`` may be
    left out. Floats and whole numbers may have another width if they fit. Raise SurgeonError V127 with each
    array that is missing, surplus, of another type or of another shape.
    """
    problems: list[Diagnostic] = []
    names = {str(ref): ref for ref in specs}
    found: dict[Ref, np.ndarray] = {}
    for name, array in arrays.items():
        ref = names.get(name)
        if ref is None:
            listed = ", ".join(f"'{each}'" for each in names) or "none"
            problems += error(
                "V127",
                f"the graph has no input '{name}' to put an array into; expected {listed}",
                name,
                nearest_note(name, list(names)),
                ["name each array as the input, and leave others out"],
            ).diagnostics
            continue
        found[ref], reason = _fitted(array, specs[ref])
        if reason:
            problems += error(
                "V127",
                f"the array for '{ref}' {reason}; expected {specs[ref]}",
                name,
                help=["give an array of this type and shape"],
            ).diagnostics
    for name, ref in names.items():
        if ref not in found and ref not in optional:
            problems += error(
                "V127",
                f"no array is given for the input '{name}'; expected {specs[ref]}",
                name,
                help=[f"add an array named '{name}'"],
            ).diagnostics
    if problems:
        raise SurgeonError(*problems)
    return found


def _fitted(given: object, spec: TensorSpec) -> tuple[np.ndarray, str]:
    """Return an array in the type of an input, and why it is none or does not fit (empty if it does)."""
    try:
        array = np.asarray(given)
    except ValueError:  # lists in Python
        return np.empty(0), "has rows of different lengths"
    value, reason = _converted(array, spec)
    return value, f"is {shown(array)}{reason}" if reason else ""


def _converted(array: np.ndarray, spec: TensorSpec) -> tuple[np.ndarray, str]:
    """Return an array in the type of an input, and what of it does not fit (empty if it does)."""
    dims = spec.shape.dims
    if dims is not None and (
        len(dims) != array.ndim
        or any(dim not in (None, size) for dim, size in zip(dims, array.shape, strict=True))
    ):
        return array, ", of another shape"
    if spec.dtype is None or spec.dtype.itemsize is None:
        return array, ""
    wanted = np.dtype(spec.dtype.numpy())
    if array.dtype == wanted:
        return array, ""
    if array.dtype.kind == "f" and wanted.kind == "f":
        with np.errstate(over="ignore"):
            value = array.astype(wanted)
        fits = np.array_equal(np.isinf(value), np.isinf(array))
        return value, "" if fits else _TOO_LARGE
    if array.dtype.kind in "iu" and wanted.kind in "iu":
        limits = np.iinfo(wanted)
        fits = not array.size or (array.min() >= limits.min and array.max() <= limits.max)
        return array.astype(wanted), "" if fits else _TOO_LARGE
    return array, ", of another type"
