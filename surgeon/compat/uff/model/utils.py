"""Text in attributes."""

from __future__ import annotations


def convert_to_str(text: str | bytes) -> str:
    """Return the text of an attribute, which protobuf keeps as bytes."""
    return text.decode() if isinstance(text, bytes) else text
