"""The page: one HTML file that needs no network, with all that is known of a model before and after."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from surgeon.atomic import check_generated
from surgeon.deprecation import RenamedAttribute
from surgeon.diagnostics import Diagnostic, error
from surgeon.verification import Verification
from surgeon.version import __version__
from surgeon.viewer import html_change_report
from surgeon.viewer.assets import asset, licences, script
from surgeon.viewer.change_report import ChangeReport
from surgeon.viewer.drawing_data import drawing_data, script_json
from surgeon.viewer.html_diagnostics import diagnostics
from surgeon.viewer.html_drawing import drawing
from surgeon.viewer.html_namespaces import namespaces
from surgeon.viewer.html_plugin_support import support
from surgeon.viewer.html_summary import contents, summary
from surgeon.viewer.html_verification import verification
from surgeon.viewer.markup import Markup, element, join
from surgeon.viewer.page_images import PageImage, page_images
from surgeon.viewer.plugin_support import support_table

_CONTENT_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src "
    "'unsafe-inline'; script-src 'sha256-{}'"
)


@dataclass(frozen=True)
class Page:
    """What a page shows: a report, what was found wrong, and whether the same is detected.

    ``pictures_beside`` is a folder in which the verification's pictures lie where they are not at their path.
    """

    report: ChangeReport
    diagnostics: tuple[Diagnostic, ...] = ()
    verification: Verification | None = None
    pictures_beside: Path | None = field(default=None, compare=False)
    story = RenamedAttribute("report", removal="0.2.0")


def check_page(path: str | os.PathLike[str], *inputs: object) -> None:
    """Raise SurgeonError W107 where a page would be written over one of the files that it is made of.

    Raise SurgeonError E120 where it would be written over a file that people write.
    """
    page = Path(path)
    files = (os.fspath(each) for each in inputs if isinstance(each, str | os.PathLike))
    for file in files:
        if os.path.exists(page) and os.path.exists(file) and page.samefile(file):
            raise error(
                "W107",
                f"the page would be written over '{file}', which it is made of; expected another file",
                page,
                help=["name the page, say, page.html"],
            )
    check_generated(page)


def render_page(page: Page) -> str:
    """Return the page as HTML."""
    code = script()
    digest = base64.b64encode(hashlib.sha256(code.encode("utf-8")).digest()).decode()
    report = page.report
    title = f"{report.title}, {report.recipe}" if report.kind == "plan" else report.title
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
    sections = _sections(page)
    body = element(
        "body",
        element("a", "Skip to the graph", href="#graph", class_="skip"),
        _header(report, sections),
        element("main", *(_section(label, content) for label, content in sections.items())),
        _footer(),
        element("script", script_json(drawing_data(report)), id="story", type="application/json"),
        element("script", Markup(code)),
        class_="surgeon",
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _sections(page: Page) -> dict[str, Markup]:
    """Return the content of each section by its title."""
    report = page.report
    tree = namespaces(report.namespaces, report.kind)
    sections = {
        "Summary": summary(report, page.diagnostics, page.verification),
        "Graph": drawing(report),
        "Contents": contents(report),
        "Namespaces": join(_tree_tools(), tree),
    }
    if report.kind == "diff":
        sections["Changed nodes"] = html_change_report.changes(report.changed)
    if report.kind == "plan":
        sections["Surgery"] = join(
            element("h3", "Put in"),
            html_change_report.added(report),
            element("h3", "Steps"),
            html_change_report.steps(report.steps),
        )
        sections["Derived"] = html_change_report.derivations(report.derivations)
        sections["Diagnostics"] = diagnostics(page.diagnostics)
        sections["Verification"] = _verification(page)
    plugins = (node.op for node in report.after.plugins)
    sections["Targets"] = support(support_table(report.after.catalog, plugins))
    return sections


def _section_id(label: str) -> str:
    return label.partition(" ")[0].lower()


def _section(label: str, content: Markup) -> Markup:
    name = _section_id(label)
    title = element("h2", label, id=f"{name}-title")
    return element("section", title, content, id=name, aria_labelledby=f"{name}-title")


def _header(report: ChangeReport, labels: Iterable[str]) -> Markup:
    target = f" for {report.target}" if report.target else ""
    below = {
        "graph": "one graph",
        "plan": join("rewritten by ", element("b", report.recipe), target),
        "diff": "what differs between two graphs",
    }[report.kind]
    titles = element(
        "div",
        element("p", "surgeon", class_="brand"),
        element("h1", element("code", report.title)),
        element("p", below, class_="muted"),
        class_="titles",
    )
    theme = element(
        "button", "Theme: auto", id="theme", type="button", title="Light, dark, or as the system has it"
    )
    links = (element("a", label, href=f"#{_section_id(label)}") for label in labels)
    return element("header", titles, theme, element("nav", *links, aria_label="Sections"))


def _footer() -> Markup:
    return element(
        "footer",
        element("p", f"Written by surgeon {__version__}."),
        element(
            "details",
            element("summary", "Licences of the libraries in this page"),
            element("pre", licences()),
        ),
    )


def _tree_tools() -> Markup:
    buttons = (
        element("button", label, type="button", id=name)
        for name, label in (("unfold", "Unfold all"), ("fold", "Fold all"))
    )
    return element("p", *buttons, class_="tools")


def _verification(page: Page) -> Markup:
    result = page.verification
    if result is None:
        return element(
            "p",
            "Not run. ",
            element("code", "surgeon view RECIPE MODEL --html FILE --verify"),
            " runs it, and ",
            element("code", "--verification VERDICT.json"),
            " takes what ",
            element("code", "surgeon verify --json"),
            " wrote.",
            class_="muted",
        )
    figures = [_figure(image) for image in page_images(result.drawn, page.pictures_beside)]
    if not figures:
        return verification(result)
    note = element(
        "p",
        "Green and wide: the original's detections. Red and narrow: the rewritten graph's.",
        class_="muted",
    )
    return join(verification(result), element("div", *figures, class_="pictures"), note)


def _figure(image: PageImage) -> Markup:
    problem = f": {image.problem}" if image.problem else ""
    picture = None
    if image.address:
        picture = element("img", src=image.address, alt=f"Detections of both graphs on {image.name}")
    return element("figure", picture, element("figcaption", element("code", image.name), problem))
