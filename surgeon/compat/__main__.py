"""``python -m surgeon.compat SCRIPT.py`` is ``surgeon compat run SCRIPT.py``."""

import sys

from surgeon.cli import main

if __name__ == "__main__":
    sys.exit(main(["compat", "run", *sys.argv[1:]]))
