"""Names of classes, as training leaves them behind: label maps, and files with one label a line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from surgeon.diagnostics import Span, SurgeonError, error
from surgeon.training_files.text_format import Entry, Stated, nested, parse_text, read_text

BACKGROUND = ("background", "__background__", "unlabeled", "unlabelled")
"""Names of the class that is not an object."""

_NO_LABEL = ("", "???", "n/a")
_ITEM = re.compile(r"(?:\s|#[^\n]*\n)*item\s*:?\s*[\[{<]")
_LARGEST = 100_000


def load_labels(path: str | Path) -> Mapping[int, str]:
    """Return the names of classes by their number, the smallest first; the background is left out.

    A ``.txt`` file holds one label a line. The first is class 1, or, where it names the background (or is
    ``???``), class 0. A line that is empty, ``???`` or ``n/a`` is a class without a name. Any other file is a
    label map: messages ``item`` with ``id``, ``name`` and ``display_name``, which goes before ``name``. A
    ``.txt`` file that begins with ``item`` is a label map, too.

    Raise SurgeonError E101 if the file cannot be read, D140 and D141 if it is not in text format, and D143
    for a label map that names one class twice, names the class 0 otherwise than the background, or names
    none.
    """
    text = read_text(path)
    lines = Path(path).suffix.lower() == ".txt" and not _ITEM.match(text)
    labels = _of_lines(text, str(path)) if lines else _of_items(text, str(path))
    if not labels:
        raise error(
            "D143",
            "the file names no class; expected a label a line, or 'item { id: 1 name: \"person\" }'",
            str(path),
            help=["check that it is a label map"],
        )
    return dict(sorted(labels.items()))


def _of_lines(text: str, file: str) -> dict[int, str]:
    lines = [line.strip() for line in text.rstrip().split("\n")]
    if len(lines) > _LARGEST:
        raise error("D143", f"the file has {len(lines)} lines; at most {_LARGEST} classes are read", file)
    first = 0 if lines[0].lower() in (*BACKGROUND, "???") else 1
    return {i: line for i, line in enumerate(lines, first) if i and line.lower() not in _NO_LABEL}


def _of_items(text: str, file: str) -> dict[int, str]:
    labels: dict[int, str] = {}
    places: dict[int, Span] = {}
    for entry in parse_text(text, file).all("item"):
        number, name = _item(entry)
        if labels.get(number.value, name) != name:
            raise error(
                "D143",
                f"the class {number.value} is named '{name}' here and '{labels[number.value]}' at line "
                f"{places[number.value].line}",
                number.where,
                help=["keep one of them"],
            )
        if number.value:
            labels[number.value], places[number.value] = name, number.where or entry.span
    return labels


def _item(entry: Entry) -> tuple[Stated[int], str]:
    item = nested(entry)
    number, name = item.whole("id", 0), item.text("name", "").value
    shown = item.text("display_name", "").value or name
    if not 0 <= number.value <= _LARGEST:
        raise error(
            "D143", f"the class number {number.value} is out of range; expected 1 to {_LARGEST}", number.where
        )
    if number.value == 0 and name.lower() not in BACKGROUND and shown.lower() not in BACKGROUND:
        raise _refused(
            f"'{shown}' has the class number 0, which is the background's"
            if number.where
            else f"'{shown}' has no 'id'",
            number.where or entry.span,
            "number the classes from 1",
        )
    if not shown:
        raise _refused(f"the class {number.value} has no name", entry.span, "add 'name' or 'display_name'")
    return number, shown


def _refused(message: str, where: Span, help: str) -> SurgeonError:
    return error("D143", message, where, help=[help])
