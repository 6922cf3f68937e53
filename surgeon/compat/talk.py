"""What the incumbents print, for scripts and people who read it."""

from __future__ import annotations


def say(text: str) -> None:
    """Print a line on standard output."""
    print(text)
