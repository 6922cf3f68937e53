"""Small graphs and fleet files for tests of fleets: to convert one takes some milliseconds."""

from __future__ import annotations

import textwrap
from pathlib import Path

from small_model import GRAPH, RECIPE


def write_models(folder: Path, *names: str) -> None:
    """Write the small graph under several names, each with another constant, and the recipe for all of them."""
    from surgeon.formats.graphdef import save_graph
    from surgeon.graph import parse_graph

    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        graph = parse_graph(GRAPH.replace("tensor<float32[]: 0.5>", f"tensor<float32[]: {0.5 + index}>"))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        save_graph(graph, folder / name)
    (folder / "small.yaml").write_text(RECIPE, encoding="utf-8")


def write_fleet(folder: Path, text: str) -> Path:
    """Write a fleet file and return its path."""
    path = folder / "FLEET.yaml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path
