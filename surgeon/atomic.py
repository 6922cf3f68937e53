"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO

from surgeon.diagnostics import SurgeonError, error

_checks: ContextVar[tuple[Callable[[], None], ...]] = ContextVar("checks", default=())


@contextmanager
def checked(check: Callable[[], None]) -> Iterator[None]:
    """Call ``check`` whenever a file of the block is complete, before it takes its name.

    What ``check`` raises keeps the file from appearing.
    """
    token = _checks.set((*_checks.get(), check))
    try:
        yield
    finally:
        _checks.reset(token)


def _run_checks() -> None:
    for check in _checks.get():
        check()


@contextmanager
def writing(path: str | os.PathLike[str], *, follow_links: bool = True) -> Iterator[BinaryIO]:
    """Open a temporary file beside ``path`` and rename it over ``path`` when the block ends well.

    Where the user named the path, a link there is followed. Give ``follow_links`` false for a name that this
    program chose: whoever may write to the folder could have put a link there that leads elsewhere.

    On any exception the temporary file is removed and ``path`` is as it was. Raise SurgeonError E105 where it
    cannot be written (no such folder, no permission, disk full, a folder or a link of that name), and what
    the checks of :func:`checked` raise.
    """
    target = Path(path)
    if not follow_links:
        _refuse_link(target)
    kind = _kind(target)
    if stat.S_ISDIR(kind):
        raise _is_folder(target)
    if kind and not stat.S_ISREG(kind):
        with _device(target) as handle:
            yield handle
        return
    temporary: Path | None = None
    try:
        real = Path(os.path.realpath(target)) if follow_links else target
        number, name = tempfile.mkstemp(prefix=f".{real.name[:20]}.", suffix=".part", dir=real.parent)
        temporary = Path(name)
        with os.fdopen(number, "wb") as handle:
            yield handle
            handle.flush()
            os.fchmod(handle.fileno(), _mode(real))
        _run_checks()
        os.replace(temporary, real)
        temporary = None
    except OSError as exc:
        _run_checks()  # a part of an input that was cut off is reported as a bad address of what is written
        raise _refused(target, exc) from None
    finally:
        if temporary is not None:
            with suppress(FileNotFoundError):
                temporary.unlink()


def _kind(target: Path) -> int:
    """Return the mode of what is at ``target``, 0 where there is nothing.

    Raise SurgeonError E105 for no usable path.
    """
    try:
        return os.stat(target).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as exc:
        raise _refused(target, exc) from None
    except ValueError as exc:  # a zero byte in the path
        raise error("E105", f"'{target}' cannot be written: {exc}", help=["check the path"]) from None


@contextmanager
def _device(target: Path) -> Iterator[BinaryIO]:
    """Write to a pipe or a device (/dev/stdout, /dev/null), where renaming makes no sense.

    A pipe that nothing reads is refused: opening it would wait for a reader, perhaps for ever.
    """
    try:
        number = os.open(target, os.O_WRONLY | os.O_NONBLOCK)
        os.set_blocking(number, True)
        with os.fdopen(number, "wb") as handle:
            yield handle
        _run_checks()
    except OSError as exc:
        _run_checks()
        raise _refused(target, exc) from None


def _is_folder(target: Path) -> SurgeonError:
    return error("E105", f"'{target}' cannot be written: it is a folder", help=["name a file"])


def _refuse_link(target: Path) -> None:
    if target.is_symlink():
        raise error(
            "E105",
            f"'{target}' cannot be written: it is a link to '{os.path.realpath(target)}'; expected a file of "
            "its own, or none",
            help=["remove the link, or name another folder"],
        )


def _refused(target: Path, exc: OSError) -> SurgeonError:
    help = ["check the path and its permissions"]
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        help = ["free some space, or write to another disk"]
    if exc.errno == errno.ENXIO:
        return error(
            "E105",
            f"'{target}' cannot be written: nothing reads from this pipe or device",
            help=["start what reads from it first, or write to a file"],
        )
    return error(
        "E105", f"'{target}' cannot be written: {exc.strerror or exc}; nothing was changed", help=help
    )


def _mode(path: Path) -> int:
    """Return the permission bits the file should have: those it has, or those of a new file."""
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def write_bytes(path: str | os.PathLike[str], data: bytes, *, follow_links: bool = True) -> None:
    """Write a file whole or not at all, as :func:`writing` does; raise SurgeonError E105."""
    with writing(path, follow_links=follow_links) as handle:
        handle.write(data)


def write_text(path: str | os.PathLike[str], text: str, *, follow_links: bool = True) -> None:
    """Write a UTF-8 file whole or not at all, as :func:`writing` does; raise SurgeonError E105."""
    write_bytes(path, text.encode("utf-8"), follow_links=follow_links)


def check_writable(path: str | os.PathLike[str], *, follow_links: bool = True) -> None:
    """Raise SurgeonError E105 where a file could not be written; for outputs that take long to make."""
    target = Path(path)
    if not follow_links:
        _refuse_link(target)
    if stat.S_ISDIR(_kind(target)):
        raise _is_folder(target)
    folder = Path(os.path.realpath(target)).parent
    if not os.path.isdir(folder):
        raise _refused(target, FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _refused(target, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


_WRITTEN_BY_HAND = (".yaml", ".yml", ".toml", ".py")


def check_replaceable(
    path: str | os.PathLike[str], data: bytes, *, force: bool = False, follow_links: bool = True
) -> None:
    """Raise SurgeonError E120 where a file that a person may have edited would be lost.

    That is any ordinary file with content other than ``data``, unless ``force``. Raise SurgeonError E105 for
    a link where ``follow_links`` is false, and for a file that cannot be read.
    """
    file = Path(path)
    if not follow_links:
        _refuse_link(file)
    if force or not os.path.isfile(file):
        return
    try:
        size = file.stat().st_size
        if size == 0 or (size == len(data) and file.read_bytes() == data):
            return
    except OSError as exc:
        raise _refused(file, exc) from None
    raise _would_be_lost(file)


def check_generated(path: str | os.PathLike[str]) -> None:
    """Raise SurgeonError E120 where a generated file would replace one that people write by hand.

    Those are recipes, configuration files and Python modules, by their suffix.
    """
    file = Path(path)
    if file.suffix.lower() in _WRITTEN_BY_HAND and os.path.isfile(file) and os.path.getsize(file):
        raise error(
            "E120",
            f"'{file}' is there already, and its suffix is that of a file that people write; expected the "
            "name of a generated file",
            help=["check the option that names it; nothing was written"],
        )


def _would_be_lost(file: Path) -> SurgeonError:
    return error(
        "E120",
        f"'{file}' is there already, and what it holds would be lost; expected a new file",
        help=["name another file, or replace it with --force (in Python, force=True)"],
    )


def check_regular(path: Path) -> None:
    """Raise SurgeonError E101 for a pipe or a device: to read it might never end.

    Raise OSError where there is nothing.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise error(
            "E101",
            f"'{path}' cannot be read: it is a pipe or a device; expected a file",
            help=["write its content to a file first"],
        )


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder, and those above it, unless it is there; return it. Raise SurgeonError E105."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise error(
            "E105",
            f"the folder '{folder}' cannot be made: {exc.strerror or exc}",
            help=["give another folder"],
        ) from None
    return folder
