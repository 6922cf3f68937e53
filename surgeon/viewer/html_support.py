"""The table of plugins by targets, as HTML."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.display import number
from surgeon.targets import Target
from surgeon.viewer.html_parts import name_of
from surgeon.viewer.markup import Markup, element, join
from surgeon.viewer.support import Support, SupportTable


def support(told: SupportTable) -> Markup:
    """Return which plugins exist in which target: those of the graph first, the rest folded."""
    used = [op for op in told.plugins if op in told.used]
    rest = [op for op in told.plugins if op not in told.used]
    parts = []
    if used:
        parts.append(_support_rows(told, used))
    if rest:
        title = f"{number(len(rest))} {'other ' if used else ''}plugins of the catalog"
        parts.append(element("details", element("summary", title), _support_rows(told, rest)))
    legend = element(
        "p",
        "A number is the plugin version; ",
        element("span", "1", class_="old"),
        " is deprecated there; ",
        element("span", "ops", class_="std"),
        " means that the exporter writes ordinary operations; – is not there.",
        class_="muted",
    )
    return join(*parts, legend)


def _support_rows(told: SupportTable, ops: Sequence[str]) -> Markup:
    groups: dict[str, list[Target]] = {}
    for target in told.targets:
        groups.setdefault(
            f"{target.format.upper()}, {'TensorRT' if target.runtime == 'tensorrt' else 'ONNX Runtime'}", []
        ).append(target)
    ordered = [target for members in groups.values() for target in members]
    top = element(
        "tr",
        element("th", "plugin", rowspan=2, scope="col"),
        *(element("th", label, colspan=len(members), scope="colgroup") for label, members in groups.items()),
    )
    below = element(
        "tr",
        *(
            element(
                "th",
                target.name.rpartition("-")[2] if target.runtime == "tensorrt" else "any",
                scope="col",
                title=target.title,
            )
            for target in ordered
        ),
    )
    body = [
        element(
            "tr",
            element("th", name_of(op), scope="row", title=told.plugins[op].title),
            *(_cell(told.support(op, target), target) for target in ordered),
        )
        for op in ops
    ]
    return element(
        "div",
        element("table", element("thead", top, below), element("tbody", *body), class_="support"),
        class_="scroll",
        tabindex=0,
    )


def _cell(found: Support, target: Target) -> Markup:
    if found.standard:
        return element("td", "ops", class_="std", title=f"{target.title}: written as ordinary operations")
    if not found.there:
        return element("td", "–", class_="none", title=f"{target.title}: not there")
    if found.deprecated:
        return element(
            "td",
            found.plugin_version,
            class_="old",
            title=f"{target.title}: version {found.plugin_version}, deprecated",
        )
    return element(
        "td", found.plugin_version, class_="yes", title=f"{target.title}: version {found.plugin_version}"
    )
