"""Frozen graphs from files of every kind, told apart by what they hold."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from surgeon.diagnostics import error
from surgeon.formats.graphdef.other_files import FREEZE, is_checkpoint, is_checkpoint_prefix
from surgeon.formats.graphdef.reader import check_frozen, looks_like_text, parse_graphdef, parse_text
from surgeon.formats.graphdef.writer import check_file_unchanged
from surgeon.graph import Graph, MappedFile


def load_graph(path: str | os.PathLike[str]) -> Graph:
    """Read a frozen graph: a ``.pb`` or ``.pbtxt`` GraphDef, or a SavedModel folder.

    Constants of a kilobyte and more stay in a ``.pb`` file, which is mapped into memory. Raise
    SurgeonError: E101 (no such file, or unreadable), E102 (a folder without a SavedModel), E103 (empty),
    E104 (a Git LFS pointer), G101 (not a GraphDef, or truncated), G102 (not frozen: variables), G103 (no
    nodes), G105 to G107 and G111 (duplicate names, dangling inputs, cycles, malformed nodes), G112 (a
    constant whose shape and bytes disagree), G114 to G116 for a SavedModel, and E107 if another program
    changed the file meanwhile.
    """
    file = Path(path)
    try:
        mode = os.stat(file).st_mode
        mapped = MappedFile(file) if stat.S_ISREG(mode) else None
    except (OSError, ValueError) as exc:  # ValueError: a zero byte in the path
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        if isinstance(exc, FileNotFoundError) and is_checkpoint_prefix(file):
            raise error("G101", f"'{file}' is a checkpoint; expected a frozen graph", help=FREEZE) from None
        raise error("E101", f"'{file}' cannot be read: {reason}", help=["check the path"]) from None
    if stat.S_ISDIR(mode):
        from surgeon.formats.graphdef.saved_model import load_saved_model

        return load_saved_model(file)
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
    if file.suffix in (".pbtxt", ".prototxt", ".txt") or looks_like_text(head):
        graph = parse_text(mapped, file)
    else:
        graph = parse_graphdef(mapped, str(file))
    graph = check_frozen(graph)
    check_file_unchanged(mapped)
    return graph
