"""Write frozen graphs of small networks that detect nothing, one for each structure that people convert.

    python bench/any_model_graphs.py FOLDER            # all
    python bench/any_model_graphs.py FOLDER unet bert  # these

Beside each NAME.pb, NAME.json tells what the graph stands for, its outputs, the inputs that numbers are drawn
for, and the values of its scalars at inference. Weights are random; the same name gives the same file.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

MODULES = ("faces", "pictures", "sequences", "classifiers", "formats", "variants")


def names() -> list[str]:
    """Return the names of all structures."""
    from structures.net import STRUCTURES

    for module in MODULES:
        importlib.import_module(f"structures.{module}")
    return list(STRUCTURES)


def write_graphs(folder: Path, wanted: Sequence[str] = ()) -> list[Path]:
    """Write the structures of these names, by default all, and return the paths of the graphs."""
    known = names()
    from structures.net import STRUCTURES, built

    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise SystemExit(f"no structure is called {', '.join(unknown)}; there are: {', '.join(known)}")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in wanted or known:
        graph_def, facts = built(STRUCTURES[name])
        paths.append(folder / f"{name}.pb")
        paths[-1].write_bytes(graph_def.SerializeToString(deterministic=True))
        paths[-1].with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return paths


def main() -> int:
    """Write the graphs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help="structures; default all")
    options = parser.parse_args()
    paths = write_graphs(options.folder, options.names)
    print(f"{len(paths)} graphs are in {options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
