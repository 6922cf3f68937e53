"""Work on pictures that runs ahead on threads, its results in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")

THREADS = min(4, os.cpu_count() or 1)
"""Threads, and items that are worked on before they are asked for: pictures take much memory."""


def ahead(work: Callable[[_T], _R], items: Iterable[_T]) -> Iterator[_R]:
    """Yield ``work(item)`` for each item in order, some items ahead of what was asked for.

    What goes wrong with an item, or with ``items``, is raised in its turn.
    """
    if THREADS < 2:
        yield from map(work, items)
        return
    failure: Exception | None = None
    waiting: deque[Future[_R]] = deque()
    coming = iter(items)
    pool = ThreadPoolExecutor(THREADS)
    try:
        while True:
            while failure is None and len(waiting) < THREADS:
                try:
                    waiting.append(pool.submit(work, next(coming)))
                except StopIteration:
                    break
                except Exception as exc:
                    failure = exc
            if not waiting:
                break
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
        pool.shutdown()
    if failure is not None:
        raise failure
