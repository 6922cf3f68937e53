"""Heavy libraries, imported where they are needed and only there."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

from surgeon.diagnostics import SurgeonError, error
from surgeon.installation import help_for
from surgeon.stages import tell_stage


def require(module: str, purpose: str) -> ModuleType:
    """Import a heavy library.

    Raise SurgeonError E108 with the installation line where it is missing or broken.
    """
    if module not in sys.modules:
        tell_stage(f"loading {module.partition('.')[0]}")
    try:
        with _without_keras():
            return importlib.import_module(module)
    except Exception as exc:  # a package that does not fit its dependencies raises anything
        raise unusable(module.partition(".")[0], purpose, str(exc)) from None


class _KerasFinder(MetaPathFinder):
    """Finds no code of Keras, which TensorFlow does without until it is used."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname == "keras.src":
            raise ModuleNotFoundError("Keras is loaded when it is used", name=fullname)


@contextlib.contextmanager
def _without_keras() -> Iterator[None]:
    """Keep TensorFlow from loading all of Keras with itself, which is a third of its time.

    ``tensorflow.keras`` loads it at its first use.
    """
    finder = _KerasFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def unusable(package: str, purpose: str, reason: str) -> SurgeonError:
    """Return the error E108 of a package that cannot be imported, with the installation line."""
    return error(
        "E108",
        f"{purpose} needs the package '{package}', which cannot be imported: {' '.join(reason.split())}",
        help=help_for(package),
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep TensorFlow's talk off the terminal while the block runs."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def no_stderr() -> Iterator[None]:
    """Send standard error nowhere: what TensorFlow's libraries log while they are loaded heeds no setting."""
    try:
        saved = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
