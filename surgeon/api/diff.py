"""``surgeon.diff``: how two graphs differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgeon.graph import Graph
from surgeon.request import PathLike
from surgeon.stages import tell_stage

if TYPE_CHECKING:
    from surgeon.graph.diff import GraphDiff


def diff(a: Graph | PathLike, b: Graph | PathLike, *, html: PathLike | None = None) -> GraphDiff:
    """Return the differences between two graphs, and write them to ``html`` as one page.

    The differences are the nodes of only one graph and the nodes that changed. The files may be TensorFlow
    graphs, ``.uff`` or ``.onnx``. Raise SurgeonError for a file that cannot be read, E105, E120 and W107
    for the page.
    """
    from surgeon.atomic import write_text
    from surgeon.formats import open_model
    from surgeon.graph.diff import diff_graphs
    from surgeon.viewer import Page, check_page, render_page, report_difference

    if html is not None:
        check_page(html, a, b)
    tell_stage("reading the graphs")
    (first, stated), (second, stated_too) = (
        (one, None) if isinstance(one, Graph) else open_model(one).graph() for one in (a, b)
    )
    tell_stage("comparing the graphs")
    found = diff_graphs(first, second)
    if html is not None:
        report = report_difference(first, second, found, stated=(stated, stated_too))
        write_text(html, render_page(Page(report)))
    return found
