"""Arrays that somebody gives for the inputs of the original."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from surgeon.diagnostics import Diagnostic, SurgeonError, error, nearest_note
from surgeon.display import plural
from surgeon.graph import Ref, TensorSpec
from surgeon.runners.image import MAX_PICTURES, SUFFIXES, Picture, read_picture
from surgeon.verification.compare_tensors import shown

_MOST_BYTES = 8 << 30

Given = TypeVar("Given")
_TOO_LARGE = ", with numbers that do not fit"


@dataclass(frozen=True)
class InputSet:
    """What is put in at a time: arrays by the names of inputs, and a picture that ``image`` prepares."""

    name: str
    arrays: Mapping[str, np.ndarray]
    picture: Picture | None = None


def read_input_sets(path: Path, names: Sequence[str], lone: str) -> Iterator[InputSet]:
    """Yield what a file or a folder holds for inputs, one set after the other.

    A ``.npz`` file holds arrays by the ``names`` of inputs, a ``.npy`` file an array for the input ``lone``.
    Of a folder, each file is a set, in the order of their names, but for ``.npy`` files with the name of an
    input: their arrays belong to every other set, and are one if there is no other. Raise SurgeonError V126
    where there is nothing, or what cannot be read, V127 for an array that could be for several inputs
    (``lone`` is then empty), V101 for a picture that cannot be read.
    """
    if not os.path.isdir(path):
        yield _input_set(path, lone)
        return
    try:
        files = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    except OSError as exc:
        raise _unreadable(path, exc.strerror or str(exc)) from None
    files = [each for each in files if os.path.isfile(each)]
    if not 0 < len(files) <= MAX_PICTURES:
        raise error(
            "V126",
            f"the folder '{path}' holds {plural(len(files), 'file')}; expected 1 to {MAX_PICTURES} with "
            "arrays or pictures",
            str(path),
            help=["put .npz, .npy or picture files into it"],
        )
    shared_files = {each.stem: each for each in files if each.suffix == ".npy" and each.stem in names}
    shared = {name: _only_array(each) for name, each in shared_files.items()}
    others = [each for each in files if each not in shared_files.values()]
    if not others:
        yield InputSet(path.name, shared)
    for each in others:
        found = _input_set(each, "" if lone in shared else lone)
        yield replace(found, arrays={**shared, **found.arrays})


def _input_set(path: Path, lone: str) -> InputSet:
    """Return what one file holds."""
    if path.name.lower().endswith(SUFFIXES):
        return InputSet(path.name, {}, read_picture(path))
    if path.suffix == ".npy":
        array = _only_array(path)
        if not lone:
            raise error(
                "V127",
                f"'{path.name}' holds one array, and it is not known for which input; expected the name of "
                "one",
                str(path),
                help=["name the file as the input, or write a .npz file with the names of the inputs"],
            )
        return InputSet(path.name, {lone: array})
    return InputSet(path.name, read_inputs(path))


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
    raise _unreadable(path, reason)


def _only_array(path: Path) -> np.ndarray:
    """Return the array of a ``.npy`` file; raise SurgeonError V126 where it cannot be read."""
    try:
        array = np.load(path, allow_pickle=False)
        if isinstance(array, np.ndarray):
            return array
        reason = "it holds several arrays, as a .npz file does"
    except FileNotFoundError:
        reason = "no such file"
    except Exception as exc:  # as above
        reason = " ".join(str(exc).split()) or type(exc).__name__
    raise _unreadable(path, reason)


def _unreadable(path: Path, reason: str) -> SurgeonError:
    return error(
        "V126",
        f"'{path}' cannot be read as arrays by name: {reason:.160}; expected a .npz file, a .npy file, a "
        "picture or a folder of these",
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
