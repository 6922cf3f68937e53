"""Before and after for a person: the report of what became of each node, and the page that shows it."""

from typing import TYPE_CHECKING

from surgeon.deprecation import renamed_names
from surgeon.viewer.change_report import ChangeReport, GraphReport
from surgeon.viewer.namespace_report import NamespaceReport
from surgeon.viewer.node_status import NodeReport, NodeStatus, Provenance
from surgeon.viewer.notebook_html import (
    answer_html,
    diagnostics_html,
    draws,
    graph_html,
    html_of,
    piece_html,
    plan_html,
    recipe_html,
    verification_html,
)
from surgeon.viewer.page import Page, check_page, render_page
from surgeon.viewer.reporting import (
    report_difference,
    report_file,
    report_graph,
    report_plan,
)
from surgeon.viewer.verdict_file import check_recipe, read_verification

__all__ = [
    "ChangeReport",
    "GraphReport",
    "NamespaceReport",
    "NodeReport",
    "NodeStatus",
    "Page",
    "Provenance",
    "answer_html",
    "check_page",
    "check_recipe",
    "diagnostics_html",
    "draws",
    "graph_html",
    "html_of",
    "piece_html",
    "plan_html",
    "read_verification",
    "recipe_html",
    "render_page",
    "report_difference",
    "report_file",
    "report_graph",
    "report_plan",
    "verification_html",
]

_RENAMED = {
    "Fate": "NodeStatus",
    "GraphStory": "GraphReport",
    "Mark": "Provenance",
    "NamespaceStory": "NamespaceReport",
    "NodeStory": "NodeReport",
    "Story": "ChangeReport",
    "tell": "report_plan",
    "tell_difference": "report_difference",
    "tell_file": "report_file",
    "tell_graph": "report_graph",
}

if not TYPE_CHECKING:  # a type checker would take every name that is misspelt for one of these
    __getattr__ = renamed_names(__name__, _RENAMED, removal="0.2.0")
