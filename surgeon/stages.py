"""Stages of the work, told to whoever listens: the command line shows them as progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

Listener: TypeAlias = Callable[[str, str, int, int], None]
"""Called with the stage that begins or goes on, what it is at, and how many of how many are done; 0 where
that is not known.
"""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call ``listener`` for every stage of the block."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def tell_stage(stage: str, at: str = "", done: int = 0, total: int = 0) -> None:
    """Tell that a stage begins, or how far it is; an empty one, that the work is done or waits."""
    listener = _listener.get()
    if listener is not None:
        listener(stage, at, done, total)
