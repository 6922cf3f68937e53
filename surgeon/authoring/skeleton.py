"""Skeletons of recipes, plugins, families and steps: files that work as they are, to be changed.

The files stand in ``skeletons/``, a folder for each kind, and call the new thing ScaleShift.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from pathlib import Path

from surgeon.atomic import check_replaceable, make_folder, write_bytes
from surgeon.diagnostics import error

_FOLDER = Path(__file__).parent / "skeletons"
_GRAPH = "model.graph.txt"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")


def skeleton(kind: str, name: str) -> Mapping[str, bytes]:
    """Return the files of a skeleton by their path; the model is a frozen graph.

    Raise SurgeonError E135 for a name that could be no file's and no Python class's.
    """
    from surgeon.formats.graphdef.writer import to_bytes
    from surgeon.graph import parse_graph

    words = _words(kind, name)
    spellings = {
        "ScaleShift": name if kind == "plugin" else "".join(word[:1].upper() + word[1:] for word in words),
        "scale_shift": "_".join(words),
        "scale-shift": "-".join(words),
    }
    found: dict[str, bytes] = {}
    for path in sorted((_FOLDER / kind).rglob("*.txt")):
        text = path.read_text(encoding="utf-8")
        if path.name == _GRAPH:
            found["model.pb"] = to_bytes(parse_graph(text))
            continue
        place = str(path.relative_to(_FOLDER / kind)).removesuffix(".txt")
        for old, new in spellings.items():
            text, place = text.replace(old, new), place.replace(old, new)
        found[place] = text.encode("utf-8")
    return found


def write_skeleton(kind: str, name: str, folder: Path) -> list[Path]:
    """Write a skeleton into a folder; return its files.

    Nothing is overwritten: raise SurgeonError E120 for a file that is there and holds something else, E135
    for the name, and E105 where the folder cannot be written.
    """
    files = {folder / place: data for place, data in skeleton(kind, name).items()}
    for path, data in files.items():
        check_replaceable(path, data, follow_links=False)
    for path, data in files.items():
        make_folder(path.parent)
        write_bytes(path, data, follow_links=False)
    return list(files)


def _words(kind: str, name: str) -> list[str]:
    """Return the words of a name, in small letters: of ``MyStep``, ``my_step`` and ``my-step`` the same."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    words = [word for word in re.split(r"[_-]+", apart) if word]
    hyphen = kind == "plugin" and "-" in name
    if hyphen or not _NAME.fullmatch(name) or keyword.iskeyword("_".join(words)):
        raise error(
            "E135",
            f"'{name:.80}' is no name for this; expected a letter, then letters, digits, '_' or '-'",
            help=["give a name such as my_detector or ScaleShift"],
        )
    return words
