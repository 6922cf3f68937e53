"""Start of the child process: ``python .../child/__main__.py MODULE PATHS [ARGUMENT...]``.

It calls the ``main`` of a module of this folder with the arguments. The folder is a package of its own,
wherever it lies. Other modules are looked for in PATHS, a list in JSON of pairs: a path, and whether it is
the working folder, which counts only where Python looks there by itself. Where the list is empty, modules are
looked for as Python does.
"""

import importlib
import json
import os
import sys


def run() -> None:
    """Run what the command line names."""
    folder = os.path.dirname(os.path.abspath(__file__))
    own = [path for path in sys.path if os.path.abspath(path) != folder]
    sys.path[:] = [os.path.dirname(folder), *own]
    package = importlib.import_module(os.path.basename(folder)).__name__
    sys.path[:] = [path for path, here in json.loads(sys.argv[2]) if not here or path in own] or own
    importlib.import_module(f"{package}.{sys.argv[1]}").main(sys.argv[3:])


if __name__ == "__main__":
    run()
