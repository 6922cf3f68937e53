"""The table of plugins by targets, as HTML."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.display import number
from surgeon.targets import Target
from surgeon.viewer.html_parts import name_of
from surgeon.viewer.markup import Markup, element, join
from surgeon.viewer.plugin_support import PluginSupport, SupportTable

_RUNTIMES = {"tensorrt": "TensorRT", "tensorrt-rtx": "TensorRT-RTX", "onnxruntime": "ONNX Runtime"}


def support(table: SupportTable) -> Markup:
    """Return which plugins exist in which target: those of the graph first, the rest folded."""
    used = [op for op in table.plugins if op in table.used]
    rest = [op for op in table.plugins if op not in table.used]
    parts = []
    if used:
        parts.append(_support_rows(table, used))
    if rest:
        title = f"{number(len(rest))} {'other ' if used else ''}plugins of the catalog"
        parts.append(element("details", element("summary", title), _support_rows(table, rest)))
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


def _support_rows(table: SupportTable, ops: Sequence[str]) -> Markup:
    groups: dict[str, list[Target]] = {}
    for target in table.targets:
        runtime = _RUNTIMES.get(target.runtime, target.runtime)
        groups.setdefault(f"{target.format.upper()}, {runtime}", []).append(target)
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
            element("th", name_of(op), scope="row", title=table.plugins[op].title),
            *(_cell(table.support(op, target), target) for target in ordered),
        )
        for op in ops
    ]
    return element(
        "div",
        element("table", element("thead", top, below), element("tbody", *body), class_="support"),
        class_="scroll",
    )


def _cell(support: PluginSupport, target: Target) -> Markup:
    version = support.plugin_version
    if support.standard:
        text, kind, title = "ops", "std", "written as ordinary operations"
    elif not support.available:
        text, kind, title = "–", "none", "not there"
    elif support.deprecated:
        text, kind, title = version, "old", f"version {version}, deprecated"
    else:
        text, kind, title = version, "yes", f"version {version}"
    return element("td", text, class_=kind, title=f"{target.title}: {title}")
