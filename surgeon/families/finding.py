"""A value that a graph tells, with what shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Finding(Generic[T]):
    """A value, and the nodes and constants that show it."""

    value: T
    evidence: tuple[str, ...]
