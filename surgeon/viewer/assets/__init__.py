"""Style sheets and scripts of the page; README.md says where the libraries come from."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

SCRIPTS = (
    "vendor/dagre.min.js",
    "vendor/d3-dispatch.min.js",
    "vendor/d3-selection.min.js",
    "vendor/d3-timer.min.js",
    "vendor/d3-color.min.js",
    "vendor/d3-interpolate.min.js",
    "vendor/d3-ease.min.js",
    "vendor/d3-drag.min.js",
    "vendor/d3-transition.min.js",
    "vendor/d3-zoom.min.js",
    "graph.js",
    "drawing.js",
    "details.js",
    "page.js",
)
"""The scripts in the order in which they are put into the page: a library after those that it needs."""


@cache
def asset(name: str) -> str:
    """Return the text of a file of this folder."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def licences() -> str:
    """Return the licences of the libraries, each text once, below the names of those that it is for."""
    owners: dict[str, list[str]] = {}
    for name in SCRIPTS:
        library = name.removeprefix("vendor/").removesuffix(".min.js")
        if library != name:
            owners.setdefault(asset(f"vendor/{library}.LICENSE").strip(), []).append(library)
    return "\n\n".join(f"{', '.join(names)}\n\n{text}" for text, names in owners.items())


def script() -> str:
    """Return all scripts as one; references to source maps, which would need a network, are left out."""
    lines = "\n".join(asset(name) for name in SCRIPTS).splitlines()
    return "\n".join(line for line in lines if not line.startswith("//# sourceMappingURL="))
