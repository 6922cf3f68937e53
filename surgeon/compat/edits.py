"""The edits that a script makes, told to whoever listens."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast

from surgeon.compat.remarks import script_place
from surgeon.diagnostics import Span


@dataclass(frozen=True, slots=True)
class Edit:
    """One call of a method that changes a graph: its name, the graph, its arguments by name, the script's
    line.

    What a script changes in a node itself, such as ``node.input.remove("Input")``, is no call: compare the
    graph with what it was after the edit before.
    """

    method: str
    graph: Any
    arguments: Mapping[str, Any] = field(default_factory=dict)
    place: Span | None = None


class Listener(Protocol):
    """What is told of edits: ``before`` sees the graph as it was, ``after`` as it is then."""

    def before(self, edit: Edit) -> None:
        """Take note of an edit that is about to be made."""

    def after(self, edit: Edit) -> None:
        """Take note of an edit that was made."""


_listeners: list[Listener] = []
_under_way: list[Edit] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell a listener of every edit while the block runs."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


F = TypeVar("F", bound=Callable[..., Any])


def edit(method: F) -> F:
    """Mark a method that changes a graph: listeners are told, of the outermost call only."""
    signature = inspect.signature(method)

    @functools.wraps(method)
    def told(graph: Any, *args: Any, **kwargs: Any) -> Any:
        if not _listeners or _under_way:
            return method(graph, *args, **kwargs)
        given = signature.bind(graph, *args, **kwargs)
        given.apply_defaults()
        arguments = {name: value for name, value in given.arguments.items() if name != "self"}
        change = Edit(method.__name__, graph, arguments, script_place())
        _under_way.append(change)
        try:
            for listener in _listeners:
                listener.before(change)
            result = method(graph, *args, **kwargs)
            for listener in _listeners:
                listener.after(change)
        finally:
            _under_way.pop()
        return result

    return cast("F", told)
