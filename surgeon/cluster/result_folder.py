"""The folder of a fleet: its state, and for each cell what its jobs made and how they ended."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from surgeon.atomic import make_folder, write_text
from surgeon.cluster.digests import file_digest, files_below
from surgeon.cluster.report import CELL_FILE, FLEET_FILE, VERSION, CellReport
from surgeon.cluster.store import Store
from surgeon.diagnostics import SurgeonError, error

_LOCK = ".lock"


class FleetFolder:
    """A folder of results; several runs of one fleet file may write to it."""

    def __init__(self, path: Path, fleet: Path, store: str) -> None:
        self.path, self._fleet, self._store = path, fleet, store

    def open(self, cells: Mapping[str, Mapping[str, Any]]) -> None:
        """Make the folder, or take over one of the same fleet file; write which cells there are.

        Raise SurgeonError F112 for a folder of another fleet, E120 for one with other files in it, and E105
        where it cannot be written.
        """
        make_folder(self.path)
        state = self.path / FLEET_FILE
        there = [name for name in os.listdir(self.path) if name not in (_LOCK, "store")]
        if there and not state.exists():
            raise error(
                "E120",
                f"'{self.path}' holds other files; expected a new folder, or one of this fleet",
                str(self.path),
                help=["name another folder"],
            )
        earlier = _json(state)
        if earlier is not None and earlier.get("fleet") != str(self._fleet):
            raise error(
                "F112",
                f"'{self.path}' is the folder of the fleet '{earlier.get('fleet')}'; expected another",
                str(self.path),
                help=["name another folder"],
            )
        value = {"version": VERSION, "fleet": str(self._fleet), "store": self._store, "cells": cells}
        write_text(state, json.dumps(value, indent=1) + "\n", follow_links=False)
        for name, cell in cells.items():
            folder = make_folder(self.path / "cells" / name)
            for each in os.listdir(folder):
                if each not in (CELL_FILE, *cell["jobs"]) and not each.startswith("."):
                    self.hide(name, each)
        for each in os.listdir(self.path / "cells"):
            if each not in cells and os.path.isfile(self.path / "cells" / each / CELL_FILE):
                shutil.rmtree(self.path / "cells" / each, ignore_errors=True)

    def write(self, cell: CellReport) -> None:
        """Write how a cell stands; raise SurgeonError E105 where it cannot be written."""
        text = json.dumps(cell.to_json(), indent=1, default=list) + "\n"
        write_text(self.path / "cells" / cell.name / CELL_FILE, text, follow_links=False)

    def show(self, cell: str, job: str, key: str, store: Store) -> None:
        """Put what a job made beside the cell's state, as ``JOB/``: links where possible, else copies.

        Raise SurgeonError E105 where it cannot be written, F106 where the store cannot be read.
        """
        target = self.path / "cells" / cell / job
        held = store.read(key, whole=False)
        if held is None or not held.files:
            self.hide(cell, job)
            return
        if _shows(target, held.files):
            return
        try:
            part = Path(tempfile.mkdtemp(prefix=f".{job}.", suffix=".part", dir=target.parent))
            try:
                source = store.fetch(held, part)
                if source != part:
                    for file in held.files:
                        _link(source / file.name, part / file.name)
                os.chmod(part, 0o755)
                _replace(part, target)
            finally:
                shutil.rmtree(part, ignore_errors=True)
        except OSError as exc:
            raise unwritable(target, exc) from None

    def hide(self, cell: str, job: str) -> None:
        """Take away what an earlier run showed of a job, which is not what the job makes now."""
        shutil.rmtree(self.path / "cells" / cell / job, ignore_errors=True)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Tell others that a process is at work on this folder, for as long as the block lasts."""
        make_folder(self.path)
        with open(self.path / _LOCK, "w", encoding="utf-8") as lock:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_SH)
            yield


def is_running(folder: Path) -> bool:
    """Return whether a process is at work on a folder."""
    try:
        with open(folder / _LOCK, encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def unwritable(path: Path, exc: OSError) -> SurgeonError:
    """Return the error E105 for what cannot be written."""
    full = exc.errno in (errno.ENOSPC, errno.EDQUOT)
    return error(
        "E105",
        f"'{path}' cannot be written: {exc.strerror or exc}",
        help=["free some space" if full else "check the path and its permissions"],
    )


def _json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _shows(folder: Path, files: Any) -> bool:
    """Return whether a folder has these files, by content, and no others."""
    try:
        whole = all(file_digest(folder / file.name) == file.sha256 for file in files)
    except OSError:
        return False
    return whole and len(files_below(folder)) == len(files)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.ENOENT):
            raise
        shutil.copy(source, target)


def _replace(part: Path, target: Path) -> None:
    if target.exists():
        old = part.with_suffix(".old")
        os.rename(target, old)
        os.rename(part, target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.rename(part, target)
