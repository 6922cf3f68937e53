"""Heavy libraries, imported where they are needed and only there."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Iterator
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
        return importlib.import_module(module)
    except Exception as exc:  # a package that does not fit its dependencies raises anything
        raise unusable(module.partition(".")[0], purpose, str(exc)) from None


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
