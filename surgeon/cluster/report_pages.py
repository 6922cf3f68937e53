"""The report of a fleet as HTML, Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from surgeon.atomic import write_text
from surgeon.cluster.axes import AXES, TEXT_AXES
from surgeon.cluster.report import CellReport, FleetReport
from surgeon.display import number, printable, size
from surgeon.version import __version__
from surgeon.viewer.assets import asset
from surgeon.viewer.html_parts import badge, table
from surgeon.viewer.markup import Markup, element, escape, join

SIZES = ("file", "engine", "package")
VERDICTS = ("verify", "verify-onnx", "verify-engine")
_UNITS = {"latency": "latency, ms"}
_PLACES = {"latency": 3, "mAP": 4}
_BADGES = {
    "done": "good",
    "passed": "good",
    "failed": "error",
    "inconclusive": "warning",
    "waiting": "note",
    "skipped": "note",
}
_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = "table { min-width: 100%; } h2 { margin-top: 1.6em; } .cells td { white-space: nowrap !important; }"


def write_pages(report: FleetReport) -> None:
    """Write the report into the fleet's folder; raise SurgeonError E105 where it cannot be written."""
    text = json.dumps(report.to_json(), indent=1, default=list) + "\n"
    write_text(report.folder / "report.json", text, follow_links=False)
    write_text(report.folder / "report.md", as_markdown(report), follow_links=False)
    write_text(report.folder / "report.html", as_html(report), follow_links=False)


def heading(report: FleetReport) -> tuple[str, ...]:
    """Return the titles of the table's columns: axes that a cell has, then what jobs gave."""
    axes = [axis for axis in AXES if any(axis in cell.values for cell in report.cells)]
    given: dict[str, None] = {}
    for cell in report.cells:
        given |= dict.fromkeys(cell.columns)
    return (*axes, "status", "verdict", *(_UNITS.get(name, name) for name in given))


def row(report: FleetReport, cell: CellReport) -> tuple[str, ...]:
    """Return a cell's row of the table."""
    names = {title: name for name, title in _UNITS.items()}
    shown: dict[str, str] = {"status": cell.status, "verdict": cell.verdict or ""}
    cells = []
    for title in heading(report):
        name = names.get(title, title)
        if title in shown:
            cells.append(shown[title])
        elif title in AXES:
            cells.append(_axis(title, cell.values.get(title)))
        else:
            cells.append(_column(name, cell.columns.get(name)))
    return tuple(cells)


def _axis(axis: str, value: Any) -> str:
    if value is None:
        return ""
    if axis in TEXT_AXES or not isinstance(value, Mapping):
        return str(value)
    return ", ".join(f"{key}={each}" for key, each in value.items())


def _column(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in SIZES:
        return size(int(value))
    if isinstance(value, float):
        return f"{value:.{_PLACES.get(name, 1)}f}"
    return number(value) if isinstance(value, int) else str(value)


def _ended(cell: CellReport) -> Iterator[str]:
    """Yield a line for each job of a cell."""
    for job in cell.jobs:
        what = job.status if job.verdict is None else f"{job.status}, {job.verdict}"
        time = f", {job.seconds:.1f} s on {job.node}" if job.node else ""
        reason = f": {job.reason}" if job.reason else ""
        yield f"{job.job}: {what}{time}{reason}"


def _place(where: Any) -> str:
    if isinstance(where, Mapping):
        return f"{where.get('file')}:{where.get('line')}:{where.get('column')}"
    return str(where or "")


def as_markdown(report: FleetReport) -> str:
    """Return the report as Markdown."""
    titles = heading(report)
    lines = [
        f"# {_marked(report.file.rpartition('/')[2])}",
        "",
        f"{report.summary}. Made {report.made}, found in the store {report.found}.",
        "",
        _line(titles),
        _line(["---"] * len(titles)),
        *(_line([_marked(text) for text in row(report, cell)]) for cell in report.cells),
    ]
    for cell in report.cells:
        lines += ["", f"## {_marked(cell.name)}", "", *(f"- {_marked(line)}" for line in _ended(cell))]
        for job, each in cell.diagnostics():
            place = _place(each["where"])
            lines.append(
                f"- **{each['severity']} {each['code']}** ({job}) "
                + _marked(f"{place}: " if place else "")
                + _marked(each["message"])
            )
            lines += [f"  - {_marked(text)}" for text in (*each["notes"], *each["help"])]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _marked(text: str) -> str:
    """Return a text in which nothing is markup."""
    shown = printable(text)
    for char in "\\`*_[]<>|#":
        shown = shown.replace(char, f"\\{char}")
    return shown


def as_html(report: FleetReport) -> str:
    """Return the report as a page that needs no network."""
    title = report.file.rpartition("/")[2]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="generator", content=f"surgeon {__version__}"),
        element("title", f"{title} – surgeon"),
        element("link", rel="icon", href="data:,"),
        element("style", Markup(asset("pieces.css") + asset("page.css") + _STYLE)),
    )
    titles = heading(report)
    right = [index for index, name in enumerate(titles) if index > titles.index("verdict")]
    right = [index for index in right if titles[index] not in VERDICTS]
    rows = [
        [
            element("a", cells[0], href=f"#cell-{index}"),
            *(badge(text, _BADGES[text]) if text in _BADGES else text for text in cells[1:]),
        ]
        for index, cell in enumerate(report.cells)
        for cells in [row(report, cell)]
    ]
    body = element(
        "body",
        element(
            "header",
            element(
                "div",
                element("p", "surgeon", class_="brand"),
                element("h1", element("code", title)),
                element("p", report.summary, class_="muted"),
                class_="titles",
            ),
        ),
        element(
            "main",
            element(
                "section",
                element("h2", "Cells"),
                element("p", f"Made {report.made}, found in the store {report.found}.", class_="muted"),
                element("div", table(titles, rows, right), class_="cells"),
            ),
            *(_cell(index, cell) for index, cell in enumerate(report.cells)),
        ),
        element("footer", element("p", f"Written by surgeon {__version__}.")),
        class_="surgeon",
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _cell(index: int, cell: CellReport) -> Markup:
    found = [_diagnostic(job, each) for job, each in cell.diagnostics()]
    return element(
        "section",
        element("h2", element("code", cell.name), " ", badge(cell.status, _BADGES[cell.status])),
        element("ul", *(element("li", line) for line in _ended(cell)), class_="lines"),
        element("ul", *found, class_="diagnostics") if found else None,
        id=f"cell-{index}",
    )


def _diagnostic(job: str, each: Mapping[str, Any]) -> Markup:
    severity = each["severity"]
    return element(
        "li",
        element(
            "p",
            badge(severity, severity),
            " ",
            element("b", each["code"]),
            " ",
            element("span", join(job, "  ", escape(_place(each["where"]))), class_="muted"),
        ),
        element("p", each["message"]),
        *(element("p", text, class_="muted") for text in each["notes"]),
        *(element("p", element("b", "help: "), text) for text in each["help"]),
        class_=f"is-{severity}",
    )
