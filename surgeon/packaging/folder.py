"""Folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from surgeon.diagnostics import error


@contextmanager
def writing_folder(path: Path, mark: str, *, force: bool = False) -> Iterator[Path]:
    """Give an empty folder beside ``path``, which takes that name when the block ends well.

    On any exception it is removed, and ``path`` is as it was. A folder that is there already is replaced
    where it is empty, and with ``force`` where it has the file ``mark``. Raise SurgeonError E120 for another
    one, and E105 where the folder cannot be made.
    """
    check_folder(path, mark, force=force)
    real = Path(os.path.realpath(path))
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{real.name[:20]}.", suffix=".part", dir=real.parent))
    except OSError as exc:
        raise error(
            "E105",
            f"the folder '{path}' cannot be made: {exc.strerror or exc}",
            help=["give another folder"],
        ) from None
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o777 & ~mask)
        _take_place(temporary, real)
    except OSError as exc:
        raise error(
            "E105",
            f"the folder '{path}' cannot be written: {exc.strerror or exc}; nothing was changed",
            help=["free some space, or give another folder"],
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _take_place(temporary: Path, real: Path) -> None:
    if not real.exists():
        os.rename(temporary, real)
        return
    earlier = temporary.with_suffix(".old")
    os.rename(real, earlier)
    try:
        os.rename(temporary, real)
    except OSError:
        os.rename(earlier, real)
        raise
    shutil.rmtree(earlier, ignore_errors=True)


def check_folder(path: Path, mark: str, *, force: bool = False) -> None:
    """Raise SurgeonError as :func:`writing_folder` does for what is at ``path``."""
    if os.path.isdir(path) and not os.listdir(path):
        return
    if os.path.isdir(path) and os.path.isfile(path / mark):
        if force:
            return
        raise error(
            "E120",
            f"'{path}' is there already, with an engine perhaps; expected a new folder",
            str(path),
            help=["name another folder, or replace it with --force (in Python, force=True)"],
        )
    if os.path.lexists(path):
        raise error(
            "E120",
            f"'{path}' is there already, and what it holds would be lost; expected a new folder",
            str(path),
            help=["name another folder"],
        )
