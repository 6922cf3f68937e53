"""Diagonals of matrices taken out or put in, by constant places."""

from __future__ import annotations

import numpy as np

from surgeon.formats.onnx.operation import Operation

_NOTHING = -1
"""In place of an element's number: there is none, and padding stands there."""


def _diag_part(at: Operation) -> None:
    """Return diagonals k[0] to k[1] of each matrix: the highest first, each in a row if there are several."""
    rows, columns = _sizes(at, 0, 2)
    places = _places(rows, columns, *_band(at, 1), _alignment(at))
    padding = at.inputs[2] if len(at.inputs) > 2 else at.constant(0, at.dtype(0))
    target = list(places.shape) if len(places) > 1 else [places.shape[1]]
    at.becomes(_rearranged(at, at.inputs[0], 2, places, target, padding))


def _diag(at: Operation) -> None:
    """Return matrices with these diagonals; what else is in them is padding."""
    low, high = _band(at, 1)
    held = 1 if low == high else 2
    longest = _sizes(at, 0, held)[-1]
    rows, columns = (-1, -1) if len(at.inputs) < 4 else (_number(at, 2), _number(at, 3))
    least_rows, least_columns = longest - min(high, 0), longest + max(low, 0)
    if rows == -1 and columns == -1:
        rows = columns = max(least_rows, least_columns)
    rows = least_rows if rows == -1 else rows
    columns = least_columns if columns == -1 else columns
    padding = at.inputs[4] if len(at.inputs) > 4 else at.constant(0, at.dtype(0))
    at.becomes(_spread(at, at.inputs[0], held, rows, columns, (low, high), padding))


def _set_diag(at: Operation) -> None:
    """Return the matrices with other diagonals."""
    rows, columns = _sizes(at, 0, 2)
    low, high = _band(at, 2)
    held = 1 if low == high else 2
    _sizes(at, 1, held)
    at.becomes(_spread(at, at.inputs[1], held, rows, columns, (low, high), at.inputs[0]))


def _spread(
    at: Operation, diagonals: str, held: int, rows: int, columns: int, band: tuple[int, int], others: str
) -> str:
    """Return matrices with the elements of ``diagonals`` on the band, those of ``others`` elsewhere."""
    places = _places(rows, columns, *band, _alignment(at))
    found = np.full(rows * columns, _NOTHING)
    held_at = np.flatnonzero(places != _NOTHING)
    found[places.reshape(-1)[held_at]] = held_at
    return _rearranged(at, diagonals, held, found.reshape(rows, columns), [rows, columns], others)


def _rearranged(
    at: Operation, tensor: str, axes: int, places: np.ndarray, target: list[int], others: str
) -> str:
    """Return the elements of the last axes at these places, in the shape ``target``; ``others`` elsewhere."""
    index = at.inputs.index(tensor)
    leading = len(at.shape(index) or ()) - axes
    flat = at.op("Reshape", tensor, at.constant([0] * leading + [-1], np.int64))
    taken = at.op("Gather", flat, at.constant(np.maximum(places, 0).reshape(-1), np.int64), axis=leading)
    shaped = at.op("Reshape", taken, at.constant([0] * leading + target, np.int64))
    return at.op("Where", at.constant((places != _NOTHING).reshape(target)), shaped, others)


def _places(rows: int, columns: int, low: int, high: int, alignment: str) -> np.ndarray:
    """Return the numbers of the elements of diagonals, int64[high - low + 1, length of the longest].

    Shorter diagonals begin at the left or end at the right, as ``alignment`` says of those above the main
    diagonal and of those below it: 'RIGHT_LEFT', 'LEFT_RIGHT', 'LEFT_LEFT', 'RIGHT_RIGHT'.
    """
    lengths = {k: min(rows + min(k, 0), columns - max(k, 0)) for k in range(low, high + 1)}
    longest = max(lengths.values())
    above, below = alignment.split("_")
    found = np.full((len(lengths), longest), _NOTHING)
    for row, k in enumerate(range(high, low - 1, -1)):
        right = (above if k >= 0 else below) == "RIGHT"
        along = np.arange(lengths[k])
        elements = (along + max(-k, 0)) * columns + along + max(k, 0)
        found[row, along + (longest - lengths[k] if right else 0)] = elements
    return found


def _alignment(at: Operation) -> str:
    """Return how diagonals of unequal lengths lie in a matrix; operations before V3 put them to the left."""
    given = at.attr("align", b"LEFT_LEFT")
    return given.decode() if isinstance(given, bytes) else str(given)


def _band(at: Operation, index: int) -> tuple[int, int]:
    """Return the lowest and the highest diagonal."""
    if len(at.inputs) <= index:
        return 0, 0
    value = at.value(index)
    if value is None:
        raise at.refused("which diagonals it takes is computed; expected a constant 'k'")
    return int(value.min()), int(value.max())


def _sizes(at: Operation, index: int, count: int) -> tuple[int, ...]:
    """Return the last sizes of an input."""
    shape = at.shape(index)
    sizes = None if shape is None else shape[-count:]
    if sizes is None or len(sizes) < count or None in sizes:
        raise at.refused("the size of its matrices is not known; expected constants")
    return tuple(size or 0 for size in sizes)


def _number(at: Operation, index: int) -> int:
    value = at.value(index)
    if value is None:
        raise at.refused("the size of its matrices is computed; expected constants")
    return int(value)


CONVERTERS = {
    **dict.fromkeys(("MatrixDiag", "MatrixDiagV2", "MatrixDiagV3"), _diag),
    **dict.fromkeys(("MatrixDiagPart", "MatrixDiagPartV2", "MatrixDiagPartV3"), _diag_part),
    **dict.fromkeys(("MatrixSetDiag", "MatrixSetDiagV2", "MatrixSetDiagV3"), _set_diag),
}
