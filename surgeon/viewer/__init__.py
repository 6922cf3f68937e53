"""Before and after for a person: the story of what became of each node, and the page that shows it."""

from surgeon.viewer.change_report import (
    GraphStory,
    NamespaceStory,
    NodeStory,
    Story,
    read_file,
    tell,
    tell_difference,
    tell_file,
    tell_graph,
)
from surgeon.viewer.node_status import Fate, Mark
from surgeon.viewer.notebook_html import (
    answer_html,
    diagnostics_html,
    graph_html,
    html_of,
    plan_html,
    recipe_html,
    verification_html,
)
from surgeon.viewer.page import Page, check_page, render_page
from surgeon.viewer.verdict_file import check_recipe, read_verification

__all__ = [
    "Fate",
    "GraphStory",
    "Mark",
    "NamespaceStory",
    "NodeStory",
    "Page",
    "Story",
    "answer_html",
    "check_page",
    "check_recipe",
    "diagnostics_html",
    "graph_html",
    "html_of",
    "plan_html",
    "read_file",
    "read_verification",
    "recipe_html",
    "render_page",
    "tell",
    "tell_difference",
    "tell_file",
    "tell_graph",
    "verification_html",
]
