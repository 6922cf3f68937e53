"""Start of the child process: ``python .../child/__main__.py MODULE PATHS [ARGUMENT...]``.

It calls the ``main`` of a module of this folder with the arguments. The folder is a package of its own,
wherever it lies. Other modules are looked for in PATHS, a list in JSON; where that is empty, they are looked
for as Python does. Neither includes the working folder.
"""

import importlib
import json
import os
import sys


def run() -> None:
    """Run what the command line names."""
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[0] = os.path.dirname(folder)
    package = importlib.import_module(os.path.basename(folder)).__name__
    sys.path[:] = json.loads(sys.argv[2]) or sys.path[1:]
    importlib.import_module(f"{package}.{sys.argv[1]}").main(sys.argv[3:])


if __name__ == "__main__":
    run()
