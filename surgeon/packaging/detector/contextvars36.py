"""As much of ``contextvars`` as the carried code uses, for Python 3.6, which has none."""

from typing import Any


class ContextVar:
    """A value that a block changes; the program has one context."""

    def __init__(self, name: str, default: Any = None) -> None:
        self.name, self._value = name, default

    def get(self) -> Any:
        """Return the value."""
        return self._value

    def set(self, value: Any) -> Any:
        """Change the value; return the one before."""
        before, self._value = self._value, value
        return before

    def reset(self, token: Any) -> None:
        """Put a value back that :meth:`set` returned."""
        self._value = token
