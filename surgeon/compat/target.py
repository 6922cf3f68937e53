"""The TensorRT that a script's file is meant for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from surgeon.targets import Target, load_target

DEFAULT_TARGET = "uff@tensorrt-8.5"

_target: ContextVar[str] = ContextVar("target", default=DEFAULT_TARGET)


@contextmanager
def for_target(name: str) -> Iterator[None]:
    """Have another TensorRT in mind while the block runs; raise SurgeonError T101 where there is no such
    target.
    """
    load_target(name)
    token = _target.set(name)
    try:
        yield
    finally:
        _target.reset(token)


def current_target() -> Target:
    """Return the target that is meant."""
    return load_target(_target.get())


def tensorrt_version() -> str:
    """Return the version that stands in for TensorRT's own, such as ``8.5.1``."""
    return ".".join(map(str, current_target().tensorrt or (8, 5)))
