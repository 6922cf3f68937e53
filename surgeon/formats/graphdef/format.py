"""Graphs of TensorFlow as a format of files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surgeon.formats.format import FileFacts, Format, ModelFile, PathLike, Watch, Written

if TYPE_CHECKING:
    from surgeon.catalog import Catalog
    from surgeon.graph import Graph
    from surgeon.targets import Target


class GraphDefFormat(Format):
    """Frozen graphs, binary or as text, and SavedModel folders."""

    name = "graphdef"
    noun = "a frozen graph"
    suffixes = (".pb", ".pbtxt")
    default_target = "graphdef"
    states_facts = False
    rewritable = True

    def open(self, path: PathLike) -> ModelFile:
        """Read a file or a SavedModel folder; raise SurgeonError as :func:`load_graph`."""
        from surgeon.formats.graphdef.loading import load_graph
        from surgeon.formats.graphdef.model_file import GraphDefFile

        return GraphDefFile(load_graph(path))

    def write(
        self,
        graph: Graph,
        path: Path,
        target: Target,
        catalog: Catalog,
        facts: FileFacts,
        watch: Watch | None = None,
        **options: Any,
    ) -> Written:
        """Write a graph; raise SurgeonError as :func:`save_graph`."""
        from surgeon.formats.graphdef.writer import save_graph

        save_graph(graph, path)
        return Written(path.stat().st_size if os.path.isfile(path) else 0)


FORMAT = GraphDefFormat()
