"""A format of one's own: the text form of a graph, a file for no runtime in particular."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from surgeon.diagnostics import Diagnostic
from surgeon.formats import Description, FileFacts, Format, ModelFile, Option, Written
from surgeon.graph import Graph, parse_graph, print_graph


class ToyFile(ModelFile):
    """A graph as text, behind a line that names the recipe."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.source = os.fspath(path)
        head, _, text = Path(path).read_text(encoding="utf-8").partition("\n")
        self._recipe = head.removeprefix("toy of ")
        self._graph = parse_graph(text, self.source)

    @property
    def facts(self) -> FileFacts:
        """The recipe that the file names."""
        return FileFacts(recipe=self._recipe)

    def graph(self, catalog: Any = None) -> tuple[Graph, Any]:
        """Return the graph, whose shapes follow from TensorFlow's operations."""
        return self._graph, None

    def describe(self) -> Description:
        """Return the number of nodes and what the file says of itself."""
        names = [node.name for node in self._graph]
        outputs = {str(ref): self._graph[ref.node].op for ref in self._graph.output_refs}
        return Description(
            len(names), 0, dict.fromkeys(names, 0), {}, outputs, {}, told={"recipe": self._recipe}
        )


class ToyFormat(Format):
    """Text that a person can read."""

    name = "toy"
    noun = "a toy file"
    suffixes = (".toy",)
    default_target = "toy"
    options = (Option("wide", "--wide", "elements of a constant that are written", "N", type=int),)

    def open(self, path: str | os.PathLike[str]) -> ModelFile:
        """Read a file."""
        return ToyFile(path)

    def write(
        self,
        graph: Graph,
        path: Path,
        target: Any,
        catalog: Any,
        facts: FileFacts,
        watch: Any = None,
        **options: Any,
    ) -> Written:
        """Write the text form."""
        text = f"toy of {facts.recipe}\n" + print_graph(graph, options.get("wide", 1 << 20))
        path.write_text(text, encoding="utf-8")
        return Written(len(text.encode()))

    def check(self, graph: Graph, target: Any, catalog: Any) -> tuple[Diagnostic, ...]:
        """Refuse a graph of more than a hundred nodes."""
        if len(graph) <= 100:
            return ()
        return (Diagnostic("X101", f"{len(graph)} nodes are more than a toy holds", None, (), ("cut it",)),)


FORMAT = ToyFormat()
