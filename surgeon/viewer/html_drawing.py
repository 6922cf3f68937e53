"""The frame of the drawing: its tools, and the places that the page's script fills."""

from __future__ import annotations

from surgeon.viewer.change_report import ChangeReport
from surgeon.viewer.markup import Markup, element, join
from surgeon.viewer.node_status import MEANINGS, Kind, NodeStatus, status_word

_GRAPHS = {
    "graph": (("after", ""),),
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


def drawing(report: ChangeReport) -> Markup:
    """Return the frame for the drawing of one graph, or of two."""
    kind = report.kind
    panes = (
        element(
            "div",
            element("p", label, class_="pane-name") if label else None,
            element("div", class_="canvas", data_canvas=key),
            class_="pane",
            data_pane=key,
        )
        for key, label in _GRAPHS[kind]
    )
    stage = element(
        "div",
        element("div", *panes, class_="panes"),
        element(
            "aside",
            element("div", id="told"),
            id="details",
            aria_live="polite",
            aria_label="Details",
            tabindex=0,
        ),
        class_="stage",
    )
    keys = element(
        "p",
        "Keys in the graph: arrows move, Enter opens or closes a namespace, + and − zoom, 0 fits, / "
        "searches, Esc lets go. Double-click opens a namespace. Ctrl and the wheel zoom.",
        class_="muted keys",
    )
    without = element("p", "The drawing needs JavaScript; the rest of the page does not.")
    left_out = element("p", id="left-out", class_="muted")
    return join(element("noscript", without), _toolbar(kind), stage, left_out, _legend(report), keys)


def _legend(report: ChangeReport) -> Markup:
    """Return what each colour that occurs means; the page's script hides those that the shown graph lacks."""
    nodes = (each for graph in report.graphs for each in graph.nodes.values())
    statuses = {each.provenance.status for each in nodes} if report.kind != "graph" else set()
    if len(statuses) > 1:
        statuses.add(NodeStatus.PARTLY)
    alone = {NodeStatus.DROPPED: "only in the first graph", NodeStatus.ADDED: "only in the second graph"}
    meanings = MEANINGS | (alone if report.kind == "diff" else {})
    shown = {str(status): meaning for status, meaning in meanings.items() if status in statuses}
    if any(graph.plugins for graph in report.graphs):
        shown["plugin"] = "a node that a TensorRT plugin computes"
    entries = [
        element(
            "div",
            element("dt", status_word(name, report.kind), class_=f"key f-{name}"),
            element("dd", meaning),
            data_fate=name,
        )
        for name, meaning in shown.items()
    ]
    return element("dl", *entries, id="legend", aria_label="What the colours mean")


def _toolbar(kind: Kind) -> Markup:
    buttons = (
        element("button", label, type="button", id=name, title=title, aria_label=title)
        for name, label, title in _BUTTONS
    )
    return element(
        "div",
        _switch(kind) if kind != "graph" else None,
        _search(),
        *buttons,
        element("label", element("input", type="checkbox", id="constants"), " constants"),
        class_="toolbar",
        role="toolbar",
        aria_label="Graph",
    )


def _switch(kind: Kind) -> Markup:
    modes = (*_GRAPHS[kind], ("both", "Side by side"))
    buttons = (
        element("button", label, type="button", data_mode=key, aria_pressed=str(key == "after").lower())
        for key, label in modes
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
