"""Write one benchmark graph: an SSD of November 2017 with large weights and a given number of nodes.

Run as a process of its own, so that TensorFlow's memory is not the benchmark's: generate.py FILE NODES
"""

from __future__ import annotations

import sys
from pathlib import Path

from surgeon.graphdef import load_graph
from surgeon.zoo import SsdOptions, write_ssd


def generate(path: Path, nodes: int) -> None:
    """Write the graph; the nodes that the detector itself does not have are added as small extra ones."""
    write_ssd(path, SsdOptions(date="2017-11", large_weights=True))
    missing = nodes - len(load_graph(path))
    if missing > 0:
        write_ssd(path, SsdOptions(date="2017-11", large_weights=True, extra_nodes=missing))


if __name__ == "__main__":
    generate(Path(sys.argv[1]), int(sys.argv[2]))
