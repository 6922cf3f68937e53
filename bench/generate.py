"""Write one benchmark graph: an SSD of November 2017 on 90 classes, with 102 MB and a given number of nodes.

Run as a process of its own, so that its memory is not the benchmark's: generate.py FILE NODES
"""

from __future__ import annotations

import sys
from pathlib import Path

from surgeon.formats.graphdef import from_bytes
from surgeon.zoo import SsdOptions, build_ssd, write_ssd

WEIGHTS = 97_400_000
"""Bytes of weights that are added to the detector's own, so that the file of 7,655 nodes has 102 MB."""


def generate(path: Path, nodes: int) -> None:
    """Write the graph; the nodes that the detector itself does not have are added, half of them live."""
    own = len(from_bytes(build_ssd(_options(0))))
    if nodes < own:
        raise SystemExit(f"the detector itself has {own} nodes; expected at least that many, got {nodes}")
    write_ssd(path, _options(nodes - own))


def _options(extra_nodes: int) -> SsdOptions:
    return SsdOptions(date="2017", classes=90, large_weights=WEIGHTS, extra_nodes=extra_nodes)


if __name__ == "__main__":
    generate(Path(sys.argv[1]), int(sys.argv[2]))
