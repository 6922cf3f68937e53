"""Frozen graphs from files of every kind, told apart by what they hold."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from surgeon.diagnostics import error
from surgeon.formats.graphdef.other_files import FREEZE, is_checkpoint, is_checkpoint_prefix
from surgeon.formats.graphdef.reader import (
    check_frozen,
    looks_like_text,
    parse_graphdef,
    parse_text,
    text_message,
)
from surgeon.formats.graphdef.writer import check_file_unchanged
from surgeon.graph import Graph, MappedFile


def load_graph(path: str | os.PathLike[str]) -> Graph:
    """Read a frozen graph: a ``.pb`` or ``.pbtxt`` GraphDef, or a SavedModel folder.

    Constants of a kilobyte and more stay in a ``.pb`` file, which is mapped into memory. Calls of
    functions are replaced by what the functions compute. Raise SurgeonError: E101 (no such file, or
    unreadable), E102 (a folder without a SavedModel), E103 (empty), E104 (a Git LFS pointer), G101 (not a
    GraphDef, or truncated), G102 (not frozen: variables), G103 (no nodes), G105 to G107 and G111
    (duplicate names, dangling inputs, cycles, malformed nodes), G112 (a constant whose shape and bytes
    disagree), G114 to G116 for a SavedModel, and E107 if another program changed the file meanwhile.
    """
    file = Path(path)
    if _is_folder(file):
        from surgeon.formats.graphdef.saved_model import load_saved_model

        return load_saved_model(file)
    mapped = _mapped(file)
    graph = parse_text(mapped, file) if _is_text(file, mapped) else parse_graphdef(mapped, str(file))
    graph = check_frozen(graph)
    check_file_unchanged(mapped)
    if graph.library:
        from surgeon.formats.graphdef.functions import inlined

        return check_frozen(inlined(graph))
    return graph


def load_message(path: str | os.PathLike[str], kind: Any) -> Any:
    """Read a GraphDef as a message of the class ``kind``, this package's or TensorFlow's, and check nothing.

    Raise SurgeonError: E101, E103, E104 and G101 as :func:`load_graph` does.
    """
    file = Path(path)
    if _is_folder(file):
        raise error(
            "E102",
            f"'{file}' is a folder; expected a frozen graph in a file",
            help=[
                "a SavedModel is frozen by 'surgeon apply' and 'surgeon convert'; give its frozen graph here"
            ],
        )
    mapped = _mapped(file)
    if _is_text(file, mapped):
        return kind.FromString(text_message(mapped, file).SerializeToString())
    message = kind()
    try:
        message.ParseFromString(bytes(mapped.view))
    except Exception as exc:  # protobuf's DecodeError has no common base across its backends
        parse_graphdef(mapped, str(file))  # says in detail what is wrong, unless protobuf alone refuses it
        raise error("G101", f"the file is not a GraphDef: {exc}", str(file), help=FREEZE) from None
    if not message.node:
        parse_graphdef(mapped, str(file))
    return message


def _is_folder(file: Path) -> bool:
    try:
        return stat.S_ISDIR(os.stat(file).st_mode)
    except (OSError, ValueError):  # _mapped says why
        return False


def _mapped(file: Path) -> MappedFile:
    """Return a file that may hold a graph, mapped; raise SurgeonError E101, E103, E104 or G101."""
    try:
        mode = os.stat(file).st_mode
        mapped = MappedFile(file) if stat.S_ISREG(mode) else None
    except (OSError, ValueError) as exc:  # ValueError: a zero byte in the path
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        if isinstance(exc, FileNotFoundError) and is_checkpoint_prefix(file):
            raise error("G101", f"'{file}' is a checkpoint; expected a frozen graph", help=FREEZE) from None
        raise error("E101", f"'{file}' cannot be read: {reason}", help=["check the path"]) from None
    if mapped is None:
        raise error(
            "E101",
            f"'{file}' cannot be read: it is a pipe or a device; expected a file or a SavedModel folder",
            help=["write the graph to a file first"],
        )
    if not mapped.size:
        raise error(
            "E103",
            f"'{file}' is empty (0 bytes); expected a frozen graph",
            help=["copy or download it again"],
        )
    head = bytes(mapped.view[:200])
    if head.startswith(b"version https://git-lfs.github.com/spec/"):
        raise error(
            "E104",
            f"'{file}' is a Git LFS pointer of {mapped.size} bytes, not the graph itself",
            help=["run 'git lfs pull' in its repository, or download the file itself"],
        )
    if is_checkpoint(file):
        raise error(
            "G101",
            f"'{file}' is a part of a checkpoint; expected a frozen graph",
            help=FREEZE,
        )
    return mapped


def _is_text(file: Path, mapped: MappedFile) -> bool:
    return file.suffix in (".pbtxt", ".prototxt", ".txt") or looks_like_text(bytes(mapped.view[:200]))
