"""The frame of the drawing: its tools, and the places that the page's script fills."""

from __future__ import annotations

from surgeon.viewer.markup import Markup, element, join
from surgeon.viewer.node_status import Kind

_GRAPHS = {
    "graph": (),
    "plan": (("before", "Before"), ("after", "After")),
    "diff": (("before", "First"), ("after", "Second")),
}
_BUTTONS = (
    ("zoom-in", "+", "Zoom in"),
    ("zoom-out", "−", "Zoom out"),
    ("zoom-fit", "Fit", "Show the whole graph"),
    ("open-all", "Open more", "Open every namespace by one level"),
    ("close-all", "Close all", "Close every namespace"),
)


def drawing(kind: Kind) -> Markup:
    """Return the frame for the drawing of one graph, or of one of two."""
    stage = element(
        "div",
        element("div", id="canvas"),
        element("aside", id="details", aria_live="polite", aria_label="Details", tabindex=0),
        class_="stage",
    )
    keys = element(
        "p",
        "Keys in the graph: arrows move, Enter opens or closes a namespace, + and − zoom, 0 fits, / "
        "searches, Esc lets go. Double-click opens a namespace. Ctrl and the wheel zoom.",
        class_="muted keys",
    )
    without = element("p", "The drawing needs JavaScript; the rest of the page does not.")
    return join(element("noscript", without), _toolbar(kind), stage, element("div", id="legend"), keys)


def _toolbar(kind: Kind) -> Markup:
    buttons = (
        element("button", label, type="button", id=name, title=title, aria_label=title)
        for name, label, title in _BUTTONS
    )
    return element(
        "div",
        _switch(kind) if _GRAPHS[kind] else None,
        _search(),
        *buttons,
        element("label", element("input", type="checkbox", id="constants"), " constants"),
        class_="toolbar",
        role="toolbar",
        aria_label="Graph",
    )


def _switch(kind: Kind) -> Markup:
    buttons = (
        element(
            "button", label, type="button", data_side=key, aria_pressed="true" if key == "after" else "false"
        )
        for key, label in _GRAPHS[kind]
    )
    return element("div", *buttons, class_="switch", role="group", aria_label="Which graph")


def _search() -> Markup:
    field = element(
        "input",
        type="search",
        id="search",
        placeholder="Search nodes and operations",
        autocomplete="off",
        spellcheck="false",
        role="combobox",
        aria_expanded="false",
        aria_controls="found",
        aria_autocomplete="list",
        aria_label="Search the graph",
    )
    results = element("ul", id="found", role="listbox", aria_label="Found", hidden=True)
    return element("div", field, results, class_="search")
