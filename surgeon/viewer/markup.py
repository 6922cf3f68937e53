"""HTML put together from values: whatever is not markup already is escaped on the way in."""

from __future__ import annotations

import html

from surgeon.display import printable

_VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})


class Markup(str):
    """Text that is HTML as it stands."""

    __slots__ = ()


def escape(value: object) -> Markup:
    """Return a value as HTML: markup as it is, None as nothing, and other text escaped.

    Characters that cannot be seen are spelled out.
    """
    if isinstance(value, Markup):
        return value
    if value is None:
        return Markup("")
    shown = printable(str(value), keep="\t\n")
    return Markup(html.escape(shown))


def join(*parts: object) -> Markup:
    """Return the parts as HTML, one after the other."""
    return Markup("".join(map(escape, parts)))


def element(name: str, /, *children: object, **attributes: object) -> Markup:
    """Return an element with its children escaped.

    ``class_`` stands for ``class``, ``data_path`` for ``data-path``. An attribute of None or False is left
    out, one of True has no value.
    """
    written = "".join(
        _attribute(key, value)
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def _attribute(key: str, value: object) -> str:
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(value)}"'
