"""The page: one HTML file that needs no network, with everything that is known of a model before and
after.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from surgeon.diagnostics import Diagnostic, Severity, error
from surgeon.display import number, size
from surgeon.verification import Verification
from surgeon.version import __version__
from surgeon.viewer import html_change_report as story_pieces
from surgeon.viewer import notebook_html as fragments
from surgeon.viewer.assets import asset, licences, script
from surgeon.viewer.change_report import Story
from surgeon.viewer.drawing_data import drawing_data, script_json
from surgeon.viewer.html_parts import badge, outcome
from surgeon.viewer.html_support import support
from surgeon.viewer.html_verification import verification
from surgeon.viewer.markup import Markup, element, join
from surgeon.viewer.pictures import Shown, shown
from surgeon.viewer.support import support_table

_CONTENT_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src "
    "'unsafe-inline'; script-src 'sha256-{}'"
)
_SIDES = {
    "graph": (),
    "plan": (("before", "Before"), ("after", "After")),
    "diff": (("before", "First"), ("after", "Second")),
}


@dataclass(frozen=True)
class Page:
    """What a page shows: a story, what was found wrong, and whether the same is detected.

    ``pictures_beside`` is a folder in which the verification's pictures lie where they are not at their path.
    """

    story: Story
    diagnostics: tuple[Diagnostic, ...] = ()
    verification: Verification | None = None
    pictures_beside: Path | None = field(default=None, compare=False)


def check_page(path: str | os.PathLike[str], *inputs: object) -> None:
    """Raise SurgeonError W107 where a page would be written over one of the files that it is made of."""
    page = Path(path)
    for given in inputs:
        if (
            isinstance(given, str | os.PathLike)
            and page.exists()
            and Path(given).exists()
            and page.samefile(given)
        ):
            raise error(
                "W107",
                f"the page would be written over '{os.fspath(given)}', which it is made of; expected another "
                "file",
                page,
                help=["name the page, say, page.html"],
            )


def render_page(page: Page) -> str:
    """Return the page as HTML."""
    code = script()
    digest = base64.b64encode(hashlib.sha256(code.encode("utf-8")).digest()).decode()
    story = page.story
    title = {"graph": story.title, "plan": f"{story.title}, {story.recipe}", "diff": story.title}[story.kind]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_CONTENT_POLICY.format(digest)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="generator", content=f"surgeon {__version__}"),
        element("title", f"{title} – surgeon"),
        element("link", rel="icon", href="data:,"),
        element("style", Markup(asset("pieces.css") + asset("page.css"))),
    )
    sections = [section for section in _sections(page) if section is not None]
    body = element(
        "body",
        element("a", "Skip to the graph", href="#graph", class_="skip"),
        _header(page, [(name, label) for name, label, _ in sections]),
        element("main", *(_section(*section) for section in sections)),
        element(
            "footer",
            element("p", f"Written by surgeon {__version__}."),
            element(
                "details",
                element("summary", "Licences of the libraries in this page"),
                element("pre", licences()),
            ),
        ),
        element("script", script_json(drawing_data(story)), id="story", type="application/json"),
        element("script", Markup(code)),
        class_="surgeon",
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _sections(page: Page) -> list[tuple[str, str, Markup] | None]:
    story = page.story
    plan = story.kind == "plan"
    return [
        ("summary", "Summary", _summary(page)),
        ("graph", "Graph", _graph(story)),
        ("namespaces", "Namespaces", join(_tree_tools(), story_pieces.namespaces(story))),
        (
            "surgery",
            "Surgery",
            join(
                element("h3", "Put in"),
                story_pieces.put_in(story),
                element("h3", "Steps"),
                story_pieces.steps(story.steps),
            ),
        )
        if plan
        else None,
        ("changed", "Changed nodes", story_pieces.changes(story.changed)) if story.kind == "diff" else None,
        ("derived", "Derived", story_pieces.derivations(story.derivations)) if plan else None,
        ("diagnostics", "Diagnostics", fragments.diagnostics(page.diagnostics)) if plan else None,
        ("verification", "Verification", _verification(page)) if plan else None,
        (
            "targets",
            "Targets",
            support(support_table(story.after.catalog, (node.op for node in story.after.plugins))),
        ),
    ]


def _section(name: str, label: str, content: Markup) -> Markup:
    return element(
        "section", element("h2", label, id=f"{name}-title"), content, id=name, aria_labelledby=f"{name}-title"
    )


def _header(page: Page, entries: Sequence[tuple[str, str]]) -> Markup:
    story = page.story
    below = {
        "graph": "one graph",
        "plan": join(
            "rewritten by ", element("b", story.recipe), f" for {story.target}" if story.target else ""
        ),
        "diff": "what differs between two graphs",
    }[story.kind]
    return element(
        "header",
        element(
            "div",
            element("p", "surgeon", class_="brand"),
            element("h1", element("code", story.title)),
            element("p", below, class_="muted"),
            class_="titles",
        ),
        element(
            "button", "Theme: auto", id="theme", type="button", title="Light, dark, or as the system has it"
        ),
        element(
            "nav", *(element("a", label, href=f"#{name}") for name, label in entries), aria_label="Sections"
        ),
    )


def _summary(page: Page) -> Markup:
    story = page.story
    cards = [
        _card(
            "nodes", *(number(len(side.graph)) for side in (story.before, story.after) if side is not None)
        ),
        _card(
            "constants",
            *(size(side.constant_bytes) for side in (story.before, story.after) if side is not None),
        ),
        _card(
            "kinds of operations",
            *(number(len(side.ops)) for side in (story.before, story.after) if side is not None),
        ),
        _card(
            "plugin nodes",
            *(number(len(side.plugins)) for side in (story.before, story.after) if side is not None),
        ),
    ]
    if story.kind == "diff":
        cards += [_difference_card(story)]
    if story.kind == "plan":
        cards += [_diagnostics_card(page.diagnostics), _verification_card(page.verification)]
    left = element("div", element("h3", "Inputs and outputs"), story_pieces.tensors(story))
    right = element("div", element("h3", "Operations"), story_pieces.operations(story))
    return join(element("div", *cards, class_="cards"), element("div", left, right, class_="halves"))


def _card(label: str, *values: object) -> Markup:
    arrow = element("span", " → ", class_="muted")
    shown = [values[0]] if len(values) == 1 else [element("span", values[0], class_="was"), arrow, values[1]]
    return element(
        "div", element("p", *shown, class_="value"), element("p", label, class_="muted"), class_="card"
    )


def _diagnostics_card(found: Sequence[Diagnostic]) -> Markup:
    if not found:
        return _card("diagnostics", badge("none", "good"))
    counts = {severity: sum(one.severity is severity for one in found) for severity in Severity}
    parts = [
        badge(f"{count} {severity.value}{'s' if count > 1 else ''}", severity.value)
        for severity, count in counts.items()
        if count
    ]
    return _card("diagnostics", join(*parts))


def _difference_card(story: Story) -> Markup:
    fates: dict[str, int] = {}
    for told in story.namespaces:
        for fate, count in told.fates.items():
            fates[fate.value] = fates.get(fate.value, 0) + count
    names = {"dropped": "removed", "added": "added", "rewired": "rewired", "changed": "changed"}
    parts = [badge(f"{number(fates[fate])} {name}", fate) for fate, name in names.items() if fates.get(fate)]
    if story.moved:
        parts.append(badge(f"{number(len(story.moved))} moved", "note"))
    parts += [badge(text, "note") for text in story.others]
    return _card("what differs", join(*(parts or [badge("none", "good")])))


def _verification_card(found: Verification | None) -> Markup:
    return _card(
        "verification", outcome(str(found.outcome)) if found is not None else badge("not run", "note")
    )


def _tree_tools() -> Markup:
    buttons = (
        element("button", label, type="button", id=name)
        for name, label in (("unfold", "Unfold all"), ("fold", "Fold all"))
    )
    return element("p", *buttons, class_="tools")


def _graph(story: Story) -> Markup:
    switch = [
        element(
            "button",
            label,
            type="button",
            data_side=side,
            aria_pressed="true" if side == "after" else "false",
        )
        for side, label in _SIDES[story.kind]
    ]
    buttons = [
        ("zoom-in", "+", "Zoom in"),
        ("zoom-out", "−", "Zoom out"),
        ("zoom-fit", "Fit", "Show the whole graph"),
        ("open-all", "Open more", "Open every namespace by one level"),
        ("close-all", "Close all", "Close every namespace"),
    ]
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
    toolbar = element(
        "div",
        element("div", *switch, class_="switch", role="group", aria_label="Which graph") if switch else None,
        element(
            "div",
            field,
            element("ul", id="found", role="listbox", aria_label="Found", hidden=True),
            class_="search",
        ),
        *(
            element("button", label, type="button", id=name, title=title, aria_label=title)
            for name, label, title in buttons
        ),
        element("label", element("input", type="checkbox", id="constants"), " constants"),
        class_="toolbar",
        role="toolbar",
        aria_label="Graph",
    )
    canvas = element("div", id="canvas")
    details = element("aside", id="details", aria_live="polite", aria_label="Details", tabindex=0)
    keys = element(
        "p",
        "Keys in the graph: arrows move, Enter opens or closes a namespace, + and − zoom, 0 fits, / "
        "searches, Esc lets go. "
        "Double-click opens a namespace. Ctrl and the wheel zoom.",
        class_="muted keys",
    )
    without = element(
        "noscript", element("p", "The drawing needs JavaScript; the rest of the page does not.")
    )
    return join(
        without, toolbar, element("div", canvas, details, class_="stage"), element("div", id="legend"), keys
    )


def _verification(page: Page) -> Markup:
    found = page.verification
    if found is None:
        return element(
            "p",
            "Not run. ",
            element("code", "surgeon view MODEL RECIPE --html FILE --verify"),
            " runs it, and ",
            element("code", "--verification VERDICT.json"),
            " takes what ",
            element("code", "surgeon verify --json"),
            " wrote.",
            class_="muted",
        )
    pictures = [_picture(picture) for picture in shown(found.drawn, page.pictures_beside)]
    if not pictures:
        return verification(found)
    note = element(
        "p",
        "Green and wide: the original's detections. Red and narrow: the rewritten graph's.",
        class_="muted",
    )
    return join(verification(found), element("div", *pictures, class_="pictures"), note)


def _picture(picture: Shown) -> Markup:
    caption = element(
        "figcaption", element("code", picture.name), f": {picture.problem}" if picture.problem else ""
    )
    image = (
        element("img", src=picture.address, alt=f"Detections of both graphs on {picture.name}")
        if picture.address
        else None
    )
    return element("figure", image, caption)
